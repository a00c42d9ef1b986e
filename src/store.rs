//! The seam to durable state: conversations, changes, audit. `store/` holds the adapters.

pub mod sqlite;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{Change, ChangeId, Message, MessageId, Thread, ThreadId};

/// Conversations.
#[async_trait]
pub trait ThreadStore: Send + Sync {
    /// Creates or replaces a thread's head data.
    async fn put_thread(&self, thread: &Thread) -> Result<(), StoreError>;
    /// One thread.
    async fn thread(&self, id: &ThreadId) -> Result<Option<Thread>, StoreError>;
    /// Threads opened by `actor` (all when `None`), newest first.
    async fn threads(&self, actor: Option<&str>, limit: usize) -> Result<Vec<Thread>, StoreError>;
    /// Appends a message, assigning its id; returns it as stored.
    async fn append(&self, message: Message) -> Result<Message, StoreError>;
    /// Messages of a thread after `after`, in order.
    async fn messages(
        &self,
        thread: &ThreadId,
        after: MessageId,
    ) -> Result<Vec<Message>, StoreError>;
}

/// Change records.
#[async_trait]
pub trait ChangeStore: Send + Sync {
    /// Stores a change whose `version` is the one last read (0 for a new one), together with the audit entry of what was done
    /// to it: both or neither. Returns it with the next version.
    async fn put_change(
        &self,
        change: Change,
        entry: Option<AuditEntry>,
    ) -> Result<Change, StoreError>;
    /// One change.
    async fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError>;
    /// Newest first.
    async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, StoreError>;
}

/// Append-only record of who did what.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends an entry.
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError>;
    /// Newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError>;
}

/// All of it, as one database offers it.
pub trait Store: ThreadStore + ChangeStore + AuditLog {}
impl<T: ThreadStore + ChangeStore + AuditLog> Store for T {}

/// Which changes.
#[derive(Debug, Clone, Default)]
pub struct ChangeFilter {
    /// Only of this thread.
    pub thread: Option<ThreadId>,
    /// Only those not in a final state.
    pub open: bool,
    /// At most this many; 0 is no limit.
    pub limit: usize,
}

/// Which audit entries.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this change.
    pub change: Option<ChangeId>,
    /// At most this many; 0 is no limit.
    pub limit: usize,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: jiff::Timestamp,
    /// Who (an operator, or `kubemate`).
    pub actor: String,
    /// What: `ask`, `tool`, `propose`, `approve`, `reject`, `merge`, `apply`, `refuse`, ...
    pub action: String,
    /// The thread it belongs to.
    pub thread: Option<ThreadId>,
    /// The change it belongs to.
    pub change: Option<ChangeId>,
    /// Details (tool and arguments, plan hash, commit, model and prompt hash); never secrets.
    pub detail: serde_json::Value,
}

/// Why storing or reading failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody stored a later version in between; read again.
    #[error("{0} was changed in between; read it again")]
    Conflict(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}
