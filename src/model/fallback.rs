//! Decorators of [`Model`]: several models tried in order, and a deadline per request.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{ChatRequest, ChatResponse, Model, ModelError, SharedModel};

/// Tries models in order until one answers. A malformed call is asked for again once from the same model; a model
/// that has begun to stream text is not replaced any more.
pub struct Fallback {
    models: Vec<SharedModel>,
}

impl Fallback {
    /// At least one model.
    #[must_use]
    pub fn new(models: Vec<SharedModel>) -> Self {
        Self { models }
    }
}

/// What one attempt came to.
struct Attempt {
    result: Result<ChatResponse, ModelError>,
    /// Whether pieces of text went out already.
    streamed: bool,
}

async fn attempt(
    model: &SharedModel,
    request: &ChatRequest,
    tokens: Option<&mpsc::Sender<String>>,
    cancel: &CancellationToken,
) -> Attempt {
    let Some(tokens) = tokens else {
        let result = model.chat(request.clone(), None, cancel.clone()).await;
        return Attempt { result, streamed: false };
    };
    let (inner, mut pieces) = mpsc::channel::<String>(16);
    let forward = async {
        let mut streamed = false;
        while let Some(piece) = pieces.recv().await {
            streamed = true;
            if tokens.send(piece).await.is_err() {
                break;
            }
        }
        streamed
    };
    let (result, streamed) =
        tokio::join!(model.chat(request.clone(), Some(inner), cancel.clone()), forward);
    Attempt { result, streamed }
}

#[async_trait]
impl Model for Fallback {
    fn id(&self) -> String {
        self.models.first().map_or_else(|| "none".to_owned(), |model| model.id())
    }

    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError> {
        let mut last = ModelError::Unavailable("no model is configured".to_owned());
        let mut reasons = Vec::new();
        for model in &self.models {
            for again in [false, true] {
                let Attempt { result, streamed } =
                    attempt(model, &request, tokens.as_ref(), &cancel).await;
                let error = match result {
                    Ok(response) => return Ok(response),
                    Err(error) => error,
                };
                if streamed || cancel.is_cancelled() || matches!(error, ModelError::Cancelled) {
                    return Err(error);
                }
                tracing::warn!(model = model.id(), %error, "no completion");
                let malformed = matches!(error, ModelError::Malformed { .. });
                if let ModelError::Unavailable(why) = &error {
                    reasons.push(format!("{}: {why}", model.id()));
                }
                last = error;
                if again || !malformed {
                    break;
                }
            }
        }
        // whoever is to mend one of them must learn of all
        Err(match last {
            ModelError::Unavailable(_) if reasons.len() > 1 => {
                ModelError::Unavailable(reasons.join("; "))
            }
            other => other,
        })
    }

    async fn health(&self) -> Result<(), ModelError> {
        let mut missing = Vec::new();
        for model in &self.models {
            match model.health().await {
                Ok(()) => return Ok(()),
                Err(ModelError::Unavailable(why)) => missing.push(format!("{}: {why}", model.id())),
                Err(error) => missing.push(format!("{}: {error}", model.id())),
            }
        }
        Err(ModelError::Unavailable(missing.join("; ")))
    }
}

/// Gives up on a request after a while, so that a model that hangs is one that is not available.
pub struct Deadline {
    model: SharedModel,
    limit: Duration,
}

impl Deadline {
    /// `limit` is for one request, waiting in the model's queue included.
    #[must_use]
    pub fn new(model: SharedModel, limit: Duration) -> Self {
        Self { model, limit }
    }
}

#[async_trait]
impl Model for Deadline {
    fn id(&self) -> String {
        self.model.id()
    }

    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError> {
        let inner = cancel.child_token();
        let stop = inner.clone().drop_guard();
        match tokio::time::timeout(self.limit, self.model.chat(request, tokens, inner)).await {
            Ok(result) => {
                stop.disarm();
                result
            }
            Err(_) => Err(ModelError::Unavailable(format!(
                "{} gave no answer within {} s; use a smaller or faster model, or raise the deadline",
                self.model.id(),
                self.limit.as_secs()
            ))),
        }
    }

    async fn health(&self) -> Result<(), ModelError> {
        self.model.health().await
    }
}
