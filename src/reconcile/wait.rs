//! Waiting for health by watching: the objects themselves and, for workloads, the pods of their newest revision.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream::SelectAll};
use kube::runtime::{
    WatchStreamExt as _,
    watcher::{self, Event},
};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Progress, ReconcileError, Reconciler, health::assess};
use crate::domain::{Health, ObjectRef};

/// How waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is healthy.
    Healthy,
    /// Something will not become healthy by itself, or did not in time.
    Degraded {
        /// Which object.
        object: ObjectRef,
        /// Why, as a person reads it.
        message: String,
    },
    /// Waiting was cancelled.
    Cancelled,
}

/// What the watches have seen.
#[derive(Default)]
struct Seen {
    objects: BTreeMap<ObjectRef, Value>,
    /// Watches that have not listed everything yet.
    listing: BTreeSet<usize>,
}

impl Reconciler {
    /// Waits until every object is healthy, one is not going to be, or the time is up.
    ///
    /// # Errors
    /// When the cluster serves no such kind or cannot be reached.
    pub async fn wait_healthy(
        &self,
        objects: &[ObjectRef],
        report: &(dyn Fn(Progress) + Sync),
        cancel: &CancellationToken,
    ) -> Result<Outcome, ReconcileError> {
        let deadline = Instant::now() + self.config.health_timeout();
        let (mut events, count) = self.watch(objects).await?;
        let mut seen = Seen { listing: (0..count).collect(), ..Seen::default() };
        let mut last: BTreeMap<&ObjectRef, (Health, String)> = BTreeMap::new();
        loop {
            let event = tokio::select! {
                () = cancel.cancelled() => return Ok(Outcome::Cancelled),
                () = tokio::time::sleep_until(deadline) => return Ok(late(objects, &last, self.config.health_timeout_seconds)),
                event = events.next() => event,
            };
            let Some((watch, kind, event)) = event else { return Ok(Outcome::Cancelled) };
            match event {
                Ok(event) => seen.take(watch, &kind, event),
                // the watch goes on by itself, with back-off
                Err(error) => tracing::debug!(%error, ?kind, "watching for health"),
            }
            if !seen.listing.is_empty() {
                continue;
            }
            for object in objects {
                let now = seen.assess(object);
                if last.get(object) != Some(&now) {
                    let (health, message) = now.clone();
                    report(Progress::Health { object: object.clone(), health, message });
                    last.insert(object, now);
                }
            }
            if let Some((object, (_, why))) =
                last.iter().find(|(_, (health, _))| *health == Health::Degraded)
            {
                return Ok(Outcome::Degraded { object: (*object).clone(), message: why.clone() });
            }
            if objects
                .iter()
                .all(|object| last.get(object).is_some_and(|(h, _)| *h == Health::Healthy))
            {
                return Ok(Outcome::Healthy);
            }
        }
    }

    /// One stream of everything that bears on the objects' health.
    async fn watch(
        &self,
        objects: &[ObjectRef],
    ) -> Result<(SelectAll<futures::stream::BoxStream<'static, Watched>>, usize), ReconcileError>
    {
        let mut wanted: BTreeSet<(String, String, Option<String>)> = BTreeSet::new();
        for object in objects {
            let mut add = |api_version: &str, kind: &str| {
                wanted.insert((api_version.to_owned(), kind.to_owned(), object.namespace.clone()));
            };
            add(&object.api_version, &object.kind);
            if matches!(object.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "Job") {
                add("v1", "Pod");
            }
            if object.kind == "Deployment" {
                add("apps/v1", "ReplicaSet");
            }
        }
        let mut streams = SelectAll::new();
        let count = wanted.len();
        for (number, (api_version, kind, namespace)) in wanted.into_iter().enumerate() {
            let kind = ObjectRef { api_version, kind, namespace, name: String::new() };
            let api = self.kinds.api(&kind).await?;
            let stream = watcher::watcher(api, watcher::Config::default()).default_backoff();
            streams.push(stream.map(move |event| (number, kind.clone(), event)).boxed());
        }
        Ok((streams, count))
    }
}

type Watched = (usize, ObjectRef, Result<Event<kube::core::DynamicObject>, watcher::Error>);

impl Seen {
    fn take(&mut self, watch: usize, kind: &ObjectRef, event: Event<kube::core::DynamicObject>) {
        let name = |object: &kube::core::DynamicObject| ObjectRef {
            namespace: object.metadata.namespace.clone(),
            name: object.metadata.name.clone().unwrap_or_default(),
            ..kind.clone()
        };
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                let reference = name(&object);
                if let Ok(mut value) = serde_json::to_value(&object) {
                    // items of lists come without them
                    value["apiVersion"] = Value::String(kind.api_version.clone());
                    value["kind"] = Value::String(kind.kind.clone());
                    self.objects.insert(reference, value);
                }
            }
            Event::Delete(object) => drop(self.objects.remove(&name(&object))),
            Event::Init => {
                self.listing.insert(watch);
                self.objects.retain(|object, _| {
                    let of_this_watch = object.api_version == kind.api_version
                        && object.kind == kind.kind
                        && (kind.namespace.is_none() || object.namespace == kind.namespace);
                    !of_this_watch
                });
            }
            Event::InitDone => drop(self.listing.remove(&watch)),
        }
    }

    fn assess(&self, object: &ObjectRef) -> (Health, String) {
        match self.find(object) {
            None => (Health::Progressing, "not there yet".to_owned()),
            Some(found) => assess(found, &self.pods(object, found)),
        }
    }

    fn find(&self, object: &ObjectRef) -> Option<&Value> {
        self.objects.get(object).or_else(|| {
            // a manifest may leave the default namespace out
            let named = ObjectRef { namespace: Some("default".to_owned()), ..object.clone() };
            self.objects.get(&named).filter(|_| object.namespace.is_none())
        })
    }

    /// Pods of the newest revision of a workload.
    fn pods(&self, object: &ObjectRef, found: &Value) -> Vec<&Value> {
        let Some(mut owner) = found.pointer("/metadata/uid") else { return Vec::new() };
        let revision = "/metadata/annotations/deployment.kubernetes.io~1revision";
        if object.kind == "Deployment" {
            let newest = self.of_kind("ReplicaSet").find(|set| {
                is_owned_by(set, owner) && set.pointer(revision) == found.pointer(revision)
            });
            let Some(uid) = newest.and_then(|set| set.pointer("/metadata/uid")) else {
                return Vec::new();
            };
            owner = uid;
        }
        let update = found.pointer("/status/updateRevision");
        self.of_kind("Pod")
            .filter(|pod| is_owned_by(pod, owner))
            .filter(|pod| {
                let hash = pod.pointer("/metadata/labels/controller-revision-hash");
                object.kind != "StatefulSet" || hash.is_none() || hash == update
            })
            .collect()
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |(object, _)| object.kind == kind).map(|(_, value)| value)
    }
}

fn is_owned_by(object: &Value, uid: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner.get("uid") == Some(uid))
}

/// The time is up: what is the worst of those not healthy?
fn late(
    objects: &[ObjectRef],
    last: &BTreeMap<&ObjectRef, (Health, String)>,
    seconds: u64,
) -> Outcome {
    let waiting = objects
        .iter()
        .find(|object| last.get(object).is_none_or(|(health, _)| *health != Health::Healthy));
    let Some(object) = waiting else { return Outcome::Healthy };
    let why = last.get(object).map_or("nothing was heard of it", |(_, why)| why.as_str());
    Outcome::Degraded {
        object: object.clone(),
        message: format!("not healthy after {seconds} s: {why}"),
    }
}
