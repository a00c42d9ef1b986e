//! What a question is about, and the calls of a read tool that answer it, as far as code can tell.

use serde_json::{Map, Value, json};

use super::{
    cue::{self, Said},
    draft::{Place, Target},
    lexicon::Sense,
    moment::Window,
    names::Names,
    number::{self, Number},
    read,
    resolve::in_place,
    scan::{Item, What},
    values,
};
use crate::{
    domain::{Inventory, ObjectRef, Workload},
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
    /// The container said.
    pub(super) container: Option<String>,
    /// The span of time said.
    pub(super) window: Option<Window>,
}

impl Subject {
    /// Whether a workload, another object or a place was said.
    pub(super) fn is_somewhere(&self) -> bool {
        !self.workloads.is_empty() || self.other.is_some() || !self.namespaces.is_empty()
    }
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
    let containers = |word: &&String| {
        let workloads: Vec<String> = part.targets.iter().flat_map(|t| t.names.clone()).collect();
        names.has_container(&workloads, word)
    };
    let mut words = items.iter().filter(|i| i.what == What::Unknown).map(|i| &i.text);
    found.container =
        part.container.as_ref().filter(containers).or(words.find(containers)).cloned();
    let said: Vec<&String> = part.targets.iter().flat_map(|t| &t.names).collect();
    let meant: Vec<&Workload> = inventory
        .workloads
        .iter()
        .filter(|w| said.contains(&&w.object.name) && in_place(&part.place, w, inventory))
        .collect();
    found.workloads = meant.iter().map(|w| target(w)).collect();
    let mut named = items.iter().filter_map(Item::name);
    let elsewhere = named.any(|n| !n.others.is_empty() && n.namespace.is_none());
    if said.is_empty() && !elsewhere && points_back(items, &part.place) {
        // the same ones, where this question is about
        let same = |w: &&Workload| {
            focus.iter().any(|t| {
                t.names.contains(&w.object.name)
                    && (!part.place.is_empty()
                        || t.namespace.is_none()
                        || t.namespace == w.object.namespace)
            }) && in_place(&part.place, w, inventory)
        };
        found.workloads = inventory.workloads.iter().filter(same).map(target).collect();
        if found.workloads.is_empty() {
            found.workloads = focus.to_vec();
        }
    }
    let spoken = cue::kind(items);
    if let Some(object) = inventory.others.iter().find(|o| {
        Some(o.kind.as_str()) == spoken
            && said.contains(&&o.name)
            && (part.place.is_empty() || meant.iter().any(|w| w.object.namespace == o.namespace))
    }) {
        // "the service x" is not the deployment of that name
        found.workloads.clear();
        found.other = Some((object.kind.clone(), object.name.clone(), object.namespace.clone()));
    } else if said.is_empty() {
        found.other = other(items, spoken, &part.place, inventory);
    }
    if found.workloads.is_empty() && found.other.is_none() && found.unknown.is_empty() {
        found.workloads = declaring(items, names, &part.place, inventory);
    }
    if found.other.is_none() && spoken == Some(AUTOSCALER) {
        found.other = autoscaler(&found.workloads, inventory);
    }
    if found.other.is_some() && spoken == Some(AUTOSCALER) {
        found.workloads.clear();
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

/// "what is LIMIT set to in prod": the workloads that declare the variable, where they are few.
fn declaring(items: &[Item], names: &Names, place: &Place, inventory: &Inventory) -> Vec<Target> {
    let is_key = |i: &&Item| i.what == What::Unknown && values::is_env_key(&i.text);
    let Some(key) = items.iter().find(is_key) else { return Vec::new() };
    let declaring = names.declaring(&key.text);
    let here = |w: &&Workload| declaring.contains(&w.object.name) && in_place(place, w, inventory);
    let found: Vec<Target> = inventory.workloads.iter().filter(here).map(target).collect();
    if found.len() <= 3 { found } else { Vec::new() }
}

const AUTOSCALER: &str = "HorizontalPodAutoscaler";

/// The autoscaler of a workload: in its namespace, and named after it or the only one there.
fn autoscaler(
    workloads: &[Target],
    inventory: &Inventory,
) -> Option<(String, String, Option<String>)> {
    let workload = workloads.first()?;
    let name = workload.names.first()?;
    let here: Vec<&ObjectRef> = inventory
        .others
        .iter()
        .filter(|o| o.kind == AUTOSCALER && o.namespace == workload.namespace)
        .collect();
    let named = here.iter().find(|o| o.name.contains(name.as_str()));
    let only = here.first().filter(|_| here.len() == 1);
    named.or(only).map(|o| (o.kind.clone(), o.name.clone(), o.namespace.clone()))
}

/// "it", a short question about another place, or one whose words say nothing of what it is about: 现在几个在跑.
fn points_back(items: &[Item], place: &Place) -> bool {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let everything =
        has(Sense::All) || has(Sense::List) || has(Sense::Others) || has(Sense::Everywhere);
    let words = Said::of(items);
    let general = words.any("anything|everything|cluster|something|who|node|nodes|namespace|集群|节点|大家|整体|有什么|哪里|谁");
    let state = has(Sense::Status)
        || has(Sense::Replicas)
        || has(Sense::Logs)
        || has(Sense::Image)
        || has(Sense::Config)
        || has(Sense::Counter)
        || words.any("几个|几台|多少个|how many");
    let it = |i: &Item| i.is(Sense::It) || i.text.to_lowercase().starts_with("is it");
    // "and what is LIMIT now?"
    let variable = items.iter().any(|i| i.what == What::Unknown && values::is_env_key(&i.text));
    items.iter().any(it)
        || variable && place.is_empty() && items.len() <= 8
        || items.len() <= 4 && !place.is_empty()
        || items.len() <= 8 && place.is_empty() && state && !everything && !general
}

/// The object besides workloads that is named: of the kind said, in the place said.
fn other(
    items: &[Item],
    spoken: Option<&str>,
    place: &Place,
    inventory: &Inventory,
) -> Option<(String, String, Option<String>)> {
    // a namespace is where the question looks, unless it is itself to be described
    let describes = items.iter().any(|i| i.is(Sense::Config)) || spoken == Some("Namespace");
    let named: Vec<&String> = items.iter().filter_map(Item::name).flat_map(|n| &n.others).collect();
    let fits = |o: &&ObjectRef| named.contains(&&o.name) && (o.kind != "Namespace" || describes);
    let all: Vec<&ObjectRef> = inventory.others.iter().filter(fits).collect();
    let here = |o: &&&ObjectRef| {
        let namespace = o.namespace.as_deref().unwrap_or_default();
        let environments = inventory.workloads.iter().filter(|w| in_place(place, w, inventory));
        place.is_empty()
            || place.namespaces.iter().any(|n| n == namespace)
            || environments.into_iter().any(|w| w.object.namespace.as_deref() == Some(namespace))
    };
    let of_kind = |o: &&&ObjectRef| spoken.is_none_or(|kind| kind == o.kind);
    let best = all.iter().find(|o| here(o) && of_kind(o));
    let best =
        best.or_else(|| all.iter().find(|o| here(o))).or_else(|| all.iter().find(|o| of_kind(o)));
    best.or(all.first()).map(|o| (o.kind.clone(), o.name.clone(), o.namespace.clone()))
}

fn target(workload: &Workload) -> Target {
    Target {
        names: vec![workload.object.name.clone()],
        namespace: workload.object.namespace.clone(),
        kind: Some(workload.object.kind.clone()),
        ..Target::default()
    }
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
    let arguments = |about: About<'_>| {
        let mut found = arguments(spec, items, about, subject.window)?;
        let takes = spec.input_schema["properties"].get("container").is_some();
        if let Some(container) = subject.container.as_ref().filter(|_| takes) {
            found.insert("container".to_owned(), json!(container));
        }
        Some(found)
    };
    let mut found: Vec<ToolCall> = Vec::new();
    for target in subject.workloads.iter().take(limit) {
        let name = target.names.first().map(String::as_str);
        let about = (name, target.namespace.as_deref(), target.kind.as_deref());
        found.extend(arguments(about).map(call));
    }
    if found.is_empty()
        && let Some((kind, name, namespace)) = &subject.other
    {
        let about = (Some(name.as_str()), namespace.as_deref(), Some(kind.as_str()));
        found.extend(arguments(about).map(call));
    }
    if found.is_empty() {
        for namespace in subject.namespaces.iter().take(limit) {
            found.extend(arguments((None, Some(namespace), cue::kind(items))).map(call));
        }
    }
    if found.is_empty() {
        found.extend(arguments((None, None, cue::kind(items))).map(call));
    }
    found.dedup();
    found
}

/// Name, namespace and kind of what a call is about.
type About<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// Arguments by the names of the schema's properties; `None` when a required one is not known.
fn arguments(
    spec: &ToolSpec,
    items: &[Item],
    (name, namespace, object_kind): About<'_>,
    window: Option<Window>,
) -> Option<Map<String, Value>> {
    let schema = spec.input_schema.get("properties")?.as_object()?;
    let words = Said::of(items);
    let mut found = Map::new();
    for (property, rule) in schema {
        let value = match property.as_str() {
            "workload" if object_kind.is_some_and(|k| !is_workload(k)) => None,
            "workload" | "name" | "object" | "target" => name.map(|n| json!(n)),
            "namespace" => namespace.map(|n| json!(n)),
            "kind" => object_kind
                .or((spec.name == "list_objects").then_some("Deployment"))
                .map(|k| json!(k)),
            "warnings_only" => words.any("warning|warnings|告警|警告").then(|| json!(true)),
            "sort_by" => {
                match (words.any("cpu|cpus|处理器|算力"), words.any("memory|mem|ram|内存")) {
                    (true, false) => Some(json!("cpu")),
                    (false, true) => Some(json!("memory")),
                    _ => None,
                }
            }
            "by" if object_kind == Some("Node") => Some(json!("nodes")),
            "by" => by(items, &words, name.is_some()).map(|b| json!(b)),
            "top" => top(items).map(|n| json!(n)),
            "tail" => tail(items).map(|n| json!(n)),
            "limit" => limit(items).map(|n| json!(n)),
            "grep" => grep(items).map(|text| json!(text)),
            "previous" => words.any(PREVIOUS).then(|| json!(true)),
            _ => None,
        };
        let allowed = |v: &Value| {
            rule.get("enum").and_then(Value::as_array).is_none_or(|all| all.contains(v))
        };
        if let Some(value) = value.filter(allowed) {
            found.insert(property.clone(), value);
        }
    }
    for (property, value) in window.map(spans).into_iter().flatten() {
        if schema.contains_key(property) {
            found.insert(property.to_owned(), value);
        }
    }
    let required =
        spec.input_schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let complete = required.filter_map(Value::as_str).all(|key| found.contains_key(key));
    complete.then_some(found)
}

fn is_workload(kind: &str) -> bool {
    matches!(
        kind,
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob" | "Pod"
    )
}

/// The run of a container before the present one.
const PREVIOUS: &str = "previous|before it died|before it crashed|before the crash|before crashing|before it restarted|before the restart|before it went down|last crash|crashed|上一个容器|上次运行|崩溃前|崩溃之前|挂掉之前|挂之前|挂掉前|重启前|重启之前|退出前|退出之前|死之前";

/// What the rows of a usage table are.
fn by(items: &[Item], words: &Said, named: bool) -> Option<&'static str> {
    let node = items.iter().filter_map(Item::name).any(|n| !n.others.is_empty());
    match cue::kind(items) {
        Some("Node") => Some("nodes"),
        Some("Namespace") => Some("namespaces"),
        Some("Pod") => Some("pods"),
        Some("Deployment" | "StatefulSet" | "DaemonSet" | "Service") if !named => Some("workloads"),
        _ if words.any("workload|workloads|apps|applications|工作负载|应用|服务") && !named => {
            Some("workloads")
        }
        _ if node && words.any("cpu|memory|内存") && !named => None,
        _ => named.then_some("pods"),
    }
}

/// "top 3", "前五".
fn top(items: &[Item]) -> Option<i64> {
    items.windows(2).find_map(|w| {
        let first = matches!(
            w[0].text.to_lowercase().as_str(),
            "top" | "前" | "最高的" | "biggest" | "heaviest"
        );
        match w[1].what {
            What::Number(Number::Whole(number)) if first && (1..=100).contains(&number) => {
                Some(number)
            }
            _ => None,
        }
    })
}

/// "the last 5 changes", 最近 5 次改动.
fn limit(items: &[Item]) -> Option<i64> {
    let counts = |i: &Item| {
        i.is(Sense::History)
            || i.is(Sense::LastChange)
            || matches!(
                i.text.to_lowercase().as_str(),
                "changes" | "commits" | "deploys" | "edits" | "entries" | "次" | "条" | "个"
            )
    };
    items.iter().enumerate().find_map(|(at, item)| {
        let number = match item.what {
            What::Number(Number::Whole(number)) => Some(number),
            // 5 次
            What::Measure if item.text.ends_with('次') => {
                let said = item.text.trim_end_matches('次').trim();
                let han: Vec<char> = said.chars().collect();
                said.parse().ok().or_else(|| number::han(&han).map(|(n, _)| n))
            }
            _ => None,
        };
        let counted = item.what == What::Measure || items.get(at + 1).is_some_and(counts);
        number.filter(|n| counted && (1..=50).contains(n))
    })
}

/// What lines are searched for: `grep the logs for deadlock`, 包含 timeout 的日志.
fn grep(items: &[Item]) -> Option<String> {
    const BEFORE: &str = "about|只要|只看|提到|grep|containing|contain|contains|matching|mentioning|mention|mentions|包含|含有|含|带有|过滤|搜|搜一下|搜索";
    let before = |item: &Item| BEFORE.split('|').any(|word| item.text.eq_ignore_ascii_case(word));
    let searches =
        items.iter().any(before) || Said::of(items).any("grep|search|filter|lines|搜|搜索|过滤");
    let is_text = |item: &&Item| {
        matches!(item.what, What::Unknown | What::Quoted | What::Tag | What::Number(_))
    };
    let logs = searches || items.iter().any(|i| i.is(Sense::Logs));
    if let Some(quoted) = items.iter().find(|i| logs && i.what == What::Quoted) {
        return Some(quoted.text.clone());
    }
    items.iter().enumerate().find_map(|(at, item)| {
        let begins = before(item) || searches && matches!(item.text.as_str(), "for" | "with");
        let behind = items[at + 1..].iter().skip_while(|i| i.is(Sense::Filler));
        // "about lane L3": the last word is the one that tells
        let next = behind.take_while(is_text).last()?;
        begins.then(|| next.text.clone())
    })
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

/// Whether a message says which lines of a log are meant, or how many.
pub(super) fn narrows_lines(items: &[Item]) -> bool {
    let lines = Said::of(items).any("lines|line|行|只要|只看|only|just the ones|only the ones");
    lines && (grep(items).is_some() || tail(items).is_some())
}

/// The call of a tool with nothing but the span of time and the lines said.
pub(super) fn when(spec: &ToolSpec, items: &[Item], subject: &Subject) -> ToolCall {
    let schema = spec.input_schema.get("properties");
    let known = |key: &str| schema.is_some_and(|schema| schema.get(key).is_some());
    let said = subject.window.map(spans).into_iter().flatten();
    let lines = [
        ("grep", grep(items).filter(|_| narrows_lines(items)).map(|text| json!(text))),
        ("tail", tail(items).map(|lines| json!(lines))),
    ];
    let lines = lines.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let said = said.chain(lines).filter(|(key, _)| known(key));
    let arguments = said.map(|(key, value)| (key.to_owned(), value));
    ToolCall { name: spec.name.clone(), arguments: Value::Object(arguments.collect()) }
}

/// A span of time as arguments: what ends now in minutes, else by its ends (RFC 3339).
fn spans(window: Window) -> Vec<(&'static str, Value)> {
    if let Some(minutes) = window.last_minutes {
        return vec![("since_minutes", json!(minutes))];
    }
    let ends = [("since", window.since), ("until", window.until)];
    let shown = |end: jiff::Timestamp| json!(end.display_with_offset(window.offset).to_string());
    ends.into_iter().filter_map(|(key, end)| Some((key, shown(end?)))).collect()
}

/// The read tools there are, in the order of the registry.
pub(super) fn read_specs(registry: &Registry) -> impl Iterator<Item = &ToolSpec> {
    registry.specs().filter(|spec| spec.annotations.read_only_hint)
}
