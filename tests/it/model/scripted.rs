//! The scripted model: the contract, scripts as files, misbehaviour, fallback and deadline around it.

use std::sync::Arc;
use std::time::Duration;

use kubemate::model::fallback::{Deadline, Fallback};
use kubemate::model::scripted::{Failure, Script, Scripted, Step};
use kubemate::model::{self, Model as _, ModelError, Output, SharedModel};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{contract, wants_call, wants_text};

fn scale_call() -> Script {
    Script::default().call("scale", json!({"workload": "api", "replicas": 5}))
}

fn shared(script: Script) -> SharedModel {
    Arc::new(Scripted::new(script))
}

#[tokio::test]
async fn keeps_the_contract() {
    let endless = Step { endless: Some("la ".into()), times: Some(2), ..Step::default() };
    contract::holds(shared(scale_call().text("hello").step(endless))).await;
}

#[tokio::test]
async fn a_script_file_answers_by_rule_and_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script.yaml");
    let script = "steps:\n- {when: {contains: [RESTART], offers: restart, output: tool_call}, call: {name: restart, arguments: {workload: web}}}\n- {text: first}\n- {text: second}\n";
    std::fs::write(&file, script).unwrap();
    let adapter: model::Adapter = format!("scripted:{}", file.display()).parse().unwrap();
    let config = model::Config { models: vec![adapter], ..model::Config::default() };
    let model = model::build(&config, dir.path()).unwrap();
    let none = CancellationToken::new;
    for expected in ["first", "second"] {
        let call =
            model.chat(wants_call("please restart web"), None, none()).await.unwrap().call.unwrap();
        assert_eq!(call.name, "restart");
        assert_eq!(model.chat(wants_text("x"), None, none()).await.unwrap().text, expected);
    }
    let error = model.chat(wants_text("third"), None, none()).await.unwrap_err();
    assert!(error.to_string().contains("no step for \"third\""), "{error}");
}

#[tokio::test]
async fn garbage_and_invalid_calls_are_malformed() {
    let bad = Script::default()
        .step(Step { raw: Some("```json\n{oops".into()), ..Step::default() })
        .call("scale", json!({"workload": "db", "replicas": 5}))
        .call("drop_everything", json!({}));
    let model = shared(bad);
    for _ in 0..3 {
        let error = model.chat(wants_call("x"), None, CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, ModelError::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn falls_back_in_order_and_asks_again_after_garbage() {
    let first = Script::default()
        .step(Step { raw: Some("{".into()), ..Step::default() })
        .call("scale", json!({"workload": "api", "replicas": 5}))
        .step(Step { fail: Some(Failure::Unavailable), ..Step::default() });
    let first = Arc::new(Scripted::new(first));
    let second = shared(Script::default().text("from the second"));
    let model = Fallback::new(vec![Arc::clone(&first) as SharedModel, second]);
    let none = CancellationToken::new;
    assert!(model.chat(wants_call("x"), None, none()).await.unwrap().call.is_some());
    assert_eq!(first.requests().len(), 2, "asked again after garbage");
    assert_eq!(model.chat(wants_text("x"), None, none()).await.unwrap().text, "from the second");
}

#[tokio::test]
async fn when_none_is_available_each_says_why() {
    let ollama = |name: &str| {
        let config = json!({"name": name, "url": "http://127.0.0.1:1"});
        let adapter = model::ollama::Ollama::new(serde_json::from_value(config).unwrap());
        Arc::new(adapter.unwrap()) as SharedModel
    };
    let model = Fallback::new(vec![ollama("first"), ollama("second")]);
    let error = model.chat(wants_text("x"), None, CancellationToken::new()).await.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, ModelError::Unavailable(_)), "{told}");
    for part in ["ollama:first: cannot reach", "; ollama:second: cannot reach"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

/// Streams a piece, then fails.
struct BreaksOff;

#[async_trait::async_trait]
impl model::Model for BreaksOff {
    fn id(&self) -> String {
        "fake:breaks-off".into()
    }
    async fn chat(
        &self,
        _: model::ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        _: CancellationToken,
    ) -> Result<model::ChatResponse, ModelError> {
        tokens.unwrap().send("half".into()).await.unwrap();
        Err(ModelError::Unavailable("gone".into()))
    }
    async fn health(&self) -> Result<(), ModelError> {
        Ok(())
    }
}

#[tokio::test]
async fn does_not_fall_back_once_text_went_out() {
    let model = Fallback::new(vec![Arc::new(BreaksOff), shared(Script::default().text("whole"))]);
    let (tokens, mut heard) = mpsc::channel(8);
    let result = model.chat(wants_text("x"), Some(tokens), CancellationToken::new()).await;
    assert!(matches!(result, Err(ModelError::Unavailable(_))), "{result:?}");
    assert_eq!(heard.recv().await.as_deref(), Some("half"));
    assert_eq!(heard.recv().await, None);
}

#[tokio::test]
async fn a_model_that_never_answers_is_unavailable_after_the_deadline() {
    let silent = shared(Script::default().step(Step { never: true, ..Step::default() }));
    let model = Deadline::new(silent, Duration::from_millis(20));
    let error = model.chat(wants_text("x"), None, CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(&error, ModelError::Unavailable(text) if text.contains("no answer within")),
        "{error}"
    );
}

#[tokio::test]
async fn a_function_may_answer() {
    let echo = Scripted::from_fn(|request| Step {
        text: Some(request.messages.last().unwrap().content.to_uppercase()),
        ..Step::default()
    });
    let response = echo.chat(wants_text("hi"), None, CancellationToken::new()).await.unwrap();
    assert_eq!(response.text, "HI");
    assert_eq!(echo.requests()[0].output, Output::Text);
}

#[test]
fn configuration_is_strict() {
    let read =
        |text: &str| serde_saphyr::from_str::<model::Config>(text).map_err(|e| e.to_string());
    let config = read("models:\n- {adapter: ollama, name: qwen2.5-coder:7b}\n- {adapter: openai, name: x, url: http://h/v1, key: s3cr3t}\n").unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
    assert!(read("models:\n- {adapter: ollama, name: x, urll: y}\n").unwrap_err().contains("urll"));
    assert!(read("models:\n- {adapter: telepathy}\n").unwrap_err().contains("telepathy"));
    assert!("ollama".parse::<model::Adapter>().is_err());
}
