//! What is wrong right now: pods, workloads, nodes, volumes, quotas, services and warnings, ranked, with cause and advice.

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    diagnose::{Problem, Teller, World, diagnose},
    read::{MAX_ROWS, clip, columns, evidence, failed, say, workload},
    target::arguments,
};
use crate::{
    cluster::{Cluster, ClusterError, Listed, Selection, View},
    domain::{Evidence, Lang, Severity},
};

/// Finds problems.
pub(super) struct Problems {
    pub(super) cluster: Cluster,
}

#[derive(Deserialize)]
struct Arguments {
    namespace: Option<String>,
    workload: Option<String>,
}

/// The kinds that are looked at, in the order of [`World`]'s lists.
const KINDS: [&str; 11] = [
    "pods",
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "nodes",
    "events",
    "persistentvolumeclaims",
    "resourcequotas",
    "horizontalpodautoscalers.autoscaling",
    "services",
];
/// Problems told in sentences.
const SUMMED_UP: usize = 3;
/// Lists in flight at once.
const CONCURRENCY: usize = 6;

#[async_trait]
impl Tool for Problems {
    fn name(&self) -> &'static str {
        "problems"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let lang = context.lang;
        let about = match &input.workload {
            Some(name) => Some(workload(context, name, input.namespace.as_deref(), None)?),
            None => None,
        };
        let namespace = about.map_or(input.namespace.as_deref(), |w| w.object.namespace.as_deref());
        let view = self.cluster.as_actor(&context.actor).map_err(|error| failed(lang, error))?;
        let (world, unread) = look(&view, namespace).await.map_err(|error| failed(lang, error))?;
        let mut found = diagnose(&world, Teller { lang, now: context.now });
        if let Some(workload) = about {
            let dashed = format!("{}-", workload.object.name);
            found.retain(|p| p.name == workload.object.name || p.name.starts_with(&dashed));
        } else if namespace.is_some() {
            found.retain(|p| Some(p.namespace.as_str()) == namespace || p.namespace.is_empty());
        }
        let place = match (about, namespace) {
            (Some(workload), _) => workload.object.to_string(),
            (None, Some(namespace)) => namespace.to_owned(),
            (None, None) => say(lang, "集群", "the cluster"),
        };
        let checked = if about.is_none() { looked_at(lang, &world) } else { String::new() };
        let query = format!("GET {}", KINDS.join(", "));
        let shaped = evidence(self.name(), context, title(lang, &place, &found, &checked), query);
        let mut shaped = table(shaped, lang, &found);
        if !unread.is_empty() {
            let unread = unread.join(", ");
            let note = say(
                lang,
                format!("没有权限查看：{unread}"),
                format!("not checked, not permitted: {unread}"),
            );
            shaped.truncated = Some(match shaped.truncated.take() {
                Some(other) => format!("{other}; {note}"),
                None => note,
            });
        }
        Ok(ToolOutput::Evidence(vec![shaped]))
    }
}

/// Reads everything that is looked at, as far as the caller may; names what they may not.
pub(super) async fn look(
    view: &View,
    namespace: Option<&str>,
) -> Result<(World, Vec<&'static str>), ClusterError> {
    let lists = stream::iter(KINDS.map(|kind| async move {
        (kind, view.list_named(kind, &Selection::namespace(namespace)).await)
    }));
    let lists: Vec<_> = lists.buffered(CONCURRENCY).collect().await;
    let mut world = World::default();
    let mut unread = Vec::new();
    for (kind, listed) in lists {
        let items = match listed {
            Ok(Listed { items, .. }) => items,
            Err(ClusterError::Forbidden(_)) => {
                unread.push(kind);
                continue;
            }
            // a kind this cluster does not serve has no problems
            Err(ClusterError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        match kind {
            "pods" => world.pods = items,
            "nodes" => world.nodes = items,
            "events" => world.events = items,
            "persistentvolumeclaims" => world.claims = items,
            "resourcequotas" => world.quotas = items,
            "services" => world.services = items,
            "horizontalpodautoscalers.autoscaling" => world.autoscalers = items,
            _ => world.workloads.extend(items),
        }
    }
    Ok((world, unread))
}

/// How much was looked at, for when nothing was found.
fn looked_at(lang: Lang, world: &World) -> String {
    let (workloads, pods, nodes) = (world.workloads.len(), world.pods.len(), world.nodes.len());
    say(
        lang,
        format!("（检查了 {workloads} 个工作负载、{pods} 个 pod、{nodes} 个节点）"),
        format!(" (checked {workloads} workloads, {pods} pods, {nodes} nodes)"),
    )
}

fn title(lang: Lang, place: &str, found: &[Problem], checked: &str) -> String {
    let real = found.iter().filter(|p| p.severity > Severity::Info).count();
    let severe = found.iter().filter(|p| p.severity == Severity::Error).count();
    if real == 0 {
        return say(
            lang,
            format!("{place}：没有发现问题{checked}"),
            format!("{place}: no problems found{checked}"),
        );
    }
    let problems = if real == 1 { "problem" } else { "problems" };
    say(
        lang,
        format!("{place}：{real} 个问题，其中 {severe} 个严重"),
        format!("{place}: {real} {problems}, {severe} severe"),
    )
}

fn table(mut found: Evidence, lang: Lang, problems: &[Problem]) -> Evidence {
    found.columns = columns(
        lang,
        &[
            ("级别", "Severity"),
            ("对象", "Object"),
            ("问题", "Problem"),
            ("原因", "Cause"),
            ("详情", "Detail"),
            ("建议", "Advice"),
        ],
    );
    found.rows = problems.iter().map(|problem| row(lang, problem)).collect();
    let real = problems.iter().filter(|p| p.severity > Severity::Info);
    found.summary = real.take(SUMMED_UP).map(|problem| problem.sentence(lang)).collect();
    found.data =
        serde_json::to_value(&problems[..problems.len().min(MAX_ROWS)]).unwrap_or_default();
    clip(&mut found, lang, MAX_ROWS, 0);
    found
}

fn row(lang: Lang, problem: &Problem) -> Vec<String> {
    let severity = match problem.severity {
        Severity::Error => say(lang, "严重", "severe"),
        Severity::Warning => say(lang, "警告", "warning"),
        Severity::Info => say(lang, "提示", "note"),
    };
    vec![
        severity,
        problem.object(),
        problem.what(),
        problem.cause.clone(),
        problem.detail.trim().to_owned(),
        problem.advice.clone(),
    ]
}
