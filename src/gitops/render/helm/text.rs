//! YAML as Go's library writes it, for `toYaml`: charts hash such text, so it must be the same to the letter.

use serde_json::Value;

use crate::gitops::yaml::{self, Dialect};

/// A value as YAML, without the line break at the end.
pub(super) fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => {
            scalar(&mut out, other, 0);
            out.push('\n');
        }
    }
    out.pop();
    out
}

fn pad(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n(' ', depth * 2));
}

fn mapping(out: &mut String, map: &serde_json::Map<String, Value>, depth: usize) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort();
    for (index, key) in keys.into_iter().enumerate() {
        if index > 0 {
            pad(out, depth);
        }
        string(out, key, depth);
        out.push(':');
        match &map[key] {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                pad(out, depth + 1);
                mapping(out, inner, depth + 1);
            }
            // lists stand under their key without indentation
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                pad(out, depth);
                sequence(out, items, depth);
            }
            other => {
                out.push(' ');
                scalar(out, other, depth);
                out.push('\n');
            }
        }
    }
}

fn sequence(out: &mut String, items: &[Value], depth: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            pad(out, depth);
        }
        out.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => mapping(out, inner, depth + 1),
            Value::Array(inner) if !inner.is_empty() => sequence(out, inner, depth + 1),
            other => {
                scalar(out, other, depth);
                out.push('\n');
            }
        }
    }
}

fn scalar(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::String(text) => string(out, text, depth),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
        other => out.push_str(&other.to_string()),
    }
}

fn string(out: &mut String, text: &str, depth: usize) {
    let other_type =
        !matches!(yaml::plain(text, Dialect::Kubectl), Value::String(_)) || is_special(text);
    if text.contains('\n') && !text.contains(['\r', '\u{85}']) && text.chars().all(printable) {
        literal(out, text, depth);
    } else if !text.chars().all(|c| printable(c) && c != '\n') || other_type {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

fn printable(c: char) -> bool {
    c == '\n' || !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// Text that old readers of YAML take for something else: `y`, `n`, dates, `1:30`.
fn is_special(text: &str) -> bool {
    let time = text.len() >= 8
        && text.bytes().take(4).all(|b| b.is_ascii_digit())
        && text.as_bytes()[4] == b'-'
        && text.bytes().all(|b| b.is_ascii_digit() || b"-:.TZ+ ".contains(&b));
    let sixty = text.contains(':')
        && text
            .split(':')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'_'));
    matches!(text, "y" | "Y" | "n" | "N" | "" | "<<" | "=" | ".inf" | ".nan") || time || sixty
}

/// Whether text may stand without quotes.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let second = text.chars().nth(1);
    let starts = match first {
        '-' | '?' | ':' => second.is_some_and(|c| c != ' '),
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
        | '@' | '`' | ' ' => false,
        _ => true,
    };
    starts
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

fn literal(out: &mut String, text: &str, depth: usize) {
    let body = text.trim_end_matches('\n');
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, depth + 1);
            out.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_as_go_writes_it() {
        let value = json!({"b": [1, {"y": "yes", "a": "x: y"}, []], "a": {"s": "two\nlines\n", "n": null, "e": "", "d": {}}, "v": "1.0", "w": "1.0.0", "t": "a # b"});
        let text = "a:\n  d: {}\n  e: \"\"\n  \"n\": null\n  s: |\n    two\n    lines\nb:\n- 1\n- a: 'x: y'\n  \"y\": \"yes\"\n- []\nt: 'a # b'\nv: \"1.0\"\nw: 1.0.0";
        assert_eq!(to_yaml(&value), text);
    }
}
