//! Getting a model ready before the first question.

use tokio_util::sync::CancellationToken;

use crate::model::{ChatMessage, ChatRequest, ChatRole, ModelError, Output, SharedModel};

/// Longest wait for a model that is being fetched.
const PREPARE: std::time::Duration = std::time::Duration::from_secs(40 * 60);

/// Fetches and loads a model by asking it for one token, again and again while it is on its way.
///
/// # Errors
/// When it is still not available after [`PREPARE`], or `cancel` fires.
pub async fn prepare(model: &SharedModel, cancel: &CancellationToken) -> Result<(), ModelError> {
    let begun = std::time::Instant::now();
    let request = ChatRequest {
        messages: vec![ChatMessage { role: ChatRole::User, content: "hello".to_owned() }],
        tools: Vec::new(),
        allowed: Vec::new(),
        output: Output::Text,
        max_tokens: 1,
        temperature: 0.0,
    };
    loop {
        match model.chat(request.clone(), None, cancel.child_token()).await {
            Err(ModelError::Unavailable(why)) if begun.elapsed() < PREPARE => {
                tracing::debug!(why, "waiting for the model");
            }
            other => return other.map(drop),
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(ModelError::Cancelled),
            () = tokio::time::sleep(std::time::Duration::from_secs(3)) => {}
        }
    }
}
