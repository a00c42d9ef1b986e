//! kill -9 at every step of a change: the process dies at the n-th point (before and after each write of the store, each
//! call of the forge, each write to the cluster), is started again, and the change ends as if nothing had happened.
//!
//! The process is this test program itself, run with the ignored test [`child`]; the cluster lives on in the parent.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use kubemate::{
    delivery::{Delivery, DeliveryParts},
    domain::{Change, ChangeId, ChangeState, Message, MessageId, Thread, ThreadId},
    forge::{Forge, ForgeError, Merge, NewReview, Review, local::LocalForge},
    policy, reconcile,
    store::{
        AuditEntry, AuditFilter, AuditLog, ChangeFilter, ChangeStore, StoreError, ThreadStore,
        sqlite::Sqlite,
    },
    worktree::{MAIN, Repository},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::world::{World, actor, request, scale};

/// Lives at once.
const TOGETHER: usize = 4;
/// What the child is told, in its working directory.
const ORDERS: &str = "child.json";
/// One line for each apply of the workload that the child sends.
const APPLIES: &str = "applies.log";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_step_and_nothing_happens_twice() {
    let mut point = 1;
    loop {
        // a life is mostly waiting: several worlds at once
        let lives = (point..point + TOGETHER).map(dies_at);
        let survivors = futures::future::join_all(lives).await;
        if let Some(first) = survivors.iter().position(|survived| *survived) {
            point += first;
            break;
        }
        point += TOGETHER;
    }
    assert!(point > 20, "only {point} points: the bomb does not go off where it should");
}

/// Lets a change die at a point and go on after a restart; whether it survived because there is no such point.
async fn dies_at(point: usize) -> bool {
    let world = World::paused(policy::Config::default()).await;
    world.delivery.sync_main(&CancellationToken::new()).await.unwrap();
    world.sandbox.settle().await;
    let orders = |die_at: usize| json!({"url": world.sandbox.url(), "token": world.sandbox.admin_token(), "die_at": die_at});
    let survived = run_child(world.folder.path(), &orders(point)).await.success();
    if !survived {
        let again = run_child(world.folder.path(), &orders(usize::MAX)).await;
        assert!(again.success(), "the restart after point {point} fails");
    }
    check(&world, point).await;
    survived
}

/// The end is the same whatever happened.
async fn check(world: &World, point: usize) {
    let changes = world.store.changes(&ChangeFilter::default()).await.unwrap();
    assert_eq!(changes.len(), 1, "point {point}");
    let change = &changes[0];
    assert_eq!(change.state, ChangeState::Healthy, "point {point}: {:?}", change.message);
    assert_eq!(world.replicas(), json!(5), "point {point}");
    let head = world.repository.head(MAIN).unwrap().unwrap();
    let log = world.repository.log(&head, &[], 0).unwrap();
    assert_eq!(log.len(), 2, "point {point}: merged once");
    assert_eq!(Some(&head), change.merged.as_ref());
    let applies = std::fs::read_to_string(world.folder.path().join(APPLIES)).unwrap();
    assert_eq!(applies.lines().count(), 1, "point {point}: applied once");
    assert_eq!(change.approvals.len(), 1, "point {point}");
    let audit = world.audit(&change.id).await;
    let expected = [
        "alice request",
        "alice propose",
        "bob approve",
        "kubemate merge",
        "kubemate apply",
        "kubemate healthy",
    ];
    assert_eq!(audit, expected, "point {point}: audited once");
}

async fn run_child(folder: &Path, orders: &Value) -> ExitStatus {
    std::fs::write(folder.join(ORDERS), orders.to_string()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["delivery::kill::child", "--exact", "--ignored", "--nocapture"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap()
}

/// One life of the program: goes on with what it finds and ends when the change has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test above, as a process that can be killed"]
async fn child() {
    let orders: Value = serde_json::from_slice(&std::fs::read(ORDERS).unwrap()).unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let left = usize::try_from(orders["die_at"].as_u64().unwrap()).unwrap();
    let bomb = Bomb(Arc::new(AtomicUsize::new(left)));
    let repository = Repository::open_or_init(Path::new("repository.git")).unwrap();
    let store = Sqlite::open(Path::new("kubemate.db")).unwrap();
    let delivery = Delivery::new(DeliveryParts {
        store: Arc::new(Mortal { inner: store, bomb: bomb.clone() }),
        forge: Arc::new(Mortal { inner: LocalForge::new(repository.clone()), bomb: bomb.clone() }),
        repository,
        client: client(&orders, bomb),
        policy: policy::Config::default(),
        config: reconcile::Config { health_timeout_seconds: 50, ..Default::default() },
    });
    let cancel = CancellationToken::new();
    delivery.resume(&cancel).await.unwrap();
    let known = delivery.changes(&ChangeFilter::default()).await.unwrap();
    let change = match known.into_iter().next() {
        Some(change) => change,
        None => delivery
            .propose(&actor("alice"), request("scale web to 5", vec![scale(5)]))
            .await
            .unwrap(),
    };
    if change.state == ChangeState::Proposed {
        delivery.approve(&actor("bob"), &change.id, None, None).await.unwrap();
    }
    let ended = async {
        let mut events = delivery.subscribe();
        while !delivery.change(&change.id).await.unwrap().state.is_final() {
            drop(events.recv().await);
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    let (running, stop) = (Arc::clone(&delivery), cancel.clone());
    tasks.spawn(async move { running.run(stop).await });
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    cancel.cancel();
    tasks.join_next().await.unwrap().unwrap().unwrap();
}

/// Ends the process at once, without any clean-up, when its count runs out.
#[derive(Clone)]
struct Bomb(Arc<AtomicUsize>);

impl Bomb {
    fn tick(&self) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }
}

/// A client that may die before each write to the cluster (dry runs write nothing).
fn client(orders: &Value, bomb: Bomb) -> kube::Client {
    let mut config = kube::Config::new(orders["url"].as_str().unwrap().parse().unwrap());
    config.auth_info.token = Some(orders["token"].as_str().unwrap().to_owned().into());
    let watched =
        tower::util::MapRequestLayer::new(move |request: http::Request<kube::client::Body>| {
            let dry = request.uri().query().is_some_and(|query| query.contains("dryRun"));
            if request.method() == http::Method::PATCH && !dry {
                bomb.tick();
                if request.uri().path().contains("/deployments/") {
                    let mut log =
                        OpenOptions::new().create(true).append(true).open(APPLIES).unwrap();
                    writeln!(log, "{}", request.uri()).unwrap();
                }
            }
            request
        });
    kube::client::ClientBuilder::try_from(config).unwrap().with_layer(&watched).build()
}

/// Dies before or after each write.
struct Mortal<T> {
    inner: T,
    bomb: Bomb,
}

impl<T> Mortal<T> {
    async fn watched<R>(&self, work: impl Future<Output = R>) -> R {
        self.bomb.tick();
        let result = work.await;
        self.bomb.tick();
        result
    }
}

#[async_trait]
impl ThreadStore for Mortal<Sqlite> {
    async fn put_thread(&self, thread: &Thread) -> Result<(), StoreError> {
        self.inner.put_thread(thread).await
    }
    async fn thread(&self, id: &ThreadId) -> Result<Option<Thread>, StoreError> {
        self.inner.thread(id).await
    }
    async fn threads(&self, actor: Option<&str>, limit: usize) -> Result<Vec<Thread>, StoreError> {
        self.inner.threads(actor, limit).await
    }
    async fn append(&self, message: Message) -> Result<Message, StoreError> {
        self.inner.append(message).await
    }
    async fn messages(
        &self,
        thread: &ThreadId,
        after: MessageId,
    ) -> Result<Vec<Message>, StoreError> {
        self.inner.messages(thread, after).await
    }
}

#[async_trait]
impl ChangeStore for Mortal<Sqlite> {
    async fn put_change(
        &self,
        change: Change,
        entry: Option<AuditEntry>,
    ) -> Result<Change, StoreError> {
        self.watched(self.inner.put_change(change, entry)).await
    }
    async fn change(&self, id: &ChangeId) -> Result<Option<Change>, StoreError> {
        self.inner.change(id).await
    }
    async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, StoreError> {
        self.inner.changes(filter).await
    }
}

#[async_trait]
impl AuditLog for Mortal<Sqlite> {
    async fn record(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.watched(self.inner.record(entry)).await
    }
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.audit(filter).await
    }
}

#[async_trait]
impl Forge for Mortal<LocalForge> {
    async fn open_review(&self, review: &NewReview) -> Result<Review, ForgeError> {
        self.watched(self.inner.open_review(review)).await
    }
    async fn review(&self, branch: &str) -> Result<Review, ForgeError> {
        self.inner.review(branch).await
    }
    async fn merge(&self, merge: &Merge) -> Result<String, ForgeError> {
        self.watched(self.inner.merge(merge)).await
    }
    async fn close(&self, branch: &str, reason: &str) -> Result<(), ForgeError> {
        self.watched(self.inner.close(branch, reason)).await
    }
    async fn main(&self) -> Result<String, ForgeError> {
        self.inner.main().await
    }
}
