//! Asking the model, within the budget of the turn.

use std::time::Instant;

use tokio::sync::mpsc;

use super::session::Session;
use crate::domain::Consultation;
use crate::model::{
    ChatMessage, ChatRequest, ChatResponse, ChatRole, ModelError, Output, ToolCall, ToolSchema,
};

impl Session<'_> {
    /// Asks the model for one tool call.
    pub(super) async fn choose(&mut self, request: ChatRequest) -> Result<ToolCall, ModelError> {
        let response = self.chat(request, None).await?;
        response.call.ok_or_else(|| ModelError::Malformed {
            detail: "there is no call in it".to_owned(),
            raw: response.text.chars().take(200).collect(),
        })
    }

    /// One model call within the budget.
    pub(super) async fn chat(
        &mut self,
        mut request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
    ) -> Result<ChatResponse, ModelError> {
        let budget = &self.agent.parts.budget;
        let Some(model) = &self.agent.parts.model else {
            return Err(ModelError::Unavailable("none is configured".to_owned()));
        };
        let left = budget.output_tokens.saturating_sub(self.output_tokens);
        if self.model_calls >= budget.model_calls || left == 0 {
            return Err(ModelError::Unavailable("the budget of this turn is used up".to_owned()));
        }
        self.model_calls += 1;
        self.used_model = true;
        request.max_tokens = request.max_tokens.min(left);
        // ends the model's work when nobody waits for it any more
        let token = self.cancel.child_token();
        let _ended = token.clone().drop_guard();
        let asked = Asked::begin(&request);
        let response = model.chat(request, tokens, token).await;
        self.explained.model_calls.push(asked.end(&response));
        let response = response?;
        self.output_tokens += response.usage.output_tokens;
        Ok(response)
    }
}

/// A model call while it runs, for the explanation.
struct Asked {
    offered: Vec<String>,
    begun: Instant,
}

impl Asked {
    fn begin(request: &ChatRequest) -> Self {
        let offered = request.callable().iter().map(|tool| tool.name.clone()).collect();
        Self { offered, begun: Instant::now() }
    }

    fn end(self, response: &Result<ChatResponse, ModelError>) -> Consultation {
        let milliseconds = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let known = Consultation { offered: self.offered, milliseconds, ..Consultation::default() };
        match response {
            Err(error) => Consultation { error: Some(error.to_string()), ..known },
            Ok(response) => Consultation {
                chose: response.call.as_ref().map(|call| call.name.clone()),
                input_tokens: response.usage.input_tokens,
                cached_tokens: response.usage.cached_tokens,
                output_tokens: response.usage.output_tokens,
                ..known
            },
        }
    }
}

/// A request with the system prompt first.
pub(super) fn request(
    system: String,
    user: String,
    tools: Vec<ToolSchema>,
    output: Output,
    max_tokens: u32,
) -> ChatRequest {
    let message = |role, content| ChatMessage { role, content };
    ChatRequest {
        messages: vec![message(ChatRole::System, system), message(ChatRole::User, user)],
        tools,
        allowed: Vec::new(),
        output,
        max_tokens,
        temperature: 0.0,
    }
}
