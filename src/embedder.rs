//! The seam to sentence embeddings: texts become vectors whose angle says how alike they are in meaning, whatever the
//! language. Adapters are in `embedder/`; [`build`] makes the configured one.

use std::sync::Arc;

use async_trait::async_trait;

mod config;
pub mod ollama;
pub mod openai;
mod remote;
pub mod use_multilingual;

pub use config::{Adapter, Config, build};

use crate::model::ModelError;

/// Turns texts into vectors. Adapters live in `embedder/`.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// `adapter:name`; vectors of different ids cannot be compared.
    fn id(&self) -> String;

    /// Numbers of each vector; `None` until a server has said so.
    fn dimensions(&self) -> Option<usize>;

    /// One vector of length 1 per text, in order. The first call may fetch and load the model; dropping the future is
    /// how it is cancelled.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// Whether it could answer now; the error says what is missing and what to do.
    async fn health(&self) -> Result<(), EmbedError>;
}

/// Why there are no vectors.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model cannot be reached, fetched or loaded; the text says what to do.
    #[error("the embedding model is not available: {0}")]
    Unavailable(String),
    /// What came back is not one vector per text, all of one length.
    #[error("the embedding model's answer cannot be used: {0}")]
    Malformed(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<ModelError> for EmbedError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Unavailable(text) => Self::Unavailable(text),
            other => Self::Other(other.into()),
        }
    }
}

/// How embedders are shared.
pub type SharedEmbedder = Arc<dyn Embedder>;

/// The cosine of the angle between two vectors of length 1.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Gives a vector the length 1; one of zeros stays as it is.
fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > f32::EPSILON {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}
