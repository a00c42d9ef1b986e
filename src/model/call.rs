//! Tool calls as text: the schema a call must satisfy, finding the call in what a model wrote, repairing the slips
//! of small models where the repair is unambiguous, and validation against the tool's own schema.

use serde_json::{Value, json};

use super::{ChatMessage, ChatRole, ModelError, ToolCall, ToolSchema};

/// Says which functions there are and how to call one; `{tools}` is replaced by one JSON signature per line.
const PREAMBLE: &str = include_str!("tools.txt");
/// Longest enumeration shown to the model; longer ones stand in the grammar only, so that the prompt stays short and
/// stays the same when the inventory changes.
const SHOWN_ENUM: usize = 16;
/// How much of a raw output an error keeps, in characters.
const RAW_KEPT: usize = 400;

/// The JSON Schema of one call of one of `tools`: `{"name": ..., "arguments": {...}}`.
pub(crate) fn schema_of_call(tools: &[ToolSchema]) -> Value {
    let one = |tool: &ToolSchema| {
        json!({
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": plain(&tool.parameters)},
            "required": ["name", "arguments"],
            "additionalProperties": false,
        })
    };
    match tools {
        [tool] => one(tool),
        _ => json!({"anyOf": tools.iter().map(one).collect::<Vec<_>>()}),
    }
}

/// `schema` without our own annotations (`x-...`), which servers and grammars need not know.
pub(crate) fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !key.starts_with("x-"))
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect(),
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// The messages with the signatures of `tools` at the end of the system prompt, for models that are told about tools
/// in text. The result depends on the tools' names, descriptions and shapes only, not on the live inventory.
pub(crate) fn with_preamble(messages: &[ChatMessage], tools: &[ToolSchema]) -> Vec<ChatMessage> {
    let mut messages = messages.to_vec();
    if tools.is_empty() {
        return messages;
    }
    let lines: Vec<String> = tools.iter().map(signature).collect();
    let preamble = PREAMBLE.trim_end().replace("{tools}", &lines.join("\n"));
    match messages.first_mut() {
        Some(first) if first.role == ChatRole::System => {
            first.content = format!("{}\n\n{preamble}", first.content.trim_end());
        }
        _ => messages.insert(0, ChatMessage { role: ChatRole::System, content: preamble }),
    }
    messages
}

/// One line of JSON that describes `tool`.
fn signature(tool: &ToolSchema) -> String {
    json!({"name": tool.name, "description": tool.description, "parameters": shown(&tool.parameters)}).to_string()
}

/// `schema` as it is shown: enumerations from the live inventory (`x-live: true`, or long ones) and fields that only
/// a validator needs are left out.
fn shown(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let live = map.get("x-live") == Some(&Value::Bool(true));
            map.iter()
                .filter(|(key, value)| match key.as_str() {
                    "enum" => !live && value.as_array().is_none_or(|v| v.len() <= SHOWN_ENUM),
                    "additionalProperties" => !value.is_boolean(),
                    "pattern" | "$schema" => !value.is_string(),
                    other => !other.starts_with("x-"),
                })
                .map(|(key, value)| (key.clone(), shown(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(shown).collect(),
        other => other.clone(),
    }
}

/// Finds exactly one call in what a model wrote and validates it.
///
/// # Errors
/// [`ModelError::Malformed`] when there is none, more than one, or one that the tool's schema does not allow.
pub(crate) fn call_from_text(text: &str, tools: &[ToolSchema]) -> Result<ToolCall, ModelError> {
    let value = repair::value_from_text(text).map_err(|detail| malformed(detail, text))?;
    let (name, arguments) = name_and_arguments(value).map_err(|detail| malformed(detail, text))?;
    checked(&name, arguments, tools, text)
}

/// Validates one call against the offered tools; `raw` is what the model wrote.
///
/// # Errors
/// [`ModelError::Malformed`] for a tool that was not offered or arguments that its schema does not allow.
pub(crate) fn checked(
    name: &str,
    arguments: Value,
    tools: &[ToolSchema],
    raw: &str,
) -> Result<ToolCall, ModelError> {
    let Some(tool) = tools.iter().find(|tool| tool.name == name) else {
        let offered: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        let detail = format!("there is no tool `{name}` here; offered: {}", offered.join(", "));
        return Err(malformed(detail, raw));
    };
    let arguments =
        repair::arguments(arguments, &tool.parameters).map_err(|detail| malformed(detail, raw))?;
    let validator = jsonschema::validator_for(&tool.parameters).map_err(|e| {
        anyhow::anyhow!("the schema of tool `{name}` is not a valid JSON schema: {e}")
    })?;
    if let Some(error) = validator.iter_errors(&arguments).next() {
        let place = error.instance_path().to_string();
        let place =
            if place.is_empty() { "the arguments".to_owned() } else { format!("argument {place}") };
        return Err(malformed(
            format!("{place} of `{name}`: {}", shortened(&error.to_string())),
            raw,
        ));
    }
    Ok(ToolCall { name: tool.name.clone(), arguments })
}

/// A [`ModelError::Malformed`] with `raw` shortened.
pub(crate) fn malformed(detail: impl Into<String>, raw: &str) -> ModelError {
    ModelError::Malformed { detail: detail.into(), raw: shortened(raw) }
}

/// The first characters of `text`.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(RAW_KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Takes a call apart, in the shapes models write it.
fn name_and_arguments(value: Value) -> Result<(String, Value), String> {
    let mut object = match value {
        Value::Object(object) => object,
        Value::Array(mut items) if items.len() == 1 => return name_and_arguments(items.remove(0)),
        Value::Array(items) => {
            return Err(format!("one call was asked for and {} came", items.len()));
        }
        _ => return Err("the output is not a JSON object".to_owned()),
    };
    if let Some(inner @ Value::Object(_)) = object.shift_remove("function") {
        return name_and_arguments(inner);
    }
    let Some(Value::String(name)) = object.shift_remove("name") else {
        return Err("the output has no string `name`".to_owned());
    };
    let arguments = object.shift_remove("arguments").or_else(|| object.shift_remove("parameters"));
    Ok((name, arguments.unwrap_or_else(|| json!({}))))
}

mod repair;

#[cfg(test)]
mod tests;
