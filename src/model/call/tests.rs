//! Tables: what models write, and what it means.

use serde_json::{Value, json};

use super::*;

fn tools() -> Vec<ToolSchema> {
    vec![
        ToolSchema {
            name: "scale".into(),
            description: "Sets the number of replicas".into(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "workload": {"type": "string", "enum": ["api", "web"], "x-live": true},
                    "replicas": {"type": "integer", "minimum": 0},
                    "wait": {"type": "boolean"},
                },
                "required": ["workload", "replicas"],
                "additionalProperties": false,
            }),
        },
        ToolSchema {
            name: "list".into(),
            description: "Lists".into(),
            parameters: json!({"type": "object"}),
        },
    ]
}

#[test]
fn finds_and_repairs_calls() {
    let good = json!({"workload": "api", "replicas": 5});
    for text in [
        r#"{"name": "scale", "arguments": {"workload": "api", "replicas": 5}}"#,
        "```json\n{\"name\": \"scale\", \"arguments\": {\"workload\": \"api\", \"replicas\": 5}}\n```",
        "Sure!\n{\"name\": \"scale\", \"arguments\": {\"workload\": \"api\", \"replicas\": 5}} Done.",
        r#"<tool_call>{"name": "scale", "arguments": {"workload": "api", "replicas": "5"}}</tool_call>"#,
        r#"{"name": "scale", "arguments": {"workload": "api", "replicas": 5,},}"#,
        r"{'name': 'scale', 'arguments': {'workload': 'api', 'replicas': 5}}",
        r#"[{"name": "scale", "parameters": {"workload": "api", "replicas": 5, "wait": null}}]"#,
        r#"{"type": "function", "function": {"name": "scale", "arguments": "{\"workload\": \"api\", \"replicas\": 5}"}}"#,
        "<think>{\"name\": \"list\"}</think>\n{\"name\": \"scale\", \"arguments\": {\"workload\": \"api\", \"replicas\": 5}}",
    ] {
        let call = call_from_text(text, &tools()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((call.name.as_str(), &call.arguments), ("scale", &good), "{text}");
    }
}

#[test]
fn refuses_what_is_wrong_or_ambiguous() {
    for (text, says) in [
        ("", "no JSON"),
        ("I cannot do that", "no JSON"),
        (r#"{"name": "scale", "arguments": {"workload": "api""#, "not valid JSON"),
        (r#"{"name": "delete", "arguments": {}}"#, "no tool `delete`"),
        (
            r#"{"name": "scale", "arguments": {"workload": "db", "replicas": 5}}"#,
            "argument /workload",
        ),
        (r#"{"name": "scale", "arguments": {"workload": "api"}}"#, "replicas"),
        (
            r#"{"name": "scale", "arguments": {"workload": "api", "replicas": "five"}}"#,
            "argument /replicas",
        ),
        (
            r#"{"name": "scale", "arguments": {"workload": "api", "replicas": 5, "force": true}}"#,
            "force",
        ),
        (
            r#"{"name": "list"} {"name": "scale", "arguments": {"workload": "api", "replicas": 5}}"#,
            "several",
        ),
        (r#"[{"name": "list"}, {"name": "list"}]"#, "2 came"),
        (r"{'name': 'list', 'arguments': {'q': 'it's'}}", "not valid JSON"),
        (r#"{"arguments": {}}"#, "no string `name`"),
        (r#"{"name": "list", "arguments": [1]}"#, "not a JSON object"),
        (r#""scale""#, "no JSON"),
    ] {
        let error = call_from_text(text, &tools()).expect_err(text);
        assert!(matches!(error, ModelError::Malformed { .. }), "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn a_comma_inside_a_string_stays() {
    let value = repair::value_from_text(r#"{"name": "list", "arguments": {"q": "a,}"},}"#)
        .expect("repaired");
    assert_eq!(value["arguments"]["q"], "a,}");
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let text = "{\"name\":".repeat(100_000);
    assert!(call_from_text(&text, &tools()).is_err());
}

#[test]
fn the_preamble_does_not_depend_on_the_inventory() {
    let system = vec![ChatMessage { role: ChatRole::System, content: "Be brief.".into() }];
    let mut other = tools();
    other[0].parameters["properties"]["workload"]["enum"] = json!(["x"]);
    assert_eq!(with_preamble(&system, &tools()), with_preamble(&system, &other));
    let text = &with_preamble(&system, &tools())[0].content;
    assert!(text.starts_with("Be brief.\n\n# Tools") && text.contains("\"replicas\""), "{text}");
    assert!(!text.contains("web") && !text.contains("x-live"), "{text}");
}

#[test]
fn the_schema_of_a_call_allows_each_tool_once() {
    let schema = schema_of_call(&tools());
    let ok = |v: Value| jsonschema::is_valid(&schema, &v);
    assert!(ok(json!({"name": "scale", "arguments": {"workload": "api", "replicas": 5}})));
    assert!(!ok(json!({"name": "list"})));
    assert!(!ok(json!({"name": "scale", "arguments": {"workload": "nope", "replicas": 5}})));
    assert!(!schema.to_string().contains("x-live"));
}
