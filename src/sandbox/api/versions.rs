//! Objects are stored in one version; other served versions are made from it and turned into it.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::kinds::Resource;

/// A stored object as the requested resource's version.
pub(super) fn present<'a>(resource: &Resource, stored: &'a Value) -> Cow<'a, Value> {
    match (resource.plural.as_str(), resource.group.as_str(), resource.version.as_str()) {
        ("horizontalpodautoscalers", _, "v1") => Cow::Owned(hpa_v1(stored)),
        ("events", "events.k8s.io", _) => {
            Cow::Owned(rename_event(stored, EVENT_FIELDS, "events.k8s.io/v1"))
        }
        _ if resource.is_custom() && stored["apiVersion"] != resource.api_version().as_str() => {
            let mut object = stored.clone();
            object["apiVersion"] = resource.api_version().into();
            Cow::Owned(object)
        }
        _ => Cow::Borrowed(stored),
    }
}

/// An object of the requested resource's version as it is stored.
pub(super) fn to_stored(resource: &Resource, mut object: Value) -> Value {
    match (resource.plural.as_str(), resource.group.as_str(), resource.version.as_str()) {
        ("horizontalpodautoscalers", _, "v1") => hpa_v2(object),
        ("events", "events.k8s.io", _) => {
            let back: Vec<(&str, &str)> =
                EVENT_FIELDS.iter().map(|(core, new)| (*new, *core)).collect();
            rename_event(&object, &back, "v1")
        }
        _ => {
            if let Some(version) = &resource.stored_version {
                object["apiVersion"] = format!("{}/{version}", resource.group).into();
            }
            object
        }
    }
}

/// Field names of core events and their names in events.k8s.io.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename_event(event: &Value, names: &[(&str, &str)], version: &str) -> Value {
    let renamed = event.as_object().into_iter().flatten().map(|(key, value)| {
        let key = names.iter().find(|(from, _)| from == key).map_or(key.as_str(), |(_, to)| to);
        (key.to_owned(), value.clone())
    });
    let mut event = Value::Object(renamed.collect::<Map<_, _>>());
    event["apiVersion"] = version.into();
    event
}

/// Keeps the CPU target, the only metric that v1 can say.
fn hpa_v1(stored: &Value) -> Value {
    let mut object = stored.clone();
    object["apiVersion"] = "autoscaling/v1".into();
    let cpu = |list: Option<&Value>, field: &str| {
        list.and_then(Value::as_array)?.iter().find_map(|metric| {
            let resource = metric.get("resource").filter(|r| r["name"] == "cpu")?;
            resource.pointer(field).cloned()
        })
    };
    let target = cpu(object.pointer("/spec/metrics"), "/target/averageUtilization");
    let current = cpu(object.pointer("/status/currentMetrics"), "/current/averageUtilization");
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.shift_remove("metrics");
        spec.shift_remove("behavior");
        if let Some(target) = target {
            spec.insert("targetCPUUtilizationPercentage".into(), target);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.shift_remove("currentMetrics");
        status.shift_remove("conditions");
        if let Some(current) = current {
            status.insert("currentCPUUtilizationPercentage".into(), current);
        }
    }
    object
}

fn hpa_v2(mut object: Value) -> Value {
    object["apiVersion"] = "autoscaling/v2".into();
    let target = object["spec"]
        .as_object_mut()
        .and_then(|spec| spec.shift_remove("targetCPUUtilizationPercentage"));
    if let Some(target) = target {
        object["spec"]["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": target}}}]);
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.shift_remove("currentCPUUtilizationPercentage");
    }
    object
}
