//! How the server is, and what it offers.

use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, header};

use super::{Shared, error::ApiError};

/// Described by hand; `tests/it/server.rs` holds it to [`super::route_names`].
const OPENAPI: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// `GET /healthz`: the process serves.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store answers, so messages are not lost. A model that is down does not make kubemate unready:
/// typed commands work without one.
pub(super) async fn ready(State(state): State<Shared>) -> Result<&'static str, ApiError> {
    if state.cancel.is_cancelled() {
        return Err(ApiError::unavailable("kubemate is shutting down", "ask another replica"));
    }
    match state.chatops.store().threads(None, 1).await {
        Ok(_) => Ok("ok\n"),
        Err(error) => {
            tracing::warn!(%error, "asking the store whether it is ready");
            Err(ApiError::unavailable("the store does not answer", "run 'kubemate doctor'"))
        }
    }
}

/// A path that exists, asked with another method.
pub(super) async fn method_not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        format!("{} does not take {method}", uri.path()),
        "see /api/openapi.json",
    )
}
