//! `pods/log`.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream::BoxStream};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    ApiError, ApiState,
    dispatch::Call,
    read,
    respond::{self, Reply},
};

/// One line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// What, without the line break.
    pub text: String,
}

/// Where the lines of containers come from.
pub trait PodLogs: Send + Sync {
    /// What a container of `pod` wrote so far, oldest first; `previous` asks for the run before the last restart.
    ///
    /// # Errors
    /// `BadRequest` when the container has not started or has no previous run.
    fn lines(&self, pod: &Value, container: &str, previous: bool)
    -> Result<Vec<LogLine>, ApiError>;

    /// What the container writes from now on; ends when the container does.
    fn follow(&self, pod: &Value, container: &str) -> BoxStream<'static, LogLine>;
}

/// Without a source containers have written nothing.
pub(super) struct Silent;

impl PodLogs for Silent {
    fn lines(&self, _: &Value, _: &str, _: bool) -> Result<Vec<LogLine>, ApiError> {
        Ok(Vec::new())
    }
    fn follow(&self, _: &Value, _: &str) -> BoxStream<'static, LogLine> {
        futures::stream::empty().boxed()
    }
}

/// Answers `GET pods/NAME/log`.
pub(super) fn log(call: &Call<'_>) -> Result<Reply, ApiError> {
    let pod = read::stored(call)?;
    let query = &call.info.query;
    let container = container(&pod, query.get("container"))?;
    let source: &Arc<dyn PodLogs> = &call.state.inner.logs;
    let previous = query.is_true("previous");
    // the stream is made first, so that no line falls between it and what was written so far
    let follow = query.is_true("follow").then(|| source.follow(&pod, &container));
    let mut lines = source.lines(&pod, &container, previous)?;
    if let Some(since) = since(call)? {
        lines.retain(|line| line.at >= since);
    }
    let tail = query.number("tailLines")?.map(|n| usize::try_from(n).unwrap_or(0));
    if let Some(tail) = tail {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let stamped = query.is_true("timestamps");
    let mut text: String = lines.iter().map(|line| shown(line, stamped)).collect();
    if let Some(limit) = query.number("limitBytes")?.and_then(|n| usize::try_from(n).ok()) {
        let mut end = limit.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    let Some(follow) = follow else {
        return Ok(respond::text(200, "text/plain", text));
    };
    let stopping = call.state.inner.stopping.clone();
    let written = futures::stream::iter((!text.is_empty()).then(|| Bytes::from(text)));
    let more = follow.map(move |line| Bytes::from(shown(&line, stamped)));
    let all = written.chain(more).take_until(stopping.cancelled_owned());
    Ok(respond::text(
        200,
        "text/plain",
        Body::from_stream(all.map(Ok::<_, std::convert::Infallible>)),
    ))
}

fn shown(line: &LogLine, stamped: bool) -> String {
    if stamped {
        return format!("{} {}\n", line.at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ"), line.text);
    }
    format!("{}\n", line.text)
}

/// `sinceSeconds` or `sinceTime`.
fn since(call: &Call<'_>) -> Result<Option<Timestamp>, ApiError> {
    let query = &call.info.query;
    if let Some(seconds) = query.number("sinceSeconds")? {
        let now = call.state.storage().clock().now();
        let ago = SignedDuration::from_secs(seconds);
        return Ok(Some(now.checked_sub(ago).unwrap_or(Timestamp::MIN)));
    }
    let Some(text) = query.get("sinceTime") else { return Ok(None) };
    let wrong = |error| ApiError::bad_request(format!("sinceTime: {error}"));
    text.parse().map(Some).map_err(wrong)
}

/// The container that is asked for: by name, by annotation, or the only one.
fn container(pod: &Value, wanted: Option<&str>) -> Result<String, ApiError> {
    let names = |list: &str| -> Vec<String> {
        let list = pod.pointer(list).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|c| c["name"].as_str()).map(str::to_owned).collect()
    };
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let (own, init) = (names("/spec/containers"), names("/spec/initContainers"));
    let ephemeral = names("/spec/ephemeralContainers");
    let default = pod
        .pointer("/metadata/annotations/kubectl.kubernetes.io~1default-container")
        .and_then(Value::as_str);
    match wanted.or(default) {
        Some(name) if own.iter().chain(&init).chain(&ephemeral).any(|n| n == name) => {
            Ok(name.to_owned())
        }
        Some(name) => {
            Err(ApiError::bad_request(format!("container {name} is not valid for pod {pod_name}")))
        }
        None if own.len() == 1 => Ok(own[0].clone()),
        None => {
            let choices = own.join(" ");
            let mut message = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{choices}]"
            );
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(ApiError::bad_request(message))
        }
    }
}

impl ApiState {
    /// Takes the lines of containers from `logs`.
    #[must_use]
    pub fn with_logs(self, logs: Arc<dyn PodLogs>) -> Self {
        self.configured(|inner| inner.logs = logs)
    }
}
