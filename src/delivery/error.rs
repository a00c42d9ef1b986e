//! Why a change was not proposed or decided.

use crate::{
    domain::ChangeId, forge::ForgeError, gitops::propose::ProposeError, policy::Refusal,
    reconcile::ReconcileError, store::StoreError, worktree::WorktreeError,
};

/// Why a change was not proposed or decided.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// There is no such change.
    #[error("there is no change {0}; `/changes` lists them")]
    NotFound(ChangeId),
    /// Policy or the cluster's RBAC says no; the text is for the operator, in their language.
    #[error("{}", .0.reason)]
    NotPermitted(Refusal),
    /// The request cannot become a change (unknown object, wrong container, nothing to do); for the operator.
    #[error("{0}")]
    Invalid(String),
    /// The plan no longer holds; the change is `Stale` now.
    #[error("{0}")]
    Stale(String),
    /// Somebody else moved the change on in between, or it is already decided.
    #[error("{0}")]
    Conflict(String),
    /// The cluster or the repository cannot be reached.
    #[error("{0}")]
    Unavailable(String),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<StoreError> for DeliveryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Self::Conflict(error.to_string()),
            other @ StoreError::Other(_) => Self::Store(other),
        }
    }
}

impl From<ProposeError> for DeliveryError {
    fn from(error: ProposeError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ReconcileError> for DeliveryError {
    fn from(error: ReconcileError) -> Self {
        match error {
            ReconcileError::Unreachable(_) => Self::Unavailable(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<WorktreeError> for DeliveryError {
    fn from(error: WorktreeError) -> Self {
        match error {
            WorktreeError::NotFound(_)
            | WorktreeError::Conflicts(_)
            | WorktreeError::NotText(_) => Self::Invalid(error.to_string()),
            WorktreeError::Moved(_) => Self::Conflict(error.to_string()),
            other => Self::Other(other.into()),
        }
    }
}

impl From<ForgeError> for DeliveryError {
    fn from(error: ForgeError) -> Self {
        match error {
            ForgeError::NotFound(_)
            | ForgeError::HeadMoved { .. }
            | ForgeError::Conflicts(_)
            | ForgeError::Closed(_) => Self::Stale(error.to_string()),
            ForgeError::Other(other) => Self::Other(other),
        }
    }
}
