//! Changes over HTTP: reading them, and deciding about them.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};

use super::{
    Shared,
    auth::Caller,
    error::{ApiError, Body},
};
use crate::{
    delivery::DeliveryError,
    domain::{Change, ChangeId, ChangeState, Plan, PlanHash},
    store::ChangeFilter,
};

/// Changes listed at once.
const LISTED: usize = 200;

/// `POST /api/v1/changes/{id}/approve` and `reject`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// The plan that was looked at; needed to approve.
    plan_hash: Option<PlanHash>,
    #[serde(default)]
    comment: Option<String>,
}

/// `GET /api/v1/changes/{id}`: the record, and what the caller may do about it.
#[derive(Debug, Serialize)]
pub(super) struct Detail {
    #[serde(flatten)]
    change: Change,
    /// Why the caller could not approve it; `null` when they can, and when it is not open for review.
    cannot_approve: Option<Reason>,
}

/// What the console says beside a button that does not work.
#[derive(Debug, Serialize)]
struct Reason {
    /// Machine-readable.
    code: String,
    /// In the language of the request.
    reason: String,
}

impl From<DeliveryError> for ApiError {
    fn from(error: DeliveryError) -> Self {
        let text = error.to_string();
        match error {
            DeliveryError::NotFound(id) => Self::not_found(
                format!("there is no change {id}"),
                "list them with 'kubemate changes' or GET /api/v1/changes",
            ),
            DeliveryError::NotPermitted(refusal) => {
                Self { code: refusal.code, ..Self::forbidden("not-permitted", text, "") }
            }
            DeliveryError::Invalid(_) => Self::invalid(text, ""),
            DeliveryError::Stale(_) => Self::conflict("stale", text, ""),
            DeliveryError::Conflict(_) => Self::conflict("conflict", text, ""),
            DeliveryError::Unavailable(_) => Self::unavailable(text, "try again in a moment"),
            DeliveryError::Store(error) => anyhow::Error::from(error).into(),
            DeliveryError::Other(error) => error.into(),
        }
    }
}

/// The record as lists and events carry it.
pub(super) fn without_diffs(mut change: Change) -> Change {
    change.plan = change.plan.map(|plan| Plan { files: Vec::new(), objects: Vec::new(), ..plan });
    change
}

/// One change.
///
/// # Errors
/// 404 when there is none.
pub(super) async fn find(state: &Shared, id: &ChangeId) -> Result<Change, ApiError> {
    let found = state.chatops.store().change(id).await.map_err(anyhow::Error::from)?;
    found.ok_or_else(|| {
        ApiError::not_found(
            format!("there is no change {id}"),
            "list them with 'kubemate changes' or GET /api/v1/changes",
        )
    })
}

/// All changes, newest first, without their diffs.
pub(super) async fn list(
    State(state): State<Shared>,
    _: Caller,
) -> Result<Json<Vec<Change>>, ApiError> {
    let filter = ChangeFilter { limit: LISTED, ..ChangeFilter::default() };
    let changes = state.chatops.store().changes(&filter).await.map_err(anyhow::Error::from)?;
    Ok(Json(changes.into_iter().map(without_diffs).collect()))
}

/// One change with its diffs.
pub(super) async fn one(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<ChangeId>,
) -> Result<Json<Detail>, ApiError> {
    let change = find(&state, &id).await?;
    let mut cannot_approve = None;
    if change.state == ChangeState::Proposed {
        let refusal = state.chatops.delivery().cannot_approve(&caller.actor, &change).await?;
        cannot_approve =
            refusal.map(|refusal| Reason { code: refusal.code, reason: refusal.reason });
    }
    Ok(Json(Detail { change, cannot_approve }))
}

/// Approves the plan the caller looked at.
pub(super) async fn approve(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<ChangeId>,
    Body(decision): Body<Decision>,
) -> Result<Json<Change>, ApiError> {
    state.limit(&caller)?;
    let plan = decision.plan_hash.ok_or_else(|| {
        ApiError::invalid(
            "an approval is bound to a plan, and no plan_hash was sent",
            format!("read it from /api/v1/changes/{id}"),
        )
    })?;
    let comment = said(decision.comment);
    let change = state.chatops.delivery().approve(&caller.actor, &id, Some(&plan), comment).await?;
    Ok(Json(change))
}

/// Turns the change down.
pub(super) async fn reject(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<ChangeId>,
    Body(decision): Body<Decision>,
) -> Result<Json<Change>, ApiError> {
    state.limit(&caller)?;
    let comment = said(decision.comment);
    Ok(Json(state.chatops.delivery().reject(&caller.actor, &id, comment).await?))
}

fn said(comment: Option<String>) -> Option<String> {
    comment.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
