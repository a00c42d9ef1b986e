//! Logging in and out, and what the console needs to know first.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Shared,
    auth::{COOKIE, Caller},
    error::{ApiError, Body},
    guard,
};
use crate::domain::{Actor, Lang};

/// A model that does not say how it is within this time is not ready.
const MODEL_PATIENCE: Duration = Duration::from_secs(2);

/// `POST /api/v1/login`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    token: String,
}

/// `GET /api/v1/session`.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    actor: Actor,
    model: Option<ModelState>,
    version: &'static str,
    /// The language the operator prefers; `null` leaves it to the browser.
    language: Option<Lang>,
}

#[derive(Debug, Serialize)]
struct ModelState {
    id: String,
    ready: bool,
    /// Why it is not ready and what to do.
    detail: Option<String>,
}

/// Exchanges a token for a cookie.
pub(super) async fn login(
    State(state): State<Shared>,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Result<Response, ApiError> {
    guard::same_site(&state.config, &Method::POST, &headers)?;
    let caller = state.operators.by_token(login.token.trim()).ok_or_else(|| {
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "wrong-token",
            "the token is not one of an operator",
            "'kubemate up' prints the tokens at its first start and keeps them in tokens.json of its data folder",
        )
    })?;
    let (value, seconds) = state
        .operators
        .cookie(&caller.actor.name, Timestamp::now())
        .ok_or_else(|| ApiError::unauthorized("the operator is not known any more"))?;
    let cookie = set_cookie(&state, &value, seconds);
    Ok(([(header::SET_COOKIE, cookie)], Json(caller.actor)).into_response())
}

/// Removes the cookie.
pub(super) async fn logout(State(state): State<Shared>, _: Caller) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie(&state, "", 0))]).into_response()
}

fn set_cookie(state: &Shared, value: &str, seconds: u64) -> String {
    let secure = if state.config.tls_in_front { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Who the caller is, and how kubemate is.
pub(super) async fn session(State(state): State<Shared>, caller: Caller) -> Json<Session> {
    let model = match &state.model {
        None => None,
        Some(model) => {
            let detail = match tokio::time::timeout(MODEL_PATIENCE, model.health()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the model does not answer in time".to_owned()),
            };
            Some(ModelState { id: model.id(), ready: detail.is_none(), detail })
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    Json(Session { actor: caller.actor, model, version, language: caller.lang })
}
