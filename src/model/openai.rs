//! Any server that speaks OpenAI's chat completions: vLLM, llama.cpp's server, Ollama's `/v1`, hosted ones.
//! A call is asked for with `tools` and `tool_choice: required`; servers that refuse or ignore this get a JSON schema as
//! `response_format`, and those that refuse that are told in the prompt. What comes back is validated either way.
//! API: <https://platform.openai.com/docs/api-reference/chat>.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call;
use super::http::{self, Answer, Peer};
use super::{
    ChatMessage, ChatRequest, ChatResponse, ChatRole, Model, ModelError, Output, ToolCall, Usage,
};

/// Where the server is, which model to use, and the key.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The model's name on the server.
    pub name: String,
    /// Base URL including the version, e.g. `http://127.0.0.1:8000/v1`.
    #[serde(default = "default_url")]
    pub url: String,
    /// API key, sent as a bearer token.
    #[serde(default, deserialize_with = "secret")]
    pub key: Option<SecretString>,
    /// Context of the model in tokens; used in messages only, the server has its own limit.
    #[serde(default = "default_context")]
    pub context: u32,
    /// Longest silence before the next piece of an answer, in seconds.
    #[serde(default = "default_silence")]
    pub silence_seconds: u64,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("name", &self.name)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

fn default_url() -> String {
    "http://127.0.0.1:8000/v1".to_owned()
}

fn default_context() -> u32 {
    8192
}

fn default_silence() -> u64 {
    60
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// How a call is asked for; each server is tried with the first and what worked is remembered.
const BY_TOOLS: u8 = 0;
const BY_SCHEMA: u8 = 1;
const BY_PROMPT: u8 = 2;

/// The adapter.
#[derive(Debug)]
pub struct Openai {
    config: Config,
    peer: Peer,
    client: reqwest::Client,
    way: AtomicU8,
}

impl Openai {
    /// Reaches nothing yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: Config) -> anyhow::Result<Self> {
        let url = config.url.trim_end_matches('/').to_owned();
        let silence = Duration::from_secs(config.silence_seconds);
        let peer = Peer { adapter: "openai", url, silence };
        Ok(Self { config, peer, client: http::client()?, way: AtomicU8::new(BY_TOOLS) })
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.config.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    fn body(&self, request: &ChatRequest, way: u8) -> Value {
        let call = request.output == Output::ToolCall;
        let told = if call && way != BY_TOOLS {
            call::with_preamble(&request.messages, &request.tools)
        } else {
            request.messages.clone()
        };
        let mut body = json!({
            "model": self.config.name,
            "messages": told.iter().map(message).collect::<Vec<_>>(),
            "stream": true,
            "stream_options": {"include_usage": true},
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
        });
        match way {
            BY_TOOLS if call => {
                body["tools"] = request.callable().iter().map(|tool| json!({"type": "function", "function": {
                    "name": tool.name, "description": tool.description, "parameters": call::plain(&tool.parameters)}}))
                    .collect();
                body["tool_choice"] = json!("required");
                body["parallel_tool_calls"] = json!(false);
            }
            BY_SCHEMA if call => {
                let schema = call::schema_of_call(request.callable());
                body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "call", "schema": schema}});
            }
            _ => {}
        }
        body
    }

    /// Sends the request, asking in a weaker way when the server refuses the one it got.
    async fn open(&self, request: &ChatRequest) -> Result<reqwest::Response, ModelError> {
        loop {
            let way = self.way.load(Ordering::Relaxed);
            let post = self
                .client
                .post(format!("{}/chat/completions", self.peer.url))
                .json(&self.body(request, way));
            let response = self.peer.send(self.authorised(post)).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let body = response.text().await.unwrap_or_default();
            if http::says_too_long(&body) {
                let tokens =
                    request.messages.iter().map(|m| http::estimate_tokens(&m.content)).sum();
                return Err(ModelError::TooLong { tokens, limit: self.config.context as usize });
            }
            let refused_way = matches!(status.as_u16(), 400 | 422 | 500 | 501)
                && ["tool", "response_format", "json_schema", "grammar", "schema", "jinja"]
                    .iter()
                    .any(|w| body.contains(w));
            if request.output == Output::ToolCall && way < BY_PROMPT && refused_way {
                self.way.store(way + 1, Ordering::Relaxed);
                continue;
            }
            if status == 404 {
                return Err(self.not_there());
            }
            return Err(self.peer.refused(status, &body));
        }
    }

    fn not_there(&self) -> ModelError {
        ModelError::Unavailable(format!(
            "the openai server at {} has no model `{}`; name one it serves and let `url` end in its version (…/v1)",
            self.peer.url, self.config.name
        ))
    }

    async fn complete(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
    ) -> Result<ChatResponse, ModelError> {
        loop {
            if let Some(response) = self.answer(&request, tokens.clone()).await? {
                return Ok(response);
            }
        }
    }

    /// The answer to one way of asking. `None` when the server took `tools` and did not use them, as llama.cpp's does for
    /// a model whose template knows none: the next way is to be tried.
    async fn answer(
        &self,
        request: &ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
    ) -> Result<Option<ChatResponse>, ModelError> {
        let mut lines = self.peer.lines(self.open(request).await?);
        let mut answer = Answer::new(tokens, request.output);
        let mut called = Called::default();
        let mut usage = Usage::default();
        let mut finished = false;
        while let Some(line) = lines.next().await? {
            let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
            if data == "[DONE]" {
                finished = true;
                break;
            }
            let chunk: Chunk = serde_json::from_str(data).with_context(|| {
                format!(
                    "the openai server at {} sent an event that is not its protocol",
                    self.peer.url
                )
            })?;
            if let Some(error) = chunk.error {
                return Err(ModelError::Unavailable(format!(
                    "the openai server at {} failed: {error}",
                    self.peer.url
                )));
            }
            if let Some(counted) = chunk.usage {
                usage = counted.into();
            }
            for choice in chunk.choices {
                finished |= choice.finish_reason.is_some();
                called.take(&choice.delta.tool_calls);
                if !answer.push(choice.delta.content.as_deref().unwrap_or_default()).await
                    || called.too_long()
                {
                    return Err(call::malformed("the answer does not end", &answer.text));
                }
            }
        }
        if !finished {
            return Err(ModelError::Unavailable(format!(
                "the openai server at {} ended its answer in the middle; look at its log and ask again",
                self.peer.url
            )));
        }
        let no_call = called.name.is_empty();
        let call = match request.output {
            Output::ToolCall => match called.finish(&answer.text, request) {
                Err(ModelError::Malformed { .. }) if no_call && self.tools_were_ignored() => {
                    return Ok(None);
                }
                finished => Some(finished?),
            },
            Output::Text => None,
        };
        let text = if call.is_some() { String::new() } else { answer.text };
        Ok(Some(ChatResponse { text, call, usage, model: self.id() }))
    }

    /// Remembers that `tools` are ignored here. `false` when they were not what was sent.
    fn tools_were_ignored(&self) -> bool {
        let (sent, next) = (BY_TOOLS, BY_SCHEMA);
        self.way.compare_exchange(sent, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// A message in OpenAI's form. What a tool returned is told as the user's, since no call id binds it here.
fn message(message: &ChatMessage) -> Value {
    let role = match message.role {
        ChatRole::System => "system",
        ChatRole::User | ChatRole::Tool => "user",
        ChatRole::Assistant => "assistant",
    };
    json!({"role": role, "content": message.content})
}

/// The call as its pieces arrive.
#[derive(Debug, Default)]
struct Called {
    name: String,
    arguments: String,
    several: bool,
}

impl Called {
    fn take(&mut self, pieces: &[CallPiece]) {
        for piece in pieces {
            self.several |= piece.index > 0;
            self.name.push_str(piece.function.name.as_deref().unwrap_or_default());
            self.arguments.push_str(piece.function.arguments.as_deref().unwrap_or_default());
        }
    }

    fn too_long(&self) -> bool {
        self.name.len() + self.arguments.len() > 64 * 1024
    }

    /// The call, from the server's own form or from the text.
    fn finish(self, text: &str, request: &ChatRequest) -> Result<ToolCall, ModelError> {
        if self.several {
            return Err(call::malformed(
                "one call was asked for and several came",
                &self.arguments,
            ));
        }
        if self.name.is_empty() {
            return call::call_from_text(text, request.callable());
        }
        call::checked(
            &self.name,
            Value::String(self.arguments.clone()),
            request.callable(),
            &self.arguments,
        )
    }
}

/// One event of the stream.
#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counted>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    tool_calls: Vec<CallPiece>,
}

#[derive(Debug, Deserialize)]
struct CallPiece {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    function: FunctionPiece,
}

#[derive(Debug, Default, Deserialize)]
struct FunctionPiece {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CallPiece>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

impl From<Counted> for Usage {
    fn from(counted: Counted) -> Self {
        Self {
            input_tokens: counted.prompt_tokens,
            cached_tokens: counted
                .prompt_tokens_details
                .and_then(|d| d.cached_tokens)
                .unwrap_or_default(),
            output_tokens: counted.completion_tokens,
        }
    }
}

#[async_trait]
impl Model for Openai {
    fn id(&self) -> String {
        format!("openai:{}", self.config.name)
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
        let list = self.authorised(self.client.get(format!("{}/models", self.peer.url)));
        let response = self.peer.send(list.timeout(Duration::from_secs(10))).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.peer.refused(status, &response.text().await.unwrap_or_default()));
        }
        let served: Value =
            response.json().await.context("the openai server's list of models is not JSON")?;
        let ids = served["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted = self.config.name.as_str();
        // Ollama lists `name` as `name:latest`
        let is_wanted = |id: &str| id == wanted || id.strip_suffix(":latest") == Some(wanted);
        let known = ids.is_empty() || ids.iter().filter_map(|m| m["id"].as_str()).any(is_wanted);
        if known { Ok(()) } else { Err(self.not_there()) }
    }
}
