//! Replica sets: as many pods of one template as wanted.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::{
    deployment::wanted,
    object::{
        Condition, Key, Object, annotation, condition, condition_is_true, int, is_active,
        is_deleting, items, name, namespace, ready_since, seconds, set_condition, text, time,
    },
    quota, template,
    view::{Plan, View},
};

const FROM: &str = "replicaset-controller";

/// Creates or deletes pods until the replica set has its count, and reports.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(set) = view.at(key).filter(|set| !is_deleting(set)) else { return plan };
    view.adopt(&set, "pods", &mut plan);
    if !plan.actions.is_empty() {
        // what is adopted counts from the next look on
        plan.wake_at(view.now);
        return plan;
    }
    let all = view.controlled(&set, "pods");
    let mut pods: Vec<Object> = all.iter().filter(|pod| is_active(pod)).cloned().collect();
    let wanted = wanted(&set);
    let have = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let mut failure = None;
    if have < wanted {
        failure = grow(view, &set, wanted - have, &mut plan);
    } else if have > wanted {
        pods.sort_by_key(|pod| worth(pod));
        let surplus = usize::try_from(have - wanted).unwrap_or_default();
        for pod in pods.iter().take(surplus) {
            plan.delete("pods", pod);
            let message = format!("Deleted pod: {}", name(pod));
            plan.normal(FROM, &set, "SuccessfulDelete", message);
        }
    }
    write_status(view, (key, &set), &all, failure.as_deref(), &mut plan);
    plan
}

/// Creates `count` pods; returns why not all could be.
fn grow(view: &View<'_>, set: &Object, count: i64, plan: &mut Plan) -> Option<String> {
    let mut admission = quota::Admission::open(view, namespace(set));
    for number in 0..count {
        let pod_name = template::generated_name(name(set), view.settings.serial());
        let mut pod = template::pod(&set["spec"]["template"], set, &pod_name);
        if let Err(refused) = admission.admit(&mut pod) {
            plan.warning(FROM, set, "FailedCreate", format!("Error creating: {refused}"));
            // quota may be freed by something that is no pod of ours
            plan.wake_at(view.now + seconds(if number == 0 { 30 } else { 5 }));
            return Some(refused);
        }
        let message = format!("Created pod: {pod_name}");
        plan.create(pod);
        plan.normal(FROM, set, "SuccessfulCreate", message);
    }
    None
}

/// What a pod is worth keeping: the least is deleted first.
fn worth(pod: &Value) -> impl Ord + use<> {
    let running = text(pod, "/status/phase") == "Running";
    let cost =
        annotation(pod, "controller.kubernetes.io/pod-deletion-cost").parse().unwrap_or(0_i64);
    let ready = ready_since(pod);
    let restarts: i64 = items(pod, "/status/containerStatuses")
        .iter()
        .filter_map(|status| int(status, "/restartCount"))
        .max()
        .unwrap_or(0);
    (
        !text(pod, "/spec/nodeName").is_empty(),
        running,
        ready.is_some(),
        cost,
        Reverse(ready),
        Reverse(restarts),
        Reverse(time(pod, "/metadata/creationTimestamp")),
        name(pod).to_owned(),
    )
}

fn write_status(
    view: &View<'_>,
    (key, set): (&Key, &Object),
    pods: &[Object],
    failure: Option<&str>,
    plan: &mut Plan,
) {
    let minimum = int(set, "/spec/minReadySeconds").unwrap_or(0);
    let (mut total, mut ready, mut available) = (0, 0, 0);
    for pod in pods.iter().filter(|pod| is_active(pod)) {
        total += 1;
        let Some(since) = ready_since(pod).filter(|_| condition_is_true(pod, "Ready")) else {
            continue;
        };
        ready += 1;
        let due = since + seconds(minimum);
        if minimum == 0 || due <= view.now {
            available += 1;
        } else {
            plan.wake_at(due);
        }
    }
    let mut status = json!({
        "replicas": total,
        "observedGeneration": set["metadata"]["generation"],
    });
    for (field, count) in [
        ("fullyLabeledReplicas", total),
        ("readyReplicas", ready),
        ("availableReplicas", available),
    ] {
        if count > 0 {
            status[field] = count.into();
        }
    }
    let mut conditions = items(set, "/status/conditions").to_vec();
    match failure {
        Some(why) => {
            // every attempt names another pod; what matters is why it failed
            let cause =
                |text: &str| text.split_once(" is forbidden: ").map(|(_, cause)| cause.to_owned());
            let before =
                condition(set, "ReplicaFailure").map_or("", |before| text(before, "/message"));
            let why = if cause(before) == cause(why) && !before.is_empty() { before } else { why };
            let said = Condition::new("ReplicaFailure", true, "FailedCreate", why);
            set_condition(&mut conditions, said, view.now);
        }
        None => conditions.retain(|condition| condition["type"] != "ReplicaFailure"),
    }
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    let mut after = (**set).clone();
    after["status"] = status;
    plan.replace(key, set, after);
}
