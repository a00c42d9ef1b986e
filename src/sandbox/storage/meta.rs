//! What the storage itself knows about `metadata`: identity, generation, deletion.

use serde_json::{Map, Value, json};

use super::{ApiError, Clock, DeleteOptions, Propagation};

/// Built-in kinds whose objects carry no `metadata.generation`.
const WITHOUT_GENERATION: &[&str] = &[
    "bindings",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "configmaps",
    "controllerrevisions.apps",
    "csinodes.storage.k8s.io",
    "endpoints",
    "events",
    "horizontalpodautoscalers.autoscaling",
    "leases.coordination.k8s.io",
    "limitranges",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "podtemplates",
    "resourcequotas",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "secrets",
    "serviceaccounts",
    "services",
    "storageclasses.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
];

/// A moment as Kubernetes writes it in `metav1.Time`: `2026-01-02T03:04:05Z`.
#[must_use]
pub fn time_text(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn name(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("name")?.as_str()
}

pub(super) fn namespace(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("namespace")?.as_str().filter(|ns| !ns.is_empty())
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("metadata")?.get(field)?.as_str()
}

fn field<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(field)
}

/// Sets a field of `metadata`, making the latter when it is missing.
pub(super) fn set(object: &mut Value, field: &str, value: Value) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata[field] = value;
}

/// Gives a new object its identity.
pub(super) fn stamp_new(resource: &str, object: &mut Value, clock: &Clock) {
    set(object, "uid", new_uid().into());
    set(object, "creationTimestamp", time_text(clock.now()).into());
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("generation");
        metadata.shift_remove("deletionTimestamp");
        metadata.shift_remove("deletionGracePeriodSeconds");
    }
    if !WITHOUT_GENERATION.contains(&resource) {
        set(object, "generation", 1.into());
    }
}

fn new_uid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Undoes changes to what only the storage may change.
pub(super) fn keep_identity(old: &Value, new: &mut Value) {
    const KEPT: [&str; 8] = [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    for name in KEPT {
        match field(old, name) {
            Some(value) if field(new, name) != Some(value) => set(new, name, value.clone()),
            None if field(new, name).is_some() => {
                if let Some(metadata) = new["metadata"].as_object_mut() {
                    metadata.shift_remove(name);
                }
            }
            _ => {}
        }
    }
}

/// Raises `generation` when something outside metadata and status differs.
pub(super) fn bump_generation(old: &Value, new: &mut Value) {
    let Some(generation) = field(old, "generation").and_then(Value::as_i64) else { return };
    let counts = |key: &str| !matches!(key, "metadata" | "status" | "apiVersion" | "kind");
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else { return };
    let changed = after.iter().any(|(key, value)| counts(key) && before.get(key) != Some(value))
        || before.keys().any(|key| counts(key) && !after.contains_key(key));
    if changed {
        set(new, "generation", (generation + 1).into());
    }
}

/// Whether an object that is marked as deleted has nothing left to wait for.
pub(super) fn is_finished(resource: &str, object: &Value) -> bool {
    let empty = |list: Option<&Value>| list.and_then(Value::as_array).is_none_or(Vec::is_empty);
    let grace = field(object, "deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    text(object, "deletionTimestamp").is_some()
        && empty(field(object, "finalizers"))
        && grace == 0
        && (resource != "namespaces" || empty(object.pointer("/spec/finalizers")))
}

pub(super) fn check_preconditions(
    resource: &str,
    object: &Value,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let name = name(object).unwrap_or_default();
    for (field, wanted, title) in [
        ("uid", &options.uid, "UID"),
        ("resourceVersion", &options.resource_version, "ResourceVersion"),
    ] {
        let is = text(object, field).unwrap_or_default();
        if let Some(wanted) = wanted
            && wanted != is
        {
            let why = format!(
                "the {title} in the precondition ({wanted}) does not match the {title} in record ({is}). \
                 The object might have been deleted and then recreated"
            );
            return Err(ApiError::conflict(resource, name, &why));
        }
    }
    Ok(())
}

/// Sets `deletionTimestamp`, the grace period, and the finalizer that the propagation asks for.
pub(super) fn mark_deleted(
    resource: &str,
    object: &mut Value,
    options: &DeleteOptions,
    clock: &Clock,
) {
    match options.propagation {
        Some(Propagation::Foreground) => add_finalizer(object, "foregroundDeletion"),
        Some(Propagation::Orphan) => add_finalizer(object, "orphan"),
        Some(Propagation::Background) | None => {}
    }
    let grace = grace_seconds(resource, object, options);
    let before = field(object, "deletionGracePeriodSeconds").and_then(Value::as_i64);
    if text(object, "deletionTimestamp").is_none() {
        let until = clock.now().saturating_add(jiff::SignedDuration::from_secs(grace));
        let until = until.unwrap_or(jiff::Timestamp::MAX);
        set(object, "deletionTimestamp", time_text(until).into());
        set(object, "deletionGracePeriodSeconds", grace.into());
        if let Some(generation) = field(object, "generation").and_then(Value::as_i64) {
            set(object, "generation", (generation + 1).into());
        }
        if resource == "namespaces" {
            object["status"]["phase"] = "Terminating".into();
        }
    } else if before.is_some_and(|before| grace < before) {
        // a second delete may shorten the grace period, never lengthen it
        set(object, "deletionGracePeriodSeconds", grace.into());
    }
}

/// Only pods that run somewhere are given time; the simulated kubelet deletes them again with 0 seconds.
fn grace_seconds(resource: &str, object: &Value, options: &DeleteOptions) -> i64 {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let runs = !text("/spec/nodeName").is_empty()
        && !matches!(text("/status/phase"), "Succeeded" | "Failed");
    if resource != "pods" || !runs {
        return 0;
    }
    let own = || object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64);
    options.grace_seconds.or_else(own).unwrap_or(30).max(0)
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let mut finalizers =
        field(object, "finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    if !finalizers.iter().any(|f| f.as_str() == Some(finalizer)) {
        finalizers.push(finalizer.into());
        set(object, "finalizers", finalizers.into());
    }
}
