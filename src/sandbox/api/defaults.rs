//! Values that the server fills in where a client said nothing, as `SetDefaults_*` of Kubernetes do.

mod pod;
mod workload;

use serde_json::{Map, Value, json};

use super::{
    kinds::Resource,
    protobuf::base64,
    schema::{Shape, Type},
};

/// Fills one kind.
type Fill = fn(&mut Value);

/// Kinds with defaults, by storage name.
const KINDS: &[(&str, Fill)] = &[
    ("pods", pod::pod),
    ("podtemplates", workload::pod_template),
    ("deployments.apps", workload::deployment),
    ("replicasets.apps", workload::replica_set),
    ("replicationcontrollers", workload::replication_controller),
    ("statefulsets.apps", workload::stateful_set),
    ("daemonsets.apps", workload::daemon_set),
    ("jobs.batch", workload::job),
    ("cronjobs.batch", workload::cron_job),
    ("horizontalpodautoscalers.autoscaling", workload::autoscaler),
    ("services", service),
    ("secrets", secret),
    ("namespaces", namespace),
    ("endpoints", endpoints),
    ("endpointslices.discovery.k8s.io", endpoint_slice),
    ("persistentvolumeclaims", volume_claim),
    ("persistentvolumes", volume),
    ("storageclasses.storage.k8s.io", storage_class),
    ("networkpolicies.networking.k8s.io", network_policy),
    ("limitranges", limit_range),
    ("rolebindings.rbac.authorization.k8s.io", role_binding),
    ("clusterrolebindings.rbac.authorization.k8s.io", role_binding),
    ("priorityclasses.scheduling.k8s.io", priority_class),
];

/// Fills an object.
pub(super) fn defaults(resource: &Resource, object: &mut Value) {
    if resource.is_custom() {
        if let Some(of) = resource.schema() {
            custom(of, object);
        }
        return;
    }
    let key = resource.storage_key();
    if let Some((_, fill)) = KINDS.iter().find(|(name, _)| *name == key) {
        fill(object);
    }
}

/// The status that a new object starts with.
pub(super) fn initial_status(resource: &Resource, object: &mut Value) {
    let status = match resource.storage_key().as_str() {
        "pods" => json!({"phase": "Pending", "qosClass": pod::quality_of_service(object)}),
        "namespaces" => json!({"phase": "Active"}),
        "persistentvolumeclaims" | "persistentvolumes" => json!({"phase": "Pending"}),
        "services" => json!({"loadBalancer": {}}),
        "ingresses.networking.k8s.io" => json!({"loadBalancer": {}}),
        "replicasets.apps" | "replicationcontrollers" => json!({"replicas": 0}),
        "statefulsets.apps" => json!({"replicas": 0, "availableReplicas": 0}),
        "daemonsets.apps" => json!({"currentNumberScheduled": 0, "numberMisscheduled": 0,
            "desiredNumberScheduled": 0, "numberReady": 0}),
        "poddisruptionbudgets.policy" => json!({"disruptionsAllowed": 0, "currentHealthy": 0,
            "desiredHealthy": 0, "expectedPods": 0}),
        "horizontalpodautoscalers.autoscaling" => {
            json!({"desiredReplicas": 0, "currentMetrics": null})
        }
        "deployments.apps" | "jobs.batch" | "cronjobs.batch" | "resourcequotas" => json!({}),
        _ => return,
    };
    object["status"] = status;
}

/// What was given out once stays when an update says nothing of it.
pub(super) fn keep_allocated(resource: &Resource, live: &Value, object: &mut Value) {
    if resource.storage_key() != "services" || object["spec"]["type"] == "ExternalName" {
        return;
    }
    for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
        if object["spec"].get(key).is_none()
            && let Some(value) = live["spec"].get(key)
        {
            object["spec"][key] = value.clone();
        }
    }
    if object["spec"]["type"] == "ClusterIP" {
        return;
    }
    let before = live["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let same =
            before.iter().find(|b| b["port"] == port["port"] && b["protocol"] == port["protocol"]);
        if let Some(node_port) = same.and_then(|b| b.get("nodePort"))
            && port.get("nodePort").is_none()
        {
            port["nodePort"] = node_port.clone();
        }
    }
}

/// Sets a field that is absent (or null, or an empty text).
fn fill(object: &mut Value, key: &str, value: impl Into<Value>) {
    let Some(map) = object.as_object_mut() else { return };
    let missing = map.get(key).is_none_or(|old| old.is_null() || old == "");
    if missing {
        map.insert(key.to_owned(), value.into());
    }
}

/// The object under a key, made when absent.
fn object<'a>(parent: &'a mut Value, key: &str) -> &'a mut Value {
    fill(parent, key, json!({}));
    &mut parent[key]
}

/// The items under a key.
fn items<'a>(parent: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    parent.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

fn service(service: &mut Value) {
    let spec = object(service, "spec");
    fill(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "ClientIP" {
        let client = object(object(spec, "sessionAffinityConfig"), "clientIP");
        fill(client, "timeoutSeconds", 10800);
    }
    fill(spec, "type", "ClusterIP");
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in items(spec, "ports") {
        fill(port, "protocol", "TCP");
        let number = port["port"].clone();
        if port.get("targetPort").is_none_or(|p| p == 0 || p == "") {
            port["targetPort"] = number;
        }
    }
}

fn secret(secret: &mut Value) {
    fill(secret, "type", "Opaque");
    let Some(map) = secret.as_object_mut() else { return };
    let Some(Value::Object(texts)) = map.shift_remove("stringData") else { return };
    let data = object(secret, "data");
    for (key, text) in texts {
        data[&key] = base64(text.as_str().unwrap_or_default().as_bytes()).into();
    }
}

fn namespace(namespace: &mut Value) {
    let name = namespace["metadata"]["name"].clone();
    object(&mut namespace["metadata"], "labels")["kubernetes.io/metadata.name"] = name;
    // without finalizers it is being deleted, and stays so
    if namespace["metadata"].get("deletionTimestamp").is_none() {
        fill(object(namespace, "spec"), "finalizers", json!(["kubernetes"]));
    }
}

fn endpoints(endpoints: &mut Value) {
    for subset in items(endpoints, "subsets") {
        items(subset, "ports").for_each(|port| fill(port, "protocol", "TCP"));
    }
}

fn endpoint_slice(slice: &mut Value) {
    for port in items(slice, "ports") {
        fill(port, "protocol", "TCP");
        if port.get("name").is_none() {
            port["name"] = "".into();
        }
    }
}

fn volume_claim(claim: &mut Value) {
    fill(object(claim, "spec"), "volumeMode", "Filesystem");
}

fn volume(volume: &mut Value) {
    let spec = object(volume, "spec");
    fill(spec, "persistentVolumeReclaimPolicy", "Retain");
    fill(spec, "volumeMode", "Filesystem");
}

fn storage_class(class: &mut Value) {
    fill(class, "reclaimPolicy", "Delete");
    fill(class, "volumeBindingMode", "Immediate");
}

fn network_policy(policy: &mut Value) {
    let spec = object(policy, "spec");
    if spec.get("podSelector").is_none() {
        spec["podSelector"] = json!({});
    }
    let egress = spec["egress"].as_array().is_some_and(|e| !e.is_empty());
    let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    fill(spec, "policyTypes", types);
    for direction in ["ingress", "egress"] {
        for rule in items(spec, direction) {
            items(rule, "ports").for_each(|port| fill(port, "protocol", "TCP"));
        }
    }
}

fn limit_range(range: &mut Value) {
    for limit in items(object(range, "spec"), "limits") {
        if limit["type"] != "Container" {
            continue;
        }
        for (from, to) in
            [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")]
        {
            let Some(Value::Object(values)) = limit.get(from).cloned() else { continue };
            let target = object(limit, to);
            for (resource, amount) in values {
                fill(target, &resource, amount);
            }
        }
    }
}

fn role_binding(binding: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    fill(object(binding, "roleRef"), "apiGroup", GROUP);
    let namespace = binding["metadata"]["namespace"].clone();
    for subject in items(binding, "subjects") {
        match subject["kind"].as_str() {
            Some("User" | "Group") => fill(subject, "apiGroup", GROUP),
            Some("ServiceAccount") if namespace.is_string() => {
                fill(subject, "namespace", namespace.clone())
            }
            _ => {}
        }
    }
}

fn priority_class(class: &mut Value) {
    fill(class, "preemptionPolicy", "PreemptLowerPriority");
}

/// Defaults of a structural schema.
fn custom(of: Type<'_>, value: &mut Value) {
    match (of.shape(), value) {
        (Shape::Object { fields, extra, .. }, Value::Object(map)) => {
            for field in fields {
                if let Some(default) = &field.default
                    && map.get(&*field.name).is_none_or(|v| v.is_null() && !default.is_null())
                {
                    map.insert(field.name.to_string(), default.clone());
                }
                if let Some(value) = map.get_mut(&*field.name) {
                    custom(of.to(field.id), value);
                }
            }
            if let Some(extra) = extra {
                let known = |key: &String| of.field(key).is_some();
                map.iter_mut()
                    .filter(|(key, _)| !known(key))
                    .for_each(|(_, v)| custom(of.to(*extra), v));
            }
        }
        (Shape::List { items, .. }, Value::Array(list)) => {
            list.iter_mut().for_each(|item| custom(of.to(*items), item));
        }
        _ => {}
    }
}

/// Copies what a map does not have yet.
fn fill_all(target: &mut Value, values: &Map<String, Value>) {
    for (key, value) in values {
        fill(target, key, value.clone());
    }
}
