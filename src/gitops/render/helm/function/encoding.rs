//! YAML, JSON, base 64, hashes, patterns, and the files of a chart.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

use super::{Args, Outcome, read_yaml};
use crate::gitops::render::{
    base64,
    helm::{text::to_yaml, value::Val},
};

pub(super) fn call(name: &str, args: Args<'_>) -> Option<Outcome> {
    let json = || args.any(0).map(Val::to_json);
    Some(match name {
        "toYaml" | "toYamlPretty" => json().map(|value| Val::str(to_yaml(&value))),
        "toJson" => json().map(|value| Val::str(base64::go_json(&sorted(&value).to_string()))),
        "toRawJson" => json().map(|value| Val::str(sorted(&value).to_string())),
        "toPrettyJson" => {
            json().map(|value| Val::str(base64::go_json(&format!("{:#}", sorted(&value)))))
        }
        "fromYaml" => args.str(0).map(|text| mapping(read_yaml(text))),
        "fromJson" => {
            args.str(0).map(|text| mapping(serde_json::from_str(text).map_err(|e| e.to_string())))
        }
        "fromYamlArray" => args.str(0).map(|text| list(read_yaml(text))),
        "fromJsonArray" => {
            args.str(0).map(|text| list(serde_json::from_str(text).map_err(|e| e.to_string())))
        }
        "b64enc" => args.str(0).map(|text| Val::str(base64::encode(text.as_bytes()))),
        "b64dec" => args.str(0).map(|text| match base64::decode(text) {
            Some(bytes) => Val::str(String::from_utf8_lossy(&bytes)),
            None => Val::str("illegal base64 data"),
        }),
        "sha256sum" => {
            args.str(0).map(|text| Val::str(hex::encode(Sha256::digest(text.as_bytes()))))
        }
        "sha512sum" => {
            args.str(0).map(|text| Val::str(hex::encode(Sha512::digest(text.as_bytes()))))
        }
        "regexMatch" => pattern(args).and_then(|regex| Ok(Val::Bool(regex.is_match(args.str(1)?)))),
        "regexFind" => pattern(args).and_then(|regex| {
            Ok(Val::str(regex.find(args.str(1)?).map_or("", |found| found.as_str())))
        }),
        "regexFindAll" => pattern(args).and_then(|regex| {
            let limit = usize::try_from(args.int(2)?).unwrap_or(usize::MAX);
            let found =
                regex.find_iter(args.str(1)?).take(limit).map(|found| Val::str(found.as_str()));
            Ok(Val::list(found.collect()))
        }),
        "regexReplaceAll" => pattern(args)
            .and_then(|regex| Ok(Val::str(regex.replace_all(args.str(1)?, args.str(2)?)))),
        "regexReplaceAllLiteral" => pattern(args).and_then(|regex| {
            Ok(Val::str(regex.replace_all(args.str(1)?, regex::NoExpand(args.str(2)?))))
        }),
        "regexSplit" => pattern(args).and_then(|regex| {
            let limit = usize::try_from(args.int(2)?).unwrap_or(usize::MAX);
            Ok(Val::list(regex.splitn(args.str(1)?, limit).map(Val::str).collect()))
        }),
        "regexQuoteMeta" => args.str(0).map(|text| Val::str(regex::escape(text))),
        "urlquery" => args.any(0).map(|value| Val::str(escaped(&value.print()))),
        _ => return None,
    })
}

fn pattern(args: Args<'_>) -> Result<Regex, String> {
    let text = args.str(0)?;
    Regex::new(text).map_err(|_| format!("'{text}' is not a pattern"))
}

/// With the keys of every mapping in order, as Go writes them.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Object(
                ordered.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn mapping(read: Result<Value, String>) -> Val {
    match read {
        Ok(value @ Value::Object(_)) => Val::from_json(&value),
        Ok(Value::Null) => Val::object([]),
        Ok(_) => Val::object([("Error", Val::str("this is not a mapping"))]),
        Err(error) => Val::object([("Error", Val::str(error))]),
    }
}

fn list(read: Result<Value, String>) -> Val {
    match read {
        Ok(value @ Value::Array(_)) => Val::from_json(&value),
        Ok(_) => Val::list(vec![Val::str("this is not a list")]),
        Err(error) => Val::list(vec![Val::str(error)]),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// Methods of `.Files`.
pub(super) fn files(target: &Val, name: &str, args: Args<'_>) -> Option<Outcome> {
    let Val::Files(files) = target else { return None };
    let text =
        |path: &str| files.get(path).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    Some(match name {
        "Get" | "GetBytes" => args.str(0).map(|path| Val::str(text(path).unwrap_or_default())),
        "Lines" => args.str(0).map(|path| {
            let text = text(path).unwrap_or_default();
            Val::list(text.strip_suffix('\n').unwrap_or(&text).split('\n').map(Val::str).collect())
        }),
        "Glob" => args.str(0).and_then(|pattern| {
            let regex = glob(pattern)?;
            let found = files.iter().filter(|(path, _)| regex.is_match(path));
            Ok(Val::Files(std::rc::Rc::new(
                found.map(|(path, bytes)| (path.clone(), bytes.clone())).collect(),
            )))
        }),
        "AsConfig" | "AsSecrets" => {
            let entries = files.iter().map(|(path, bytes)| {
                let content = match name {
                    "AsConfig" => String::from_utf8_lossy(bytes).into_owned(),
                    _ => base64::encode(bytes),
                };
                (base(path), Value::String(content))
            });
            let entries: serde_json::Map<String, Value> = entries.collect();
            Ok(Val::str(if entries.is_empty() {
                String::new()
            } else {
                to_yaml(&Value::Object(entries))
            }))
        }
        _ => return None,
    })
}

/// `conf/*.json`, `**.yaml`, `{a,b}/?.txt`.
fn glob(pattern: &str) -> Result<Regex, String> {
    let mut out = String::from("^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => out.push_str("(?:"),
            '}' => out.push(')'),
            ',' => out.push('|'),
            '[' | ']' => out.push(c),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    Regex::new(&format!("{out}$")).map_err(|_| format!("'{pattern}' is not a pattern of files"))
}
