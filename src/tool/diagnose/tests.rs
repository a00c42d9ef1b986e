//! Every cause the rules know, from the objects that show it.

use serde_json::json;

use super::*;

fn teller(lang: Lang) -> Teller {
    Teller { lang, now: "2026-11-23T06:00:00Z".parse().unwrap() }
}

fn pod(spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "a", "name": "web-5f-1", "labels": {"app": "web", "pod-template-hash": "5f"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5f"}]},
        "spec": spec, "status": status,
    })
}

fn container(status: Value) -> Value {
    let spec = json!({"containers": [
        {"name": "main", "image": "x:9", "resources": {"limits": {"memory": "64Mi"}}}]});
    pod(spec, json!({"phase": "Running", "containerStatuses": [status]}))
}

fn only(world: &World) -> Problem {
    let found = diagnose(world, teller(Lang::En));
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn pods_tell_why_they_do_not_run() {
    let cases = [
        (
            container(
                json!({"name": "main", "image": "x:9", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}),
            ),
            "ImagePullBackOff",
            "x:9",
        ),
        (
            container(
                json!({"name": "main", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-11-23T05:58:00Z"}}}),
            ),
            "OOMKilled",
            "64Mi",
        ),
        (
            container(
                json!({"name": "main", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}),
            ),
            "CrashLoopBackOff",
            "ended with an error",
        ),
        (
            container(
                json!({"name": "main", "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "configmap \"c\" not found"}}}),
            ),
            "CreateContainerConfigError",
            "configuration",
        ),
        (
            pod(
                json!({}),
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "message": "0/3 nodes are available: 3 Insufficient cpu."}]}),
            ),
            "Unschedulable",
            "enough CPU",
        ),
        (
            pod(
                json!({}),
                json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False",
                "lastTransitionTime": "2026-11-23T05:50:00Z"}]}),
            ),
            "NotReady",
            "not ready",
        ),
    ];
    for (pod, reason, cause) in cases {
        let world = World { pods: vec![pod.clone(), pod], ..World::default() };
        let problem = only(&world);
        assert_eq!(problem.reason, reason);
        assert!(problem.cause.contains(cause), "{}", problem.cause);
        assert_eq!(
            (problem.kind.as_str(), problem.name.as_str(), problem.count),
            ("Deployment", "web", 2)
        );
        assert!(!problem.advice.is_empty());
        let zh = diagnose(&world, teller(Lang::Zh));
        assert!(zh[0].cause.chars().any(|c| c > '\u{3000}'), "{}", zh[0].cause);
    }
}

#[test]
fn healthy_things_are_no_problem() {
    let running = container(json!({"name": "main", "restartCount": 0, "state": {"running": {}}}));
    let done = pod(json!({}), json!({"phase": "Succeeded"}));
    let node = json!({"kind": "Node", "metadata": {"name": "n"}, "status": {"conditions": [
        {"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]}});
    let world = World { pods: vec![running, done], nodes: vec![node], ..World::default() };
    assert_eq!(diagnose(&world, teller(Lang::En)), []);
}

#[test]
fn other_objects_tell_what_is_wrong() {
    let meta = |kind: &str, rest: Value| {
        let mut object =
            json!({"kind": kind, "metadata": {"name": "x", "namespace": "a", "generation": 1}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"status": {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}});
    let deployment = meta(
        "Deployment",
        condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: q"),
    );
    assert_eq!(
        only(&World { workloads: vec![deployment], ..World::default() }).reason,
        "QuotaExceeded"
    );
    let node = meta("Node", condition("Ready", "Unknown", "NodeStatusUnknown", "gone"));
    assert_eq!(only(&World { nodes: vec![node], ..World::default() }).reason, "NodeNotReady");
    let claim = meta("PersistentVolumeClaim", json!({"status": {"phase": "Pending"}}));
    assert_eq!(only(&World { claims: vec![claim], ..World::default() }).reason, "VolumePending");
    let quota = meta(
        "ResourceQuota",
        json!({"status": {"hard": {"pods": "10", "cpu": "4"}, "used": {"pods": "10", "cpu": "1"}}}),
    );
    let full = only(&World { quotas: vec![quota], ..World::default() });
    assert_eq!((full.reason.as_str(), full.severity), ("Quota:pods", Severity::Warning));
    let service = meta("Service", json!({"spec": {"selector": {"app": "web"}}}));
    let world = World {
        services: vec![service],
        pods: vec![pod(json!({}), json!({"phase": "Running"}))],
        ..World::default()
    };
    assert_eq!(only(&world).reason, "NoEndpoints");
}

#[test]
fn the_worst_comes_first() {
    let broken = container(
        json!({"name": "main", "image": "x", "state": {"waiting": {"reason": "ErrImagePull"}}}),
    );
    let node = json!({"kind": "Node", "metadata": {"name": "n"}, "spec": {"unschedulable": true}});
    let world = World { pods: vec![broken], nodes: vec![node], ..World::default() };
    let found = diagnose(&world, teller(Lang::En));
    assert_eq!(
        found.iter().map(|p| p.reason.as_str()).collect::<Vec<_>>(),
        ["ImagePullBackOff", "Cordoned"]
    );
}
