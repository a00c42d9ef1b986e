//! Reading and building Kubernetes objects held as JSON: the small vocabulary every controller shares.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// A shared, immutable object as the storage holds it.
pub(crate) type Object = Arc<Value>;

/// One stored object: resource (`deployments.apps`), namespace (empty when cluster-scoped), name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) resource: Arc<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.into(), namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.resource, self.namespace, self.name)
    }
}

/// The resource name of a built-in kind that controllers create or follow; `None` for any other.
pub(crate) fn resource_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Pod" => "pods",
        "Node" => "nodes",
        "Event" => "events",
        "Secret" => "secrets",
        "Service" => "services",
        "Endpoints" => "endpoints",
        "ConfigMap" => "configmaps",
        "Namespace" => "namespaces",
        "ServiceAccount" => "serviceaccounts",
        "PersistentVolume" => "persistentvolumes",
        "PersistentVolumeClaim" => "persistentvolumeclaims",
        "ReplicationController" => "replicationcontrollers",
        "Deployment" => "deployments.apps",
        "ReplicaSet" => "replicasets.apps",
        "StatefulSet" => "statefulsets.apps",
        "DaemonSet" => "daemonsets.apps",
        "ControllerRevision" => "controllerrevisions.apps",
        "Job" => "jobs.batch",
        "CronJob" => "cronjobs.batch",
        "Lease" => "leases.coordination.k8s.io",
        "EndpointSlice" => "endpointslices.discovery.k8s.io",
        _ => return None,
    })
}

/// The text at a JSON pointer, empty when there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer.
pub(crate) fn int(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The elements of the list at a JSON pointer, none when it is absent.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The moment at a JSON pointer.
pub(crate) fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

/// A moment as `metav1.Time` writes it: whole seconds, UTC.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment as `metav1.MicroTime` writes it.
pub(crate) fn micro_stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

pub(crate) fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(crate) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
}

/// The object's annotation, empty when absent.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The text map at a JSON pointer (labels, selectors).
pub(crate) fn text_map(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    object
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The owner reference with `controller: true`.
pub(crate) fn controller_of(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)
}

/// A controlling owner reference to `owner`.
pub(crate) fn controlled_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// Writes `value` at a path of object keys, creating the maps on the way.
pub(crate) fn set(object: &mut Value, path: &[&str], value: Value) {
    let mut at = object;
    for key in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[*key];
    }
    *at = value;
}

/// The condition of type `kind`, if the object's status has it.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

/// Whether the condition of type `kind` is `True`.
pub(crate) fn condition_is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// What a condition says; the transition time follows from what was said before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl<'a> Condition<'a> {
    pub(crate) fn new(kind: &'a str, status: bool, reason: &'a str, message: &'a str) -> Self {
        Self { kind, status: if status { "True" } else { "False" }, reason, message }
    }
}

/// Sets a condition in `conditions`; `lastTransitionTime` moves only when its status changes.
///
/// Returns whether anything but times changed.
pub(crate) fn set_condition(
    conditions: &mut Vec<Value>,
    said: Condition<'_>,
    now: Timestamp,
) -> bool {
    let old = conditions.iter_mut().find(|condition| condition["type"] == said.kind);
    let mut fresh = json!({ "type": said.kind, "status": said.status });
    if !said.reason.is_empty() {
        fresh["reason"] = said.reason.into();
    }
    if !said.message.is_empty() {
        fresh["message"] = said.message.into();
    }
    fresh["lastTransitionTime"] = stamp(now).into();
    let Some(old) = old else {
        conditions.push(fresh);
        return true;
    };
    let same = |field: &str| old.get(field) == fresh.get(field);
    if same("status") && same("reason") && same("message") {
        return false;
    }
    if same("status") {
        fresh["lastTransitionTime"] = old["lastTransitionTime"].clone();
    }
    if let Some(probe) = old.get("lastProbeTime") {
        fresh["lastProbeTime"] = probe.clone();
    }
    if let Some(update) = old.get("lastUpdateTime") {
        fresh["lastUpdateTime"] = update.clone();
    }
    *old = fresh;
    true
}

/// A pod that counts: not finished and not being deleted.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !is_deleting(pod)
}

/// A pod that has ended, well or badly.
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Since when a pod has been ready, if it is.
pub(crate) fn ready_since(pod: &Value) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready["status"] == "True")?;
    time(ready, "/lastTransitionTime")
}

/// A stable 64-bit hash of some text (FNV-1a): names, noise and jitter follow from it.
pub(crate) fn hash64(parts: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // FNV's low bits are weak for short inputs; one round of mixing spreads them
    hash ^= hash >> 32;
    hash.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ (hash >> 29)
}

/// `length` letters as Kubernetes uses them in generated names, from a hash.
pub(crate) fn suffix(mut hash: u64, length: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut out = String::with_capacity(length);
    for _ in 0..length {
        let at = usize::try_from(hash % LETTERS.len() as u64).unwrap_or_default();
        out.push(char::from(LETTERS[at]));
        hash /= LETTERS.len() as u64;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_moves_its_transition_time_only_with_its_status() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let mut all = vec![];
        assert!(set_condition(&mut all, Condition::new("Ready", false, "A", ""), at(10)));
        assert!(!set_condition(&mut all, Condition::new("Ready", false, "A", ""), at(20)));
        assert!(set_condition(&mut all, Condition::new("Ready", false, "B", ""), at(30)));
        assert_eq!(all[0]["lastTransitionTime"], "1970-01-01T00:00:10Z");
        assert!(set_condition(&mut all, Condition::new("Ready", true, "B", ""), at(40)));
        assert_eq!(all[0]["lastTransitionTime"], "1970-01-01T00:00:40Z");
    }

    #[test]
    fn set_creates_the_way() {
        let mut object = json!({"metadata": null});
        set(&mut object, &["metadata", "labels", "a"], "b".into());
        assert_eq!(object, json!({"metadata": {"labels": {"a": "b"}}}));
    }
}
