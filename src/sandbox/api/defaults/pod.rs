//! Defaults of pods and pod templates.

use serde_json::{Value, json};

use super::{fill, fill_all, items, object};

/// A pod, including what admission adds on a real server (service account, tolerations, priority).
pub(super) fn pod(pod: &mut Value) {
    let spec = object(pod, "spec");
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            let limits = container.pointer("/resources/limits").and_then(Value::as_object).cloned();
            if let Some(limits) = limits {
                fill_all(object(object(container, "resources"), "requests"), &limits);
            }
        }
    }
    pod_spec(spec);
    fill(spec, "enableServiceLinks", true);
    let account = spec["serviceAccountName"].as_str().or(spec["serviceAccount"].as_str());
    let account = account.filter(|a| !a.is_empty()).unwrap_or("default").to_owned();
    fill(spec, "serviceAccountName", account.as_str());
    fill(spec, "serviceAccount", account);
    fill(spec, "preemptionPolicy", "PreemptLowerPriority");
    fill(spec, "priority", 0);
    let tolerated = |spec: &Value, key: &str| {
        spec["tolerations"].as_array().into_iter().flatten().any(|t| {
            (t["key"] == key || (t.get("key").is_none() && t["operator"] == "Exists"))
                && t["effect"].as_str().is_none_or(|e| e.is_empty() || e == "NoExecute")
        })
    };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !tolerated(spec, key) {
            fill(spec, "tolerations", json!([]));
            let toleration = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
            if let Some(all) = spec["tolerations"].as_array_mut() {
                all.push(toleration);
            }
        }
    }
}

/// What pods and templates share.
pub(super) fn pod_spec(spec: &mut Value) {
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "restartPolicy", "Always");
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "schedulerName", "default-scheduler");
    if spec.get("securityContext").is_none() {
        spec["securityContext"] = json!({});
    }
    if let Some(account) = spec["serviceAccountName"].as_str().map(str::to_owned) {
        fill(spec, "serviceAccount", account);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        items(spec, list).for_each(container);
    }
    items(spec, "volumes").for_each(volume);
}

fn container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    fill(container, "imagePullPolicy", policy);
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    if container.get("resources").is_none() {
        container["resources"] = json!({});
    }
    items(container, "ports").for_each(|port| fill(port, "protocol", "TCP"));
    for variable in items(container, "env") {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            fill(field, "apiVersion", "v1");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).filter(|p| p.is_object()) {
            for (key, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                if probe.get(key).is_none_or(|v| v == 0) {
                    probe[key] = value.into();
                }
            }
            http_get(probe);
            if let Some(grpc) = probe.get_mut("grpc") {
                grpc.as_object_mut().map(|g| g.entry("service").or_insert_with(|| "".into()));
            }
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = container.pointer_mut(&format!("/lifecycle/{hook}")) {
            http_get(handler);
        }
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = handler.get_mut("httpGet").filter(|g| g.is_object()) {
        fill(get, "path", "/");
        fill(get, "scheme", "HTTP");
    }
}

/// Whether an image has the tag `latest`, said or unsaid.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Value) {
    let sources = volume.as_object().map_or(0, |v| v.keys().filter(|key| *key != "name").count());
    if sources == 0 {
        volume["emptyDir"] = json!({});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source).filter(|s| s.is_object()) {
            fill(source, "defaultMode", 420);
        }
    }
    if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        path.entry("type").or_insert_with(|| "".into());
    }
    if let Some(projected) = volume.get_mut("projected") {
        for source in items(projected, "sources") {
            if let Some(token) = source.get_mut("serviceAccountToken") {
                fill(token, "expirationSeconds", 3600);
            }
        }
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(super) fn quality_of_service(pod: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in pod.pointer(list).and_then(Value::as_array).into_iter().flatten() {
            for resource in ["cpu", "memory"] {
                let get = |kind: &str| container.pointer(&format!("/resources/{kind}/{resource}"));
                let (request, limit) = (get("requests"), get("limits"));
                any |= request.is_some() || limit.is_some();
                guaranteed &= limit.is_some() && request.is_none_or(|r| Some(r) == limit);
            }
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policy_follows_the_tag() {
        for (image, want) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1.27", false),
            ("registry:5000/nginx", true),
            ("registry:5000/nginx:1", false),
            ("nginx@sha256:abc", false),
        ] {
            assert_eq!(is_latest(image), want, "{image}");
        }
    }

    #[test]
    fn quality_follows_requests_and_limits() {
        let pod_of = |resources: Value| json!({"spec": {"containers": [{"resources": resources}]}});
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (resources, want) in [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"limits": both, "requests": both}), "Guaranteed"),
            (json!({"limits": both}), "Guaranteed"),
        ] {
            assert_eq!(quality_of_service(&pod_of(resources)), want);
        }
    }
}
