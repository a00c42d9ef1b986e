//! The seam to language models: one chat completion, optionally constrained to a tool call.
//!
//! Adapters are in `model/`; [`build`] makes the configured ones.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod call;
pub mod candle;
mod config;
pub mod download;
pub mod fallback;
pub(crate) mod http;
pub mod ollama;
pub mod openai;
pub mod scripted;

pub use config::{Adapter, Config, ScriptFile, build};

/// A chat model. Adapters live in `model/`; retry, budget and recording are decorators of this trait.
#[async_trait]
pub trait Model: Send + Sync {
    /// `adapter:name`, e.g. `candle:qwen2.5-coder-1.5b`, used in trailers and transcripts.
    fn id(&self) -> String;

    /// Completes one conversation. Must stop soon after `cancel` fires and return [`ModelError::Cancelled`].
    /// Pieces of text go to `tokens` as they are decoded, when given (never pieces of a tool call).
    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError>;

    /// Whether it could answer now; the error says what is missing and what to do. Used by `doctor` and `/readyz`.
    async fn health(&self) -> Result<(), ModelError>;
}

/// One request to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// System prompt first. Identical prefixes of successive requests may be cached by the adapter.
    pub messages: Vec<ChatMessage>,
    /// Tools the model is told about; their schemas may hold the names of the live inventory (enums).
    pub tools: Vec<ToolSchema>,
    /// What may be called in this request, where that is less: some of `tools`, with schemas narrowed to what was said.
    /// Constrains the call without being shown, so that the prompt stays the same. Empty: all of `tools`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<ToolSchema>,
    /// What must come out.
    pub output: Output,
    /// Upper bound of generated tokens.
    pub max_tokens: u32,
    /// 0 is greedy.
    pub temperature: f32,
}

impl ChatRequest {
    /// What may be called.
    #[must_use]
    pub fn callable(&self) -> &[ToolSchema] {
        if self.allowed.is_empty() { &self.tools } else { &self.allowed }
    }
}

/// What the model must produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Free text.
    Text,
    /// Exactly one call of one of `tools`: the adapter constrains decoding to the schemas, or validates and says
    /// [`ModelError::Malformed`].
    ToolCall,
}

/// One message of the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// The text.
    pub content: String,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    /// Instructions.
    System,
    /// The operator.
    User,
    /// The model.
    Assistant,
    /// What a tool returned.
    Tool,
}

/// A tool as the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSchema {
    /// Name, `snake_case`.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of the arguments (an object schema). An enumeration marked `x-live: true` comes from the live
    /// inventory: it constrains decoding but is not shown to the model, so that the prompt stays the same.
    pub parameters: Value,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatResponse {
    /// Text, when text was asked for.
    pub text: String,
    /// The call, when a call was asked for; already valid against the tool's schema.
    pub call: Option<ToolCall>,
    /// What it cost.
    pub usage: Usage,
    /// [`Model::id`] of the model that answered.
    pub model: String,
}

/// One call of one tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// Token counts (OpenTelemetry `gen_ai.usage.*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Of those, how many were found in a cache.
    pub cached_tokens: u32,
    /// Tokens generated.
    pub output_tokens: u32,
}

/// Why there is no completion.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model cannot be reached or loaded; the text says what to do.
    #[error("the model is not available: {0}")]
    Unavailable(String),
    /// The output was not a valid call of an offered tool.
    #[error("the model's output is not a valid tool call: {detail}")]
    Malformed {
        /// What was wrong.
        detail: String,
        /// The raw output, shortened.
        raw: String,
    },
    /// The request does not fit into the model's context.
    #[error(
        "the request has {tokens} tokens and the model's context holds {limit}; shorten the conversation"
    )]
    TooLong {
        /// Tokens of the request.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// `cancel` fired (deadline or operator).
    #[error("the model call was cancelled")]
    Cancelled,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// How models are shared.
pub type SharedModel = Arc<dyn Model>;
