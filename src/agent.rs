//! The agent: one bounded loop from an operator's words to an answer, a change, a question back or a refusal.

mod amount;
mod answer;
mod ask;
mod bare;
mod clause;
mod consult;
mod correct;
mod cue;
mod dialogue;
mod draft;
mod evidence;
mod follow;
mod forbid;
mod gate;
mod guard;
mod lead;
mod lexicon;
mod moment;
mod mood;
mod names;
mod nearest;
mod number;
mod quantity;
mod read;
mod refer;
mod reply;
mod resolve;
mod route;
mod scan;
mod session;
mod spoken;
mod strange;
mod text;
mod values;
mod verbs;
mod whom;

use std::{future::Future, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        Actor, Block, Choice, Explanation, Inventory, Lang, Message, Operation, ThreadId, TurnEvent,
    },
    model::{SharedModel, ToolCall},
    prompt::Prompts,
    tool::Registry,
};
pub use nearest::{Nearest, Neighbours};
use session::Session;

/// Bounds of one turn, and of what may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Seconds a turn may take in all.
    pub turn_seconds: u64,
    /// Model calls a turn may make, the answer included.
    pub model_calls: u32,
    /// Tool calls a turn may make.
    pub tool_calls: u32,
    /// Tokens a turn may generate.
    pub output_tokens: u32,
    /// Characters of evidence shown to the model.
    pub evidence_chars: usize,
    /// Characters of a message beyond which it is refused.
    pub message_chars: usize,
    /// The most replicas a request may ask for.
    pub max_replicas: u32,
    /// Whether the model is asked if it agrees with what code understood; where it does not, the operator is asked.
    pub second_opinion: bool,
    /// Seconds to wait for that opinion; a model that is slower has none.
    pub opinion_seconds: u64,
    /// The zone of the times operators say (`Asia/Shanghai`); the machine's own by default.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub time_zone: TimeZone,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            turn_seconds: 120,
            model_calls: 4,
            tool_calls: 10,
            output_tokens: 600,
            evidence_chars: 800,
            message_chars: 8000,
            max_replicas: 500,
            second_opinion: true,
            opinion_seconds: 15,
            time_zone: TimeZone::try_system().unwrap_or(TimeZone::UTC),
        }
    }
}

/// What an agent is made of.
pub struct AgentParts {
    /// The model; `None` leaves typed commands and requests that code understands by itself.
    pub model: Option<SharedModel>,
    /// Every tool.
    pub tools: Arc<Registry>,
    /// Every prompt.
    pub prompts: Arc<Prompts>,
    /// The example requests, to compare with in meaning; `None` leaves the words alone.
    pub nearest: Option<Arc<Nearest>>,
    /// Bounds.
    pub budget: Config,
}

/// Turns what operators say into answers, changes, questions back and refusals.
pub struct Agent {
    parts: AgentParts,
}

impl Agent {
    /// Puts an agent together.
    #[must_use]
    pub fn new(parts: AgentParts) -> Self {
        Self { parts }
    }

    /// Handles one message. Sends `Progress` and `Delta` events only; ends within the budget.
    pub async fn turn(
        &self,
        turn: &Turn,
        events: &mpsc::Sender<TurnEvent>,
        cancel: CancellationToken,
    ) -> Outcome {
        // ends the model's work with the turn, whatever ends the turn
        let token = cancel.child_token();
        let _ended = token.clone().drop_guard();
        let mut session = Session::new(self, turn, events, token.clone());
        let result = self.within_budget(turn, &cancel, session.run()).await;
        self.outcome(turn, session, result)
    }

    /// Runs one tool call that the operator typed (`/scale ...`), through the same guards and without a model.
    pub async fn run_tool(
        &self,
        turn: &Turn,
        call: ToolCall,
        events: &mpsc::Sender<TurnEvent>,
        cancel: CancellationToken,
    ) -> Outcome {
        // ends the model's work with the turn, whatever ends the turn
        let token = cancel.child_token();
        let _ended = token.clone().drop_guard();
        let mut session = Session::new(self, turn, events, token.clone());
        let result = self.within_budget(turn, &cancel, session.typed(call)).await;
        self.outcome(turn, session, result)
    }

    /// The result, or `None` when the time was used up or the turn was cancelled.
    async fn within_budget(
        &self,
        turn: &Turn,
        cancel: &CancellationToken,
        work: impl Future<Output = TurnResult>,
    ) -> Option<TurnResult> {
        let limit = Duration::from_secs(self.parts.budget.turn_seconds);
        tokio::select! {
            result = work => Some(result),
            () = cancel.cancelled() => None,
            () = tokio::time::sleep(limit) => {
                tracing::warn!(thread = %turn.thread, "a turn used up its time");
                None
            }
        }
    }

    fn outcome(&self, turn: &Turn, session: Session<'_>, result: Option<TurnResult>) -> Outcome {
        let model = self.parts.model.as_ref().filter(|_| session.used_model).map(|m| m.id());
        let Some(result) = result else {
            let text = reply::out_of_time(turn.lang, self.parts.budget.turn_seconds);
            return Outcome {
                result: TurnResult::Failed(text),
                state: turn.state.clone(),
                calls: session.calls,
                model,
                prompt: Some(self.prompt_hash()),
                explanation: session.explained,
            };
        };
        Outcome {
            result,
            state: session.state.write(),
            calls: session.calls,
            prompt: model.as_ref().map(|_| self.prompt_hash()),
            model,
            explanation: session.explained,
        }
    }

    /// SHA-256 (hex, shortened) over prompts, tools and examples, for transcripts and commit trailers.
    fn prompt_hash(&self) -> String {
        let examples = self.parts.nearest.as_ref().map_or("", |nearest| nearest.hash());
        let all = format!("{}{}{examples}", self.parts.prompts.hash(), self.parts.tools.hash());
        hex::encode(&Sha256::digest(all.as_bytes())[..8])
    }
}

/// One turn of a conversation, as the agent gets it.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Who speaks.
    pub actor: Actor,
    /// In which thread.
    pub thread: ThreadId,
    /// What they say now.
    pub text: String,
    /// Language of the reply.
    pub lang: Lang,
    /// Earlier messages, oldest first.
    pub history: Vec<Message>,
    /// What the agent kept from the previous turn ([`Outcome::state`]).
    pub state: Value,
    /// The names that exist now.
    pub inventory: Arc<Inventory>,
    /// Now.
    pub now: jiff::Timestamp,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The result.
    pub result: TurnResult,
    /// Dialogue state for the next turn.
    pub state: Value,
    /// Tool calls made in this turn, in order, change tools included.
    pub calls: Vec<ToolCall>,
    /// Model used, as `adapter:name`.
    pub model: Option<String>,
    /// Hash of the prompts and tools used.
    pub prompt: Option<String>,
    /// Every decision on the way.
    pub explanation: Explanation,
}

/// What the operator gets.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnResult {
    /// An answer with its evidence.
    Answer(Vec<Block>),
    /// Typed edits to propose.
    Change(Vec<Operation>),
    /// A question back.
    Clarify {
        /// The question.
        question: String,
        /// Choices, possibly none.
        choices: Vec<Choice>,
    },
    /// A refusal.
    Refuse {
        /// Machine-readable reason.
        code: String,
        /// For the operator.
        reason: String,
    },
    /// Something broke; says what and what to do.
    Failed(String),
}
