//! Hiding secrets: values of Secret objects, environment variables that hold credentials, and credentials and personal
//! data in log lines.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// Shown in place of a secret.
const MASK: &str = "********";
/// Keeps a copy of the whole object, values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Masks an object, or every object of a list.
pub(super) fn object(value: &mut Value) {
    if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut) {
        for item in items {
            object(item);
        }
    }
    if let Some(annotations) =
        value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.shift_remove(LAST_APPLIED);
    }
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let (secret, config) = (kind == "Secret", kind == "ConfigMap");
    for field in ["data", "stringData"].iter().filter(|_| secret || config) {
        let data = value.get_mut(*field).and_then(Value::as_object_mut);
        for (key, value) in data.into_iter().flatten() {
            if secret || SECRET_NAME.is_match(key) {
                *value = Value::String(MASK.to_owned());
            } else if let Some(text) = value.as_str() {
                let lines: Vec<String> = text.lines().map(mask_line).collect();
                *value = Value::String(lines.join("\n"));
            }
        }
    }
    for template in ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"] {
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let containers = value.pointer_mut(&format!("{template}/{list}"));
            for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
                environment(container);
            }
        }
    }
}

fn environment(container: &mut Value) {
    let variables = container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten();
    for variable in variables {
        let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
        let secret = SECRET_NAME.is_match(name);
        if let Some(value) = variable.get_mut("value").filter(|value| !value.is_null()) {
            let text = value.as_str().unwrap_or_default();
            *value = Value::String(if secret { MASK.to_owned() } else { mask_line(text) });
        }
    }
}

static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(password|passwd|passphrase|secret|token|credential|[-_.]key$|(?:api|private|access|account|encryption|signing|session|master|shared|export|license|licence|auth|deploy|webhook)[_-]?key)",
    )
});

/// What to hide in text; `$1` is what stays in front of it, `$2` what stays behind it.
static IN_TEXT: LazyLock<[Regex; 8]> = LazyLock::new(|| {
    [
        // password=..., "token": "...", api-key: ...
        pattern(
            r#"(?i)((?:password|passwd|passphrase|pwd|secret|token|credentials?|signature|authorization|(?-i:[A-Z0-9_]+_KEY)|(?:api|private|access|account|encryption|signing|session|master|shared|export|license|licence|auth|deploy|webhook)[_-]?key)["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?)[^\s"',;&}]+"#,
        ),
        pattern(r"(?i)(\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}"),
        // user:password@ in URLs
        pattern(r"(://[^/\s:@]*:)[^/\s@]+(@)"),
        // user:password@tcp(host) in data source names
        pattern(r"(\b[\w.-]+:)[^\s:@/]+(@(?:tcp|tcp6|unix)?\()"),
        // JSON web tokens, cloud access keys
        pattern(r"()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
        pattern(r"()\b(?:AKIA|ASIA|LTAI)[A-Za-z0-9]{12,}\b"),
        // people: e-mail, Chinese identity card and mobile numbers
        pattern(r"()\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"),
        pattern(
            r"()\b(?:[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]|1[3-9]\d{9})\b",
        ),
    ]
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("invariant: the pattern is valid")
}

/// A parameter in the query of a URL.
static PARAMETER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"([?&]([\w.\[\]-]+)=)([^\s&#"'),;]+)"#));

/// Parameters that carry a credential under a short name.
const CREDENTIALS: [&str; 12] =
    ["access", "auth", "code", "key", "k", "pass", "pin", "pw", "sas", "sig", "session", "sid"];

/// A line of text with credentials and personal data replaced.
#[must_use]
pub fn mask_line(line: &str) -> String {
    let mut line = line.to_owned();
    for pattern in IN_TEXT.iter() {
        if pattern.is_match(&line) {
            line = pattern.replace_all(&line, format!("${{1}}{MASK}${{2}}")).into_owned();
        }
    }
    if PARAMETER.is_match(&line) {
        line = PARAMETER.replace_all(&line, parameter).into_owned();
    }
    line
}

/// What a URL passes on is hidden unless it is a plain word, a number or a duration.
fn parameter(found: &Captures<'_>) -> String {
    let (name, value) = (found[2].to_lowercase(), &found[3]);
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let plain = digits.is_empty() || number && value.len() <= digits.len() + 2;
    if plain && !CREDENTIALS.contains(&name.as_str()) {
        found[0].to_owned()
    } else {
        format!("{}{MASK}", &found[1])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_objects_are_masked() {
        let mut list = json!({"items": [
            {"kind": "Secret", "metadata": {"annotations": {LAST_APPLIED: "{\"data\":{\"p\":\"eA==\"}}"}},
             "data": {"p": "eA=="}, "stringData": {"q": "x"}},
            {"kind": "ConfigMap", "data": {"p": "plain"}},
            {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"env": [
                {"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "URL", "value": "redis://u:hunter2@r:6379"},
                {"name": "LEVEL", "value": "info"}]}]}}}},
        ]});
        object(&mut list);
        let text = list.to_string();
        assert!(
            !text.contains("hunter2") && !text.contains("eA==") && !text.contains("\"x\""),
            "{text}"
        );
        assert!(
            text.contains("plain") && text.contains("info") && text.contains("redis://u:"),
            "{text}"
        );
    }

    #[test]
    fn secrets_in_lines_are_masked() {
        for (line, masked) in [
            ("login password=hunter2 ok", "login password=******** ok"),
            (r#"{"token": "abc123", "user": "li"}"#, r#"{"token": "********", "user": "li"}"#),
            ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ********"),
            ("postgres://app:s3cret@db:5432/x", "postgres://app:********@db:5432/x"),
            (
                "GET /x?access=ka-19fd&page=2&sort=asc&wait=30s HTTP/1.1",
                "GET /x?access=********&page=2&sort=asc&wait=30s HTTP/1.1",
            ),
            ("http://f:80/?auth=word&db=orders", "http://f:80/?auth=********&db=orders"),
            ("amqp://mq:5672/?sslmode=disable", "amqp://mq:5672/?sslmode=disable"),
            (
                "app:s3cret@tcp(db:3306)/x?parseTime=true",
                "app:********@tcp(db:3306)/x?parseTime=true",
            ),
            (
                "AccountName=a;AccountKey=Zm9v==;EndpointSuffix=x",
                "AccountName=a;AccountKey=********;EndpointSuffix=x",
            ),
            ("mail to zhang.san@example.com sent", "mail to ******** sent"),
            ("用户 13812345678 下单", "用户 ******** 下单"),
            ("id 11010519491231002X", "id ********"),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "jwt ********"),
            (
                "took 1700000000000 ms, trace 4bf92f3577b34da6",
                "took 1700000000000 ms, trace 4bf92f3577b34da6",
            ),
            ("tokens used: 15", "tokens used: 15"),
        ] {
            assert_eq!(mask_line(line), masked);
        }
    }
}
