//! The objects of one resource and the recent history of their changes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::watch as revision;

use super::{
    ApiError, meta,
    watch::{EventKind, WatchEvent},
};

/// Changes always kept per resource, for watches that resume. Each holds at most two versions of one object.
const HISTORY: usize = 1024;
/// Younger changes are kept beyond [`HISTORY`], so that a client has the time to get from its list to its watch while others
/// write fast. As the API server's watch cache does (`eventFreshDuration`, k8s.io/apiserver/pkg/storage/cacher).
const FRESH: Duration = Duration::from_secs(75);
/// Changes kept at most, however young.
const HISTORY_LIMIT: usize = 32_768;

/// All resources and the revision of the latest write.
pub(super) struct State {
    pub(super) revision: u64,
    pub(super) tables: BTreeMap<String, Table>,
}

impl Default for State {
    fn default() -> Self {
        // revision 0 means "any" in the Kubernetes API, so the first write must not be number 0
        Self { revision: 1, tables: BTreeMap::new() }
    }
}

impl State {
    pub(super) fn table(&self, resource: &str) -> Option<&Table> {
        self.tables.get(resource)
    }

    pub(super) fn table_mut(&mut self, resource: &str) -> &mut Table {
        if !self.tables.contains_key(resource) {
            self.tables.insert(resource.to_owned(), Table::default());
        }
        self.tables.get_mut(resource).expect("invariant: inserted above")
    }
}

pub(super) struct Table {
    objects: BTreeMap<String, BTreeMap<String, Arc<Value>>>,
    history: VecDeque<(Instant, WatchEvent)>,
    /// Changes up to this revision are forgotten.
    compacted: u64,
    /// Tells watchers that the history grew (or was compacted).
    pub(super) changed: revision::Sender<u64>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            compacted: 0,
            changed: revision::Sender::new(0),
        }
    }
}

impl Table {
    pub(super) fn get(&self, namespace: Option<&str>, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(namespace.unwrap_or_default())?.get(name)
    }

    pub(super) fn list(&self, namespace: Option<&str>) -> Vec<Arc<Value>> {
        match namespace {
            Some(ns) => self
                .objects
                .get(ns)
                .map(|names| names.values().cloned().collect())
                .unwrap_or_default(),
            None => self.objects.values().flat_map(|names| names.values().cloned()).collect(),
        }
    }

    pub(super) fn count(&self, namespace: Option<&str>) -> usize {
        match namespace {
            Some(ns) => self.objects.get(ns).map_or(0, BTreeMap::len),
            None => self.objects.values().map(BTreeMap::len).sum(),
        }
    }

    /// Stores an object under its own name; `None` when it has none.
    pub(super) fn put(&mut self, object: Arc<Value>) -> Option<()> {
        let name = meta::name(&object)?.to_owned();
        let namespace = meta::namespace(&object).unwrap_or_default().to_owned();
        self.objects.entry(namespace).or_default().insert(name, object);
        Some(())
    }

    /// Applies a change and keeps it in the history.
    pub(super) fn record(&mut self, event: WatchEvent) {
        if event.kind == EventKind::Deleted {
            let namespace = meta::namespace(&event.object).unwrap_or_default();
            if let Some(names) = self.objects.get_mut(namespace) {
                names.remove(meta::name(&event.object).unwrap_or_default());
                if names.is_empty() {
                    self.objects.remove(namespace);
                }
            }
        } else {
            self.put(event.object.clone()).expect("invariant: a written object has a name");
        }
        let revision = event.revision;
        let now = Instant::now();
        self.history.push_back((now, event));
        while self.history.len() > HISTORY {
            let full = self.history.len() > HISTORY_LIMIT;
            let forgotten = self.history.pop_front_if(|(at, _)| full || now - *at > FRESH);
            let Some((_, oldest)) = forgotten else { break };
            self.compacted = oldest.revision;
        }
        self.changed.send_replace(revision);
    }

    /// The changes after `revision`, at most `limit` of them.
    ///
    /// # Errors
    /// `Expired` when they are forgotten already.
    pub(super) fn since(&self, revision: u64, limit: usize) -> Result<Vec<WatchEvent>, ApiError> {
        self.check_not_compacted(revision)?;
        let start = self.history.partition_point(|(_, event)| event.revision <= revision);
        Ok(self.history.iter().skip(start).take(limit).map(|(_, event)| event.clone()).collect())
    }

    pub(super) fn check_not_compacted(&self, revision: u64) -> Result<(), ApiError> {
        if revision < self.compacted {
            let oldest = self.compacted;
            return Err(ApiError::expired(format!(
                "too old resource version: {revision} ({oldest})"
            )));
        }
        Ok(())
    }

    pub(super) fn compact(&mut self, revision: u64) {
        self.history.clear();
        self.compacted = revision;
        self.changed.send_replace(revision);
    }

    pub(super) fn clear(&mut self) {
        self.objects.clear();
    }
}
