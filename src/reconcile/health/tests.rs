//! A table of objects and how they are.

use serde_json::json;

use super::*;

fn deployment_with(status: Value) -> Value {
    json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status})
}

#[test]
fn table() {
    use Health::{Degraded, Healthy, Progressing};
    let done = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3});
    let with = |key: &str, value: Value| {
        let mut status = done.clone();
        status[key] = value;
        deployment_with(status)
    };
    let exceeded = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}]);
    let quota = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]);
    let stateful = |ready: u64, updated: u64, partition: u64| {
        json!({"kind": "StatefulSet", "metadata": {"generation": 1},
            "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": partition}}},
            "status": {"observedGeneration": 1, "readyReplicas": ready, "updatedReplicas": updated, "replicas": 3,
                "currentRevision": "a", "updateRevision": "b"}})
    };
    let conditions = |kind: &str, entry: &str, status: &str| json!({"kind": kind, "status": {"conditions": [{"type": entry, "status": status, "reason": "r", "message": "m"}]}});
    let table = [
        (with("x", json!(1)), Healthy, ""),
        (with("observedGeneration", json!(1)), Progressing, "not seen"),
        (json!({"kind": "Deployment", "spec": {"replicas": 0}}), Progressing, "not seen"),
        (with("updatedReplicas", json!(1)), Progressing, "1 of 3 pods updated"),
        (with("replicas", json!(4)), Progressing, "1 old pods"),
        (with("availableReplicas", json!(2)), Progressing, "2 of 3 pods available"),
        (with("conditions", exceeded), Degraded, "does not progress"),
        (with("conditions", quota), Degraded, "exceeded quota"),
        (stateful(3, 3, 0), Healthy, ""),
        (stateful(2, 3, 0), Progressing, "2 of 3 pods ready"),
        (stateful(3, 1, 0), Progressing, "1 of 3 pods updated"),
        (stateful(3, 1, 2), Healthy, ""),
        (json!({"kind": "Job"}), Progressing, "running"),
        (conditions("Job", "Complete", "True"), Healthy, ""),
        (conditions("Job", "Failed", "True"), Degraded, "r: m"),
        (json!({"kind": "ConfigMap"}), Healthy, ""),
        (
            json!({"kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}}),
            Progressing,
            "volume",
        ),
        (json!({"kind": "Service", "spec": {"type": "LoadBalancer"}}), Progressing, "address"),
        (json!({"kind": "Service", "spec": {"type": "ClusterIP"}}), Healthy, ""),
        (conditions("Certificate", "Ready", "False"), Progressing, "r: m"),
        (conditions("Certificate", "Stalled", "True"), Degraded, "m"),
        (
            json!({"kind": "ConfigMap", "metadata": {"deletionTimestamp": "x"}}),
            Progressing,
            "deleted",
        ),
    ];
    for (object, health, text) in table {
        let (found, why) = assess(&object, &[]);
        assert_eq!(found, health, "{object}");
        assert!(why.contains(text), "{why:?} of {object}");
    }
}

#[test]
fn failing_pods_are_told_early() {
    let waiting = |reason: &str, restarts: u64| {
        json!({"metadata": {"name": "web-1"}, "status": {"containerStatuses": [
            {"name": "app", "restartCount": restarts, "state": {"waiting": {"reason": reason, "message": "no such tag"}}}]}})
    };
    let rolling = deployment_with(json!({"observedGeneration": 2, "updatedReplicas": 1}));
    for (pod, health) in [
        (waiting("ImagePullBackOff", 0), Health::Degraded),
        (waiting("ContainerCreating", 0), Health::Progressing),
        (waiting("CrashLoopBackOff", 1), Health::Progressing),
        (waiting("CrashLoopBackOff", 3), Health::Degraded),
    ] {
        let (found, why) = assess(&rolling, &[&pod]);
        assert_eq!(found, health, "{pod}");
        assert!(health != Health::Degraded || why.contains("no such tag"), "{why}");
    }
    let done = deployment_with(
        json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}),
    );
    assert_eq!(assess(&done, &[&waiting("ImagePullBackOff", 0)]).0, Health::Healthy);
}
