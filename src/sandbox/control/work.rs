//! What there is to do: which controllers look at what when an object changes, and the queue they are served from.

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    object::{Key, controller_of, is_active, is_deleting, items, namespace, resource_of, text},
    selector,
    view::View,
};

/// The controllers, in the order they are served within a round: causes before effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Duty {
    Namespace,
    Garbage,
    Node,
    Claim,
    Volume,
    CronJob,
    Job,
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Schedule,
    Kubelet,
    Endpoints,
    Disruption,
    Quota,
    Autoscale,
    Sweep,
}

/// One object that one controller has to look at.
pub(crate) type Work = (Duty, Key);

/// Work that is ready now, and work that waits for its time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    round: VecDeque<Work>,
    ready: BTreeSet<Work>,
    timers: BTreeSet<(Timestamp, Work)>,
    due: HashMap<Work, Timestamp>,
}

impl Queue {
    pub(crate) fn push(&mut self, work: Work) {
        self.ready.insert(work);
    }

    /// Has `work` done at `at`, or earlier if it is asked for earlier.
    pub(crate) fn push_at(&mut self, at: Timestamp, work: Work) {
        if self.due.get(&work).is_some_and(|due| *due <= at) {
            return;
        }
        self.forget_timer(&work);
        self.due.insert(work.clone(), at);
        self.timers.insert((at, work));
    }

    /// The next work to do. Rounds are served whole, so nothing waits for ever behind what keeps coming.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Work> {
        if self.round.is_empty() {
            while self.timers.first().is_some_and(|(at, _)| *at <= now) {
                let Some((_, work)) = self.timers.pop_first() else { break };
                self.due.remove(&work);
                self.ready.insert(work);
            }
            self.round.extend(std::mem::take(&mut self.ready));
        }
        let work = self.round.pop_front()?;
        self.forget_timer(&work);
        Some(work)
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn forget_timer(&mut self, work: &Work) {
        if let Some(at) = self.due.remove(work) {
            self.timers.remove(&(at, work.clone()));
        }
    }
}

/// Queues everything that a change of the object `key` may concern.
pub(crate) fn affected(
    view: &View<'_>,
    key: &Key,
    (before, after): (Option<&Value>, Option<&Value>),
    queue: &mut Queue,
) {
    let Some(object) = after.or(before) else { return };
    garbage(view, key, object, after.is_none(), queue);
    let own = match &*key.resource {
        "namespaces" => Some(Duty::Namespace),
        "nodes" => {
            node(view, key, queue);
            Some(Duty::Node)
        }
        "pods" => {
            pod(view, key, (before, after), queue);
            None
        }
        "deployments.apps" => Some(Duty::Deployment),
        "replicasets.apps" => {
            owner(object, queue);
            Some(Duty::ReplicaSet)
        }
        "statefulsets.apps" => Some(Duty::StatefulSet),
        "daemonsets.apps" => Some(Duty::DaemonSet),
        "jobs.batch" => {
            owner(object, queue);
            Some(Duty::Job)
        }
        "cronjobs.batch" => Some(Duty::CronJob),
        "persistentvolumeclaims" => {
            claim(view, key, object, after.is_none(), queue);
            Some(Duty::Claim)
        }
        "persistentvolumes" => Some(Duty::Volume),
        "storageclasses.storage.k8s.io" => {
            each(view, "persistentvolumeclaims", "", Duty::Claim, queue);
            None
        }
        "services" => Some(Duty::Endpoints),
        "poddisruptionbudgets.policy" => Some(Duty::Disruption),
        "resourcequotas" => Some(Duty::Quota),
        "horizontalpodautoscalers.autoscaling" => Some(Duty::Autoscale),
        _ => None,
    };
    if let Some(duty) = own {
        queue.push((duty, key.clone()));
    }
    // a quota may count any resource, pods among them only by what they request
    if before.is_none() || after.is_none() || &*key.resource == "pods" {
        each(view, "resourcequotas", &key.namespace, Duty::Quota, queue);
    }
}

/// Owner references and finalizers: the garbage collector's part of any change.
fn garbage(view: &View<'_>, key: &Key, object: &Value, gone: bool, queue: &mut Queue) {
    let owners = items(object, "/metadata/ownerReferences");
    if gone {
        for dependent in view.index.owned(text(object, "/metadata/uid")) {
            queue.push((Duty::Garbage, dependent.clone()));
        }
        // an owner that waits for its dependents may be free now
        for owner in owners {
            let resource = view.resource_for(text(owner, "/apiVersion"), text(owner, "/kind"));
            queue.push((
                Duty::Garbage,
                Key::new(&resource, namespace(object), text(owner, "/name")),
            ));
        }
        if !key.namespace.is_empty() {
            let space = Key::new("namespaces", "", &key.namespace);
            if view.at(&space).is_some_and(|space| is_deleting(&space)) {
                queue.push((Duty::Namespace, space));
            }
        }
    } else if !owners.is_empty() || is_deleting(object) {
        queue.push((Duty::Garbage, key.clone()));
    }
}

fn pod(
    view: &View<'_>,
    key: &Key,
    (before, after): (Option<&Value>, Option<&Value>),
    queue: &mut Queue,
) {
    if let Some(pod) = after {
        let duty =
            if text(pod, "/spec/nodeName").is_empty() { Duty::Schedule } else { Duty::Kubelet };
        queue.push((duty, key.clone()));
        for volume in items(pod, "/spec/volumes") {
            let claim = text(volume, "/persistentVolumeClaim/claimName");
            if before.is_none() && !claim.is_empty() {
                let claim = Key::new("persistentvolumeclaims", &key.namespace, claim);
                queue.push((Duty::Claim, claim));
            }
        }
    }
    for version in [before, after].into_iter().flatten() {
        owner(version, queue);
    }
    let labels = |pod: Option<&Value>| pod.and_then(|pod| pod.pointer("/metadata/labels").cloned());
    let labels = [labels(before), labels(after)];
    for service in view.list("services", &key.namespace) {
        let wanted = service.pointer("/spec/selector").filter(|wanted| wanted.is_object());
        if wanted.is_some()
            && labels.iter().flatten().any(|l| selector::matches_map(wanted, Some(l)))
        {
            queue.push((
                Duty::Endpoints,
                Key::new("services", &key.namespace, super::object::name(&service)),
            ));
        }
    }
    const BUDGETS: &str = "poddisruptionbudgets.policy";
    for budget in view.list(BUDGETS, &key.namespace) {
        let wanted = budget.pointer("/spec/selector");
        if labels.iter().flatten().any(|l| selector::matches(wanted, Some(l))) {
            queue.push((
                Duty::Disruption,
                Key::new(BUDGETS, &key.namespace, super::object::name(&budget)),
            ));
        }
    }
    let held = before.is_some_and(|pod| is_active(pod) && !text(pod, "/spec/nodeName").is_empty());
    let holds = after.is_some_and(is_active);
    if held && !holds {
        // room was made
        queue_pending(view, queue);
    }
}

fn node(view: &View<'_>, key: &Key, queue: &mut Queue) {
    queue_pending(view, queue);
    each(view, "daemonsets.apps", "", Duty::DaemonSet, queue);
    for pod in view.index.on_node.get(&key.name).into_iter().flatten() {
        queue.push((Duty::Kubelet, pod.clone()));
    }
}

fn claim(view: &View<'_>, key: &Key, object: &Value, gone: bool, queue: &mut Queue) {
    for pod in view.index.pending.iter().filter(|pod| pod.namespace == key.namespace) {
        queue.push((Duty::Schedule, pod.clone()));
    }
    let volume = text(object, "/spec/volumeName");
    if gone && !volume.is_empty() {
        queue.push((Duty::Volume, Key::new("persistentvolumes", "", volume)));
    }
}

/// The controller that an object belongs to.
fn owner(object: &Value, queue: &mut Queue) {
    let Some(owner) = controller_of(object) else { return };
    let duty = match text(owner, "/kind") {
        "Deployment" => Duty::Deployment,
        "ReplicaSet" => Duty::ReplicaSet,
        "StatefulSet" => Duty::StatefulSet,
        "DaemonSet" => Duty::DaemonSet,
        "Job" => Duty::Job,
        "CronJob" => Duty::CronJob,
        _ => return,
    };
    if let Some(resource) = resource_of(text(owner, "/kind")) {
        queue.push((duty, Key::new(resource, namespace(object), text(owner, "/name"))));
    }
}

/// Every pod without a node gets another chance.
pub(crate) fn queue_pending(view: &View<'_>, queue: &mut Queue) {
    for pod in &view.index.pending {
        queue.push((Duty::Schedule, pod.clone()));
    }
}

/// Queues every object of a resource, in one namespace or (when empty) all.
pub(crate) fn each(view: &View<'_>, resource: &str, space: &str, duty: Duty, queue: &mut Queue) {
    for object in view.list(resource, space) {
        let key = Key::new(resource, namespace(&object), super::object::name(&object));
        queue.push((duty, key));
    }
}
