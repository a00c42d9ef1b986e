//! What a read tool brings back: the data and where it came from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The result of one read of one system. Every number in an answer must come from one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Unique within the thread: `e1`, `e2`, ... ; how an answer cites it.
    pub id: String,
    /// The tool that read it.
    pub tool: String,
    /// One line a person reads first, in the operator's language.
    pub title: String,
    /// Sentences that say what matters in it, in the operator's language; answers are made of them.
    #[serde(default)]
    pub summary: Vec<String>,
    /// Which system was asked: `kubernetes`, `git`.
    pub source: String,
    /// What was asked of it, reproducible by hand: `GET /api/v1/pods?...`, `git log -- path`.
    pub query: String,
    /// When it was asked (RFC 3339), or the start and end of the range it covers.
    pub time: Vec<jiff::Timestamp>,
    /// Where a person can look at it, when there is such a place.
    pub link: Option<String>,
    /// Columns of the table shown; empty when the evidence is text.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Rows of the table shown.
    #[serde(default)]
    pub rows: Vec<Vec<String>>,
    /// Text shown (log lines), when the evidence is not a table.
    #[serde(default)]
    pub text: Option<String>,
    /// The data as machines read it.
    #[serde(default)]
    pub data: Value,
    /// Set when not everything is here, and says what was left out.
    #[serde(default)]
    pub truncated: Option<String>,
}
