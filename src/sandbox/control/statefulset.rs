//! Stateful sets: numbered pods with volumes of their own, started, stopped and updated in order.

use serde_json::{Value, json};

use super::{
    deployment::wanted,
    object::{
        Key, Object, condition_is_true, controlled_by, int, is_deleting, is_finished, items, name,
        namespace, set, text,
    },
    quota,
    revision::{self, HASH, Revisions},
    template,
    view::{Plan, View},
};

const FROM: &str = "statefulset-controller";

/// One stateful set and its pods by ordinal.
struct Members<'a> {
    set: &'a Object,
    pods: Vec<Object>,
    revisions: Revisions,
    first: i64,
    replicas: i64,
    ordered: bool,
}

/// Takes the next step that the order allows.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(set) = view.at(key).filter(|set| !is_deleting(set)) else { return plan };
    let revisions = Revisions::of(view, &set, &mut plan);
    let members = Members {
        pods: view.controlled(&set, "pods"),
        revisions,
        first: int(&set, "/spec/ordinals/start").unwrap_or(0),
        replicas: wanted(&set),
        ordered: text(&set, "/spec/podManagementPolicy") != "Parallel",
        set: &set,
    };
    if members.fill(view, &mut plan) && members.shrink(&mut plan) {
        members.update(&mut plan);
    }
    members.write_status(key, &mut plan);
    plan
}

impl Members<'_> {
    fn pod(&self, ordinal: i64) -> Option<&Object> {
        let wanted = format!("{}-{ordinal}", name(self.set));
        self.pods.iter().find(|pod| name(pod) == wanted)
    }

    fn ordinal(&self, pod: &Value) -> Option<i64> {
        name(pod).strip_prefix(name(self.set))?.strip_prefix('-')?.parse().ok()
    }

    fn ordinals(&self) -> std::ops::Range<i64> {
        self.first..self.first + self.replicas
    }

    /// Creates missing pods; whether the next phase may begin.
    fn fill(&self, view: &View<'_>, plan: &mut Plan) -> bool {
        let mut admission = quota::Admission::open(view, namespace(self.set));
        for ordinal in self.ordinals() {
            match self.pod(ordinal) {
                None => {
                    self.create(view, ordinal, &mut admission, plan);
                    if self.ordered {
                        return false;
                    }
                }
                Some(pod) if is_finished(pod) && !is_deleting(pod) => {
                    plan.delete("pods", pod);
                    if self.ordered {
                        return false;
                    }
                }
                Some(pod) if self.ordered && !is_healthy(pod) => return false,
                Some(_) => {}
            }
        }
        true
    }

    fn create(
        &self,
        view: &View<'_>,
        ordinal: i64,
        admission: &mut quota::Admission,
        plan: &mut Plan,
    ) {
        let set = self.set;
        let pod_name = format!("{}-{ordinal}", name(set));
        // below the partition, pods stay what they were
        let current =
            text(set, "/status/currentRevision").strip_prefix(name(set)).unwrap_or_default();
        let current = current.trim_start_matches('-');
        let old = (ordinal < self.partition() && !current.is_empty())
            .then(|| self.revisions.template(current))
            .flatten();
        let hash = if old.is_some() { current } else { &self.revisions.update };
        let template = old.as_ref().unwrap_or(&set["spec"]["template"]);
        let mut pod = template::pod(template, set, &pod_name);
        for (label, value) in [
            (HASH, format!("{}-{hash}", name(set))),
            ("statefulset.kubernetes.io/pod-name", pod_name.clone()),
            ("apps.kubernetes.io/pod-index", ordinal.to_string()),
        ] {
            super::object::set(&mut pod, &["metadata", "labels", label], value.into());
        }
        pod["spec"]["hostname"] = pod_name.as_str().into();
        if !text(set, "/spec/serviceName").is_empty() {
            pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
        }
        self.claim_volumes(view, &mut pod, plan);
        match admission.admit(&mut pod) {
            Ok(()) => {
                plan.create(pod);
                let message =
                    format!("create Pod {pod_name} in StatefulSet {} successful", name(set));
                plan.normal(FROM, set, "SuccessfulCreate", message);
            }
            Err(why) => {
                let message = format!(
                    "create Pod {pod_name} in StatefulSet {} failed error: {why}",
                    name(set)
                );
                plan.warning(FROM, set, "FailedCreate", message);
                plan.wake_at(view.now + super::object::seconds(30));
            }
        }
    }

    /// Gives the pod a claim of its own for each template.
    fn claim_volumes(&self, view: &View<'_>, pod: &mut Value, plan: &mut Plan) {
        let set = self.set;
        let mut volumes = items(pod, "/spec/volumes").to_vec();
        for wanted in items(set, "/spec/volumeClaimTemplates") {
            let claim = format!("{}-{}", name(wanted), name(pod));
            volumes.retain(|volume| volume["name"] != wanted["metadata"]["name"]);
            volumes.push(json!({
                "name": name(wanted), "persistentVolumeClaim": { "claimName": claim },
            }));
            if view.get("persistentvolumeclaims", namespace(set), &claim).is_some() {
                continue;
            }
            let mut made = json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": claim,
                    "namespace": namespace(set),
                    "labels": set["spec"]["selector"]["matchLabels"],
                },
                "spec": wanted["spec"],
                "status": { "phase": "Pending" },
            });
            if set.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted")
                == Some(&"Delete".into())
            {
                made["metadata"]["ownerReferences"] = controlled_by(set);
            }
            plan.create(made);
            let message = format!(
                "create Claim {claim} Pod {} in StatefulSet {} success",
                name(pod),
                name(set)
            );
            plan.normal(FROM, set, "SuccessfulCreate", message);
        }
        if !volumes.is_empty() {
            set_volumes(pod, volumes);
        }
    }

    /// Deletes pods beyond the count, the highest first; whether the next phase may begin.
    fn shrink(&self, plan: &mut Plan) -> bool {
        let range = self.ordinals();
        let mut surplus: Vec<(i64, &Object)> = self
            .pods
            .iter()
            .filter_map(|pod| Some((self.ordinal(pod)?, pod)))
            .filter(|(ordinal, _)| !range.contains(ordinal))
            .collect();
        surplus.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
        for (_, pod) in &surplus {
            if !is_deleting(pod) {
                self.delete(pod, plan);
            }
            if self.ordered {
                break;
            }
        }
        surplus.is_empty()
    }

    /// Replaces the highest pod of an older revision once those above it are well.
    fn update(&self, plan: &mut Plan) {
        if text(self.set, "/spec/updateStrategy/type") == "OnDelete" {
            return;
        }
        let update = format!("{}-{}", name(self.set), self.revisions.update);
        for ordinal in self.ordinals().rev().filter(|ordinal| *ordinal >= self.partition()) {
            let Some(pod) = self.pod(ordinal) else { return };
            if revision::revision_of(pod) != update {
                if !is_deleting(pod) {
                    self.delete(pod, plan);
                }
                return;
            }
            if !is_healthy(pod) {
                return;
            }
        }
    }

    fn delete(&self, pod: &Object, plan: &mut Plan) {
        plan.delete("pods", pod);
        let message =
            format!("delete Pod {} in StatefulSet {} successful", name(pod), name(self.set));
        plan.normal(FROM, self.set, "SuccessfulDelete", message);
    }

    fn partition(&self) -> i64 {
        int(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0)
    }

    fn write_status(&self, key: &Key, plan: &mut Plan) {
        let set = self.set;
        let update = format!("{}-{}", name(set), self.revisions.update);
        let was = text(set, "/status/currentRevision");
        let mut current = if was.is_empty() { update.as_str() } else { was };
        let count = |wanted: &dyn Fn(&Object) -> bool| {
            i64::try_from(self.pods.iter().filter(|pod| wanted(pod)).count()).unwrap_or(i64::MAX)
        };
        let ready = count(&|pod| condition_is_true(pod, "Ready"));
        let updated = revision::count_of(&self.pods, &update);
        if updated == self.replicas && ready == self.replicas && count(&|_| true) == self.replicas {
            current = &update;
            self.revisions.forget(set, &self.pods, plan);
        }
        let mut status = json!({
            "observedGeneration": set["metadata"]["generation"],
            "replicas": count(&|_| true),
            "availableReplicas": ready,
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": 0,
        });
        let still = revision::count_of(&self.pods, current);
        for (field, number) in
            [("readyReplicas", ready), ("currentReplicas", still), ("updatedReplicas", updated)]
        {
            if number > 0 {
                status[field] = number.into();
            }
        }
        let mut after = (**set).clone();
        after["status"] = status;
        plan.replace(key, set, after);
    }
}

fn is_healthy(pod: &Value) -> bool {
    condition_is_true(pod, "Ready") && !is_deleting(pod)
}

fn set_volumes(pod: &mut Value, volumes: Vec<Value>) {
    set(pod, &["spec", "volumes"], volumes.into());
}
