//! Conversations: threads, messages, what a reply is made of, and what happens while a turn runs.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Actor, ChangeId, ChangeState, Evidence, Explanation};

/// The language a person writes in; replies use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Chinese.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// Chinese as soon as one Han character occurs (mixed requests are Chinese sentences with English names).
    #[must_use]
    pub fn of(text: &str) -> Self {
        let han = |c: char| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}');
        if text.chars().any(han) { Self::Zh } else { Self::En }
    }
}

/// Identifies a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ThreadId(pub String);

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a message: its position in the thread, from 1.
pub type MessageId = u64;

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its id.
    pub id: ThreadId,
    /// First words of the first message.
    pub title: String,
    /// Who opened it.
    pub opened_by: String,
    /// When it was opened.
    pub created: Timestamp,
    /// When the last message came.
    pub updated: Timestamp,
    /// Dialogue state the agent keeps between turns (slots, a pending question); opaque to everyone else.
    #[serde(default)]
    pub state: serde_json::Value,
}

/// One message of a thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The thread it belongs to.
    pub thread: ThreadId,
    /// Position in the thread, from 1; assigned by the store.
    pub id: MessageId,
    /// Who said it.
    pub speaker: Speaker,
    /// What it says.
    pub blocks: Vec<Block>,
    /// When.
    pub at: Timestamp,
}

/// Who said a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "lowercase")]
pub enum Speaker {
    /// A person.
    Operator {
        /// Which person.
        actor: Actor,
    },
    /// kubemate.
    Kubemate,
}

/// A part of a message; channels render each kind as well as they can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Block {
    /// Markdown text. Untrusted when it quotes logs or labels: renderers must not allow raw HTML.
    Text {
        /// The Markdown.
        text: String,
    },
    /// What a tool found.
    Evidence {
        /// The evidence.
        evidence: Box<Evidence>,
    },
    /// A question back with choices; picking one sends its `say` as the next message.
    Choices {
        /// The question.
        question: String,
        /// The choices, possibly none when the answer is free text.
        choices: Vec<Choice>,
    },
    /// A proposed change; channels show it with its current state.
    Change {
        /// Which change.
        change: ChangeId,
        /// Its state when this was said.
        state: ChangeState,
        /// One line: what it does.
        summary: String,
    },
    /// kubemate will not do this.
    Refusal {
        /// Machine-readable reason: `unknown-object`, `not-permitted`, `irrelevant`, `secret`, ...
        code: String,
        /// The reason in the operator's language, and what to do instead.
        reason: String,
    },
    /// Something failed on the way (model down, cluster unreachable, budget used up).
    Error {
        /// What failed and what to do about it.
        message: String,
    },
}

/// One way to answer a question back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Shown on the button.
    pub label: String,
    /// Sent as the operator's next message.
    pub say: String,
}

/// What happens while a turn runs, in order; ends with `Done`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TurnEvent {
    /// The operator's message was stored.
    Accepted {
        /// The stored message.
        message: Message,
    },
    /// What is being done now, for a progress line, in the operator's language.
    Progress {
        /// Machine-readable phase: `thinking`, `tool`, `render`, `dry-run`, ...
        phase: String,
        /// The line to show.
        text: String,
    },
    /// More text of the answer being written.
    Delta {
        /// The new piece.
        text: String,
    },
    /// Why the turn ends as it does; comes before its message.
    Explained {
        /// Every decision.
        explanation: Box<Explanation>,
    },
    /// A complete message of kubemate was stored (replaces any streamed deltas).
    Message {
        /// The stored message.
        message: Message,
    },
    /// The turn is over.
    Done,
}
