//! Repairs of what small models get wrong about JSON. Every repair here has one possible meaning; whatever has two
//! is left to fail.

use serde_json::Value;

/// The one JSON value in `text`: fences, thinking, tags and text around it are ignored.
pub(super) fn value_from_text(text: &str) -> Result<Value, String> {
    let text = without_thinking(text);
    let Some(start) = text.find(['{', '[']) else {
        return Err("the output holds no JSON".to_owned());
    };
    let (value, rest) = match first_value(&text[start..]) {
        Ok(found) => found,
        Err(error) => first_value_mended(&text[start..]).ok_or(error)?,
    };
    if names_another_call(rest) {
        return Err("one call was asked for and several came".to_owned());
    }
    Ok(value)
}

/// Arguments given as a JSON string are unpacked; scalars written as strings get the type the schema wants; nulls
/// for optional arguments are left out.
pub(super) fn arguments(arguments: Value, schema: &Value) -> Result<Value, String> {
    let arguments = match arguments {
        Value::String(text) if text.trim().is_empty() => Value::Object(serde_json::Map::new()),
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|e| format!("the arguments are not valid JSON: {e}"))?,
        Value::Null => Value::Object(serde_json::Map::new()),
        other => other,
    };
    let Value::Object(mut map) = arguments else {
        return Err("the arguments are not a JSON object".to_owned());
    };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    map.retain(|key, value| {
        !value.is_null()
            || required.contains(&key.as_str())
            || allows(&schema["properties"][key], "null")
    });
    for (key, value) in &mut map {
        retype(value, &schema["properties"][key]);
    }
    Ok(Value::Object(map))
}

/// Whether `schema` names `kind` among its types.
fn allows(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(many) => many.iter().any(|one| one == kind),
        _ => false,
    }
}

/// Turns `"5"` into `5` and `"true"` into `true` where the schema does not allow a string.
fn retype(value: &mut Value, schema: &Value) {
    let Value::String(text) = &*value else { return };
    if schema["type"].is_null() || allows(schema, "string") {
        return;
    }
    let Ok(parsed) = serde_json::from_str::<Value>(text.trim()) else { return };
    let fits = match &parsed {
        Value::Number(n) => {
            allows(schema, "number") || (allows(schema, "integer") && (n.is_i64() || n.is_u64()))
        }
        Value::Bool(_) => allows(schema, "boolean"),
        _ => false,
    };
    if fits {
        *value = parsed;
    }
}

/// Text after the last `</think>`, where there is one.
fn without_thinking(text: &str) -> &str {
    text.rsplit_once("</think>").map_or(text, |(_, after)| after)
}

/// The first JSON value of `text` and what follows it.
fn first_value(text: &str) -> Result<(Value, &str), String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => Ok((value, &text[values.byte_offset()..])),
        Some(Err(error)) => Err(format!("the output is not valid JSON: {error}")),
        None => Err("the output holds no JSON".to_owned()),
    }
}

/// As [`first_value`], after dropping trailing commas and, where no double quote occurs at all, reading single quotes
/// as double ones.
fn first_value_mended(text: &str) -> Option<(Value, &'static str)> {
    let end = text.rfind(['}', ']'])?;
    let text = &text[..=end];
    let single = !text.contains('"') && !text.contains('\\') && !apostrophe(text);
    let quoted = if single { text.replace('\'', "\"") } else { text.to_owned() };
    let (value, rest) = first_value(&without_trailing_commas(&quoted))
        .ok()
        .map(|(v, r)| (v, r.trim().is_empty()))?;
    rest.then_some((value, ""))
}

/// Whether a single quote stands between two letters, where it is no delimiter.
fn apostrophe(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(3).any(|w| w[1] == '\'' && w[0].is_alphanumeric() && w[2].is_alphanumeric())
}

/// `text` without commas directly before a closing bracket, strings left alone.
fn without_trailing_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c == '"' {
            in_string = true;
        } else if c == ',' && text[at + 1..].trim_start().starts_with(['}', ']']) {
            continue;
        }
        out.push(c);
    }
    out
}

/// Whether the text after a call holds a second one.
fn names_another_call(rest: &str) -> bool {
    rest.match_indices('{').any(|(at, _)| {
        first_value(&rest[at..])
            .is_ok_and(|(value, _)| value.get("name").is_some() || value.get("function").is_some())
    })
}
