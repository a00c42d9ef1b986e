//! Ollama's own API for embeddings (`/api/embed`).
//! API: <https://docs.ollama.com/api/embed>.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use super::{EmbedError, Embedder, remote};
use crate::model::http::{self, Peer};

/// Where the server is and which model to use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A model the server has pulled, e.g. `bge-m3`.
    pub name: String,
    /// Base URL.
    #[serde(default = "default_url")]
    pub url: String,
    /// Longest time for one answer, in seconds; the first one may load the model.
    #[serde(default = "default_seconds")]
    pub answer_seconds: u64,
}

fn default_url() -> String {
    "http://127.0.0.1:11434".to_owned()
}

fn default_seconds() -> u64 {
    120
}

/// The adapter.
#[derive(Debug)]
pub struct Ollama {
    name: String,
    peer: Peer,
    client: reqwest::Client,
    dimensions: OnceLock<usize>,
}

impl Ollama {
    /// Reaches nothing yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: Config) -> anyhow::Result<Self> {
        let url = config.url.trim_end_matches('/').to_owned();
        let silence = Duration::from_secs(config.answer_seconds);
        let peer = Peer { adapter: "ollama", url, silence };
        Ok(Self { name: config.name, peer, client: http::client()?, dimensions: OnceLock::new() })
    }
}

#[async_trait]
impl Embedder for Ollama {
    fn id(&self) -> String {
        format!("ollama:{}", self.name)
    }

    fn dimensions(&self) -> Option<usize> {
        self.dimensions.get().copied()
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let request = self
            .client
            .post(format!("{}/api/embed", self.peer.url))
            .json(&json!({"model": self.name, "input": texts, "truncate": true}));
        let answer = remote::ask(&self.peer, request).await?;
        let found = answer["embeddings"].as_array().into_iter().flatten();
        remote::vectors(found, texts.len(), &self.dimensions)
    }

    async fn health(&self) -> Result<(), EmbedError> {
        self.embed(&["ping".to_owned()]).await.map(drop)
    }
}
