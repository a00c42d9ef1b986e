//! The live names: workloads with their containers, namespaces, and what else can be described.

use futures::{FutureExt as _, StreamExt as _, stream};
use serde_json::Value;

use super::{ClusterError, Listed, Selection, View};
use crate::domain::{Inventory, ObjectRef, Workload};

/// Kinds whose objects run something.
const WORKLOADS: [&str; 5] =
    ["deployments.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch", "cronjobs.batch"];
/// Other kinds people ask about by name.
const OTHERS: [&str; 8] = [
    "nodes",
    "services",
    "configmaps",
    "persistentvolumeclaims",
    "ingresses.networking.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
];
/// Lists in flight at once.
const CONCURRENCY: usize = 8;

pub(super) async fn read(view: &View) -> Result<Inventory, ClusterError> {
    // asked first, and its failure counts: a cluster that is away must not look like an empty one
    let namespaces = view.list_named("namespaces", &Selection::default()).await?;
    let kinds = WORKLOADS.iter().chain(&OTHERS);
    // collected: a borrowing closure inside a stream would keep this future from being Send
    let asked: Vec<_> = kinds.map(|kind| names_of(view, kind).boxed()).collect();
    let lists: Vec<Listed> = stream::iter(asked).buffered(CONCURRENCY).collect().await;
    let objects: Vec<Value> = lists.into_iter().flat_map(|list| list.items).collect();
    Ok(inventory(&namespaces.items, &objects))
}

async fn names_of(view: &View, kind: &str) -> Listed {
    view.list_named(kind, &Selection::default()).await.unwrap_or_else(|error| {
        tracing::debug!(%kind, %error, "listing names");
        Listed::default()
    })
}

fn inventory(namespaces: &[Value], objects: &[Value]) -> Inventory {
    let name = |object: &Value| Some(object.pointer("/metadata/name")?.as_str()?.to_owned());
    let mut found = Inventory {
        namespaces: namespaces.iter().filter_map(name).collect(),
        ..Inventory::default()
    };
    for object in objects {
        // what a controller made is reached by its owner
        if object.pointer("/metadata/ownerReferences/0").is_some() {
            continue;
        }
        match Workload::of(object) {
            Some(workload) => found.workloads.push(workload),
            None => found.others.extend(ObjectRef::of(object)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn owned_objects_are_left_to_their_owners() {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "api", "namespace": "a", "labels": {"app": "backend", "app.kubernetes.io/name": "api"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [
                {"name": "main", "image": "x:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}]},
            ]}}},
        });
        let job = json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "nightly-1", "namespace": "a", "ownerReferences": [{"kind": "CronJob"}]}});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "a"}});
        let found = inventory(&[json!({"metadata": {"name": "a"}})], &[deployment, job, service]);
        assert_eq!(found.namespaces, ["a"]);
        assert_eq!(found.workloads.len(), 1);
        assert_eq!(found.workloads[0].aliases, ["backend"]);
        assert_eq!(found.workloads[0].replicas, Some(2));
        assert_eq!(found.workloads[0].containers[0].env, ["A"]);
        assert_eq!(found.others, [ObjectRef::new("v1", "Service", Some("a"), "api")]);
    }
}
