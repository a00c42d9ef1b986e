//! Completion of typed commands.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;

use super::{Shared, auth::Caller, error::ApiError};

/// `GET /api/v1/commands`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    #[serde(default)]
    prefix: String,
}

/// The lines that `prefix` may become.
pub(super) async fn complete(
    State(state): State<Shared>,
    _caller: Caller,
    Query(typed): Query<Typed>,
) -> Result<Json<Vec<String>>, ApiError> {
    Ok(Json(state.chatops.complete(&typed.prefix).await))
}
