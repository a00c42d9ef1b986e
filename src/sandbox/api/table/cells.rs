//! The cells of the kinds that kubectl users know.

use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

pub(super) fn or(text: &str, other: &str) -> Value {
    if text.is_empty() { other.into() } else { text.into() }
}

/// The text of a field, `other` when absent.
pub(super) fn shown(object: &Value, pointer: &str, other: &str) -> Value {
    match object.pointer(pointer) {
        Some(Value::String(text)) => or(text, other),
        Some(Value::Null) | None => other.into(),
        Some(value) => value.to_string().into(),
    }
}

/// A duration as `kubectl` shows it: `45s`, `5m12s`, `3h`, `2d4h`, `400d`.
pub(super) fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1 | 0 => "0s".to_owned(),
        1..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// How long ago a moment was.
pub(super) fn since(at: &str, now: Timestamp) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => human(now.duration_since(at).as_secs()),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// Time since creation.
pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(text(object, "/metadata/creationTimestamp"), now).into()
}

pub(super) fn only_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![age(object, now)]
}

pub(super) fn created_at(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![text(object, "/metadata/creationTimestamp").into()]
}

pub(super) fn containers(object: &Value, pod_spec: &str) -> [Value; 2] {
    let containers = list(object, &format!("{pod_spec}/containers"));
    ["name", "image"].map(|key| {
        let all: Vec<&str> = containers.iter().filter_map(|c| c[key].as_str()).collect();
        all.join(",").into()
    })
}

pub(super) fn map_text(map: Option<&Value>) -> String {
    let pairs = map.and_then(Value::as_object);
    let mut pairs: Vec<String> = pairs
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    pairs.join(",")
}

pub(super) fn label_selector(selector: Option<&Value>) -> Value {
    let mut text = map_text(selector.and_then(|s| s.get("matchLabels")));
    let expressions = selector.and_then(|s| s.get("matchExpressions")).and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let part = match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        };
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&part);
    }
    or_none(&text)
}

pub(super) fn service(s: &Value, now: Timestamp) -> Vec<Value> {
    let kind = text(s, "/spec/type");
    let ingress = list(s, "/status/loadBalancer/ingress");
    let mut external: Vec<&str> =
        ingress.iter().filter_map(|i| i["ip"].as_str().or(i["hostname"].as_str())).collect();
    external.extend(list(s, "/spec/externalIPs").iter().filter_map(Value::as_str));
    let external = match kind {
        "ExternalName" => text(s, "/spec/externalName").to_owned(),
        "LoadBalancer" if external.is_empty() => "<pending>".to_owned(),
        _ => external.join(","),
    };
    let ports: Vec<String> = list(s, "/spec/ports")
        .iter()
        .map(|p| {
            let (port, protocol) = (number(p, "/port"), text(p, "/protocol"));
            match number(p, "/nodePort") {
                0 => format!("{port}/{protocol}"),
                node_port => format!("{port}:{node_port}/{protocol}"),
            }
        })
        .collect();
    vec![
        kind.into(),
        or_none(text(s, "/spec/clusterIP")),
        or_none(&external),
        or_none(&ports.join(",")),
        age(s, now),
        or_none(&map_text(s.pointer("/spec/selector"))),
    ]
}

pub(super) fn node(n: &Value, now: Timestamp) -> Vec<Value> {
    let ready = list(n, "/status/conditions").iter().find(|c| c["type"] == "Ready");
    let mut status = match ready.and_then(|c| c["status"].as_str()) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if n.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = n.pointer("/metadata/labels").and_then(Value::as_object);
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    roles.sort_unstable();
    let address = |kind: &str| {
        let all = list(n, "/status/addresses");
        or_none(all.iter().find(|a| a["type"] == kind).map_or("", |a| text(a, "/address")))
    };
    let info = |key: &str| or(text(n, &format!("/status/nodeInfo/{key}")), "<unknown>");
    vec![
        status.into(),
        or_none(&roles.join(",")),
        age(n, now),
        text(n, "/status/nodeInfo/kubeletVersion").into(),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

pub(super) fn namespace(n: &Value, now: Timestamp) -> Vec<Value> {
    vec![text(n, "/status/phase").into(), age(n, now)]
}

fn entries(object: &Value, key: &str) -> usize {
    object[key].as_object().map_or(0, serde_json::Map::len)
}

pub(super) fn config_map(c: &Value, now: Timestamp) -> Vec<Value> {
    vec![(entries(c, "data") + entries(c, "binaryData")).into(), age(c, now)]
}

pub(super) fn secret(s: &Value, now: Timestamp) -> Vec<Value> {
    vec![text(s, "/type").into(), entries(s, "data").into(), age(s, now)]
}

pub(super) fn event(e: &Value, now: Timestamp) -> Vec<Value> {
    let about = if e.get("involvedObject").is_some() { "involvedObject" } else { "regarding" };
    let first_of = |pointers: &[&str]| {
        let found = pointers.iter().map(|p| text(e, p)).find(|t| !t.is_empty());
        found.map_or_else(|| "<unknown>".to_owned(), |at| since(at, now))
    };
    let last = first_of(&[
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/deprecatedLastTimestamp",
        "/eventTime",
    ]);
    let first = first_of(&["/firstTimestamp", "/deprecatedFirstTimestamp", "/eventTime"]);
    let object = format!(
        "{}/{}",
        text(e, &format!("/{about}/kind")).to_lowercase(),
        text(e, &format!("/{about}/name"))
    );
    let source = [text(e, "/source/component"), text(e, "/source/host")];
    let source: Vec<&str> = source.into_iter().filter(|s| !s.is_empty()).collect();
    let message = if e.get("message").is_some() { text(e, "/message") } else { text(e, "/note") };
    vec![
        last.into(),
        text(e, "/type").into(),
        text(e, "/reason").into(),
        object.into(),
        text(e, &format!("/{about}/fieldPath")).into(),
        or(&source.join(", "), text(e, "/reportingComponent")),
        message.trim().into(),
        first.into(),
        number(e, "/count").max(1).into(),
        text(e, "/metadata/name").into(),
    ]
}

pub(super) fn endpoints(e: &Value, now: Timestamp) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in list(e, "/subsets") {
        for address in list(subset, "/addresses") {
            let ip = text(address, "/ip");
            match list(subset, "/ports") {
                [] => all.push(ip.to_owned()),
                ports => all.extend(ports.iter().map(|p| format!("{ip}:{}", number(p, "/port")))),
            }
        }
    }
    vec![some_of(&all), age(e, now)]
}

/// The first three, and how many more.
fn some_of(all: &[String]) -> Value {
    match all.len() {
        0 => "<none>".into(),
        1..=3 => all.join(",").into(),
        n => format!("{} + {} more...", all[..3].join(","), n - 3).into(),
    }
}

pub(super) fn endpoint_slice(e: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> =
        list(e, "/ports").iter().map(|p| number(p, "/port").to_string()).collect();
    let addresses: Vec<String> = list(e, "/endpoints")
        .iter()
        .flat_map(|endpoint| list(endpoint, "/addresses"))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let ports = if ports.is_empty() { json!("<unset>") } else { some_of(&ports) };
    let addresses = if addresses.is_empty() { json!("<unset>") } else { some_of(&addresses) };
    vec![text(e, "/addressType").into(), ports, addresses, age(e, now)]
}

pub(super) fn ingress(i: &Value, now: Timestamp) -> Vec<Value> {
    let hosts: Vec<&str> =
        list(i, "/spec/rules").iter().map(|r| text(r, "/host")).filter(|h| !h.is_empty()).collect();
    let addresses: Vec<&str> = list(i, "/status/loadBalancer/ingress")
        .iter()
        .filter_map(|a| a["ip"].as_str().or(a["hostname"].as_str()))
        .collect();
    let ports = if list(i, "/spec/tls").is_empty() { "80" } else { "80, 443" };
    vec![
        or_none(text(i, "/spec/ingressClassName")),
        or(&hosts.join(","), "*"),
        addresses.join(",").into(),
        ports.into(),
        age(i, now),
    ]
}

pub(super) fn network_policy(p: &Value, now: Timestamp) -> Vec<Value> {
    vec![label_selector(p.pointer("/spec/podSelector")), age(p, now)]
}

fn access_modes(modes: &[Value]) -> Value {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    modes.iter().map(short).collect::<Vec<_>>().join(",").into()
}

pub(super) fn volume_claim(c: &Value, now: Timestamp) -> Vec<Value> {
    let deleting = !text(c, "/metadata/deletionTimestamp").is_empty();
    let bound = !text(c, "/spec/volumeName").is_empty();
    vec![
        if deleting { "Terminating".into() } else { text(c, "/status/phase").into() },
        text(c, "/spec/volumeName").into(),
        if bound { shown(c, "/status/capacity/storage", "0") } else { "".into() },
        if bound { access_modes(list(c, "/status/accessModes")) } else { "".into() },
        text(c, "/spec/storageClassName").into(),
        shown(c, "/spec/volumeAttributesClassName", "<unset>"),
        age(c, now),
        text(c, "/spec/volumeMode").into(),
    ]
}

pub(super) fn volume(v: &Value, now: Timestamp) -> Vec<Value> {
    let claim = match text(v, "/spec/claimRef/name") {
        "" => String::new(),
        name => format!("{}/{name}", text(v, "/spec/claimRef/namespace")),
    };
    vec![
        shown(v, "/spec/capacity/storage", "0"),
        access_modes(list(v, "/spec/accessModes")),
        text(v, "/spec/persistentVolumeReclaimPolicy").into(),
        text(v, "/status/phase").into(),
        claim.into(),
        text(v, "/spec/storageClassName").into(),
        shown(v, "/spec/volumeAttributesClassName", "<unset>"),
        text(v, "/status/reason").into(),
        age(v, now),
        text(v, "/spec/volumeMode").into(),
    ]
}

pub(super) fn storage_class(s: &Value, now: Timestamp) -> Vec<Value> {
    let expands = s.get("allowVolumeExpansion").and_then(Value::as_bool).unwrap_or(false);
    vec![
        text(s, "/provisioner").into(),
        or(text(s, "/reclaimPolicy"), "Delete"),
        or(text(s, "/volumeBindingMode"), "Immediate"),
        expands.into(),
        age(s, now),
    ]
}

pub(super) fn lease(l: &Value, now: Timestamp) -> Vec<Value> {
    vec![text(l, "/spec/holderIdentity").into(), age(l, now)]
}

pub(super) fn quota(q: &Value, now: Timestamp) -> Vec<Value> {
    let mut requests = Vec::new();
    let mut limits = Vec::new();
    for (key, hard) in q.pointer("/status/hard").and_then(Value::as_object).into_iter().flatten() {
        let used = q["status"]["used"][key].as_str().unwrap_or("0");
        let part = format!("{key}: {used}/{}", hard.as_str().unwrap_or_default());
        if key.starts_with("limits.") { limits.push(part) } else { requests.push(part) }
    }
    requests.sort();
    limits.sort();
    vec![requests.join(", ").into(), limits.join(", ").into(), age(q, now)]
}

pub(super) fn role_binding(b: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| -> Value {
        let names: Vec<String> = list(b, "/subjects")
            .iter()
            .filter(|s| s["kind"] == kind)
            .map(|s| match text(s, "/namespace") {
                "" => text(s, "/name").to_owned(),
                namespace => format!("{namespace}/{}", text(s, "/name")),
            })
            .collect();
        names.join(", ").into()
    };
    vec![
        format!("{}/{}", text(b, "/roleRef/kind"), text(b, "/roleRef/name")).into(),
        age(b, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

pub(super) fn priority_class(p: &Value, now: Timestamp) -> Vec<Value> {
    let default = p.get("globalDefault").and_then(Value::as_bool).unwrap_or(false);
    vec![
        number(p, "/value").into(),
        default.into(),
        age(p, now),
        text(p, "/preemptionPolicy").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn durations_read_like_kubectl() {
        for (seconds, want) in [
            (0, "0s"),
            (119, "119s"),
            (125, "2m5s"),
            (600, "10m"),
            (11_000, "3h3m"),
            (90_000, "25h"),
            (200_000, "2d7h"),
            (864_000, "10d"),
            (70_000_000, "2y80d"),
        ] {
            assert_eq!(human(seconds), want);
        }
    }
}
