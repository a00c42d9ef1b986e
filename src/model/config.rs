//! Which models there are and in which order they are tried; names them for the command line too.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::candle::{self, Candle};
use super::fallback::{Deadline, Fallback};
use super::ollama::{self, Ollama};
use super::openai::{self, Openai};
use super::scripted::{Script, Scripted};
use super::{Model, SharedModel};

/// The `model` section of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Tried in this order.
    pub models: Vec<Adapter>,
    /// Longest time for one request to one model, in seconds.
    pub deadline_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { models: vec![Adapter::Candle(candle::Config::default())], deadline_seconds: 180 }
    }
}

/// One model.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "adapter", rename_all = "snake_case")]
pub enum Adapter {
    /// In the process.
    Candle(candle::Config),
    /// An Ollama server.
    Ollama(ollama::Config),
    /// A server with OpenAI's API.
    Openai(openai::Config),
    /// Answers from a file.
    Scripted(ScriptFile),
}

/// Where a script is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptFile {
    /// YAML or JSON; see [`Script`].
    pub file: PathBuf,
}

/// As on the command line: `candle`, `candle:NAME`, `candle:FILE.gguf`, `ollama:NAME`, `openai:NAME`,
/// `scripted:FILE`.
impl FromStr for Adapter {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (adapter, name) = text.split_once(':').unwrap_or((text, ""));
        let value = match (adapter, name) {
            ("candle", "") => serde_json::json!({"adapter": adapter}),
            ("candle", file) if file.ends_with(".gguf") => {
                let stem = Path::new(file).file_stem().map(|s| s.to_string_lossy());
                serde_json::json!({"adapter": adapter, "name": stem, "file": file})
            }
            ("candle", name) => serde_json::json!({"adapter": adapter, "name": name}),
            ("ollama" | "openai", name) if !name.is_empty() => {
                serde_json::json!({"adapter": adapter, "name": name})
            }
            ("scripted", file) if !file.is_empty() => {
                serde_json::json!({"adapter": adapter, "file": file})
            }
            _ => bail!(
                "`{text}` names no model; use candle, candle:NAME, ollama:NAME, openai:NAME or scripted:FILE"
            ),
        };
        serde_json::from_value(value)
            .with_context(|| format!("cannot understand the model `{text}`"))
    }
}

/// Makes the models of `config` ready to be asked. Nothing is reached, loaded or fetched yet.
///
/// # Errors
/// When a script cannot be read or the HTTP client cannot be set up.
pub fn build(config: &Config, cache: &Path) -> anyhow::Result<SharedModel> {
    let limit = Duration::from_secs(config.deadline_seconds);
    let models = config
        .models
        .iter()
        .map(|adapter| Ok(Arc::new(Deadline::new(one(adapter, cache)?, limit)) as SharedModel))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Arc::new(Fallback::new(models)))
}

fn one(adapter: &Adapter, cache: &Path) -> anyhow::Result<Arc<dyn Model>> {
    Ok(match adapter {
        Adapter::Candle(config) => Arc::new(Candle::new(config.clone(), cache)?),
        Adapter::Ollama(config) => Arc::new(Ollama::new(config.clone())?),
        Adapter::Openai(config) => Arc::new(Openai::new(config.clone())?),
        Adapter::Scripted(script) => Arc::new(Scripted::new(Script::read(&script.file)?)),
    })
}
