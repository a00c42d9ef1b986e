//! The storage's rules, one by one.

use super::*;

fn storage() -> Storage {
    Storage::new(Clock::real())
}

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "a"}, "spec": {"replicas": 1}})
}

const DEPLOYMENTS: &str = "deployments.apps";

#[test]
fn writes_give_identity_and_revisions() {
    let storage = storage();
    let made = storage.create(DEPLOYMENTS, deployment("web")).unwrap();
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert_eq!(storage.create(DEPLOYMENTS, deployment("web")).unwrap_err().code, 409);

    let before = storage.revision();
    let same = storage.update(DEPLOYMENTS, Some("a"), "web", |_| Ok(())).unwrap();
    assert_eq!((same, storage.revision()), (made, before), "a change of nothing writes nothing");

    let status = storage
        .update(DEPLOYMENTS, Some("a"), "web", |d| {
            d["status"] = json!({"replicas": 1});
            Ok(())
        })
        .unwrap();
    assert_eq!(status["metadata"]["generation"], 1);
    let spec = storage
        .update(DEPLOYMENTS, Some("a"), "web", |d| {
            d["spec"]["replicas"] = 2.into();
            d["metadata"]["uid"] = "forged".into();
            Ok(())
        })
        .unwrap();
    assert_eq!(spec["metadata"]["generation"], 2);
    assert_eq!(spec["metadata"]["uid"], status["metadata"]["uid"]);
    assert_eq!(spec["metadata"]["resourceVersion"], storage.revision().to_string());
}

#[test]
fn a_closure_may_read_while_it_writes() {
    let storage = storage();
    storage.create(DEPLOYMENTS, deployment("web")).unwrap();
    let seen = storage.update(DEPLOYMENTS, Some("a"), "web", |d| {
        d["spec"]["replicas"] = storage.list(DEPLOYMENTS, None).0.len().into();
        Err(ApiError::bad_request("changed my mind"))
    });
    assert_eq!(seen.unwrap_err().code, 400);
    assert_eq!(storage.get(DEPLOYMENTS, Some("a"), "web").unwrap()["spec"]["replicas"], 1);
}

#[test]
fn finalizers_hold_an_object_back() {
    let storage = storage();
    let mut object = deployment("web");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    storage.create(DEPLOYMENTS, object).unwrap();
    let options = DeleteOptions::default();
    let first = storage.delete(DEPLOYMENTS, Some("a"), "web", &options).unwrap();
    assert!(matches!(first, Deleted::Pending(_)));
    let revision = storage.revision();
    storage.delete(DEPLOYMENTS, Some("a"), "web", &options).unwrap();
    assert_eq!(storage.revision(), revision, "deleting twice changes nothing");
    storage
        .update(DEPLOYMENTS, Some("a"), "web", |d| {
            d["metadata"]["finalizers"] = json!([]);
            Ok(())
        })
        .unwrap();
    assert!(storage.get(DEPLOYMENTS, Some("a"), "web").is_none());
    assert_eq!(storage.count(DEPLOYMENTS, Some("a")), 0);
}

#[test]
fn running_pods_get_their_grace_period() {
    let storage = storage();
    let pod = json!({"metadata": {"name": "p", "namespace": "a"},
        "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 7}});
    storage.create("pods", pod).unwrap();
    let Deleted::Pending(pod) =
        storage.delete("pods", Some("a"), "p", &DeleteOptions::default()).unwrap()
    else {
        panic!("a running pod must not vanish at once");
    };
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 7);
    let now = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    assert!(matches!(storage.delete("pods", Some("a"), "p", &now).unwrap(), Deleted::Gone(_)));
}

#[test]
fn preconditions_and_dry_run_protect() {
    let storage = storage();
    storage.create(DEPLOYMENTS, deployment("web")).unwrap();
    let other = DeleteOptions { uid: Some("other".into()), ..DeleteOptions::default() };
    assert_eq!(storage.delete(DEPLOYMENTS, Some("a"), "web", &other).unwrap_err().code, 409);
    let dry = DeleteOptions { dry_run: true, ..DeleteOptions::default() };
    storage.delete(DEPLOYMENTS, Some("a"), "web", &dry).unwrap();
    assert!(storage.get(DEPLOYMENTS, Some("a"), "web").is_some());
}

#[tokio::test]
async fn a_watch_sees_every_change_in_order() {
    let storage = storage();
    let from = storage.revision();
    storage.create(DEPLOYMENTS, deployment("web")).unwrap();
    let mut watch = storage.watch(DEPLOYMENTS, from).unwrap();
    assert_eq!(watch.next().await.unwrap().kind, EventKind::Added);
    let writer = storage.clone();
    let (event, _) = tokio::join!(watch.next(), async move {
        writer.update(DEPLOYMENTS, Some("a"), "web", |d| {
            d["spec"]["replicas"] = 5.into();
            Ok(())
        })
    });
    let event = event.unwrap();
    assert_eq!((event.kind, &event.object["spec"]["replicas"]), (EventKind::Modified, &json!(5)));
    assert_eq!(event.previous.unwrap()["spec"]["replicas"], 1);
    storage.create("pods", json!({"metadata": {"name": "p", "namespace": "a"}})).unwrap();
    assert_eq!(watch.seen(), storage.revision(), "a bookmark passes over other resources' changes");
}

#[test]
fn compacted_history_answers_gone() {
    let storage = storage();
    let from = storage.revision();
    storage.create(DEPLOYMENTS, deployment("web")).unwrap();
    let mut behind = storage.watch(DEPLOYMENTS, from).unwrap();
    storage.compact();
    assert_eq!(storage.watch(DEPLOYMENTS, from).err().unwrap().code, 410);
    assert_eq!(behind.try_next().unwrap_err().code, 410);
    assert!(storage.watch(DEPLOYMENTS, storage.revision()).is_ok());
    assert_eq!(storage.watch(DEPLOYMENTS, storage.revision() + 9).err().unwrap().code, 504);
}

#[test]
fn a_snapshot_brings_everything_back() {
    let storage = storage();
    let made = storage.create(DEPLOYMENTS, deployment("web")).unwrap();
    let snapshot = storage.snapshot();
    storage.delete(DEPLOYMENTS, Some("a"), "web", &DeleteOptions::default()).unwrap();
    storage.create(DEPLOYMENTS, deployment("other")).unwrap();
    let revision = storage.revision();
    storage.restore(&snapshot).unwrap();
    assert_eq!(storage.list(DEPLOYMENTS, None).0, vec![made]);
    assert!(storage.revision() > revision);
    assert!(storage.restore(&json!({"resources": 1})).is_err());
}
