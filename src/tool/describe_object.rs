//! One object in detail: what it is meant to be, how it is, who owns it, and its recent events.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Tool, ToolContext, ToolError, ToolOutput, events,
    read::{MAX_ROWS, age, ambiguous, clip, columns, evidence, failed, list, say, text, time},
    target::arguments,
};
use crate::{
    cluster::{Cluster, ClusterError, Kind, Selection, View},
    domain::{Evidence, ObjectRef},
    reconcile,
};

/// Describes an object.
pub(super) struct DescribeObject {
    pub(super) cluster: Cluster,
}

#[derive(Deserialize)]
struct Arguments {
    kind: String,
    name: String,
    namespace: Option<String>,
}

/// Longest value shown in a row.
const MAX_VALUE: usize = 300;

#[async_trait]
impl Tool for DescribeObject {
    fn name(&self) -> &'static str {
        "describe_object"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let lang = context.lang;
        let fail = |error: ClusterError| failed(lang, error);
        let view = self.cluster.as_actor(&context.actor).map_err(fail)?;
        let kind = view.kind(&input.kind).await.map_err(fail)?;
        let found = candidates(&view, &kind, &input).await.map_err(fail)?;
        let object = match found.as_slice() {
            [one] => one,
            [] => {
                return Err(ToolError::Respond(say(
                    lang,
                    format!("没有名为 {} 的 {}", input.name, kind.kind),
                    format!("there is no {} {}", kind.kind, input.name),
                )));
            }
            several => {
                let names: Vec<String> =
                    several.iter().filter_map(ObjectRef::of).map(|o| o.to_string()).collect();
                return Err(ambiguous(lang, &input.name, &names));
            }
        };
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
        let query = kind.path(namespace, Some(&input.name)).map_err(fail)?;
        let mut result = vec![describe(self.name(), context, object, format!("GET {query}"))];
        let fields =
            format!("involvedObject.name={},involvedObject.kind={}", input.name, kind.kind);
        // events are an extra: without them the description still stands
        if let Ok(listed) = events::fetch(&view, namespace, Some(fields)).await
            && !listed.items.is_empty()
        {
            let place = format!("{} {}", kind.kind, input.name);
            result.push(events::table(self.name(), context, &place, &listed.items, listed.query));
        }
        Ok(ToolOutput::Evidence(result))
    }
}

async fn candidates(
    view: &View,
    kind: &Kind,
    input: &Arguments,
) -> Result<Vec<Value>, ClusterError> {
    if !kind.namespaced || input.namespace.is_some() {
        return match view.object(kind, input.namespace.as_deref(), &input.name).await {
            Ok(object) => Ok(vec![object]),
            Err(ClusterError::NotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
    }
    let fields = Some(format!("metadata.name={}", input.name));
    Ok(view.list(kind, &Selection { fields, ..Selection::default() }).await?.items)
}

fn describe(tool: &str, context: &ToolContext, object: &Value, query: String) -> Evidence {
    let lang = context.lang;
    let name = ObjectRef::of(object).map_or_else(String::new, |object| object.to_string());
    let (health, why) = reconcile::assess(object, &[]);
    let health = format!("{health:?}").to_lowercase();
    let title = match why.as_str() {
        "" => format!("{name}: {health}"),
        why => format!("{name}: {health} ({why})"),
    };
    let mut found = evidence(tool, context, title, query);
    found.columns = columns(lang, &[("字段", "Field"), ("值", "Value")]);
    let mut row = |field: &str, value: String| {
        if !value.is_empty() {
            found.rows.push(vec![field.to_owned(), shorten(&value)]);
        }
    };
    row(&say(lang, "创建于", "created"), created(context, object));
    for owner in list(object, "/metadata/ownerReferences") {
        row(
            &say(lang, "属于", "owned by"),
            format!("{}/{}", text(owner, "/kind"), text(owner, "/name")),
        );
    }
    row(&say(lang, "标签", "labels"), pairs(object.pointer("/metadata/labels")));
    row(&say(lang, "注解", "annotations"), pairs(object.pointer("/metadata/annotations")));
    for top in ["spec", "data", "stringData", "rules", "subjects", "roleRef", "type"] {
        flatten(top, object.get(top), 0, &mut row);
    }
    for condition in list(object, "/status/conditions") {
        let (status, reason) = (text(condition, "/status"), text(condition, "/reason"));
        let message = text(condition, "/message");
        let kind = text(condition, "/type");
        let field = say(lang, format!("状况 {kind}"), format!("condition {kind}"));
        row(&field, format!("{status} {reason} {message}").trim().to_owned());
    }
    let status: Map<String, Value> = object
        .get("status")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "conditions")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    flatten("status", Some(&Value::Object(status)), 0, &mut row);
    found.data = trimmed(object);
    clip(&mut found, lang, MAX_ROWS * 3, 0);
    found
}

fn created(context: &ToolContext, object: &Value) -> String {
    let created = time(object, "/metadata/creationTimestamp");
    let Some(at) = created else { return String::new() };
    say(
        context.lang,
        format!("{at}（{} 前）", age(context.now, created)),
        format!("{at} ({} ago)", age(context.now, created)),
    )
}

fn pairs(map: Option<&Value>) -> String {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", plain(value))).collect();
    pairs.join(", ")
}

/// Levels shown as rows of their own.
const DEPTH: usize = 9;

/// One row per leaf; what is deeper is one line of JSON.
fn flatten(path: &str, value: Option<&Value>, depth: usize, row: &mut impl FnMut(&str, String)) {
    match value {
        Some(Value::Object(map)) if depth < DEPTH && !map.is_empty() => {
            for (key, value) in map {
                // an item of a list is called by its name already
                if key == "name" && path.ends_with(&format!("[{}]", plain(value))) {
                    continue;
                }
                flatten(&format!("{path}.{key}"), Some(value), depth + 1, row);
            }
        }
        Some(Value::Array(items)) if depth < DEPTH && items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str);
                let place = name.map_or_else(|| index.to_string(), str::to_owned);
                flatten(&format!("{path}[{place}]"), Some(item), depth + 1, row);
            }
        }
        Some(value) => row(path, plain(value)),
        None => {}
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn shorten(value: &str) -> String {
    let line = value.trim().replace('\n', " ⏎ ");
    match line.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// The object without bookkeeping.
fn trimmed(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
        metadata.shift_remove("uid");
    }
    object
}
