//! What a controller sees and what it wants done: controllers are functions from a [`View`] to a [`Plan`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Settings,
    demand::Demand,
    object::{self, Key, Object, items, namespace, text, uid},
    selector,
};
use crate::sandbox::{
    fault::Faults,
    resource::resource_for,
    storage::{DeleteOptions, Propagation, Storage},
};

/// The cluster as it is now, with the indexes that keep a pass proportional to what changed.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) storage: &'a Storage,
    pub(crate) index: &'a Index,
    pub(crate) faults: &'a Faults,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Timestamp,
    /// Where time is being moved to; what only shows that somebody is alive need not happen on the way.
    pub(crate) until: Timestamp,
}

impl View<'_> {
    /// The next moment for something that repeats every `period` and matters only for its being recent.
    pub(crate) fn next_beat(&self, period: SignedDuration) -> Timestamp {
        (self.now + period).max(self.until)
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Object> {
        self.storage.get(resource, Some(namespace).filter(|ns| !ns.is_empty()), name)
    }

    pub(crate) fn at(&self, key: &Key) -> Option<Object> {
        self.get(&key.resource, &key.namespace, &key.name)
    }

    /// All objects of a resource in a namespace; an empty namespace means everywhere.
    pub(crate) fn list(&self, resource: &str, namespace: &str) -> Vec<Object> {
        self.storage.list(resource, Some(namespace).filter(|ns| !ns.is_empty())).0
    }

    /// All objects of a resource in exactly this namespace.
    pub(crate) fn list_namespaced(&self, resource: &str, namespace: &str) -> Vec<Object> {
        self.storage.list(resource, Some(namespace)).0
    }

    /// The resource that objects of a kind belong to, custom kinds included.
    pub(crate) fn resource_for(&self, api_version: &str, kind: &str) -> String {
        resource_for(self.storage, api_version, kind)
    }

    /// The objects of `resource` that name `owner` as their controller.
    pub(crate) fn controlled(&self, owner: &Value, resource: &str) -> Vec<Object> {
        let wanted = uid(owner);
        self.index
            .owned(wanted)
            .filter(|key| &*key.resource == resource)
            .filter_map(|key| self.at(key))
            .filter(|object| {
                object::controller_of(object).is_some_and(|owner| text(owner, "/uid") == wanted)
            })
            .collect()
    }

    /// Makes `owner` the controller of the objects that its selector matches and nobody controls.
    ///
    /// Looked for once, when the owner is new: those that come later are made by a controller.
    pub(crate) fn adopt(&self, owner: &Value, resource: &str, plan: &mut Plan) {
        if owner.pointer("/status/observedGeneration").is_some() {
            return;
        }
        let selector = owner.pointer("/spec/selector");
        for orphan in self.list_namespaced(resource, namespace(owner)) {
            let free = object::controller_of(&orphan).is_none() && object::is_active(&orphan);
            if free && selector::matches(selector, orphan.pointer("/metadata/labels")) {
                let mut owners = items(&orphan, "/metadata/ownerReferences").to_vec();
                owners.extend(items(&object::controlled_by(owner), "").iter().cloned());
                let mut adopted = (*orphan).clone();
                adopted["metadata"]["ownerReferences"] = owners.into();
                let key = Key::new(resource, namespace(&orphan), object::name(&orphan));
                plan.replace(&key, &orphan, adopted);
            }
        }
    }

    /// The pods bound to a node.
    pub(crate) fn pods_on(&self, node: &str) -> Vec<Object> {
        self.index.on_node.get(node).into_iter().flatten().filter_map(|key| self.at(key)).collect()
    }

    /// The object that controls `of`, if it still exists as the same one.
    pub(crate) fn controller(&self, of: &Value) -> Option<Object> {
        controller(self.storage, of)
    }
}

/// The object that controls `of`, if it still exists as the same one.
pub(crate) fn controller(storage: &Storage, of: &Value) -> Option<Object> {
    let owner = object::controller_of(of)?;
    let resource = object::resource_of(text(owner, "/kind"))?;
    let space = Some(namespace(of)).filter(|space| !space.is_empty());
    let found = storage.get(resource, space, text(owner, "/name"))?;
    (uid(&found) == text(owner, "/uid")).then_some(found)
}

/// Who belongs to whom, kept current from the storage's changes.
#[derive(Debug, Default)]
pub(crate) struct Index {
    owned: HashMap<Arc<str>, BTreeSet<Key>>,
    pub(crate) on_node: HashMap<Arc<str>, BTreeSet<Key>>,
    /// What the unfinished pods of each node request together, and how many they are.
    loads: HashMap<Arc<str>, (Demand, i64)>,
    /// How many of those belong to one controller, by node and the controller's uid.
    siblings: HashMap<(Arc<str>, Arc<str>), i64>,
    /// Pods that no node has been chosen for.
    pub(crate) pending: BTreeSet<Key>,
}

impl Index {
    /// The objects that name `owner` (a uid) in their owner references.
    pub(crate) fn owned(&self, owner: &str) -> impl Iterator<Item = &Key> {
        self.owned.get(owner).into_iter().flatten()
    }

    /// How many unfinished pods of the controller `owner` (a uid) are on a node.
    pub(crate) fn siblings(&self, node: &str, owner: &str) -> i64 {
        self.siblings.get(&(node.into(), owner.into())).copied().unwrap_or(0)
    }

    /// The requests of a node's pods and their number.
    pub(crate) fn load(&self, node: &str) -> (Demand, i64) {
        self.loads.get(node).copied().unwrap_or_default()
    }

    /// Takes one change of the object `key` into account.
    pub(crate) fn note(&mut self, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        let owners = |object: Option<&Value>| -> BTreeSet<Arc<str>> {
            let refs = object.map_or(&[][..], |object| items(object, "/metadata/ownerReferences"));
            refs.iter().map(|owner| text(owner, "/uid").into()).collect()
        };
        move_between(&mut self.owned, key, &owners(before), &owners(after));
        if &*key.resource != "pods" {
            return;
        }
        let node = |pod: Option<&Value>| -> BTreeSet<Arc<str>> {
            let node = pod.map_or("", |pod| text(pod, "/spec/nodeName"));
            (!node.is_empty()).then(|| node.into()).into_iter().collect()
        };
        for (pod, sign) in [(before, -1), (after, 1)] {
            if let Some(pod) = pod.filter(|pod| holds_resources(pod)) {
                self.weigh(pod, sign);
            }
        }
        let now_on = node(after);
        move_between(&mut self.on_node, key, &node(before), &now_on);
        let waits = after.is_some_and(|pod| now_on.is_empty() && object::is_active(pod));
        if waits {
            self.pending.insert(key.clone());
        } else {
            self.pending.remove(key);
        }
    }
}

impl Index {
    /// Adds a pod to what its node carries, or takes it away.
    fn weigh(&mut self, pod: &Value, sign: i64) {
        let node: Arc<str> = text(pod, "/spec/nodeName").into();
        let (load, count) = self.loads.entry(node.clone()).or_default();
        let demand = Demand::of(pod);
        *load = if sign > 0 { load.plus(demand) } else { load.minus(demand) };
        *count += sign;
        let Some(owner) = object::controller_of(pod) else { return };
        let key = (node, text(owner, "/uid").into());
        let count = self.siblings.entry(key.clone()).or_default();
        *count += sign;
        if *count == 0 {
            self.siblings.remove(&key);
        }
    }
}

/// Whether a pod takes resources of a node.
fn holds_resources(pod: &Value) -> bool {
    !text(pod, "/spec/nodeName").is_empty() && !object::is_finished(pod)
}

fn move_between(
    index: &mut HashMap<Arc<str>, BTreeSet<Key>>,
    key: &Key,
    before: &BTreeSet<Arc<str>>,
    after: &BTreeSet<Arc<str>>,
) {
    for gone in before.difference(after) {
        if let Some(keys) = index.get_mut(gone) {
            keys.remove(key);
            if keys.is_empty() {
                index.remove(gone);
            }
        }
    }
    for new in after {
        index.entry(new.clone()).or_default().insert(key.clone());
    }
}

/// What a controller wants done, and when it wants to look again.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    pub(crate) wake: Option<Timestamp>,
}

/// One write to the cluster.
#[derive(Debug)]
pub(crate) enum Action {
    /// Create this object.
    Create(Value),
    /// Replace the object that was seen as `seen`, unless it has changed since.
    Replace { key: Key, seen: Object, new: Value },
    /// Delete the object.
    Delete { key: Key, options: DeleteOptions },
    /// Report something about an object.
    Event(Note),
}

/// An event about an object, before it is counted and stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) about: Value,
    pub(crate) warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// The component that reports: `kubelet`, `default-scheduler`, `deployment-controller`.
    pub(crate) from: &'static str,
    /// The node it happened on, for what kubelets report.
    pub(crate) host: String,
}

impl Plan {
    pub(crate) fn create(&mut self, object: Value) {
        self.actions.push(Action::Create(object));
    }

    /// Replaces `seen` by `new` where they differ.
    pub(crate) fn replace(&mut self, key: &Key, seen: &Object, new: Value) {
        if new != **seen {
            self.actions.push(Action::Replace { key: key.clone(), seen: seen.clone(), new });
        }
    }

    /// Deletes an object; pods are given their grace period.
    pub(crate) fn delete(&mut self, resource: &str, object: &Value) {
        self.delete_with(resource, object, DeleteOptions::default());
    }

    /// Deletes without a grace period.
    pub(crate) fn delete_now(&mut self, resource: &str, object: &Value) {
        let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
        self.delete_with(resource, object, options);
    }

    /// Deletes an object after everything it owns.
    pub(crate) fn delete_in_foreground(&mut self, resource: &str, object: &Value) {
        let propagation = Some(Propagation::Foreground);
        self.delete_with(
            resource,
            object,
            DeleteOptions { propagation, ..DeleteOptions::default() },
        );
    }

    fn delete_with(&mut self, resource: &str, object: &Value, options: DeleteOptions) {
        let key = Key::new(resource, namespace(object), object::name(object));
        let options = DeleteOptions { uid: Some(uid(object).to_owned()), ..options };
        self.actions.push(Action::Delete { key, options });
    }

    pub(crate) fn normal(
        &mut self,
        from: &'static str,
        about: &Value,
        reason: &'static str,
        message: String,
    ) {
        let note = Note {
            about: reference(about),
            warning: false,
            reason,
            message,
            from,
            host: String::new(),
        };
        self.actions.push(Action::Event(note));
    }

    pub(crate) fn warning(
        &mut self,
        from: &'static str,
        about: &Value,
        reason: &'static str,
        message: String,
    ) {
        let note = Note {
            about: reference(about),
            warning: true,
            reason,
            message,
            from,
            host: String::new(),
        };
        self.actions.push(Action::Event(note));
    }

    /// Asks to be looked at again at `at`, or earlier.
    pub(crate) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// An object reference as events carry it.
pub(crate) fn reference(object: &Value) -> Value {
    let mut about = serde_json::Map::new();
    let mut put = |field: &str, value: &Value| {
        if !value.is_null() {
            about.insert(field.to_owned(), value.clone());
        }
    };
    put("kind", &object["kind"]);
    for field in ["namespace", "name", "uid"] {
        put(field, &object["metadata"][field]);
    }
    put("apiVersion", &object["apiVersion"]);
    put("resourceVersion", &object["metadata"]["resourceVersion"]);
    Value::Object(about)
}
