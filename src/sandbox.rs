//! The sandbox: an in-process Kubernetes cluster on loopback, for newcomers, evaluation and tests.
//!
//! `api` serves the HTTP API over `storage`; `control` runs the controllers, scheduler and simulated kubelet on the same
//! storage with the sandbox's own clock; `scenario` loads a world. Depends on `domain` only.

pub mod api;
pub mod api_error;
mod bootstrap;
pub mod clock;
mod control;
pub mod fault;
mod resource;
pub mod scenario;
mod state;
pub mod storage;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use jiff::Timestamp;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{
    api::ApiState,
    clock::Clock,
    control::{Command, Control, Gauge, Journal, Settings},
    fault::{Fault, Faults},
    scenario::Scenario,
    state::{Saved, StateFile},
    storage::Storage,
};

/// How often a cluster that changed is written to its state file.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// What a sandbox is started with.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where the API server listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The world to start with; three empty machines when absent.
    pub scenario: Option<Scenario>,
    /// The file that the cluster is kept in; it takes the scenario's place when it is there.
    pub state: Option<PathBuf>,
}

/// A running sandbox cluster. Dropping it stops it at once; [`Sandbox::shutdown`] saves it first.
pub struct Sandbox {
    url: String,
    admin_token: String,
    clock: Clock,
    storage: Storage,
    faults: Faults,
    commands: mpsc::Sender<Command>,
    state: Option<StateFile>,
    stop: CancellationToken,
    tasks: Mutex<JoinSet<anyhow::Result<()>>>,
}

impl Sandbox {
    /// Starts a cluster with the scenario's machines and objects, or as the state file has it.
    ///
    /// The scenario's manifests are not applied: that is the reconciler's work.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the state file cannot be read.
    pub async fn start(config: SandboxConfig) -> anyhow::Result<Self> {
        let scenario = config.scenario.unwrap_or_default();
        let saved = config.state.as_deref().map(state::read).transpose()?.flatten();
        let clock = Clock::starting_at(start_time(&scenario, saved.as_ref()), scenario.speed);
        let storage = Storage::new(clock.clone());
        let faults = Faults::default();
        let admin_token = match &saved {
            Some(saved) => saved.admin_token.clone(),
            None => hex::encode(rand::random::<[u8; 16]>()),
        };
        match saved {
            Some(saved) => {
                storage.restore(&saved.objects).context("restoring the saved sandbox")?;
                faults.restore(saved.faults);
            }
            None => bootstrap::fill(&storage, &scenario)?,
        }
        if faults.all().is_empty() {
            scenario.faults.iter().for_each(|fault| faults.inject(fault.clone(), clock.now()));
        }
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!("listening on {} for the sandbox's API server", config.listen)
        })?;
        let address = listener.local_addr().context("reading the sandbox's address")?;

        let stop = CancellationToken::new();
        let (commands, inbox) = mpsc::channel(16);
        let pod_start = Duration::from_secs_f64(scenario.pod_start_seconds);
        let settings = Settings::new(pod_start, scenario.registry.clone());
        let control = Control::new(storage.clone(), faults.clone(), settings);
        let state = config
            .state
            .map(|path| StateFile::new(path, admin_token.clone(), storage.clone(), faults.clone()));
        let activity = control.activity();
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let stop = stop.clone();
            async move {
                control.run(inbox, stop).await;
                Ok(())
            }
        });
        if let Some(state) = state.clone() {
            let stop = stop.clone();
            tasks.spawn(async move { state.keep(SAVE_EVERY, &activity, &stop).await });
        }
        tasks.spawn({
            let journal = Journal::new(storage.clone(), faults.clone(), scenario.logs);
            let state = ApiState::new(storage.clone(), Some(admin_token.clone()))
                .with_logs(Arc::new(journal))
                .with_metrics(Arc::new(Gauge::new(storage.clone(), faults.clone())));
            let stop = stop.clone();
            async move {
                api::serve(listener, state, stop).await.context("serving the sandbox's API")
            }
        });
        let tasks = Mutex::new(tasks);
        let url = format!("http://{address}");
        let sandbox =
            Self { url, admin_token, clock, storage, faults, commands, state, stop, tasks };
        sandbox.settle().await;
        Ok(sandbox)
    }

    /// Where the API server is: `http://127.0.0.1:41234`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bearer token of the one who may do everything.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// A kubeconfig for the admin, as YAML.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        api::kubeconfig(&self.url, &self.admin_token)
    }

    /// The cluster's time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The cluster's objects.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Makes something go wrong from now on.
    pub fn inject(&self, fault: Fault) {
        self.faults.inject(fault, self.clock.now());
    }

    /// Ends all faults; what they broke recovers as it would in a real cluster.
    pub fn clear_faults(&self) {
        self.faults.clear(|_| true);
    }

    /// Moves the cluster's time forward; controllers act at every moment in between. Returns when all is done.
    pub async fn advance(&self, by: Duration) {
        self.ask(|answer| Command::Advance(by, answer)).await;
    }

    /// Returns when the controllers have done everything that is due now.
    pub async fn settle(&self) {
        self.ask(Command::Settle).await;
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (answer, done) = oneshot::channel();
        // a loop that has stopped has nothing left to do
        if self.commands.send(command(answer)).await.is_ok() {
            let _ = done.await;
        }
    }

    /// Writes the cluster to `path`, all or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save(&self, path: &Path) -> anyhow::Result<()> {
        let (storage, faults) = (self.storage.clone(), self.faults.clone());
        StateFile::new(path.to_owned(), self.admin_token.clone(), storage, faults).save().await
    }

    /// Stops the controllers and the API server and saves the cluster where it has a state file.
    ///
    /// # Errors
    /// When a part failed or the state cannot be written.
    pub async fn shutdown(&self) -> anyhow::Result<()> {
        self.stop.cancel();
        let mut tasks = self.tasks.lock().await;
        let mut result = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.context("a part of the sandbox panicked").and_then(|ended| ended);
            result = result.and(ended);
        }
        if let Some(state) = &self.state {
            result = result.and(state.save().await);
        }
        result
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A new cluster starts when the scenario says; a saved one goes on where it was, or at the real time where that is what
/// it follows.
fn start_time(scenario: &Scenario, saved: Option<&Saved>) -> Timestamp {
    let real = Timestamp::now();
    match (saved, scenario.start) {
        (None, start) => start.unwrap_or(real),
        (Some(saved), Some(_)) => saved.now,
        (Some(saved), None) => saved.now.max(real),
    }
}
