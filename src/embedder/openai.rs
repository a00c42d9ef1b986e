//! Any server that speaks OpenAI's embeddings API (`/embeddings`): vLLM, llama.cpp's server, hosted ones.
//! API: <https://platform.openai.com/docs/api-reference/embeddings>.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{EmbedError, Embedder, remote};
use crate::model::http::{self, Peer};

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
    #[serde(default)]
    pub key: Option<SecretString>,
    /// Longest time for one answer, in seconds.
    #[serde(default = "default_seconds")]
    pub answer_seconds: u64,
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

fn default_seconds() -> u64 {
    60
}

/// The adapter.
#[derive(Debug)]
pub struct Openai {
    config: Config,
    peer: Peer,
    client: reqwest::Client,
    dimensions: OnceLock<usize>,
}

impl Openai {
    /// Reaches nothing yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: Config) -> anyhow::Result<Self> {
        let url = config.url.trim_end_matches('/').to_owned();
        let silence = Duration::from_secs(config.answer_seconds);
        let peer = Peer { adapter: "openai", url, silence };
        Ok(Self { config, peer, client: http::client()?, dimensions: OnceLock::new() })
    }
}

/// The vector of each text: servers may answer in any order and then say which is which.
fn in_order(answer: &Value) -> Vec<&Value> {
    let mut items: Vec<&Value> = answer["data"].as_array().into_iter().flatten().collect();
    items.sort_by_key(|item| item["index"].as_u64());
    items.into_iter().map(|item| &item["embedding"]).collect()
}

#[async_trait]
impl Embedder for Openai {
    fn id(&self) -> String {
        format!("openai:{}", self.config.name)
    }

    fn dimensions(&self) -> Option<usize> {
        self.dimensions.get().copied()
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let body = json!({"model": self.config.name, "input": texts, "encoding_format": "float"});
        let mut request = self.client.post(format!("{}/embeddings", self.peer.url)).json(&body);
        if let Some(key) = &self.config.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let answer = remote::ask(&self.peer, request).await?;
        remote::vectors(in_order(&answer).into_iter(), texts.len(), &self.dimensions)
    }

    async fn health(&self) -> Result<(), EmbedError> {
        self.embed(&["ping".to_owned()]).await.map(drop)
    }
}
