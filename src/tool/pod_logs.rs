//! Log lines of a workload's pods or of one pod, merged by time, masked.

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    read::{Span, When, ambiguous, evidence, failed, list, pods_of, say, text, workloads},
    target::arguments,
};
use crate::{
    cluster::{Cluster, ClusterError, LogQuery, Selection, View},
    domain::{Evidence, Lang},
};

/// Reads logs.
pub(super) struct PodLogs {
    pub(super) cluster: Cluster,
}

#[derive(Deserialize)]
struct Arguments {
    workload: Option<String>,
    pod: Option<String>,
    namespace: Option<String>,
    container: Option<String>,
    #[serde(default)]
    previous: bool,
    #[serde(flatten)]
    when: When,
    grep: Option<String>,
    tail: Option<usize>,
}

/// Pods read at most.
const MAX_PODS: usize = 10;
/// Lines shown unless asked otherwise, and at most.
const TAIL: (usize, usize) = (100, 500);
/// Lines read of each container when they are searched.
const SEARCHED: u64 = 5_000;
/// Bytes of text shown.
const MAX_TEXT: usize = 32 * 1024;
/// Characters of a line told in the summary.
const SHOWN: usize = 240;
/// Containers read at once.
const CONCURRENCY: usize = 5;
/// Words of lines that tell of something wrong.
const ERRORS: [&str; 6] = ["error", "fatal", "panic", "exception", "错误", "失败"];

#[async_trait]
impl Tool for PodLogs {
    fn name(&self) -> &'static str {
        "pod_logs"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let lang = context.lang;
        let fail = |error: ClusterError| failed(lang, error);
        let view = self.cluster.as_actor(&context.actor).map_err(fail)?;
        let (name, pods) = pods(&view, context, &input).await?;
        let span = input.when.span(context)?;
        let wanted = queries(&pods, &input, &span);
        if wanted.is_empty() {
            return Err(ToolError::Respond(say(
                lang,
                format!("{name} 没有正在运行的 pod，也没有名为该容器的日志"),
                format!("{name} has no pods with such a container, so there are no logs"),
            )));
        }
        let query = wanted.iter().map(LogQuery::shown).collect::<Vec<_>>().join("\n");
        let view = &view;
        let logs = stream::iter(wanted.clone())
            .map(|query| async move { read(view, &query).await })
            .buffered(CONCURRENCY);
        let logs: Vec<_> = logs.collect().await;
        let mut lines = Vec::new();
        let mut failures = Vec::new();
        for (query, log) in wanted.iter().zip(logs) {
            match log {
                Ok(log) => {
                    let within = log.into_iter().filter(|line| span.holds(time_of(line)));
                    lines.extend(within.map(|line| (source(query), line)));
                }
                Err(error) => failures.push(error),
            }
        }
        if lines.is_empty()
            && let Some(error) = failures.into_iter().next()
        {
            return Err(fail(error));
        }
        // each line begins with its time
        lines.sort_by(|a, b| a.1.cmp(&b.1));
        let found = evidence(self.name(), context, String::new(), query);
        let name = name + &span.shown;
        Ok(ToolOutput::Evidence(vec![shape(found, context, &name, lines, &input)]))
    }
}

/// The pods meant and what to call them.
async fn pods(
    view: &View,
    context: &ToolContext,
    input: &Arguments,
) -> Result<(String, Vec<Value>), ToolError> {
    let lang = context.lang;
    let namespace = input.namespace.as_deref();
    let fail = |error: ClusterError| failed(lang, error);
    let named = match (&input.pod, &input.workload) {
        (Some(pod), _) => pod,
        (None, Some(workload)) => match workloads(context, workload, namespace, None).as_slice() {
            [one] => {
                let (_, mut pods) = pods_of(view, &one.object).await.map_err(fail)?;
                pods.truncate(MAX_PODS);
                let (namespace, name) = (one.object.namespace.as_deref(), &one.object.name);
                return Ok((namespace.map_or(name.clone(), |n| format!("{n}/{name}")), pods));
            }
            [] => workload,
            several => {
                let names: Vec<String> = several.iter().map(|w| w.object.to_string()).collect();
                return Err(ambiguous(lang, workload, &names));
            }
        },
        (None, None) => {
            return Err(ToolError::Respond(say(
                lang,
                "请说明要看哪个工作负载或 pod 的日志",
                "say whose logs: a workload or a pod",
            )));
        }
    };
    // a pod by name, or by the beginning of its name
    let listed = view.list_named("pods", &Selection::namespace(namespace)).await.map_err(fail)?;
    let pod_name = |pod: &Value| text(pod, "/metadata/name").to_owned();
    let mut found: Vec<Value> =
        listed.items.iter().filter(|pod| pod_name(pod) == *named).cloned().collect();
    if found.is_empty() {
        let dashed = format!("{named}-");
        found = listed.items.into_iter().filter(|pod| pod_name(pod).starts_with(&dashed)).collect();
    }
    if found.is_empty() {
        return Err(ToolError::Respond(say(
            lang,
            format!("没有名为 {named} 的工作负载或 pod"),
            format!("there is no workload or pod {named}"),
        )));
    }
    found.truncate(MAX_PODS);
    Ok((named.clone(), found))
}

/// One query per container: the named one, or all of the pod's own.
fn queries(pods: &[Value], input: &Arguments, span: &Span) -> Vec<LogQuery> {
    let mut found = Vec::new();
    // the API cannot end a span: the lines after it are read too and left out
    let searched = input.grep.is_some() || span.until.is_some();
    let tail = input.tail.unwrap_or(TAIL.0).clamp(1, TAIL.1) as u64;
    for pod in pods {
        for container in list(pod, "/spec/containers") {
            let name = text(container, "/name");
            if input.container.as_ref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            found.push(LogQuery {
                namespace: text(pod, "/metadata/namespace").to_owned(),
                pod: text(pod, "/metadata/name").to_owned(),
                container: Some(name.to_owned()),
                // of a container that is down, the kubelet gives the run that ended
                previous: input.previous,
                since: span.since,
                tail: Some(if searched { SEARCHED } else { tail }),
            });
        }
    }
    found
}

/// The log; of the current run when there was none before.
async fn read(view: &View, query: &LogQuery) -> Result<Vec<String>, ClusterError> {
    match view.logs(query).await {
        Err(ClusterError::Refused(_) | ClusterError::NotFound(_)) if query.previous => {
            view.logs(&LogQuery { previous: false, ..query.clone() }).await
        }
        other => other,
    }
}

/// When a line was written: each begins with its time.
fn time_of(line: &str) -> Option<Timestamp> {
    line.split(' ').next()?.parse().ok()
}

fn source(query: &LogQuery) -> String {
    format!("{}/{}", query.pod, query.container.as_deref().unwrap_or_default())
}

fn shape(
    mut found: Evidence,
    context: &ToolContext,
    name: &str,
    lines: Vec<(String, String)>,
    input: &Arguments,
) -> Evidence {
    let read = lines.len();
    let mut lines = lines;
    if let Some(grep) = &input.grep {
        let wanted = grep.to_lowercase();
        lines.retain(|(_, line)| line.to_lowercase().contains(&wanted));
    }
    let matching = lines.len();
    let errors = lines.iter().filter(|(_, line)| tells_error(line)).count();
    let tail = input.tail.unwrap_or(TAIL.0).clamp(1, TAIL.1);
    let mut shown: Vec<String> = Vec::new();
    let mut bytes = 0;
    let mut sources: Vec<&str> = lines.iter().map(|(source, _)| source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    for (source, line) in lines.iter().rev().take(tail) {
        let line = if sources.len() > 1 { format!("[{source}] {line}") } else { line.clone() };
        bytes += line.len() + 1;
        if bytes > MAX_TEXT {
            break;
        }
        shown.push(line);
    }
    shown.reverse();
    let (lang, count) = (context.lang, shown.len());
    found.title = match &input.grep {
        Some(grep) => say(
            lang,
            format!("{name}：{read} 行日志中有 {matching} 行包含“{grep}”"),
            format!("{name}: {matching} of {read} log lines contain '{grep}'"),
        ),
        None => say(
            lang,
            format!("{name}：最近 {count} 行日志，其中 {errors} 行像是错误"),
            format!("{name}: the last {count} log lines, {errors} of them look like errors"),
        ),
    };
    if shown.len() < matching {
        found.truncated = Some(say(
            lang,
            format!("共 {matching} 行，只显示最后 {count} 行"),
            format!("the last {count} of {matching} lines"),
        ));
    }
    found.summary = telling(lang, &lines);
    found.data = json!({ "lines": matching, "read": read, "errors": errors, "sources": sources });
    found.text = Some(shown.join("\n"));
    found
}

/// The latest lines that tell of errors, one of a kind; without any, the last line.
fn telling(lang: Lang, lines: &[(String, String)]) -> Vec<String> {
    let mut kinds: Vec<(String, &str, usize)> = Vec::new();
    for (_, line) in lines.iter().rev().filter(|(_, line)| tells_error(line)) {
        let pattern: String =
            line.chars().skip_while(|c| *c != ' ').filter(|c| !c.is_ascii_digit()).collect();
        match kinds.iter_mut().find(|(known, ..)| *known == pattern) {
            Some((.., count)) => *count += 1,
            None => kinds.push((pattern, line, 1)),
        }
    }
    kinds.truncate(3);
    let short = |line: &str| line.chars().take(SHOWN).collect::<String>();
    if kinds.is_empty() {
        let last = lines.last().map(|(_, line)| short(line));
        return last
            .map(|line| say(lang, format!("最后一行：{line}"), format!("Last line: {line}")))
            .into_iter()
            .collect();
    }
    let told = |(_, line, count): &(String, &str, usize)| match count {
        1 => short(line),
        _ => say(
            lang,
            format!("{}（{count} 次）", short(line)),
            format!("{} ({count} times)", short(line)),
        ),
    };
    kinds.iter().map(told).collect()
}

fn tells_error(line: &str) -> bool {
    let line = line.to_lowercase();
    ERRORS.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_container_is_read_unless_one_is_named() {
        let pod = json!({
            "metadata": {"namespace": "a", "name": "p-1"},
            "spec": {"containers": [{"name": "main"}, {"name": "side"}]},
        });
        let input: Arguments =
            serde_json::from_value(json!({"workload": "p", "tail": 5, "previous": true})).unwrap();
        let found = queries(std::slice::from_ref(&pod), &input, &Span::default());
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0].shown(),
            "GET /api/v1/namespaces/a/pods/p-1/log?container=main&previous=true&tailLines=5&timestamps=true&limitBytes=1048576"
        );
        let only: Arguments =
            serde_json::from_value(json!({"workload": "p", "container": "side"})).unwrap();
        assert_eq!(queries(&[pod], &only, &Span::default()).len(), 1);
    }
}
