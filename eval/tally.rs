//! A model that counts what passes through it.

use std::{
    ops::AddAssign,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use kubemate::model::{ChatRequest, ChatResponse, Model, ModelError, SharedModel};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the model was used for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ModelUse {
    pub(crate) calls: u64,
    pub(crate) input_tokens: u64,
    /// Of the input, how many were found in a cache.
    pub(crate) cached_tokens: u64,
    pub(crate) output_tokens: u64,
}

impl AddAssign for ModelUse {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.input_tokens += other.input_tokens;
        self.cached_tokens += other.cached_tokens;
        self.output_tokens += other.output_tokens;
    }
}

/// Counts the calls and tokens of one trial.
pub(crate) struct Tally {
    model: SharedModel,
    total: Mutex<ModelUse>,
}

impl Tally {
    pub(crate) fn new(model: SharedModel) -> Self {
        Self { model, total: Mutex::default() }
    }

    pub(crate) fn total(&self) -> ModelUse {
        *self.total.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Model for Tally {
    fn id(&self) -> String {
        self.model.id()
    }

    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError> {
        let mut used = ModelUse { calls: 1, ..ModelUse::default() };
        let result = self.model.chat(request, tokens, cancel).await;
        if let Ok(response) = &result {
            used.input_tokens = response.usage.input_tokens.into();
            used.cached_tokens = response.usage.cached_tokens.into();
            used.output_tokens = response.usage.output_tokens.into();
        }
        *self.total.lock().unwrap_or_else(PoisonError::into_inner) += used;
        result
    }

    async fn health(&self) -> Result<(), ModelError> {
        self.model.health().await
    }
}
