//! Chat templates, written by us per family: which one a model wants follows from the special tokens it knows. What
//! people and tools say is always encoded as text, so that it cannot end a turn or begin another.

use super::super::{ChatMessage, ChatRole, ModelError};
use super::gguf::Gguf;
use super::vocabulary::Vocabulary;

/// How a conversation becomes tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    family: Family,
    /// Before everything, where the family has it.
    begin: Option<u32>,
    /// Opens a turn.
    open: u32,
    /// Ends a turn; the model writes it when it has finished.
    end: u32,
    /// Between role and content, where the family has it.
    header_end: Option<u32>,
    /// Other tokens that end an answer.
    ends: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// `<|im_start|>role\ncontent<|im_end|>\n`: Qwen and `SmolLM`.
    ChatMl,
    /// `<|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>`: Llama 3.
    Llama3,
}

/// A conversation as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    /// All of them, the opening of the answer included.
    pub(super) tokens: Vec<u32>,
    /// How many of them are the system prompt, which is the same for many requests.
    pub(super) fixed: usize,
}

impl Template {
    /// The template for a vocabulary.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] when the model knows neither family's tokens.
    pub(super) fn of(vocabulary: &Vocabulary, gguf: &Gguf) -> Result<Self, ModelError> {
        let id = |name: &str| vocabulary.special(name);
        let ends: Vec<u32> =
            ["<|endoftext|>", "<|end_of_text|>"].into_iter().filter_map(id).collect();
        if let (Some(open), Some(end)) = (id("<|im_start|>"), id("<|im_end|>")) {
            return Ok(Self {
                family: Family::ChatMl,
                begin: None,
                open,
                end,
                header_end: None,
                ends,
            });
        }
        if let (Some(open), Some(header_end), Some(end)) =
            (id("<|start_header_id|>"), id("<|end_header_id|>"), id("<|eot_id|>"))
        {
            let begin = id("<|begin_of_text|>");
            return Ok(Self {
                family: Family::Llama3,
                begin,
                open,
                end,
                header_end: Some(header_end),
                ends,
            });
        }
        Err(gguf.unusable(
            "has no chat template that is known (ChatML or Llama 3); use an instruct model",
        ))
    }

    /// The token that ends an answer.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Rules out every special token that does not end an answer.
    pub(super) fn only_text_or_end(&self, scores: &mut [f32], vocabulary: &Vocabulary) {
        for &token in vocabulary.specials() {
            if token != self.end
                && !self.ends.contains(&token)
                && let Some(score) = scores.get_mut(token as usize)
            {
                *score = f32::NEG_INFINITY;
            }
        }
    }

    /// The conversation, ending where the model's answer begins.
    pub(super) fn prompt(&self, messages: &[ChatMessage], vocabulary: &Vocabulary) -> Prompt {
        let mut tokens: Vec<u32> = self.begin.into_iter().collect();
        let mut fixed = tokens.len();
        for (index, message) in messages.iter().enumerate() {
            self.open_turn(&mut tokens, message.role, vocabulary, &content(message));
            tokens.push(self.end);
            if self.family == Family::ChatMl {
                tokens.extend(vocabulary.encode("\n"));
            }
            if index == 0 && message.role == ChatRole::System {
                fixed = tokens.len();
            }
        }
        self.open_turn(&mut tokens, ChatRole::Assistant, vocabulary, "");
        Prompt { tokens, fixed }
    }

    fn open_turn(
        &self,
        tokens: &mut Vec<u32>,
        role: ChatRole,
        vocabulary: &Vocabulary,
        content: &str,
    ) {
        tokens.push(self.open);
        let name = match (self.family, role) {
            (_, ChatRole::System) => "system",
            (_, ChatRole::User) | (Family::ChatMl, ChatRole::Tool) => "user",
            (_, ChatRole::Assistant) => "assistant",
            (Family::Llama3, ChatRole::Tool) => "ipython",
        };
        match self.header_end {
            None => tokens.extend(vocabulary.encode(&format!("{name}\n{content}"))),
            Some(header_end) => {
                tokens.extend(vocabulary.encode(name));
                tokens.push(header_end);
                tokens.extend(vocabulary.encode(&format!("\n\n{content}")));
            }
        }
    }
}

/// What a tool returned is marked as such for families that tell it as the user's.
fn content(message: &ChatMessage) -> String {
    match message.role {
        ChatRole::Tool => format!("<tool_response>\n{}\n</tool_response>", message.content),
        _ => message.content.clone(),
    }
}
