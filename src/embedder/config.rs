//! Which embedder there is.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::SharedEmbedder;
use super::ollama::{self, Ollama};
use super::openai::{self, Openai};
use super::use_multilingual::{self, UseMultilingual};

/// The `embedder` section of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Config(pub Adapter);

impl Default for Config {
    fn default() -> Self {
        Self(Adapter::UseMultilingual(use_multilingual::Config::default()))
    }
}

/// One embedder.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "adapter", rename_all = "snake_case")]
pub enum Adapter {
    /// No embeddings: rules alone decide.
    None,
    /// In the process.
    UseMultilingual(use_multilingual::Config),
    /// An Ollama server.
    Ollama(ollama::Config),
    /// A server with OpenAI's API.
    Openai(openai::Config),
}

/// Makes the embedder of `config` ready to be asked; `None` when there is to be none. Nothing is reached, loaded or
/// fetched yet.
///
/// # Errors
/// When the HTTP client cannot be set up.
pub fn build(config: &Config, cache: &Path) -> anyhow::Result<Option<SharedEmbedder>> {
    let embedder: SharedEmbedder = match &config.0 {
        Adapter::None => return Ok(None),
        Adapter::UseMultilingual(config) => Arc::new(UseMultilingual::new(config.clone(), cache)?),
        Adapter::Ollama(config) => Arc::new(Ollama::new(config.clone())?),
        Adapter::Openai(config) => Arc::new(Openai::new(config.clone())?),
    };
    tracing::debug!(embedder = embedder.id(), "set up");
    Ok(Some(embedder))
}
