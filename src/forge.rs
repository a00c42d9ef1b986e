//! The seam to where changes are reviewed and merged: a local repository or a git host. `forge/` holds the adapters.

pub mod local;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A place where review branches are shown to people and merged into the main branch.
///
/// Every method may be called again after a crash: opening an open review, merging a merged one and closing a closed one
/// answer as the first time.
#[async_trait]
pub trait Forge: Send + Sync {
    /// Opens a review of a branch that holds commits in our repository.
    async fn open_review(&self, review: &NewReview) -> Result<Review, ForgeError>;
    /// The review of a branch as it is now; people may have pushed to it, merged or closed it behind our back.
    async fn review(&self, branch: &str) -> Result<Review, ForgeError>;
    /// Merges the review if the branch still is at `merge.head`; returns the merge commit, which our repository then has.
    async fn merge(&self, merge: &Merge) -> Result<String, ForgeError>;
    /// Closes the review without merging.
    async fn close(&self, branch: &str, reason: &str) -> Result<(), ForgeError>;
    /// The commit the main branch is at; our repository then has it.
    async fn main(&self) -> Result<String, ForgeError>;
}

/// A review to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReview {
    /// The branch, already in our repository.
    pub branch: String,
    /// Its head.
    pub head: String,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
}

/// What to merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The reviewed branch.
    pub branch: String,
    /// The commit that was approved.
    pub head: String,
    /// Who takes responsibility for the merge.
    pub by: String,
    /// The merge commit's whole message.
    pub message: String,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The branch under review.
    pub branch: String,
    /// Where the branch is now.
    pub head: String,
    /// How it stands.
    pub state: ReviewState,
    /// Where people see it, when the forge has a page of its own.
    pub url: Option<String>,
}

/// How a review stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ReviewState {
    /// Open.
    Open,
    /// In the main branch.
    Merged {
        /// By which commit.
        commit: String,
    },
    /// Closed without merging.
    Closed {
        /// Why.
        reason: String,
    },
}

/// Why the forge did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// No such branch or review.
    #[error("the review branch {0} is gone; ask for the change again")]
    NotFound(String),
    /// Somebody pushed to the review branch.
    #[error("branch {branch} is at {found}, not at {expected}")]
    HeadMoved {
        /// Which branch.
        branch: String,
        /// Where it was.
        expected: String,
        /// Where it is.
        found: String,
    },
    /// The main branch has other changes of the same lines.
    #[error("{} also changed on the main branch", .0.join(", "))]
    Conflicts(Vec<String>),
    /// The review was closed.
    #[error("the review of {0} is closed")]
    Closed(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}
