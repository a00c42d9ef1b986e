//! What every response and every browser request is held to: security headers, and that the page asking is ours.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, HeaderValue, Method, header};

use super::{Config, error::ApiError};

/// No inline scripts, nothing from elsewhere, no framing. Styles may be inline: the component library sets them at run time.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", CSP),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// Adds the security headers to every response.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // what is not meant to be cached says nothing; the console's files do
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses requests a browser was made to send by another site: a foreign `Host` (DNS rebinding), or, for what is not only
/// read, a missing or foreign `Origin` (CSRF).
///
/// # Errors
/// 403 with what was wrong.
pub(super) fn same_site(
    config: &Config,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !config.serves(host) {
        return Err(ApiError::forbidden(
            "foreign-host",
            format!("'{host}' is not a name of this console"),
            "open the console by its own address, or add the name to server.hosts in the configuration",
        ));
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    let origin = text(header::ORIGIN).unwrap_or_default();
    let ours = origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host));
    if ours {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "foreign-origin",
        "a request with a session cookie must come from the console's own page",
        "scripts: send 'authorization: bearer TOKEN' instead of the cookie",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_hosts_and_origins_are_refused() {
        let config = Config { hosts: vec!["ops.example.org".to_owned()], ..Config::default() };
        let table = [
            ("GET", "127.0.0.1:8080", None, Ok(())),
            ("GET", "localhost:3000", None, Ok(())),
            ("GET", "[::1]:8080", None, Ok(())),
            ("GET", "ops.example.org", None, Ok(())),
            ("GET", "evil.example.org:8080", None, Err("foreign-host")),
            ("GET", "127.0.0.1.evil.example.org", None, Err("foreign-host")),
            ("GET", "", None, Err("foreign-host")),
            ("POST", "localhost:8080", Some("http://localhost:8080"), Ok(())),
            ("POST", "ops.example.org", Some("https://ops.example.org"), Ok(())),
            ("POST", "localhost:8080", Some("http://localhost:9090"), Err("foreign-origin")),
            ("POST", "localhost:8080", Some("https://evil.example.org"), Err("foreign-origin")),
            ("POST", "localhost:8080", Some("null"), Err("foreign-origin")),
            ("POST", "localhost:8080", None, Err("foreign-origin")),
        ];
        for (method, host, origin, wanted) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let got = same_site(&config, &method, &headers).map_err(|error| error.code);
            let got = got.as_ref().copied().map_err(String::as_str);
            assert_eq!(got, wanted, "{method} {host} {origin:?}");
        }
    }
}
