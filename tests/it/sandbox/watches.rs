//! Watching: resuming, bookmarks, selectors, history that is gone.

use serde_json::json;

use super::{CONFIG_MAPS, PODS, Server, config_map, pod};

#[tokio::test]
async fn a_watch_resumes_where_it_was() {
    let server = Server::start().await;
    let made = server.post(CONFIG_MAPS, config_map("one", json!({}))).await.ok();
    server.post(CONFIG_MAPS, config_map("two", json!({}))).await.ok();
    let from = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut events = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}")).await;
    assert_eq!(events.brief().await, ("ADDED".into(), "two".into()));
    server.patch("merge", &format!("{CONFIG_MAPS}/one"), json!({"data": {"k": "1"}})).await.ok();
    assert_eq!(events.brief().await, ("MODIFIED".into(), "one".into()));
    server.delete(&format!("{CONFIG_MAPS}/two")).await.ok();
    assert_eq!(events.brief().await, ("DELETED".into(), "two".into()));
}

#[tokio::test]
async fn a_watch_without_revision_starts_with_what_is_there() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, config_map("one", json!({}))).await.ok();
    let path = format!("{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Done");
    let mut events = server.watch(&path).await;
    assert_eq!(events.brief().await, ("ADDED".into(), "one".into()));
    let query =
        "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut events = server.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(events.brief().await.0, "ADDED");
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let annotations = &bookmark["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn forgotten_history_is_gone() {
    let server = Server::start().await;
    server.post(CONFIG_MAPS, config_map("one", json!({}))).await.ok();
    let mut open = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=1")).await;
    assert_eq!(open.brief().await.0, "ADDED");
    server.storage.compact();
    let mut events = server.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=1")).await;
    let error = events.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(error["object"]["reason"], "Expired");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn objects_enter_and_leave_a_selection() {
    let server = Server::start().await;
    let mut events = server.watch(&format!("{PODS}?watch=1&labelSelector=app%3Dweb")).await;
    server.post(PODS, pod("p", json!({"app": "db"}))).await.ok();
    let label = |value: &str| json!({"metadata": {"labels": {"app": value}}});
    server.patch("merge", &format!("{PODS}/p"), label("web")).await.ok();
    assert_eq!(events.brief().await, ("ADDED".into(), "p".into()));
    server.patch("merge", &format!("{PODS}/p"), label("db")).await.ok();
    assert_eq!(events.brief().await, ("DELETED".into(), "p".into()));
}

#[tokio::test]
async fn a_watch_ends_after_its_time_with_a_bookmark() {
    let server = Server::start().await;
    let made = server.post(CONFIG_MAPS, config_map("one", json!({}))).await.ok();
    let from = made["metadata"]["resourceVersion"].as_str().unwrap();
    server.post(PODS, pod("p", json!({}))).await.ok();
    let query = format!("watch=1&resourceVersion={from}&timeoutSeconds=1&allowWatchBookmarks=true");
    let mut events = server.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let told = bookmark["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    assert_eq!(told, server.storage.revision().to_string());
    assert!(events.next().await.is_none());
}
