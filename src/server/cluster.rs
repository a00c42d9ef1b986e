//! The cluster at a glance.

use axum::{Json, extract::State};

use super::{Shared, auth::Caller, error::ApiError};
use crate::domain::Overview;

/// Namespaces, workloads and nodes, as far as the caller may see them.
pub(super) async fn overview(
    State(state): State<Shared>,
    caller: Caller,
) -> Result<Json<Overview>, ApiError> {
    state.chatops.overview(&caller.actor).await.map(Json).map_err(|error| {
        tracing::warn!(error = format!("{error:#}"), "reading the cluster");
        ApiError::unavailable(
            format!("the cluster cannot be read: {error:#}"),
            "check the cluster with 'kubemate doctor'",
        )
    })
}
