//! What the model may say about a change: it sees change tools whose arguments can only be names and values that the
//! operator said, its call is checked against the words, and it can only raise a doubt or make a suggestion.
//! A suggestion needs a yes unless the kind of value that was said asks for the same.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    ask::schema,
    clause::is_value,
    consult::request,
    draft::{Amount, Draft, Verb},
    lexicon::Sense,
    names::Names,
    read, reply,
    scan::{Item, What},
    session::Session,
    values,
};
use crate::{
    model::{ChatRequest, ModelError, Output, ToolCall, ToolSchema},
    tool::ToolSpec,
};

/// The values a call may contain.
struct Said {
    workloads: Vec<String>,
    numbers: Vec<i64>,
    images: Vec<String>,
    draft: Draft,
}

/// Asks the model what it would call; returns its verb when it is another one than code understood.
///
/// Only where every word the model needs was said in this message; a model that fails has no say.
pub(super) async fn second_opinion(
    session: &mut Session<'_>,
    call: &ToolCall,
    draft: &Draft,
    items: &[Item],
) -> Option<Verb> {
    let verb = draft.verb()?;
    let mut resources = draft.requests.values().chain(draft.limits.values());
    let plain = draft.amounts.iter().all(|a| matches!(a, Amount::To(_)))
        && !resources.any(|amount| amount.starts_with('×'));
    let named = items.iter().any(|i| i.name().is_some_and(|n| !n.workloads.is_empty()));
    let budget = &session.agent.parts.budget;
    if !budget.second_opinion || session.agent.parts.model.is_none() || !plain || !named {
        return None;
    }
    let workload = call.arguments.get("workload").and_then(Value::as_str)?.to_owned();
    let said = Said {
        workloads: vec![workload],
        numbers: numbers(items),
        images: draft.images.clone(),
        draft: draft.clone(),
    };
    let limit = Duration::from_secs(budget.opinion_seconds);
    let opinion = tokio::time::timeout(limit, choose(session, &said, items)).await;
    match opinion.unwrap_or_else(|_| Err(ModelError::Cancelled)) {
        Ok(Some(other)) => {
            other.verb().filter(|other| !is_spoken(verb, items) && doubts(draft, verb, *other))
        }
        Ok(None) => None,
        Err(error) => {
            session.because(&format!("the model has no opinion: {error}"));
            session.used_model = false;
            None
        }
    }
}

/// "roll x back": said in so many words, and for nothing else.
fn is_spoken(verb: Verb, items: &[Item]) -> bool {
    verb == Verb::Rollback && items.iter().any(|item| item.is(Sense::Rollback))
}

/// Whether another verb raises a doubt: not one that has no use for the value that was said, nor any where the kind of value
/// leaves no choice (a variable, an amount of memory, a version).
fn doubts(draft: &Draft, verb: Verb, other: Verb) -> bool {
    let valued = draft.has_value();
    let of_its_kind = matches!(verb, Verb::SetEnv | Verb::SetResources)
        || verb == Verb::SetImage && draft.images.iter().any(|image| image.contains('.'));
    let no_use = matches!(other, Verb::Restart | Verb::Rollback | Verb::Undo);
    other != verb && !(valued && (of_its_kind || no_use))
}

/// Asks the model what an unknown phrasing may mean; only a call whose every argument was said comes back.
///
/// # Errors
/// When the model fails.
pub(super) async fn suggestion(
    session: &mut Session<'_>,
    items: &[Item],
    names: &Names<'_>,
) -> Result<Option<Draft>, ModelError> {
    let mut draft = read::draft(items, names);
    draft.images = values::images(items, names);
    let workloads: Vec<String> = draft.targets.iter().flat_map(|t| t.names.clone()).collect();
    let said = Said {
        workloads,
        numbers: numbers(items),
        images: draft.images.clone(),
        draft: draft.clone(),
    };
    if said.workloads.is_empty() {
        return Ok(None);
    }
    let Some(mut chosen) = choose(session, &said, items).await? else { return Ok(None) };
    // names and places are read by code; the model only says which verb and which number
    chosen.targets = draft.targets;
    chosen.place = draft.place;
    Ok(Some(chosen))
}

/// The verb that the one value of a message is for, where one workload is named and nothing is asked, told or put off.
pub(super) fn by_value(items: &[Item]) -> Option<Verb> {
    use Sense::{Ask, AskEnd, Done, If, Later, Not, Reported, Told, What as Wonder, Why};
    let unsure = [Ask, AskEnd, Done, If, Later, Not, Reported, Told, Wonder, Why];
    let unsure = items.iter().any(|i| i.text == "?" || unsure.iter().any(|sense| i.is(*sense)));
    let named = items.iter().filter(|i| i.name().is_some_and(|n| n.workloads.len() == 1)).count();
    let mut values = items.iter().filter(|i| is_value(i));
    let (Some(value), None, 1, false) = (values.next(), values.next(), named, unsure) else {
        return None;
    };
    match value.what {
        What::Number(super::number::Number::Whole(_)) => Some(Verb::Scale),
        What::Tag => Some(Verb::SetImage),
        What::KeyValue(..) => Some(Verb::SetEnv),
        What::Quantity(_) => Some(Verb::SetResources),
        _ => None,
    }
}

async fn choose(
    session: &mut Session<'_>,
    said: &Said,
    items: &[Item],
) -> Result<Option<Draft>, ModelError> {
    let lang = session.turn.lang;
    session
        .progress("thinking", reply::pick(lang, "正在理解请求……", "Reading the request..."))
        .await;
    let registry = std::sync::Arc::clone(&session.agent.parts.tools);
    let allowed: Vec<ToolSchema> =
        registry.specs().filter_map(|spec| narrowed(spec, said, items)).collect();
    if allowed.is_empty() {
        return Ok(None);
    }
    // told about every change tool in the same words each time, so that its prompt's prefix stays cached
    let told: Vec<ToolSchema> =
        registry.specs().filter(|spec| Verb::of_tool(&spec.name).is_some()).map(schema).collect();
    let prompt = session.agent.parts.prompts.render("change", json!({}));
    let system = prompt.map_err(|e| ModelError::Other(e.into()))?;
    let user = format!("<request>{}</request>", session.turn.text);
    let request = request(system, user, told, Output::ToolCall, 200);
    let call = session.choose(ChatRequest { allowed, ..request }).await?;
    session.because(&format!("the model chose {} {}", call.name, call.arguments));
    Ok(grounded(&call, said))
}

/// The tool with arguments narrowed to what was said; `None` when something it needs was not said.
fn narrowed(spec: &ToolSpec, said: &Said, items: &[Item]) -> Option<ToolSchema> {
    let verb = Verb::of_tool(&spec.name)?;
    let any = |values: &[String]| {
        (!values.is_empty()).then(|| json!({ "type": "string", "enum": values }))
    };
    let mut properties = Map::new();
    let mut required = vec!["workload"];
    properties.insert("workload".to_owned(), any(&said.workloads)?);
    match verb {
        Verb::Scale => {
            if said.numbers.is_empty() {
                return None;
            }
            properties
                .insert("replicas".to_owned(), json!({ "type": "integer", "enum": said.numbers }));
            required.push("replicas");
        }
        Verb::SetImage => {
            properties.insert("image".to_owned(), any(&said.images)?);
            required.push("image");
        }
        Verb::SetEnv => {
            let d = &said.draft;
            if d.set.is_empty() && d.unset.is_empty() {
                return None;
            }
            only_said(&mut properties, "set", &d.set);
            if !d.unset.is_empty() {
                let names = json!({ "type": "array", "items": { "enum": d.unset } });
                properties.insert("unset".to_owned(), names);
            }
        }
        Verb::SetResources => {
            let d = &said.draft;
            if d.requests.is_empty() && d.limits.is_empty() && d.unscoped.is_empty() {
                return None;
            }
            only_said(&mut properties, "requests", &d.requests);
            only_said(&mut properties, "limits", &d.limits);
        }
        Verb::Restart | Verb::Rollback => {}
        Verb::Undo => {
            if !items.iter().any(|i| i.what == What::ChangeId || i.is(Sense::Undo)) {
                return None;
            }
        }
    }
    Some(ToolSchema {
        name: spec.name.clone(),
        description: spec.description.clone(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
            "required": required,
        }),
    })
}

/// An argument that is a table: only the keys said, each with the value said.
fn only_said(properties: &mut Map<String, Value>, key: &str, said: &BTreeMap<String, String>) {
    if said.is_empty() {
        return;
    }
    let fields: Map<String, Value> =
        said.iter().map(|(k, v)| (k.clone(), json!({ "type": "string", "enum": [v] }))).collect();
    let table = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": fields,
        "required": said.keys().collect::<Vec<_>>(),
    });
    properties.insert(key.to_owned(), table);
}

/// The draft of a call all of whose arguments were said.
fn grounded(call: &ToolCall, said: &Said) -> Option<Draft> {
    let draft = Draft::of_call(call)?;
    let names = draft.targets.iter().flat_map(|t| &t.names).all(|n| said.workloads.contains(n));
    let numbers = draft.amounts.iter().all(|a| match a {
        Amount::To(n) => said.numbers.contains(n),
        _ => false,
    });
    let images = draft.images.iter().all(|i| said.images.contains(i));
    let values = Draft {
        set: said.draft.set.clone(),
        unset: said.draft.unset.clone(),
        requests: said.draft.requests.clone(),
        limits: said.draft.limits.clone(),
        unscoped: said.draft.unscoped.clone(),
        ..draft
    };
    (names && numbers && images).then_some(values)
}

fn numbers(items: &[Item]) -> Vec<i64> {
    let mut found: Vec<i64> = Vec::new();
    for item in items {
        if let What::Number(super::number::Number::Whole(number)) = item.what
            && number >= 0
            && !found.contains(&number)
        {
            found.push(number);
        }
    }
    found
}
