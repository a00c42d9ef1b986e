//! The OpenAI adapter against the real server of llama.cpp. `KUBEMATE_LLAMA` names a Python that has it and
//! `KUBEMATE_GGUF` a small instruct model; `make e2e` fetches both. Without them the test says that it is skipped.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kubemate::model::download;
use kubemate::model::fallback::Fallback;
use kubemate::model::openai::Openai;
use kubemate::model::scripted::{Script, Scripted};
use kubemate::model::{ChatRequest, ChatResponse, ModelError, SharedModel};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{contract, wants_call, wants_text};

/// Nothing here is measured; after this long something hangs.
const STUCK: Duration = Duration::from_secs(240);
/// Tokens of the server's context.
const CONTEXT: u32 = 4096;
const CONTEXT_TOKENS: usize = CONTEXT as usize;

/// A server of our own; it ends with this value.
struct Server {
    url: String,
    process: Child,
    /// Kept open: the server writes to it.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Serves `gguf` as `small`; `options` are further arguments of the script.
    async fn start(python: &Path, gguf: &str, options: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/llama_server.py");
        let mut process = Command::new(python)
            .arg(script)
            .args([gguf, "small", &CONTEXT.to_string()])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = tokio::time::timeout(STUCK, async {
            loop {
                let line = said.next_line().await.unwrap().expect("the server ended at its start");
                if let Some(url) = line.strip_prefix("serving at ") {
                    return url.to_owned();
                }
            }
        });
        let url = url.await.expect("the server starts");
        Self { url, process, _said: said }
    }

    fn adapter(&self, name: &str) -> SharedModel {
        let config = json!({
            "name": name, "url": format!("{}/v1", self.url), "context": CONTEXT, "silence_seconds": 120,
        });
        Arc::new(Openai::new(serde_json::from_value(config).unwrap()).unwrap())
    }
}

async fn ask(model: &SharedModel, request: ChatRequest) -> Result<ChatResponse, ModelError> {
    let chat = model.chat(request, None, CancellationToken::new());
    tokio::time::timeout(STUCK, chat).await.expect("an answer or an error in time")
}

/// Asks for a call; whichever the small model chooses must be one that was offered, with arguments of its schema.
async fn calls(model: &SharedModel) {
    let response = ask(model, wants_call("scale api to 5")).await.unwrap();
    let call = response.call.expect("a call");
    let tool = super::tools().into_iter().find(|tool| tool.name == call.name).expect("offered");
    assert!(jsonschema::is_valid(&tool.parameters, &call.arguments), "{call:?}");
    assert!(response.usage.input_tokens > 20 && response.usage.output_tokens > 5);
}

async fn streams(model: &SharedModel) {
    let (tokens, mut heard) = mpsc::channel(4);
    let request = ChatRequest { max_tokens: 24, ..wants_text("Name three colours.") };
    let chat = model.chat(request, Some(tokens), CancellationToken::new());
    let listening = async {
        let mut pieces = Vec::new();
        while let Some(piece) = heard.recv().await {
            pieces.push(piece);
        }
        pieces
    };
    let (response, pieces) = tokio::join!(chat, listening);
    let response = response.unwrap();
    assert!(pieces.len() > 2, "{pieces:?}");
    assert_eq!(pieces.concat(), response.text);
    assert!(response.usage.output_tokens > 2, "{:?}", response.usage);
}

/// Killed in the middle of a stream: an error at once; afterwards it cannot be reached, and the next model answers.
async fn breaks_off(mut server: Server) {
    let model = server.adapter("small");
    let (tokens, mut heard) = mpsc::channel(1);
    let long = ChatRequest { max_tokens: 3000, ..wants_text("Write a long story about the sea.") };
    let chat = model.chat(long, Some(tokens), CancellationToken::new());
    let killing = async {
        heard.recv().await.expect("a first piece");
        server.process.start_kill().unwrap();
        let killed = Instant::now();
        while heard.recv().await.is_some() {}
        killed
    };
    let both = async { tokio::join!(chat, killing) };
    let (result, killed) = tokio::time::timeout(STUCK, both).await.expect("ends with the server");
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    let error = result.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("in the middle of its answer"), "{error}");

    for error in
        [ask(&model, wants_text("x")).await.unwrap_err(), model.health().await.unwrap_err()]
    {
        assert!(error.to_string().contains("start it or correct `url`"), "{error}");
    }
    let next: SharedModel = Arc::new(Scripted::new(Script::default().text("from the next")));
    let both: SharedModel = Arc::new(Fallback::new(vec![model, next]));
    assert_eq!(ask(&both, wants_text("x")).await.unwrap().text, "from the next");
}

/// What the environment names, or `None` and a word about it.
#[expect(clippy::disallowed_methods, reason = "the peers of a test are named by whoever runs it")]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn peers() -> Option<(String, String)> {
    let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let found = named("KUBEMATE_LLAMA").zip(named("KUBEMATE_GGUF"));
    if found.is_none() {
        eprintln!("SKIPPED: KUBEMATE_LLAMA and KUBEMATE_GGUF name no server and model (make e2e)");
    }
    found
}

/// A model whose template knows no tools; it comes by kubemate's own way of fetching, into the folder of the other.
async fn without_tools(beside: &Path) -> String {
    let known = download::named("smollm2-135m").unwrap();
    let none = CancellationToken::new();
    let path = download::fetch(known, beside.parent().unwrap(), &|_| {}, &none).await.unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_llama_server_does_as_the_adapter_expects() {
    let Some((python, gguf)) = peers() else { return };
    let server = Server::start(python.as_ref(), &gguf, &[]).await;
    let model = server.adapter("small");
    model.health().await.unwrap();
    let error = server.adapter("absent").health().await.unwrap_err().to_string();
    assert!(error.contains("no model `absent`; name one it serves"), "{error}");
    streams(&model).await;
    calls(&model).await;
    contract::is_cancelled(Arc::clone(&model)).await;
    calls(&model).await; // the one slot is free again
    let long = wants_text(&"one two three four ".repeat(1500));
    let error = ask(&model, long).await.unwrap_err();
    assert!(matches!(error, ModelError::TooLong { limit: CONTEXT_TOKENS, .. }), "{error}");
    breaks_off(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_without_tools_is_asked_by_a_schema() {
    let Some((python, gguf)) = peers() else { return };
    let gguf = without_tools(gguf.as_ref()).await;
    // the server ignores tools that the model's template does not know, and refuses them where templates are off
    for options in [&[][..], &["without-tools"]] {
        let server = Server::start(python.as_ref(), &gguf, options).await;
        let model = server.adapter("small");
        streams(&model).await;
        calls(&model).await;
    }
}
