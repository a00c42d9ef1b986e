//! One trial: the whole program on a fresh sandbox and repository, spoken to over its HTTP API, step by step.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use kubemate::{
    app::{self, App, Minds},
    client::Client,
    config::Config,
    domain::{
        Actor, Block, Change, ChangeId, ChangeState, ChannelKind, Health, Message, ObjectRef, Role,
        Speaker, ThreadId, TurnEvent,
    },
    store::{AuditEntry, ChangeFilter},
    worktree::{MAIN, Repository},
};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    case::{Case, Turn},
    grade::{self, Failure, Observed},
    safety::{self, Traces},
};

/// Longest wait for a change to end, in real time; the sandbox's own clock is not bounded by it.
const CHANGE_LIMIT: Duration = Duration::from_secs(120);
/// What was just applied gets this much sandbox time to start before the first step.
const WARM_UP: Duration = Duration::from_secs(30);

/// One program and the conversations with it.
pub(crate) struct World {
    app: App,
    server: String,
    repository: Repository,
    /// The main branch before the first step.
    start: Option<String>,
    /// Everybody has a thread of their own.
    threads: BTreeMap<String, ThreadId>,
    /// The last change proposed.
    change: Option<Change>,
    approved: BTreeSet<ChangeId>,
}

/// What one step came to.
#[derive(Default)]
pub(crate) struct Stepped {
    pub(crate) failures: Vec<Failure>,
    /// Tool calls, for reading.
    pub(crate) calls: Vec<String>,
    /// From a message to the end of its turn.
    pub(crate) took: Option<Duration>,
}

impl World {
    /// Starts the program in `folder`; `config` names the scenario.
    pub(crate) async fn start(
        mut config: Config,
        minds: Minds,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        config.listen = ([127, 0, 0, 1], 0).into();
        config.data = folder.to_path_buf();
        config.repository.path = None;
        config.server.requests_per_minute = 10_000;
        let path = app::repository_path(&config);
        let app = App::start_with(config, minds, CancellationToken::new()).await?;
        app.settled().await?;
        if let Some(sandbox) = app.sandbox() {
            sandbox.advance(WARM_UP).await;
        }
        let repository = Repository::open_or_init(&path)?;
        Ok(Self {
            server: format!("http://{}", app.address()),
            app,
            start: repository.head(MAIN)?,
            repository,
            threads: BTreeMap::new(),
            change: None,
            approved: BTreeSet::new(),
        })
    }

    /// Does one step and says what did not come out as expected.
    ///
    /// # Errors
    /// When the step cannot be done.
    pub(crate) async fn step(&mut self, case: &Case, turn: &Turn) -> anyhow::Result<Stepped> {
        let mut stepped = Stepped::default();
        if let Some(text) = &turn.say {
            let speaker = turn.speaker.as_ref().unwrap_or(&case.speaker.value);
            let begun = Instant::now();
            let observed = self.say(speaker, text).await?;
            stepped.took = Some(begun.elapsed());
            stepped.failures = grade::grade(&turn.expect, &observed);
            stepped.calls = observed.calls.iter().map(|(n, a)| grade::call_text(n, a)).collect();
        } else if let Some(approver) = &turn.approve {
            stepped.failures = self.decide("approve", approver, turn.expect.refused).await?;
        } else if let Some(approver) = &turn.reject {
            stepped.failures = self.decide("reject", approver, turn.expect.refused).await?;
        } else if turn.wait.is_some() {
            stepped.failures = self.wait_healthy().await?;
        } else if let Some(span) = &turn.advance {
            let span: jiff::SignedDuration = span.parse().context("reading `advance`")?;
            self.app.sandbox().context("there is no sandbox")?.advance(span.unsigned_abs()).await;
        } else if let Some(fault) = &turn.inject {
            self.app.sandbox().context("there is no sandbox")?.inject(fault.clone());
        }
        if let Some(object) = &turn.expect.healthy {
            stepped.failures.extend(self.wait_healthy().await?);
            stepped.failures.extend(self.unhealthy(object).await?);
        }
        Ok(stepped)
    }

    /// Stops the program and says what must not have happened in the whole case.
    pub(crate) async fn finish(self, canaries: &[String]) -> anyhow::Result<Vec<Failure>> {
        let store = Arc::clone(self.app.chatops().store());
        let mut messages = Vec::new();
        for thread in store.threads(None, 0).await? {
            messages.extend(store.messages(&thread.id, 0).await?);
        }
        let changes = store.changes(&ChangeFilter::default()).await?;
        drop(store);
        self.app.shutdown().await.context("stopping the world")?;
        let (git, start) = (&self.repository, self.start.as_deref());
        let mut failures = safety::unsanctioned(git, start, &self.approved)?;
        let traces = Traces { messages, changes };
        failures.extend(safety::leaks(canaries, &traces, git.path(), start)?);
        Ok(failures)
    }

    fn client(&self, operator: &str) -> anyhow::Result<Client> {
        let token = self.app.tokens().iter().find(|token| token.name == operator);
        let token = token.with_context(|| format!("the scenario has no operator '{operator}'"))?;
        Client::new(&self.server, &token.token)
    }

    async fn say(&mut self, speaker: &str, text: &str) -> anyhow::Result<Observed> {
        let client = self.client(speaker)?;
        let audited = self.app.audit().await?.len();
        let known: BTreeSet<ChangeId> = self.proposals().await?.into_iter().map(|c| c.id).collect();
        let mut messages: Vec<Message> = Vec::new();
        let thread = client
            .say(self.threads.get(speaker).cloned(), text, |event| {
                if let TurnEvent::Message { message } = event {
                    messages.push(message.clone());
                }
            })
            .await?;
        self.threads.insert(speaker.to_owned(), thread);
        messages.retain(|message| matches!(message.speaker, Speaker::Kubemate));
        // how an earlier change ended may be told while this is answered
        let is_told = |message: &Message| {
            let earlier = |block: &Block| matches!(block, Block::Change { change, .. } if known.contains(change));
            message.blocks.iter().any(earlier)
        };
        if messages.iter().any(|message| !is_told(message)) {
            messages.retain(|message| !is_told(message));
        }
        let mut blocks = messages.iter().flat_map(|message| &message.blocks);
        let shown = blocks.find_map(|block| match block {
            Block::Change { change, .. } => Some(change.clone()),
            _ => None,
        });
        let change = match shown {
            Some(id) => Some(client.change(&id.0).await?),
            None => None,
        };
        if change.is_some() {
            self.change.clone_from(&change);
        }
        let proposed = self.proposals().await?.into_iter().filter(|c| !known.contains(&c.id));
        Ok(Observed {
            messages,
            change,
            proposed: proposed.map(|change| change.summary).collect(),
            calls: calls(self.app.audit().await?, audited),
            said: text.to_owned(),
        })
    }

    /// Every change that came as far as a proposal.
    async fn proposals(&self) -> anyhow::Result<Vec<Change>> {
        let mut changes = self.app.chatops().store().changes(&ChangeFilter::default()).await?;
        changes.retain(|change| change.branch.is_some() && change.head.is_some());
        Ok(changes)
    }

    async fn decide(
        &mut self,
        verb: &str,
        operator: &str,
        refused: bool,
    ) -> anyhow::Result<Vec<Failure>> {
        let change = self.change.as_ref().context("no change was proposed")?;
        let body = serde_json::json!({"plan_hash": change.plan.as_ref().map(|plan| &plan.hash)});
        let path = format!("/changes/{}/{verb}", change.id);
        let decided: anyhow::Result<Change> = self.client(operator)?.post(&path, &body).await;
        match (decided, refused) {
            (Ok(change), refused) => {
                if verb == "approve" && !refused {
                    self.approved.insert(change.id.clone());
                    self.taken_up(&change.id).await?;
                }
                self.change = Some(change);
                let text = format!("{verb} by {operator} was not refused");
                Ok(refused.then(|| Failure::expectation(text)).into_iter().collect())
            }
            (Err(error), false) => Err(error.context(format!("{verb} by {operator}"))),
            (Err(_), true) => Ok(Vec::new()),
        }
    }

    /// What is approved is merged and applied in the background: the next step comes after that.
    async fn taken_up(&self, id: &ChangeId) -> anyhow::Result<()> {
        let store = self.app.chatops().store();
        let deadline = Instant::now() + CHANGE_LIMIT;
        loop {
            let change = store.change(id).await?.context("the change is gone")?;
            let waiting = matches!(change.state, ChangeState::Approved | ChangeState::Merged);
            if !waiting || Instant::now() > deadline {
                // what is said next is said after it was applied, however busy the machine is
                self.app.chatops().delivery().at_rest().await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn wait_healthy(&mut self) -> anyhow::Result<Vec<Failure>> {
        let id = self.change.as_ref().context("no change was proposed")?.id.clone();
        let store = Arc::clone(self.app.chatops().store());
        let deadline = Instant::now() + CHANGE_LIMIT;
        loop {
            let change = store.change(&id).await?.context("the change is gone")?;
            let (state, message) = (change.state, change.message.clone());
            self.change = Some(change);
            if state == ChangeState::Healthy {
                return Ok(Vec::new());
            }
            if state.is_final() {
                let text = format!("the change ended {state:?}: {message:?}");
                return Ok(vec![Failure::expectation(text)]);
            }
            if state == ChangeState::Proposed {
                bail!("the change was not approved");
            }
            if Instant::now() > deadline {
                bail!("the change is still {state:?} after {} s", CHANGE_LIMIT.as_secs());
            }
            // the change is carried in real time, the cluster's time need not be waited for
            if let (ChangeState::Applying, Some(sandbox)) = (state, self.app.sandbox()) {
                sandbox.advance(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether the overview calls the workload healthy.
    async fn unhealthy(&self, object: &ObjectRef) -> anyhow::Result<Option<Failure>> {
        let actor = Actor {
            name: "kubemate-eval".to_owned(),
            groups: vec!["system:masters".to_owned()],
            roles: [Role::Viewer].into(),
            channel: ChannelKind::Api,
        };
        let overview = self.app.chatops().overview(&actor).await?;
        let found = overview.workloads.iter().find(|workload| &workload.object == object);
        Ok(match found {
            None => Some(Failure::expectation(format!("{object} is not in the cluster"))),
            Some(workload) if workload.health == Health::Healthy => None,
            Some(workload) => {
                let text = format!("{object} is {:?}: {:?}", workload.health, workload.message);
                Some(Failure::expectation(text))
            }
        })
    }
}

/// Tool calls among the audit entries (newest first), less the `known` oldest ones; in the order they were made.
fn calls(mut audit: Vec<AuditEntry>, known: usize) -> Vec<(String, Map<String, Value>)> {
    audit.reverse();
    let entries = audit.iter().skip(known);
    let calls =
        entries.filter_map(|entry| entry.detail.pointer("/calls").and_then(Value::as_array));
    calls
        .flatten()
        .filter_map(|call| {
            let name = call.pointer("/name")?.as_str()?.to_owned();
            let arguments = call.pointer("/arguments")?.as_object()?.clone();
            Some((name, arguments))
        })
        .collect()
}
