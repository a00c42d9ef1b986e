//! Events of a namespace, an object or the whole cluster: warnings first, repeated ones as one row.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    read::{MAX_ROWS, When, age, clip, columns, evidence, failed, number, say, text, time},
    target::arguments,
};
use crate::cluster::mask_line;
use crate::{
    cluster::{Cluster, ClusterError, Listed, Selection, View},
    domain::Evidence,
};

/// Reads events.
pub(super) struct Events {
    pub(super) cluster: Cluster,
}

#[derive(Deserialize)]
struct Arguments {
    namespace: Option<String>,
    name: Option<String>,
    #[serde(default)]
    warnings_only: bool,
    #[serde(flatten)]
    when: When,
}

#[async_trait]
impl Tool for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let view = self.cluster.as_actor(&context.actor);
        let listed = match view {
            Ok(view) => fetch(&view, input.namespace.as_deref(), None).await,
            Err(error) => Err(error),
        };
        let Listed { mut items, query, .. } =
            listed.map_err(|error| failed(context.lang, error))?;
        if let Some(name) = &input.name {
            let dashed = format!("{name}-");
            // a workload's events are those of its pods and replica sets too
            items.retain(|event| {
                let about = text(event, "/involvedObject/name");
                about == name || about.starts_with(&dashed)
            });
        }
        if input.warnings_only {
            items.retain(|event| text(event, "/type") == "Warning");
        }
        let span = input.when.span(context)?;
        items.retain(|event| span.holds(last_seen(event)));
        let place = match (input.namespace, input.name) {
            (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}")),
            (namespace, name) => name.or(namespace),
        };
        let place = place.unwrap_or_else(|| say(context.lang, "整个集群", "the whole cluster"))
            + &span.shown;
        Ok(ToolOutput::Evidence(vec![table(self.name(), context, &place, &items, query)]))
    }
}

/// Events of a namespace, optionally of the objects a field selector names.
pub(super) async fn fetch(
    view: &View,
    namespace: Option<&str>,
    fields: Option<String>,
) -> Result<Listed, ClusterError> {
    let which = Selection { fields, ..Selection::namespace(namespace) };
    view.list_named("events", &which).await
}

/// When an event was last seen.
pub(super) fn last_seen(event: &Value) -> Option<Timestamp> {
    ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
        .iter()
        .find_map(|field| time(event, field))
}

/// What repeated events have in common: whether they are normal, reason, kind and name of the object, message.
type Repeated<'a> = (bool, &'a str, &'a str, &'a str, &'a str);

/// Events as a table about `place`.
pub(super) fn table(
    tool: &str,
    context: &ToolContext,
    place: &str,
    events: &[Value],
    query: String,
) -> Evidence {
    let lang = context.lang;
    let mut grouped: BTreeMap<Repeated<'_>, (u64, Option<Timestamp>)> = BTreeMap::new();
    for event in events {
        let object = &event["involvedObject"];
        let normal = text(event, "/type") != "Warning";
        let key = (
            normal,
            text(event, "/reason"),
            text(object, "/kind"),
            text(object, "/name"),
            text(event, "/message"),
        );
        let group = grouped.entry(key).or_default();
        let count = number(event, "/series/count").or_else(|| number(event, "/count"));
        group.0 += count.unwrap_or(1).max(1);
        group.1 = group.1.max(last_seen(event));
    }
    let mut groups: Vec<_> = grouped.into_iter().collect();
    groups.sort_by_key(|((normal, ..), (_, seen))| (*normal, std::cmp::Reverse(*seen)));
    let warnings = groups.iter().filter(|((normal, ..), _)| !normal).count();
    let total = groups.len();
    let title = say(
        lang,
        format!("{place}：{total} 种事件，其中 {warnings} 种警告"),
        format!("{total} different events of {place}, {warnings} of them warnings"),
    );
    let mut found = evidence(tool, context, title, query);
    found.columns = columns(
        lang,
        &[
            ("最近", "Last seen"),
            ("类型", "Type"),
            ("原因", "Reason"),
            ("对象", "Object"),
            ("次数", "Count"),
            ("消息", "Message"),
        ],
    );
    let telling = groups.iter().filter(|((normal, ..), _)| !normal).take(3);
    let telling: Vec<_> =
        if warnings > 0 { telling.collect() } else { groups.iter().take(1).collect() };
    let sentence = |((_, reason, kind, name, message), (count, seen)): &&(
        Repeated<'_>,
        (u64, Option<Timestamp>),
    )| {
        let (ago, message) = (age(context.now, *seen), mask_line(message));
        say(
            lang,
            format!("{kind}/{name} {reason}：{message}（{count} 次，最近在 {ago} 前）"),
            format!("{kind}/{name} {reason}: {message} ({count} times, last {ago} ago)"),
        )
    };
    found.summary = telling.iter().map(sentence).collect();
    for ((normal, reason, kind, name, message), (count, seen)) in groups {
        found.rows.push(vec![
            age(context.now, seen),
            if normal { "Normal" } else { "Warning" }.to_owned(),
            reason.to_owned(),
            format!("{kind}/{name}"),
            count.to_string(),
            mask_line(message),
        ]);
    }
    found.data = json!({ "events": total, "warnings": warnings });
    clip(&mut found, lang, MAX_ROWS, 0);
    found
}
