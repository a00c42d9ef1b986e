//! Nodes: the conditions their kubelets report, the taints that follow, heartbeats, and evictions by taint.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    object::{
        Condition, Key, Object, condition, condition_is_true, int, is_deleting, is_finished, items,
        kind, micro_stamp, name, namespace, seconds, set, set_condition, stamp, text, text_map,
        time, uid,
    },
    scheduler::filter::tolerates,
    view::{Plan, View},
};
use crate::sandbox::fault::{Effect, Pressure, Subject};

const FROM: &str = "node-controller";
const LEASES: &str = "leases.coordination.k8s.io";
const LEASE_SPACE: &str = "kube-node-lease";
/// After this long without a heartbeat a node counts as lost.
const GRACE: i64 = 40;
const HEARTBEAT: i64 = 10;

/// Since when a fault keeps the node's kubelet silent.
fn silent_since(view: &View<'_>, node: &Value) -> Option<Timestamp> {
    let all = view.faults.all();
    let subject = subject(node);
    all.iter()
        .filter(|one| one.fault.effect == Effect::NodeNotReady)
        .filter(|one| one.fault.select.matches(&subject, None))
        .map(|one| one.since)
        .min()
}

/// Whether nothing is heard of the node's kubelet, so that its pods stay as they are.
pub(crate) fn is_silent(view: &View<'_>, node: &Value) -> bool {
    silent_since(view, node).is_some()
}

fn subject(node: &Value) -> Subject {
    Subject {
        namespace: String::new(),
        names: vec![(kind(node).to_owned(), name(node).to_owned())],
        labels: text_map(node, "/metadata/labels"),
    }
}

/// Brings one node's conditions, taints and lease up to date and evicts what its taints do not tolerate.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(node) = view.at(key).filter(|node| !is_deleting(node)) else {
        forget(view, &key.name, &mut plan);
        return plan;
    };
    let silent = silent_since(view, &node);
    let lost_at = silent.map(|since| since + seconds(GRACE));
    let mut after = (*node).clone();
    let mut conditions = items(&node, "/status/conditions").to_vec();
    match lost_at {
        Some(at) if at <= view.now => lose(view, &node, &mut conditions, &mut plan),
        Some(at) => plan.wake_at(at),
        None => {
            report(view, &node, &mut conditions, &mut plan);
            heartbeat(view, &node, &mut plan);
        }
    }
    let lost = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "Unknown");
    set(&mut after, &["status", "conditions"], conditions.into());
    taint(view, &mut after, lost);
    evict(view, &after, &mut plan);
    plan.replace(key, &node, after);
    plan
}

/// A node that was removed takes its pods and its lease with it.
fn forget(view: &View<'_>, gone: &str, plan: &mut Plan) {
    if let Some(lease) = view.get(LEASES, LEASE_SPACE, gone) {
        plan.delete(LEASES, &lease);
    }
    for pod in view.pods_on(gone) {
        plan.delete_now("pods", &pod);
    }
}

const PRESSURES: [(Pressure, &str, &str, &str, &str); 3] = [
    (
        Pressure::Memory,
        "MemoryPressure",
        "KubeletHasInsufficientMemory",
        "KubeletHasSufficientMemory",
        "memory available",
    ),
    (
        Pressure::Disk,
        "DiskPressure",
        "KubeletHasDiskPressure",
        "KubeletHasNoDiskPressure",
        "disk pressure",
    ),
    (
        Pressure::Pid,
        "PIDPressure",
        "KubeletHasInsufficientPID",
        "KubeletHasSufficientPID",
        "PID available",
    ),
];

/// What a living kubelet reports.
fn report(view: &View<'_>, node: &Object, conditions: &mut Vec<Value>, plan: &mut Plan) {
    let under = pressures(view, node);
    let mut changed = false;
    for (pressure, kind, bad, good, what) in PRESSURES {
        let holds = under.contains(&pressure);
        let message = match (pressure, holds) {
            (Pressure::Disk, true) => "kubelet has disk pressure".to_owned(),
            (Pressure::Disk, false) => "kubelet has no disk pressure".to_owned(),
            (_, true) => format!("kubelet has insufficient {what}"),
            (_, false) => format!("kubelet has sufficient {what}"),
        };
        let reason = if holds { bad } else { good };
        let new =
            set_condition(conditions, Condition::new(kind, holds, reason, &message), view.now);
        changed |= new;
        if new && holds {
            let status: &'static str = bad_event(pressure);
            plan.normal(
                "kubelet",
                node,
                status,
                format!("Node {} status is now: {status}", name(node)),
            );
        }
    }
    let was_ready = condition_is_true(node, "Ready");
    let ready = Condition::new("Ready", true, "KubeletReady", "kubelet is posting ready status");
    changed |= set_condition(conditions, ready, view.now);
    if !was_ready {
        plan.normal(
            "kubelet",
            node,
            "NodeReady",
            format!("Node {} status is now: NodeReady", name(node)),
        );
    }
    let last = condition(node, "Ready").and_then(|ready| time(ready, "/lastHeartbeatTime"));
    // the status itself is posted every five minutes; in between the lease is the heartbeat
    if changed || last.is_none_or(|last| last + seconds(300) <= view.now) {
        for one in conditions {
            one["lastHeartbeatTime"] = stamp(view.now).into();
        }
    } else {
        // set_condition drops what it does not know where it rewrites, so nothing is lost here
        for (one, old) in conditions.iter_mut().zip(items(node, "/status/conditions")) {
            if let Some(heard) = old.get("lastHeartbeatTime") {
                one["lastHeartbeatTime"] = heard.clone();
            }
        }
    }
}

fn bad_event(pressure: Pressure) -> &'static str {
    match pressure {
        Pressure::Memory => "NodeHasInsufficientMemory",
        Pressure::Disk => "NodeHasDiskPressure",
        Pressure::Pid => "NodeHasInsufficientPID",
    }
}

fn pressures(view: &View<'_>, node: &Value) -> Vec<Pressure> {
    let all = view.faults.all();
    let subject = subject(node);
    all.iter()
        .filter_map(|one| match one.fault.effect {
            Effect::NodePressure { of } if one.fault.select.matches(&subject, None) => Some(of),
            _ => None,
        })
        .collect()
}

/// The node controller gives a silent node up: its state is unknown and its pods are not ready.
fn lose(view: &View<'_>, node: &Object, conditions: &mut Vec<Value>, plan: &mut Plan) {
    let message = "Kubelet stopped posting node status.";
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"] {
        let said = Condition { kind, status: "Unknown", reason: "NodeStatusUnknown", message };
        set_condition(conditions, said, view.now);
    }
    if condition_is_true(node, "Ready") {
        let message = format!("Node {} status is now: NodeNotReady", name(node));
        plan.normal(FROM, node, "NodeNotReady", message);
    }
    for pod in view.pods_on(name(node)).iter().filter(|pod| condition_is_true(pod, "Ready")) {
        let mut after = (**pod).clone();
        let mut all = items(pod, "/status/conditions").to_vec();
        set_condition(&mut all, Condition::new("Ready", false, "NodeNotReady", ""), view.now);
        after["status"]["conditions"] = all.into();
        plan.replace(&Key::new("pods", namespace(pod), name(pod)), pod, after);
        plan.warning(FROM, pod, "NodeNotReady", "Node is not ready".to_owned());
    }
}

/// Renews the node's lease, every ten seconds.
fn heartbeat(view: &View<'_>, node: &Object, plan: &mut Plan) {
    let next = view.next_beat(seconds(HEARTBEAT));
    let Some(lease) = view.get(LEASES, LEASE_SPACE, name(node)) else {
        plan.create(json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name(node),
                "namespace": LEASE_SPACE,
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Node", "name": name(node), "uid": uid(node),
                }],
            },
            "spec": {
                "holderIdentity": name(node),
                "leaseDurationSeconds": GRACE,
                "renewTime": micro_stamp(view.now),
            },
        }));
        plan.wake_at(next);
        return;
    };
    let renewed = time(&lease, "/spec/renewTime").unwrap_or(Timestamp::MIN);
    if renewed + seconds(HEARTBEAT) > view.now {
        plan.wake_at(renewed + seconds(HEARTBEAT));
        return;
    }
    let mut after = (*lease).clone();
    after["spec"]["renewTime"] = micro_stamp(view.now).into();
    plan.replace(&Key::new(LEASES, LEASE_SPACE, name(node)), &lease, after);
    plan.wake_at(next);
}

/// Keeps the taints that the node controller owns in step with conditions and cordoning.
fn taint(view: &View<'_>, node: &mut Value, lost: bool) {
    const OURS: [&str; 6] = [
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/memory-pressure",
        "node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/pid-pressure",
        "node.kubernetes.io/unschedulable",
    ];
    let mut wanted: Vec<(&str, &str)> = vec![];
    if lost {
        wanted.extend([(OURS[0], "NoSchedule"), (OURS[0], "NoExecute")]);
    }
    for (at, kind) in [(2, "MemoryPressure"), (3, "DiskPressure"), (4, "PIDPressure")] {
        if condition_is_true(node, kind) {
            wanted.push((OURS[at], "NoSchedule"));
        }
    }
    if node["spec"]["unschedulable"] == true {
        wanted.push((OURS[5], "NoSchedule"));
    }
    let old = items(node, "/spec/taints");
    let mut taints: Vec<Value> =
        old.iter().filter(|taint| !OURS.contains(&text(taint, "/key"))).cloned().collect();
    for (key, effect) in wanted {
        let held = old.iter().find(|taint| taint["key"] == key && taint["effect"] == effect);
        taints.push(held.cloned().unwrap_or_else(
            || json!({ "key": key, "effect": effect, "timeAdded": stamp(view.now) }),
        ));
    }
    if taints != old {
        if taints.is_empty() {
            if let Some(spec) = node["spec"].as_object_mut() {
                spec.shift_remove("taints");
            }
        } else {
            set(node, &["spec", "taints"], taints.into());
        }
    }
}

/// Deletes the pods that do not tolerate a `NoExecute` taint (any longer).
fn evict(view: &View<'_>, node: &Value, plan: &mut Plan) {
    let taints: Vec<&Value> =
        items(node, "/spec/taints").iter().filter(|taint| taint["effect"] == "NoExecute").collect();
    if taints.is_empty() {
        return;
    }
    for pod in view.pods_on(name(node)).iter().filter(|pod| !is_deleting(pod) && !is_finished(pod))
    {
        let due = taints.iter().filter_map(|taint| eviction_time(view, pod, taint)).min();
        match due {
            Some(due) if due <= view.now => {
                let message = format!("Marking for deletion Pod {}/{}", namespace(pod), name(pod));
                plan.normal("taint-eviction-controller", pod, "TaintManagerEviction", message);
                plan.delete("pods", pod);
            }
            Some(due) => plan.wake_at(due),
            None => {}
        }
    }
}

/// When the pod has to leave because of the taint; `None`: never.
fn eviction_time(view: &View<'_>, pod: &Value, taint: &Value) -> Option<Timestamp> {
    let since = time(taint, "/timeAdded").unwrap_or(view.now);
    let accepting: Vec<&Value> =
        items(pod, "/spec/tolerations").iter().filter(|one| tolerates(one, taint)).collect();
    if accepting.is_empty() {
        return Some(since);
    }
    // one toleration without a limit is for ever
    let limits: Option<Vec<i64>> =
        accepting.iter().map(|one| int(one, "/tolerationSeconds")).collect();
    limits.and_then(|limits| limits.into_iter().min()).map(|limit| since + seconds(limit))
}
