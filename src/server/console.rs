//! The web console's files, embedded from `web/dist`; every path the API does not know is a room of the console.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/web/dist"]
#[allow_missing = true]
struct Files;

/// What is shown where kubemate was built without its console.
const NOT_BUILT: &str = include_str!("console/not_built.html");

/// Serves a file of the console, or its page for paths that are rooms, not files.
pub(super) async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return ApiError::not_found(format!("there is no {}", uri.path()), "see /api/openapi.json")
            .into_response();
    }
    match Files::get(path).filter(|_| path != "index.html" && !path.is_empty()) {
        Some(file) => send(path, &file, &headers),
        // a missing file must not look like a script or a style that is a page
        None if path.rsplit('/').next().is_some_and(|name| name.contains('.')) => {
            ApiError::not_found(format!("there is no /{path}"), "open / for the console")
                .into_response()
        }
        None => Files::get("index.html").map_or_else(
            || (StatusCode::NOT_FOUND, Html(NOT_BUILT)).into_response(),
            |page| send("index.html", &page, &headers),
        ),
    }
}

fn send(path: &str, file: &EmbeddedFile, request: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    // names under assets/ carry a hash of their content
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.contains(&etag));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    if unchanged {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.data.clone()).into_response()
}

/// The kinds of files a build of the console consists of.
fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "json" | "webmanifest" => "application/json",
        _ => "application/octet-stream",
    }
}
