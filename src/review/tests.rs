//! One table over all checks: a manifest before and after, and the findings expected.

use serde_json::json;

use super::*;
use crate::domain::ObjectRef;

fn deployment(replicas: u64, image: &str, extra: &Value) -> Value {
    let resources = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}});
    let mut container = json!({"name": "app", "image": image, "resources": resources});
    for (key, value) in extra.as_object().into_iter().flatten() {
        container[key] = value.clone();
    }
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}}})
}

fn change(before: Option<Value>, after: Option<Value>, environment: &str) -> ObjectChange {
    ObjectChange {
        object: ObjectRef::new("apps/v1", "Deployment", Some("demo"), "web"),
        unit: "demo".into(),
        environment: Some(environment.into()),
        before,
        after,
        location: "demo/web.yaml:1".into(),
    }
}

fn checks(before: Option<Value>, after: Option<Value>, environment: &str) -> Vec<String> {
    let objects = [change(before, after, environment)];
    let findings = review(&Proposed { objects: &objects, lang: Lang::En });
    let line = |f: &Finding| format!("{} {:?}", f.check, f.severity);
    findings.iter().map(line).collect()
}

/// Before, after, environment: the findings.
type Case<'a> = (Option<Value>, Option<Value>, &'a str, &'a [&'a str]);

#[test]
fn table() {
    let none = json!({});
    let of = |replicas, image: &str| Some(deployment(replicas, image, &none));
    let with = |extra: Value| Some(deployment(2, "a:1", &extra));
    let table: Vec<Case<'_>> = vec![
        (of(2, "a:1"), of(3, "a:1"), "prod", &[]),
        (of(2, "a:1"), of(2, "a:2"), "prod", &[]),
        (of(2, "a:1"), of(1, "a:1"), "prod", &["single-replica Warning"]),
        (of(2, "a:1"), of(1, "a:1"), "dev", &[]),
        (of(2, "a:1"), of(1, "a:1"), "eu-production", &["single-replica Warning"]),
        (of(2, "a:1"), of(0, "a:1"), "dev", &["scale-to-zero Warning"]),
        (of(2, "a:1"), of(10, "a:1"), "dev", &[]),
        (of(2, "a:1"), of(11, "a:1"), "dev", &["replica-jump Warning"]),
        (of(0, "a:1"), of(11, "a:1"), "dev", &[]),
        (of(2, "a:1"), of(2, "a:latest"), "dev", &["image-tag-mutable Warning"]),
        (of(2, "r:5000/a:1"), of(2, "r:5000/a"), "dev", &["image-tag-mutable Warning"]),
        (of(2, "a:latest"), of(3, "a:latest"), "dev", &[]),
        (of(2, "r:5000/a:1"), of(2, "r:5000/a@sha256:00"), "dev", &[]),
        (of(2, "r:5000/a:1"), of(2, "r:5000/b:1"), "dev", &["image-name-changed Warning"]),
        (
            with(none.clone()),
            with(json!({"resources": {"limits": {"memory": "1Gi"}}})),
            "dev",
            &["resources-missing Warning"],
        ),
        (
            with(json!({"resources": {}})),
            with(json!({"resources": {}, "args": ["x"]})),
            "dev",
            &["resources-missing Info"],
        ),
        (
            with(none.clone()),
            with(json!({"securityContext": {"privileged": true}})),
            "dev",
            &["privileged Error"],
        ),
        (of(2, "a:1"), None, "dev", &["blast-radius Warning"]),
    ];
    for (before, after, environment, expected) in table {
        let text = format!("{before:?} -> {after:?}");
        assert_eq!(checks(before, after, environment), expected, "{text}");
    }
}

#[test]
fn findings_speak_the_operators_language() {
    let objects = [change(Some(deployment(2, "a:1", &json!({}))), None, "dev")];
    let findings = review(&Proposed { objects: &objects, lang: Lang::Zh });
    assert_eq!(findings[0].message, "将删除 apps/v1/Deployment/demo/web");
}
