//! Pods and pod templates.

use serde_json::{Value, json};

use super::{Checks, list, meta, quantity, text};
use crate::sandbox::api::Cause;

/// A pod; what runs may change little.
pub(super) fn pod(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    pod_spec(checks, &new["spec"], "spec", &[]);
    if let Some(old) = old
        && frozen(&old["spec"]) != frozen(&new["spec"])
    {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        checks.add(Cause::forbidden("spec", why));
    }
}

/// A pod's spec without what may change.
fn frozen(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for containers in ["containers", "initContainers"] {
        for container in
            spec.get_mut(containers).and_then(Value::as_array_mut).into_iter().flatten()
        {
            for key in ["image", "resources"] {
                container.as_object_mut().map(|c| c.shift_remove(key));
            }
        }
    }
    for key in [
        "activeDeadlineSeconds",
        "tolerations",
        "terminationGracePeriodSeconds",
        "ephemeralContainers",
        "nodeName",
    ] {
        spec.as_object_mut().map(|s| s.shift_remove(key));
    }
    spec
}

/// Checks `template` of a workload.
pub(super) fn template(checks: &mut Checks, template: &Value, field: &str) {
    template_with_claims(checks, template, field, &[]);
}

/// Checks `template` of a workload whose pods get a volume for each of `claims` besides their own.
pub(super) fn template_with_claims(
    checks: &mut Checks,
    template: &Value,
    field: &str,
    claims: &[&str],
) {
    meta::labels(checks, &template["metadata"]["labels"], &format!("{field}.metadata.labels"));
    pod_spec(checks, &template["spec"], &format!("{field}.spec"), claims);
}

fn pod_spec(checks: &mut Checks, spec: &Value, field: &str, claims: &[&str]) {
    let mut volumes = volumes(checks, spec, field);
    volumes.extend(claims);
    if list(spec, "/containers").is_empty() {
        checks.required(format!("{field}.containers"), "");
    }
    let mut names: Vec<&str> = Vec::new();
    for kind in ["initContainers", "containers"] {
        for (i, container) in list(spec, &format!("/{kind}")).iter().enumerate() {
            let at = format!("{field}.{kind}[{i}]");
            let name = text(container, "/name");
            if names.contains(&name) && !name.is_empty() {
                checks.add(Cause::duplicate(format!("{at}.name"), &name.into()));
            }
            names.push(name);
            self::container(checks, container, &at, &volumes);
        }
    }
    let policies = ["Always", "OnFailure", "Never"];
    checks.one_of(format!("{field}.restartPolicy"), &spec["restartPolicy"], &policies);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    checks.one_of(format!("{field}.dnsPolicy"), &spec["dnsPolicy"], &policies);
    if let Some(value) = spec.get("terminationGracePeriodSeconds")
        && value.as_i64().is_some_and(|n| n < 0)
    {
        let at = format!("{field}.terminationGracePeriodSeconds");
        checks.invalid(at, value, "must be greater than or equal to 0");
    }
    if let Some(value) = spec.get("activeDeadlineSeconds")
        && value.as_i64().is_some_and(|n| n < 1)
    {
        let at = format!("{field}.activeDeadlineSeconds");
        checks.invalid(at, value, "must be between 1 and 2147483647, inclusive");
    }
}

fn volumes<'a>(checks: &mut Checks, spec: &'a Value, field: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (i, volume) in list(spec, "/volumes").iter().enumerate() {
        let name = text(volume, "/name");
        let at = format!("{field}.volumes[{i}].name");
        if name.is_empty() {
            checks.required(at, "");
        } else if names.contains(&name) {
            checks.add(Cause::duplicate(at, &name.into()));
        } else if let Some(why) = meta::dns_label(name) {
            checks.invalid(at, &name.into(), &why);
        }
        names.push(name);
    }
    names
}

fn container(checks: &mut Checks, container: &Value, field: &str, volumes: &[&str]) {
    let name = text(container, "/name");
    if name.is_empty() {
        checks.required(format!("{field}.name"), "");
    } else if let Some(why) = meta::dns_label(name) {
        checks.invalid(format!("{field}.name"), &name.into(), &why);
    }
    let image = text(container, "/image");
    if image.is_empty() {
        checks.required(format!("{field}.image"), "");
    } else if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        checks.invalid(format!("{field}.image"), &image.into(), why);
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    checks.one_of(format!("{field}.imagePullPolicy"), &container["imagePullPolicy"], &policies);
    ports(checks, container, field);
    environment(checks, container, field);
    mounts(checks, container, field, volumes);
    resources(checks, &container["resources"], &format!("{field}.resources"));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(probe) {
            self::probe(checks, value, &format!("{field}.{probe}"), probe != "readinessProbe");
        }
    }
}

const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

/// Whether a number can be a port.
pub(super) fn is_port(value: &Value) -> bool {
    value.as_i64().is_some_and(|port| (1..=65535).contains(&port))
}

fn ports(checks: &mut Checks, container: &Value, field: &str) {
    let mut names: Vec<&str> = Vec::new();
    for (i, port) in list(container, "/ports").iter().enumerate() {
        let at = format!("{field}.ports[{i}]");
        match port.get("containerPort") {
            None | Some(Value::Null) => checks.required(format!("{at}.containerPort"), ""),
            Some(number) if number == 0 => checks.required(format!("{at}.containerPort"), ""),
            Some(number) if !is_port(number) => {
                checks.invalid(format!("{at}.containerPort"), number, PORT_RANGE);
            }
            Some(_) => {}
        }
        checks.one_of(format!("{at}.protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        let name = text(port, "/name");
        if name.len() > 15 {
            checks.invalid(
                format!("{at}.name"),
                &name.into(),
                "must be no more than 15 characters",
            );
        }
        if !name.is_empty() && names.contains(&name) {
            checks.add(Cause::duplicate(format!("{at}.name"), &name.into()));
        }
        names.push(name);
    }
}

fn environment(checks: &mut Checks, container: &Value, field: &str) {
    for (i, variable) in list(container, "/env").iter().enumerate() {
        let at = format!("{field}.env[{i}]");
        let name = text(variable, "/name");
        if name.is_empty() {
            checks.required(format!("{at}.name"), "");
        } else if name.contains('=') || name.chars().any(|c| !(' '..='~').contains(&c)) {
            let why = "a valid environment variable name must consist only of printable ASCII characters other than '='";
            checks.invalid(format!("{at}.name"), &name.into(), why);
        }
        if !text(variable, "/value").is_empty() && variable.get("valueFrom").is_some() {
            let why = "may not be specified when `value` is not empty";
            checks.invalid(format!("{at}.valueFrom"), &"".into(), why);
        }
    }
}

fn mounts(checks: &mut Checks, container: &Value, field: &str, volumes: &[&str]) {
    let mut paths: Vec<&str> = Vec::new();
    for (i, mount) in list(container, "/volumeMounts").iter().enumerate() {
        let at = format!("{field}.volumeMounts[{i}]");
        let (name, path) = (text(mount, "/name"), text(mount, "/mountPath"));
        if name.is_empty() {
            checks.required(format!("{at}.name"), "");
        } else if !volumes.contains(&name) {
            let message = format!("Not found: \"{name}\"");
            checks.add(Cause {
                reason: "FieldValueNotFound",
                field: format!("{at}.name"),
                message,
            });
        }
        if path.is_empty() {
            checks.required(format!("{at}.mountPath"), "");
        } else if paths.contains(&path) {
            checks.invalid(format!("{at}.mountPath"), &path.into(), "must be unique");
        }
        paths.push(path);
    }
}

fn resources(checks: &mut Checks, resources: &Value, field: &str) {
    for side in ["limits", "requests"] {
        for (name, amount) in resources[side].as_object().into_iter().flatten() {
            if quantity(amount).is_some_and(crate::sandbox::api::quantity::Quantity::is_negative) {
                let why = "must be greater than or equal to 0";
                checks.invalid(format!("{field}.{side}[{name}]"), amount, why);
            }
        }
    }
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name];
        if let (Some(wanted), Some(most)) = (quantity(request), quantity(limit))
            && wanted > most
        {
            let most = limit.as_str().unwrap_or_default();
            let why = format!("must be less than or equal to {name} limit of {most}");
            checks.invalid(format!("{field}.requests"), request, &why);
        }
    }
}

fn probe(checks: &mut Checks, probe: &Value, field: &str, one_success: bool) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    match handlers.iter().filter(|h| probe.get(**h).is_some()).count() {
        0 => checks.required(field, "must specify a handler type"),
        1 => {}
        _ => checks.add(Cause::forbidden(field, "may not specify more than 1 handler type")),
    }
    for handler in ["httpGet", "tcpSocket", "grpc"] {
        let Some(port) = probe.get(handler).map(|h| &h["port"]) else { continue };
        let at = format!("{field}.{handler}.port");
        match port {
            Value::String(name) if !name.is_empty() => {}
            port if is_port(port) => {}
            port => checks.invalid(at, port, PORT_RANGE),
        }
    }
    for key in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        if let Some(value) = probe.get(key)
            && value.as_i64().is_some_and(|n| n < 0)
        {
            checks.invalid(format!("{field}.{key}"), value, "must be greater than or equal to 0");
        }
    }
    let successes = probe["successThreshold"].as_i64().unwrap_or(1);
    if one_success && successes > 1 {
        checks.invalid(format!("{field}.successThreshold"), &json!(successes), "must be 1");
    }
}
