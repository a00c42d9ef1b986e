//! The contract every store keeps, run on each.

use jiff::Timestamp;
use kubemate::{
    domain::{
        Actor, Block, Change, ChangeId, ChangeState, ChannelKind, Lang, Message, Speaker, Thread,
        ThreadId,
    },
    store::{AuditEntry, AuditFilter, ChangeFilter, Store, StoreError, sqlite::Sqlite},
};
use serde_json::json;

#[tokio::test]
async fn sqlite_in_memory_keeps_the_contract() {
    contract(&Sqlite::in_memory().unwrap()).await;
}

#[tokio::test]
async fn sqlite_in_a_file_keeps_the_contract_and_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubemate.db");
    contract(&Sqlite::open(&path).unwrap()).await;
    let again = Sqlite::open(&path).unwrap();
    use kubemate::store::{ChangeStore as _, ThreadStore as _};
    assert_eq!(again.threads(None, 0).await.unwrap().len(), 2);
    assert_eq!(again.changes(&ChangeFilter::default()).await.unwrap().len(), 2);
    assert_eq!(again.messages(&ThreadId("t-1".into()), 0).await.unwrap().len(), 9);
}

async fn contract(store: &dyn Store) {
    threads(store).await;
    messages(store).await;
    changes(store).await;
    audit(store).await;
}

async fn threads(store: &dyn Store) {
    assert_eq!(store.thread(&ThreadId("t-0".into())).await.unwrap(), None);
    let mut one = thread("t-1", "alice", 10);
    store.put_thread(&one).await.unwrap();
    store.put_thread(&thread("t-2", "bob", 20)).await.unwrap();
    one.updated = at(30);
    one.state = json!({"pending": "which namespace? 哪个命名空间"});
    store.put_thread(&one).await.unwrap();
    assert_eq!(store.thread(&one.id).await.unwrap(), Some(one));
    let ids = |threads: Vec<Thread>| threads.into_iter().map(|t| t.id.0).collect::<Vec<_>>();
    assert_eq!(ids(store.threads(None, 0).await.unwrap()), ["t-1", "t-2"]);
    assert_eq!(ids(store.threads(None, 1).await.unwrap()), ["t-1"]);
    assert_eq!(ids(store.threads(Some("bob"), 0).await.unwrap()), ["t-2"]);
}

async fn messages(store: &dyn Store) {
    let thread = ThreadId("t-1".into());
    let first = store.append(message(&thread, "hello '; drop table messages; --")).await.unwrap();
    assert_eq!(first.id, 1);
    let more = (0..8).map(|n| store.append(message(&thread, &format!("message {n}"))));
    let ids: std::collections::BTreeSet<_> =
        futures::future::try_join_all(more).await.unwrap().into_iter().map(|m| m.id).collect();
    assert_eq!(ids, (2..=9).collect(), "ids are given once each, without gaps");
    assert_eq!(store.messages(&thread, 0).await.unwrap()[0], first);
    assert_eq!(store.messages(&thread, 7).await.unwrap().len(), 2);
    assert!(store.messages(&ThreadId("t-2".into()), 0).await.unwrap().is_empty());
}

async fn changes(store: &dyn Store) {
    let new = change("c-1", "t-1", 10);
    let stored = store.put_change(new.clone(), None).await.unwrap();
    assert_eq!(stored.version, 1);
    let conflict = |result| matches!(result, Err(StoreError::Conflict(_)));
    assert!(conflict(store.put_change(new, None).await), "an id is taken once");
    assert!(conflict(store.put_change(Change { version: 7, ..stored.clone() }, None).await));
    let mut done = stored.clone();
    done.state = ChangeState::Healthy;
    let done = store.put_change(done, None).await.unwrap();
    assert_eq!(done.version, 2);
    assert!(conflict(store.put_change(stored, None).await), "an old version is not written");
    store.put_change(change("c-2", "t-2", 20), None).await.unwrap();

    assert_eq!(store.change(&done.id).await.unwrap(), Some(done));
    assert_eq!(store.change(&ChangeId("c-9".into())).await.unwrap(), None);
    let find = async |filter| {
        let found = store.changes(&filter).await.unwrap();
        found.into_iter().map(|c| c.id.0).collect::<Vec<_>>()
    };
    assert_eq!(find(ChangeFilter::default()).await, ["c-2", "c-1"]);
    assert_eq!(find(ChangeFilter { limit: 1, ..ChangeFilter::default() }).await, ["c-2"]);
    assert_eq!(find(ChangeFilter { open: true, ..ChangeFilter::default() }).await, ["c-2"]);
    let thread = Some(ThreadId("t-1".into()));
    assert_eq!(find(ChangeFilter { thread, ..ChangeFilter::default() }).await, ["c-1"]);
}

async fn audit(store: &dyn Store) {
    for (action, change) in [("ask", None), ("propose", Some("c-1")), ("approve", Some("c-1"))] {
        let entry = AuditEntry {
            at: at(1),
            actor: "alice".into(),
            action: action.into(),
            thread: None,
            change: change.map(|id| ChangeId(id.into())),
            detail: json!({"n": 1}),
        };
        store.record(entry).await.unwrap();
    }
    let find = async |change: Option<&str>, limit| {
        let filter = AuditFilter { change: change.map(|id| ChangeId(id.into())), limit };
        let found = store.audit(&filter).await.unwrap();
        found.into_iter().map(|e| e.action).collect::<Vec<_>>()
    };
    assert_eq!(find(None, 0).await, ["approve", "propose", "ask"]);
    assert_eq!(find(Some("c-1"), 0).await, ["approve", "propose"]);
    assert_eq!(find(None, 1).await, ["approve"]);
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn thread(id: &str, by: &str, updated: i64) -> Thread {
    Thread {
        id: ThreadId(id.into()),
        title: "标题".into(),
        opened_by: by.into(),
        created: at(0),
        updated: at(updated),
        state: json!(null),
    }
}

fn message(thread: &ThreadId, text: &str) -> Message {
    let actor = Actor {
        name: "alice".into(),
        groups: vec!["dev".into()],
        roles: Default::default(),
        channel: ChannelKind::Cli,
    };
    Message {
        thread: thread.clone(),
        id: 0,
        speaker: Speaker::Operator { actor },
        blocks: vec![Block::Text { text: text.into() }],
        at: at(1),
    }
}

fn change(id: &str, thread: &str, created: i64) -> Change {
    Change {
        id: ChangeId(id.into()),
        thread: ThreadId(thread.into()),
        requested_by: "alice".into(),
        request: "把 web 扩到 3".into(),
        lang: Lang::Zh,
        summary: "Scale web to 3".into(),
        operations: Vec::new(),
        model: None,
        prompt: None,
        state: ChangeState::Proposed,
        message: None,
        base: None,
        branch: None,
        head: None,
        plan: None,
        approvals: Vec::new(),
        merged: None,
        created: at(created),
        updated: at(created),
        applied: None,
        finished: None,
        undoes: None,
        version: 0,
    }
}
