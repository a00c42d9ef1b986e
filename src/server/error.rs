//! What a request gets when it cannot be served: one type, one shape (`application/problem+json`), with the way out.

use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

/// Why a request was not served. `error` says what was wrong, `hint` what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}; {hint}")]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Machine-readable, kebab-case.
    pub code: String,
    /// What was wrong.
    pub error: String,
    /// What to do next.
    pub hint: String,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    code: &'a str,
    error: &'a str,
    hint: &'a str,
}

impl ApiError {
    /// An error of its parts.
    pub fn new(
        status: StatusCode,
        code: &str,
        error: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.to_owned(),
            error: error.into(),
            hint: hint.into(),
            retry_after: None,
        }
    }

    /// No or a wrong credential.
    #[must_use]
    pub fn unauthorized(error: &str) -> Self {
        let hint =
            "log in at /login, or send 'authorization: bearer TOKEN' with an operator's token";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", error, hint)
    }

    /// Known, but not allowed.
    pub fn forbidden(code: &str, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, error, hint)
    }

    /// There is no such thing.
    pub fn not_found(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", error, hint)
    }

    /// The request does not say what it must.
    pub fn invalid(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", error, hint)
    }

    /// The thing is not in the state the request counts on.
    pub fn conflict(code: &str, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, error, hint)
    }

    /// Too much at once.
    pub fn too_large(error: impl Into<String>) -> Self {
        let hint = "shorten it, or put long text into a file in the repository";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", error, hint)
    }

    /// Too many requests; `seconds` until the next one is let through.
    #[must_use]
    pub fn too_many(seconds: u64) -> Self {
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "too many requests from this operator",
            format!("wait {seconds} s and send it again"),
        );
        error.retry_after = Some(seconds);
        error
    }

    /// Something kubemate needs is not there now.
    pub fn unavailable(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error, hint)
    }
}

impl From<anyhow::Error> for ApiError {
    /// The chain of causes goes to the log, not to the caller: it may name hosts and paths.
    fn from(cause: anyhow::Error) -> Self {
        tracing::error!(error = format!("{cause:#}"), "serving a request");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "kubemate failed while serving the request",
            "look at kubemate's log, or run 'kubemate doctor'",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            status: self.status.as_u16(),
            code: &self.code,
            error: &self.error,
            hint: &self.hint,
        };
        let mut response = (self.status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A JSON body, refused in the shape of every other error.
#[derive(Debug)]
pub struct Body<T>(
    /// The decoded body.
    pub T,
);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(refused_body(&rejection)),
        }
    }
}

fn refused_body(rejection: &JsonRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(format!(
            "the request is longer than {} KiB",
            super::BODY_LIMIT / 1024
        )),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "the request's body is not declared as JSON",
            "send 'content-type: application/json'",
        ),
        _ => ApiError::invalid(
            format!("the request's body cannot be read: {}", rejection.body_text()),
            "see /api/openapi.json for what is expected",
        ),
    }
}
