//! The read tools as the agent calls them, against the sandbox: what they find, as whom, and what they never show.

use std::sync::Arc;

use kubemate::{
    cluster::Cluster,
    domain::{Actor, ChannelKind, Evidence, Inventory, Lang, Role},
    gitops::tree::FileChange,
    sandbox::{
        Sandbox, SandboxConfig,
        fault::{Effect, Fault, Selector},
        scenario::Scenario,
    },
    tool::{self, Registry, ToolContext, ToolError, ToolOutput},
    worktree::{Author, MAIN, NewCommit, Repository},
};
use serde_json::{Value, json};

struct World {
    sandbox: Sandbox,
    cluster: Cluster,
    tools: Registry,
    repository: Repository,
    inventory: Arc<Inventory>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let scenario =
            Scenario { cluster: objects(), pod_start_seconds: 0.0, ..Scenario::default() };
        let sandbox = Sandbox::start(SandboxConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            scenario: Some(scenario),
            state: None,
        })
        .await
        .unwrap();
        sandbox.settle().await;
        let mut config = kube::Config::new(sandbox.url().parse().unwrap());
        config.auth_info.token = Some(sandbox.admin_token().to_owned().into());
        let cluster = Cluster::new(config);
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let tools = tool::registry(&cluster, &repository).unwrap();
        let mut inventory = cluster.inventory().await.unwrap();
        for workload in &mut inventory.workloads {
            workload.unit = Some("team".to_owned());
        }
        let inventory = Arc::new(inventory);
        Self { sandbox, cluster, tools, repository, inventory, _folder: folder }
    }

    async fn call(
        &self,
        who: &str,
        tool: &str,
        arguments: Value,
    ) -> Result<Vec<Evidence>, ToolError> {
        let context = ToolContext {
            actor: actor(who),
            lang: Lang::En,
            inventory: Arc::clone(&self.inventory),
            now: self.sandbox.clock().now(),
        };
        match self.tools.call(&context, tool, arguments).await? {
            ToolOutput::Evidence(found) => Ok(found),
            ToolOutput::Change(_) => panic!("{tool} only reads"),
        }
    }

    /// The evidence, all of it as text, as a channel could show it.
    async fn shown(&self, who: &str, tool: &str, arguments: Value) -> String {
        let found = self.call(who, tool, arguments).await.unwrap();
        assert!(found.iter().all(|e| e.tool == tool && !e.title.is_empty() && !e.query.is_empty()));
        serde_json::to_string(&found).unwrap()
    }

    async fn refusal(&self, who: &str, tool: &str, arguments: Value) -> String {
        match self.call(who, tool, arguments).await {
            Err(ToolError::Respond(text)) => text,
            other => panic!("a refusal was expected, not {other:?}"),
        }
    }

    async fn break_web(&self, effect: Effect) {
        let selector = Selector {
            kind: Some("Deployment".into()),
            name: Some("web".into()),
            ..Selector::default()
        };
        self.sandbox.inject(Fault { select: selector, effect });
        self.sandbox.advance(std::time::Duration::from_secs(600)).await;
        self.sandbox.settle().await;
    }
}

/// alice may read everything, tom only what is in `team`, eve nothing.
fn actor(name: &str) -> Actor {
    let groups = match name {
        "alice" => vec!["everything".to_owned()],
        "tom" => vec!["team-only".to_owned()],
        _ => Vec::new(),
    };
    let roles = [Role::Viewer].into();
    Actor { name: name.to_owned(), groups, roles, channel: ChannelKind::Cli }
}

fn objects() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io/v1";
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}),
        json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": "read"},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]}),
        json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": "everything"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "read"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "everything"}]}),
        json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": "team-only", "namespace": "team"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "read"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "team-only"}]}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "team"},
            "type": "Opaque", "data": {"password": "aHVudGVyMg=="}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "team"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]}}),
    ];
    objects.push(deployment("team", "web", 2));
    objects.push(deployment("other", "api", 1));
    objects
}

fn deployment(namespace: &str, name: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": format!("registry.example/{name}:1.0"),
                "env": [{"name": "DB_PASSWORD", "value": "hunter2"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}}]}}}})
}

fn repository(folder: &std::path::Path) -> Repository {
    let files = folder.join("files");
    std::fs::create_dir_all(files.join("team")).unwrap();
    let web = serde_saphyr::to_string(&deployment("team", "web", 2)).unwrap();
    std::fs::write(files.join("team/web.yaml"), web).unwrap();
    let repository = Repository::open_or_init(&folder.join("repository.git")).unwrap();
    repository.import(&files, "Import", &Author::kubemate()).unwrap();
    repository
}

#[tokio::test]
async fn objects_are_listed_as_the_caller_may_see_them() {
    let world = World::start().await;
    let all = world.call("alice", "list_objects", json!({"kind": "deploy"})).await.unwrap();
    assert_eq!(all[0].title, "2 deployments in the whole cluster");
    assert_eq!(all[0].rows.len(), 2);
    assert!(
        all[0].columns.starts_with(&["Namespace".to_owned(), "Name".to_owned()]),
        "{:?}",
        all[0].columns
    );
    let team = world.call("tom", "list_objects", json!({"kind": "pods"})).await.unwrap();
    assert_eq!(team[0].rows.len(), 2);
    assert!(team[0].rows.iter().all(|row| row[0] == "team"), "{:?}", team[0].rows);
    let named = json!({"kind": "pods", "namespace": "team", "labels": "app=nothing"});
    assert_eq!(world.call("tom", "list_objects", named).await.unwrap()[0].rows.len(), 0);
    let refused = world.refusal("eve", "list_objects", json!({"kind": "pods"})).await;
    assert!(refused.contains("your account may not read this"), "{refused}");
    let refused =
        world.refusal("tom", "list_objects", json!({"kind": "pods", "namespace": "other"})).await;
    assert!(refused.contains("forbidden"), "{refused}");
    let refused = world.refusal("alice", "list_objects", json!({"kind": "deploymnet"})).await;
    assert!(refused.contains("Deployment"), "{refused}");
}

#[tokio::test]
async fn secrets_never_leave_the_cluster() {
    let world = World::start().await;
    let calls = [
        ("describe_object", json!({"kind": "secret", "name": "keys", "namespace": "team"})),
        ("describe_object", json!({"kind": "deployment", "name": "web"})),
        ("list_objects", json!({"kind": "secrets"})),
        ("rollout_status", json!({"workload": "web"})),
    ];
    for (tool, arguments) in calls {
        let shown = world.shown("alice", tool, arguments).await;
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{tool}: {shown}");
    }
    let described =
        world.shown("alice", "describe_object", json!({"kind": "secret", "name": "keys"})).await;
    assert!(described.contains("data.password"), "{described}");
}

#[tokio::test]
async fn a_healthy_workload_is_told_to_be_healthy() {
    let world = World::start().await;
    let status = world.call("alice", "rollout_status", json!({"workload": "web"})).await.unwrap();
    assert_eq!(status[0].title, "web (team): healthy, 2 of 2 replicas ready");
    assert_eq!(status[1].rows.len(), 2, "two pods");
    assert_eq!(status[2].rows[0][0], "1", "one revision");
    let problems = world.call("alice", "problems", json!({})).await.unwrap();
    assert!(problems[0].title.starts_with("the cluster: no problems found"), "{:?}", problems[0]);
    let logs = world.call("alice", "pod_logs", json!({"workload": "web"})).await.unwrap();
    assert!(logs[0].title.starts_with("team/web: the last"), "{}", logs[0].title);
    let usage = json!({"by": "pods", "namespace": "team", "sort_by": "memory"});
    let usage = world.call("alice", "resource_usage", usage).await.unwrap();
    assert_eq!(usage[0].rows.len(), 2);
    assert!(usage[0].rows.iter().all(|row| row[5].starts_with("64Mi")), "{:?}", usage[0].rows);
    let nodes = world.call("alice", "resource_usage", json!({})).await.unwrap();
    assert_eq!(nodes[0].rows.len(), 3, "{:?}", nodes[0].rows);
    let unknown = world.refusal("alice", "rollout_status", json!({"workload": "nothing"})).await;
    assert_eq!(unknown, "there is no workload nothing");
}

#[tokio::test]
async fn what_is_broken_is_found_with_its_cause() {
    let world = World::start().await;
    world.break_web(Effect::CrashLoop { exit_code: 3, after_seconds: 1, log: vec![] }).await;
    let problems = world.call("alice", "problems", json!({})).await.unwrap();
    let first = &problems[0].rows[0];
    assert_eq!(&first[..2], ["severe", "Deployment team/web"], "{:?}", problems[0].rows);
    assert!(first[4].contains("exit code 3"), "{first:?}");
    let elsewhere = world.call("alice", "problems", json!({"namespace": "other"})).await.unwrap();
    assert!(elsewhere[0].title.contains("no problems"), "{:?}", elsewhere[0]);
    let status = world.shown("alice", "rollout_status", json!({"workload": "web"})).await;
    assert!(status.contains("keeps crashing"), "{status}");
    let events =
        world.call("alice", "events", json!({"namespace": "team", "name": "web"})).await.unwrap();
    assert_eq!(events[0].rows[0][1], "Warning", "{:?}", events[0].rows);
}

#[tokio::test]
async fn history_tells_who_changed_which_fields() {
    let world = World::start().await;
    let parent = world.repository.head(MAIN).unwrap().unwrap();
    let path = "team/web.yaml".to_owned();
    let before = world.repository.tree(&parent).unwrap().text(&path).unwrap().to_owned();
    let after = before.replace("replicas: 2", "replicas: 5");
    assert_ne!(before, after);
    let files = vec![
        FileChange { path, before: Some(before), after: Some(after) },
        FileChange { path: "README.md".into(), before: None, after: Some("hello\n".into()) },
    ];
    let commit = NewCommit {
        branch: MAIN.into(),
        parent,
        files,
        author: Author::operator("alice"),
        message: "Scale web\n\nChange-Id: c-1\n".into(),
    };
    world.repository.commit(&commit).unwrap();
    let found = world.call("tom", "change_history", json!({"workload": "web"})).await.unwrap();
    assert_eq!(found[0].source, "git");
    let newest = &found[0].rows[0];
    assert_eq!(
        (newest[1].as_str(), newest[3].as_str(), newest[5].as_str()),
        ("alice", "Scale web", "c-1")
    );
    assert_eq!(newest[4], "/spec/replicas: 2 → 5");
    assert_eq!(found[0].rows.len(), 2, "the import, too");
}

#[tokio::test]
async fn a_cluster_that_is_away_ends_the_turn() {
    let world = World::start().await;
    world.sandbox.shutdown().await.unwrap();
    let ended = world.call("alice", "list_objects", json!({"kind": "pods"})).await;
    assert!(matches!(ended, Err(ToolError::Fatal(_))), "{ended:?}");
    assert!(world.cluster.inventory().await.is_err());
}
