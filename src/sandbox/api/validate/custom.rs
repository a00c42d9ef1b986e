//! Custom resources against their structural schema.

use regex::Regex;
use serde_json::Value;

use super::Checks;
use crate::sandbox::api::{
    Cause,
    schema::{Shape, Type},
};

/// Checks an object (or any part of one).
pub(super) fn value(checks: &mut Checks, of: Type<'_>, value: &Value) {
    visit(checks, of, value, "");
}

fn visit(checks: &mut Checks, of: Type<'_>, value: &Value, path: &str) {
    let Some(limits) = &of.node().limits else { return };
    if value.is_null() {
        if !limits.nullable && !matches!(of.shape(), Shape::Any { .. }) {
            wrong_type(checks, of, value, path);
        }
        return;
    }
    match (of.shape(), value) {
        (Shape::Object { fields, .. }, Value::Object(map)) => {
            for field in fields.iter().filter(|f| f.required && !map.contains_key(&*f.name)) {
                checks.required(join(path, &field.name), "");
            }
            for (key, value) in map {
                if let Some(inner) = of.key(key) {
                    visit(checks, inner, value, &join(path, key));
                }
            }
        }
        (Shape::List { items, .. }, Value::Array(list)) => {
            for (i, item) in list.iter().enumerate() {
                visit(checks, of.to(*items), item, &format!("{path}[{i}]"));
            }
        }
        (Shape::Any { .. }, _)
        | (Shape::String, Value::String(_))
        | (Shape::Boolean, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::IntOrString, Value::String(_) | Value::Number(_)) => {}
        (Shape::Integer { .. }, Value::Number(n)) if n.is_i64() || n.is_u64() => {}
        _ => return wrong_type(checks, of, value, path),
    }
    for (keyword, wanted) in &limits.keywords {
        if let Some(why) = broken(keyword, wanted, value) {
            checks.add(match wanted.as_array().filter(|_| keyword == "enum") {
                Some(allowed) => not_allowed(path, value, allowed),
                None => Cause::invalid(path, value, &format!("{path} in body {why}")),
            });
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn wrong_type(checks: &mut Checks, of: Type<'_>, value: &Value, path: &str) {
    let (got, shown) = match value {
        Value::Null => ("null", Value::from("null")),
        Value::Bool(_) => ("boolean", "boolean".into()),
        Value::Number(n) if n.is_f64() => ("number", "number".into()),
        Value::Number(_) => ("integer", "integer".into()),
        Value::String(_) => ("string", "string".into()),
        Value::Array(_) => ("array", "array".into()),
        Value::Object(_) => ("object", "object".into()),
    };
    let want = match of.shape() {
        Shape::Object { .. } | Shape::Any { .. } => "object",
        Shape::List { .. } => "array",
        Shape::String => "string",
        Shape::Integer { .. } => "integer",
        Shape::Number | Shape::Quantity => "number",
        Shape::Boolean => "boolean",
        Shape::IntOrString => "integer,string",
    };
    let why = format!("{path} in body must be of type {want}: \"{got}\"");
    let cause = Cause::invalid(path, &shown, &why);
    checks.add(Cause { reason: "FieldValueTypeInvalid", ..cause });
}

/// Why a value breaks a keyword of its schema.
fn broken(keyword: &str, wanted: &Value, value: &Value) -> Option<String> {
    let size = |limit: &Value| limit.as_u64().and_then(|n| usize::try_from(n).ok());
    let length = value.as_str().map(|text| text.chars().count());
    let items = value.as_array().map(Vec::len);
    let keys = value.as_object().map(serde_json::Map::len);
    let more = |n: Option<usize>| matches!((n, size(wanted)), (Some(n), Some(most)) if n > most);
    let fewer = |n: Option<usize>| matches!((n, size(wanted)), (Some(n), Some(least)) if n < least);
    let (number, limit) = (value.as_f64(), wanted.as_f64());
    let why = match keyword {
        "enum" => {
            let allowed = wanted.as_array()?;
            if allowed.contains(value) {
                return None;
            }
            String::new()
        }
        "minimum" if number? < limit? => format!("should be greater than or equal to {wanted}"),
        "maximum" if number? > limit? => format!("should be less than or equal to {wanted}"),
        "minLength" if fewer(length) => format!("should be at least {wanted} chars long"),
        "maxLength" if more(length) => return Some(format!("may not be more than {wanted} bytes")),
        "minItems" if fewer(items) => format!("should have at least {wanted} items"),
        "maxItems" if more(items) => return Some(format!("must have at most {wanted} items")),
        "minProperties" if fewer(keys) => format!("should have at least {wanted} properties"),
        "maxProperties" if more(keys) => format!("must have at most {wanted} properties"),
        "pattern" => {
            let (pattern, text) = (wanted.as_str()?, value.as_str()?);
            // a pattern that this engine does not know lets everything pass
            if Regex::new(pattern).map_or(true, |regex| regex.is_match(text)) {
                return None;
            }
            format!("should match '{pattern}'")
        }
        "format" => {
            let text = value.as_str()?;
            let fine = match wanted.as_str()? {
                "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
                "date" => text.parse::<jiff::civil::Date>().is_ok(),
                "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
                "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
                _ => true,
            };
            if fine {
                return None;
            }
            format!("must be of type {wanted}")
        }
        _ => return None,
    };
    Some(why)
}

/// A value that is not in its `enum`.
fn not_allowed(path: &str, value: &Value, allowed: &[Value]) -> Cause {
    let allowed: Vec<String> =
        allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    Cause::not_supported(path, value, &allowed)
}
