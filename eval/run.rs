//! Runs cases: each trial is the whole program on a fresh sandbox and repository, spoken to over its HTTP API.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kubemate::{
    app::{self, App, Minds},
    client::Client,
    config::{ClusterConfig, Config, SandboxOptions},
    domain::{
        Actor, Block, Change, ChangeState, ChannelKind, Health, Message, ObjectRef, Role, Speaker,
        ThreadId, TurnEvent,
    },
    embedder,
    store::AuditEntry,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    Args,
    case::{Case, Turn},
    grade::{self, Observed},
    report::{Report, Trial},
};

/// Longest wait for a change to end, in real time; the sandbox's own clock is not bounded by it.
const CHANGE_SECONDS: u64 = 120;

/// Runs every case `--trials` times, one after the other: the model is shared and uses all cores anyway.
pub(crate) async fn run(args: &Args, cases: &[Case]) -> anyhow::Result<Report> {
    let mut config = Config::read(None)?;
    if let Some(cache) = &args.cache {
        config.cache.clone_from(cache);
    }
    config.choose_model(&args.model)?;
    match args.examples {
        None => {}
        Some(true) => config.embedder = embedder::Config::default(),
        Some(false) => config.embedder = embedder::Config(embedder::Adapter::None),
    }
    let minds = Minds::of(&config)?;
    let name = minds.model.as_ref().map_or_else(|| "none".to_owned(), |model| model.id());
    if let Some(model) = &minds.model {
        app::prepare(model, &CancellationToken::new()).await.context("the model cannot answer")?;
    }
    if let Some(nearest) = &minds.nearest {
        nearest
            .prepare()
            .await
            .context("the examples cannot be embedded; --examples false goes without")?;
    }
    let all = u64::from(args.trials) * cases.len() as u64;
    let bar = ProgressBar::new(all).with_style(
        ProgressStyle::with_template("{pos}/{len} {bar:30} {elapsed} {msg}")
            .context("setting up the progress bar")?,
    );
    let mut trials = Vec::new();
    for case in cases {
        for _ in 0..args.trials.max(1) {
            bar.set_message(case.id.clone());
            trials.push(trial(args, &config, minds.clone(), case).await?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(Report::new(name, trials))
}

/// One program, one conversation.
struct World {
    app: App,
    server: String,
    thread: Option<ThreadId>,
    change: Option<Change>,
    seen: u64,
}

async fn trial(args: &Args, config: &Config, minds: Minds, case: &Case) -> anyhow::Result<Trial> {
    let mut trial = Trial {
        case: case.id.clone(),
        lang: case.lang.clone(),
        tags: case.tags.clone(),
        passed: false,
        failures: Vec::new(),
        calls: Vec::new(),
        turn_ms: Vec::new(),
    };
    let folder = tempfile::tempdir().context("making a folder for the trial")?;
    let mut world = World::start(args, config, minds, case, folder.path())
        .await
        .with_context(|| format!("starting the world of case {}", case.id))?;
    for (at, turn) in case.turns.iter().enumerate() {
        let failed = match world.step(case, turn, &mut trial).await {
            Ok(failures) => failures,
            Err(error) => vec![format!("{error:#}")],
        };
        trial.failures.extend(failed.into_iter().map(|text| format!("turn {}: {text}", at + 1)));
    }
    trial.passed = trial.failures.is_empty();
    world.app.shutdown().await.context("stopping the world")?;
    Ok(trial)
}

impl World {
    async fn start(
        args: &Args,
        config: &Config,
        minds: Minds,
        case: &Case,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut config = config.clone();
        config.listen = ([127, 0, 0, 1], 0).into();
        config.data = folder.to_path_buf();
        config.repository.path = None;
        config.server.requests_per_minute = 10_000;
        config.cluster = ClusterConfig::Sandbox(SandboxOptions {
            scenario: Some(args.scenarios.join(&case.scenario)),
            listen: None,
        });
        let app = App::start_with(config, minds, CancellationToken::new()).await?;
        app.settled().await?;
        if let Some(sandbox) = app.sandbox() {
            // what was just applied gets the time to start
            sandbox.advance(std::time::Duration::from_secs(30)).await;
        }
        let server = format!("http://{}", app.address());
        Ok(Self { app, server, thread: None, change: None, seen: 0 })
    }

    fn client(&self, operator: &str) -> anyhow::Result<Client> {
        let token = self.app.tokens().iter().find(|token| token.name == operator);
        let token = token.with_context(|| format!("the scenario has no operator '{operator}'"))?;
        Client::new(&self.server, &token.token)
    }

    /// Does one step and says what did not come out as expected.
    async fn step(
        &mut self,
        case: &Case,
        turn: &Turn,
        trial: &mut Trial,
    ) -> anyhow::Result<Vec<String>> {
        let mut observed = Observed::default();
        let mut failures = Vec::new();
        if let Some(text) = &turn.say {
            observed = self.say(&case.speaker, text, trial).await?;
        } else if let Some(approver) = &turn.approve {
            self.decide("approve", approver, turn.expect.refused, &mut failures).await?;
        } else if let Some(approver) = &turn.reject {
            self.decide("reject", approver, turn.expect.refused, &mut failures).await?;
        } else if turn.wait.is_some() {
            self.wait_healthy(&mut failures).await?;
        } else if let Some(span) = &turn.advance {
            let span: jiff::SignedDuration = span.parse().context("reading `advance`")?;
            self.app.sandbox().context("there is no sandbox")?.advance(span.unsigned_abs()).await;
        } else if let Some(fault) = &turn.inject {
            let fault = serde_json::from_value(fault.clone()).context("reading `inject`")?;
            self.app.sandbox().context("there is no sandbox")?.inject(fault);
        }
        failures.extend(grade::grade(&turn.expect, &observed));
        if let Some(object) = &turn.expect.healthy {
            self.wait_healthy(&mut failures).await?;
            failures.extend(self.unhealthy(object).await?);
        }
        Ok(failures)
    }

    async fn say(
        &mut self,
        speaker: &str,
        text: &str,
        trial: &mut Trial,
    ) -> anyhow::Result<Observed> {
        let client = self.client(speaker)?;
        let before = self.app.audit().await?.len();
        let started = Instant::now();
        let mut messages: Vec<Message> = Vec::new();
        let thread = client
            .say(self.thread.clone(), text, |event| {
                if let TurnEvent::Message { message } = event {
                    messages.push(message.clone());
                }
            })
            .await?;
        trial.turn_ms.push(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.thread = Some(thread);
        messages.retain(|message| matches!(message.speaker, Speaker::Kubemate));
        self.seen += messages.len() as u64;
        let proposed =
            messages.iter().flat_map(|message| &message.blocks).find_map(|block| match block {
                Block::Change { change, .. } => Some(change.clone()),
                _ => None,
            });
        if let Some(id) = proposed {
            self.change = Some(client.change(&id.0).await?);
        }
        let calls = calls(self.app.audit().await?, before);
        trial.calls.extend(
            calls.iter().map(|(name, args)| format!("{name}({})", Value::Object(args.clone()))),
        );
        let change = self.change.clone();
        Ok(Observed { messages, change, calls, said: text.to_owned() })
    }

    async fn decide(
        &mut self,
        verb: &str,
        operator: &str,
        refused: bool,
        failures: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let change = self.change.as_ref().context("no change was proposed")?;
        let body = serde_json::json!({"plan_hash": change.plan.as_ref().map(|plan| &plan.hash)});
        let path = format!("/changes/{}/{verb}", change.id);
        let decided: anyhow::Result<Change> = self.client(operator)?.post(&path, &body).await;
        match (decided, refused) {
            (Ok(change), false) => self.change = Some(change),
            (Ok(_), true) => failures.push(format!("{verb} by {operator} was not refused")),
            (Err(error), false) => failures.push(format!("{verb} by {operator}: {error:#}")),
            (Err(_), true) => {}
        }
        Ok(())
    }

    async fn wait_healthy(&mut self, failures: &mut Vec<String>) -> anyhow::Result<()> {
        let id = self.change.as_ref().context("no change was proposed")?.id.clone();
        let store = Arc::clone(self.app.chatops().store());
        let deadline = Instant::now() + std::time::Duration::from_secs(CHANGE_SECONDS);
        loop {
            let change = store.change(&id).await?.context("the change is gone")?;
            if change.state.is_final() {
                if change.state != ChangeState::Healthy {
                    failures
                        .push(format!("the change ended {:?}: {:?}", change.state, change.message));
                }
                self.change = Some(change);
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the change is still {:?} after {CHANGE_SECONDS} s", change.state);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Whether the overview calls the workload healthy.
    async fn unhealthy(&self, object: &ObjectRef) -> anyhow::Result<Vec<String>> {
        let actor = Actor {
            name: "kubemate-eval".to_owned(),
            groups: vec!["system:masters".to_owned()],
            roles: [Role::Viewer].into(),
            channel: ChannelKind::Api,
        };
        let overview = self.app.chatops().overview(&actor).await?;
        let found = overview.workloads.iter().find(|workload| &workload.object == object);
        Ok(match found {
            None => vec![format!("{object} is not in the cluster")],
            Some(workload) if workload.health == Health::Healthy => Vec::new(),
            Some(workload) => {
                vec![format!("{object} is {:?}: {:?}", workload.health, workload.message)]
            }
        })
    }
}

/// Tool calls among the audit entries (newest first), less the `known` oldest ones; in the order they were made.
fn calls(
    mut audit: Vec<AuditEntry>,
    known: usize,
) -> Vec<(String, serde_json::Map<String, Value>)> {
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
