//! What the server says about itself: the API's description, headers, health, metrics, and the console's files.

use std::collections::BTreeSet;

use kubemate::server::route_names;
use reqwest::{Method, header};
use serde_json::Value;

use super::harness::{ALICE, Server};

#[tokio::test]
async fn every_route_is_described_and_every_described_route_exists() {
    let server = Server::usual().await;
    let document: Value = server
        .request(Method::GET, "/api/openapi.json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
        })
        .collect();
    let routes: BTreeSet<(String, String)> = route_names()
        .into_iter()
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    assert_eq!(described, routes);
    let mut missing = BTreeSet::new();
    references(&document, &document, &mut missing);
    assert!(missing.is_empty(), "references to nothing: {missing:?}");
}

fn references(document: &Value, at: &Value, missing: &mut BTreeSet<String>) {
    match at {
        Value::Object(fields) => {
            if let Some(to) = fields.get("$ref").and_then(Value::as_str) {
                let pointer = to.strip_prefix('#').unwrap_or_default();
                if document.pointer(pointer).is_none() {
                    missing.insert(to.to_owned());
                }
            }
            fields.values().for_each(|value| references(document, value, missing));
        }
        Value::Array(items) => items.iter().for_each(|item| references(document, item, missing)),
        _ => {}
    }
}

#[tokio::test]
async fn every_response_carries_the_security_headers() {
    let server = Server::usual().await;
    for path in ["/", "/api/v1/session", "/api/openapi.json", "/healthz", "/nowhere.js"] {
        let response = server.request(Method::GET, path).send().await.unwrap();
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}");
        assert!(policy.contains("script-src 'self';"), "{path}: inline scripts must not run");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert!(headers.contains_key(header::CACHE_CONTROL), "{path}");
    }
}

#[tokio::test]
async fn health_and_metrics_are_open_and_count() {
    let mut server = Server::usual().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.request(Method::GET, path).send().await.unwrap().status(), 200, "{path}");
    }
    server.get("/api/v1/threads/t-secret", ALICE).await;
    let metrics = server.request(Method::GET, "/metrics").send().await.unwrap();
    let kind = metrics.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = metrics.text().await.unwrap();
    let counted =
        r#"http_requests_total{method="GET",route="/api/v1/threads/{id}",status="404"} 1"#;
    assert!(text.contains(counted), "{text}");
    assert!(!text.contains("t-secret"), "ids must not become label values");
    assert!(text.ends_with("# EOF\n"));
    server.stop.cancel();
    server.serving.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn unknown_paths_are_told_apart() {
    let server = Server::usual().await;
    let get = async |path: &str| server.request(Method::GET, path).send().await.unwrap();
    let unknown = get("/api/v1/nothing").await;
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(get("/assets/missing.js").await.status(), 404);
    let wrong = server.request(Method::DELETE, "/api/v1/threads").bearer_auth(ALICE).send().await;
    assert_eq!(wrong.unwrap().status(), 405);
    // a room of the console is its page, or says how to build it
    let room = get("/changes/c-1").await;
    let kind = room.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(room.text().await.unwrap().contains("kubemate"));
}
