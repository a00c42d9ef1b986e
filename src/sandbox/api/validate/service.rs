//! Services and ingresses.

use serde_json::Value;

use super::{Checks, list, pod::is_port, text};
use crate::sandbox::api::Cause;

const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

pub(super) fn service(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    let spec = &new["spec"];
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    checks.one_of("spec.type", &spec["type"], &kinds);
    checks.one_of("spec.sessionAffinity", &spec["sessionAffinity"], &["ClientIP", "None"]);
    let ports = list(spec, "/ports");
    if text(spec, "/type") == "ExternalName" {
        if text(spec, "/externalName").is_empty() {
            checks.required("spec.externalName", "");
        }
    } else if ports.is_empty() && text(spec, "/clusterIP") != "None" {
        checks.required("spec.ports", "");
    }
    let mut names: Vec<&str> = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let at = format!("spec.ports[{i}]");
        let name = text(port, "/name");
        if name.is_empty() && ports.len() > 1 {
            checks.required(format!("{at}.name"), "");
        } else if names.contains(&name) {
            checks.add(Cause::duplicate(format!("{at}.name"), &name.into()));
        }
        names.push(name);
        if !is_port(&port["port"]) {
            checks.invalid(format!("{at}.port"), &port["port"], PORT_RANGE);
        }
        checks.one_of(format!("{at}.protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        let target = &port["targetPort"];
        if target.is_number() && !is_port(target) {
            checks.invalid(format!("{at}.targetPort"), target, PORT_RANGE);
        }
        if let Some(node_port) = port["nodePort"].as_i64().filter(|p| *p != 0) {
            if text(spec, "/type") == "ClusterIP" {
                let why = "may not be used when `type` is 'ClusterIP'";
                checks.add(Cause::forbidden(format!("{at}.nodePort"), why));
            } else if !(30000..=32767).contains(&node_port) {
                let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
                checks.invalid(format!("{at}.nodePort"), &node_port.into(), why);
            }
        }
    }
    let before = old.map(|old| text(old, "/spec/clusterIP")).unwrap_or_default();
    let same_kind = old.is_some_and(|old| old["spec"]["type"] != "ExternalName")
        && text(spec, "/type") != "ExternalName";
    if same_kind && !before.is_empty() && text(spec, "/clusterIP") != before {
        checks.invalid("spec.clusterIPs[0]", &spec["clusterIPs"], "may not change once set");
    }
}

pub(super) fn ingress(checks: &mut Checks, _: Option<&Value>, new: &Value) {
    let spec = &new["spec"];
    if list(spec, "/rules").is_empty() && spec.get("defaultBackend").is_none() {
        let why = "either `defaultBackend` or `rules` must be specified";
        checks.invalid("spec", spec, why);
    }
    for (i, rule) in list(spec, "/rules").iter().enumerate() {
        for (j, path) in list(rule, "/http/paths").iter().enumerate() {
            let at = format!("spec.rules[{i}].http.paths[{j}]");
            let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
            if text(path, "/pathType").is_empty() {
                checks.required(format!("{at}.pathType"), "pathType must be specified");
            }
            checks.one_of(format!("{at}.pathType"), &path["pathType"], &kinds);
            let (kind, path_text) = (text(path, "/pathType"), text(path, "/path"));
            if matches!(kind, "Exact" | "Prefix") && !path_text.starts_with('/') {
                checks.invalid(format!("{at}.path"), &path_text.into(), "must be an absolute path");
            }
            let backend = &path["backend"];
            if backend.get("service").is_none() && backend.get("resource").is_none() {
                let why =
                    "cannot specify both resource and service backends, and one must be given";
                checks.required(format!("{at}.backend"), why);
            } else if let Some(service) = backend.get("service")
                && text(service, "/name").is_empty()
            {
                checks.required(format!("{at}.backend.service.name"), "");
            }
        }
    }
}
