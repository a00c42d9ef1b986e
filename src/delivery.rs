//! The change loop: carries one change record from typed operations to healthy objects, surviving a kill at any step.
//!
//! Each step is stored before the next one relies on it, and each may be done again: committing resets the review branch,
//! opening, merging and closing a review answer as the first time, and applying sends only what is not yet so.

mod carry;
mod decide;
mod edits;
mod error;
mod history;
mod names;
mod planning;
mod text;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, broadcast, watch};

pub use error::DeliveryError;

use crate::{
    domain::{Change, ChangeId, Inventory, Lang, Operation, ThreadId},
    forge::Forge,
    gitops::source::Source,
    policy::{self, Policy},
    reconcile::{self, Reconciler},
    store::{AuditEntry, AuditFilter, ChangeFilter, Store},
    worktree::{Repository, WorktreeError},
};

/// Events a slow listener may lag behind before it misses some.
const EVENTS: usize = 1024;

/// A request that became typed operations.
#[derive(Debug, Clone, PartialEq)]
pub struct NewChange {
    /// The conversation that hears of it.
    pub thread: ThreadId,
    /// The operator's words.
    pub request: String,
    /// Language of messages about it.
    pub lang: Lang,
    /// The typed edits.
    pub operations: Vec<Operation>,
    /// Model that chose them, as `adapter:name`; `None` for typed commands.
    pub model: Option<String>,
    /// Hash of the prompt and tools the model saw.
    pub prompt: Option<String>,
}

/// What happens to a change.
#[derive(Debug, Clone)]
pub enum ChangeEvent {
    /// A step was stored; the record as it is now.
    Stored(Box<Change>),
    /// Something to show while it is applied.
    Progress {
        /// Which change.
        change: ChangeId,
        /// The conversation that hears of it.
        thread: ThreadId,
        /// One line, in the language of the request.
        text: String,
    },
}

/// What the change loop works with.
pub struct DeliveryParts {
    /// Where changes and the audit log are kept.
    pub store: Arc<dyn Store>,
    /// Where changes are reviewed and merged.
    pub forge: Arc<dyn Forge>,
    /// kubemate's repository.
    pub repository: Repository,
    /// The cluster.
    pub client: kube::Client,
    /// Who may do what.
    pub policy: policy::Config,
    /// How the cluster is brought to what git says.
    pub config: reconcile::Config,
}

/// The change loop.
pub struct Delivery {
    store: Arc<dyn Store>,
    forge: Arc<dyn Forge>,
    repository: Repository,
    reconciler: Reconciler,
    policy: Policy,
    config: reconcile::Config,
    events: broadcast::Sender<ChangeEvent>,
    /// Wakes the loop when a change was approved.
    approved: Notify,
    /// Held while merging and applying, so that revisions reach the cluster in the order they were merged.
    applying: tokio::sync::Mutex<()>,
    /// The last revision read.
    source: Mutex<Option<Arc<Source>>>,
    /// The revision of the main branch that the cluster was brought to as a whole.
    synced: watch::Sender<Option<String>>,
}

impl Delivery {
    /// Sets the loop up; [`Delivery::run`] makes it move.
    #[must_use]
    pub fn new(parts: DeliveryParts) -> Arc<Self> {
        Arc::new(Self {
            reconciler: Reconciler::new(parts.client, parts.config.clone()),
            store: parts.store,
            forge: parts.forge,
            repository: parts.repository,
            policy: Policy::new(parts.policy),
            config: parts.config,
            events: broadcast::channel(EVENTS).0,
            approved: Notify::new(),
            applying: tokio::sync::Mutex::default(),
            source: Mutex::default(),
            synced: watch::Sender::default(),
        })
    }

    /// Steps of all changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<ChangeEvent> {
        self.events.subscribe()
    }

    /// Waits until the cluster was brought to the main branch as a whole, once.
    pub async fn synced(&self) {
        // the sender lives as long as this does, so the wait cannot fail
        drop(self.synced.subscribe().wait_for(Option::is_some).await);
    }

    /// One change.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`].
    pub async fn change(&self, id: &ChangeId) -> Result<Change, DeliveryError> {
        self.store.change(id).await?.ok_or_else(|| DeliveryError::NotFound(id.clone()))
    }

    /// Changes, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, DeliveryError> {
        Ok(self.store.changes(filter).await?)
    }

    /// The main branch as it is now, understood.
    ///
    /// # Errors
    /// When the repository cannot be read or its units cannot be told.
    pub async fn source(&self) -> Result<Arc<Source>, DeliveryError> {
        let head = self.forge.main().await?;
        self.source_at(&head).await
    }

    /// What git declares, as names an operator can mean.
    ///
    /// # Errors
    /// When the repository cannot be read or rendered.
    pub async fn inventory(&self) -> Result<Arc<Inventory>, DeliveryError> {
        Ok(Arc::new(names::inventory(&*self.source().await?)))
    }

    /// A revision, understood; the last one asked for is remembered.
    async fn source_at(&self, revision: &str) -> Result<Arc<Source>, DeliveryError> {
        let known = self.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(source) = known.filter(|source| source.tree.revision == revision) {
            return Ok(source);
        }
        let asked = revision.to_owned();
        let source = self
            .git(move |repository| Ok(Source::read(repository.tree(&asked)?)))
            .await?
            .map_err(|error| DeliveryError::Invalid(error.to_string()))?;
        let source = Arc::new(source);
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&source));
        Ok(source)
    }

    /// Runs `work` on the repository, off the async threads.
    async fn git<T, F>(&self, work: F) -> Result<T, DeliveryError>
    where
        T: Send + 'static,
        F: FnOnce(&Repository) -> Result<T, WorktreeError> + Send + 'static,
    {
        let repository = self.repository.clone();
        let done = tokio::task::spawn_blocking(move || work(&repository)).await;
        Ok(done.context("waiting for git")??)
    }

    /// Stores the next state of a change together with its audit entry, and tells everybody. There is one entry per person and
    /// action: a step that is done again after a kill is the same step.
    async fn step(
        &self,
        mut change: Change,
        action: &str,
        actor: &str,
        detail: Value,
    ) -> Result<Change, DeliveryError> {
        change.updated = Timestamp::now();
        let filter = AuditFilter { change: Some(change.id.clone()), limit: 0 };
        let known = self.store.audit(&filter).await?;
        let is_new = !known.iter().any(|entry| entry.action == action && entry.actor == actor);
        let entry = is_new.then(|| AuditEntry {
            at: change.updated,
            actor: actor.to_owned(),
            action: action.to_owned(),
            thread: Some(change.thread.clone()),
            change: Some(change.id.clone()),
            detail,
        });
        let stored = self.store.put_change(change, entry).await?;
        // nobody listening is fine: what matters is stored
        drop(self.events.send(ChangeEvent::Stored(Box::new(stored.clone()))));
        Ok(stored)
    }

    fn progress(&self, change: &Change, text: String) {
        let (thread, change) = (change.thread.clone(), change.id.clone());
        drop(self.events.send(ChangeEvent::Progress { change, thread, text }));
    }
}

/// Field managers that lose fields, by object, as a plan lists them.
fn takeovers(change: &Change) -> BTreeMap<crate::domain::ObjectRef, Vec<String>> {
    let objects = change.plan.iter().flat_map(|plan| &plan.objects);
    objects.map(|diff| (diff.object.clone(), diff.takeovers.clone())).collect()
}
