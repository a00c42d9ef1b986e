//! Who is let in, from where, how often and with how much.

use kubemate::server::{Config, route_names};
use reqwest::{Method, header};
use serde_json::{Value, json};

use super::harness::{ALICE, BOB, Server};

/// Open to everybody: they say nothing about the cluster.
const OPEN: [&str; 5] = ["/api/v1/login", "/api/openapi.json", "/healthz", "/readyz", "/metrics"];

#[tokio::test]
async fn every_route_but_the_open_ones_wants_a_credential() {
    let server = Server::usual().await;
    for (method, path) in route_names() {
        let url = path.replace("{id}", "x");
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        for credential in [None, Some("wrong-token-wrong-token")] {
            let mut request = server.request(method.clone(), &url).json(&json!({}));
            if let Some(token) = credential {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.unwrap();
            if OPEN.contains(&path) {
                assert_ne!(response.status(), 401, "{method} {path}");
                continue;
            }
            assert_eq!(response.status(), 401, "{method} {path} with {credential:?}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["code"], "unauthorized");
            assert!(problem["hint"].as_str().unwrap().contains("log in"), "{problem}");
        }
    }
}

#[tokio::test]
async fn a_login_sets_a_cookie_that_only_our_page_can_use() {
    let server = Server::usual().await;
    let wrong = server
        .request(Method::POST, "/api/v1/login")
        .header(header::ORIGIN, &server.url)
        .json(&json!({"token": "wrong-token-wrong-token"}))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 401);
    let login = server
        .request(Method::POST, "/api/v1/login")
        .header(header::ORIGIN, &server.url)
        .json(&json!({"token": ALICE}))
        .send()
        .await
        .unwrap();
    assert_eq!(login.status(), 200);
    let set = login.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();

    let with =
        |method: Method, path: &str| server.request(method, path).header(header::COOKIE, &cookie);
    let session: Value =
        with(Method::GET, "/api/v1/session").send().await.unwrap().json().await.unwrap();
    assert_eq!(session["actor"]["name"], "alice");
    assert_eq!(session["actor"]["channel"], "web");

    let table = [
        (Some(server.url.as_str()), 201),
        (Some("https://evil.example.org"), 403),
        (Some("null"), 403),
        (None, 403),
    ];
    for (origin, status) in table {
        let mut request = with(Method::POST, "/api/v1/threads").json(&json!({}));
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "from {origin:?}");
    }
    let rebound =
        with(Method::GET, "/api/v1/session").header(header::HOST, "evil.example.org").send().await;
    assert_eq!(rebound.unwrap().status(), 403);

    let logout = with(Method::POST, "/api/v1/logout").header(header::ORIGIN, &server.url);
    let logout = logout.send().await.unwrap();
    assert_eq!(logout.status(), 204);
    assert!(logout.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn what_is_too_long_or_malformed_is_refused_and_not_stored() {
    let server = Server::usual().await;
    let thread = server.thread(ALICE).await;
    let path = format!("/api/v1/threads/{thread}/messages");
    let table = [
        (json!({"text": "x".repeat(1024 * 1024)}), 413, "too-large"),
        (json!({"text": "x".repeat(20 * 1024)}), 413, "too-large"),
        (json!({"text": "  "}), 400, "invalid"),
        (json!({"words": "hello"}), 400, "invalid"),
        (json!({"text": "hello", "as": "bob"}), 400, "invalid"),
        (json!([]), 400, "invalid"),
    ];
    for (body, status, code) in table {
        let response = server.post(&path, ALICE, &body).await;
        assert_eq!(response.status(), status, "{:.60}", body.to_string());
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["error"].as_str().is_some_and(|said| !said.is_empty()), "{problem}");
    }
    let plain = server.request(Method::POST, &path).bearer_auth(ALICE).body("hello").send().await;
    assert_eq!(plain.unwrap().status(), 415);
    let id = kubemate::domain::ThreadId(thread);
    assert!(server.store.messages(&id, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_operator_in_a_hurry_is_slowed_down_alone() {
    let server = Server::start(Config { requests_per_minute: 3, ..Config::default() }).await;
    for _ in 0..3 {
        server.thread(ALICE).await;
    }
    let refused = server.post("/api/v1/threads", ALICE, &json!({})).await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(server.get("/api/v1/threads", ALICE).await.status(), 200, "reading is not limited");
    server.thread(BOB).await;
}

#[tokio::test]
async fn threads_are_their_owners() {
    let server = Server::usual().await;
    let thread = server.thread(ALICE).await;
    for path in ["", "/events"] {
        let path = format!("/api/v1/threads/{thread}{path}");
        assert_eq!(server.get(&path, BOB).await.status(), 404, "{path}");
    }
    let said = server
        .post(&format!("/api/v1/threads/{thread}/messages"), BOB, &json!({"text": "hello"}))
        .await;
    assert_eq!(said.status(), 404);
    let listed: Vec<Value> = server.get("/api/v1/threads", BOB).await.json().await.unwrap();
    assert!(listed.is_empty());
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let server = Server::start(Config { max_streams: 1, ..Config::default() }).await;
    let thread = server.thread(ALICE).await;
    let path = format!("/api/v1/threads/{thread}/events");
    let first = server.get(&path, ALICE).await;
    assert_eq!(first.status(), 200);
    assert_eq!(server.get(&path, ALICE).await.status(), 503);
}
