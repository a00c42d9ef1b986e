//! Garbage collection by owner references: dependents follow their owners, before them, or are let go.

use serde_json::Value;

use super::{
    object::{Key, Object, is_deleting, items, namespace, text, uid},
    view::{Plan, View},
};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Looks at one object as an owner that is being deleted, and as a dependent.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(object) = view.at(key) else { return plan };
    if is_deleting(&object) {
        release_dependents(view, key, &object, &mut plan);
    } else {
        check_owners(view, key, &object, &mut plan);
    }
    plan
}

/// Serves the finalizers that a deletion with propagation has set.
fn release_dependents(view: &View<'_>, key: &Key, owner: &Object, plan: &mut Plan) {
    let finalizers = items(owner, "/metadata/finalizers");
    let has = |finalizer: &str| finalizers.iter().any(|one| one == finalizer);
    let dependents: Vec<(&Key, Object)> =
        view.index.owned(uid(owner)).filter_map(|key| Some((key, view.at(key)?))).collect();
    if has(ORPHAN) {
        for (dependent_key, dependent) in &dependents {
            let mut free = (**dependent).clone();
            keep_owners(&mut free, |one| text(one, "/uid") != uid(owner));
            plan.replace(dependent_key, dependent, free);
        }
        give_up(key, owner, ORPHAN, plan);
    } else if has(FOREGROUND) {
        let mut blocked = false;
        for (dependent_key, dependent) in &dependents {
            let owners = items(dependent, "/metadata/ownerReferences");
            let blocks =
                |one: &Value| text(one, "/uid") == uid(owner) && one["blockOwnerDeletion"] == true;
            blocked |= owners.iter().any(blocks);
            if !is_deleting(dependent) {
                plan.delete_in_foreground(&dependent_key.resource, dependent);
            }
        }
        if !blocked {
            give_up(key, owner, FOREGROUND, plan);
        }
    }
}

/// Removes one finalizer; without any left, the object goes.
fn give_up(key: &Key, object: &Object, finalizer: &str, plan: &mut Plan) {
    let mut after = (**object).clone();
    if let Some(all) = after["metadata"]["finalizers"].as_array_mut() {
        all.retain(|one| one != finalizer);
    }
    plan.replace(key, object, after);
}

/// An object all of whose owners are gone goes too; a reference to one that is gone is dropped.
fn check_owners(view: &View<'_>, key: &Key, object: &Object, plan: &mut Plan) {
    let owners = items(object, "/metadata/ownerReferences");
    let lives = |owner: &Value| {
        let resource = view.resource_for(text(owner, "/apiVersion"), text(owner, "/kind"));
        let found = view
            .get(&resource, namespace(object), text(owner, "/name"))
            .or_else(|| view.get(&resource, "", text(owner, "/name")));
        found.is_some_and(|found| uid(&found) == text(owner, "/uid"))
    };
    let living: Vec<bool> = owners.iter().map(lives).collect();
    if living.iter().all(|lives| *lives) {
        return;
    }
    if living.iter().any(|lives| *lives) {
        let mut after = (**object).clone();
        keep_owners(&mut after, lives);
        plan.replace(key, object, after);
    } else {
        plan.delete(&key.resource, object);
    }
}

fn keep_owners(object: &mut Value, keep: impl Fn(&Value) -> bool) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        owners.retain(keep);
        if owners.is_empty() {
            metadata.shift_remove("ownerReferences");
        }
    }
}
