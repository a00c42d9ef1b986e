//! Event streams (server-sent events, WHATWG HTML section 9.2) of a thread and of a change.
//!
//! An event's id is the number of the last stored message (or the version of the change record) the client has then
//! seen. A client that comes back with `last-event-id` (or `?after=`) gets what was stored since, from the store, and
//! then what happens, beginning with what has been written of the answer under way; nothing is buffered for it. A client too slow for what happens is let go, and comes back.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::{Path, Query, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue};
use prometheus_client::metrics::gauge::Gauge;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::{Shared, auth::Caller, changes::without_diffs, error::ApiError};
use crate::{
    chatops::ChatError,
    delivery::ChangeEvent,
    domain::{Change, ChangeId, Message, ThreadId, TurnEvent},
    store::ChangeFilter,
};

/// Proxies close connections that say nothing for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to start, and what to send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Like `last-event-id`, for the first connection.
    after: Option<u64>,
    /// Also send the thread's changes whenever they move on.
    #[serde(default)]
    changes: bool,
}

/// What is sent besides the events of turns.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Other<'a> {
    /// A change as it is now, without its diffs.
    Change { change: &'a Change },
}

/// Held as long as a stream is open.
struct Open {
    _permit: OwnedSemaphorePermit,
    gauge: Gauge,
}

impl Open {
    fn new(state: &Shared) -> Result<Self, ApiError> {
        let permit = std::sync::Arc::clone(&state.streams).try_acquire_owned().map_err(|_| {
            ApiError::unavailable(
                "too many event streams are open",
                "close other pages of the console",
            )
        })?;
        let gauge = state.metrics.streams.clone();
        gauge.inc();
        Ok(Self { _permit: permit, gauge })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// Live events of one thread.
struct ThreadEvents {
    thread: ThreadId,
    /// Sent first.
    waiting: VecDeque<Event>,
    turns: broadcast::Receiver<TurnEvent>,
    changes: Option<broadcast::Receiver<ChangeEvent>>,
    /// The last stored message the client has.
    seen: u64,
    _open: Open,
}

/// `GET /api/v1/threads/{id}/events`.
pub(super) async fn thread(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<ThreadId>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    state.chatops.thread(&caller.actor, &id).await?;
    let open = Open::new(&state)?;
    // subscribed before the store is read: what comes in between is there twice, and skipped by its id
    let (written, turns) = state.chatops.subscribe(&id);
    let changes = wanted.changes.then(|| state.chatops.delivery().subscribe());
    let store = state.chatops.store();
    let mut waiting = VecDeque::new();
    if changes.is_some() {
        let filter = ChangeFilter { thread: Some(id.clone()), ..ChangeFilter::default() };
        for change in store.changes(&filter).await.map_err(ChatError::from)? {
            waiting.push_back(change_event(&without_diffs(change), false));
        }
    }
    if !written.is_empty() {
        waiting.push_back(event(&TurnEvent::Delta { text: written }));
    }
    let mut seen = u64::MAX;
    if let Some(after) = last_event_id(&headers).or(wanted.after) {
        seen = after;
        for message in store.messages(&id, after).await.map_err(ChatError::from)? {
            seen = message.id;
            waiting.push_back(event(&TurnEvent::Message { message }));
        }
    }
    // without a position only what is new is sent, and nothing was seen twice
    let seen = if seen == u64::MAX { 0 } else { seen };
    let live = ThreadEvents { thread: id, waiting, turns, changes, seen, _open: open };
    Ok(respond(
        &state,
        stream::unfold(live, |mut live| async move {
            let event = live.next().await?;
            Some((event, live))
        }),
    ))
}

impl ThreadEvents {
    /// The next event; `None` ends the stream, when the client fell behind or kubemate stops.
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.waiting.pop_front() {
            return Some(event);
        }
        loop {
            tokio::select! {
                turn = self.turns.recv() => {
                    let turn = turn.ok()?;
                    if let Some(id) = stored(&turn).map(|message| message.id) {
                        if id <= self.seen {
                            continue;
                        }
                        self.seen = id;
                    }
                    return Some(event(&turn));
                }
                change = next_change(self.changes.as_mut()) => {
                    if let ChangeEvent::Stored(change) = change?
                        && change.thread == self.thread
                    {
                        return Some(change_event(&without_diffs(*change), false));
                    }
                }
            }
        }
    }
}

/// Never ready where changes are not wanted.
async fn next_change(
    changes: Option<&mut broadcast::Receiver<ChangeEvent>>,
) -> Option<ChangeEvent> {
    match changes {
        Some(changes) => changes.recv().await.ok(),
        None => std::future::pending().await,
    }
}

/// `GET /api/v1/changes/{id}/events`: the record, without diffs, each time it is stored, and progress in between.
pub(super) async fn change(
    State(state): State<Shared>,
    _: Caller,
    Path(id): Path<ChangeId>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let open = Open::new(&state)?;
    let events = state.chatops.delivery().subscribe();
    let now = super::changes::find(&state, &id).await?;
    let after = last_event_id(&headers).or(wanted.after).unwrap_or(0);
    let seen = now.version.max(after);
    let first = (now.version > after).then(|| change_event(&without_diffs(now), true));
    let live =
        stream::unfold((events, id, seen, open), |(mut events, id, mut seen, open)| async move {
            loop {
                let next = match events.recv().await.ok()? {
                    ChangeEvent::Stored(change) if change.id == id && change.version > seen => {
                        seen = change.version;
                        change_event(&without_diffs(*change), true)
                    }
                    ChangeEvent::Progress { change, text, .. } if change == id => {
                        event(&TurnEvent::Progress { phase: "reconcile".to_owned(), text })
                    }
                    _ => continue,
                };
                return Some((next, (events, id, seen, open)));
            }
        });
    Ok(respond(&state, stream::iter(first).chain(live)))
}

fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

fn stored(event: &TurnEvent) -> Option<&Message> {
    match event {
        TurnEvent::Accepted { message } | TurnEvent::Message { message } => Some(message),
        TurnEvent::Progress { .. }
        | TurnEvent::Delta { .. }
        | TurnEvent::Explained { .. }
        | TurnEvent::Done => None,
    }
}

fn event(turn: &TurnEvent) -> Event {
    let event = json(turn);
    match stored(turn) {
        Some(message) => event.id(message.id.to_string()),
        None => event,
    }
}

/// In a change's own stream its version is the id; in a thread's the messages have the ids.
fn change_event(change: &Change, own: bool) -> Event {
    let event = json(&Other::Change { change });
    if own { event.id(change.version.to_string()) } else { event }
}

fn json(data: &impl Serialize) -> Event {
    Event::default().json_data(data).expect("our own types have string keys, so they are JSON")
}

fn respond(state: &Shared, events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = events.take_until(state.cancel.clone().cancelled_owned());
    let events = events.map(Ok::<_, Infallible>);
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // nginx would hold events back
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
