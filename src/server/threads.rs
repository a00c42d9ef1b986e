//! Conversations over HTTP.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Shared,
    auth::Caller,
    changes::without_diffs,
    error::{ApiError, Body},
};
use crate::{
    chatops::ChatError,
    domain::{Change, Message, Thread, ThreadId},
    store::ChangeFilter,
};

/// Threads listed at once.
const LISTED: usize = 200;

/// A thread without the agent's state.
#[derive(Debug, Serialize)]
pub(super) struct ThreadHead {
    id: ThreadId,
    title: String,
    opened_by: String,
    created: Timestamp,
    updated: Timestamp,
}

impl From<Thread> for ThreadHead {
    fn from(thread: Thread) -> Self {
        let Thread { id, title, opened_by, created, updated, state: _ } = thread;
        Self { id, title, opened_by, created, updated }
    }
}

/// `GET /api/v1/threads/{id}`.
#[derive(Debug, Serialize)]
pub(super) struct Conversation {
    thread: ThreadHead,
    messages: Vec<Message>,
    /// The thread's changes as they are now, without their diffs.
    changes: Vec<Change>,
}

/// `POST /api/v1/threads/{id}/messages`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Say {
    text: String,
}

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::Empty => {
                Self::invalid("the message is empty", "write what you want to know or change")
            }
            ChatError::TooLong { bytes, limit } => {
                Self::too_large(format!("the message has {bytes} bytes and the limit is {limit}"))
            }
            ChatError::NoThread(id) => {
                Self::not_found(format!("there is no thread {id} of yours"), "start a new one")
            }
            ChatError::Stopping => {
                Self::unavailable("kubemate is shutting down", "send the message again in a moment")
            }
            ChatError::Store(error) => anyhow::Error::from(error).into(),
        }
    }
}

/// The caller's threads, newest first.
pub(super) async fn list(
    State(state): State<Shared>,
    caller: Caller,
) -> Result<Json<Vec<ThreadHead>>, ApiError> {
    let threads = state.chatops.threads(&caller.actor, LISTED).await?;
    Ok(Json(threads.into_iter().map(ThreadHead::from).collect()))
}

/// Opens a thread.
pub(super) async fn open(
    State(state): State<Shared>,
    caller: Caller,
) -> Result<Response, ApiError> {
    state.limit(&caller)?;
    let thread = state.chatops.open(&caller.actor).await?;
    Ok((StatusCode::CREATED, Json(ThreadHead::from(thread))).into_response())
}

/// One thread with all that was said.
pub(super) async fn one(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<ThreadId>,
) -> Result<Json<Conversation>, ApiError> {
    let thread = state.chatops.thread(&caller.actor, &id).await?;
    let store = state.chatops.store();
    let messages = store.messages(&id, 0).await.map_err(ChatError::from)?;
    let filter = ChangeFilter { thread: Some(id), ..ChangeFilter::default() };
    let changes = store.changes(&filter).await.map_err(ChatError::from)?;
    let changes = changes.into_iter().map(without_diffs).collect();
    Ok(Json(Conversation { thread: thread.into(), messages, changes }))
}

/// Takes a message; what follows comes through the thread's events.
pub(super) async fn say(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<ThreadId>,
    Body(say): Body<Say>,
) -> Result<Response, ApiError> {
    state.limit(&caller)?;
    let (message, _) = state.chatops.say(&caller.actor, Some(id), &say.text).await?;
    Ok((StatusCode::ACCEPTED, Json(message)).into_response())
}
