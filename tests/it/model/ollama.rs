//! Ollama against a fake of its API.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use kubemate::model::ollama::{Config, Ollama};
use kubemate::model::{Model as _, ModelError};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::fake_servers::{FakeServer, endless, stuck_after};
use super::{contract, wants_call, wants_text};

const HELLO: &str = "{\"message\":{\"role\":\"assistant\",\"content\":\"hel\"},\"done\":false}\n{\"message\":{\"content\":\"lo\"},\"done\":false}\n{\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":9,\"eval_count\":2}\n";

fn adapter(url: &str) -> Ollama {
    let config = json!({"name": "qwen2.5-coder:7b", "url": url, "silence_seconds": 1});
    Ollama::new(serde_json::from_value::<Config>(config).unwrap()).unwrap()
}

/// One line that holds `content` and ends the answer.
fn done(content: &str) -> Body {
    let line = json!({"message": {"content": content}, "done": true, "prompt_eval_count": 9, "eval_count": 2});
    Body::from(format!("{line}\n"))
}

const CALL: &str =
    "```json\n{\"name\": \"scale\", \"arguments\": {\"workload\": \"api\", \"replicas\": 5}}\n```";

fn well_behaved(path: &str, body: &Value) -> (u16, Body) {
    let said = body["messages"][1]["content"].as_str().unwrap_or_default();
    match (path, said) {
        ("/api/show", _) => (200, Body::from("{}")),
        (_, "greet me") => (200, Body::from(HELLO)),
        (_, "never end") => (200, endless("{\"message\":{\"content\":\"la \"},\"done\":false}\n")),
        _ => (200, done(CALL)),
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let server = FakeServer::start(well_behaved).await;
    contract::holds(Arc::new(adapter(&server.url))).await;
    let asked = &server.asked()[1];
    assert_eq!(asked["format"]["anyOf"][0]["properties"]["name"]["const"], "scale");
    assert_eq!(asked["options"]["temperature"], 0.0);
    assert!(asked["messages"][0]["content"].as_str().unwrap().contains("<tools>"));
}

async fn error_of(status: u16, body: &'static str) -> ModelError {
    let server = FakeServer::start(move |_, _| (status, Body::from(body))).await;
    adapter(&server.url).chat(wants_call("x"), None, CancellationToken::new()).await.unwrap_err()
}

#[tokio::test]
async fn errors_say_what_to_do() {
    for (status, body, says) in [
        (404, "{\"error\":\"model not found\"}", "ollama pull qwen2.5-coder:7b"),
        (400, "{\"error\":\"input exceeds maximum context length\"}", "shorten the conversation"),
        (500, "{\"error\":\"boom\"}", "boom"),
        (200, "{\"error\":\"out of memory\"}\n", "out of memory; choose a smaller model"),
        (
            500,
            "{\"error\":\"model requires more system memory (9.1 GiB) than is available (2.0 GiB)\"}",
            "than is available (2.0 GiB); choose a smaller model, or a smaller `context`",
        ),
        (200, "<html>a proxy</html>\n", "not its protocol"),
        (200, "{\"message\":{\"content\":\"{\"},\"done\":false}\n", "in the middle"),
        (200, "", "in the middle"),
    ] {
        let error = error_of(status, body).await;
        assert!(format!("{error:#}").contains(says), "{status} {body}: {error}");
    }
    let error = adapter("http://127.0.0.1:1").health().await.unwrap_err();
    assert!(
        matches!(&error, ModelError::Unavailable(t) if t.contains("http://127.0.0.1:1") && t.contains("start it"))
    );
}

#[tokio::test]
async fn a_model_that_only_embeds_is_not_healthy() {
    for (shown, healthy) in [
        ("{\"capabilities\":[\"embedding\"]}", false),
        ("{\"capabilities\":[\"completion\",\"tools\"]}", true),
        ("{\"modelfile\":\"of an old server\"}", true),
    ] {
        let server = FakeServer::start(move |_, _| (200, Body::from(shown))).await;
        match adapter(&server.url).health().await {
            Ok(()) => assert!(healthy, "{shown}"),
            Err(error) => assert!(!healthy && error.to_string().contains("not a chat model")),
        }
    }
}

#[tokio::test]
async fn a_call_that_was_not_offered_is_malformed() {
    let server =
        FakeServer::start(|_, _| (200, done("{\"name\":\"wipe\",\"arguments\":{}}"))).await;
    let error = adapter(&server.url)
        .chat(wants_call("x"), None, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ModelError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn an_old_server_gets_a_weaker_format_and_is_remembered() {
    let server = FakeServer::start(|_, body| match &body["format"] {
        Value::Object(_) => (
            400,
            Body::from("{\"error\":\"json: cannot unmarshal object into ChatRequest.format\"}"),
        ),
        _ => (200, done(CALL)),
    })
    .await;
    let model = adapter(&server.url);
    for _ in 0..2 {
        model.chat(wants_call("x"), None, CancellationToken::new()).await.unwrap();
    }
    let formats: Vec<bool> = server.asked().iter().map(|body| body["format"].is_object()).collect();
    assert_eq!(formats, [true, false, false]);
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let asked = AtomicUsize::new(0);
    let server = FakeServer::start(move |_, _| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => (503, Body::from("busy")),
        _ => (200, done("hello")),
    })
    .await;
    let response =
        adapter(&server.url).chat(wants_text("x"), None, CancellationToken::new()).await.unwrap();
    assert_eq!(response.text, "hello");
}

#[tokio::test]
async fn silence_is_unavailability() {
    let server =
        FakeServer::start(|_, _| (200, stuck_after("{\"message\":{\"content\":\"a\"}}\n"))).await;
    let error = adapter(&server.url)
        .chat(wants_text("x"), None, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ModelError::Unavailable(t) if t.contains("sent nothing for 1 s")),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let server = FakeServer::start(|_, _| (200, endless("{\"message\":{\"content\":\"spam spam spam spam spam spam spam spam\"},\"done\":false}\n"))).await;
    let error = adapter(&server.url)
        .chat(wants_text("x"), None, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
    let server = FakeServer::start(|_, _| (200, endless("no line ever ends"))).await;
    let error = adapter(&server.url)
        .chat(wants_text("x"), None, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("more than an answer"), "{error}");
}
