//! An unmodified kubectl against the sandbox with its controllers.

use std::{path::PathBuf, process::Output, time::Duration};

use kubemate::sandbox::{Sandbox, SandboxConfig};
use tokio::process::Command;

/// A kubectl that points at a sandbox.
struct Kubectl {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Kubectl {
    /// The kubectl on the path (`make e2e` puts the one it fetched there). Says so when there is none.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    async fn find(sandbox: &Sandbox) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), sandbox.kubeconfig()).unwrap();
        let program = PathBuf::from("kubectl");
        let found = Command::new(&program).args(["version", "--client"]).output().await;
        if found.is_ok_and(|output| output.status.success()) {
            return Some(Self { program, folder });
        }
        eprintln!("SKIPPED: no kubectl on the path (make e2e fetches one)");
        None
    }

    async fn output(&self, arguments: &[&str]) -> Output {
        let folder = self.folder.path();
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(folder.join("config"));
        command.arg("--cache-dir").arg(folder.join("cache")).args(arguments);
        command.current_dir(folder).output().await.unwrap()
    }

    /// What a successful call prints.
    async fn ok(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a failed call prints as its error.
    async fn fails(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        assert!(!output.status.success(), "kubectl {arguments:?} should fail");
        String::from_utf8(output.stderr).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1.0
        resources: {requests: {cpu: 100m, memory: 64Mi}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_works_unmodified() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = SandboxConfig { listen, scenario: None, state: None };
    let sandbox = Sandbox::start(config).await.unwrap();
    let Some(kubectl) = Kubectl::find(&sandbox).await else { return };

    let file = kubectl.write("web.yaml", WEB);
    let apply = ["apply", "--server-side", "-f", &file];
    assert_eq!(kubectl.ok(&apply).await, "deployment.apps/web serverside-applied\n");
    rollout(&kubectl, &sandbox).await;
    let table = kubectl.ok(&["get", "deployments", "-A"]).await;
    assert!(table.contains("default     web    2/2     2            2"), "{table}");
    let pods = kubectl.ok(&["get", "pods", "-l", "app=web", "--no-headers"]).await;
    assert_eq!(
        pods.lines().filter(|line| line.contains("1/1") && line.contains("Running")).count(),
        2,
        "{pods}"
    );
    let text = kubectl.ok(&["describe", "deployment", "web"]).await;
    assert!(text.contains("StrategyType:           RollingUpdate"), "{text}");
    assert!(text.contains("ScalingReplicaSet"), "events are found: {text}");
    kubectl.ok(&["describe", "pods"]).await;
    kubectl.ok(&["describe", "nodes"]).await;
    kubectl.ok(&["logs", "deployment/web"]).await;

    changes(&kubectl, &sandbox).await;
    permissions(&kubectl).await;
    documents(&kubectl).await;

    // newer versions add the namespace
    let deleted = kubectl.ok(&["delete", "deployment", "web", "--wait=false"]).await;
    assert!(deleted.starts_with("deployment.apps \"web\" deleted"), "{deleted}");
    let gone = kubectl.fails(&["get", "deployment", "web"]).await;
    assert_eq!(gone, "Error from server (NotFound): deployments.apps \"web\" not found\n");
    sandbox.shutdown().await.unwrap();
}

/// Waits for the rollout while the sandbox's time goes on.
async fn rollout(kubectl: &Kubectl, sandbox: &Sandbox) {
    let arguments = ["rollout", "status", "deployment/web", "--timeout=60s"];
    let waiting = kubectl.ok(&arguments);
    let (told, ()) = tokio::join!(waiting, sandbox.advance(Duration::from_secs(120)));
    assert!(told.ends_with("deployment \"web\" successfully rolled out\n"), "{told}");
}

async fn changes(kubectl: &Kubectl, sandbox: &Sandbox) {
    let newer = kubectl.write("newer.yaml", &WEB.replace("web:1.0", "web:1.1"));
    let diff = kubectl.output(&["diff", "--server-side", "-f", &newer]).await;
    assert_eq!(diff.status.code(), Some(1));
    let diff = String::from_utf8(diff.stdout).unwrap();
    assert!(diff.contains("-      - image: registry.example.com/web:1.0\n+      - image: registry.example.com/web:1.1"), "{diff}");
    let conflict =
        kubectl.fails(&["apply", "--server-side", "--field-manager", "other", "-f", &newer]).await;
    assert!(
        conflict.contains("Apply failed with 1 conflict: conflict with \"kubectl\""),
        "{conflict}"
    );

    kubectl.ok(&["scale", "deployment/web", "--replicas=3"]).await;
    kubectl.ok(&["set", "image", "deployment/web", "web=registry.example.com/web:1.2"]).await;
    rollout(kubectl, sandbox).await;
    let replicas =
        kubectl.ok(&["get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"]).await;
    assert_eq!(replicas, "3");
    kubectl.ok(&["rollout", "undo", "deployment/web"]).await;
    rollout(kubectl, sandbox).await;
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    assert_eq!(
        kubectl.ok(&["get", "deploy", "web", "-o", image]).await,
        "registry.example.com/web:1.0"
    );
    // client-side apply, and its strategic merge patch
    kubectl.ok(&["create", "configmap", "settings", "--from-literal=a=1", "--save-config"]).await;
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {b: '2'}\n";
    let settings = kubectl.write("settings.yaml", settings);
    kubectl.ok(&["apply", "-f", &settings]).await;
    assert_eq!(
        kubectl.ok(&["get", "cm", "settings", "-o", "jsonpath={.data}"]).await,
        "{\"b\":\"2\"}"
    );
    let typo = kubectl.write("typo.yaml", &WEB.replace("replicas", "replicsa"));
    let refused = kubectl.fails(&["apply", "-f", &typo]).await;
    assert!(refused.contains("unknown field \"spec.replicsa\""), "{refused}");
}

async fn permissions(kubectl: &Kubectl) {
    assert_eq!(kubectl.ok(&["auth", "can-i", "delete", "pods"]).await, "yes\n");
    let denied = kubectl.output(&["auth", "can-i", "delete", "pods", "--as", "carol"]).await;
    assert_eq!(String::from_utf8(denied.stdout).unwrap(), "no\n");
    kubectl.ok(&["create", "rolebinding", "viewers", "--clusterrole=view", "--user=carol"]).await;
    kubectl.ok(&["get", "pods", "--as", "carol"]).await;
    let refused = kubectl.fails(&["delete", "pods", "--all", "--as", "carol"]).await;
    assert!(refused.contains("User \"carol\" cannot delete resource \"pods\""), "{refused}");
}

async fn documents(kubectl: &Kubectl) {
    let text = kubectl.ok(&["explain", "deployment.spec.replicas"]).await;
    assert!(text.contains("FIELD: replicas <integer>"), "{text}");
    let names = kubectl.ok(&["api-resources", "-o", "name"]).await;
    assert!(names.lines().any(|name| name == "deployments.apps"), "{names}");
    assert!(kubectl.ok(&["version"]).await.contains("Server Version: v1.36"));
}
