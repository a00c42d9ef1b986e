//! What the read tools share: the caller's view of the cluster, naming what is asked about, and shaping evidence.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{ToolContext, ToolError};
use crate::{
    cluster::{ClusterError, Selection, View},
    domain::{Evidence, Lang, ObjectRef, Workload},
};

/// Rows of one evidence; what is beyond is left out, and said so.
pub(super) const MAX_ROWS: usize = 50;

/// The Chinese or the English text.
pub(super) fn say(lang: Lang, zh: impl Into<String>, en: impl Into<String>) -> String {
    match lang {
        Lang::Zh => zh.into(),
        Lang::En => en.into(),
    }
}

/// What a failed read means for the conversation: an unreachable cluster ends the turn, everything else is said.
pub(super) fn failed(lang: Lang, error: ClusterError) -> ToolError {
    match error {
        ClusterError::Unreachable(_) => ToolError::Fatal(anyhow::Error::new(error)),
        ClusterError::Forbidden(message) => ToolError::Respond(say(
            lang,
            format!("你的账号无权查看：{message}"),
            format!("your account may not read this: {message}"),
        )),
        ClusterError::NotFound(message) => {
            ToolError::Respond(say(lang, format!("没有找到：{message}"), message))
        }
        ClusterError::Refused(message) => {
            ToolError::Respond(say(lang, format!("集群拒绝了请求：{message}"), message))
        }
    }
}

/// Empty evidence of a tool about the cluster, asked now.
pub(super) fn evidence(
    tool: &str,
    context: &ToolContext,
    title: String,
    query: String,
) -> Evidence {
    Evidence {
        id: String::new(),
        tool: tool.to_owned(),
        title,
        summary: Vec::new(),
        source: "kubernetes".to_owned(),
        query,
        time: vec![context.now],
        link: None,
        columns: Vec::new(),
        rows: Vec::new(),
        text: None,
        data: Value::Null,
        truncated: None,
    }
}

/// Keeps the first rows and says how many were left out.
pub(super) fn clip(evidence: &mut Evidence, lang: Lang, limit: usize, more: usize) {
    let total = evidence.rows.len() + more;
    if total > limit.min(evidence.rows.len()) {
        evidence.rows.truncate(limit);
        let shown = evidence.rows.len();
        evidence.truncated = (total > shown).then(|| {
            say(
                lang,
                format!("共 {total} 行，只显示前 {shown} 行"),
                format!("the first {shown} of {total} rows"),
            )
        });
    }
}

/// Column headers in the operator's language.
pub(super) fn columns(lang: Lang, names: &[(&str, &str)]) -> Vec<String> {
    names.iter().map(|(zh, en)| say(lang, *zh, *en)).collect()
}

/// The text at `pointer`, or nothing.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at `pointer`.
pub(super) fn number(object: &Value, pointer: &str) -> Option<u64> {
    object.pointer(pointer).and_then(Value::as_u64)
}

/// The list at `pointer`, or nothing.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The time at `pointer`.
pub(super) fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

/// How long ago, as `kubectl` writes it: `45s`, `12m`, `3h`, `5d`.
pub(super) fn age(now: Timestamp, then: Option<Timestamp>) -> String {
    let Some(then) = then else { return String::new() };
    let seconds = (now.as_second() - then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The arguments that say when.
#[derive(Debug, Default, Deserialize)]
pub(super) struct When {
    since_minutes: Option<i64>,
    since: Option<String>,
    until: Option<String>,
}

/// The span of time a tool reads.
#[derive(Debug, Default)]
pub(super) struct Span {
    /// Not before.
    pub(super) since: Option<Timestamp>,
    /// Not after.
    pub(super) until: Option<Timestamp>,
    /// For titles: empty when everything is read.
    pub(super) shown: String,
}

impl When {
    /// The span that is meant.
    ///
    /// # Errors
    /// When a time is not one, or the span ends before it begins.
    pub(super) fn span(&self, context: &ToolContext) -> Result<Span, ToolError> {
        let lang = context.lang;
        let parse = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => text.parse::<Timestamp>().map(Some).map_err(|_| {
                ToolError::Respond(say(
                    lang,
                    format!("“{text}”不是时间；请写成 2026-03-09T21:30:00+08:00 这样"),
                    format!("'{text}' is not a time; write it like 2026-03-09T21:30:00+08:00"),
                ))
            }),
        };
        let (mut since, until) = (parse(&self.since)?, parse(&self.until)?);
        if let Some(minutes) = self.since_minutes {
            let from = context.now.checked_sub(SignedDuration::from_mins(minutes)).ok();
            since = since.max(from);
        }
        if let (Some(from), Some(to)) = (since, until)
            && from > to
        {
            return Err(ToolError::Respond(say(
                lang,
                "时间段的开始晚于结束，请换一个时间段",
                "the span of time ends before it begins; say another one",
            )));
        }
        Ok(Span { since, until, shown: self.shown(lang) })
    }

    fn shown(&self, lang: Lang) -> String {
        let short =
            |text: &str| text.replacen('T', " ", 1).replace(":00+", " +").replace(":00-", " -");
        let (since, until) = (self.since.as_deref().map(short), self.until.as_deref().map(short));
        match (self.since_minutes, since, until) {
            (Some(minutes), ..) => {
                say(lang, format!("，最近 {minutes} 分钟"), format!(", last {minutes} minutes"))
            }
            (None, Some(since), Some(until)) => {
                say(lang, format!("，{since} 至 {until}"), format!(", {since} to {until}"))
            }
            (None, Some(since), None) => {
                say(lang, format!("，{since} 起"), format!(", since {since}"))
            }
            (None, None, Some(until)) => {
                say(lang, format!("，{until} 之前"), format!(", until {until}"))
            }
            (None, None, None) => String::new(),
        }
    }
}

impl Span {
    /// Whether something that happened then is within; what has no time is.
    pub(super) fn holds(&self, at: Option<Timestamp>) -> bool {
        at.is_none_or(|at| {
            self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
        })
    }
}

/// Workloads of the inventory by name or alias; exact names win over aliases.
pub(super) fn workloads<'a>(
    context: &'a ToolContext,
    name: &str,
    namespace: Option<&str>,
    kind: Option<&str>,
) -> Vec<&'a Workload> {
    let fits = |workload: &&Workload| {
        let object = &workload.object;
        namespace.is_none_or(|namespace| object.namespace.as_deref() == Some(namespace))
            && kind.is_none_or(|kind| object.kind.eq_ignore_ascii_case(kind))
    };
    let all = || context.inventory.workloads.iter().filter(fits);
    let named: Vec<&Workload> = all().filter(|w| w.object.name == name).collect();
    if !named.is_empty() {
        return named;
    }
    all().filter(|w| w.aliases.iter().any(|alias| alias == name)).collect()
}

/// The one workload meant.
pub(super) fn workload<'a>(
    context: &'a ToolContext,
    name: &str,
    namespace: Option<&str>,
    kind: Option<&str>,
) -> Result<&'a Workload, ToolError> {
    match workloads(context, name, namespace, kind).as_slice() {
        [one] => Ok(one),
        [] => Err(ToolError::Respond(say(
            context.lang,
            format!("没有名为 {name} 的工作负载"),
            format!("there is no workload {name}"),
        ))),
        several => {
            let names: Vec<String> = several.iter().map(|w| w.object.to_string()).collect();
            Err(ambiguous(context.lang, name, &names))
        }
    }
}

/// Several objects answer to the name.
pub(super) fn ambiguous(lang: Lang, name: &str, names: &[String]) -> ToolError {
    let names = names.join(", ");
    ToolError::Respond(say(
        lang,
        format!("{name} 不止一个：{names}；请说明是哪一个"),
        format!("there are several {name}: {names}; say which one"),
    ))
}

/// The live object of a workload and its pods, newest first.
pub(super) async fn pods_of(
    view: &View,
    workload: &ObjectRef,
) -> Result<(Value, Vec<Value>), ClusterError> {
    let kind = view.kind(&kind_name(workload)).await?;
    let namespace = workload.namespace.as_deref();
    let object = view.object(&kind, namespace, &workload.name).await?;
    let job = || (workload.kind == "Job").then(|| format!("job-name={}", workload.name));
    let mut pods = match selector(&object).or_else(job) {
        Some(labels) => {
            let which = Selection { labels: Some(labels), ..Selection::namespace(namespace) };
            view.list_named("pods", &which).await?.items
        }
        None => Vec::new(),
    };
    if object["kind"] == "CronJob" {
        let prefix = format!("{}-", workload.name);
        let all = view.list_named("pods", &Selection::namespace(namespace)).await?.items;
        pods = all;
        pods.retain(|pod| text(pod, "/metadata/labels/job-name").starts_with(&prefix));
    }
    pods.sort_by(|a, b| {
        text(b, "/metadata/creationTimestamp").cmp(text(a, "/metadata/creationTimestamp"))
    });
    Ok((object, pods))
}

/// `deployments.apps` for an object of `apps/v1/Deployment`.
pub(super) fn kind_name(object: &ObjectRef) -> String {
    match object.group() {
        "" => object.kind.clone(),
        group => format!("{}s.{group}", object.kind.to_lowercase()),
    }
}

/// The label selector of a workload as text.
pub(super) fn selector(object: &Value) -> Option<String> {
    let selector = object.pointer("/spec/selector")?;
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let mut terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in list(selector, "/matchExpressions") {
        let key = text(expression, "/key");
        let values: Vec<&str> =
            list(expression, "/values").iter().filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_and_ages_are_written_as_kubectl_does() {
        let object = json!({"spec": {"selector": {
            "matchLabels": {"app": "a"},
            "matchExpressions": [{"key": "t", "operator": "In", "values": ["x", "y"]}, {"key": "z", "operator": "Exists"}],
        }}});
        assert_eq!(selector(&object).as_deref(), Some("app=a,t in (x,y),z"));
        let now: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
        for (then, shown) in [
            ("2026-11-23T05:59:30Z", "30s"),
            ("2026-11-23T05:30:00Z", "30m"),
            ("2026-11-22T06:00:00Z", "24h"),
            ("2026-11-01T06:00:00Z", "22d"),
        ] {
            assert_eq!(age(now, then.parse().ok()), shown);
        }
    }
}
