//! The control plane of the sandbox: controllers, scheduler and simulated kubelet in one loop over the storage.
//!
//! Each controller is a function from a `View` of the cluster to a `Plan`: what to write and when to look again. The loop
//! follows the storage's changes, queues the controllers they concern, and writes what they want. It sleeps until
//! something changes or the earliest timer of the sandbox's clock; a pass costs what changed, not what exists.

mod autoscale;
mod cron;
mod cronjob;
mod daemonset;
mod demand;
mod deployment;
mod disruption;
mod endpoints;
mod events;
mod garbage;
mod image;
mod job;
mod kubelet;
mod logs;
mod namespace;
mod node;
mod object;
mod quantity;
mod quota;
mod replicaset;
mod revision;
mod scheduler;
mod selector;
mod statefulset;
mod template;
mod usage;
mod view;
mod volume;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::{
    events::Recorder,
    object::{Key, Object, is_deleting, kind, name, namespace, resource_of, seconds, text},
    view::{Action, Index, Plan, View},
    work::{Duty, Queue, Work},
};
pub(crate) use self::{image::Registry, logs::Journal, usage::Gauge};
use super::{
    clock::Clock,
    fault::Faults,
    storage::{EventKind, Storage, Watch},
};

/// Resources that no controller follows: their changes would only wake the loop.
const NOT_FOLLOWED: [&str; 2] = ["events", "leases.coordination.k8s.io"];
/// How much is done before other tasks of the runtime get a turn.
const TURN: usize = 64;

/// How the simulated machines behave.
#[derive(Debug)]
pub(crate) struct Settings {
    /// From a pod's arrival on its node to its containers' start; zero also skips the initial delays of probes.
    pub(crate) start: SignedDuration,
    /// From a pod's deletion to its end, within its grace period.
    pub(crate) stop: SignedDuration,
    /// What can be pulled; everything, when absent.
    pub(crate) registry: Option<Registry>,
    serial: AtomicU64,
}

impl Settings {
    pub(crate) fn new(start: Duration, registry: Option<Registry>) -> Self {
        let start = SignedDuration::try_from(start).unwrap_or(SignedDuration::ZERO);
        Self { start, stop: start.min(seconds(1)), registry, serial: AtomicU64::new(0) }
    }

    /// A number that differs on every call, for generated names.
    pub(crate) fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}

/// What the loop can be asked from outside.
#[derive(Debug)]
pub(crate) enum Command {
    /// Move time forward, acting at every moment in between; answers when that is done.
    Advance(Duration, oneshot::Sender<()>),
    /// Do everything that is due now; answers when nothing is left.
    Settle(oneshot::Sender<()>),
}

/// The loop's state.
pub(crate) struct Control {
    storage: Storage,
    clock: Clock,
    faults: Faults,
    settings: Settings,
    index: Index,
    queue: Queue,
    recorder: Recorder,
    gauge: Gauge,
    autoscalers: autoscale::Memory,
    watches: BTreeMap<String, Watch>,
    /// Every followed object as last seen, to tell what changed when a watch has to start over.
    known: HashMap<Key, Object>,
    seen: u64,
    until: Timestamp,
    activity: Arc<AtomicU64>,
}

impl Control {
    pub(crate) fn new(storage: Storage, faults: Faults, settings: Settings) -> Self {
        let clock = storage.clock().clone();
        // names generated after a restart must not meet those from before
        settings.serial.store(storage.revision() << 20, Ordering::Relaxed);
        let mut recorder = Recorder::default();
        recorder.load(&storage);
        let mut queue = Queue::default();
        queue.push((Duty::Sweep, Key::new("events", "", "")));
        Self {
            until: clock.now(),
            gauge: Gauge::new(storage.clone(), faults.clone()),
            autoscalers: autoscale::Memory::default(),
            storage,
            clock,
            faults,
            settings,
            index: Index::default(),
            queue,
            recorder,
            watches: BTreeMap::new(),
            known: HashMap::new(),
            seen: 0,
            activity: Arc::default(),
        }
    }

    /// How many changes there were so far; heartbeats and events do not count.
    pub(crate) fn activity(&self) -> Arc<AtomicU64> {
        self.activity.clone()
    }

    /// Runs until `stop` is cancelled.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        let mut revision = self.storage.subscribe();
        let mut faults = self.faults.subscribe();
        let clock = self.clock.clone();
        loop {
            self.settle(&stop).await;
            let next = self.queue.next_timer().unwrap_or(Timestamp::MAX);
            tokio::select! {
                () = stop.cancelled() => return,
                // the senders live in self, so neither can be gone
                _ = revision.changed() => {}
                _ = faults.changed() => self.reconsider(),
                Some(command) = commands.recv() => self.obey(command, &stop).await,
                () = clock.sleep_until(next) => {}
            }
        }
    }

    async fn obey(&mut self, command: Command, stop: &CancellationToken) {
        let answer = match command {
            Command::Settle(answer) => {
                self.reconsider();
                answer
            }
            Command::Advance(by, answer) => {
                self.advance(by, stop).await;
                answer
            }
        };
        self.settle(stop).await;
        // nobody waits for the answer any more: that is theirs to decide
        let _ = answer.send(());
    }

    /// Moves time from timer to timer up to `by` from now.
    async fn advance(&mut self, by: Duration, stop: &CancellationToken) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.until = self.clock.now().checked_add(by).unwrap_or(Timestamp::MAX);
        self.reconsider();
        while !stop.is_cancelled() {
            self.settle(stop).await;
            match self.queue.next_timer().filter(|next| *next <= self.until) {
                Some(next) => self.clock.advance_to(next),
                None => break,
            }
        }
        self.clock.advance_to(self.until);
    }

    /// Does all that is ready, letting other tasks run in between.
    async fn settle(&mut self, stop: &CancellationToken) {
        let mut turn = 0;
        while !stop.is_cancelled() && self.step() {
            turn += 1;
            if turn % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does one piece of work; whether there was one.
    fn step(&mut self) -> bool {
        self.follow();
        let Some(work) = self.queue.pop(self.clock.now()) else { return false };
        let plan = self.plan(&work);
        if let Some(at) = plan.wake {
            self.queue.push_at(at, work.clone());
        }
        for action in plan.actions {
            self.act(action, &work);
        }
        true
    }

    fn plan(&mut self, (duty, key): &Work) -> Plan {
        let view = View {
            storage: &self.storage,
            index: &self.index,
            faults: &self.faults,
            settings: &self.settings,
            now: self.clock.now(),
            until: self.until,
        };
        match duty {
            Duty::Namespace => namespace::reconcile(&view, key),
            Duty::Garbage => garbage::reconcile(&view, key),
            Duty::Endpoints => endpoints::reconcile(&view, key),
            Duty::Disruption => disruption::reconcile(&view, key),
            Duty::Node => node::reconcile(&view, key),
            Duty::Claim => volume::reconcile(&view, key),
            Duty::Volume => volume::reclaim(&view, key),
            Duty::Deployment => deployment::reconcile(&view, key),
            Duty::ReplicaSet => replicaset::reconcile(&view, key),
            Duty::StatefulSet => statefulset::reconcile(&view, key),
            Duty::DaemonSet => daemonset::reconcile(&view, key),
            Duty::Job => job::reconcile(&view, key),
            Duty::CronJob => cronjob::reconcile(&view, key),
            Duty::Schedule => scheduler::reconcile(&view, key),
            Duty::Kubelet => kubelet::reconcile(&view, key),
            Duty::Quota => quota::reconcile(&view, key),
            Duty::Autoscale => autoscale::reconcile(&view, key, &self.gauge, &mut self.autoscalers),
            Duty::Sweep => {
                self.recorder.sweep(&self.storage, view.now);
                Plan { actions: vec![], wake: Some(view.next_beat(seconds(600))) }
            }
        }
    }

    /// Performs one write. What fails because the object has changed meanwhile is planned anew from that change.
    fn act(&mut self, action: Action, work: &Work) {
        let done = match action {
            Action::Create(object) => self.create(object),
            Action::Replace { key, seen, new } => self.replace(&key, &seen, new),
            Action::Delete { key, options } => {
                let space = Some(&*key.namespace).filter(|space| !space.is_empty());
                match self.storage.delete(&key.resource, space, &key.name, &options) {
                    Err(error) if error.code != 404 => Err(error),
                    _ => Ok(()),
                }
            }
            Action::Event(note) => {
                self.recorder.record(&self.storage, &note, self.clock.now());
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::debug!(?work, %error, "a controller's write was refused; it looks again in a second");
            self.queue.push_at(self.clock.now() + seconds(1), work.clone());
        }
    }

    fn create(&self, object: Value) -> Result<(), super::api_error::ApiError> {
        let Some(resource) = resource_of(kind(&object)) else {
            tracing::error!(
                kind = kind(&object),
                "a controller made an object of a kind without a resource"
            );
            return Ok(());
        };
        let space = self.storage.get("namespaces", None, namespace(&object));
        if space.is_some_and(|space| is_deleting(&space)) {
            return Ok(());
        }
        self.storage.create(resource, object).map(|_| ())
    }

    fn replace(
        &self,
        key: &Key,
        seen: &Value,
        new: Value,
    ) -> Result<(), super::api_error::ApiError> {
        let space = Some(&*key.namespace).filter(|space| !space.is_empty());
        let changed = |object: &Value| {
            text(object, "/metadata/resourceVersion") != text(seen, "/metadata/resourceVersion")
        };
        self.storage
            .update(&key.resource, space, &key.name, |object| {
                // the change that came in between has queued this work again
                if !changed(object) {
                    *object = new;
                }
                Ok(())
            })
            .map(|_| ())
            .or_else(|error| if error.code == 404 { Ok(()) } else { Err(error) })
    }

    /// Takes in what has changed since the last time.
    fn follow(&mut self) {
        let revision = self.storage.revision();
        if revision == self.seen {
            return;
        }
        self.seen = revision;
        for resource in self.storage.resources() {
            if NOT_FOLLOWED.contains(&resource.as_str()) {
                continue;
            }
            let Some(mut watch) = self.watches.remove(&resource) else {
                self.start_over(&resource);
                continue;
            };
            loop {
                match watch.try_next() {
                    Ok(Some(event)) => {
                        let after =
                            (event.kind != EventKind::Deleted).then(|| event.object.clone());
                        self.changed(&resource, &event.object, after);
                    }
                    Ok(None) => {
                        self.watches.insert(resource, watch);
                        break;
                    }
                    Err(_) => {
                        self.start_over(&resource);
                        break;
                    }
                }
            }
        }
    }

    /// Lists a resource and treats every difference to what was known as a change.
    fn start_over(&mut self, resource: &str) {
        let (objects, revision) = self.storage.list(resource, None);
        match self.storage.watch(resource, revision) {
            Ok(watch) => {
                self.watches.insert(resource.to_owned(), watch);
            }
            Err(error) => {
                tracing::warn!(resource, %error, "following a resource; it is tried again")
            }
        }
        let there: std::collections::HashSet<Key> = objects
            .iter()
            .map(|object| Key::new(resource, namespace(object), name(object)))
            .collect();
        let gone: Vec<Object> = self
            .known
            .iter()
            .filter(|(key, _)| &*key.resource == resource && !there.contains(key))
            .map(|(_, object)| object.clone())
            .collect();
        for object in gone {
            self.changed(resource, &object, None);
        }
        for object in objects {
            self.changed(resource, &object.clone(), Some(object));
        }
    }

    /// Takes in one change: indexes first, then the controllers it concerns.
    fn changed(&mut self, resource: &str, object: &Value, after: Option<Object>) {
        let key = Key::new(resource, namespace(object), name(object));
        let before = match &after {
            Some(after) => self.known.insert(key.clone(), after.clone()),
            None => self.known.remove(&key),
        };
        if let (Some(before), Some(after)) = (&before, &after)
            && Arc::ptr_eq(before, after)
        {
            return;
        }
        self.activity.fetch_add(1, Ordering::Relaxed);
        self.index.note(&key, before.as_deref(), after.as_deref());
        let view = View {
            storage: &self.storage,
            index: &self.index,
            faults: &self.faults,
            settings: &self.settings,
            now: self.clock.now(),
            until: self.until,
        };
        work::affected(&view, &key, (before.as_deref(), after.as_deref()), &mut self.queue);
    }

    /// Everything that faults may concern is looked at again.
    fn reconsider(&mut self) {
        let view = View {
            storage: &self.storage,
            index: &self.index,
            faults: &self.faults,
            settings: &self.settings,
            now: self.clock.now(),
            until: self.until,
        };
        work::each(&view, "nodes", "", Duty::Node, &mut self.queue);
        work::each(&view, "pods", "", Duty::Kubelet, &mut self.queue);
        work::queue_pending(&view, &mut self.queue);
    }
}

#[cfg(test)]
mod tests;
