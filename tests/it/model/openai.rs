//! The OpenAI adapter against a fake of the API, as different servers behave.

use std::sync::Arc;

use axum::body::Body;
use kubemate::model::openai::{Config, Openai};
use kubemate::model::{Model as _, ModelError};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::fake_servers::{FakeServer, endless};
use super::{contract, wants_call, wants_text};

fn adapter(url: &str) -> Openai {
    let config =
        json!({"name": "m", "url": format!("{url}/v1/"), "key": "s3cr3t", "silence_seconds": 2});
    Openai::new(serde_json::from_value::<Config>(config).unwrap()).unwrap()
}

/// The events of a stream.
fn events(chunks: &[Value]) -> Body {
    let mut text: String =
        chunks.iter().map(|chunk| format!(": keep-alive\n\ndata: {chunk}\n\n")).collect();
    text.push_str("data: [DONE]\n\n");
    Body::from(text)
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn usage() -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}})
}

/// A call in pieces, as vLLM streams it.
fn call_in_pieces() -> Body {
    let piece = |function: Value| {
        delta(json!({"content": null, "tool_calls": [{"index": 0, "function": function}]}))
    };
    events(&[
        piece(json!({"name": "scale", "arguments": ""})),
        piece(json!({"arguments": "{\"workload\": \"api\","})),
        piece(json!({"arguments": " \"replicas\": 5}"})),
        json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
        usage(),
    ])
}

fn well_behaved(path: &str, body: &Value) -> (u16, Body) {
    let said = body["messages"][1]["content"].as_str().unwrap_or_default();
    match (path, said) {
        ("/v1/models", _) => (200, Body::from("{\"data\":[{\"id\":\"m\"}]}")),
        (_, "greet me") => (
            200,
            events(&[
                delta(json!({"role": "assistant", "content": "hel"})),
                delta(json!({"content": "lo"})),
                usage(),
            ]),
        ),
        (_, "never end") => {
            (200, endless("data: {\"choices\":[{\"delta\":{\"content\":\"la \"}}]}\n\n"))
        }
        _ => (200, call_in_pieces()),
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let server = FakeServer::start(well_behaved).await;
    contract::holds(Arc::new(adapter(&server.url))).await;
    let asked = &server.asked()[1];
    assert_eq!(asked["tool_choice"], "required");
    assert_eq!(
        asked["tools"][0]["function"]["parameters"]["properties"]["workload"]["enum"],
        json!(["api", "web"])
    );
}

#[tokio::test]
async fn a_server_without_tool_choice_gets_a_schema_then_a_prompt() {
    let text = "Here:\n{\"name\": \"restart\", \"arguments\": {\"workload\": \"web\"}}";
    for (refused, expected_asks) in [(vec!["tools"], 2), (vec!["tools", "response_format"], 3)] {
        let server = FakeServer::start(move |_, body| {
            match refused.iter().find(|field| !body[**field].is_null()) {
                Some(field) => {
                    (400, Body::from(format!("{{\"error\":\"{field}: tool_choice unsupported\"}}")))
                }
                None => (200, events(&[delta(json!({"content": text}))])),
            }
        })
        .await;
        let response = adapter(&server.url)
            .chat(wants_call("x"), None, CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(response.call.unwrap().name, "restart");
        assert_eq!(server.asked().len(), expected_asks);
    }
}

#[tokio::test]
async fn a_server_that_ignores_tools_gets_a_schema_and_is_remembered() {
    let server = FakeServer::start(|_, body| {
        let text = match &body["response_format"] {
            Value::Null => "Sure! I have scaled it.",
            _ => "{\"name\": \"restart\", \"arguments\": {\"workload\": \"web\"}}",
        };
        (200, events(&[delta(json!({"content": text}))]))
    })
    .await;
    let model = adapter(&server.url);
    for asks in [2, 3] {
        let response = model.chat(wants_call("x"), None, CancellationToken::new()).await.unwrap();
        assert_eq!(response.call.unwrap().name, "restart");
        assert_eq!(server.asked().len(), asks);
    }
}

#[tokio::test]
async fn errors_say_what_to_do() {
    for (status, body, says) in [
        (401, "{}", "set `key`"),
        (404, "{}", "has no model `m`"),
        (429, "{}", "rate limit"),
        (400, "{\"error\":\"maximum context length is 4096\"}", "shorten the conversation"),
        (418, "{\"error\":\"teapot\"}", "teapot"),
        (200, "data: {\"error\": {\"message\": \"boom\"}}\n\n", "boom"),
        (200, "data: nonsense\n\n", "not its protocol"),
        (200, "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\n", "in the middle"),
        (200, "", "in the middle"),
    ] {
        let server = FakeServer::start(move |_, _| (status, Body::from(body))).await;
        let error = adapter(&server.url)
            .chat(wants_text("x"), None, CancellationToken::new())
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains(says), "{status} {body}: {error}");
        assert!(!format!("{error:?}").contains("s3cr3t"));
    }
}

#[tokio::test]
async fn several_calls_or_wrong_arguments_are_malformed() {
    let two = |i: u32| json!({"index": i, "function": {"name": "restart", "arguments": "{\"workload\":\"api\"}"}});
    let wrong = json!({"index": 0, "function": {"name": "scale", "arguments": "{\"workload\":\"db\",\"replicas\":5}"}});
    for calls in [json!([two(0), two(1)]), json!([wrong])] {
        let server =
            FakeServer::start(move |_, _| (200, events(&[delta(json!({"tool_calls": calls}))])))
                .await;
        let error = adapter(&server.url)
            .chat(wants_call("x"), None, CancellationToken::new())
            .await
            .unwrap_err();
        assert!(matches!(error, ModelError::Malformed { .. }), "{error}");
    }
}
