//! Namespaces: what each gets when it is made, and how its content goes when it is deleted.

use serde_json::{Value, json};

use super::{
    object::{Condition, Key, Object, is_deleting, items, name, set_condition},
    view::{Plan, View},
};

/// Keeps one namespace furnished, or empties it and lets it go.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    match view.at(key) {
        None => sweep(view, &key.name, &mut plan),
        Some(space) if is_deleting(&space) => empty(view, key, &space, &mut plan),
        Some(space) => furnish(view, &space, &mut plan),
    }
    plan
}

/// The default service account and the cluster's root certificate.
fn furnish(view: &View<'_>, space: &Value, plan: &mut Plan) {
    let metadata = |object: &str| json!({ "name": object, "namespace": name(space) });
    if view.get("serviceaccounts", name(space), "default").is_none() {
        plan.create(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("default"),
        }));
    }
    if view.get("configmaps", name(space), "kube-root-ca.crt").is_none() {
        plan.create(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata("kube-root-ca.crt"),
            "data": { "ca.crt": "" },
        }));
    }
}

/// Deletes what is left and, when nothing is, gives up the namespace's own finalizer.
fn empty(view: &View<'_>, key: &Key, space: &Object, plan: &mut Plan) {
    let mut remaining = vec![];
    for resource in view.storage.resources() {
        let objects = view.list_namespaced(&resource, &key.name);
        if objects.is_empty() {
            continue;
        }
        for object in objects.iter().filter(|object| !is_deleting(object)) {
            plan.delete(&resource, object);
        }
        if resource != "events" {
            remaining.push(format!("{resource} has {} resource instances", objects.len()));
        }
    }
    let mut after = (**space).clone();
    if remaining.is_empty() {
        let finalizers = items(space, "/spec/finalizers");
        let others: Vec<Value> =
            finalizers.iter().filter(|one| *one != "kubernetes").cloned().collect();
        after["spec"]["finalizers"] = others.into();
    } else {
        let message = format!("Some resources are remaining: {}", remaining.join(", "));
        let said =
            Condition::new("NamespaceContentRemaining", true, "SomeResourcesRemain", &message);
        let mut conditions = items(space, "/status/conditions").to_vec();
        set_condition(&mut conditions, said, view.now);
        after["status"]["conditions"] = conditions.into();
    }
    after["status"]["phase"] = "Terminating".into();
    plan.replace(key, space, after);
}

/// Nothing outlives its namespace: neither what was reported about its last objects nor what came in at the last moment.
fn sweep(view: &View<'_>, gone: &str, plan: &mut Plan) {
    for resource in view.storage.resources() {
        for object in view.list_namespaced(&resource, gone) {
            plan.delete(&resource, &object);
        }
    }
}
