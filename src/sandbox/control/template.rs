//! Pods from pod templates, and the hashes that tell templates apart.

use serde_json::{Value, json};

use super::object::{controlled_by, hash64, name, namespace, set, suffix};

/// The label that ties pods to the replica set of their template.
pub(crate) const TEMPLATE_HASH: &str = "pod-template-hash";

/// A pod of `template`, owned by `owner`, without status.
pub(crate) fn pod(template: &Value, owner: &Value, pod_name: &str) -> Value {
    let mut metadata = json!({ "name": pod_name, "namespace": namespace(owner) });
    for field in ["labels", "annotations"] {
        if let Some(value) =
            template.pointer(&format!("/metadata/{field}")).filter(|v| v.is_object())
        {
            metadata[field] = value.clone();
        }
    }
    metadata["ownerReferences"] = controlled_by(owner);
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template["spec"],
    });
    complete_pod(&mut pod);
    pod
}

/// Fills in what the API server's defaulting and admission give every pod.
fn complete_pod(pod: &mut Value) {
    let defaults = [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("serviceAccountName", json!("default")),
        ("schedulerName", json!("default-scheduler")),
        ("enableServiceLinks", json!(true)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
        ("priority", json!(0)),
        ("securityContext", json!({})),
    ];
    if !pod["spec"].is_object() {
        pod["spec"] = json!({ "containers": [] });
    }
    for (field, value) in defaults {
        if pod["spec"].get(field).is_none_or(Value::is_null) {
            pod["spec"][field] = value;
        }
    }
    tolerate(pod, "node.kubernetes.io/not-ready");
    tolerate(pod, "node.kubernetes.io/unreachable");
    pod["status"] = json!({ "phase": "Pending", "qosClass": qos_class(pod) });
}

/// Every pod stays five minutes on a node that fails, unless it says otherwise.
fn tolerate(pod: &mut Value, taint: &str) {
    let spec = &mut pod["spec"];
    if !spec["tolerations"].is_array() {
        spec["tolerations"] = json!([]);
    }
    if let Some(all) = spec["tolerations"].as_array_mut()
        && !all.iter().any(|one| one["key"] == taint || one.get("key").is_none())
    {
        all.push(json!({
            "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
        }));
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(crate) fn qos_class(pod: &Value) -> &'static str {
    let (mut any, mut all) = (false, true);
    for container in super::object::items(pod, "/spec/containers") {
        for resource in ["cpu", "memory"] {
            let limit = container.pointer(&format!("/resources/limits/{resource}"));
            let request = container.pointer(&format!("/resources/requests/{resource}"));
            any |= limit.is_some() || request.is_some();
            all &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// The hash of a template: equal for templates that differ in key order only.
pub(crate) fn template_hash(template: &Value, collisions: i64) -> String {
    let mut canonical = String::new();
    write_sorted(template, &mut canonical);
    suffix(hash64(&[&canonical, &collisions.to_string()]), 10)
}

/// A generated name, `<prefix>-<5 letters>`, that differs for every count.
pub(crate) fn generated_name(prefix: &str, count: u64) -> String {
    // the API server cuts the prefix so that the whole stays a DNS label
    let cut = prefix.char_indices().nth(57).map_or(prefix, |(at, _)| &prefix[..at]);
    format!("{cut}-{}", suffix(hash64(&[prefix, &count.to_string()]), 5))
}

/// `template` without the label that replica sets add to it.
pub(crate) fn without_hash(template: &Value) -> Value {
    let mut plain = template.clone();
    if let Some(labels) = plain.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.shift_remove(TEMPLATE_HASH);
    }
    plain
}

/// Whether two templates make the same pods.
pub(crate) fn same_template(one: &Value, other: &Value) -> bool {
    without_hash(one) == without_hash(other)
}

/// A `ControllerRevision` that keeps `owner`'s present template.
pub(crate) fn revision(owner: &Value, hash: &str, number: i64) -> Value {
    let mut template = owner["spec"]["template"].clone();
    template["$patch"] = "replace".into();
    let mut made = json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": format!("{}-{hash}", name(owner)),
            "namespace": namespace(owner),
            "labels": owner["spec"]["template"]["metadata"]["labels"],
            "ownerReferences": controlled_by(owner),
        },
        "data": { "spec": { "template": template } },
        "revision": number,
    });
    set(&mut made, &["metadata", "labels", "controller-revision-hash"], hash.into());
    made
}

fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(key);
                out.push(':');
                write_sorted(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(all) => {
            out.push('[');
            for one in all {
                write_sorted(one, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_ignores_key_order_only() {
        let one = json!({"spec": {"a": 1, "b": [1, 2]}});
        let two = json!({"spec": {"b": [1, 2], "a": 1}});
        let three = json!({"spec": {"b": [2, 1], "a": 1}});
        assert_eq!(template_hash(&one, 0), template_hash(&two, 0));
        assert_ne!(template_hash(&one, 0), template_hash(&three, 0));
        assert_ne!(template_hash(&one, 0), template_hash(&one, 1));
    }

    #[test]
    fn qos_classes() {
        let pod = |resources: Value| json!({"spec": {"containers": [{"resources": resources}]}});
        for (resources, class) in [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
        ] {
            assert_eq!(qos_class(&pod(resources)), class);
        }
    }
}
