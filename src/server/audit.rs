//! The audit log over HTTP: administrators and approvers see all of it, others what they did themselves.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;

use super::{Shared, auth::Caller, error::ApiError};
use crate::{
    domain::{ChangeId, Role},
    store::{AuditEntry, AuditFilter},
};

/// Entries sent at most.
const LISTED: usize = 500;

/// `GET /api/v1/audit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    change: Option<ChangeId>,
    limit: Option<usize>,
}

/// Newest first.
pub(super) async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<AuditEntry>>, ApiError> {
    let limit = wanted.limit.unwrap_or(LISTED).clamp(1, LISTED);
    let filter = AuditFilter { change: wanted.change, limit };
    let mut entries = state.chatops.store().audit(&filter).await.map_err(anyhow::Error::from)?;
    if !caller.actor.has(Role::Approver) {
        entries.retain(|entry| entry.actor == caller.actor.name);
    }
    Ok(Json(entries))
}
