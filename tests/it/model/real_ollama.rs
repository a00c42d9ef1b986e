//! The adapters against a real Ollama. `KUBEMATE_OLLAMA` names its binary and `KUBEMATE_GGUF` a small instruct model;
//! `make e2e` builds the one and has the other. Without them the test says that it is skipped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Response, Uri};
use kubemate::model::ollama::Ollama;
use kubemate::model::openai::Openai;
use kubemate::model::{self, ChatRequest, ChatResponse, ModelError, SharedModel};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{contract, wants_call, wants_text};

/// Nothing here is measured; after this long something hangs.
const STUCK: Duration = Duration::from_secs(240);
/// A model as a template without tools presents it.
const PLAIN: &str = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n";
/// The same with tools, which Ollama tells from the template.
const WITH_TOOLS: &str = "{{ if .Tools }}<|im_start|>system\nThese functions may be called:\n{{ range .Tools }}{{ . }}\n{{ end }}Answer with one JSON object: {\"name\": ..., \"arguments\": {...}}<|im_end|>\n{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ if .ToolCalls }}{{ range .ToolCalls }}{\"name\": \"{{ .Function.Name }}\", \"arguments\": {{ .Function.Arguments }}}{{ end }}{{ else }}{{ .Content }}{{ end }}<|im_end|>\n{{ end }}<|im_start|>assistant\n";

/// An Ollama of our own, in a process group of its own; it ends with this value.
struct Server {
    program: PathBuf,
    home: PathBuf,
    url: String,
    process: Child,
}

impl Server {
    /// Models live in `home`; there is room for `parallel` requests at once.
    async fn start(program: &Path, home: &Path, parallel: u32) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let url = format!("http://{address}");
        let log = std::fs::File::create(home.join("log")).unwrap();
        let process = ollama(program, home, &url)
            .arg("serve")
            .env("OLLAMA_NUM_PARALLEL", parallel.to_string())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let (program, home) = (program.to_owned(), home.to_owned());
        let server = Self { program, home, url, process };
        let begun = Instant::now();
        while reqwest::get(format!("{}/api/version", server.url)).await.is_err() {
            assert!(begun.elapsed() < STUCK, "Ollama does not start: {}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    /// Makes a model of a file, or of another model.
    async fn create(&self, name: &str, from: &str, template: &str) {
        let file = self.home.join("Modelfile");
        let text = format!(
            "FROM {from}\nTEMPLATE \"\"\"{template}\"\"\"\nPARAMETER stop \"<|im_end|>\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut create = ollama(&self.program, &self.home, &self.url);
        let created = create.args(["create", name, "-f"]).arg(file).output().await.unwrap();
        let errors = String::from_utf8_lossy(&created.stderr);
        assert!(created.status.success(), "{errors}\n{}", self.log());
    }

    /// What the server wrote, for failures.
    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    fn kill(&self) {
        let Some(group) = self.process.id() else { return };
        let group = format!("-{group}");
        let killed = std::process::Command::new("kill").args(["-KILL", "--", &group]).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program with nothing of the user's in sight.
fn ollama(program: &Path, home: &Path, url: &str) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", home).env("OLLAMA_MODELS", home.join("models")).env("OLLAMA_HOST", url);
    command.env("OLLAMA_NO_CLOUD", "1").kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Stands before Ollama like a server or proxy that ignores `format`, and keeps what passed.
struct Relay {
    url: String,
    passed: Arc<Mutex<String>>,
    _serving: JoinSet<()>,
}

impl Relay {
    async fn start(to: &str) -> Self {
        let (to, passed) = (to.to_owned(), Arc::new(Mutex::new(String::new())));
        let kept = Arc::clone(&passed);
        let relay = move |uri: Uri, body: Bytes| {
            let (url, kept) = (format!("{to}{}", uri.path()), Arc::clone(&kept));
            async move {
                let mut body: Value = serde_json::from_slice(&body).unwrap();
                body.as_object_mut().unwrap().remove("format");
                let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
                let text = answer.text().await.unwrap();
                kept.lock().unwrap().push_str(&text);
                Response::new(Body::from(text))
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(axum::routing::post(relay));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, passed, _serving: serving }
    }

    /// The text of the answers, joined.
    fn text(&self) -> String {
        let passed = self.passed.lock().unwrap();
        let pieces = passed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        pieces.map(|piece| piece["message"]["content"].as_str().unwrap().to_owned()).collect()
    }
}

fn native(url: &str, name: &str, context: u32) -> SharedModel {
    let config = json!({"name": name, "url": url, "context": context});
    Arc::new(Ollama::new(serde_json::from_value(config).unwrap()).unwrap())
}

fn compatible(url: &str, name: &str) -> SharedModel {
    let config = json!({"name": name, "url": format!("{url}/v1"), "silence_seconds": 120});
    Arc::new(Openai::new(serde_json::from_value(config).unwrap()).unwrap())
}

async fn ask(model: &SharedModel, request: ChatRequest) -> Result<ChatResponse, ModelError> {
    let chat = model.chat(request, None, CancellationToken::new());
    tokio::time::timeout(STUCK, chat).await.expect("an answer or an error in time")
}

/// Asks for a call; it must be one of an offered tool, with arguments that its schema allows.
async fn calls(model: &SharedModel) {
    let response = ask(model, wants_call("scale api to 5")).await.unwrap();
    let call = response.call.expect("a call");
    let tool = super::tools().into_iter().find(|tool| tool.name == call.name).expect("offered");
    assert!(jsonschema::is_valid(&tool.parameters, &call.arguments), "{call:?}");
    assert_eq!((call.name.as_str(), &call.arguments["replicas"]), ("scale", &json!(5)));
    assert!(response.usage.input_tokens > 50 && response.usage.output_tokens > 5);
}

async fn streams(model: &SharedModel) {
    let (tokens, mut heard) = mpsc::channel(4);
    let chat =
        model.chat(wants_text("Name three colours."), Some(tokens), CancellationToken::new());
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

/// The error of a request that cannot be answered.
async fn unavailable(model: &SharedModel) -> String {
    let error = ask(model, wants_call("scale api to 5")).await.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable(_)), "{error}");
    error.to_string()
}

/// A model whose answer stands in a Markdown fence, since nothing constrains it.
async fn mends_a_fence(url: &str) {
    let relay = Relay::start(url).await;
    let mut request = wants_call("scale api to 5");
    request.messages[0].content = "You operate a cluster. Write every answer as a Markdown code block that begins with ```json and ends with ```.".into();
    let response = ask(&native(&relay.url, "plain", 4096), request).await.unwrap();
    assert!(relay.text().contains("```"), "nothing was to be mended: {}", relay.text());
    assert_eq!(response.call.unwrap().name, "scale");
}

async fn names_what_is_missing(url: &str) {
    let absent = native(url, "absent", 4096);
    for error in [unavailable(&absent).await, absent.health().await.unwrap_err().to_string()] {
        assert!(error.contains("run `ollama pull absent` there"), "{error}");
    }
    let absent = compatible(url, "absent");
    for error in [unavailable(&absent).await, absent.health().await.unwrap_err().to_string()] {
        assert!(error.contains("no model `absent`; name one it serves"), "{error}");
    }
}

async fn says_too_long(url: &str) {
    let long = "one two three four five six seven eight ".repeat(400);
    let error = ask(&native(url, "plain", 2048), wants_text(&long)).await.unwrap_err();
    assert!(matches!(error, ModelError::TooLong { limit: 2048, .. }), "{error}");
}

/// The next model answers when the first is down or has no such model.
async fn falls_back(url: &str) {
    let config = json!({"models": [
        {"adapter": "ollama", "name": "plain", "url": "http://127.0.0.1:1"},
        {"adapter": "ollama", "name": "absent", "url": url},
        {"adapter": "ollama", "name": "plain", "url": url, "context": 4096},
    ]});
    let cache = tempfile::tempdir().unwrap();
    let models = model::build(&serde_json::from_value(config).unwrap(), cache.path()).unwrap();
    let response = ask(&models, wants_call("scale api to 5")).await.unwrap();
    assert_eq!(response.model, "ollama:plain");
}

async fn breaks_off(server: &Server) {
    let model = native(&server.url, "plain", 4096);
    let (tokens, mut heard) = mpsc::channel(1);
    let endless = ChatRequest { max_tokens: 4000, ..wants_text("Count from 1 to 2000.") };
    let chat = model.chat(endless, Some(tokens), CancellationToken::new());
    let killing = async {
        heard.recv().await.expect("a first piece");
        server.kill();
        let killed = Instant::now();
        while heard.recv().await.is_some() {}
        killed
    };
    let (result, killed) = tokio::time::timeout(STUCK, async { tokio::join!(chat, killing) })
        .await
        .expect("ends with the server");
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    let error = result.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, ModelError::Unavailable(_)), "{told}");
    assert!(told.contains("in the middle of its answer") && told.contains("ask again"), "{told}");
    for error in [unavailable(&model).await, model.health().await.unwrap_err().to_string()] {
        assert!(error.contains("start it or correct `url`"), "{error}");
    }
}

/// A server that reserves room for so many requests at once that no machine has the memory.
async fn lacks_memory(program: &Path, home: &Path) {
    let server = Server::start(program, home, 4096).await;
    let error = unavailable(&native(&server.url, "plain", 32_768)).await;
    assert!(error.contains("system memory"), "{error}\n{}", server.log());
    assert!(error.contains("choose a smaller model, or a smaller `context`"), "{error}");
}

/// What the environment names, or `None` and a word about it.
#[expect(clippy::disallowed_methods, reason = "the peers of a test are named by whoever runs it")]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn peers() -> Option<(PathBuf, String)> {
    let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(program), Some(gguf)) = (named("KUBEMATE_OLLAMA"), named("KUBEMATE_GGUF")) {
        return Some((program.into(), gguf));
    }
    eprintln!("SKIPPED: KUBEMATE_OLLAMA and KUBEMATE_GGUF name no Ollama and no model (make e2e)");
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_ollama_does_as_the_adapters_expect() {
    let Some((program, gguf)) = peers() else { return };
    // an error only says that a provider is installed already
    let _ = rustls::crypto::ring::default_provider().install_default();
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&program, home.path(), 1).await;
    server.create("plain", &gguf, PLAIN).await;
    server.create("tools", "plain", WITH_TOOLS).await;
    let model = native(&server.url, "plain", 4096);
    model.health().await.unwrap();
    streams(&model).await;
    calls(&model).await;
    contract::is_cancelled(Arc::clone(&model)).await;
    mends_a_fence(&server.url).await;
    // the same server through its `/v1`: a model that has tools, and one of which Ollama says that it has none
    for name in ["tools", "plain"] {
        let model = compatible(&server.url, name);
        model.health().await.unwrap();
        streams(&model).await;
        calls(&model).await;
    }
    names_what_is_missing(&server.url).await;
    falls_back(&server.url).await;
    says_too_long(&server.url).await;
    breaks_off(&server).await;
    lacks_memory(&program, home.path()).await;
}
