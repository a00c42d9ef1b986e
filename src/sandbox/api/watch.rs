//! Watches over HTTP: one JSON event per line, until the client leaves, the time is over, or history is gone.

use std::{collections::VecDeque, time::Duration};

use axum::body::{Body, Bytes};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ApiError, ApiState,
    dispatch::Call,
    read,
    request::{Form, Query},
    respond::{self, Reply},
    selector::Selector,
    table, versions,
};
use crate::sandbox::storage::{EventKind, Watch, WatchEvent};

/// How long a watch lasts that names no `timeoutSeconds`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How often an idle watch tells its revision.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// Events written at once.
const BATCH: usize = 128;

/// Starts a watch.
pub(super) fn watch(call: &Call<'_>, form: Form) -> Result<Reply, ApiError> {
    let start = Start::of(&call.info.query)?;
    let storage = call.state.storage();
    let key = call.resource.storage_key();
    let mut stream = Stream::of(call, form)?;
    let mut lines = VecDeque::new();
    let from = match start {
        Start::From(revision) => revision,
        Start::Now => storage.revision(),
        Start::Existing { mark_end } => {
            let (objects, revision) = storage.list(&key, call.namespace());
            for object in &objects {
                if stream.selector.matches(object) {
                    lines.push_back(stream.line("ADDED", object));
                }
            }
            if mark_end && stream.bookmarks {
                lines.push_back(stream.bookmark(revision, true));
            }
            revision
        }
    };
    let watch = match storage.watch(&key, from) {
        Ok(watch) => watch,
        Err(error) if error.code == 410 => {
            // a watch from a forgotten revision is answered inside the stream
            let line = event_line("ERROR", &error.to_status());
            return Ok(respond::text(200, "application/json", Body::from(line)));
        }
        Err(error) => return Err(error),
    };
    Ok(respond::text(200, "application/json", Body::from_stream(chunks(stream, watch, lines))))
}

/// The lines as they come, several at once when several wait.
fn chunks(
    stream: Stream,
    watch: Watch,
    lines: VecDeque<String>,
) -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let first = (stream, watch, lines, false);
    futures::stream::unfold(first, |(mut stream, mut watch, mut lines, done)| async move {
        if done {
            return None;
        }
        let done = lines.is_empty() && stream.wait(&mut watch, &mut lines).await;
        let chunk: String = lines.drain(..).collect();
        Some((Ok(Bytes::from(chunk)), (stream, watch, lines, done)))
    })
}

/// Where a watch starts.
enum Start {
    /// With what is there now, as ADDED events.
    Existing { mark_end: bool },
    /// After this revision.
    From(u64),
    /// Without what is there now.
    Now,
}

impl Start {
    fn of(query: &Query) -> Result<Self, ApiError> {
        let revision = match query.get("resourceVersion") {
            Some(text) => text.parse::<u64>().map_err(|_| read::invalid_revision(text))?,
            None => 0,
        };
        match query.get("sendInitialEvents") {
            Some("true" | "1") => {
                if query.get("resourceVersionMatch") != Some("NotOlderThan") {
                    let why = "sendInitialEvents: Forbidden: resourceVersionMatch: Required value: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                    return Err(ApiError::new(
                        422,
                        "Invalid",
                        format!("ListOptions.meta.k8s.io \"\" is invalid: {why}"),
                    ));
                }
                Ok(Self::Existing { mark_end: true })
            }
            Some(_) if revision == 0 => Ok(Self::Now),
            None if revision == 0 => Ok(Self::Existing { mark_end: false }),
            Some(_) | None => Ok(Self::From(revision)),
        }
    }
}

struct Stream {
    state: ApiState,
    path: (String, String, String),
    query: Query,
    namespace: Option<String>,
    selector: Selector,
    form: Form,
    /// Whether a table's column definitions were sent already.
    headed: bool,
    stop: CancellationToken,
    ends: Instant,
    bookmarks: bool,
    next_bookmark: Instant,
}

impl Stream {
    fn of(call: &Call<'_>, form: Form) -> Result<Self, ApiError> {
        let (query, resource) = (&call.info.query, call.resource);
        let selector = match call.target.name.as_deref() {
            // the old way to watch one object
            Some(name) => {
                Selector::parse(None, Some(&format!("metadata.name={name}")), &resource.plural)?
            }
            None => read::selector(call)?,
        };
        let seconds = query.number("timeoutSeconds")?.and_then(|s| u64::try_from(s).ok());
        let timeout = seconds.filter(|s| *s > 0).map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        Ok(Self {
            state: call.state.clone(),
            path: (resource.group.clone(), resource.version.clone(), resource.plural.clone()),
            query: query.clone(),
            namespace: call.target.namespace.clone(),
            selector,
            form,
            headed: false,
            stop: call.state.inner.stopping.clone(),
            ends: Instant::now() + timeout,
            bookmarks: query.is_true("allowWatchBookmarks"),
            next_bookmark: Instant::now() + BOOKMARKS,
        })
    }

    /// Waits for lines to send; true when they are the last ones.
    async fn wait(&mut self, watch: &mut Watch, lines: &mut VecDeque<String>) -> bool {
        loop {
            tokio::select! {
                event = watch.next() => {
                    if let Some(last) = self.take(event, watch, lines) {
                        return last;
                    }
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARKS;
                    lines.push_back(self.bookmark(watch.seen(), false));
                    return false;
                }
                () = tokio::time::sleep_until(self.ends) => {
                    if self.bookmarks {
                        lines.push_back(self.bookmark(watch.seen(), false));
                    }
                    return true;
                }
                () = self.stop.cancelled() => return true,
            }
        }
    }

    /// Turns an event, and those that wait behind it, into lines; `None` when there is nothing to send.
    fn take(
        &mut self,
        first: Result<WatchEvent, ApiError>,
        watch: &mut Watch,
        lines: &mut VecDeque<String>,
    ) -> Option<bool> {
        let mut next = first.map(Some);
        loop {
            match next {
                Ok(Some(event)) => lines.extend(self.event(&event)),
                Ok(None) => break,
                Err(error) => {
                    lines.push_back(event_line("ERROR", &error.to_status()));
                    return Some(true);
                }
            }
            if lines.len() >= BATCH {
                break;
            }
            next = watch.try_next();
        }
        (!lines.is_empty()).then_some(false)
    }

    /// The line of an event, unless the client does not watch its object. An object that leaves the selection is DELETED to it.
    fn event(&mut self, event: &WatchEvent) -> Option<String> {
        if self.namespace.is_some()
            && event.object["metadata"]["namespace"].as_str() != self.namespace.as_deref()
        {
            return None;
        }
        let is = self.selector.matches(&event.object);
        let was = event.previous.as_ref().is_some_and(|object| self.selector.matches(object));
        match (event.kind, was, is) {
            (EventKind::Added, _, true) | (EventKind::Modified, false, true) => {
                Some(self.line("ADDED", &event.object))
            }
            (EventKind::Modified, true, true) => Some(self.line("MODIFIED", &event.object)),
            (EventKind::Deleted, _, true) => Some(self.line("DELETED", &event.object)),
            (EventKind::Modified | EventKind::Deleted, true, false) => {
                let mut object = event.previous.as_ref().map(|o| (**o).clone())?;
                object["metadata"]["resourceVersion"] = event.revision.to_string().into();
                Some(self.line("DELETED", &object))
            }
            _ => None,
        }
    }

    fn line(&mut self, kind: &str, stored: &Value) -> String {
        let kinds = self.state.kinds();
        let (group, version, plural) = &self.path;
        let Some(resource) = kinds.find(group, version, plural) else {
            return event_line(kind, stored);
        };
        let object = versions::present(resource, stored);
        match self.form {
            Form::Object => event_line(kind, &object),
            Form::Metadata => event_line(kind, &read::metadata_only(&object)),
            Form::Table => {
                let now = self.state.storage().clock().now();
                let mut made =
                    table::table(resource, &self.query, std::iter::once(object.as_ref()), now);
                if std::mem::replace(&mut self.headed, true) {
                    made["columnDefinitions"] = Value::Null;
                }
                event_line(kind, &made)
            }
        }
    }

    fn bookmark(&self, revision: u64, end_of_initial: bool) -> String {
        let kinds = self.state.kinds();
        let (group, version, plural) = &self.path;
        let mut metadata =
            json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if end_of_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (kind, api_version) = match (self.form, kinds.find(group, version, plural)) {
            (Form::Object, Some(resource)) => (resource.kind.clone(), resource.api_version()),
            (Form::Table, _) => ("Table".into(), "meta.k8s.io/v1".into()),
            _ => ("PartialObjectMetadata".into(), "meta.k8s.io/v1".into()),
        };
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        let object = if self.form == Form::Table {
            json!({"kind": kind, "apiVersion": api_version, "metadata": {"resourceVersion": revision.to_string()},
                "columnDefinitions": null, "rows": [{"cells": [], "object": object}]})
        } else {
            object
        };
        event_line("BOOKMARK", &object)
    }
}

fn event_line(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}
