//! The cluster at a glance, from lists of live objects.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    cluster::{Selection, View},
    domain::{
        Health, Inventory, ObjectRef,
        overview::{NamespaceOverview, NodeOverview, Overview, WorkloadOverview},
    },
    reconcile::assess,
};

/// Live objects as one operator may list them.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) namespaces: Vec<Value>,
    /// Deployments, stateful sets, daemon sets, jobs, cron jobs.
    pub(super) workloads: Vec<Value>,
    pub(super) pods: Vec<Value>,
    pub(super) nodes: Vec<Value>,
}

/// Reads the lists; what the operator may not list stays empty.
pub(super) async fn read(view: &View) -> Lists {
    let list = |kind: &'static str| async move {
        match view.list_named(kind, &Selection::default()).await {
            Ok(listed) => listed.items,
            Err(error) => {
                tracing::debug!(%kind, %error, "listing for the overview");
                Vec::new()
            }
        }
    };
    let (namespaces, pods, nodes, deployments, stateful, daemons, jobs, cron) = tokio::join!(
        list("namespaces"),
        list("pods"),
        list("nodes"),
        list("deployments.apps"),
        list("statefulsets.apps"),
        list("daemonsets.apps"),
        list("jobs.batch"),
        list("cronjobs.batch"),
    );
    let workloads = [deployments, stateful, daemons, jobs, cron].concat();
    Lists { namespaces, workloads, pods, nodes }
}

/// Puts the lists together; `inventory` tells which workloads git declares.
pub(super) fn overview(lists: &Lists, inventory: &Inventory, at: jiff::Timestamp) -> Overview {
    let pods = pods_by_owner(&lists.pods);
    let mut workloads: Vec<WorkloadOverview> = lists
        .workloads
        .iter()
        // what a cron job or another controller made is shown with its owner
        .filter(|object| object.pointer("/metadata/ownerReferences/0").is_none())
        .filter_map(|object| workload(object, &pods, inventory))
        .collect();
    workloads.sort_by(|a, b| {
        (&a.object.namespace, &a.object.name).cmp(&(&b.object.namespace, &b.object.name))
    });
    let mut namespaces: Vec<NamespaceOverview> =
        lists.namespaces.iter().map(|object| namespace(object, &workloads, inventory)).collect();
    namespaces.sort_by(|a, b| a.name.cmp(&b.name));
    let mut nodes: Vec<NodeOverview> =
        lists.nodes.iter().map(|object| node(object, &lists.pods)).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Overview { at, namespaces, workloads, nodes }
}

type PodsByOwner<'a> = BTreeMap<(String, String), Vec<&'a Value>>;

/// Pods by namespace and the name of the workload they belong to: their owner, less the hash a replica set's name ends with.
fn pods_by_owner(pods: &[Value]) -> PodsByOwner<'_> {
    let mut by_owner = PodsByOwner::new();
    for pod in pods {
        let owner = text(pod, "/metadata/ownerReferences/0/name");
        let hash = text(pod, "/metadata/labels/pod-template-hash");
        let workload = owner.strip_suffix(hash).and_then(|name| name.strip_suffix('-'));
        let name = if hash.is_empty() { owner } else { workload.unwrap_or(owner) };
        let key = (text(pod, "/metadata/namespace").to_owned(), name.to_owned());
        by_owner.entry(key).or_default().push(pod);
    }
    by_owner
}

fn workload(
    object: &Value,
    pods: &PodsByOwner<'_>,
    inventory: &Inventory,
) -> Option<WorkloadOverview> {
    let reference = ObjectRef::of(object)?;
    let key = (reference.namespace.clone().unwrap_or_default(), reference.name.clone());
    let own: &[&Value] = pods.get(&key).map_or(&[], Vec::as_slice);
    let (health, why) = assess(object, own);
    let declared = inventory.workloads.iter().find(|workload| workload.object == reference);
    let containers =
        ["/spec/template/spec/containers", "/spec/jobTemplate/spec/template/spec/containers"]
            .iter()
            .find_map(|path| object.pointer(path)?.as_array());
    let images = containers.into_iter().flatten().map(|c| text(c, "/image").to_owned()).collect();
    let (desired, ready) = match reference.kind.as_str() {
        "DaemonSet" => (
            number(object, "/status/desiredNumberScheduled"),
            number(object, "/status/numberReady"),
        ),
        "Job" => (number(object, "/spec/completions"), number(object, "/status/succeeded")),
        "CronJob" => (None, None),
        _ => (number(object, "/spec/replicas"), number(object, "/status/readyReplicas")),
    };
    Some(WorkloadOverview {
        desired,
        ready: ready.unwrap_or(0),
        health,
        message: (health != Health::Healthy && !why.is_empty()).then_some(why),
        images,
        created: text(object, "/metadata/creationTimestamp").parse().ok(),
        unit: declared.and_then(|workload| workload.unit.clone()),
        object: reference,
    })
}

fn namespace(
    object: &Value,
    workloads: &[WorkloadOverview],
    inventory: &Inventory,
) -> NamespaceOverview {
    let name = text(object, "/metadata/name").to_owned();
    let here = |object: &ObjectRef| object.namespace.as_deref() == Some(name.as_str());
    let health = workloads.iter().filter(|w| here(&w.object)).map(|w| w.health).max();
    let declared = inventory.workloads.iter().filter(|w| here(&w.object));
    NamespaceOverview {
        environment: declared.filter_map(|workload| workload.environment.clone()).next(),
        phase: text(object, "/status/phase").to_owned(),
        health: health.unwrap_or(Health::Healthy),
        name,
    }
}

fn node(object: &Value, pods: &[Value]) -> NodeOverview {
    let name = text(object, "/metadata/name");
    let ready = object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().find(|condition| text(condition, "/type") == "Ready"));
    let cordoned = object.pointer("/spec/unschedulable") == Some(&Value::Bool(true));
    let (health, message) = match ready.map(|condition| text(condition, "/status")) {
        Some("True") if cordoned => (Health::Progressing, Some("cordoned".to_owned())),
        Some("True") => (Health::Healthy, None),
        Some(_) => (Health::Degraded, ready.map(|c| text(c, "/message").to_owned())),
        None => (Health::Unknown, None),
    };
    let running: Vec<&Value> = pods
        .iter()
        .filter(|pod| text(pod, "/spec/nodeName") == name)
        .filter(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"))
        .collect();
    let requested = |resource: &str| -> f64 {
        let containers =
            running.iter().filter_map(|pod| pod.pointer("/spec/containers")?.as_array());
        containers
            .flatten()
            .map(|c| quantity(text(c, &format!("/resources/requests/{resource}"))))
            .sum()
    };
    let allocatable =
        |resource: &str| quantity(text(object, &format!("/status/allocatable/{resource}")));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes are positive and far below 2^63"
    )]
    let whole = |value: f64| value.round() as u64;
    NodeOverview {
        name: name.to_owned(),
        health,
        message,
        version: Some(text(object, "/status/nodeInfo/kubeletVersion").to_owned())
            .filter(|v| !v.is_empty()),
        pods: u32::try_from(running.len()).unwrap_or(u32::MAX),
        cpu: (whole(requested("cpu") * 1000.0), whole(allocatable("cpu") * 1000.0)),
        memory: (whole(requested("memory")), whole(allocatable("memory"))),
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> Option<u32> {
    object.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
}

/// A Kubernetes quantity as a number (cores, bytes); what is not one counts as nothing.
fn quantity(text: &str) -> f64 {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor = match suffix {
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    number.parse::<f64>().unwrap_or(0.0) * factor
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn workloads_nodes_and_namespaces_are_put_together() {
        let lists = Lists {
            namespaces: vec![json!({"metadata": {"name": "pay"}, "status": {"phase": "Active"}})],
            workloads: vec![json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"namespace": "pay", "name": "ledger", "generation": 1},
                "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "a", "image": "ledger:1"}]}}},
                "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2},
            })],
            pods: vec![json!({
                "metadata": {"namespace": "pay", "name": "ledger-abc-1", "labels": {"pod-template-hash": "abc"},
                    "ownerReferences": [{"name": "ledger-abc"}]},
                "spec": {"nodeName": "n1", "containers": [{"resources": {"requests": {"cpu": "250m", "memory": "1Gi"}}}]},
                "status": {"phase": "Running"},
            })],
            nodes: vec![json!({
                "metadata": {"name": "n1"},
                "status": {"allocatable": {"cpu": "4", "memory": "8Gi"}, "conditions": [{"type": "Ready", "status": "True"}]},
            })],
        };
        let seen = overview(&lists, &Inventory::default(), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(seen.workloads[0].health, Health::Healthy, "{:?}", seen.workloads[0].message);
        assert_eq!((seen.workloads[0].desired, seen.workloads[0].ready), (Some(2), 2));
        assert_eq!(seen.nodes[0].cpu, (250, 4000));
        assert_eq!(seen.nodes[0].memory.0, 1 << 30);
        assert_eq!(seen.nodes[0].pods, 1);
        assert_eq!(seen.namespaces[0].health, Health::Healthy);
    }
}
