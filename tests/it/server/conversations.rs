//! Messages and changes through the API, and streams that lose nothing.

use kubemate::domain::{Change, ChangeId, ChangeState, Lang, Plan, PlanHash, ThreadId};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{ALICE, BOB, Received, Server, events};

fn done(found: &[Received]) -> bool {
    found.iter().any(|event| event.data["event"] == "done")
}

fn messages(found: &[Received]) -> Vec<u64> {
    found.iter().filter_map(|event| event.data["message"]["id"].as_u64()).collect()
}

#[tokio::test]
async fn a_message_is_taken_answered_and_kept() {
    let server = Server::usual().await;
    let thread = server.thread(ALICE).await;
    let stream = server.get(&format!("/api/v1/threads/{thread}/events"), ALICE).await;
    let path = format!("/api/v1/threads/{thread}/messages");
    let said = server.post(&path, ALICE, &json!({"text": "how is the cluster?"})).await;
    assert_eq!(said.status(), 202);
    let said: Value = said.json().await.unwrap();
    assert_eq!(
        (said["id"].as_u64(), &said["speaker"]["actor"]["name"]),
        (Some(1), &json!("alice"))
    );

    let found = events(stream, done).await;
    assert_eq!(found.first().unwrap().data["event"], "accepted");
    assert_eq!(messages(&found), [1, 2], "{found:?}");
    let stored = found.iter().filter(|event| !event.data["message"].is_null());
    assert!(stored.clone().all(|event| event.id == event.data["message"]["id"].as_u64()));

    let kept: Value =
        server.get(&format!("/api/v1/threads/{thread}"), ALICE).await.json().await.unwrap();
    assert_eq!(kept["messages"].as_array().unwrap().len(), 2);
    assert_eq!(kept["thread"]["title"], "how is the cluster?");
    assert!(kept["thread"].get("state").is_none(), "the agent's state is nobody's business");
}

#[tokio::test]
async fn a_stream_that_comes_back_gets_what_it_missed_once() {
    let server = Server::usual().await;
    let thread = server.thread(ALICE).await;
    let path = format!("/api/v1/threads/{thread}/messages");
    for text in ["one", "two"] {
        let stream = server.get(&format!("/api/v1/threads/{thread}/events"), ALICE).await;
        assert_eq!(server.post(&path, ALICE, &json!({"text": text})).await.status(), 202);
        events(stream, done).await;
    }
    let since = async |header: Option<&str>, query: &str, wanted: usize| {
        let url = format!("/api/v1/threads/{thread}/events{query}");
        let mut request = server.request(Method::GET, &url).bearer_auth(ALICE);
        if let Some(id) = header {
            request = request.header("last-event-id", id);
        }
        let found = events(request.send().await.unwrap(), |found| found.len() >= wanted).await;
        messages(&found)
    };
    assert_eq!(since(None, "?after=0", 4).await, [1, 2, 3, 4]);
    assert_eq!(
        since(Some("2"), "?after=0", 2).await,
        [3, 4],
        "the header is newer than the address"
    );

    // what is said after it came back follows what it missed, without a gap and without a repetition
    let request = server.request(Method::GET, &format!("/api/v1/threads/{thread}/events"));
    let stream = request.bearer_auth(ALICE).header("last-event-id", "3").send().await.unwrap();
    assert_eq!(server.post(&path, ALICE, &json!({"text": "three"})).await.status(), 202);
    assert_eq!(messages(&events(stream, done).await), [4, 5, 6]);
}

#[tokio::test]
async fn open_streams_end_when_kubemate_stops() {
    let mut server = Server::usual().await;
    let thread = server.thread(ALICE).await;
    let stream = server.get(&format!("/api/v1/threads/{thread}/events"), ALICE).await;
    server.stop.cancel();
    assert!(events(stream, |_| false).await.is_empty());
    server.serving.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn changes_are_listed_without_and_shown_with_their_diffs() {
    let server = Server::usual().await;
    let thread = server.thread(ALICE).await;
    let stored = server.store.put_change(change(&thread), None).await.unwrap();
    let id = &stored.id;

    let listed: Vec<Change> = server.get("/api/v1/changes", BOB).await.json().await.unwrap();
    let plan = listed.first().and_then(|change| change.plan.as_ref()).unwrap();
    assert_eq!((plan.hash.0.as_str(), plan.files.len()), ("abc", 0));
    let shown: Value =
        server.get(&format!("/api/v1/changes/{id}"), ALICE).await.json().await.unwrap();
    assert_eq!(shown["plan"]["files"][0]["path"], "a.yaml");
    assert_eq!(shown["cannot_approve"]["code"], "requester-approves");
    let shown: Value =
        server.get(&format!("/api/v1/changes/{id}"), BOB).await.json().await.unwrap();
    assert_eq!(shown["cannot_approve"], Value::Null);
    assert_eq!(server.get("/api/v1/changes/c-none", BOB).await.status(), 404);

    let first = |found: &[Received]| !found.is_empty();
    let own = events(server.get(&format!("/api/v1/changes/{id}/events"), BOB).await, first).await;
    assert_eq!(own[0].id, Some(stored.version));
    assert_eq!(own[0].data["change"]["state"], "proposed");
    let url = format!("/api/v1/threads/{thread}/events?changes=true");
    let in_thread = events(server.get(&url, ALICE).await, first).await;
    assert_eq!(in_thread[0].data["change"]["id"], id.0.as_str());
}

#[tokio::test]
async fn decisions_are_refused_with_the_reason() {
    let server = Server::usual().await;
    let thread = server.thread(ALICE).await;
    let id = server.store.put_change(change(&thread), None).await.unwrap().id;
    let approve = format!("/api/v1/changes/{id}/approve");
    let table = [
        (ALICE, approve.as_str(), json!({"plan_hash": "abc"}), 403, "requester-approves"),
        (BOB, approve.as_str(), json!({"plan_hash": "other"}), 403, "another-plan"),
        (BOB, approve.as_str(), json!({"comment": "fine"}), 400, "invalid"),
        (BOB, "/api/v1/changes/c-none/approve", json!({"plan_hash": "abc"}), 404, "not-found"),
    ];
    for (token, path, body, status, code) in table {
        let response = server.post(path, token, &body).await;
        assert_eq!(response.status(), status, "{path} {body}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], code, "{problem}");
    }
    let reject = format!("/api/v1/changes/{id}/reject");
    let rejected = server.post(&reject, BOB, &json!({"comment": "not today"})).await;
    assert_eq!(rejected.status(), 200);
    let rejected: Change = rejected.json().await.unwrap();
    assert_eq!(rejected.state, ChangeState::Rejected);
    assert!(rejected.message.unwrap().contains("not today"));
    assert_eq!(server.post(&reject, BOB, &json!({})).await.status(), 409);

    let seen = async |token| -> Vec<Value> {
        server.get(&format!("/api/v1/audit?change={id}"), token).await.json().await.unwrap()
    };
    let all = seen(BOB).await;
    assert!(all.iter().any(|entry| entry["action"] == "reject" && entry["actor"] == "bob"));
    assert!(seen(ALICE).await.iter().all(|entry| entry["actor"] == "alice"));
}

fn change(thread: &str) -> Change {
    let now = jiff::Timestamp::now();
    let file = kubemate::domain::FileDiff {
        path: "a.yaml".to_owned(),
        diff: "@@ -1 +1 @@\n-a\n+b\n".to_owned(),
        before: Some("a\n".to_owned()),
        after: Some("b\n".to_owned()),
    };
    let plan = Plan {
        hash: PlanHash("abc".to_owned()),
        files: vec![file],
        objects: Vec::new(),
        findings: Vec::new(),
    };
    Change {
        id: ChangeId("c-test0001".to_owned()),
        thread: ThreadId(thread.to_owned()),
        requested_by: "alice".to_owned(),
        request: "make a of it b".to_owned(),
        lang: Lang::En,
        summary: "Make a of it b".to_owned(),
        operations: Vec::new(),
        model: None,
        prompt: None,
        state: ChangeState::Proposed,
        message: None,
        base: None,
        branch: None,
        head: Some("1234".to_owned()),
        plan: Some(plan),
        approvals: Vec::new(),
        merged: None,
        created: now,
        updated: now,
        applied: None,
        finished: None,
        undoes: None,
        version: 0,
    }
}
