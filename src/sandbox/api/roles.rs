//! The roles that every cluster has: `cluster-admin`, `admin`, `edit`, `view`, and what everybody may do.

use serde_json::{Value, json};

use super::ApiError;
use crate::sandbox::storage::Storage;

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// What people who work in a namespace look at, by group. Secrets are not among it.
fn visible() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        (
            "",
            vec![
                "configmaps",
                "endpoints",
                "events",
                "limitranges",
                "persistentvolumeclaims",
                "pods",
                "pods/log",
                "pods/status",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "resourcequotas",
                "serviceaccounts",
                "services",
                "namespaces",
            ],
        ),
        (
            "apps",
            vec![
                "controllerrevisions",
                "daemonsets",
                "deployments",
                "deployments/scale",
                "replicasets",
                "replicasets/scale",
                "statefulsets",
                "statefulsets/scale",
                "daemonsets/status",
                "deployments/status",
                "replicasets/status",
                "statefulsets/status",
            ],
        ),
        ("batch", vec!["cronjobs", "jobs", "cronjobs/status", "jobs/status"]),
        ("autoscaling", vec!["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
        ("networking.k8s.io", vec!["ingresses", "networkpolicies", "ingresses/status"]),
        ("policy", vec!["poddisruptionbudgets", "poddisruptionbudgets/status"]),
        ("discovery.k8s.io", vec!["endpointslices"]),
        ("events.k8s.io", vec!["events"]),
        ("metrics.k8s.io", vec!["pods", "nodes"]),
    ]
}

/// What they change.
fn editable() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        (
            "",
            vec![
                "configmaps",
                "events",
                "persistentvolumeclaims",
                "pods",
                "pods/eviction",
                "secrets",
                "serviceaccounts",
                "services",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "serviceaccounts/token",
            ],
        ),
        (
            "apps",
            vec![
                "daemonsets",
                "deployments",
                "deployments/scale",
                "replicasets",
                "replicasets/scale",
                "statefulsets",
                "statefulsets/scale",
            ],
        ),
        ("batch", vec!["cronjobs", "jobs"]),
        ("autoscaling", vec!["horizontalpodautoscalers"]),
        ("networking.k8s.io", vec!["ingresses", "networkpolicies"]),
        ("policy", vec!["poddisruptionbudgets"]),
        ("coordination.k8s.io", vec!["leases"]),
    ]
}

fn rules(resources: Vec<(&str, Vec<&str>)>, verbs: &[&str]) -> Vec<Value> {
    let rule = |(group, resources): (&str, Vec<&str>)| json!({"verbs": verbs, "apiGroups": [group], "resources": resources});
    resources.into_iter().map(rule).collect()
}

/// Creates the roles and bindings that are missing.
pub(super) fn fill(storage: &Storage) {
    for (plural, object) in objects() {
        match storage.create(&format!("{plural}.rbac.authorization.k8s.io"), object) {
            Ok(_) => {}
            Err(ApiError { reason: "AlreadyExists", .. }) => {}
            Err(error) => tracing::warn!(%error, "adding a default role to the sandbox"),
        }
    }
}

fn objects() -> Vec<(&'static str, Value)> {
    let secrets = || vec![("", vec!["secrets"]), ("coordination.k8s.io", vec!["leases"])];
    let mut edit = rules(editable(), &WRITE);
    edit.extend(rules(secrets(), &READ));
    edit.push(
        json!({"verbs": ["impersonate"], "apiGroups": [""], "resources": ["serviceaccounts"]}),
    );
    let all: Vec<&str> = READ.iter().chain(&WRITE).copied().collect();
    let delegated = vec![("rbac.authorization.k8s.io", vec!["roles", "rolebindings"])];
    let everything = vec![
        json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
        json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
    ];
    let paths = |list: &[&str]| vec![json!({"verbs": ["get"], "nonResourceURLs": list})];
    let health = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let discovery = [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    let own = vec![
        json!({"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]}),
        json!({"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}),
    ];
    vec![
        ("clusterroles", role("cluster-admin", everything, None)),
        ("clusterroles", aggregate("admin")),
        ("clusterroles", aggregate("edit")),
        ("clusterroles", aggregate("view")),
        (
            "clusterroles",
            role(
                "system:aggregate-to-view",
                rules(visible(), &READ),
                Some(&["view", "edit", "admin"]),
            ),
        ),
        ("clusterroles", role("system:aggregate-to-edit", edit, Some(&["edit", "admin"]))),
        (
            "clusterroles",
            role("system:aggregate-to-admin", rules(delegated, &all), Some(&["admin"])),
        ),
        ("clusterroles", role("system:discovery", paths(&discovery), None)),
        ("clusterroles", role("system:public-info-viewer", paths(&health), None)),
        ("clusterroles", role("system:basic-user", own, None)),
        ("clusterrolebindings", binding("cluster-admin", &["system:masters"])),
        ("clusterrolebindings", binding("system:discovery", &["system:authenticated"])),
        ("clusterrolebindings", binding("system:basic-user", &["system:authenticated"])),
        (
            "clusterrolebindings",
            binding(
                "system:public-info-viewer",
                &["system:authenticated", "system:unauthenticated"],
            ),
        ),
    ]
}

fn metadata(name: &str) -> Value {
    json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}})
}

fn role(name: &str, rules: Vec<Value>, aggregate_to: Option<&[&str]>) -> Value {
    let mut role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": metadata(name), "rules": rules});
    for target in aggregate_to.unwrap_or_default() {
        role["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{target}")] =
            "true".into();
    }
    role
}

/// A role that gathers the rules of all roles labelled for it.
fn aggregate(name: &str) -> Value {
    let mut role = role(name, Vec::new(), None);
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
    role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    role
}

fn binding(role: &str, groups: &[&str]) -> Value {
    let subjects: Vec<Value> = groups
        .iter()
        .map(|g| json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": g}))
        .collect();
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": metadata(role),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": subjects})
}
