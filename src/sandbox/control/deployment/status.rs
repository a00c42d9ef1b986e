//! What a deployment's status says: counts, `Available`, `Progressing` and its deadline.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FROM, REVISION, Rollout, revision_of};
use crate::sandbox::control::{
    object::{
        Condition, Key, condition, int, items, name, seconds, set, set_condition, stamp, text, time,
    },
    view::{Plan, View},
};

/// Writes the status (and the revision annotation) when it differs from what is there.
pub(super) fn write(
    view: &View<'_>,
    key: &Key,
    rollout: &Rollout<'_>,
    created: Option<&Value>,
    plan: &mut Plan,
) {
    let before = rollout.deployment;
    let mut after = (**before).clone();
    let newest = created.or(rollout.new.as_deref());
    if let Some(newest) = newest
        && revision_of(newest) > 0
    {
        let old = rollout.old.iter().map(|set| revision_of(set)).max().unwrap_or(0);
        let number = revision_of(newest).max(if created.is_some() { 0 } else { old + 1 });
        set(&mut after, &["metadata", "annotations", REVISION], number.to_string().into());
    }
    let sum = |field: &str| {
        rollout.all().map(|set| int(set, &format!("/status/{field}")).unwrap_or(0)).sum::<i64>()
    };
    let updated = rollout.new.as_ref().and_then(|new| int(new, "/status/replicas")).unwrap_or(0);
    let available = sum("availableReplicas");
    let total = rollout.all().map(|set| super::wanted(set)).sum::<i64>();
    let mut status = json!({ "observedGeneration": before["metadata"]["generation"] });
    for (field, count) in [
        ("replicas", sum("replicas")),
        ("updatedReplicas", updated),
        ("readyReplicas", sum("readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (total - available).max(0)),
    ] {
        if count > 0 {
            status[field] = count.into();
        }
    }
    let mut conditions = items(before, "/status/conditions").to_vec();
    let enough = available >= rollout.replicas - rollout.bounds.unavailable;
    let said = if enough {
        ("MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    say(&mut conditions, Condition::new("Available", enough, said.0, said.1), view.now);
    progress(view, rollout, (&status, created), &mut conditions, plan);
    replica_failure(rollout, &mut conditions, view.now);
    status["conditions"] = conditions.into();
    after["status"] = status;
    plan.replace(key, before, after);
}

/// `Progressing`: moves with every pod that comes up, and turns false when nothing moved for the deadline.
fn progress(
    view: &View<'_>,
    rollout: &Rollout<'_>,
    (status, created): (&Value, Option<&Value>),
    conditions: &mut Vec<Value>,
    plan: &mut Plan,
) {
    let deployment = rollout.deployment;
    let now = view.now;
    if deployment["spec"]["paused"] == true {
        let said = ("DeploymentPaused", "Deployment is paused");
        let old = condition(deployment, "Progressing").map(|old| text(old, "/reason"));
        if old != Some("NewReplicaSetAvailable") && old != Some("ProgressDeadlineExceeded") {
            let unknown = Condition {
                kind: "Progressing",
                status: "Unknown",
                reason: said.0,
                message: said.1,
            };
            say(conditions, unknown, now);
        }
        return;
    }
    if let Some(created) = created {
        let message = format!("Created new replica set \"{}\"", name(created));
        say(conditions, Condition::new("Progressing", true, "NewReplicaSetCreated", &message), now);
        touch(conditions, now);
        plan.wake_at(now + seconds(deadline(deployment)));
        return;
    }
    let count = |status: &Value, field: &str| status[field].as_i64().unwrap_or(0);
    let old_status = &deployment["status"];
    let complete = count(status, "updatedReplicas") == rollout.replicas
        && count(status, "replicas") == rollout.replicas
        && count(status, "availableReplicas") >= rollout.replicas;
    let old_pods = |status: &Value| count(status, "replicas") - count(status, "updatedReplicas");
    let moved = ["updatedReplicas", "readyReplicas", "availableReplicas"]
        .iter()
        .any(|field| count(status, field) > count(old_status, field))
        || old_pods(status) < old_pods(old_status);
    let set_name = rollout.new.as_ref().map_or("", |new| name(new));
    let last = condition(deployment, "Progressing");
    let reason = last.map_or("", |last| text(last, "/reason"));
    let finished = reason == "NewReplicaSetAvailable"
        && count(status, "replicas") == count(status, "updatedReplicas");
    if finished {
        return;
    }
    if complete {
        let message = format!("ReplicaSet \"{set_name}\" has successfully progressed.");
        say(
            conditions,
            Condition::new("Progressing", true, "NewReplicaSetAvailable", &message),
            now,
        );
        touch(conditions, now);
        return;
    }
    if moved || last.is_none() || reason == "NewReplicaSetAvailable" || reason == "DeploymentPaused"
    {
        let message = format!("ReplicaSet \"{set_name}\" is progressing.");
        say(conditions, Condition::new("Progressing", true, "ReplicaSetUpdated", &message), now);
        touch(conditions, now);
        plan.wake_at(now + seconds(deadline(deployment)));
        return;
    }
    let since = last.and_then(|last| time(last, "/lastUpdateTime")).unwrap_or(now);
    let due = since + seconds(deadline(deployment));
    if now < due {
        plan.wake_at(due);
    } else if reason != "ProgressDeadlineExceeded" {
        let message = format!("ReplicaSet \"{set_name}\" has timed out progressing.");
        let said = Condition::new("Progressing", false, "ProgressDeadlineExceeded", &message);
        say(conditions, said, now);
        touch(conditions, now);
        plan.normal(FROM, deployment, "ProgressDeadlineExceeded", message);
    }
}

/// `ReplicaFailure` is what the newest replica set says about creating pods.
fn replica_failure(rollout: &Rollout<'_>, conditions: &mut Vec<Value>, now: Timestamp) {
    let failure = rollout.all().filter_map(|set| condition(set, "ReplicaFailure")).last();
    match failure {
        Some(failure) => {
            let (reason, message) = (text(failure, "/reason"), text(failure, "/message"));
            say(conditions, Condition::new("ReplicaFailure", true, reason, message), now);
        }
        None => conditions.retain(|condition| condition["type"] != "ReplicaFailure"),
    }
}

/// `progressDeadlineSeconds`, ten minutes when absent.
fn deadline(deployment: &Value) -> i64 {
    int(deployment, "/spec/progressDeadlineSeconds").unwrap_or(600).max(1)
}

/// Sets a condition; what changed also gets a new `lastUpdateTime`.
fn say(conditions: &mut Vec<Value>, said: Condition<'_>, now: Timestamp) {
    if set_condition(conditions, said, now)
        && let Some(changed) = conditions.iter_mut().find(|one| one["type"] == said.kind)
    {
        changed["lastUpdateTime"] = stamp(now).into();
    }
}

/// Progress was made: the deadline counts from now.
fn touch(conditions: &mut [Value], now: Timestamp) {
    if let Some(progressing) = conditions.iter_mut().find(|one| one["type"] == "Progressing") {
        progressing["lastUpdateTime"] = stamp(now).into();
    }
}
