//! HTTP answers: objects, lists, failures, warnings.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::Value;

use super::ApiError;

/// An answer of the API server.
pub(super) type Reply = Response<Body>;

/// A JSON answer.
pub(super) fn json(status: u16, value: &Value) -> Reply {
    text(status, "application/json", value.to_string())
}

/// An answer of any text.
pub(super) fn text(status: u16, content_type: &'static str, body: impl Into<Body>) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    reply
}

/// Adds `Warning` headers, which kubectl prints.
pub(super) fn with_warnings(mut reply: Reply, warnings: &[String]) -> Reply {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            reply.headers_mut().append(header::WARNING, value);
        }
    }
    reply
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Reply {
        json(self.code, &self.to_status())
    }
}
