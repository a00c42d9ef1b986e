//! What exists: the names an operator can mean, from git and from the live cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ObjectRef;

/// Annotation with other names that people use for the object, separated by commas.
const ALIASES_ANNOTATION: &str = "kubemate.io/aliases";

/// Labels whose value people use as a name.
const ALIASES: [&str; 4] =
    ["app.kubernetes.io/name", "app.kubernetes.io/instance", "app", "k8s-app"];

/// The names that requests are grounded in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Live namespaces, and those git declares.
    pub namespaces: Vec<String>,
    /// Environments of the units in git: `prod`, `staging`.
    pub environments: Vec<String>,
    /// Every scalable or runnable object.
    pub workloads: Vec<Workload>,
    /// Other objects that can be described: services, config maps, ingresses, nodes, ...
    pub others: Vec<ObjectRef>,
}

/// A Deployment, `StatefulSet`, `DaemonSet`, Job or `CronJob`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Which object.
    pub object: ObjectRef,
    /// The environment of the unit that declares it, when git declares it.
    pub environment: Option<String>,
    /// The unit in git that declares it; `None` means it is only live and cannot be changed by commit.
    pub unit: Option<String>,
    /// Desired replicas, where the kind has them.
    pub replicas: Option<u32>,
    /// Containers of the pod template.
    pub containers: Vec<ContainerInfo>,
    /// Names the object is also known by (`app.kubernetes.io/name`, `app`, annotations).
    pub aliases: Vec<String>,
}

/// One container of a pod template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerInfo {
    /// Container name.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// Names of the literal environment variables.
    pub env: Vec<String>,
    /// Requests by resource, as declared.
    #[serde(default)]
    pub requests: BTreeMap<String, String>,
    /// Limits by resource, as declared.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
}

impl Workload {
    /// Reads a workload out of a manifest or live object, with no environment and no unit; `None` for any other kind.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let object = ObjectRef::of(value)?;
        let template = match object.kind.as_str() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => "/spec/template",
            "CronJob" => "/spec/jobTemplate/spec/template",
            _ => return None,
        };
        let scalable = matches!(object.kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet");
        let replicas = scalable.then(|| {
            let number = value.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
            u32::try_from(number).unwrap_or(u32::MAX)
        });
        let containers = value.pointer(template).and_then(|t| t.pointer("/spec/containers"));
        let labels = value.pointer("/metadata/labels");
        let annotated = value
            .pointer("/metadata/annotations")
            .and_then(|all| all.get(ALIASES_ANNOTATION)?.as_str());
        let aliases: BTreeSet<String> = ALIASES
            .iter()
            .filter_map(|label| labels?.get(label)?.as_str())
            .chain(annotated.into_iter().flat_map(|names| names.split(',').map(str::trim)))
            .filter(|alias| !alias.is_empty())
            .filter(|alias| *alias != object.name)
            .map(str::to_owned)
            .collect();
        Some(Self {
            environment: None,
            unit: None,
            replicas,
            containers: list(containers).filter_map(ContainerInfo::of).collect(),
            aliases: aliases.into_iter().collect(),
            object,
        })
    }
}

impl ContainerInfo {
    fn of(container: &Value) -> Option<Self> {
        let literal = list(container.get("env")).filter(|v| v.get("valueFrom").is_none());
        Some(Self {
            name: container.get("name")?.as_str()?.to_owned(),
            image: container.get("image").and_then(Value::as_str).unwrap_or_default().to_owned(),
            env: literal.filter_map(|v| v.get("name")?.as_str()).map(str::to_owned).collect(),
            requests: amounts(container.pointer("/resources/requests")),
            limits: amounts(container.pointer("/resources/limits")),
        })
    }
}

/// Quantities may be written as numbers.
fn amounts(value: Option<&Value>) -> BTreeMap<String, String> {
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.map(|(key, value)| match value {
        Value::String(text) => (key.clone(), text.clone()),
        other => (key.clone(), other.to_string()),
    })
    .collect()
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_the_annotation_give_other_names() {
        let workload = Workload::of(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "ledger", "labels": {"app": "books", "app.kubernetes.io/name": "ledger"},
                "annotations": {"kubemate.io/aliases": "总账, general ledger,"}},
        }))
        .expect("a workload");
        assert_eq!(workload.aliases, ["books", "general ledger", "总账"]);
    }
}
