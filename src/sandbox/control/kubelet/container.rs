//! The life of one simulated container: a function from its last status and the time to its next status.
//!
//! Everything it needs to know is in the status, so a restored cluster goes on where it was.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::sandbox::control::{
    image,
    object::{hash64, int, items, seconds, stamp, text, time},
};

/// What is given about a container, besides its status.
#[derive(Debug, Clone)]
pub(super) struct Given<'a> {
    pub(super) spec: &'a Value,
    /// `<pod>_<namespace>(<uid>)`, as the kubelet names pods in messages.
    pub(super) pod: String,
    pub(super) pod_ip: &'a str,
    pub(super) restart: Restart,
    /// When the container may begin to be created, and how long that takes.
    pub(super) begin: Timestamp,
    pub(super) creation: SignedDuration,
    pub(super) fate: Fate,
    pub(super) now: Timestamp,
}

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// What will become of the container, as spec and faults have it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    /// A waiting reason and message that keep it from being created: a missing reference.
    pub(super) blocked: Option<(&'static str, String)>,
    /// Why its image cannot be had.
    pub(super) image: Option<image::Unavailable>,
    /// How it ends by itself, counted from its start.
    pub(super) end: Option<End>,
    /// From start (or the fault's beginning) until probes succeed; `None` when they succeed at once.
    pub(super) slow: Option<SignedDuration>,
    /// Readiness or liveness probes are answered with this status, since when.
    pub(super) unready: Option<i64>,
    pub(super) unlive: Option<(i64, Timestamp)>,
    /// Do not wait for `initialDelaySeconds`.
    pub(super) hasty: bool,
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// After the start, or after `since` where that is later.
    pub(super) after: SignedDuration,
    pub(super) since: Timestamp,
    pub(super) exit_code: i64,
    pub(super) reason: &'static str,
}

/// An event about the container: warning, reason, message.
pub(super) type Said = (bool, &'static str, String);

/// The container's next status, what happened, and when to look again.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) status: Value,
    pub(super) said: Vec<Said>,
    pub(super) wake: Option<Timestamp>,
    /// Nothing was known of the container before.
    new: bool,
}

/// How long a failed container waits before its next start; the first restart is immediate.
pub(super) fn back_off(restarts: i64) -> SignedDuration {
    match restarts {
        ..=0 => SignedDuration::ZERO,
        1..=5 => seconds(10 << (restarts - 1)),
        _ => seconds(300),
    }
}

/// Moves the container through every transition that is due.
pub(super) fn step(given: &Given<'_>, last: Option<&Value>) -> Step {
    let status = last.cloned().unwrap_or_else(|| fresh(given));
    let mut step = Step { status, new: last.is_none(), ..Step::default() };
    // each turn makes one transition; a container cannot make more than a few at one moment
    for _ in 0..8 {
        step.wake = None;
        let state = &step.status["state"];
        let moved = if state.get("running").is_some() {
            running(given, &mut step)
        } else if state.get("terminated").is_some() {
            terminated(given, &mut step)
        } else if text(state, "/waiting/reason") == "CrashLoopBackOff" {
            backing_off(given, &mut step)
        } else {
            creating(given, &mut step)
        };
        if !moved {
            break;
        }
    }
    step
}

/// The status of a container that nothing has been done for.
fn fresh(given: &Given<'_>) -> Value {
    json!({
        "name": given.spec["name"],
        "image": given.spec["image"],
        "imageID": "",
        "ready": false,
        "restartCount": 0,
        "started": false,
        "state": { "waiting": { "reason": "ContainerCreating" } },
        "lastState": {},
    })
}

fn creating(given: &Given<'_>, step: &mut Step) -> bool {
    let image_name = text(given.spec, "/image");
    if let Some((reason, message)) = &given.fate.blocked {
        if text(&step.status, "/state/waiting/reason") != *reason {
            step.said.push((true, "Failed", format!("Error: {message}")));
        }
        wait(step, reason, message);
        step.wake = Some(given.now + seconds(10));
        return false;
    }
    if let Some(unavailable) = &given.fate.image {
        return pull_failing(given, step, unavailable);
    }
    if step.new {
        step.said.push((false, "Pulling", format!("Pulling image \"{image_name}\"")));
    }
    let due = given.begin + given.creation;
    if given.now < due {
        wait(step, "ContainerCreating", "");
        step.wake = Some(due);
        return false;
    }
    let size = 20_000_000 + hash64(&[image_name]) % 180_000_000;
    let took = format!("{}ms", given.creation.as_millis().max(1) * 4 / 5);
    let message = format!(
        "Successfully pulled image \"{image_name}\" in {took} ({took} including waiting). Image size: {size} bytes."
    );
    step.said.push((false, "Pulled", message));
    start(given, step);
    true
}

/// `ErrImagePull` at each attempt, `ImagePullBackOff` in between.
fn pull_failing(given: &Given<'_>, step: &mut Step, why: &image::Unavailable) -> bool {
    let image_name = text(given.spec, "/image");
    let was = text(&step.status, "/state/waiting/reason").to_owned();
    if *why == image::Unavailable::Malformed {
        let message = format!(
            "Failed to apply default image tag \"{image_name}\": couldn't parse image name \"{image_name}\": invalid reference format"
        );
        if was != "InvalidImageName" {
            step.said.push((true, "InspectFailed", message.clone()));
            step.said.push((true, "Failed", "Error: InvalidImageName".to_owned()));
        }
        wait(step, "InvalidImageName", &message);
        return false;
    }
    let full = image::normalized(image_name);
    let failure = format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\": {full}: not found"
    );
    // attempts at 0, 10, 30, 70, 150, 310 s and then every 300 s
    let (mut attempt, mut pause) = (given.begin + given.creation.min(seconds(1)), seconds(10));
    if given.now < attempt {
        if step.new {
            step.said.push((false, "Pulling", format!("Pulling image \"{image_name}\"")));
        }
        step.wake = Some(attempt);
        return false;
    }
    while attempt + pause <= given.now {
        attempt += pause;
        pause = (pause * 2).min(seconds(300));
    }
    let shown = attempt + seconds(2);
    if given.now < shown {
        if was != "ErrImagePull" {
            if was != "ContainerCreating" {
                step.said.push((false, "Pulling", format!("Pulling image \"{image_name}\"")));
            }
            step.said.push((
                true,
                "Failed",
                format!("Failed to pull image \"{image_name}\": {failure}"),
            ));
            step.said.push((true, "Failed", "Error: ErrImagePull".to_owned()));
        }
        wait(step, "ErrImagePull", &failure);
        step.wake = Some(shown);
    } else {
        if was != "ImagePullBackOff" {
            step.said.push((false, "BackOff", format!("Back-off pulling image \"{image_name}\"")));
            step.said.push((true, "Failed", "Error: ImagePullBackOff".to_owned()));
        }
        wait(
            step,
            "ImagePullBackOff",
            &format!("Back-off pulling image \"{image_name}\": ErrImagePull: {failure}"),
        );
        step.wake = Some(attempt + pause);
    }
    false
}

fn running(given: &Given<'_>, step: &mut Step) -> bool {
    let started = time(&step.status, "/state/running/startedAt").unwrap_or(given.now);
    let up = given.fate.slow.map_or(started, |slow| started + slow);
    if let Some(end) = given.fate.end {
        let at = started.max(end.since) + end.after;
        if at <= given.now {
            finish(given, step, end.exit_code, end.reason);
            return true;
        }
        step.look_at(at);
    }
    if let Some((at, probe, detail)) = killed_by_probe(given, started, up) {
        if at <= given.now {
            let container = text(given.spec, "/name");
            step.said.push((true, "Unhealthy", format!("{} probe failed: {detail}", title(probe))));
            let message = format!("Container {container} failed {probe} probe, will be restarted");
            step.said.push((false, "Killing", message));
            finish(given, step, 137, "Error");
            return true;
        }
        step.look_at(at);
    }
    let start_up = passes_at(given, "startupProbe", started, up);
    let has_started = start_up <= given.now;
    let probe = given.spec.get("readinessProbe");
    let ready_at = passes_at(given, "readinessProbe", started, up).max(start_up);
    let fails = probe.is_some() && given.fate.unready.is_some();
    let ready = ready_at <= given.now && !fails;
    let delay = probe_seconds(probe, "initialDelaySeconds", 0);
    if !ready && probe.is_some() && has_started && (fails || started + delay < given.now) {
        let detail = refusal(given, "readinessProbe", given.fate.unready.filter(|_| fails));
        step.said.push((true, "Unhealthy", format!("Readiness probe failed: {detail}")));
        step.look_at(given.now + probe_seconds(probe, "periodSeconds", 10));
    }
    for moment in [start_up, ready_at] {
        if moment > given.now {
            step.look_at(moment);
        }
    }
    step.status["started"] = has_started.into();
    step.status["ready"] = ready.into();
    false
}

impl Step {
    fn look_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// When a probe first succeeds; the container's start when it has no such probe.
fn passes_at(given: &Given<'_>, probe: &str, started: Timestamp, up: Timestamp) -> Timestamp {
    let Some(probe) = given.spec.get(probe).filter(|probe| probe.is_object()) else {
        return started;
    };
    if given.fate.hasty {
        return up;
    }
    let again = int(probe, "/successThreshold").unwrap_or(1).clamp(1, 10) - 1;
    let period = probe_seconds(Some(probe), "periodSeconds", 10);
    let delay = probe_seconds(Some(probe), "initialDelaySeconds", 0);
    up.max(started + delay) + period * i32::try_from(again).unwrap_or(0)
}

/// When, by which probe and why the kubelet kills the container.
fn killed_by_probe(
    given: &Given<'_>,
    started: Timestamp,
    up: Timestamp,
) -> Option<(Timestamp, &'static str, String)> {
    let patience = |probe: &Value, from: Timestamp| {
        let tries = int(probe, "/failureThreshold").unwrap_or(3).clamp(1, 10_000);
        let delay = probe_seconds(Some(probe), "initialDelaySeconds", 0);
        let period = probe_seconds(Some(probe), "periodSeconds", 10);
        from.max(started + delay) + period * i32::try_from(tries).unwrap_or(3)
    };
    let probe = |name: &str| given.spec.get(name).filter(|probe| probe.is_object());
    if let Some(startup) = probe("startupProbe") {
        let at = patience(startup, started);
        if up > at {
            return Some((at, "startup", refusal(given, "startupProbe", None)));
        }
    }
    let liveness = probe("livenessProbe")?;
    if let Some((status, since)) = given.fate.unlive {
        let at = patience(liveness, since.max(started));
        return Some((at, "liveness", refusal(given, "livenessProbe", Some(status))));
    }
    let at = patience(liveness, started);
    (probe("startupProbe").is_none() && up > at)
        .then(|| (at, "liveness", refusal(given, "livenessProbe", None)))
}

/// What the kubelet says about a failed probe: the answered status, or that nobody listens yet.
fn refusal(given: &Given<'_>, probe: &str, status: Option<i64>) -> String {
    let probe = &given.spec[probe];
    if probe.get("exec").is_some() {
        return "command timed out or exited with 1".to_owned();
    }
    let port =
        |at: &str| probe.pointer(at).map_or_else(String::new, |port| port_number(given.spec, port));
    if probe.get("tcpSocket").is_some() {
        let at = format!("{}:{}", given.pod_ip, port("/tcpSocket/port"));
        return format!("dial tcp {at}: connect: connection refused");
    }
    match status {
        Some(status) => format!("HTTP probe failed with statuscode: {status}"),
        None => {
            let at = format!("{}:{}", given.pod_ip, port("/httpGet/port"));
            let path = text(probe, "/httpGet/path");
            format!("Get \"http://{at}{path}\": dial tcp {at}: connect: connection refused")
        }
    }
}

/// A port as a number, looked up by name where it is named.
fn port_number(spec: &Value, port: &Value) -> String {
    if let Some(number) = port.as_i64() {
        return number.to_string();
    }
    let named = items(spec, "/ports").iter().find(|one| one["name"] == *port);
    named.map_or_else(
        || port.as_str().unwrap_or_default().to_owned(),
        |one| one["containerPort"].to_string(),
    )
}

fn probe_seconds(probe: Option<&Value>, field: &str, default: i64) -> SignedDuration {
    let value = probe.and_then(|probe| probe.get(field)).and_then(Value::as_i64);
    seconds(value.unwrap_or(default).clamp(0, 86_400))
}

fn title(probe: &str) -> &'static str {
    if probe == "startup" { "Startup" } else { "Liveness" }
}

/// The process ended: terminated, until it is decided whether it starts again.
fn finish(given: &Given<'_>, step: &mut Step, exit_code: i64, reason: &str) {
    let status = &mut step.status;
    let started = status["state"]["running"]["startedAt"].clone();
    status["state"] = json!({ "terminated": {
        "exitCode": exit_code,
        "reason": reason,
        "startedAt": started,
        "finishedAt": stamp(given.now),
        "containerID": status["containerID"],
    }});
    status["ready"] = false.into();
    status["started"] = false.into();
}

fn terminated(given: &Given<'_>, step: &mut Step) -> bool {
    let state = step.status["state"].clone();
    let exit = int(&state, "/terminated/exitCode").unwrap_or(0);
    let again = match given.restart {
        Restart::Always => true,
        Restart::OnFailure => exit != 0,
        Restart::Never => false,
    };
    if !again {
        return false;
    }
    let finished = time(&state, "/terminated/finishedAt").unwrap_or(given.now);
    let shown = finished + seconds(1);
    if given.now < shown {
        step.wake = Some(shown);
        return false;
    }
    step.status["lastState"] = state;
    let pause = pause(&step.status);
    if pause.is_zero() {
        restart(given, step);
        return true;
    }
    let container = text(given.spec, "/name");
    let message = format!(
        "back-off {} restarting failed container={container} pod={}",
        in_words(pause),
        given.pod
    );
    wait(step, "CrashLoopBackOff", &message);
    let said = format!("Back-off restarting failed container {container} in pod {}", given.pod);
    step.said.push((true, "BackOff", said));
    true
}

/// The back-off before the next start; a container that ran for ten minutes is forgiven.
fn pause(status: &Value) -> SignedDuration {
    let ended = &status["lastState"]["terminated"];
    let ran = time(ended, "/finishedAt")
        .zip(time(ended, "/startedAt"))
        .map_or(SignedDuration::ZERO, |(to, from)| to.duration_since(from));
    if ran >= seconds(600) || ended["exitCode"] == 0 {
        return SignedDuration::ZERO;
    }
    back_off(int(status, "/restartCount").unwrap_or(0))
}

fn backing_off(given: &Given<'_>, step: &mut Step) -> bool {
    let finished = time(&step.status, "/lastState/terminated/finishedAt").unwrap_or(given.now);
    let due = finished + pause(&step.status);
    if given.now < due {
        step.wake = Some(due);
        return false;
    }
    restart(given, step);
    true
}

fn restart(given: &Given<'_>, step: &mut Step) {
    let count = int(&step.status, "/restartCount").unwrap_or(0) + 1;
    step.status["restartCount"] = count.into();
    let message =
        format!("Container image \"{}\" already present on machine", text(given.spec, "/image"));
    step.said.push((false, "Pulled", message));
    start(given, step);
}

fn start(given: &Given<'_>, step: &mut Step) {
    let container = text(given.spec, "/name");
    let image_name = text(given.spec, "/image");
    let id = image::digest(&format!("{}/{container}/{}", given.pod, step.status["restartCount"]));
    step.status["containerID"] = format!("containerd://{id}").into();
    step.status["image"] = image::normalized(image_name).into();
    step.status["imageID"] = image::image_id(image_name).into();
    step.status["state"] = json!({ "running": { "startedAt": stamp(given.now) } });
    step.said.push((false, "Created", format!("Created container: {container}")));
    step.said.push((false, "Started", format!("Started container {container}")));
}

fn wait(step: &mut Step, reason: &str, message: &str) {
    let mut waiting = json!({ "reason": reason });
    if !message.is_empty() {
        waiting["message"] = message.into();
    }
    step.status["state"] = json!({ "waiting": waiting });
    step.status["ready"] = false.into();
    step.status["started"] = false.into();
}

/// `10s`, `1m20s`, `5m0s`: as Go prints durations.
fn in_words(duration: SignedDuration) -> String {
    let all = duration.as_secs();
    if all < 60 { format!("{all}s") } else { format!("{}m{}s", all / 60, all % 60) }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
