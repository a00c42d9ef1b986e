//! What simulated programs write: a start, requests, trouble as faults have it, and the scenario's own lines.
//!
//! Lines are a function of the pod, its container's run and the time, so they are the same whenever they are asked for.

use std::{collections::VecDeque, sync::Arc};

use futures::{StreamExt as _, stream, stream::BoxStream};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    kubelet::{container_facts, subject},
    object::{hash64, items, name, namespace, seconds, text, time, uid},
};
use crate::sandbox::{
    api::{LogLine, PodLogs},
    api_error::ApiError,
    fault::{Effect, Faults},
    scenario::LogSpec,
    storage::Storage,
};

/// A program answers a request every so many seconds.
const EVERY: i64 = 5;
/// As many of a run's seconds as are kept, from its end back.
const KEPT: i64 = 3600;

/// The lines of one cluster's containers.
#[derive(Clone)]
pub(crate) struct Journal {
    storage: Storage,
    faults: Faults,
    injected: Arc<[LogSpec]>,
}

/// One run of a container, from its start to its end or to now.
struct Run {
    start: Timestamp,
    end: Timestamp,
    /// How it ended, if it did.
    exit: Option<(i64, String)>,
}

impl Journal {
    pub(crate) fn new(storage: Storage, faults: Faults, injected: Vec<LogSpec>) -> Self {
        Self { storage, faults, injected: injected.into() }
    }

    /// The run whose lines are asked for.
    fn run(&self, pod: &Value, container: &str, previous: bool) -> Result<Run, ApiError> {
        let statuses = items(pod, "/status/containerStatuses").iter();
        let mut all = statuses.chain(items(pod, "/status/initContainerStatuses"));
        let status = all.find(|one| one["name"] == container);
        let state = status.map(|status| &status["state"]);
        let ended = |state: &Value| {
            let ended = state.get("terminated")?;
            let exit = (ended["exitCode"].as_i64().unwrap_or(0), text(ended, "/reason").to_owned());
            Some(Run {
                start: time(ended, "/startedAt")?,
                end: time(ended, "/finishedAt")?,
                exit: Some(exit),
            })
        };
        let last = status.and_then(|status| ended(&status["lastState"]));
        if previous {
            let why = format!(
                "previous terminated container \"{container}\" in pod \"{}\" not found",
                name(pod)
            );
            return last.ok_or_else(|| ApiError::bad_request(why));
        }
        let now = self.storage.clock().now();
        let running = state.and_then(|state| time(state, "/running/startedAt"));
        if let Some(start) = running {
            return Ok(Run { start, end: now, exit: None });
        }
        // between two runs the last one is what there is to read
        state.and_then(ended).or(last).ok_or_else(|| {
            let reason = state.map_or("", |state| text(state, "/waiting/reason"));
            let waits = match reason {
                "ErrImagePull" | "ImagePullBackOff" => "trying and failing to pull image",
                "" => "ContainerCreating",
                reason => reason,
            };
            let pod = name(pod);
            ApiError::bad_request(format!(
                "container \"{container}\" in pod \"{pod}\" is waiting to start: {waits}"
            ))
        })
    }

    /// The run's lines in (after, until].
    fn written(
        &self,
        pod: &Value,
        container: &str,
        run: &Run,
        (after, until): (Timestamp, Timestamp),
    ) -> Vec<LogLine> {
        let specs = items(pod, "/spec/containers").iter().chain(items(pod, "/spec/initContainers"));
        let Some(spec) = specs.into_iter().find(|spec| spec["name"] == container) else {
            return vec![];
        };
        let all = self.faults.all();
        let subject = subject(&self.storage, pod);
        let facts = container_facts(&self.storage, pod, spec);
        let effects: Vec<(&Effect, Timestamp)> = all
            .iter()
            .filter(|one| one.fault.select.matches(&subject, Some(&facts)))
            .map(|one| (&one.fault.effect, one.since))
            .collect();
        let mut lines = start_lines(spec, run.start);
        let from = run.start.max(run.end - seconds(KEPT)).max(after);
        let last = run.end.min(until);
        let mut at = beat(from, EVERY);
        while at <= last {
            lines.push(LogLine {
                at,
                text: trouble(&effects, at).unwrap_or_else(|| request(uid(pod), at)),
            });
            at += seconds(EVERY);
        }
        for spec in self.injected.iter().filter(|one| one.select.matches(&subject, Some(&facts))) {
            let every = i64::from(spec.every_seconds.max(1));
            // the first one comes with the start, so that short runs have it too
            let first =
                spec.lines.first().map(|text| LogLine { at: run.start, text: text.clone() });
            lines.extend(first);
            let mut at = beat(from, every);
            while at <= last {
                let turn = usize::try_from(at.as_second() / every).unwrap_or(0);
                lines.extend(
                    spec.lines
                        .get(turn % spec.lines.len().max(1))
                        .map(|text| LogLine { at, text: text.clone() }),
                );
                at += seconds(every);
            }
        }
        lines.extend(last_words(&effects, run));
        lines.retain(|line| line.at > after && line.at <= until);
        lines.sort_by_key(|line| line.at);
        lines
    }
}

/// The first multiple of `every` seconds after `from`.
fn beat(from: Timestamp, every: i64) -> Timestamp {
    let second = from.as_second().div_euclid(every) * every + every;
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

fn start_lines(spec: &Value, at: Timestamp) -> Vec<LogLine> {
    let image = text(spec, "/image");
    let version = image
        .rsplit('/')
        .next()
        .and_then(|last| last.split_once(':'))
        .map_or("latest", |(_, tag)| tag);
    let mut lines =
        vec![format!("level=info msg=\"starting\" app={} version={version}", text(spec, "/name"))];
    if let Some(port) = items(spec, "/ports").first() {
        lines.push(format!("level=info msg=\"listening\" addr=:{}", port["containerPort"]));
    }
    lines.into_iter().map(|text| LogLine { at, text }).collect()
}

/// An answered request, as the program and the time have it.
fn request(seed: &str, at: Timestamp) -> String {
    const PATHS: [&str; 6] =
        ["/", "/api/v1/items", "/api/v1/items/42", "/api/v1/status", "/healthz", "/metrics"];
    let hash = hash64(&[seed, &at.as_second().to_string()]);
    let path = PATHS[usize::try_from(hash % 6).unwrap_or(0)];
    let method =
        if (hash / 6).is_multiple_of(5) && path.starts_with("/api") { "POST" } else { "GET" };
    let took = 2 + hash / 30 % 40;
    format!("level=info msg=\"request\" method={method} path={path} status=200 duration_ms={took}")
}

/// What the program complains about while a fault lasts.
fn trouble(effects: &[(&Effect, Timestamp)], at: Timestamp) -> Option<String> {
    let effect = effects.iter().filter(|(_, since)| *since <= at).map(|(effect, _)| *effect);
    effect.into_iter().find_map(|effect| match effect {
        Effect::FailReadiness { status } => {
            Some(format!("level=error msg=\"not ready: a dependency does not answer\" path=/readyz status={status}"))
        }
        Effect::FailLiveness { status } => {
            Some(format!("level=error msg=\"health check failed: event loop is blocked\" path=/healthz status={status}"))
        }
        Effect::OutOfMemory { .. } if at.as_second() % 15 == 0 => {
            Some("level=warn msg=\"garbage collection takes long, heap is growing\"".to_owned())
        }
        _ => None,
    })
}

/// What a run ends with. A killed program writes nothing more.
fn last_words(effects: &[(&Effect, Timestamp)], run: &Run) -> Vec<LogLine> {
    let Some((code, reason)) = &run.exit else { return vec![] };
    let lines = match (code, reason.as_str()) {
        (0, _) => vec!["level=info msg=\"done\"".to_owned()],
        (_, "OOMKilled") => vec![],
        (code, _) => {
            let own = effects.iter().find_map(|(effect, _)| match effect {
                Effect::CrashLoop { log, .. } if !log.is_empty() => Some(log.clone()),
                _ => None,
            });
            own.unwrap_or_else(|| {
                vec![format!("level=fatal msg=\"unrecoverable error, exiting\" code={code}")]
            })
        }
    };
    lines.into_iter().map(|text| LogLine { at: run.end, text }).collect()
}

impl PodLogs for Journal {
    fn lines(
        &self,
        pod: &Value,
        container: &str,
        previous: bool,
    ) -> Result<Vec<LogLine>, ApiError> {
        let run = self.run(pod, container, previous)?;
        Ok(self.written(pod, container, &run, (Timestamp::MIN, run.end)))
    }

    fn follow(&self, pod: &Value, container: &str) -> BoxStream<'static, LogLine> {
        let reader = Reader {
            journal: self.clone(),
            pod: (namespace(pod).to_owned(), name(pod).to_owned(), uid(pod).to_owned()),
            container: container.to_owned(),
            read: self.storage.clock().now(),
            pending: VecDeque::new(),
        };
        stream::unfold(reader, |mut reader| async {
            let line = reader.next().await?;
            Some((line, reader))
        })
        .boxed()
    }
}

/// Somebody who reads along.
struct Reader {
    journal: Journal,
    pod: (String, String, String),
    container: String,
    /// Up to when everything was read.
    read: Timestamp,
    pending: VecDeque<LogLine>,
}

impl Reader {
    /// The next line; `None` once the container has ended.
    async fn next(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                return Some(line);
            }
            let clock = self.journal.storage.clock().clone();
            clock.sleep_until(self.read + seconds(1)).await;
            let (space, name, uid_then) = &self.pod;
            let pod = self.journal.storage.get("pods", Some(space), name)?;
            let run = self.journal.run(&pod, &self.container, false).ok()?;
            let until = run.end.min(clock.now());
            let over = uid(&pod) != uid_then || run.exit.is_some();
            let lines = self.journal.written(&pod, &self.container, &run, (self.read, until));
            self.pending.extend(lines);
            self.read = clock.now();
            if over {
                return self.pending.pop_front();
            }
        }
    }
}
