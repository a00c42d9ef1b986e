//! How an object is, read from its spec and status (the rules of kstatus, with the cases it is too optimistic about), and
//! from its pods where those tell of a failure earlier.

use serde_json::Value;

use crate::domain::Health;

/// Restarts after which a crashing container is taken for broken and not for waiting on something else.
const RESTARTS: u64 = 3;

/// The health of `object` and the reason, given the pods of its newest revision.
#[must_use]
pub fn assess(object: &Value, pods: &[&Value]) -> (Health, String) {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return progressing("being deleted");
    }
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_u64);
    let generation = number(object, "/metadata/generation");
    let kind = object["kind"].as_str().unwrap_or_default();
    let workload = matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet");
    if observed.is_some_and(|observed| observed < generation) || (workload && observed.is_none()) {
        return progressing("its controller has not seen the change yet");
    }
    let own = match kind {
        "Deployment" => deployment(object),
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => daemon_set(object),
        "Job" => job(object),
        "Pod" => pod(object),
        "PersistentVolumeClaim" => match phase(object) {
            "Bound" => healthy(),
            "Lost" => degraded("the volume is lost"),
            _ => progressing("waiting for a volume"),
        },
        "Service" => service(object),
        "Namespace" if phase(object) == "Terminating" => progressing("being deleted"),
        "CustomResourceDefinition" => match condition(object, "Established") {
            Some(("True", ..)) => healthy(),
            _ => progressing("not established yet"),
        },
        _ => by_conditions(object),
    };
    match (own.0, failing_pod(pods)) {
        (Health::Progressing, Some(why)) => (Health::Degraded, why),
        _ => own,
    }
}

/// Why one of `pods` will not become ready by itself; `None` when all may.
#[must_use]
pub fn failing_pod(pods: &[&Value]) -> Option<String> {
    pods.iter().find_map(|pod| {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
        let statuses = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
        statuses
            .filter_map(failing_container)
            .next()
            .map(|(container, why)| format!("pod {name}, container {container}: {why}"))
    })
}

fn failing_container(status: &Value) -> Option<(&str, String)> {
    let waiting = status.pointer("/state/waiting")?;
    let reason = waiting["reason"].as_str()?;
    let broken = match reason {
        "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "CreateContainerConfigError"
        | "CreateContainerError" => true,
        "CrashLoopBackOff" => number(status, "/restartCount") >= RESTARTS,
        _ => false,
    };
    let name = status["name"].as_str().unwrap_or_default();
    let last = status.pointer("/lastState/terminated").map(|terminated| {
        let why = terminated["reason"].as_str().unwrap_or("Error");
        format!(" (exited with {}, {why})", terminated["exitCode"])
    });
    let message = waiting["message"].as_str().map(|message| format!(": {message}"));
    broken.then(|| {
        (name, format!("{reason}{}{}", message.unwrap_or_default(), last.unwrap_or_default()))
    })
}

fn deployment(object: &Value) -> (Health, String) {
    if let Some((_, "ProgressDeadlineExceeded", message)) = condition(object, "Progressing") {
        return degraded(&format!("the roll-out does not progress: {message}"));
    }
    if let Some(("True", reason, message)) = condition(object, "ReplicaFailure") {
        return degraded(&format!("pods cannot be created: {reason}: {message}"));
    }
    let wanted = wanted(object);
    let [replicas, updated, available] = ["replicas", "updatedReplicas", "availableReplicas"]
        .map(|field| number(object, &format!("/status/{field}")));
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) && updated < wanted {
        return progressing("paused");
    }
    if updated < wanted {
        return progressing(&format!("{updated} of {wanted} pods updated"));
    }
    if replicas > updated {
        return progressing(&format!("{} old pods still there", replicas - updated));
    }
    if available < updated {
        return progressing(&format!("{available} of {updated} pods available"));
    }
    healthy()
}

fn stateful_set(object: &Value) -> (Health, String) {
    let wanted = wanted(object);
    let [ready, updated, replicas] = ["readyReplicas", "updatedReplicas", "replicas"]
        .map(|field| number(object, &format!("/status/{field}")));
    if replicas > wanted {
        return progressing(&format!("{} pods too many", replicas - wanted));
    }
    if ready < wanted {
        return progressing(&format!("{ready} of {wanted} pods ready"));
    }
    if object.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete") {
        return healthy();
    }
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition");
    let to_update = wanted.saturating_sub(partition);
    let revision =
        |field: &str| object.pointer(&format!("/status/{field}")).and_then(Value::as_str);
    if updated < to_update && revision("currentRevision") != revision("updateRevision") {
        return progressing(&format!("{updated} of {to_update} pods updated"));
    }
    healthy()
}

fn daemon_set(object: &Value) -> (Health, String) {
    let [wanted, updated, available] =
        ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"]
            .map(|field| number(object, &format!("/status/{field}")));
    let on_delete =
        object.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete");
    if updated < wanted && !on_delete {
        return progressing(&format!("{updated} of {wanted} pods updated"));
    }
    if available < wanted {
        return progressing(&format!("{available} of {wanted} pods available"));
    }
    healthy()
}

fn job(object: &Value) -> (Health, String) {
    if let Some(("True", reason, message)) = condition(object, "Failed") {
        return degraded(&format!("the job failed: {reason}: {message}"));
    }
    if let Some(("True", ..)) = condition(object, "Complete") {
        return healthy();
    }
    if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return healthy();
    }
    progressing("the job is running")
}

fn pod(object: &Value) -> (Health, String) {
    if let Some(why) = failing_pod(&[object]) {
        return degraded(&why);
    }
    match phase(object) {
        "Succeeded" => healthy(),
        "Failed" => degraded("the pod failed"),
        _ => match condition(object, "Ready") {
            Some(("True", ..)) => healthy(),
            _ => progressing("the pod is not ready"),
        },
    }
}

fn service(object: &Value) -> (Health, String) {
    let balancer = object.pointer("/spec/type").and_then(Value::as_str) == Some("LoadBalancer");
    let addresses = object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    if balancer && addresses.is_none_or(Vec::is_empty) {
        return progressing("waiting for the load balancer's address");
    }
    healthy()
}

/// What most custom resources agree on.
fn by_conditions(object: &Value) -> (Health, String) {
    if let Some(("True", _, message)) = condition(object, "Stalled") {
        return degraded(message);
    }
    for kind in ["Ready", "Available"] {
        match condition(object, kind) {
            Some(("True", ..)) => return healthy(),
            Some((_, reason, message)) => return progressing(&format!("{reason}: {message}")),
            None => {}
        }
    }
    healthy()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    let text = |key: &str| found[key].as_str().unwrap_or_default();
    Some((text("status"), text("reason"), text("message")))
}

fn phase(object: &Value) -> &str {
    object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default()
}

fn wanted(object: &Value) -> u64 {
    object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)
}

fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn healthy() -> (Health, String) {
    (Health::Healthy, String::new())
}

fn progressing(why: &str) -> (Health, String) {
    (Health::Progressing, why.to_owned())
}

fn degraded(why: &str) -> (Health, String) {
    (Health::Degraded, why.to_owned())
}

#[cfg(test)]
mod tests;
