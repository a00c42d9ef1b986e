//! Daemon sets: one pod on every node that takes it.

use serde_json::{Value, json};

use super::{
    deployment::share,
    object::{
        Key, Object, condition_is_true, is_deleting, is_finished, items, name, namespace, set, text,
    },
    quota,
    revision::{self, HASH, Revisions},
    scheduler::filter::{is_selected, is_tolerated},
    template,
    view::{Plan, View},
};

const FROM: &str = "daemonset-controller";

/// Gives every node its pod, takes away what is too much, and rolls updates over the nodes.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(set) = view.at(key).filter(|set| !is_deleting(set)) else { return plan };
    let revisions = Revisions::of(view, &set, &mut plan);
    let pods = view.controlled(&set, "pods");
    let sample = sample(&set);
    let nodes: Vec<Object> =
        view.list("nodes", "").into_iter().filter(|node| takes(node, &sample)).collect();
    let mut admission = quota::Admission::open(view, namespace(&set));
    for node in &nodes {
        let here: Vec<&Object> =
            pods.iter().filter(|pod| node_of(pod) == name(node) && !is_deleting(pod)).collect();
        for failed in here.iter().filter(|pod| is_finished(pod)) {
            plan.delete("pods", failed);
            let message = format!(
                "Found failed daemon pod {} on node {}, will try to kill it",
                name(failed),
                name(node)
            );
            plan.warning(FROM, &set, "FailedDaemonPod", message);
        }
        // the old pod's place is free only once it is gone
        let leaving = pods.iter().any(|pod| node_of(pod) == name(node) && is_deleting(pod));
        if here.is_empty() && !leaving {
            create(view, &set, node, (&revisions, &mut admission), &mut plan);
        }
        for extra in here.iter().filter(|pod| !is_finished(pod)).skip(1) {
            delete(&set, extra, &mut plan);
        }
    }
    let eligible = |pod: &Object| nodes.iter().any(|node| name(node) == node_of(pod));
    let (placed, misplaced): (Vec<&Object>, Vec<&Object>) =
        pods.iter().partition(|pod| eligible(pod));
    for pod in misplaced.iter().filter(|pod| !is_deleting(pod)) {
        delete(&set, pod, &mut plan);
    }
    roll(&set, &revisions, (&placed, nodes.len()), &mut plan);
    revisions.forget(&set, &pods, &mut plan);
    write_status(key, &set, (&placed, misplaced.len(), nodes.len()), (&revisions, &mut plan));
    plan
}

/// A pod of the set, to try nodes with.
fn sample(set: &Value) -> Value {
    let mut pod = json!({ "spec": set["spec"]["template"]["spec"] });
    tolerate_troubles(&mut pod);
    pod
}

/// Daemons stay on, and come to, nodes in trouble.
fn tolerate_troubles(pod: &mut Value) {
    let mut tolerations = items(pod, "/spec/tolerations").to_vec();
    for (trouble, effect) in [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
        ("unreachable", "NoSchedule"),
    ] {
        let toleration = json!({
            "key": format!("node.kubernetes.io/{trouble}"), "operator": "Exists", "effect": effect,
        });
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    set_tolerations(pod, tolerations);
}

fn set_tolerations(pod: &mut Value, tolerations: Vec<Value>) {
    set(pod, &["spec", "tolerations"], tolerations.into());
}

/// Whether the node takes pods like this one.
fn takes(node: &Value, pod: &Value) -> bool {
    let taints = items(node, "/spec/taints").iter();
    let mut hard =
        taints.filter(|taint| matches!(text(taint, "/effect"), "NoSchedule" | "NoExecute"));
    is_selected(pod, node) && hard.all(|taint| is_tolerated(taint, items(pod, "/spec/tolerations")))
}

/// The node a daemon pod is on, or meant for.
fn node_of(pod: &Value) -> &str {
    const MEANT_FOR: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
    match text(pod, "/spec/nodeName") {
        "" => text(pod, MEANT_FOR),
        node => node,
    }
}

fn create(
    view: &View<'_>,
    set: &Object,
    node: &Value,
    (revisions, admission): (&Revisions, &mut quota::Admission),
    plan: &mut Plan,
) {
    let pod_name = template::generated_name(name(set), view.settings.serial());
    let mut pod = template::pod(&set["spec"]["template"], set, &pod_name);
    super::object::set(&mut pod, &["metadata", "labels", HASH], revisions.update.as_str().into());
    tolerate_troubles(&mut pod);
    let only_here = json!({ "nodeSelectorTerms": [{ "matchFields": [
        { "key": "metadata.name", "operator": "In", "values": [name(node)] },
    ]}]});
    let affinity =
        ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    super::object::set(&mut pod, &affinity, only_here);
    match admission.admit(&mut pod) {
        Ok(()) => {
            plan.create(pod);
            plan.normal(FROM, set, "SuccessfulCreate", format!("Created pod: {pod_name}"));
        }
        Err(why) => {
            plan.warning(FROM, set, "FailedCreate", format!("Error creating: {why}"));
            plan.wake_at(view.now + super::object::seconds(30));
        }
    }
}

fn delete(set: &Object, pod: &Object, plan: &mut Plan) {
    plan.delete("pods", pod);
    plan.normal(FROM, set, "SuccessfulDelete", format!("Deleted pod: {}", name(pod)));
}

/// Deletes pods of older revisions while no more than `maxUnavailable` are away.
fn roll(set: &Object, revisions: &Revisions, (pods, nodes): (&[&Object], usize), plan: &mut Plan) {
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return;
    }
    let nodes = i64::try_from(nodes).unwrap_or(i64::MAX);
    let most = set.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable");
    let most = most.map_or(1, |most| share(Some(most), nodes, true)).max(1);
    let well = |pod: &Object| condition_is_true(pod, "Ready") && !is_deleting(pod);
    let away = nodes - i64::try_from(pods.iter().filter(|pod| well(pod)).count()).unwrap_or(0);
    let mut budget = most - away;
    let old = |pod: &&&Object| {
        revision::revision_of(pod) != revisions.update && !is_deleting(pod) && !is_finished(pod)
    };
    for pod in pods.iter().filter(old) {
        // a pod that does not serve costs nothing to replace
        if well(pod) {
            if budget <= 0 {
                continue;
            }
            budget -= 1;
        }
        delete(set, pod, plan);
    }
}

fn write_status(
    key: &Key,
    set: &Object,
    (pods, misplaced, nodes): (&[&Object], usize, usize),
    (revisions, plan): (&Revisions, &mut Plan),
) {
    let alive: Vec<&&Object> = pods.iter().filter(|pod| !is_deleting(pod)).collect();
    let ready = alive.iter().filter(|pod| condition_is_true(pod, "Ready")).count();
    let updated = alive.iter().filter(|pod| revision::revision_of(pod) == revisions.update).count();
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "desiredNumberScheduled": nodes,
        "currentNumberScheduled": alive.len(),
        "numberMisscheduled": misplaced,
        "numberReady": ready,
    });
    for (field, number) in [
        ("numberAvailable", ready),
        ("numberUnavailable", nodes.saturating_sub(ready)),
        ("updatedNumberScheduled", updated),
    ] {
        if number > 0 {
            status[field] = number.into();
        }
    }
    let mut after = (**set).clone();
    after["status"] = status;
    plan.replace(key, set, after);
}
