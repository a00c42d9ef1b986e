//! The adapters of servers against fakes of their APIs.

use std::sync::Arc;

use axum::body::Body;
use kubemate::embedder::{EmbedError, SharedEmbedder, ollama, openai};
use serde_json::{Value, json};

use super::contract;
use crate::model::fake_servers::{FakeServer, stuck_after};

fn ollama(url: &str) -> SharedEmbedder {
    let config = json!({"name": "m", "url": format!("{url}/"), "answer_seconds": 1});
    let config: ollama::Config = serde_json::from_value(config).unwrap();
    Arc::new(ollama::Ollama::new(config).unwrap())
}

fn openai(url: &str) -> SharedEmbedder {
    let config =
        json!({"name": "m", "url": format!("{url}/v1"), "key": "s3cr3t", "answer_seconds": 1});
    let config: openai::Config = serde_json::from_value(config).unwrap();
    Arc::new(openai::Openai::new(config).unwrap())
}

/// Something that depends on the text alone, not of length 1.
fn vector(text: &Value) -> Value {
    let text = text.as_str().unwrap();
    json!([1.0, text.len(), text.chars().count()])
}

fn texts(body: &Value) -> Vec<Value> {
    body["input"].as_array().unwrap().iter().map(vector).collect()
}

/// Both APIs, as their documentation has them.
fn answer(path: &str, body: &Value) -> (u16, Body) {
    let answer = match path {
        "/api/embed" => json!({"model": "m", "embeddings": texts(body)}),
        "/v1/embeddings" => {
            // the last first: the index tells
            let items = texts(body).into_iter().enumerate().rev();
            let items =
                items.map(|(i, v)| json!({"object": "embedding", "index": i, "embedding": v}));
            json!({"object": "list", "data": items.collect::<Vec<_>>(), "usage": {"prompt_tokens": 1}})
        }
        _ => return (404, Body::from("{\"error\":\"not found\"}")),
    };
    (200, Body::from(answer.to_string()))
}

#[tokio::test]
async fn they_keep_the_contract() {
    let server = FakeServer::start(answer).await;
    contract::holds(ollama(&server.url)).await;
    contract::holds(openai(&server.url)).await;
    assert!(server.asked().iter().all(|body| body["model"] == "m"));
}

#[tokio::test]
async fn answers_that_cannot_be_vectors_are_errors() {
    for wrong in [
        json!({"embeddings": [[1.0, 2.0]], "data": [{"index": 0, "embedding": [1.0, 2.0]}]}),
        json!({"embeddings": [[1.0], [1.0, 2.0]], "data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": []}]}),
        json!({"embeddings": [["a"], ["b"]], "data": [{"embedding": "AAAA"}, {"embedding": "BBBB"}]}),
        json!("no vectors at all"),
    ] {
        let text = wrong.to_string();
        let server = FakeServer::start(move |_, _| (200, Body::from(text.clone()))).await;
        for embedder in [ollama(&server.url), openai(&server.url)] {
            let two = ["a".to_owned(), "b".to_owned()];
            let error = embedder.embed(&two).await.unwrap_err();
            assert!(
                matches!(error, EmbedError::Malformed(_)),
                "{}: {wrong}: {error}",
                embedder.id()
            );
        }
    }
    let server = FakeServer::start(|_, _| (200, Body::from("<html>"))).await;
    let error = ollama(&server.url).embed(&["a".to_owned()]).await.unwrap_err();
    assert!(matches!(error, EmbedError::Malformed(_)), "{error}");
}

#[tokio::test]
async fn a_server_that_is_down_silent_or_refuses_says_what_to_do() {
    let key = FakeServer::start(|_, _| (401, Body::from("no"))).await;
    let silent = FakeServer::start(|_, _| (200, stuck_after("{"))).await;
    for (url, expected) in
        [("http://127.0.0.1:1", "start it"), (&key.url, "`key`"), (&silent.url, "server at")]
    {
        for embedder in [ollama(url), openai(url)] {
            let error = embedder.embed(&["a".to_owned()]).await.unwrap_err();
            let EmbedError::Unavailable(text) = error else { panic!("{error:?}") };
            assert!(text.contains(expected), "{text}");
        }
    }
}
