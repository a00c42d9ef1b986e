//! The simulated kubelet: pods on a node start, run, fail and stop as their spec and the faults have it.

mod container;
mod fate;

use serde_json::{Value, json};

use self::container::{Given, Restart};
use super::{
    object::{
        Condition, Key, Object, hash64, int, is_deleting, is_finished, items, name, namespace,
        seconds, set_condition, stamp, text, time, uid,
    },
    view::{Note, Plan, View, reference},
};
pub(crate) use fate::{container_facts, subject};

const FROM: &str = "kubelet";

/// Brings one pod that is bound to a node a step further.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(pod) = view.at(key).filter(|pod| !text(pod, "/spec/nodeName").is_empty()) else {
        return plan;
    };
    let node_name = text(&pod, "/spec/nodeName");
    let Some(node) = view.get("nodes", "", node_name) else { return plan };
    if super::node::is_silent(view, &node) {
        return plan;
    }
    if is_deleting(&pod) {
        terminate(view, &pod, &mut plan);
        return plan;
    }
    if is_finished(&pod) {
        return plan;
    }
    run(view, key, &pod, &node, &mut plan);
    plan
}

/// A pod that is being deleted stops within its grace period, unless a fault holds it.
fn terminate(view: &View<'_>, pod: &Object, plan: &mut Plan) {
    if fate::is_stuck(view, pod) {
        for status in items(pod, "/status/containerStatuses") {
            let message = format!(
                "error killing pod: failed to \"KillContainer\" for \"{}\" with KillContainerError: \"rpc error: code = DeadlineExceeded desc = context deadline exceeded\"",
                text(status, "/name")
            );
            say(plan, pod, "", (true, "FailedKillPod", message));
        }
        plan.wake_at(view.now + seconds(30));
        return;
    }
    let grace = int(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
    let deadline = time(pod, "/metadata/deletionTimestamp").unwrap_or(view.now);
    let stopping = view.settings.stop.min(seconds(grace));
    let due = deadline - seconds(grace) + stopping;
    if view.now < due {
        plan.wake_at(due);
        return;
    }
    for status in items(pod, "/status/containerStatuses") {
        if status.pointer("/state/running").is_some() {
            let container = text(status, "/name");
            let message = format!("Stopping container {container}");
            say(plan, pod, container, (false, "Killing", message));
        }
    }
    plan.delete_now("pods", pod);
}

/// Starts and watches the pod's containers and writes its status.
fn run(view: &View<'_>, key: &Key, pod: &Object, node: &Value, plan: &mut Plan) {
    let begin = time(pod, "/status/startTime").unwrap_or(view.now);
    if let Some(why) = fate::mount_failure(view, pod) {
        say(plan, pod, "", (true, "FailedMount", why));
        plan.wake_at(view.now + seconds(10));
    }
    let mounted = fate::mount_failure(view, pod).is_none();
    let mut status = pod["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let address = match text(pod, "/status/podIP") {
        "" => free_address(view, pod, node),
        held => held.to_owned(),
    };
    status["startTime"] = stamp(begin).into();
    let host = items(node, "/status/addresses").iter().find(|a| a["type"] == "InternalIP");
    if let Some(host) = host.and_then(|host| host["address"].as_str()) {
        status["hostIP"] = host.into();
        status["hostIPs"] = json!([{ "ip": host }]);
    }
    let mut lives = Lives { view, pod, address: &address, plan, mounted };
    let (init, initialized) = lives.init_containers(begin);
    let containers = lives.containers(begin, initialized);
    if !init.is_empty() {
        status["initContainerStatuses"] = init.into();
    }
    let begun = |one: &Value| one["state"].get("waiting").is_none() || one["restartCount"] != 0;
    if containers.iter().any(begun) || status["initContainerStatuses"].is_array() {
        status["podIP"] = address.as_str().into();
        status["podIPs"] = json!([{ "ip": address }]);
    }
    status["phase"] = phase(&containers, restart_policy(pod)).into();
    status["conditions"] = conditions(view, pod, &containers, initialized.is_some()).into();
    status["containerStatuses"] = containers.into();
    status["qosClass"] = super::template::qos_class(pod).into();
    let mut after = (**pod).clone();
    after["status"] = status;
    plan.replace(key, pod, after);
}

/// The containers of one pod on their way.
struct Lives<'a, 'v> {
    view: &'a View<'v>,
    pod: &'a Object,
    address: &'a str,
    plan: &'a mut Plan,
    mounted: bool,
}

impl Lives<'_, '_> {
    /// Runs init containers one after the other; returns their statuses and since when all are done.
    fn init_containers(&mut self, begin: jiff::Timestamp) -> (Vec<Value>, Option<jiff::Timestamp>) {
        let mut done = Some(begin);
        let mut statuses = vec![];
        for spec in items(self.pod, "/spec/initContainers") {
            let last = status_of(self.pod, "initContainerStatuses", text(spec, "/name"));
            let Some(from) = done else {
                statuses.push(last.cloned().unwrap_or_else(|| waiting_for_init(spec)));
                continue;
            };
            let sidecar = text(spec, "/restartPolicy") == "Always";
            let mut fate = fate::of(self.view, self.pod, spec);
            if fate.end.is_none() && !sidecar {
                fate.end = Some(fate::completion(self.view.settings.start / 2, from));
            }
            let restart = match (sidecar, restart_policy(self.pod)) {
                (true, _) => Restart::Always,
                (false, Restart::Never) => Restart::Never,
                (false, _) => Restart::OnFailure,
            };
            let status = self.step(spec, last, (from, fate), restart);
            let ended = &status["state"]["terminated"];
            done = if sidecar {
                (status["started"] == true).then_some(from)
            } else if ended["exitCode"] == 0 {
                time(ended, "/finishedAt").map(|at| at.max(from))
            } else {
                None
            };
            statuses.push(status);
        }
        (statuses, done)
    }

    fn containers(
        &mut self,
        begin: jiff::Timestamp,
        initialized: Option<jiff::Timestamp>,
    ) -> Vec<Value> {
        let restart = restart_policy(self.pod);
        let pod = self.pod;
        let specs = items(pod, "/spec/containers");
        let mut statuses = Vec::with_capacity(specs.len());
        for spec in specs {
            let last = status_of(pod, "containerStatuses", text(spec, "/name"));
            let (Some(from), true) = (initialized, self.mounted) else {
                let waiting =
                    if initialized.is_some() { waiting_for_mount } else { waiting_for_init };
                statuses.push(last.cloned().unwrap_or_else(|| waiting(spec)));
                continue;
            };
            let mut fate = fate::of(self.view, pod, spec);
            if fate.end.is_none() && restart != Restart::Always {
                fate.end = Some(fate::completion(self.view.settings.start * 3, begin));
            }
            statuses.push(self.step(spec, last, (from, fate), restart));
        }
        statuses
    }

    fn step(
        &mut self,
        spec: &Value,
        last: Option<&Value>,
        (begin, fate): (jiff::Timestamp, container::Fate),
        restart: Restart,
    ) -> Value {
        // a container that only waited for its turn is new
        let last = last.filter(|last| text(last, "/state/waiting/reason") != "PodInitializing");
        let pod = self.pod;
        let given = Given {
            spec,
            pod: format!("{}_{}({})", name(pod), namespace(pod), uid(pod)),
            pod_ip: self.address,
            restart,
            begin,
            creation: self.view.settings.start,
            fate,
            now: self.view.now,
        };
        let step = container::step(&given, last);
        for said in step.said {
            say(self.plan, pod, text(spec, "/name"), said);
        }
        if let Some(wake) = step.wake {
            self.plan.wake_at(wake);
        }
        step.status
    }
}

fn status_of<'a>(pod: &'a Value, list: &str, container: &str) -> Option<&'a Value> {
    items(pod, &format!("/status/{list}")).iter().find(|status| status["name"] == container)
}

fn waiting_for_init(spec: &Value) -> Value {
    waiting(spec, "PodInitializing")
}

fn waiting_for_mount(spec: &Value) -> Value {
    waiting(spec, "ContainerCreating")
}

fn waiting(spec: &Value, reason: &str) -> Value {
    json!({
        "name": spec["name"],
        "image": spec["image"],
        "imageID": "",
        "ready": false,
        "restartCount": 0,
        "started": false,
        "state": { "waiting": { "reason": reason } },
        "lastState": {},
    })
}

fn restart_policy(pod: &Value) -> Restart {
    match text(pod, "/spec/restartPolicy") {
        "Never" => Restart::Never,
        "OnFailure" => Restart::OnFailure,
        _ => Restart::Always,
    }
}

/// The pod's phase from its containers.
fn phase(containers: &[Value], restart: Restart) -> &'static str {
    let never_ran = |one: &Value| {
        one["state"].get("waiting").is_some() && one["lastState"].get("terminated").is_none()
    };
    let exit = |one: &Value| one["state"]["terminated"]["exitCode"].as_i64();
    if containers.iter().any(never_ran) {
        return "Pending";
    }
    let codes: Option<Vec<i64>> = containers.iter().map(exit).collect();
    match codes {
        Some(codes) if restart != Restart::Always && codes.iter().all(|code| *code == 0) => {
            "Succeeded"
        }
        Some(_) if restart == Restart::Never => "Failed",
        _ => "Running",
    }
}

/// The pod's conditions, keeping what is no matter of ours.
fn conditions(view: &View<'_>, pod: &Value, containers: &[Value], initialized: bool) -> Vec<Value> {
    let mut all = items(pod, "/status/conditions").to_vec();
    let unready: Vec<&str> = containers
        .iter()
        .filter(|one| one["ready"] != true)
        .map(|one| text(one, "/name"))
        .collect();
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    let done = phase(containers, restart_policy(pod)) == "Succeeded";
    let ready = if unready.is_empty() {
        ("", "")
    } else if done {
        ("PodCompleted", "")
    } else {
        ("ContainersNotReady", message.as_str())
    };
    let init: Vec<&str> =
        items(pod, "/spec/initContainers").iter().map(|c| text(c, "/name")).collect();
    let incomplete = format!("containers with incomplete status: [{}]", init.join(" "));
    let init =
        if initialized { ("", "") } else { ("ContainersNotInitialized", incomplete.as_str()) };
    for (kind, holds, (reason, message)) in [
        ("PodReadyToStartContainers", true, ("", "")),
        ("Initialized", initialized, init),
        ("Ready", unready.is_empty(), ready),
        ("ContainersReady", unready.is_empty(), ready),
        ("PodScheduled", true, ("", "")),
    ] {
        set_condition(&mut all, Condition::new(kind, holds, reason, message), view.now);
    }
    all
}

/// A free address of the node's pod range.
fn free_address(view: &View<'_>, pod: &Value, node: &Value) -> String {
    if pod["spec"]["hostNetwork"] == true {
        let own = items(node, "/status/addresses").iter().find(|a| a["type"] == "InternalIP");
        return own.map_or("", |own| text(own, "/address")).to_owned();
    }
    let range = text(node, "/spec/podCIDR");
    let prefix = range.rsplit_once('.').map_or("10.244.0", |(prefix, _)| prefix);
    let pods = view.pods_on(name(node));
    let held: Vec<&str> = pods.iter().map(|pod| text(pod, "/status/podIP")).collect();
    // starting somewhere else for every pod keeps addresses from being reused at once
    let first = hash64(&[name(pod)]) % 250;
    (0..250)
        .map(|step| format!("{prefix}.{}", 2 + (first + step) % 250))
        .find(|address| !held.contains(&address.as_str()))
        .unwrap_or_else(|| format!("{prefix}.254"))
}

/// Reports something about a container of the pod (or the pod, when `container` is empty) from its node.
fn say(plan: &mut Plan, pod: &Value, container: &str, said: container::Said) {
    let (warning, reason, message) = said;
    let mut about = reference(pod);
    if !container.is_empty() {
        about["fieldPath"] = format!("spec.containers{{{container}}}").into();
    }
    let host = text(pod, "/spec/nodeName").to_owned();
    plan.actions.push(super::view::Action::Event(Note {
        about,
        warning,
        reason,
        message,
        from: FROM,
        host,
    }));
}
