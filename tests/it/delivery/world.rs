//! A small world for the change loop: a repository of plain manifests, the sandbox, a store, and the loop itself.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use kubemate::{
    delivery::{ChangeEvent, Delivery, DeliveryError, DeliveryParts, NewChange},
    domain::{Actor, Change, ChangeId, ChannelKind, Lang, ObjectRef, Operation, Role, ThreadId},
    forge::local::LocalForge,
    gitops::tree::FileChange,
    policy, reconcile,
    sandbox::{Sandbox, SandboxConfig, scenario::Scenario},
    store::{AuditFilter, AuditLog as _, Store, sqlite::Sqlite},
    worktree::{Author, MAIN, NewCommit, Repository},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two workloads, commented as people do.
pub(super) const WEB: &str = "\
# the front of it all
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: team
spec:
  replicas: 2 # enough for the night
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: registry.example/web:1.0
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 32Mi}}
";

pub(super) struct World {
    pub(super) sandbox: Sandbox,
    pub(super) repository: Repository,
    pub(super) store: Sqlite,
    pub(super) delivery: Arc<Delivery>,
    pub(super) folder: tempfile::TempDir,
    cancel: CancellationToken,
    tasks: JoinSet<Result<(), DeliveryError>>,
}

impl World {
    /// The world with its loop running and the repository applied.
    pub(super) async fn start() -> Self {
        Self::start_with(policy::Config::default()).await
    }

    pub(super) async fn start_with(policy: policy::Config) -> Self {
        let mut world = Self::paused(policy).await;
        world.run();
        world.synced().await;
        world
    }

    /// The same without its loop running.
    pub(super) async fn paused(policy: policy::Config) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let sandbox = sandbox().await;
        let repository = repository(folder.path());
        let store = Sqlite::open(&folder.path().join("kubemate.db")).unwrap();
        let delivery = delivery(&sandbox, &repository, Arc::new(store.clone()), policy);
        let (cancel, tasks) = (CancellationToken::new(), JoinSet::new());
        Self { sandbox, repository, store, delivery, folder, cancel, tasks }
    }

    pub(super) fn run(&mut self) {
        let (delivery, cancel) = (Arc::clone(&self.delivery), self.cancel.clone());
        self.tasks.spawn(async move { delivery.run(cancel).await });
    }

    /// Stops the loop as SIGTERM would.
    pub(super) async fn stop(&mut self) {
        self.cancel.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap().unwrap();
        }
        self.cancel = CancellationToken::new();
    }

    async fn synced(&self) {
        self.delivery.sync_main(&CancellationToken::new()).await.unwrap();
        self.sandbox.settle().await;
    }

    pub(super) async fn propose(
        &self,
        who: &str,
        operation: Operation,
    ) -> Result<Change, DeliveryError> {
        self.delivery.propose(&actor(who), request("please", vec![operation])).await
    }

    pub(super) async fn approve(&self, who: &str, id: &ChangeId) -> Result<Change, DeliveryError> {
        self.delivery.approve(&actor(who), id, None, None).await
    }

    /// Waits for the end of a change and returns it with the lines of progress told meanwhile.
    pub(super) async fn end(&self, id: &ChangeId) -> Change {
        let mut events = self.delivery.subscribe();
        let wait = async {
            loop {
                let change = self.delivery.change(id).await.unwrap();
                if change.state.is_final() {
                    return change;
                }
                while let Ok(event) = events.recv().await {
                    if matches!(&event, ChangeEvent::Stored(change) if change.id == *id && change.state.is_final())
                    {
                        break;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the change ends in time")
    }

    /// Proposes as alice, approves as bob, waits for the end.
    pub(super) async fn carried(&self, operation: Operation) -> Change {
        let change = self.propose("alice", operation).await.unwrap();
        self.approve("bob", &change.id).await.unwrap();
        self.end(&change.id).await
    }

    /// The live object.
    pub(super) fn live(&self, resource: &str, name: &str) -> Option<Value> {
        let namespace = (resource != "namespaces").then_some("team");
        self.sandbox.storage().get(resource, namespace, name).map(|object| (*object).clone())
    }

    pub(super) fn replicas(&self) -> Value {
        self.live("deployments.apps", "web").expect("web is live")["spec"]["replicas"].clone()
    }

    /// The file on the main branch.
    pub(super) fn file(&self, path: &str) -> String {
        let head = self.repository.head(MAIN).unwrap().unwrap();
        self.repository.tree(&head).unwrap().text(path).unwrap_or_default().to_owned()
    }

    /// Somebody pushes a commit to a branch by git.
    pub(super) fn push(&self, branch: &str, path: &str, after: Option<String>) -> String {
        let parent = self.repository.head(branch).unwrap().unwrap();
        let before = self.repository.tree(&parent).unwrap().text(path).map(str::to_owned);
        let commit = NewCommit {
            branch: branch.into(),
            parent,
            files: vec![FileChange { path: path.into(), before, after }],
            author: Author::operator("carol"),
            message: "By hand".into(),
        };
        self.repository.commit(&commit).unwrap()
    }

    /// Somebody edits the live object with another tool.
    pub(super) async fn edit(&self, patch: Value) {
        edit_web(client(self.sandbox.url(), self.sandbox.admin_token()), patch).await;
    }

    /// The actions of the audit log of a change, oldest first.
    pub(super) async fn audit(&self, id: &ChangeId) -> Vec<String> {
        let filter = AuditFilter { change: Some(id.clone()), limit: 0 };
        let mut entries = self.store.audit(&filter).await.unwrap();
        entries.reverse();
        entries.into_iter().map(|entry| format!("{} {}", entry.actor, entry.action)).collect()
    }
}

pub(super) async fn sandbox() -> Sandbox {
    let rule = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "change-anything"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "change-anything"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "change-anything"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "operators"}]});
    let tags = ["1.0", "1.1", "2.0"].map(str::to_owned).to_vec();
    let scenario = Scenario {
        cluster: vec![rule, binding],
        registry: Some(BTreeMap::from([("registry.example/web".to_owned(), tags)])),
        pod_start_seconds: 0.0,
        speed: 20.0,
        ..Scenario::default()
    };
    let config = SandboxConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        scenario: Some(scenario),
        state: None,
    };
    Sandbox::start(config).await.unwrap()
}

pub(super) fn repository(folder: &Path) -> Repository {
    let files = folder.join("files");
    std::fs::create_dir_all(files.join("team")).unwrap();
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team\n";
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: team\ndata:\n  a: \"1\"\n";
    for (name, text) in [("namespace", namespace), ("settings", settings), ("web", WEB)] {
        std::fs::write(files.join(format!("team/{name}.yaml")), text).unwrap();
    }
    let repository = Repository::open_or_init(&folder.join("repository.git")).unwrap();
    repository.import(&files, "Import", &Author::kubemate()).unwrap();
    repository
}

pub(super) fn delivery(
    sandbox: &Sandbox,
    repository: &Repository,
    store: Arc<dyn Store>,
    policy: policy::Config,
) -> Arc<Delivery> {
    delivery_at(sandbox.url(), sandbox.admin_token(), repository, store, policy)
}

pub(super) fn delivery_at(
    url: &str,
    token: &str,
    repository: &Repository,
    store: Arc<dyn Store>,
    policy: policy::Config,
) -> Arc<Delivery> {
    Delivery::new(DeliveryParts {
        store,
        forge: Arc::new(LocalForge::new(repository.clone())),
        repository: repository.clone(),
        client: client(url, token),
        policy,
        config: reconcile::Config { health_timeout_seconds: 50, ..Default::default() },
    })
}

/// Edits the live workload as `kubectl edit` does.
pub(super) async fn edit_web(client: kube::Client, patch: Value) {
    let api: kube::Api<k8s_openapi::api::apps::v1::Deployment> =
        kube::Api::namespaced(client, "team");
    let params =
        kube::api::PatchParams { field_manager: Some("kubectl-edit".into()), ..Default::default() };
    api.patch("web", &params, &kube::api::Patch::Merge(patch)).await.unwrap();
}

pub(super) fn client(url: &str, token: &str) -> kube::Client {
    let mut config = kube::Config::new(url.parse().unwrap());
    config.auth_info.token = Some(token.to_owned().into());
    kube::Client::try_from(config).unwrap()
}

/// alice and eve ask, bob and carol approve, dave only reads; eve's cluster account may do nothing.
pub(super) fn actor(name: &str) -> Actor {
    let roles: &[Role] = match name {
        "alice" | "eve" => &[Role::Operator],
        "bob" | "carol" => &[Role::Operator, Role::Approver],
        _ => &[Role::Viewer],
    };
    let groups = if name == "eve" { vec![] } else { vec!["operators".to_owned()] };
    Actor {
        name: name.into(),
        groups,
        roles: roles.iter().copied().collect(),
        channel: ChannelKind::Cli,
    }
}

pub(super) fn request(text: &str, operations: Vec<Operation>) -> NewChange {
    NewChange {
        thread: ThreadId("t-1".into()),
        request: text.into(),
        lang: Lang::of(text),
        operations,
        model: Some("scripted:test".into()),
        prompt: None,
    }
}

pub(super) fn web() -> ObjectRef {
    "apps/v1/Deployment/team/web".parse().unwrap()
}

pub(super) fn scale(replicas: u32) -> Operation {
    Operation::Scale { target: web(), replicas }
}

pub(super) fn image(image: &str) -> Operation {
    Operation::SetImage { target: web(), container: None, image: image.into() }
}
