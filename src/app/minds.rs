//! The models a program thinks with: one that writes and chooses, and one that compares meanings. Both are optional.

use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::{install_tls, model, prepare};
use crate::{agent::Nearest, config::Config, embedder, model::SharedModel};

/// The models of one program, or shared among several.
#[derive(Clone, Default)]
pub struct Minds {
    /// Writes and chooses.
    pub model: Option<SharedModel>,
    /// Compares requests with examples.
    pub nearest: Option<Arc<Nearest>>,
}

impl From<Option<SharedModel>> for Minds {
    fn from(model: Option<SharedModel>) -> Self {
        Self { model, nearest: None }
    }
}

impl Minds {
    /// Those of the configuration; nothing is fetched or loaded yet.
    ///
    /// # Errors
    /// When the configuration of one is wrong.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        install_tls();
        let model = model(config)?;
        let embedder =
            embedder::build(&config.embedder, &config.cache).context("setting up the embedder")?;
        let nearest = embedder
            .map(|embedder| Nearest::new(embedder, Some(config.cache.join("examples"))))
            .transpose()?;
        Ok(Self { model, nearest: nearest.map(Arc::new) })
    }

    /// Fetches and loads them, both at once. What fails is logged; turns go on without it.
    pub async fn prepare(&self, cancel: &CancellationToken) {
        let model = async {
            let Some(model) = &self.model else { return };
            match prepare(model, cancel).await {
                Ok(()) => tracing::info!(model = model.id(), "the model is ready"),
                Err(error) => tracing::warn!(%error, "the model is not ready; typed commands work"),
            }
        };
        let nearest = async {
            let Some(nearest) = &self.nearest else { return };
            match cancel.run_until_cancelled(nearest.prepare()).await {
                Some(Ok(())) => tracing::info!("the examples are ready"),
                Some(Err(error)) => {
                    tracing::warn!(%error, "requests are understood by their words alone");
                }
                None => {}
            }
        };
        tokio::join!(model, nearest);
    }
}
