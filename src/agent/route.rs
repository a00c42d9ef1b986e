//! Which read tools answer a question, and with which arguments, as far as code can tell.

use serde_json::{Map, Value, json};

use super::{
    draft::Target,
    lexicon::Sense,
    names::Names,
    number::Number,
    read,
    resolve::in_place,
    scan::{Item, What},
};
use crate::{
    domain::{Inventory, Workload},
    model::ToolCall,
    tool::{Registry, ToolSpec},
};

/// What a question is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Subject {
    /// Workloads that are meant: every one that a name said and the place said can be.
    pub(super) workloads: Vec<Target>,
    /// Another object that is named.
    pub(super) other: Option<(String, String, Option<String>)>,
    /// The namespaces said, or those of the environments said.
    pub(super) namespaces: Vec<String>,
    /// Words where a workload should stand, with what they may have meant.
    pub(super) unknown: Vec<(String, Vec<String>)>,
}

/// Reads what a question is about; `focus` is what "it" means.
pub(super) fn subject(
    items: &[Item],
    names: &Names,
    inventory: &Inventory,
    focus: &[Target],
) -> Subject {
    let part = read::draft(items, names);
    let mut found = Subject { unknown: part.unknown, ..Subject::default() };
    let said: Vec<&String> = part.targets.iter().flat_map(|t| &t.names).collect();
    let meant: Vec<&Workload> = inventory
        .workloads
        .iter()
        .filter(|w| said.contains(&&w.object.name) && in_place(&part.place, w, inventory))
        .collect();
    found.workloads = meant.iter().map(|w| target(w)).collect();
    let points = items.iter().any(|i| i.is(Sense::It));
    if said.is_empty() && (points || items.len() <= 4 && !part.place.is_empty()) {
        found.workloads = focus.to_vec();
    }
    if said.is_empty() && !points {
        let other = items.iter().filter_map(Item::name).flat_map(|n| &n.others).next();
        found.other = other
            .and_then(|name| inventory.others.iter().find(|o| o.name == *name))
            .map(|o| (o.kind.clone(), o.name.clone(), o.namespace.clone()));
    }
    found.namespaces = part.place.namespaces.clone();
    if found.namespaces.is_empty() && !part.place.is_empty() {
        for workload in inventory.workloads.iter().filter(|w| in_place(&part.place, w, inventory)) {
            if let Some(namespace) = &workload.object.namespace
                && !found.namespaces.contains(namespace)
            {
                found.namespaces.push(namespace.clone());
            }
        }
    }
    found
}

fn target(workload: &Workload) -> Target {
    Target {
        names: vec![workload.object.name.clone()],
        namespace: workload.object.namespace.clone(),
        kind: Some(workload.object.kind.clone()),
        ..Target::default()
    }
}

/// The tools a question needs, most telling first; empty when its words do not tell.
pub(super) fn tools(items: &[Item], subject: &Subject) -> Vec<&'static str> {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let said =
        |words: &[&str]| items.iter().any(|i| words.contains(&i.text.to_lowercase().as_str()));
    let told = items.iter().filter(|i| i.is(Sense::Told)).map(|i| i.text.to_lowercase());
    let told: Vec<String> = told.collect();
    let told_history = told.iter().any(|t| !t.contains("restart") && !t.contains("重启"));
    let restarts =
        told.iter().any(|t| t.contains("restart") || t.contains("重启")) || (has(Sense::Restart));
    let named = !subject.workloads.is_empty();
    let who = said(&["who", "谁"]);
    if named
        && (has(Sense::Why) || (has(Sense::Problem) && !has(Sense::Logs) && !has(Sense::Events)))
    {
        // a diagnosis is a bundle of evidence, not a chain of guesses
        return vec!["problems", "rollout_status", "events", "pod_logs", "change_history"];
    }
    let mut found = Vec::new();
    if has(Sense::Logs) {
        found.push("pod_logs");
    }
    if has(Sense::Events) {
        found.push("events");
    }
    if has(Sense::History)
        || told_history
        || who
        || has(Sense::LastChange)
        || said(&["变更", "改动"])
    {
        found.push("change_history");
    }
    let consuming = has(Sense::Usage)
        || (has(Sense::Cpu) || has(Sense::Memory))
            && !has(Sense::Limit)
            && !has(Sense::Request)
            && !has(Sense::Config);
    if consuming {
        found.push("resource_usage");
    }
    if !found.is_empty() {
        return found;
    }
    by_subject(items, subject, restarts)
}

/// The tools of a question whose words name no system: what it is about decides.
fn by_subject(items: &[Item], subject: &Subject, restarts: bool) -> Vec<&'static str> {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let said =
        |words: &[&str]| items.iter().any(|i| words.contains(&i.text.to_lowercase().as_str()));
    let named = !subject.workloads.is_empty();
    if !named && subject.other.is_none() && (has(Sense::Problem) || has(Sense::Why)) {
        return vec!["problems"];
    }
    if named && restarts {
        return vec!["rollout_status", "events"];
    }
    let configured = has(Sense::Config)
        || has(Sense::Image)
        || has(Sense::EnvVar)
        || has(Sense::Limit)
        || has(Sense::Request)
        || has(Sense::Container)
        || said(&["describe", "describe the", "介绍"]);
    if (named || subject.other.is_some()) && configured {
        return vec!["describe_object"];
    }
    if named && (has(Sense::Status) || has(Sense::Replicas)) {
        return vec!["rollout_status"];
    }
    if !named
        && subject.other.is_none()
        && (has(Sense::List)
            || has(Sense::All)
            || kind(items).is_some()
            || has(Sense::Domain)
            || has(Sense::Replicas)
            || has(Sense::Namespace))
    {
        if has(Sense::Status) && !has(Sense::List) && !has(Sense::Replicas) {
            return vec!["problems"];
        }
        return vec!["list_objects"];
    }
    if !named && has(Sense::Status) {
        return vec!["problems"];
    }
    if subject.other.is_some() {
        return vec!["describe_object"];
    }
    Vec::new()
}

/// The kind a question asks for.
fn kind(items: &[Item]) -> Option<&'static str> {
    let word = |i: &Item| match (i.sense(), i.text.to_lowercase().as_str()) {
        (Some(Sense::Kind(kind)), _) => Some(kind),
        (_, "deployments") => Some("Deployment"),
        (_, "statefulsets") => Some("StatefulSet"),
        (_, "daemonsets") => Some("DaemonSet"),
        (_, "cronjobs") => Some("CronJob"),
        (_, "jobs") => Some("Job"),
        (
            _,
            "pod" | "pods" | "which pods" | "what pods" | "哪些pod" | "how many pods" | "个pod",
        ) => Some("Pod"),
        (
            _,
            "namespaces" | "namespace" | "which namespaces" | "what namespaces" | "命名空间"
            | "哪些命名空间",
        ) => Some("Namespace"),
        (_, "secret" | "secrets" | "密钥列表" | "有哪些secret") => Some("Secret"),
        _ => None,
    };
    items.iter().find_map(word)
}

/// The calls of one tool for everything a question is about, at most `limit`.
pub(super) fn calls(
    spec: &ToolSpec,
    items: &[Item],
    subject: &Subject,
    limit: usize,
) -> Vec<ToolCall> {
    let call = |arguments: Map<String, Value>| ToolCall {
        name: spec.name.clone(),
        arguments: Value::Object(arguments),
    };
    let mut found: Vec<ToolCall> = Vec::new();
    for target in subject.workloads.iter().take(limit) {
        let name = target.names.first().map(String::as_str);
        let about = (name, target.namespace.as_deref(), target.kind.as_deref());
        found.extend(arguments(spec, items, about).map(call));
    }
    if found.is_empty()
        && let Some((kind, name, namespace)) = &subject.other
    {
        let about = (Some(name.as_str()), namespace.as_deref(), Some(kind.as_str()));
        found.extend(arguments(spec, items, about).map(call));
    }
    if found.is_empty() {
        for namespace in subject.namespaces.iter().take(limit) {
            found.extend(arguments(spec, items, (None, Some(namespace), kind(items))).map(call));
        }
    }
    if found.is_empty() {
        found.extend(arguments(spec, items, (None, None, kind(items))).map(call));
    }
    found.dedup();
    found
}

/// Arguments by the names of the schema's properties; `None` when a required one is not known.
fn arguments(
    spec: &ToolSpec,
    items: &[Item],
    (name, namespace, object_kind): (Option<&str>, Option<&str>, Option<&str>),
) -> Option<Map<String, Value>> {
    let schema = spec.input_schema.get("properties")?.as_object()?;
    let mut found = Map::new();
    for (property, rule) in schema {
        let value = match property.as_str() {
            "workload" | "name" | "object" | "target" => name.map(|n| json!(n)),
            "namespace" => namespace.map(|n| json!(n)),
            "kind" => object_kind
                .or((spec.name == "list_objects").then_some("Deployment"))
                .map(|k| json!(k)),
            "warnings_only" => items
                .iter()
                .any(|i| i.text.to_lowercase().starts_with("warning") || i.text.contains("告警"))
                .then(|| json!(true)),
            "sort_by" => items.iter().find_map(|i| match i.sense() {
                Some(Sense::Cpu) => Some(json!("cpu")),
                Some(Sense::Memory) => Some(json!("memory")),
                _ => None,
            }),
            "by" => by(items, name.is_some()).map(|b| json!(b)),
            "tail" => tail(items).map(|n| json!(n)),
            "previous" => items
                .iter()
                .any(|i| {
                    i.is(Sense::Previous)
                        || matches!(i.text.as_str(), "previous" | "crashed" | "上一个" | "崩溃前")
                })
                .then(|| json!(true)),
            _ => None,
        };
        let allowed = |v: &Value| {
            rule.get("enum").and_then(Value::as_array).is_none_or(|all| all.contains(v))
        };
        if let Some(value) = value.filter(allowed) {
            found.insert(property.clone(), value);
        }
    }
    if let Some(minutes) = minutes(items) {
        for (property, value) in
            [("minutes", minutes), ("since_minutes", minutes), ("sinceMinutes", minutes)]
        {
            if schema.contains_key(property) {
                found.insert(property.to_owned(), json!(value));
            }
        }
    }
    let required =
        spec.input_schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let complete = required.filter_map(Value::as_str).all(|key| found.contains_key(key));
    complete.then_some(found)
}

/// What the rows of a usage table are.
fn by(items: &[Item], named: bool) -> Option<&'static str> {
    let said =
        |words: &[&str]| items.iter().any(|i| words.contains(&i.text.to_lowercase().as_str()));
    if items.iter().any(|i| i.is(Sense::Kind("Node"))) {
        Some("nodes")
    } else if said(&[
        "namespaces",
        "which namespace",
        "namespace",
        "which namespaces",
        "哪些命名空间",
    ]) {
        Some("namespaces")
    } else if said(&["pod", "pods", "which pods", "哪些pod"]) || named {
        Some("pods")
    } else {
        None
    }
}

/// "the last 50 lines", "50 条日志".
fn tail(items: &[Item]) -> Option<i64> {
    items.windows(2).find_map(|w| {
        let lines =
            matches!(w[1].text.to_lowercase().as_str(), "lines" | "log lines" | "行" | "条");
        match w[0].what {
            What::Number(Number::Whole(number)) if lines && (1..=500).contains(&number) => {
                Some(number)
            }
            _ => None,
        }
    })
}

/// "the last 30 minutes", "最近 2 小时": in minutes.
fn minutes(items: &[Item]) -> Option<i64> {
    let item = items.iter().find(|i| i.what == What::Measure && !i.text.ends_with('%'))?;
    let digits: String = item.text.chars().take_while(char::is_ascii_digit).collect();
    let han: Vec<char> = item.text.chars().collect();
    let number = digits.parse::<i64>().ok().or_else(|| super::number::han(&han).map(|(n, _)| n))?;
    let unit = item.text.to_lowercase();
    let unit = unit.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    if unit.starts_with('h') || unit.contains("小时") {
        Some(number * 60)
    } else if unit.starts_with('d') || unit.contains('天') {
        Some(number * 60 * 24)
    } else if unit.starts_with('m') && unit != "ms" || unit.contains('分') {
        Some(number)
    } else {
        None
    }
}

/// The read tools there are, in the order of the registry.
pub(super) fn read_specs(registry: &Registry) -> impl Iterator<Item = &ToolSpec> {
    registry.specs().filter(|spec| spec.annotations.read_only_hint)
}
