//! The real binary, as a shell uses it: the command line with its exit codes, and a process that is killed.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use kubemate::{
    client::Client,
    domain::{Block, Change, ChangeState, Message, Speaker, ThreadId},
};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_kubemate");

/// A running `kubemate up`; killed when dropped.
struct Up {
    child: Child,
    url: String,
    data: PathBuf,
    banner: String,
}

impl Up {
    fn start(data: &Path) -> Self {
        let mut child = command(data)
            .args(["up", "--listen", "127.0.0.1:0", "--model", "none", "--scenario"])
            .arg(crate::app::sample())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        let mut url = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some((_, address)) = line.split_once("is ready: ") {
                address.clone_into(&mut url);
            }
            banner.push_str(&line);
            banner.push('\n');
            let last = ["tokens", "dave"].iter().any(|word| line.trim_start().starts_with(word));
            if last {
                break;
            }
        }
        assert!(!url.is_empty(), "no banner: {banner}");
        Self { child, url, data: data.to_owned(), banner }
    }

    fn kill(&mut self) {
        // SIGKILL
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Runs a command against this server.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command(&self.data);
        command.args(arguments).env("KUBEMATE_SERVER", &self.url).output().unwrap()
    }

    fn client(&self, name: &str) -> Client {
        let token = kubemate::app::tokens::read(&self.data, Some(name)).unwrap();
        Client::new(&self.url, &token).unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // it may have been killed already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("--data").arg(data).env("XDG_CACHE_HOME", data.join("cache"));
    for variable in ["KUBEMATE_SERVER", "KUBEMATE_TOKEN", "KUBEMATE_CONFIG", "KUBEMATE_DATA"] {
        command.env_remove(variable);
    }
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Every exit code of docs/cli.md, on the words a shell sees.
#[test]
fn the_command_line_tells_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path());
    assert!(up.banner.contains("alice") && up.banner.contains("km-"), "{}", up.banner);
    assert!(up.banner.contains("kubectl --kubeconfig"), "{}", up.banner);
    let kubeconfig = std::fs::read_to_string(folder.path().join("kubeconfig")).unwrap();
    assert!(kubeconfig.contains("127.0.0.1"), "{kubeconfig}");

    let table: [(&[&str], i32, &str); 9] = [
        (&["ask", "--as", "alice", "is anything wrong?"], 0, "[e1]"),
        (&["ask", "--as", "alice", "/scale checkout 4 -n shop-prod"], 0, "proposed"),
        (&["ask", "--as", "alice", "restart the cart"], 4, "say:"),
        (&["ask", "--as", "carol", "/scale checkout 5 -n shop-prod"], 3, "refused:"),
        (&["ask", "--as", "nobody", "hello"], 1, "there is no operator"),
        (&["ask", "--no-such-flag"], 2, "--no-such-flag"),
        (&["changes", "--as", "alice"], 0, "checkout"),
        (&["approve", "--as", "alice", "c-nothing0"], 1, "no change c-nothing0; list them"),
        (&["doctor"], 0, "ok"),
    ];
    for (arguments, code, word) in table {
        let output = up.run(arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }

    let asked = up.run(&["ask", "--as", "alice", "--json", "/rollout checkout -n shop-prod"]);
    let events: Vec<Value> =
        text(&asked).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert!(kinds.starts_with(&["accepted"]) && kinds.ends_with(&["done"]), "{kinds:?}");

    let listed = up.run(&["changes", "--as", "alice", "--json"]);
    let change: Value = serde_json::from_str(text(&listed).lines().next().unwrap()).unwrap();
    let id = change["id"].as_str().unwrap();
    let own = up.run(&["approve", "--as", "alice", id]);
    assert_eq!(own.status.code(), Some(3), "{}", text(&own));
    let approved = up.run(&["approve", "--as", "bob", id, "--wait"]);
    assert_eq!(approved.status.code(), Some(0), "{}", text(&approved));
    assert!(text(&approved).contains("healthy"), "{}", text(&approved));

    // a data folder belongs to one process
    let second =
        command(folder.path()).args(["sandbox", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert!(
        !second.status.success() && text(&second).contains("another kubemate"),
        "{}",
        text(&second)
    );

    let url = up.url.clone();
    drop(up);
    let mut alone = command(folder.path());
    let nobody =
        alone.args(["ask", "--as", "alice", "hi"]).env("KUBEMATE_SERVER", url).output().unwrap();
    assert_eq!(nobody.status.code(), Some(6), "{}", text(&nobody));
}

/// What `doctor` says about a machine where something is wrong, and what to do.
#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let down = write(
        "down",
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: u, user: {}}]}",
    );
    let table = [
        (
            "down.yaml",
            format!("cluster: {{kubeconfig: {{path: '{}'}}}}\n", down.display()),
            "asking the API server at http://127.0.0.1:9",
        ),
        (
            "ollama.yaml",
            "model: {models: [{adapter: ollama, name: m, url: 'http://127.0.0.1:9'}]}\n".to_owned(),
            "127.0.0.1:9",
        ),
        (
            "repository.yaml",
            "repository: {path: /nonexistent/manifests.git}\n".to_owned(),
            "/nonexistent/manifests.git",
        ),
        (
            "cluster.yaml",
            "cluster: {kubeconfig: {path: /nonexistent/kubeconfig}}\n".to_owned(),
            "/nonexistent/kubeconfig",
        ),
    ];
    for (name, content, word) in table {
        let config = write(name, &content);
        let data = folder.path().join(format!("{name}.data"));
        let output = command(&data).arg("--config").arg(config).arg("doctor").output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(word), "{name}: {said}");
    }
    let config = write("bare.yaml", "model: {models: []}\nembedder: {adapter: none}\n");
    let data = folder.path().join("bare.data");
    let output = command(&data)
        .env("KUBEMATE_SERVER", "http://127.0.0.1:9/")
        .arg("--config")
        .arg(config)
        .arg("doctor")
        .output()
        .unwrap();
    let said = text(&output);
    assert!(output.status.success() && said.contains("http://127.0.0.1:9"), "{said}");
    let config = write("typo.yaml", "modle: {}\n");
    let output = command(folder.path()).arg("--config").arg(config).arg("doctor").output().unwrap();
    let said = text(&output);
    assert!(!output.status.success() && said.contains("modle") && said.contains("model"), "{said}");
}

/// kill -9 while a change is being proposed: after the restart there is at most one change, the thread tells the truth about
/// it, and approving it applies it once.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_during_a_proposal_tells_the_truth_after_the_restart() {
    for milliseconds in [0, 10, 25, 50, 100, 200] {
        let folder = tempfile::tempdir().unwrap();
        let mut up = Up::start(folder.path());
        let client = up.client("alice");
        let thread: Value = client.post("/threads", &json!({})).await.unwrap();
        let id = ThreadId(thread["id"].as_str().unwrap().to_owned());
        let say = json!({"text": "/scale checkout 4 -n shop-prod"});
        let _: Message = client.post(&format!("/threads/{id}/messages"), &say).await.unwrap();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        up.kill();
        let up = Up::start(folder.path());
        let client = up.client("alice");
        let reply = reply_in(&client, &id).await;
        let changes: Vec<Change> = client.get("/changes").await.unwrap();
        let told = reply.iter().any(|block| matches!(block, Block::Change { .. }));
        match changes.as_slice() {
            [] => assert!(!told, "{milliseconds} ms: {reply:?}"),
            [change] => {
                assert_eq!(change.state, ChangeState::Proposed, "{milliseconds} ms");
                assert!(
                    told,
                    "{milliseconds} ms: the thread does not tell of {}: {reply:?}",
                    change.id
                );
            }
            several => panic!("{milliseconds} ms: {} changes", several.len()),
        }
    }
}

/// What kubemate said last in a thread, as soon as it said anything.
async fn reply_in(client: &Client, thread: &ThreadId) -> Vec<Block> {
    for _ in 0..600 {
        let conversation: Value = client.get(&format!("/threads/{thread}")).await.unwrap();
        let messages: Vec<Message> =
            serde_json::from_value(conversation["messages"].clone()).unwrap();
        let reply = messages.into_iter().rev().find(|m| matches!(m.speaker, Speaker::Kubemate));
        if let Some(reply) = reply {
            return reply.blocks;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no reply in {thread}");
}
