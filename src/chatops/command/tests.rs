//! Typed commands as tables.

use super::*;

fn call(name: &str, arguments: Value) -> Command {
    Command::Call(ToolCall { name: name.to_owned(), arguments })
}

#[test]
fn commands_become_calls() {
    let change = || ChangeId("c-abcdefgh".to_owned());
    let cases = [
        ("/scale api 5", call("scale", json!({"workload": "api", "replicas": 5}))),
        (
            "/scale api 5 -n prod",
            call("scale", json!({"workload": "api", "replicas": 5, "namespace": "prod"})),
        ),
        ("/SCALE api -1", call("scale", json!({"workload": "api", "replicas": -1}))),
        ("/image api 1.4.2", call("set_image", json!({"workload": "api", "image": ":1.4.2"}))),
        (
            "/image api hub/api:2 -c main",
            call(
                "set_image",
                json!({"workload": "api", "image": "hub/api:2", "container": "main"}),
            ),
        ),
        (
            "/env api A=1 B=\"x y\" OLD-",
            call(
                "set_env",
                json!({"workload": "api", "set": {"A": "1", "B": "x y"}, "unset": ["OLD"]}),
            ),
        ),
        (
            "/resources api cpu=500m memory=1Gi limits.memory=2Gi",
            call(
                "set_resources",
                json!({"workload": "api", "requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}),
            ),
        ),
        ("/restart api", call("restart", json!({"workload": "api"}))),
        (
            "/rollback api 1a2b3c4",
            call("rollback", json!({"workload": "api", "revision": "1a2b3c4"})),
        ),
        ("/undo", call("undo", json!({}))),
        ("/undo c-abcdefgh", call("undo", json!({"change": "c-abcdefgh"}))),
        (
            "/approve c-abcdefgh looks good",
            Command::Approve { change: change(), comment: Some("looks good".to_owned()) },
        ),
        ("/reject c-abcdefgh", Command::Reject { change: change(), comment: None }),
        ("/changes", Command::Changes),
        ("/list pods -n prod", call("list_objects", json!({"kind": "Pod", "namespace": "prod"}))),
        ("/list", call("list_objects", json!({"kind": "Deployment"}))),
        ("/describe svc/api", call("describe_object", json!({"kind": "Service", "name": "api"}))),
        ("/logs api --previous", call("pod_logs", json!({"workload": "api", "previous": true}))),
        ("/events", call("events", json!({}))),
        ("/rollout api", call("rollout_status", json!({"workload": "api"}))),
        ("/top", call("resource_usage", json!({}))),
        ("/history api", call("change_history", json!({"workload": "api"}))),
        ("/problems", call("problems", json!({}))),
        ("／help", Command::Help),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), Some(Ok(expected)), "{text}");
    }
}

#[test]
fn mistakes_are_told() {
    let cases = [
        ("/scle api 5", "did you mean /scale"),
        ("/fly", "there is no command /fly"),
        ("/scale api", "not complete"),
        ("/scale api five", "'five' is not a whole number"),
        ("/scale api 5 6", "'6' has no place"),
        ("/scale api 5 -n", "not complete"),
        ("/scale api 5 -c main", "'main' has no place"),
        ("/env api LOG", "'LOG' has no place"),
        ("/env api", "not complete"),
        ("/resources api cpu", "'cpu' has no place"),
        ("/logs api --follow", "'--follow' has no place"),
        ("/env api A=\"x", "quotation"),
        ("/approve", "not complete"),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap().unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert!(!error.text(Lang::Zh).is_empty());
    }
    assert_eq!(parse("scale api to 5"), None);
    assert_eq!(parse("/ 5"), None);
}

#[test]
fn every_verb_is_explained_and_completed() {
    for lang in [Lang::Zh, Lang::En] {
        let text = help(lang);
        assert!(Verb::ALL.iter().all(|verb| text.contains(verb.usage())));
    }
    let inventory = Inventory {
        namespaces: vec!["bank-prod".to_owned()],
        environments: vec!["prod".to_owned()],
        workloads: vec![crate::domain::Workload {
            object: crate::domain::ObjectRef::new(
                "apps/v1",
                "Deployment",
                Some("bank-prod"),
                "ledger",
            ),
            environment: None,
            unit: None,
            replicas: None,
            containers: vec![],
            aliases: vec![],
        }],
        others: vec![],
    };
    let cases: [(&str, &[&str]); 6] = [
        ("/sc", &["/scale "]),
        ("/r", &["/resources ", "/restart ", "/rollback ", "/reject ", "/rollout "]),
        ("/scale le", &["/scale ledger "]),
        ("/scale ledger 5 -n b", &["/scale ledger 5 -n bank-prod "]),
        ("/problems le", &[]),
        ("scale", &[]),
    ];
    for (typed, expected) in cases {
        assert_eq!(complete(typed, &inventory), expected, "{typed}");
    }
}
