//! Following the changes of one resource.

use std::{collections::VecDeque, sync::Arc};

use serde_json::Value;
use tokio::sync::watch as revision;

use super::{ApiError, Storage};

/// Changes fetched from the history at once.
const BATCH: usize = 256;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Created.
    Added,
    /// Changed.
    Modified,
    /// Gone; the event carries its last state.
    Deleted,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub struct WatchEvent {
    /// What happened.
    pub kind: EventKind,
    /// The revision it made.
    pub revision: u64,
    /// The object after it (the last state for `Deleted`).
    pub object: Arc<Value>,
    /// The object before it; selectors need it to tell "left my view" from "not mine".
    pub previous: Option<Arc<Value>>,
}

/// The changes of one resource, in order, none left out.
pub struct Watch {
    storage: Storage,
    resource: String,
    seen: u64,
    pending: VecDeque<WatchEvent>,
    changed: revision::Receiver<u64>,
}

impl Watch {
    pub(super) fn new(
        storage: Storage,
        resource: &str,
        from: u64,
        changed: revision::Receiver<u64>,
    ) -> Self {
        let pending = VecDeque::new();
        Self { storage, resource: resource.to_owned(), seen: from, pending, changed }
    }

    /// Waits for the next change. Safe to cancel.
    ///
    /// # Errors
    /// `Expired` when this watch fell behind the history; list again and start over.
    pub async fn next(&mut self) -> Result<WatchEvent, ApiError> {
        loop {
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            // the sender lives in the storage that we hold, so this cannot fail
            self.changed.changed().await.map_err(|_| ApiError::internal("the storage is gone"))?;
        }
    }

    /// The next change that has happened already, if any.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn try_next(&mut self) -> Result<Option<WatchEvent>, ApiError> {
        if self.pending.is_empty() {
            self.changed.mark_unchanged();
            let state = self.storage.read();
            if let Some(table) = state.table(&self.resource) {
                self.pending.extend(table.since(self.seen, BATCH)?);
            }
        }
        let event = self.pending.pop_front();
        if let Some(event) = &event {
            self.seen = event.revision;
        }
        Ok(event)
    }

    /// A revision up to which everything was seen: for bookmarks. At least that of the last event given out.
    #[must_use]
    pub fn seen(&mut self) -> u64 {
        if !self.pending.is_empty() {
            return self.seen;
        }
        let state = self.storage.read();
        let nothing_new = state
            .table(&self.resource)
            .is_none_or(|t| matches!(t.since(self.seen, 1), Ok(e) if e.is_empty()));
        if nothing_new { self.seen.max(state.revision) } else { self.seen }
    }
}
