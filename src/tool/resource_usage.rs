//! CPU and memory: what is used now against what is requested, limited and available; by node, namespace, workload or pod.

use std::{cmp::Ordering, collections::BTreeMap};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Tool, ToolContext, ToolError, ToolOutput, quantity,
    read::{clip, columns, evidence, failed, list, pods_of, say, text, workload},
    target::arguments,
};
use crate::{
    cluster::{Cluster, ClusterError, Selection, UsageOf, View},
    domain::{Evidence, Lang},
};

/// Reads resource usage.
pub(super) struct ResourceUsage {
    pub(super) cluster: Cluster,
}

#[derive(Deserialize)]
struct Arguments {
    by: Option<By>,
    namespace: Option<String>,
    workload: Option<String>,
    #[serde(default)]
    sort_by: Sort,
    top: Option<usize>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum By {
    Nodes,
    Namespaces,
    Workloads,
    Pods,
}

impl By {
    /// Of the rows, in Chinese and English.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Nodes => ("节点", "nodes"),
            Self::Namespaces => ("命名空间", "namespaces"),
            Self::Workloads => ("工作负载", "workloads"),
            Self::Pods => ("pod", "pods"),
        }
    }
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Sort {
    #[default]
    Cpu,
    Memory,
}

/// One resource of one row; nothing where it is not known or not set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Figures {
    used: Option<f64>,
    requests: Option<f64>,
    limits: Option<f64>,
    /// Of nodes only.
    capacity: Option<f64>,
}

/// CPU in cores and memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Row {
    cpu: Figures,
    memory: Figures,
}

#[async_trait]
impl Tool for ResourceUsage {
    fn name(&self) -> &'static str {
        "resource_usage"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let lang = context.lang;
        let fail = |error: ClusterError| failed(lang, error);
        let view = self.cluster.as_actor(&context.actor).map_err(fail)?;
        let by = input.by.unwrap_or(match (&input.workload, &input.namespace) {
            (Some(_), _) => By::Pods,
            (None, Some(_)) => By::Workloads,
            (None, None) => By::Nodes,
        });
        let (mut namespace, mut owner) = (input.namespace.clone(), None);
        let pods = if let Some(name) = &input.workload {
            let found = workload(context, name, namespace.as_deref(), None)?;
            namespace = found.object.namespace.clone();
            owner = Some(found.object.name.clone());
            pods_of(&view, &found.object).await.map_err(fail)?.1
        } else {
            let which = Selection::namespace(namespace.as_deref());
            view.list_named("pods", &which).await.map_err(fail)?.items
        };
        let nodes = match by {
            By::Nodes => view.list_named("nodes", &Selection::default()).await.map_err(fail)?.items,
            _ => Vec::new(),
        };
        let usage = usage(&view, by, namespace.as_deref()).await.map_err(fail)?;
        let rows = rows(by, &pods, &nodes, usage.as_deref());
        let place = owner.or(namespace).unwrap_or_else(|| say(lang, "整个集群", "the cluster"));
        let query = match by {
            By::Nodes => "GET /apis/metrics.k8s.io/v1beta1/nodes, /api/v1/nodes, /api/v1/pods",
            _ => "GET /apis/metrics.k8s.io/v1beta1/pods, /api/v1/pods",
        };
        let found = evidence(self.name(), context, String::new(), query.to_owned());
        Ok(ToolOutput::Evidence(vec![table(
            found,
            context,
            &place,
            rows,
            &Shape { by, input, measured: usage.is_some() },
        )]))
    }
}

struct Shape {
    by: By,
    input: Arguments,
    measured: bool,
}

async fn usage(
    view: &View,
    by: By,
    namespace: Option<&str>,
) -> Result<Option<Vec<Value>>, ClusterError> {
    match by {
        By::Nodes => view.usage(UsageOf::Nodes).await,
        _ => view.usage(UsageOf::Pods(namespace)).await,
    }
}

fn rows(by: By, pods: &[Value], nodes: &[Value], usage: Option<&[Value]>) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut measured: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    for item in usage.unwrap_or_default() {
        let key = (text(item, "/metadata/namespace"), text(item, "/metadata/name"));
        let mut row = Row::default();
        add(&mut row.cpu.used, item.pointer("/usage/cpu"));
        add(&mut row.memory.used, item.pointer("/usage/memory"));
        for container in list(item, "/containers") {
            add(&mut row.cpu.used, container.pointer("/usage/cpu"));
            add(&mut row.memory.used, container.pointer("/usage/memory"));
        }
        measured.insert(key, row);
    }
    for node in nodes {
        let name = text(node, "/metadata/name");
        let mut row = measured.get(&("", name)).copied().unwrap_or_default();
        add(&mut row.cpu.capacity, node.pointer("/status/allocatable/cpu"));
        add(&mut row.memory.capacity, node.pointer("/status/allocatable/memory"));
        rows.insert(name.to_owned(), row);
    }
    for pod in pods {
        if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
            continue;
        }
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let key = match by {
            By::Nodes => text(pod, "/spec/nodeName").to_owned(),
            By::Namespaces => namespace.to_owned(),
            By::Workloads => format!("{namespace}/{}", owner(pod)),
            By::Pods => format!("{namespace}/{name}"),
        };
        if key.is_empty() {
            continue;
        }
        let row = rows.entry(key).or_default();
        for container in list(pod, "/spec/containers") {
            add(&mut row.cpu.requests, container.pointer("/resources/requests/cpu"));
            add(&mut row.cpu.limits, container.pointer("/resources/limits/cpu"));
            add(&mut row.memory.requests, container.pointer("/resources/requests/memory"));
            add(&mut row.memory.limits, container.pointer("/resources/limits/memory"));
        }
        if by != By::Nodes
            && let Some(used) = measured.get(&(namespace, name))
        {
            plus(&mut row.cpu.used, used.cpu.used);
            plus(&mut row.memory.used, used.memory.used);
        }
    }
    rows
}

/// The workload a pod belongs to: its owner, less the hash a replica set's name ends with.
pub(super) fn owner(pod: &Value) -> &str {
    let owner = text(pod, "/metadata/ownerReferences/0/name");
    let hash = text(pod, "/metadata/labels/pod-template-hash");
    match owner {
        "" => text(pod, "/metadata/name"),
        owner if hash.is_empty() => owner,
        owner => owner.strip_suffix(hash).and_then(|o| o.strip_suffix('-')).unwrap_or(owner),
    }
}

fn add(sum: &mut Option<f64>, quantity: Option<&Value>) {
    let number = match quantity {
        Some(Value::String(text)) => quantity::parse(text),
        Some(Value::Number(number)) => number.as_f64(),
        _ => None,
    };
    plus(sum, number);
}

fn plus(sum: &mut Option<f64>, number: Option<f64>) {
    if let Some(number) = number {
        *sum = Some(sum.unwrap_or(0.0) + number);
    }
}

fn table(
    mut found: Evidence,
    context: &ToolContext,
    place: &str,
    rows: BTreeMap<String, Row>,
    shape: &Shape,
) -> Evidence {
    let (lang, sort, by) = (context.lang, shape.input.sort_by, shape.by);
    let mut rows: Vec<(String, Row)> = rows.into_iter().collect();
    let key = |row: &Row| {
        let figures = if sort == Sort::Memory { row.memory } else { row.cpu };
        figures.used.or(figures.requests).unwrap_or(0.0)
    };
    rows.sort_by(|a, b| key(&b.1).partial_cmp(&key(&a.1)).unwrap_or(Ordering::Equal));
    let (unit_zh, unit_en) = by.words();
    let what = if sort == Sort::Memory { ("内存", "memory") } else { ("CPU", "CPU") };
    found.title = say(
        lang,
        format!("{place}：{} 个{unit_zh}的资源用量，按{}排序", rows.len(), what.0),
        format!("{place}: resource usage of {} {unit_en}, by {}", rows.len(), what.1),
    );
    let mut names = vec![("名称", "Name"), ("CPU 用量", "CPU used"), ("CPU 请求", "CPU requests")];
    let nodes = by == By::Nodes;
    names.push(if nodes {
        ("CPU 可分配", "CPU allocatable")
    } else {
        ("CPU 上限", "CPU limits")
    });
    names.extend([("内存用量", "Memory used"), ("内存请求", "Memory requests")]);
    names.push(if nodes {
        ("内存可分配", "Memory allocatable")
    } else {
        ("内存上限", "Memory limits")
    });
    found.columns = columns(lang, &names);
    found.summary = highest(lang, sort, &rows);
    let mut data = Vec::new();
    for (name, row) in &rows {
        let mut cells = vec![name.clone()];
        for (figures, write) in
            [(row.cpu, quantity::cores as fn(f64) -> String), (row.memory, quantity::bytes)]
        {
            let top = if nodes { figures.capacity } else { figures.limits };
            let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), write);
            let share = |value: Option<f64>| match (value, top.filter(|top| *top > 0.0)) {
                (Some(value), Some(top)) => {
                    format!("{} ({:.0}%)", write(value), value / top * 100.0)
                }
                (value, _) => show(value),
            };
            cells.extend([share(figures.used), share(figures.requests), show(top)]);
        }
        found.rows.push(cells);
        data.push(json!({
            "name": name, "cpu_used": row.cpu.used, "cpu_requests": row.cpu.requests,
            "memory_used": row.memory.used, "memory_requests": row.memory.requests,
        }));
    }
    data.truncate(30);
    found.data = Value::Array(data);
    clip(&mut found, lang, shape.input.top.unwrap_or(20).clamp(1, 100), 0);
    if !shape.measured {
        let note = say(
            lang,
            "没有 metrics-server 或无权查看它，无法得知实际用量",
            "actual use is not known: no metrics server runs, or you may not read it",
        );
        found.truncated = Some(match found.truncated.take() {
            Some(other) => format!("{note}; {other}"),
            None => note,
        });
    }
    found
}

/// The three that use most, and all of them together.
fn highest(lang: Lang, sort: Sort, rows: &[(String, Row)]) -> Vec<String> {
    let told = |(name, row): &(String, Row)| {
        let (cpu, memory) =
            (told(lang, row.cpu, quantity::cores), told(lang, row.memory, quantity::bytes));
        let (cpu, memory) =
            (format!("CPU {cpu}"), format!("{} {memory}", say(lang, "内存", "memory")));
        let both = if sort == Sort::Memory { [memory, cpu] } else { [cpu, memory] };
        format!("{name}{}{}", say(lang, "：", ": "), both.join(&say(lang, "，", ", ")))
    };
    let mut found: Vec<String> = rows.iter().take(3).map(told).collect();
    if rows.len() > 1 {
        let sum =
            |of: fn(&Row) -> Figures| rows.iter().filter_map(|(_, row)| of(row).used).sum::<f64>();
        let (cpu, memory) = (quantity::cores(sum(|r| r.cpu)), quantity::bytes(sum(|r| r.memory)));
        found.push(say(
            lang,
            format!("合计用了 CPU {cpu}、内存 {memory}。"),
            format!("In all: CPU {cpu} and memory {memory} used."),
        ));
    }
    found
}

/// What is used, and of how much.
fn told(lang: Lang, figures: Figures, write: fn(f64) -> String) -> String {
    let used = figures.used.map_or_else(|| say(lang, "未知", "unknown"), write);
    let share = |top: f64| figures.used.map_or(0.0, |used| used / top * 100.0);
    match (
        figures.capacity.filter(|c| *c > 0.0),
        figures.limits.filter(|l| *l > 0.0),
        figures.requests,
    ) {
        (Some(top), ..) => say(
            lang,
            format!("{used}（可分配 {} 的 {:.0}%）", write(top), share(top)),
            format!("{used} ({:.0}% of {} allocatable)", share(top), write(top)),
        ),
        (None, Some(top), _) => say(
            lang,
            format!("{used}（上限 {} 的 {:.0}%）", write(top), share(top)),
            format!("{used} ({:.0}% of its limit {})", share(top), write(top)),
        ),
        (None, None, Some(wanted)) => say(
            lang,
            format!("{used}（请求 {}，没有上限）", write(wanted)),
            format!("{used} (requests {}, no limit)", write(wanted)),
        ),
        (None, None, None) => {
            say(lang, format!("{used}（没有请求和上限）"), format!("{used} (no request, no limit)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, cpu: &str) -> Value {
        json!({"metadata": {"namespace": "a", "name": name, "labels": {"pod-template-hash": "5f"},
                "ownerReferences": [{"name": "web-5f"}]},
            "spec": {"nodeName": "n1", "containers": [{"resources": {
                "requests": {"cpu": cpu, "memory": "64Mi"}, "limits": {"memory": "128Mi"}}}]},
            "status": {"phase": "Running"}})
    }

    #[test]
    fn pods_are_summed_by_what_was_asked() {
        let pods = [pod("web-5f-1", "100m"), pod("web-5f-2", "0.1")];
        let usage = [json!({"metadata": {"namespace": "a", "name": "web-5f-1"},
            "containers": [{"usage": {"cpu": "50m", "memory": "32Mi"}}]})];
        let by_workload = rows(By::Workloads, &pods, &[], Some(&usage));
        let web = by_workload["a/web"];
        assert!((web.cpu.requests.unwrap() - 0.2).abs() < 1e-9);
        assert_eq!(web.cpu.used, Some(0.05));
        assert_eq!(web.cpu.limits, None);
        assert_eq!(web.memory.limits, Some(256.0 * 1024.0 * 1024.0));
        let nodes = [
            json!({"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi"}}}),
        ];
        let by_node = rows(By::Nodes, &pods, &nodes, None);
        assert_eq!(by_node["n1"].cpu.capacity, Some(4.0));
        assert_eq!(by_node["n1"].cpu.used, None);
        assert_eq!(rows(By::Pods, &pods, &[], None).len(), 2);
    }
}
