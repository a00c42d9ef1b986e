//! Scalars as Kubernetes reads them, and how a value is written so that every YAML reader understands the same.

use granit_parser::ScalarStyle;
use serde_json::Value;

use crate::gitops::yaml::number;

/// The value of a scalar. Plain text follows the reader Kubernetes uses: YAML 1.1 booleans and octal numbers count.
pub(super) fn resolve(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// Whether `text` can stand without quotes and is a string to every reader (YAML 1.1 and 1.2).
pub(super) fn is_plain(text: &str, flow: bool) -> bool {
    let (Some(first), Some(last)) = (text.chars().next(), text.chars().last()) else {
        return false;
    };
    let second = text.chars().nth(1);
    let opens = match first {
        '-' => second.is_some_and(|c| !c.is_whitespace()) && !text.starts_with("---"),
        '?' | ':' | ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\''
        | '"' | '%' | '@' | '`' | '=' | '.' => false,
        c => !c.is_whitespace(),
    };
    let flow_sign = |c: char| flow && matches!(c, ',' | '[' | ']' | '{' | '}');
    opens
        && !last.is_whitespace()
        && last != ':'
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains("{{")
        && !text.chars().any(|c| !is_printable(c) || c == '\t' || flow_sign(c))
        && !(flow && text.contains(':') && !text.contains("://"))
        && text != "<<"
        && !looks_typed(text)
}

/// Whether some reader takes the plain text for something else than a string.
fn looks_typed(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let word = matches!(
        lower.as_str(),
        "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let unsigned = lower.strip_prefix(['-', '+']).unwrap_or(&lower);
    let signs = |c: char| matches!(c, '_' | ':' | '.' | '-' | '+' | 'e' | ',');
    // numbers of any notation, sexagesimal times, dates
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().all(|c| c.is_ascii_digit() || signs(c))
        && !is_dotted(unsigned);
    let special = matches!(unsigned, ".inf" | ".nan") || is_time(&lower);
    word || numeric || special || !matches!(resolve(text, ScalarStyle::Plain), Value::String(_))
}

/// `1.2.3`, `10.0.0.1`: more than one dot, nothing but digits besides, is a number to nobody.
fn is_dotted(text: &str) -> bool {
    text.matches('.').count() > 1 && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `2026-01-31T10:00:00Z` and the like.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 7
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5].is_ascii_digit()
}

fn is_printable(c: char) -> bool {
    c == '\t'
        || !(c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'))
}

/// The text of a string on one line, quoted with `quote` (or with nothing, when that is safe).
pub(super) fn write_string(text: &str, quote: Option<char>, flow: bool) -> String {
    match quote {
        None if is_plain(text, flow) => text.to_owned(),
        Some('\'') if text.chars().all(is_printable) => format!("'{}'", text.replace('\'', "''")),
        _ => double_quoted(text),
    }
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if !is_printable(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Header indicators and lines of a literal block scalar; `None` when the text cannot be written as one.
pub(super) fn literal(text: &str) -> Option<(&'static str, Vec<&str>)> {
    let body = text.trim_end_matches('\n');
    let breaks = text.len() - body.len();
    let readable = text.chars().all(|c| c == '\n' || is_printable(c));
    // a first line that begins with a blank would need an indentation indicator
    if body.is_empty()
        || !readable
        || body.starts_with([' ', '\t', '\n'])
        || body.ends_with([' ', '\t'])
    {
        return None;
    }
    let mut lines: Vec<&str> = body.split('\n').collect();
    if lines.iter().any(|line| !line.is_empty() && line.trim().is_empty()) {
        return None;
    }
    let chomping = match breaks {
        0 => "-",
        1 => "",
        more => {
            lines.extend(std::iter::repeat_n("", more - 1));
            "+"
        }
    };
    Some((chomping, lines))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_text_resolves_as_kubernetes_reads_it() {
        for (text, value) in [
            ("3", json!(3)),
            ("-3", json!(-3)),
            ("0777", json!(511)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("1e3", json!(1000.0)),
            ("1_000", json!(1000)),
            ("on", json!(true)),
            ("No", json!(false)),
            ("~", json!(null)),
            ("1.27", json!(1.27)),
            ("1.2.3", json!("1.2.3")),
            ("500m", json!("500m")),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("e5", json!("e5")),
        ] {
            assert_eq!(resolve(text, ScalarStyle::Plain), value, "{text}");
        }
        assert_eq!(resolve("3", ScalarStyle::SingleQuoted), json!("3"));
    }

    #[test]
    fn strings_that_another_reader_would_take_for_something_else_are_quoted() {
        for text in [
            "on",
            "yes",
            "y",
            "NULL",
            "~",
            "",
            "0777",
            "1e3",
            "0x1F",
            "1_000",
            "1:30",
            "2026-01-31",
            "a: b",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!a",
            "- a",
            "-1",
            "a:",
            " a",
            "a ",
            "{a}",
            "[a]",
            "%a",
            "@a",
            "`a",
            "=",
            "<<",
            ".5",
            ".inf",
            "1.27",
            "{{ x }}",
            "a\tb",
            "---",
            "2026-01-31t10:00:00z",
            "a {{ b }}",
        ] {
            assert_eq!(write_string(text, None, false), double_quoted(text), "{text}");
        }
        for text in [
            "nginx:1.27",
            "500m",
            "1Gi",
            "-Xmx512m",
            "--flag=x",
            "v1.2.3",
            "10.0.0.1",
            "值",
            "a#b",
            "a'b",
        ] {
            assert_eq!(write_string(text, None, false), text);
        }
        assert_eq!(write_string("a,b", None, true), "\"a,b\"");
        assert_eq!(write_string("it's", Some('\''), false), "'it''s'");
        assert_eq!(write_string("a\nb", Some('\''), false), "\"a\\nb\"");
    }

    #[test]
    fn a_literal_is_written_only_for_text_it_can_hold() {
        assert_eq!(literal("a\nb\n"), Some(("", vec!["a", "b"])));
        assert_eq!(literal("a\n\nb"), Some(("-", vec!["a", "", "b"])));
        assert_eq!(literal("a\n\n"), Some(("+", vec!["a", ""])));
        for text in [" a\nb", "\na", "a\n \nb", "a\r\nb", "\n", "a\u{7}\n"] {
            assert_eq!(literal(text), None, "{text:?}");
        }
    }
}
