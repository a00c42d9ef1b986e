//! The real router on a free port, with a real store and change loop on an empty repository, and a cluster nobody answers at.

use std::{collections::BTreeSet, sync::Arc};

use futures::StreamExt;
use kubemate::{
    agent::{self, Agent, AgentParts},
    chatops::{self, ChatOps, ChatOpsParts, inventory::Inventories},
    cluster::Cluster,
    delivery::{Delivery, DeliveryParts},
    domain::{Actor, ChannelKind, Role},
    forge::local::LocalForge,
    policy,
    prompt::Prompts,
    reconcile,
    server::{
        self, Metrics, ServerParts, ServerState,
        auth::{Operator, Operators},
    },
    store::{Store, sqlite::Sqlite},
    tool::Registry,
    worktree::{Author, Repository},
};
use prometheus_client::registry;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(super) const ALICE: &str = "alice-token-0123456789";
pub(super) const BOB: &str = "bob-token-0123456789";

/// A running server; stops when dropped.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) store: Arc<dyn Store>,
    pub(super) http: reqwest::Client,
    pub(super) stop: CancellationToken,
    pub(super) serving: JoinSet<anyhow::Result<()>>,
    _stop_on_drop: DropGuard,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(super) async fn start(config: server::Config) -> Self {
        // another test may have been first
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory().unwrap());
        let chatops = chatops(Arc::clone(&store), folder.path(), stop.clone());
        let mut registry = registry::Registry::default();
        let metrics = Metrics::register(&mut registry);
        let operators = vec![
            operator("alice", ALICE, &[Role::Operator]),
            operator("bob", BOB, &[Role::Operator, Role::Approver]),
        ];
        let state = ServerState::new(ServerParts {
            chatops,
            operators: Operators::new(operators, [7; 32]).unwrap(),
            model: None,
            metrics,
            registry: Arc::new(registry),
            config,
            cancel: stop.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(server::serve(listener, server::router(state), stop.clone()));
        let _stop_on_drop = stop.clone().drop_guard();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url, store, http, stop, serving, _stop_on_drop, _folder: folder }
    }

    pub(super) async fn usual() -> Self {
        Self::start(server::Config::default()).await
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Response {
        self.request(Method::GET, path).bearer_auth(token).send().await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, token: &str, body: &Value) -> Response {
        self.request(Method::POST, path).bearer_auth(token).json(body).send().await.unwrap()
    }

    /// An empty thread of the token's owner.
    pub(super) async fn thread(&self, token: &str) -> String {
        let opened = self.post("/api/v1/threads", token, &serde_json::json!({})).await;
        assert_eq!(opened.status(), 201);
        let opened: Value = opened.json().await.unwrap();
        opened["id"].as_str().unwrap().to_owned()
    }
}

fn operator(name: &str, token: &str, roles: &[Role]) -> Operator {
    let roles: BTreeSet<Role> = roles.iter().copied().collect();
    let actor =
        Actor { name: name.to_owned(), groups: Vec::new(), roles, channel: ChannelKind::Cli };
    Operator { actor, lang: None, token: token.into() }
}

fn chatops(
    store: Arc<dyn Store>,
    folder: &std::path::Path,
    cancel: CancellationToken,
) -> Arc<ChatOps> {
    let files = folder.join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("README.md"), "nothing is declared here\n").unwrap();
    let repository = Repository::open_or_init(&folder.join("repository.git")).unwrap();
    repository.import(&files, "Import", &Author::kubemate()).unwrap();
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let delivery = Delivery::new(DeliveryParts {
        store: Arc::clone(&store),
        forge: Arc::new(LocalForge::new(repository.clone())),
        repository,
        client: kube::Client::try_from(nowhere.clone()).unwrap(),
        policy: policy::Config::default(),
        config: reconcile::Config::default(),
    });
    let agent = Agent::new(AgentParts {
        model: None,
        tools: Arc::new(Registry::with_specs(Vec::new(), Vec::new()).unwrap()),
        prompts: Arc::new(Prompts::load().unwrap()),
        nearest: None,
        budget: agent::Config::default(),
    });
    let cluster = Cluster::new(nowhere);
    let parts = ChatOpsParts {
        store,
        agent: Arc::new(agent),
        inventories: Inventories::new(cluster.clone(), Arc::clone(&delivery)),
        cluster,
        delivery,
        config: chatops::Config::default(),
    };
    ChatOps::new(parts, cancel)
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Received {
    pub(super) id: Option<u64>,
    pub(super) data: Value,
}

/// Events of a response until `enough` says so, or the stream ends.
pub(super) async fn events(
    response: Response,
    enough: impl Fn(&[Received]) -> bool,
) -> Vec<Received> {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = Box::pin(response.bytes_stream());
    let (mut text, mut found) = (String::new(), Vec::new());
    while !enough(&found) {
        let Some(piece) = stream.next().await else { break };
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field =
                |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let Some(data) = field("data:") {
                let id = field("id:").map(|id| id.parse().unwrap());
                found.push(Received { id, data: serde_json::from_str(data).unwrap() });
            }
            text = rest.to_owned();
        }
    }
    found
}
