//! Deployments: a replica set per template, rolled over within the surge and unavailability bounds.

mod rollout;
mod status;

use serde_json::{Value, json};

pub(crate) use self::rollout::share;
use self::rollout::{Bounds, Counts};
use super::{
    object::{
        Key, Object, annotation, controlled_by, int, is_deleting, is_finished, name, namespace,
        seconds, set, text, time,
    },
    template::{TEMPLATE_HASH, same_template, template_hash},
    view::{Plan, View},
};

/// The component name in events.
const FROM: &str = "deployment-controller";
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const REPLICA_SETS: &str = "replicasets.apps";

/// A deployment with its replica sets, the present one apart from the older ones (oldest first).
struct Rollout<'a> {
    deployment: &'a Object,
    new: Option<Object>,
    old: Vec<Object>,
    replicas: i64,
    bounds: Bounds,
}

/// Brings one deployment a step further.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(deployment) = view.at(key).filter(|deployment| !is_deleting(deployment)) else {
        return plan;
    };
    view.adopt(&deployment, REPLICA_SETS, &mut plan);
    if !plan.actions.is_empty() {
        // what is adopted counts from the next look on
        plan.wake_at(view.now);
        return plan;
    }
    let mut sets = view.controlled(&deployment, REPLICA_SETS);
    sets.retain(|set| !is_deleting(set));
    sets.sort_by_key(|set| (time(set, "/metadata/creationTimestamp"), revision_of(set)));
    let same =
        |set: &Object| same_template(&set["spec"]["template"], &deployment["spec"]["template"]);
    let new = sets.iter().position(same).map(|at| sets.remove(at));
    let replicas = wanted(&deployment);
    let rolling = deployment.pointer("/spec/strategy/rollingUpdate");
    let bounds = Bounds::of(replicas, rolling);
    let rollout = Rollout { deployment: &deployment, new, old: sets, replicas, bounds };

    let paused = deployment["spec"]["paused"] == true;
    let mut created = None;
    if rollout.is_scaling() {
        rollout.scale(&mut plan);
    } else if !paused {
        if rollout.new.is_none() {
            created = Some(rollout.create_new(view, &mut plan));
        } else {
            rollout.adopt_revision(&mut plan);
            rollout.step(view, &mut plan);
        }
    }
    status::write(view, key, &rollout, created.as_ref(), &mut plan);
    plan
}

impl Rollout<'_> {
    /// Whether `spec.replicas` changed since the replica sets were last sized.
    fn is_scaling(&self) -> bool {
        self.all().any(|set| {
            let desired = annotation(set, DESIRED).parse::<i64>();
            wanted(set) > 0 && desired.is_ok_and(|desired| desired != self.replicas)
        })
    }

    fn all(&self) -> impl Iterator<Item = &Object> {
        self.old.iter().chain(&self.new)
    }

    /// Carries a change of `spec.replicas` over to the replica sets, without rolling.
    fn scale(&self, plan: &mut Plan) {
        let active: Vec<&Object> = self.all().filter(|set| wanted(set) > 0).collect();
        if let [only] = active[..] {
            self.resize(plan, only, self.replicas);
            return;
        }
        let sizes: Vec<i64> = active.iter().map(|set| wanted(set)).collect();
        let surge = if self.is_recreate() { 0 } else { self.bounds.surge };
        let room = if self.replicas > 0 { self.replicas + surge } else { 0 };
        for (set, size) in active.iter().zip(rollout::proportional(&sizes, room)) {
            self.resize(plan, set, size);
        }
    }

    /// One step of the strategy.
    fn step(&self, view: &View<'_>, plan: &mut Plan) {
        let Some(new) = &self.new else { return };
        let old: Vec<Counts> = self.old.iter().map(|set| counts(set)).collect();
        if self.is_recreate() {
            for set in &self.old {
                self.resize(plan, set, 0);
            }
            let gone =
                |set: &Object| view.controlled(set, "pods").iter().all(|pod| is_finished(pod));
            if self.old.iter().all(gone) {
                self.resize(plan, new, self.replicas);
            } else {
                // no event of a deployment tells that the last old pod has gone
                plan.wake_at(view.now + seconds(1));
            }
        } else {
            let size = rollout::new_size(self.replicas, self.bounds, counts(new), &old);
            if size != wanted(new) {
                self.resize(plan, new, size);
            } else {
                let sizes = rollout::old_sizes(self.replicas, self.bounds, counts(new), &old);
                for (set, size) in self.old.iter().zip(sizes) {
                    self.resize(plan, set, size);
                }
            }
        }
        if counts(new).available >= self.replicas && old.iter().all(|set| set.wanted == 0) {
            self.forget_history(plan);
        }
    }

    fn is_recreate(&self) -> bool {
        text(self.deployment, "/spec/strategy/type") == "Recreate"
    }

    /// Sets a replica set's size and its sizing annotations, and reports it.
    fn resize(&self, plan: &mut Plan, replica_set: &Object, size: i64) {
        let before = wanted(replica_set);
        let mut sized = (**replica_set).clone();
        sized["spec"]["replicas"] = size.into();
        self.annotate_size(&mut sized);
        let key = Key::new(REPLICA_SETS, namespace(replica_set), name(replica_set));
        plan.replace(&key, replica_set, sized);
        self.report_size(plan, name(replica_set), before, size);
    }

    fn report_size(&self, plan: &mut Plan, set: &str, before: i64, after: i64) {
        if before == after {
            return;
        }
        let direction = if after > before { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {set} from {before} to {after}");
        plan.normal(FROM, self.deployment, "ScalingReplicaSet", message);
    }

    fn annotate_size(&self, replica_set: &mut Value) {
        let maximum = self.replicas + if self.is_recreate() { 0 } else { self.bounds.surge };
        let annotations = &mut replica_set["metadata"]["annotations"];
        if !annotations.is_object() {
            *annotations = json!({});
        }
        annotations[DESIRED] = self.replicas.to_string().into();
        annotations[MAXIMUM] = maximum.to_string().into();
    }

    /// Creates the replica set of the present template, as large as the bounds allow; returns it.
    fn create_new(&self, view: &View<'_>, plan: &mut Plan) -> Value {
        let deployment = self.deployment;
        let template = &deployment["spec"]["template"];
        // a name taken by another template is stepped over, as collisionCount does
        let taken = |collisions: &i64| {
            let set = format!("{}-{}", name(deployment), template_hash(template, *collisions));
            view.get(REPLICA_SETS, namespace(deployment), &set).is_none()
        };
        let hash = template_hash(template, (0..100).find(taken).unwrap_or_default());
        let mut made = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": format!("{}-{hash}", name(deployment)),
                "namespace": namespace(deployment),
                "labels": template["metadata"]["labels"],
                "annotations": copied_annotations(deployment),
                "ownerReferences": controlled_by(deployment),
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": deployment["spec"]["minReadySeconds"].as_i64().unwrap_or(0),
                "selector": deployment["spec"]["selector"],
                "template": template,
            },
        });
        for labels in [
            &["metadata", "labels"][..],
            &["spec", "selector", "matchLabels"],
            &["spec", "template", "metadata", "labels"],
        ] {
            let path: Vec<&str> = labels.iter().copied().chain([TEMPLATE_HASH]).collect();
            set(&mut made, &path, hash.clone().into());
        }
        let next = self.all().map(|set| revision_of(set)).max().unwrap_or(0) + 1;
        made["metadata"]["annotations"][REVISION] = next.to_string().into();
        self.annotate_size(&mut made);
        let old: Vec<Counts> = self.old.iter().map(|set| counts(set)).collect();
        let size = if self.is_recreate() {
            if old.is_empty() { self.replicas } else { 0 }
        } else {
            rollout::new_size(self.replicas, self.bounds, Counts { wanted: 0, available: 0 }, &old)
        };
        made["spec"]["replicas"] = size.into();
        plan.create(made.clone());
        self.report_size(plan, name(&made), 0, size);
        made
    }

    /// A template that was used before becomes the newest revision again, as after a rollback.
    fn adopt_revision(&self, plan: &mut Plan) {
        let Some(new) = &self.new else { return };
        let newest_old = self.old.iter().map(|set| revision_of(set)).max().unwrap_or(0);
        if revision_of(new) > newest_old {
            return;
        }
        let mut bumped = (**new).clone();
        bumped["metadata"]["annotations"][REVISION] = (newest_old + 1).to_string().into();
        plan.replace(&Key::new(REPLICA_SETS, namespace(new), name(new)), new, bumped);
    }

    /// Deletes the oldest empty replica sets beyond the history limit.
    fn forget_history(&self, plan: &mut Plan) {
        let limit = int(self.deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
        let mut empty: Vec<&Object> = self
            .old
            .iter()
            .filter(|set| wanted(set) == 0 && int(set, "/status/replicas").unwrap_or(0) == 0)
            .collect();
        empty.sort_by_key(|set| revision_of(set));
        let surplus = empty.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for set in empty.into_iter().take(surplus) {
            plan.delete(REPLICA_SETS, set);
        }
    }
}

/// `spec.replicas`, one when absent.
pub(crate) fn wanted(object: &Value) -> i64 {
    int(object, "/spec/replicas").unwrap_or(1).max(0)
}

fn counts(set: &Value) -> Counts {
    Counts { wanted: wanted(set), available: int(set, "/status/availableReplicas").unwrap_or(0) }
}

pub(crate) fn revision_of(set: &Value) -> i64 {
    annotation(set, REVISION).parse().unwrap_or(0)
}

/// The deployment's annotations that its replica sets carry too.
fn copied_annotations(deployment: &Value) -> Value {
    const NOT_COPIED: [&str; 5] = [
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        "deployment.kubernetes.io/revision-history",
        DESIRED,
        MAXIMUM,
    ];
    let mut annotations =
        deployment["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
    annotations.into()
}
