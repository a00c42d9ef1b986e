//! Asking the model, within the budget of the turn.

use tokio::sync::mpsc;

use super::session::Session;
use crate::model::{
    ChatMessage, ChatRequest, ChatResponse, ChatRole, ModelError, Output, ToolCall, ToolSchema,
};

impl Session<'_> {
    /// Asks the model for one tool call.
    pub(super) async fn choose(
        &mut self,
        system: String,
        user: String,
        tools: Vec<ToolSchema>,
    ) -> Result<ToolCall, ModelError> {
        let request = request(system, user, tools, Output::ToolCall, 200);
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
        let response = model.chat(request, tokens, token).await?;
        self.output_tokens += response.usage.output_tokens;
        Ok(response)
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
        output,
        max_tokens,
        temperature: 0.0,
    }
}
