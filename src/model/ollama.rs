//! Ollama through its own API (`/api/chat`): the answer is constrained by `format`, a JSON schema that the server
//! compiles to a grammar. Old servers know only `"json"`; what comes back is validated either way.
//! API: <https://docs.ollama.com/api/chat>.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call;
use super::http::{self, Answer, Peer};
use super::{ChatRequest, ChatResponse, Model, ModelError, Output, Usage};

/// Where the server is and which model to use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A model the server has pulled, e.g. `qwen2.5-coder:7b`.
    pub name: String,
    /// Base URL.
    #[serde(default = "default_url")]
    pub url: String,
    /// Context to allocate, in tokens.
    #[serde(default = "default_context")]
    pub context: u32,
    /// How long the server keeps the model loaded, in Ollama's notation.
    #[serde(default = "default_keep_alive")]
    pub keep_alive: String,
    /// Longest silence before the next piece of an answer, in seconds; loading a model is silence.
    #[serde(default = "default_silence")]
    pub silence_seconds: u64,
}

fn default_url() -> String {
    "http://127.0.0.1:11434".to_owned()
}

fn default_context() -> u32 {
    8192
}

fn default_keep_alive() -> String {
    "30m".to_owned()
}

fn default_silence() -> u64 {
    120
}

/// How answers are constrained; each server is tried with the strongest first and remembered.
const BY_SCHEMA: u8 = 0;
const BY_JSON: u8 = 1;
const NOT_AT_ALL: u8 = 2;

/// The adapter.
#[derive(Debug)]
pub struct Ollama {
    config: Config,
    peer: Peer,
    client: reqwest::Client,
    constraint: AtomicU8,
}

impl Ollama {
    /// Reaches nothing yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: Config) -> anyhow::Result<Self> {
        let url = config.url.trim_end_matches('/').to_owned();
        let silence = Duration::from_secs(config.silence_seconds);
        let peer = Peer { adapter: "ollama", url, silence };
        Ok(Self { config, peer, client: http::client()?, constraint: AtomicU8::new(BY_SCHEMA) })
    }

    fn body(&self, request: &ChatRequest, constraint: u8) -> Value {
        let call = request.output == Output::ToolCall;
        let messages = if call {
            call::with_preamble(&request.messages, &request.tools)
        } else {
            request.messages.clone()
        };
        let mut body = json!({
            "model": self.config.name,
            "messages": messages,
            "stream": true,
            "truncate": false,
            "keep_alive": self.config.keep_alive,
            "options": {
                "temperature": request.temperature,
                "num_predict": request.max_tokens,
                "num_ctx": self.config.context,
                "seed": 0,
            },
        });
        match constraint {
            BY_SCHEMA if call => body["format"] = call::schema_of_call(request.callable()),
            BY_JSON if call => body["format"] = json!("json"),
            _ => {}
        }
        body
    }

    /// Sends the request, with a weaker constraint when the server does not know the one it got.
    async fn open(&self, request: &ChatRequest) -> Result<reqwest::Response, ModelError> {
        loop {
            let constraint = self.constraint.load(Ordering::Relaxed);
            let post = self
                .client
                .post(format!("{}/api/chat", self.peer.url))
                .json(&self.body(request, constraint));
            let response = self.peer.send(post).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let body = response.text().await.unwrap_or_default();
            let unknown_format =
                body.contains("format") || body.contains("grammar") || body.contains("schema");
            if status == 400
                && constraint < NOT_AT_ALL
                && request.output == Output::ToolCall
                && unknown_format
            {
                self.constraint.store(constraint + 1, Ordering::Relaxed);
                continue;
            }
            return Err(self.error(status, &body, request));
        }
    }

    fn error(&self, status: reqwest::StatusCode, body: &str, request: &ChatRequest) -> ModelError {
        if status == 404 {
            return self.not_pulled();
        }
        if http::says_too_long(body) {
            return self.too_long(request);
        }
        if says_out_of_memory(body) {
            return self.failed(body);
        }
        self.peer.refused(status, body)
    }

    fn not_pulled(&self) -> ModelError {
        ModelError::Unavailable(format!(
            "the ollama server at {} has no model `{name}`; run `ollama pull {name}` there",
            self.peer.url,
            name = self.config.name
        ))
    }

    /// The error for what went wrong on the server's side.
    fn failed(&self, said: &str) -> ModelError {
        let what_to_do = if says_out_of_memory(said) {
            "; choose a smaller model, or a smaller `context` in the model's configuration"
        } else {
            ""
        };
        ModelError::Unavailable(format!(
            "the ollama server at {} failed: {}{what_to_do}",
            self.peer.url,
            http::said(said)
        ))
    }

    /// Whether the model that `/api/show` describes answers in text; embedding models do not. Old servers do not tell.
    async fn can_chat(&self, shown: reqwest::Response) -> Result<(), ModelError> {
        let shown: Value =
            shown.json().await.context("the ollama server's description of a model is not JSON")?;
        let capabilities = shown["capabilities"].as_array();
        if capabilities.is_none_or(|all| all.iter().any(|one| one == "completion")) {
            return Ok(());
        }
        Err(ModelError::Unavailable(format!(
            "`{}` on the ollama server at {} is not a chat model; name an instruct model",
            self.config.name, self.peer.url
        )))
    }

    fn too_long(&self, request: &ChatRequest) -> ModelError {
        let tokens = request.messages.iter().map(|m| http::estimate_tokens(&m.content)).sum();
        ModelError::TooLong { tokens, limit: self.config.context as usize }
    }

    async fn complete(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
    ) -> Result<ChatResponse, ModelError> {
        let mut lines = self.peer.lines(self.open(&request).await?);
        let mut answer = Answer::new(tokens, request.output);
        let mut usage = Usage::default();
        let mut finished = false;
        while let Some(line) = lines.next().await? {
            if line.is_empty() {
                continue;
            }
            let piece: Piece = serde_json::from_str(&line).with_context(|| {
                format!(
                    "the ollama server at {} sent a line that is not its protocol",
                    self.peer.url
                )
            })?;
            if let Some(error) = piece.error {
                return Err(if http::says_too_long(&error) {
                    self.too_long(&request)
                } else {
                    self.failed(&error)
                });
            }
            if !answer.push(&piece.message.content).await {
                return Err(call::malformed("the answer does not end", &answer.text));
            }
            if piece.done {
                usage.input_tokens = piece.prompt_eval_count;
                usage.output_tokens = piece.eval_count;
                finished = true;
                break;
            }
        }
        if !finished {
            return Err(ModelError::Unavailable(format!(
                "the ollama server at {} ended its answer in the middle; look at its log and ask again",
                self.peer.url
            )));
        }
        let call = match request.output {
            Output::ToolCall => Some(call::call_from_text(&answer.text, request.callable())?),
            Output::Text => None,
        };
        let text = if call.is_some() { String::new() } else { answer.text };
        Ok(ChatResponse { text, call, usage, model: self.id() })
    }
}

/// Whether an error says that the model does not fit into the server's memory.
fn says_out_of_memory(said: &str) -> bool {
    ["system memory", "out of memory"].iter().any(|phrase| said.contains(phrase))
}

/// One line of the answer.
#[derive(Debug, Deserialize)]
struct Piece {
    #[serde(default)]
    message: PieceMessage,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    prompt_eval_count: u32,
    #[serde(default)]
    eval_count: u32,
}

#[derive(Debug, Default, Deserialize)]
struct PieceMessage {
    #[serde(default)]
    content: String,
}

#[async_trait]
impl Model for Ollama {
    fn id(&self) -> String {
        format!("ollama:{}", self.config.name)
    }

    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError> {
        cancel
            .run_until_cancelled(self.complete(request, tokens))
            .await
            .unwrap_or(Err(ModelError::Cancelled))
    }

    async fn health(&self) -> Result<(), ModelError> {
        let show = self
            .client
            .post(format!("{}/api/show", self.peer.url))
            .json(&json!({"model": self.config.name}));
        let response = self.peer.send(show.timeout(Duration::from_secs(10))).await?;
        match response.status() {
            status if status.is_success() => self.can_chat(response).await,
            status if status == 404 => Err(self.not_pulled()),
            status => Err(self.peer.refused(status, &response.text().await.unwrap_or_default())),
        }
    }
}
