//! Why a turn ended as it did: every decision on the way from the words to the result, for people and for the audit.

use serde::{Deserialize, Serialize};

/// The decisions of one turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// What kind of message the words alone make it.
    pub gate: String,
    /// The names of the inventory that were found in it.
    pub names: Vec<FoundName>,
    /// The example requests that are nearest in meaning, best first; empty when the words were enough.
    pub examples: Vec<Likeness>,
    /// The read tools by the nearest examples, best first.
    pub tools: Vec<Candidate>,
    /// What the guards found and what was done, in order.
    pub steps: Vec<String>,
    /// What the model was asked.
    pub model_calls: Vec<Consultation>,
}

/// A name as it was written, and what it may mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundName {
    /// As written.
    pub said: String,
    /// `workload x`, `namespace y`, ...
    pub means: Vec<String>,
}

/// An example request and how near it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// The example.
    pub say: String,
    /// What it wants.
    pub intent: String,
    /// The tool that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Cosine, at most 1.
    pub score: f32,
}

/// A tool that may answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The tool.
    pub tool: String,
    /// Its share among the nearest questions, 0 to 1.
    pub share: f32,
}

/// One call of the model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consultation {
    /// The tools it could choose from; empty when text was asked for.
    pub offered: Vec<String>,
    /// The tool it chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chose: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// Of the prompt's tokens, those that were in a cache.
    pub cached_tokens: u32,
    /// Tokens generated.
    pub output_tokens: u32,
    /// How long it took.
    pub milliseconds: u64,
}
