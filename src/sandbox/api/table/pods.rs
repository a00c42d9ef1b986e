//! The columns of pods; `Status` sums up containers as kubectl's users expect (`CrashLoopBackOff`, `Init:0/1`, ...).

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Columns,
    cells::{age, since},
};

pub(super) const COLUMNS: Columns = Columns {
    resource: "pods",
    names: &[
        "Ready",
        "Status",
        "Restarts",
        "Age",
        "+IP",
        "+Node",
        "+Nominated Node",
        "+Readiness Gates",
    ],
    cells: pod,
};

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let none = |text: &str| Value::from(if text.is_empty() { "<none>" } else { text });
    let statuses = list(pod, "/status/containerStatuses");
    let ready = statuses.iter().filter(|s| s["ready"] == true).count();
    let restarts: i64 = statuses.iter().filter_map(|s| s["restartCount"].as_i64()).sum();
    let last = statuses
        .iter()
        .map(|s| text(s, "/lastState/terminated/finishedAt"))
        .filter(|at| !at.is_empty())
        .max();
    let restarts = match last {
        Some(at) if restarts > 0 => format!("{restarts} ({} ago)", since(at, now)),
        _ => restarts.to_string(),
    };
    vec![
        format!("{ready}/{}", list(pod, "/spec/containers").len()).into(),
        status(pod).into(),
        restarts.into(),
        age(pod, now),
        none(text(pod, "/status/podIP")),
        none(text(pod, "/spec/nodeName")),
        none(text(pod, "/status/nominatedNodeName")),
        none(""),
    ]
}

/// The one word that says how a pod is.
fn status(pod: &Value) -> String {
    let mut reason = match text(pod, "/status/reason") {
        "" => text(pod, "/status/phase").to_owned(),
        reason => reason.to_owned(),
    };
    let gated = list(pod, "/status/conditions")
        .iter()
        .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated");
    if gated {
        reason = "SchedulingGated".to_owned();
    }
    let initializing = init_reason(pod);
    if let Some(init) = &initializing {
        reason.clone_from(init);
    } else {
        let mut running = false;
        for container in list(pod, "/status/containerStatuses").iter().rev() {
            if let Some(state) = container_reason(container) {
                reason = state;
            } else if container["ready"] == true && container.pointer("/state/running").is_some() {
                running = true;
            }
        }
        if reason == "Completed" && running {
            let ready = list(pod, "/status/conditions")
                .iter()
                .any(|c| c["type"] == "Ready" && c["status"] == "True");
            reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
    if !text(pod, "/metadata/deletionTimestamp").is_empty() {
        return match text(pod, "/status/reason") {
            "NodeLost" => "Unknown".to_owned(),
            _ if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") => reason,
            _ => "Terminating".to_owned(),
        };
    }
    reason
}

/// Why a container waits or ended; `None` when it runs.
fn container_reason(container: &Value) -> Option<String> {
    let waiting = text(container, "/state/waiting/reason");
    if !waiting.is_empty() {
        return Some(waiting.to_owned());
    }
    container.pointer("/state/terminated").map(terminated_reason)
}

fn terminated_reason(state: &Value) -> String {
    match (text(state, "/reason"), state["signal"].as_i64()) {
        ("", Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        ("", _) => format!("ExitCode:{}", state["exitCode"].as_i64().unwrap_or(0)),
        (reason, _) => reason.to_owned(),
    }
}

/// `Init:1/2`, `Init:CrashLoopBackOff`; `None` when init containers are done.
fn init_reason(pod: &Value) -> Option<String> {
    let total = list(pod, "/spec/initContainers").len();
    for (i, container) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        let restartable = pod
            .pointer(&format!("/spec/initContainers/{i}/restartPolicy"))
            .is_some_and(|p| p == "Always");
        if container.pointer("/state/terminated/exitCode") == Some(&Value::from(0))
            || (restartable && container["started"] == true)
        {
            continue;
        }
        if let Some(state) = container.pointer("/state/terminated") {
            return Some(format!("Init:{}", terminated_reason(state)));
        }
        return Some(match text(container, "/state/waiting/reason") {
            "" | "PodInitializing" => format!("Init:{i}/{total}"),
            reason => format!("Init:{reason}"),
        });
    }
    None
}
