//! Server-side tables: the columns that `kubectl get` prints.

mod cells;
mod pods;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::cells::age;
use super::{kinds::Resource, request::Query};

/// Makes the cells of one object.
type Cells = fn(&Value, Timestamp) -> Vec<Value>;

/// The columns of a kind after `Name`; those that start with `+` show with `-o wide` only.
pub(super) struct Columns {
    resource: &'static str,
    names: &'static [&'static str],
    cells: Cells,
}

const KINDS: &[Columns] = &[
    pods::COLUMNS,
    Columns {
        resource: "deployments.apps",
        names: &["Ready", "Up-to-date", "Available", "Age", "+Containers", "+Images", "+Selector"],
        cells: workloads::deployment,
    },
    Columns {
        resource: "replicasets.apps",
        names: &["Desired", "Current", "Ready", "Age", "+Containers", "+Images", "+Selector"],
        cells: workloads::replica_set,
    },
    Columns {
        resource: "replicationcontrollers",
        names: &["Desired", "Current", "Ready", "Age", "+Containers", "+Images", "+Selector"],
        cells: workloads::replica_set,
    },
    Columns {
        resource: "statefulsets.apps",
        names: &["Ready", "Age", "+Containers", "+Images"],
        cells: workloads::stateful_set,
    },
    Columns {
        resource: "daemonsets.apps",
        names: &[
            "Desired",
            "Current",
            "Ready",
            "Up-to-date",
            "Available",
            "Node Selector",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ],
        cells: workloads::daemon_set,
    },
    Columns {
        resource: "jobs.batch",
        names: &["Status", "Completions", "Duration", "Age", "+Containers", "+Images", "+Selector"],
        cells: workloads::job,
    },
    Columns {
        resource: "cronjobs.batch",
        names: &[
            "Schedule",
            "Timezone",
            "Suspend",
            "Active",
            "Last Schedule",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ],
        cells: workloads::cron_job,
    },
    Columns {
        resource: "services",
        names: &["Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"],
        cells: cells::service,
    },
    Columns {
        resource: "nodes",
        names: &[
            "Status",
            "Roles",
            "Age",
            "Version",
            "+Internal-IP",
            "+External-IP",
            "+OS-Image",
            "+Kernel-Version",
            "+Container-Runtime",
        ],
        cells: cells::node,
    },
    Columns { resource: "namespaces", names: &["Status", "Age"], cells: cells::namespace },
    Columns { resource: "configmaps", names: &["Data", "Age"], cells: cells::config_map },
    Columns { resource: "secrets", names: &["Type", "Data", "Age"], cells: cells::secret },
    Columns { resource: "serviceaccounts", names: &["Age"], cells: cells::only_age },
    Columns {
        resource: "events",
        names: &[
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "+Subobject",
            "+Source",
            "Message",
            "+First Seen",
            "+Count",
            "+Name",
        ],
        cells: cells::event,
    },
    Columns { resource: "endpoints", names: &["Endpoints", "Age"], cells: cells::endpoints },
    Columns {
        resource: "endpointslices.discovery.k8s.io",
        names: &["AddressType", "Ports", "Endpoints", "Age"],
        cells: cells::endpoint_slice,
    },
    Columns {
        resource: "ingresses.networking.k8s.io",
        names: &["Class", "Hosts", "Address", "Ports", "Age"],
        cells: cells::ingress,
    },
    Columns {
        resource: "networkpolicies.networking.k8s.io",
        names: &["Pod-Selector", "Age"],
        cells: cells::network_policy,
    },
    Columns {
        resource: "horizontalpodautoscalers.autoscaling",
        names: &["Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"],
        cells: workloads::autoscaler,
    },
    Columns {
        resource: "poddisruptionbudgets.policy",
        names: &["Min Available", "Max Unavailable", "Allowed Disruptions", "Age"],
        cells: workloads::disruption_budget,
    },
    Columns {
        resource: "persistentvolumeclaims",
        names: &[
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "+VolumeMode",
        ],
        cells: cells::volume_claim,
    },
    Columns {
        resource: "persistentvolumes",
        names: &[
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "VolumeAttributesClass",
            "Reason",
            "Age",
            "+VolumeMode",
        ],
        cells: cells::volume,
    },
    Columns {
        resource: "storageclasses.storage.k8s.io",
        names: &[
            "Provisioner",
            "ReclaimPolicy",
            "VolumeBindingMode",
            "AllowVolumeExpansion",
            "Age",
        ],
        cells: cells::storage_class,
    },
    Columns {
        resource: "leases.coordination.k8s.io",
        names: &["Holder", "Age"],
        cells: cells::lease,
    },
    Columns {
        resource: "resourcequotas",
        names: &["Request", "Limit", "Age"],
        cells: cells::quota,
    },
    Columns { resource: "limitranges", names: &["Created At"], cells: cells::created_at },
    Columns {
        resource: "roles.rbac.authorization.k8s.io",
        names: &["Created At"],
        cells: cells::created_at,
    },
    Columns {
        resource: "clusterroles.rbac.authorization.k8s.io",
        names: &["Created At"],
        cells: cells::created_at,
    },
    Columns {
        resource: "rolebindings.rbac.authorization.k8s.io",
        names: &["Role", "Age", "+Users", "+Groups", "+ServiceAccounts"],
        cells: cells::role_binding,
    },
    Columns {
        resource: "clusterrolebindings.rbac.authorization.k8s.io",
        names: &["Role", "Age", "+Users", "+Groups", "+ServiceAccounts"],
        cells: cells::role_binding,
    },
    Columns {
        resource: "customresourcedefinitions.apiextensions.k8s.io",
        names: &["Created At"],
        cells: cells::created_at,
    },
    Columns {
        resource: "priorityclasses.scheduling.k8s.io",
        names: &["Value", "Global-Default", "Age", "PreemptionPolicy"],
        cells: cells::priority_class,
    },
];

/// Kinds whose names nobody reads, so that their tables do not start with it.
const NAMELESS: &[&str] = &["events"];

/// A `Table` of objects.
pub(super) fn table<'a>(
    resource: &Resource,
    query: &Query,
    objects: impl Iterator<Item = &'a Value>,
    now: Timestamp,
) -> Value {
    let include = query.get("includeObject").unwrap_or("Metadata");
    let key = resource.storage_key();
    let known = KINDS.iter().find(|c| c.resource == key);
    let nameless = NAMELESS.contains(&key.as_str());
    let mut rows = Vec::new();
    let mut revision = json!("");
    for object in objects {
        let mut cells = Vec::new();
        if !nameless {
            cells.push(object["metadata"]["name"].clone());
        }
        match known {
            Some(columns) => cells.extend((columns.cells)(object, now)),
            None if !resource.columns.is_empty() => {
                cells
                    .extend(resource.columns.iter().map(|column| custom_cell(column, object, now)));
            }
            None => cells.push(age(object, now)),
        }
        let shown = match include {
            "Object" => object.clone(),
            "None" => Value::Null,
            _ => super::read::metadata_only(object),
        };
        revision = object["metadata"]["resourceVersion"].clone();
        rows.push(json!({"cells": cells, "object": shown}));
    }
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision},
        "columnDefinitions": definitions(resource, known), "rows": rows})
}

fn definitions(resource: &Resource, known: Option<&Columns>) -> Vec<Value> {
    let column = |name: &str, kind: &str, format: &str, wide: bool| json!({"name": name, "type": kind, "format": format, "description": "", "priority": i32::from(wide)});
    let mut all = Vec::new();
    if !NAMELESS.contains(&resource.storage_key().as_str()) {
        all.push(column("Name", "string", "name", false));
    }
    match known {
        Some(columns) => all.extend(columns.names.iter().map(|name| {
            let plain = name.trim_start_matches('+');
            column(plain, "string", "", plain.len() != name.len())
        })),
        None if !resource.columns.is_empty() => all.extend(resource.columns.iter().map(|c| {
            let text = |key: &str| c[key].as_str().unwrap_or_default();
            let wide = c["priority"].as_i64().unwrap_or(0) > 0;
            column(text("name"), text("type"), text("format"), wide)
        })),
        None => all.push(column("Age", "string", "", false)),
    }
    all
}

/// A column of a custom resource: a simple JSON path, times as ages.
fn custom_cell(column: &Value, object: &Value, now: Timestamp) -> Value {
    let path = column["jsonPath"].as_str().unwrap_or_default();
    let found = json_path(object, path);
    match (column["type"].as_str(), found) {
        (_, None) => Value::Null,
        (Some("date"), Some(value)) => {
            value.as_str().map_or(Value::Null, |at| cells::since(at, now).into())
        }
        (Some("string"), Some(Value::String(text))) => json!(text),
        (Some("string"), Some(value)) => value.to_string().into(),
        (_, Some(value)) => value.clone(),
    }
}

/// `.a.b`, `.a['b.c']`, `.a[0]`, `.a[?(@.type=="Ready")].status`: what printer columns use.
fn json_path<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end > 0 {
                value = value.get(&after[..end])?;
            }
            rest = &after[end..];
            continue;
        }
        let inside = rest.strip_prefix('[')?;
        let end = inside.find(']')?;
        let step = &inside[..end];
        rest = &inside[end + 1..];
        value = if let Some(filter) = step.strip_prefix("?(@.").and_then(|s| s.strip_suffix(')')) {
            let (key, wanted) = filter.split_once("==")?;
            let wanted = wanted.trim().trim_matches(['"', '\'']);
            value.as_array()?.iter().find(|item| item[key.trim()] == wanted)?
        } else if let Ok(index) = step.parse::<usize>() {
            value.get(index)?
        } else {
            value.get(step.trim_matches(['"', '\'']))?
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printer_columns_reach_into_objects() {
        let object = json!({"spec": {"a.b": 1, "list": [{"type": "Ready", "status": "True"}]}});
        for (path, want) in [
            (".spec['a.b']", Some(json!(1))),
            (".spec.list[0].type", Some(json!("Ready"))),
            (".spec.list[?(@.type==\"Ready\")].status", Some(json!("True"))),
            (".spec.missing", None),
        ] {
            assert_eq!(json_path(&object, path).cloned(), want, "{path}");
        }
    }
}
