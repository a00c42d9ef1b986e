//! kill -9 at every step of a change, listed in [`STEPS`]: the process dies there, is started again, and the change ends as if
//! nothing had happened: merged, applied, audited and told once.
//!
//! The process is this test program itself, run with the ignored test [`child`]; the cluster lives on in the parent. What a
//! library does inside one call cannot be stopped in the middle; there the process leaves behind what a kill would, and dies.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use kubemate::{
    agent::{self, Agent, AgentParts},
    chatops::{self, ChatOps, ChatOpsParts, inventory::Inventories},
    cluster::Cluster,
    delivery::{Delivery, DeliveryParts},
    domain::{Block, Change, ChangeId, ChangeState, Message, MessageId, Thread, ThreadId},
    forge::{Forge, ForgeError, Merge, NewReview, Review, local::LocalForge},
    policy,
    prompt::Prompts,
    reconcile,
    store::{
        AuditEntry, AuditFilter, AuditLog, ChangeFilter, ChangeStore, Store, StoreError,
        ThreadStore, sqlite::Sqlite,
    },
    tool,
    worktree::{Author, MAIN, Repository, history::NewMerge},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::world::{World, actor, request, scale};

/// Where the process dies, in the order in which a change comes by.
const STEPS: &[&str] = &[
    "before storing Planning",
    "after storing Planning",
    "inside the commit: its branch is locked and not yet there",
    "before opening the review",
    "inside opening the review: its record is locked and not yet there",
    "after opening the review",
    "before storing Proposed",
    "after storing Proposed",
    "before telling Proposed",
    "after telling Proposed",
    "before storing Approved",
    "after storing Approved",
    "before merging",
    "inside merging: the merge commit is there, the main branch is locked",
    "inside merging: the main branch has moved, the review does not know",
    "after merging",
    "before storing Merged",
    "after storing Merged",
    "before storing Applying",
    "after storing Applying",
    "before PATCH configmaps/inventory-team",
    "after PATCH configmaps/inventory-team",
    "before PATCH deployments/web",
    "after PATCH deployments/web",
    "before PATCH configmaps/inventory-team",
    "after PATCH configmaps/inventory-team",
    "before storing Healthy",
    "after storing Healthy",
    "before telling Healthy",
    "after telling Healthy",
];

/// Lives at once.
const TOGETHER: usize = 4;
/// What the child is told, in its working directory.
const ORDERS: &str = "child.json";
/// Where the child died.
const DIED: &str = "died.txt";
/// One line for each apply of the workload that the child sends.
const APPLIES: &str = "applies.log";
const REPOSITORY: &str = "repository.git";
/// The conversation that asks for the change.
const THREAD: &str = "t-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_step_and_nothing_happens_twice() {
    let mut died = Vec::new();
    // one life more than there should be steps: it survives
    for first in (1..=STEPS.len() + 1).step_by(TOGETHER) {
        // a life is mostly waiting: several worlds at once
        let lives = (first..first + TOGETHER).map(dies_at);
        died.extend(futures::future::join_all(lives).await.into_iter().flatten());
    }
    assert_eq!(died, STEPS);
}

/// Lets a change die at a point and go on after a restart; where it died, or `None` because there is no such point.
async fn dies_at(point: usize) -> Option<String> {
    let world = World::paused(policy::Config::default()).await;
    world.delivery.sync_main(&CancellationToken::new()).await.unwrap();
    world.sandbox.settle().await;
    let now = Timestamp::now();
    let thread = Thread {
        id: ThreadId(THREAD.into()),
        title: "scale web".into(),
        opened_by: "alice".into(),
        created: now,
        updated: now,
        state: Value::Null,
    };
    world.store.put_thread(&thread).await.unwrap();
    let orders = |die_at: usize| json!({"url": world.sandbox.url(), "token": world.sandbox.admin_token(), "die_at": die_at});
    let survived = run_child(world.folder.path(), &orders(point)).await;
    let died = std::fs::read_to_string(world.folder.path().join(DIED)).ok();
    assert_eq!(survived, died.is_none(), "point {point}: the child failed by itself");
    if !survived {
        let again = run_child(world.folder.path(), &orders(usize::MAX)).await;
        assert!(again, "the restart after {died:?} fails");
    }
    check(&world, died.as_deref().unwrap_or("a life without death")).await;
    died
}

/// The end is the same whatever happened.
async fn check(world: &World, point: &str) {
    let changes = world.store.changes(&ChangeFilter::default()).await.unwrap();
    assert_eq!(changes.len(), 1, "{point}");
    let change = &changes[0];
    assert_eq!(change.state, ChangeState::Healthy, "{point}: {:?}", change.message);
    assert_eq!(world.replicas(), json!(5), "{point}");
    let head = world.repository.head(MAIN).unwrap().unwrap();
    let log = world.repository.log(&head, &[], 0).unwrap();
    assert_eq!(log.len(), 2, "{point}: merged once");
    assert_eq!(Some(&head), change.merged.as_ref(), "{point}");
    let branch = world.repository.head(change.branch.as_ref().unwrap()).unwrap();
    assert_eq!(branch, None, "{point}: the review branch is gone");
    let applies = std::fs::read_to_string(world.folder.path().join(APPLIES)).unwrap();
    assert_eq!(applies.lines().count(), 1, "{point}: applied once");
    assert_eq!(change.approvals.len(), 1, "{point}");
    let audit = world.audit(&change.id).await;
    let expected = [
        "alice request",
        "alice propose",
        "bob approve",
        "kubemate merge",
        "kubemate apply",
        "kubemate healthy",
    ];
    assert_eq!(audit, expected, "{point}: audited once");
    let messages = world.store.messages(&ThreadId(THREAD.into()), 0).await.unwrap();
    let told: Vec<_> = messages.iter().filter_map(told_state).collect();
    assert_eq!(told, [ChangeState::Proposed, ChangeState::Healthy], "{point}: told once");
}

/// The state of the change that a message tells.
fn told_state(message: &Message) -> Option<ChangeState> {
    message.blocks.iter().find_map(|block| match block {
        Block::Change { state, .. } => Some(*state),
        _ => None,
    })
}

/// Runs one life; whether it ended well.
async fn run_child(folder: &Path, orders: &Value) -> bool {
    std::fs::write(folder.join(ORDERS), orders.to_string()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["delivery::kill::child", "--exact", "--ignored", "--nocapture"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    tokio::task::spawn_blocking(move || command.status().unwrap().success()).await.unwrap()
}

/// One life of the program: goes on with what it finds and ends when the change has ended and was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test above, as a process that can be killed"]
async fn child() {
    let orders: Value = serde_json::from_slice(&std::fs::read(ORDERS).unwrap()).unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let left = usize::try_from(orders["die_at"].as_u64().unwrap()).unwrap();
    let bomb = Bomb(Arc::new(AtomicUsize::new(left)));
    let repository = Repository::open_or_init(Path::new(REPOSITORY)).unwrap();
    let store = Sqlite::open(Path::new("kubemate.db")).unwrap();
    let store: Arc<dyn Store> = Arc::new(Mortal { inner: store, bomb: bomb.clone() });
    let delivery = Delivery::new(DeliveryParts {
        store: Arc::clone(&store),
        forge: Arc::new(Mortal { inner: LocalForge::new(repository.clone()), bomb: bomb.clone() }),
        repository: repository.clone(),
        client: client(&orders, bomb),
        policy: policy::Config::default(),
        config: reconcile::Config { health_timeout_seconds: 50, ..Default::default() },
    });
    let cancel = CancellationToken::new();
    delivery.resume(&cancel).await.unwrap();
    delivery.sync_main(&cancel).await.unwrap();
    let chatops = conversations(&orders, store, repository, &delivery, &cancel);
    let mut tasks = tokio::task::JoinSet::new();
    let (running, stop) = (Arc::clone(&delivery), cancel.clone());
    tasks.spawn(async move { running.run(stop).await.unwrap() });
    let running = Arc::clone(&chatops);
    tasks.spawn(async move { running.run().await.unwrap() });

    let life = async {
        let known = delivery.changes(&ChangeFilter::default()).await.unwrap();
        let change = match known.into_iter().next() {
            Some(change) => change,
            None => delivery
                .propose(&actor("alice"), request("scale web to 5", vec![scale(5)]))
                .await
                .unwrap(),
        };
        if change.state == ChangeState::Proposed {
            told(&chatops, ChangeState::Proposed).await;
            delivery.approve(&actor("bob"), &change.id, None, None).await.unwrap();
        }
        told(&chatops, ChangeState::Healthy).await;
    };
    tokio::time::timeout(Duration::from_secs(60), life).await.unwrap();
    cancel.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

/// Conversations without a model.
fn conversations(
    orders: &Value,
    store: Arc<dyn Store>,
    repository: Repository,
    delivery: &Arc<Delivery>,
    cancel: &CancellationToken,
) -> Arc<ChatOps> {
    let cluster = Cluster::new(cluster_config(orders));
    let agent = Agent::new(AgentParts {
        model: None,
        tools: Arc::new(tool::registry(&cluster, &repository).unwrap()),
        prompts: Arc::new(Prompts::load().unwrap()),
        nearest: None,
        budget: agent::Config::default(),
    });
    let parts = ChatOpsParts {
        store,
        agent: Arc::new(agent),
        delivery: Arc::clone(delivery),
        inventories: Inventories::new(cluster.clone(), Arc::clone(delivery)),
        cluster,
        config: chatops::Config::default(),
    };
    ChatOps::new(parts, cancel.clone())
}

/// Waits until the thread was told of this state.
async fn told(chatops: &ChatOps, state: ChangeState) {
    let thread = ThreadId(THREAD.into());
    let (_, mut events) = chatops.subscribe(&thread);
    loop {
        let messages = chatops.store().messages(&thread, 0).await.unwrap();
        if messages.iter().any(|message| told_state(message) == Some(state)) {
            return;
        }
        // whatever happens, look again
        drop(events.recv().await);
    }
}

/// Ends the process at once, without any clean-up, when its count runs out.
#[derive(Clone)]
struct Bomb(Arc<AtomicUsize>);

impl Bomb {
    fn tick(&self, step: &str) {
        self.tick_leaving(step, || ());
    }

    /// When it goes off, `leave` makes what a process leaves behind that dies in the middle of the step.
    fn tick_leaving(&self, step: &str, leave: impl FnOnce()) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            leave();
            std::fs::write(DIED, step).unwrap();
            std::process::abort();
        }
    }

    async fn around<R>(&self, step: &str, work: impl Future<Output = R>) -> R {
        self.tick(&format!("before {step}"));
        let result = work.await;
        self.tick(&format!("after {step}"));
        result
    }
}

/// Git's lock of a reference.
fn lock(name: &str) {
    let path = Path::new(REPOSITORY).join(format!("{name}.lock"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "").unwrap();
}

/// A commit on top of the main branch that no reference points at.
fn unreferenced_commit() {
    let git = git2::Repository::open_bare(REPOSITORY).unwrap();
    let parent = git.find_reference("refs/heads/main").unwrap().peel_to_commit().unwrap();
    let who = git2::Signature::now("kubemate", "kubemate@localhost").unwrap();
    let tree = parent.tree().unwrap();
    git.commit(None, &who, &who, "Never seen", &tree, &[&parent]).unwrap();
}

fn cluster_config(orders: &Value) -> kube::Config {
    let mut config = kube::Config::new(orders["url"].as_str().unwrap().parse().unwrap());
    config.auth_info.token = Some(orders["token"].as_str().unwrap().to_owned().into());
    config
}

/// A client that may die before and after each write to the cluster (dry runs write nothing).
fn client(orders: &Value, bomb: Bomb) -> kube::Client {
    let inner = kube::Client::try_from(cluster_config(orders)).unwrap();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (inner, bomb) = (inner.clone(), bomb.clone());
        async move {
            let dry = request.uri().query().is_some_and(|query| query.contains("dryRun"));
            if request.method() != http::Method::PATCH || dry {
                return inner.send(request).await;
            }
            let path = request.uri().path().to_owned();
            let mut parts = path.rsplit('/');
            let (name, kind) = (parts.next().unwrap(), parts.next().unwrap());
            let send = async {
                if kind == "deployments" {
                    let mut log =
                        OpenOptions::new().create(true).append(true).open(APPLIES).unwrap();
                    writeln!(log, "{path}").unwrap();
                }
                inner.send(request).await
            };
            bomb.around(&format!("PATCH {kind}/{name}"), send).await
        }
    });
    kube::Client::new(service, "default")
}

/// Dies before or after each write.
struct Mortal<T> {
    inner: T,
    bomb: Bomb,
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
        let step =
            told_state(&message).map_or_else(|| "saying".to_owned(), |s| format!("telling {s:?}"));
        self.bomb.around(&step, self.inner.append(message)).await
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
        let (state, id) = (change.state, change.id.clone());
        let step = format!("storing {state:?}");
        let stored = self.bomb.around(&step, self.inner.put_change(change, entry)).await;
        if state == ChangeState::Planning {
            let step = "inside the commit: its branch is locked and not yet there";
            self.bomb.tick_leaving(step, || {
                unreferenced_commit();
                lock(&format!("refs/heads/kubemate/{id}"));
            });
        }
        stored
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
        self.bomb.around("recording", self.inner.record(entry)).await
    }
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.audit(filter).await
    }
}

#[async_trait]
impl Forge for Mortal<LocalForge> {
    async fn open_review(&self, review: &NewReview) -> Result<Review, ForgeError> {
        let open = async {
            let step = "inside opening the review: its record is locked and not yet there";
            self.bomb
                .tick_leaving(step, || lock(&format!("refs/kubemate/reviews/{}", review.branch)));
            self.inner.open_review(review).await
        };
        self.bomb.around("opening the review", open).await
    }
    async fn review(&self, branch: &str) -> Result<Review, ForgeError> {
        self.inner.review(branch).await
    }
    async fn merge(&self, merge: &Merge) -> Result<String, ForgeError> {
        let work = async {
            let step = "inside merging: the merge commit is there, the main branch is locked";
            self.bomb.tick_leaving(step, || {
                unreferenced_commit();
                lock("refs/heads/main");
            });
            let step = "inside merging: the main branch has moved, the review does not know";
            self.bomb.tick_leaving(step, || {
                let merge = NewMerge {
                    head: merge.head.clone(),
                    author: Author::operator(&merge.by),
                    message: merge.message.clone(),
                };
                let repository = Repository::open_or_init(Path::new(REPOSITORY)).unwrap();
                repository.merge(&merge).unwrap();
            });
            self.inner.merge(merge).await
        };
        self.bomb.around("merging", work).await
    }
    async fn close(&self, branch: &str, reason: &str) -> Result<(), ForgeError> {
        self.bomb.around("closing the review", self.inner.close(branch, reason)).await
    }
    async fn main(&self) -> Result<String, ForgeError> {
        self.inner.main().await
    }
}
