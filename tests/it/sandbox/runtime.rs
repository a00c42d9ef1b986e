//! What controllers are built from, `kube`'s own watcher, reflector and controller, against the sandbox: ten thousand writes
//! are each seen once and in order although the watch times out and its connections are cut, and each object is reconciled to its
//! last generation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, future::join_all};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{
        Controller, WatchStreamExt as _,
        controller::Action,
        reflector::{self, Store},
        watcher::{self, Event},
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, net::TcpStream, sync::Notify, task::JoinSet};

use super::{ADMIN, CONFIG_MAPS, DEPLOYMENTS, Server, config_map, deployment};

/// Real time after which a test is stuck.
const STUCK: Duration = Duration::from_secs(300);

const WRITERS: usize = 8;
/// Objects of each writer.
const OBJECTS: usize = 25;
/// How often each object comes and goes.
const LIVES: usize = 5;
/// Writes of one life: made, changed eight times, deleted.
const WRITES: usize = 10;
const EVENTS: usize = WRITERS * OBJECTS * LIVES * WRITES;
/// Connections are cut each time so many events have come.
const CUT: usize = 1_500;

/// What happened to one object, by the revisions it got; a deletion is `None`.
type History = BTreeMap<String, Vec<Option<u64>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_are_seen_once_each_and_in_order() {
    assert_eq!(EVENTS, 10_000);
    let server = Server::start().await;
    let road = Road::to(&server).await;
    let api: Api<ConfigMap> = Api::namespaced(road.client(), "a");
    let (reader, writer) = reflector::store();
    // the server ends each watch after a second
    let watching = watcher::watcher(api, watcher::Config::default().timeout(1));
    let stream = reflector::reflector(writer, watching).default_backoff();
    let mut stream = std::pin::pin!(stream);
    while !matches!(stream.next().await.unwrap().unwrap(), Event::InitDone) {}

    let watching = async {
        let (mut seen, mut last, mut count) = (History::new(), 0, 0);
        while count < EVENTS {
            let (object, gone) = match stream.next().await.unwrap() {
                Ok(Event::Apply(object)) => (object, false),
                Ok(Event::Delete(object)) => (object, true),
                Ok(event) => panic!("the watch began anew after {count} events: {event:?}"),
                // a cut was felt
                Err(_) => continue,
            };
            let revision: u64 = object.resource_version().unwrap().parse().unwrap();
            assert!(revision > last, "revision {revision} came after {last}");
            last = revision;
            seen.entry(object.name_any()).or_default().push((!gone).then_some(revision));
            count += 1;
            if count % CUT == 0 {
                road.cut();
            }
        }
        seen
    };
    let writing = join_all((0..WRITERS).map(|writer| write(&server, writer)));
    let both = async { tokio::join!(watching, writing) };
    let (seen, written) = tokio::time::timeout(STUCK, both).await.expect("all events come");
    let written: History = written.into_iter().flatten().collect();
    assert_eq!(seen.len(), WRITERS * OBJECTS);
    assert_eq!(seen, written);
    let (watches, torn) = (count(&road.watches), count(&road.torn));
    assert!(torn > 0 && watches > EVENTS / CUT, "{watches} watches, {torn} connections were torn");
    same_as_listed(&server, &reader).await;
}

/// Makes, changes and deletes the objects of one writer by every verb; half of them are left over at the end.
async fn write(server: &Server, writer: usize) -> History {
    let names: Vec<String> = (0..OBJECTS).map(|i| format!("w{writer}-{i}")).collect();
    let mut history = History::new();
    for step in 0..LIVES * WRITES {
        for (i, name) in names.iter().enumerate() {
            let path = format!("{CONFIG_MAPS}/{name}");
            let data = json!({"n": step.to_string()});
            let last = step == LIVES * WRITES - 1;
            let answer = match step % WRITES {
                0 => server.post(CONFIG_MAPS, config_map(name, data)).await,
                1 | 5 => server.put(&path, config_map(name, data)).await,
                2 | 6 => server.patch("strategic", &path, json!({"data": data})).await,
                3 | 7 => {
                    let value = step.to_string();
                    let patch = json!([{"op": "replace", "path": "/data/n", "value": value}]);
                    server.patch("json", &path, patch).await
                }
                9 if !last || i % 2 == 0 => server.delete(&path).await,
                _ => server.patch("merge", &path, json!({"data": data})).await,
            };
            let revision = answer.ok()["metadata"]["resourceVersion"]
                .as_str()
                .map(|text| text.parse().unwrap());
            history.entry(name.clone()).or_default().push(revision);
        }
    }
    history
}

/// The reflector's store holds what the server lists.
async fn same_as_listed(server: &Server, reader: &Store<ConfigMap>) {
    let listed = server.get(CONFIG_MAPS).await.ok();
    let version = |object: &Value| {
        let text = |key: &str| object["metadata"][key].as_str().unwrap().to_owned();
        (text("name"), text("resourceVersion"))
    };
    let listed: BTreeSet<_> = listed["items"].as_array().unwrap().iter().map(version).collect();
    let held: BTreeSet<_> = reader
        .state()
        .iter()
        .map(|map| (map.name_any(), map.resource_version().unwrap()))
        .collect();
    assert_eq!(held, listed);
    assert_eq!(held.len(), WRITERS * (OBJECTS / 2));
}

/// A controller that notes the generation it has seen in the status: each write of it is one more event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_reconciles_each_object_to_its_last_generation() {
    const OBJECTS: usize = 20;
    const CHANGES: i64 = 15;
    let server = Server::start().await;
    let road = Road::to(&server).await;
    let api: Api<Deployment> = Api::namespaced(road.client(), "a");
    let controller = Controller::new(api.clone(), watcher::Config::default().timeout(1));
    let reconcile = |object: Arc<Deployment>, api: Arc<Api<Deployment>>| async move {
        let seen = object.metadata.generation;
        let known = object.status.as_ref().and_then(|status| status.observed_generation);
        if seen != known {
            let status = json!({"status": {"observedGeneration": seen}});
            let (name, params) = (object.name_any(), PatchParams::default());
            api.patch_status(&name, &params, &Patch::Merge(status)).await?;
        }
        Ok::<_, kube::Error>(Action::await_change())
    };
    // a cut may hit the controller's own write
    let again = |_: Arc<Deployment>, _: &kube::Error, _: Arc<Api<Deployment>>| {
        Action::requeue(Duration::from_millis(10))
    };
    let mut running = std::pin::pin!(controller.run(reconcile, again, Arc::new(api)));
    let writing = async {
        for i in 0..OBJECTS {
            server.post(DEPLOYMENTS, deployment(&format!("d{i}"))).await.ok();
        }
        for replicas in 2..=CHANGES + 1 {
            for i in 0..OBJECTS {
                let path = format!("{DEPLOYMENTS}/d{i}");
                server.patch("merge", &path, json!({"spec": {"replicas": replicas}})).await.ok();
            }
            road.cut();
        }
    };
    let settled = |object: &Value| object["status"]["observedGeneration"] == json!(CHANGES + 1);
    let both = async {
        let mut writing = std::pin::pin!(writing);
        let mut written = false;
        loop {
            tokio::select! {
                () = &mut writing, if !written => written = true,
                // what fails is tried again by the controller itself
                _ = running.next() => {}
            }
            if written {
                let listed = server.get(DEPLOYMENTS).await.ok();
                let done = listed["items"].as_array().unwrap().iter().filter(|d| settled(d));
                if done.count() == OBJECTS {
                    break;
                }
            }
        }
    };
    tokio::time::timeout(STUCK, both).await.expect("each is reconciled to its last generation");
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

/// A way to the server that can be cut.
struct Road {
    url: String,
    cut: Arc<Notify>,
    /// Connections that were cut.
    torn: Arc<AtomicUsize>,
    /// Watches asked for by clients of this road.
    watches: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Road {
    async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let to = server.url.trim_start_matches("http://").to_owned();
        let cut = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        let torn = Arc::new(AtomicUsize::new(0));
        let (hear, count) = (Arc::clone(&cut), Arc::clone(&torn));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (mut from, to) = (accepted.unwrap().0, to.clone());
                        connections.spawn(async move {
                            let mut onward = TcpStream::connect(to).await.unwrap();
                            // either side may leave as it likes
                            drop(tokio::io::copy_bidirectional(&mut from, &mut onward).await);
                        });
                    }
                    Some(_) = connections.join_next() => {}
                    () = hear.notified() => {
                        count.fetch_add(connections.len(), Ordering::SeqCst);
                        connections.shutdown().await;
                    }
                }
            }
        });
        Self { url, cut, torn, watches: Arc::default(), _tasks: tasks }
    }

    /// Ends all connections, whatever is under way on them.
    fn cut(&self) {
        self.cut.notify_one();
    }

    fn client(&self) -> Client {
        let mut config = Config::new(self.url.parse().unwrap());
        config.auth_info.token = Some(ADMIN.to_owned().into());
        let watches = Arc::clone(&self.watches);
        let counting =
            tower::util::MapRequestLayer::new(move |request: http::Request<kube::client::Body>| {
                if request.uri().query().is_some_and(|query| query.contains("watch=")) {
                    watches.fetch_add(1, Ordering::SeqCst);
                }
                request
            });
        kube::client::ClientBuilder::try_from(config).unwrap().with_layer(&counting).build()
    }
}
