//! `TestApp`: the real program on a fresh sandbox and repository, spoken to through its front door. The model is scripted; all
//! else is what runs in production.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use kubemate::{
    app::{App, Minds},
    client::Client,
    config::{ClusterConfig, Config, SandboxOptions},
    domain::{Block, Change, ChangeId, Choice, Message, ObjectRef, Speaker, ThreadId, TurnEvent},
    model::{
        SharedModel,
        scripted::{Script, Scripted},
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Real time after which a test is stuck; nothing in it is measured.
const STUCK: Duration = Duration::from_secs(60);

pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) server: String,
    threads: HashMap<String, ThreadId>,
    /// Lives as long as the program.
    _folder: tempfile::TempDir,
}

/// What kubemate said in one turn.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) messages: Vec<Message>,
}

impl Reply {
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.messages.iter().flat_map(|message| &message.blocks)
    }

    pub(crate) fn change(&self) -> Option<ChangeId> {
        self.blocks().find_map(|block| match block {
            Block::Change { change, .. } => Some(change.clone()),
            _ => None,
        })
    }

    /// The change that must have been proposed.
    pub(crate) fn proposed(&self) -> ChangeId {
        self.change().unwrap_or_else(|| panic!("no change was proposed: {}", self.text()))
    }

    /// Code of the refusal.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.blocks().find_map(|block| match block {
            Block::Refusal { code, .. } => Some(code.as_str()),
            _ => None,
        })
    }

    pub(crate) fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.blocks().flat_map(|block| match block {
            Block::Choices { choices, .. } => choices.as_slice(),
            _ => &[],
        })
    }

    /// Whether kubemate asked back, with or without choices.
    pub(crate) fn choices_asked(&self) -> bool {
        self.blocks().any(|block| matches!(block, Block::Choices { .. }))
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(&self.messages).unwrap()
    }
}

/// The sample's scenario.
pub(crate) fn sample() -> PathBuf {
    let name = std::fs::read_to_string(scenario("default")).unwrap();
    scenario(name.trim())
}

/// One of the scenarios.
pub(crate) fn scenario(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("eval/scenarios").join(name)
}

impl TestApp {
    /// The sample's world with a scripted model; its own reconcile at start has ended.
    pub(crate) async fn start(script: Script) -> Self {
        Self::with(sample(), script, |_| ()).await
    }

    pub(crate) async fn with(
        scenario: PathBuf,
        script: Script,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let model: SharedModel = Arc::new(Scripted::new(script));
        Self::thinking(scenario, Some(model).into(), configure).await
    }

    /// With these models.
    pub(crate) async fn thinking(
        scenario: PathBuf,
        minds: Minds,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            data: folder.path().join("data"),
            cache: folder.path().join("cache"),
            cluster: ClusterConfig::Sandbox(SandboxOptions {
                scenario: Some(scenario),
                listen: None,
            }),
            ..Config::default()
        };
        config.server.requests_per_minute = 100_000;
        configure(&mut config);
        let app = App::start_with(config, minds, CancellationToken::new()).await.unwrap();
        tokio::time::timeout(STUCK, app.settled())
            .await
            .expect("the first reconcile ends")
            .unwrap();
        let server = format!("http://{}", app.address());
        Self { app, server, threads: HashMap::new(), _folder: folder }
    }

    pub(crate) fn client(&self, who: &str) -> Client {
        let token = self.app.tokens().iter().find(|token| token.name == who).unwrap();
        Client::new(&self.server, &token.token).unwrap()
    }

    /// Says something in the operator's thread and waits for the end of the turn.
    pub(crate) async fn say(&mut self, who: &str, text: &str) -> Reply {
        let mut messages = Vec::new();
        let client = self.client(who);
        let turn = client.say(self.threads.get(who).cloned(), text, |event| {
            if let TurnEvent::Message { message } = event {
                messages.push(message.clone());
            }
        });
        // boxed: the future of a whole turn is large
        let thread =
            tokio::time::timeout(STUCK, Box::pin(turn)).await.expect("the turn ends").unwrap();
        self.threads.insert(who.to_owned(), thread);
        messages.retain(|message| matches!(message.speaker, Speaker::Kubemate));
        Reply { messages }
    }

    /// A change as an administrator sees it, who is the last operator of a scenario.
    pub(crate) async fn change(&self, id: &ChangeId) -> Change {
        let last = &self.app.tokens().last().unwrap().name;
        self.client(last).change(&id.0).await.unwrap()
    }

    /// Approves what is proposed.
    pub(crate) async fn approve(&self, who: &str, change: &Change) -> anyhow::Result<Change> {
        let hash = change.plan.as_ref().map(|plan| plan.hash.clone());
        let path = format!("/changes/{}/approve", change.id);
        self.client(who).post(&path, &json!({"plan_hash": hash})).await
    }

    /// The change when nothing more happens to it.
    pub(crate) async fn finished(&self, id: &ChangeId) -> Change {
        let mut events = self.app.chatops().delivery().subscribe();
        let wait = async {
            loop {
                let change = self.change(id).await;
                if change.state.is_final() {
                    return change;
                }
                // whatever happens, look again
                drop(events.recv().await);
            }
        };
        tokio::time::timeout(STUCK, wait).await.expect("the change ends")
    }

    /// Waits until `part` was said in the operator's thread; returns that message.
    pub(crate) async fn told(&self, who: &str, part: &str) -> Message {
        let thread = &self.threads[who];
        let (_, mut events) = self.app.chatops().subscribe(thread);
        let wait = async {
            loop {
                let said = self.app.chatops().store().messages(thread, 0).await.unwrap();
                let has =
                    |message: &Message| serde_json::to_string(message).unwrap().contains(part);
                if let Some(message) = said.into_iter().find(has) {
                    return message;
                }
                drop(events.recv().await);
            }
        };
        tokio::time::timeout(STUCK, wait)
            .await
            .unwrap_or_else(|_| panic!("'{part}' was never said"))
    }

    /// A live object, of a kind whose plural is its name with an s.
    pub(crate) fn live(&self, object: &ObjectRef) -> Value {
        let plural = format!("{}s", object.kind.to_lowercase());
        let resource = match object.group() {
            "" => plural,
            group => format!("{plural}.{group}"),
        };
        let storage = self.app.sandbox().unwrap().storage();
        let found = storage.get(&resource, object.namespace.as_deref(), &object.name);
        (*found.unwrap_or_else(|| panic!("there is no {object}"))).clone()
    }

    /// What git has of a merged change: who wrote it, who merged it, both messages and the diff with its paths.
    pub(crate) fn commit(&self, change: &Change) -> String {
        let git = git2::Repository::open_bare(self.app.data().join("repository.git")).unwrap();
        let id = git2::Oid::from_str(change.merged.as_ref().unwrap()).unwrap();
        let merge = git.find_commit(id).unwrap();
        let (before, reviewed) = (merge.parent(0).unwrap(), merge.parent(1).unwrap());
        let mut text = String::new();
        for commit in [&reviewed, &merge] {
            let who = |who: git2::Signature<'_>| who.name().unwrap().to_owned();
            let (author, committer) = (who(commit.author()), who(commit.committer()));
            text.push_str(&format!("author {author}, committer {committer}\n"));
            text.push_str(&format!("{}\n", commit.message().unwrap()));
        }
        let trees = (before.tree().unwrap(), merge.tree().unwrap());
        let diff = git.diff_tree_to_tree(Some(&trees.0), Some(&trees.1), None).unwrap();
        let print =
            |_: git2::DiffDelta<'_>, _: Option<git2::DiffHunk<'_>>, line: git2::DiffLine<'_>| {
                if matches!(line.origin(), '+' | '-' | ' ') {
                    text.push(line.origin());
                }
                text.push_str(std::str::from_utf8(line.content()).unwrap());
                true
            };
        diff.print(git2::DiffFormat::Patch, print).unwrap();
        text
    }

    /// Stops and gives the folder back for another start.
    pub(crate) async fn stop(self) {
        self.app.shutdown().await.unwrap();
    }
}

/// The diffs of the change's files, as the review shows them.
pub(crate) fn diff(change: &Change) -> String {
    let plan = change.plan.as_ref().unwrap();
    plan.files.iter().map(|file| file.diff.as_str()).collect()
}
