//! The sandbox's objects: an in-memory etcd that speaks JSON objects, with revisions and watches.
//!
//! Objects are shared as `Arc<Value>` and never changed in place, so a reader keeps a consistent object for as long as it
//! likes. Writers take turns; readers never wait for a writer's closure. Resources are named `plural.group`
//! (`deployments.apps`, `pods`), and an object is held once, in its storage version.

mod meta;
mod table;
mod watch;

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Value, json};
use tokio::sync::watch as revision;

use self::{
    meta::set,
    table::{State, Table},
};
pub use self::{
    meta::time_text,
    watch::{EventKind, Watch, WatchEvent},
};
pub use super::api_error::{ApiError, Cause, split_resource};
use super::clock::Clock;

/// All objects of one sandbox cluster. Clones share the same objects.
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    /// Held by whoever is writing; taken before `state`, so that a writer's closure may still read.
    writing: Mutex<()>,
    state: RwLock<State>,
    latest: revision::Sender<u64>,
}

/// Whether a write is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Write,
    /// Everything is checked, nothing is kept.
    DryRun,
}

/// How to delete an object.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Only when `metadata.uid` is this.
    pub uid: Option<String>,
    /// Only when `metadata.resourceVersion` is this.
    pub resource_version: Option<String>,
    /// What happens to dependents; `None` is the kind's default (background).
    pub propagation: Option<Propagation>,
    /// Seconds a pod gets to stop; `None` is the pod's own `terminationGracePeriodSeconds`. Ignored for other kinds.
    pub grace_seconds: Option<i64>,
    /// Check everything, change nothing.
    pub dry_run: bool,
}

/// What happens to an object's dependents when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Dependents are deleted after the object.
    Background,
    /// Dependents are deleted before the object (finalizer `foregroundDeletion`).
    Foreground,
    /// Dependents stay (finalizer `orphan`).
    Orphan,
}

/// What a delete did.
#[derive(Debug, Clone)]
pub enum Deleted {
    /// The object is gone; its last state.
    Gone(Arc<Value>),
    /// The object is marked with a `deletionTimestamp` and waits for finalizers or its grace period.
    Pending(Arc<Value>),
}

impl Storage {
    /// An empty cluster whose timestamps come from `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let shared = Shared {
            clock,
            writing: Mutex::new(()),
            state: RwLock::new(State::default()),
            latest: revision::Sender::new(1),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The clock that stamps objects.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The revision of the latest write.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    /// Follows the latest revision; controllers wake on it.
    #[must_use]
    pub fn subscribe(&self) -> revision::Receiver<u64> {
        self.shared.latest.subscribe()
    }

    /// One object; `namespace` is `None` for cluster-scoped kinds.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: Option<&str>, name: &str) -> Option<Arc<Value>> {
        self.read().table(resource)?.get(namespace, name).cloned()
    }

    /// The objects of a namespace (`None`: all), ordered by namespace and name, and the revision they are of.
    #[must_use]
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> (Vec<Arc<Value>>, u64) {
        let state = self.read();
        let items = state.table(resource).map(|t| t.list(namespace)).unwrap_or_default();
        (items, state.revision)
    }

    /// How many objects a resource has in a namespace (`None`: all).
    #[must_use]
    pub fn count(&self, resource: &str, namespace: Option<&str>) -> usize {
        self.read().table(resource).map_or(0, |t| t.count(namespace))
    }

    /// The resources that hold (or held) objects.
    #[must_use]
    pub fn resources(&self) -> Vec<String> {
        self.read().tables.keys().cloned().collect()
    }

    /// Adds an object: sets uid, creationTimestamp, resourceVersion and (where the kind has one) generation 1.
    ///
    /// # Errors
    /// `AlreadyExists`; `BadRequest` when it has no name.
    pub fn create(&self, resource: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        self.create_with(resource, object, Mode::Write, |_| Ok(()))
    }

    /// [`Self::create`] when `check` allows (it may change the object too); no other write happens between check and
    /// creation. `check` may read this storage but must not write to it.
    ///
    /// # Errors
    /// Those of `create`, and what `check` says.
    pub fn create_with(
        &self,
        resource: &str,
        mut object: Value,
        mode: Mode,
        check: impl FnOnce(&mut Value) -> Result<(), ApiError>,
    ) -> Result<Arc<Value>, ApiError> {
        let name = meta::name(&object).unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(ApiError::bad_request("an object to create needs metadata.name"));
        }
        let namespace = meta::namespace(&object).map(str::to_owned);
        let _turn = self.writer();
        if self.get(resource, namespace.as_deref(), &name).is_some() {
            return Err(ApiError::already_exists(resource, &name));
        }
        meta::stamp_new(resource, &mut object, &self.shared.clock);
        check(&mut object)?;
        match mode {
            Mode::Write => Ok(self.commit(resource, EventKind::Added, object, None)),
            Mode::DryRun => Ok(Arc::new(object)),
        }
    }

    /// Reads, changes and writes one object with no other write in between. Nothing is written (and the revision stays)
    /// when the closure changed nothing; generation rises when something outside metadata and status changed; an object
    /// that waits for deletion and has no finalizer left goes away. The closure may read this storage but not write to it.
    ///
    /// # Errors
    /// `NotFound`, or what the closure says.
    pub fn update(
        &self,
        resource: &str,
        namespace: Option<&str>,
        name: &str,
        change: impl FnOnce(&mut Value) -> Result<(), ApiError>,
    ) -> Result<Arc<Value>, ApiError> {
        self.update_with(resource, (namespace, name), Mode::Write, change)
    }

    /// [`Self::update`] of the object `at` (namespace, name) that may be a dry run.
    ///
    /// # Errors
    /// Those of `update`.
    pub fn update_with(
        &self,
        resource: &str,
        at: (Option<&str>, &str),
        mode: Mode,
        change: impl FnOnce(&mut Value) -> Result<(), ApiError>,
    ) -> Result<Arc<Value>, ApiError> {
        let _turn = self.writer();
        let old =
            self.get(resource, at.0, at.1).ok_or_else(|| ApiError::not_found(resource, at.1))?;
        let mut new = (*old).clone();
        change(&mut new)?;
        meta::keep_identity(&old, &mut new);
        if new == *old {
            return Ok(old);
        }
        meta::bump_generation(&old, &mut new);
        if mode == Mode::DryRun {
            return Ok(Arc::new(new));
        }
        if meta::is_finished(resource, &new) {
            return Ok(self.commit(resource, EventKind::Deleted, new, Some(old)));
        }
        Ok(self.commit(resource, EventKind::Modified, new, Some(old)))
    }

    /// Deletes an object, or marks it for deletion while finalizers or a pod's grace period hold it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when a precondition does not hold.
    pub fn delete(
        &self,
        resource: &str,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let _turn = self.writer();
        let old = self
            .get(resource, namespace, name)
            .ok_or_else(|| ApiError::not_found(resource, name))?;
        meta::check_preconditions(resource, &old, options)?;
        let mut new = (*old).clone();
        meta::mark_deleted(resource, &mut new, options, &self.shared.clock);
        if options.dry_run {
            return Ok(Deleted::Gone(old));
        }
        if meta::is_finished(resource, &new) {
            // what goes at once goes unmarked: its last state is what it was
            let last = (*old).clone();
            return Ok(Deleted::Gone(self.commit(resource, EventKind::Deleted, last, Some(old))));
        }
        if new == *old {
            return Ok(Deleted::Pending(old));
        }
        Ok(Deleted::Pending(self.commit(resource, EventKind::Modified, new, Some(old))))
    }

    /// What changes after `from` (a revision that `list` or an object told).
    ///
    /// # Errors
    /// `Expired` (410) when the history no longer reaches back to `from`.
    pub fn watch(&self, resource: &str, from: u64) -> Result<Watch, ApiError> {
        let mut state = self.write();
        if from > state.revision {
            let (now, wanted) = (state.revision, from);
            let message = format!("Too large resource version: {wanted}, current: {now}");
            return Err(ApiError::new(504, "Timeout", message));
        }
        let table = state.table_mut(resource);
        table.check_not_compacted(from)?;
        Ok(Watch::new(self.clone(), resource, from, table.changed.subscribe()))
    }

    /// Forgets the history of changes up to now, as etcd's compaction does: watches from earlier revisions get 410.
    pub fn compact(&self) {
        let mut state = self.write();
        let revision = state.revision;
        state.tables.values_mut().for_each(|table| table.compact(revision));
    }

    /// Everything, to be saved: `{"revision": n, "resources": {"pods": [...]}}`.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        let state = self.read();
        let resources: serde_json::Map<String, Value> = state
            .tables
            .iter()
            .map(|(name, t)| {
                (name.clone(), t.list(None).iter().map(|object| (**object).clone()).collect())
            })
            .collect();
        json!({"revision": state.revision, "resources": resources})
    }

    /// Replaces everything by what [`Self::snapshot`] gave. Watches end with 410, as after a restored etcd backup.
    ///
    /// # Errors
    /// `BadRequest` when `snapshot` is not one.
    pub fn restore(&self, snapshot: &Value) -> Result<(), ApiError> {
        let wrong =
            || ApiError::bad_request("restoring the sandbox: this is not a snapshot of one");
        let resources = snapshot.get("resources").and_then(Value::as_object).ok_or_else(wrong)?;
        let saved = snapshot.get("revision").and_then(Value::as_u64).ok_or_else(wrong)?;
        let _turn = self.writer();
        let mut state = self.write();
        let revision = state.revision.max(saved) + 1;
        state.revision = revision;
        state.tables.values_mut().for_each(Table::clear);
        for (resource, objects) in resources {
            let table = state.table_mut(resource);
            for object in objects.as_array().ok_or_else(wrong)? {
                table.put(Arc::new(object.clone())).ok_or_else(wrong)?;
            }
        }
        state.tables.values_mut().for_each(|table| table.compact(revision));
        drop(state);
        self.shared.latest.send_replace(revision);
        Ok(())
    }

    /// Writes one change: gives it the next revision, keeps it in the history, wakes watchers. Callers hold the writer's turn.
    fn commit(
        &self,
        resource: &str,
        kind: EventKind,
        mut object: Value,
        previous: Option<Arc<Value>>,
    ) -> Arc<Value> {
        let mut state = self.write();
        state.revision += 1;
        let revision = state.revision;
        set(&mut object, "resourceVersion", revision.to_string().into());
        let object = Arc::new(object);
        let event = WatchEvent { kind, revision, object: object.clone(), previous };
        state.table_mut(resource).record(event);
        drop(state);
        self.shared.latest.send_replace(revision);
        object
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, ()> {
        self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.shared.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
