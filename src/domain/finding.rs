//! What a check says about a change or a cluster.

use serde::{Deserialize, Serialize};

use super::ObjectRef;

/// One remark of one check, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's id, kebab-case: `image-tag-latest`.
    pub check: String,
    /// How bad it is.
    pub severity: Severity,
    /// The object it is about, when it is about one.
    pub object: Option<ObjectRef>,
    /// `file:line` in the repository, when it can be traced to one.
    pub location: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// Ordered from harmless to blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Worth a reviewer's thought.
    Warning,
    /// The change must not be approved as it is.
    Error,
}
