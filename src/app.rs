//! The wiring: builds every part from the configuration, runs them, and stops them in order.

pub mod folder;
mod minds;
mod prepare;
mod sample;
pub mod tokens;

pub use minds::Minds;
pub use prepare::prepare;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Agent, AgentParts},
    chatops::{ChatOps, ChatOpsParts, inventory::Inventories},
    cluster::Cluster,
    config::{ClusterConfig, Config, KubeconfigOptions, OperatorConfig, SandboxOptions},
    delivery::{Delivery, DeliveryParts},
    domain::{Actor, ChannelKind},
    forge::{Forge, local::LocalForge},
    gitops::tree::Tree,
    model::{self, SharedModel},
    prompt::Prompts,
    sandbox::{Sandbox, SandboxConfig, scenario::Scenario},
    server::{
        self, Metrics, ServerParts, ServerState,
        auth::{self, Operator, Operators},
    },
    store::{AuditEntry, AuditFilter, Store, sqlite::Sqlite},
    tool,
    worktree::{Author, MAIN, Repository},
};
use tokens::Token;

/// The running program.
pub struct App {
    address: SocketAddr,
    chatops: Arc<ChatOps>,
    sandbox: Option<Arc<Sandbox>>,
    model: Option<SharedModel>,
    tokens: Vec<Token>,
    new_tokens: bool,
    data: PathBuf,
    cluster_name: String,
    tasks: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    /// Held as long as the program uses the data folder.
    _lock: std::fs::File,
}

impl App {
    /// Starts everything with the configured model; `stop` ends it.
    ///
    /// # Errors
    /// What could not be started and what to do about it.
    pub async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<Self> {
        let minds = Minds::of(&config)?;
        let mut app = Self::start_with(config, minds.clone(), stop.clone()).await?;
        // fetched and loaded while the operator looks around; typed commands work meanwhile
        app.tasks.spawn(async move {
            minds.prepare(&stop).await;
            stop.cancelled().await;
            Ok(())
        });
        Ok(app)
    }

    /// Starts everything with the given models (evaluation shares them among many programs, tests script theirs).
    ///
    /// # Errors
    /// What could not be started and what to do about it.
    pub async fn start_with(
        config: Config,
        minds: impl Into<Minds>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        install_tls();
        let minds = minds.into();
        let model = minds.model.clone();
        let lock = folder::lock(&config.data)?;
        let scenario = scenario(&config)?;
        let sandbox = match &scenario {
            Some(_) => Some(Arc::new(start_sandbox(&config).await?)),
            None => None,
        };
        if let Some(sandbox) = &sandbox {
            folder::write_kubeconfig(&config.data, &sandbox.kubeconfig())?;
        }
        let (client_config, cluster_name) = client_config(&config, sandbox.as_deref()).await?;
        let operators = operators(&config, scenario.as_ref());
        let names: Vec<String> = operators.iter().map(|operator| operator.name.clone()).collect();
        let (tokens, new_tokens) = tokens::ensure(&config.data, &names)?;

        let repository = open_repository(&config, scenario.as_ref())?;
        let cluster = match sandbox.as_deref().map(|sandbox| sandbox.clock().clone()) {
            Some(clock) => Cluster::with_clock(client_config, Arc::new(move || clock.now())),
            None => Cluster::new(client_config),
        };
        let chatops = conversations(&config, cluster, repository, minds, stop.child_token())?;
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!(
                "listening on {}; is another kubemate running? --listen takes another address",
                config.listen
            )
        })?;
        let address = listener.local_addr().context("reading the address")?;
        let key = auth::session_key(&config.data.join("session.key"))?;
        let operators = Operators::new(with_tokens(operators, &tokens), key)
            .context("reading the operators")?;
        let mut registry = prometheus_client::registry::Registry::default();
        let state = ServerState::new(ServerParts {
            chatops: Arc::clone(&chatops),
            operators,
            model: model.clone(),
            metrics: Metrics::register(&mut registry),
            registry: Arc::new(registry),
            config: config.server.clone(),
            cancel: stop.child_token(),
        });
        let tasks = run_parts(&chatops, listener, state, &stop.child_token());
        Ok(Self {
            address,
            chatops,
            sandbox,
            model,
            tokens,
            new_tokens,
            data: config.data,
            cluster_name,
            tasks,
            stop,
            _lock: lock,
        })
    }

    /// Runs until `stop` fires or a part fails, then drains and stops the rest.
    ///
    /// # Errors
    /// The first part's failure.
    pub async fn wait(mut self) -> anyhow::Result<()> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.context("a part of the program panicked").and_then(|ended| ended);
            if result.is_ok() && ended.is_err() {
                result = ended;
            }
            // one part down means all down: a supervisor restarts the whole
            self.stop.cancel();
        }
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.shutdown().await?;
        }
        result
    }

    /// Stops and waits.
    ///
    /// # Errors
    /// As [`App::wait`].
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.wait().await
    }

    /// Waits until the cluster was brought to the main branch once, and what it declares is healthy or has failed.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn settled(&self) -> anyhow::Result<()> {
        self.chatops.delivery().synced().await;
        if let Some(sandbox) = &self.sandbox {
            sandbox.settle().await;
        }
        Ok(())
    }

    /// The audit log, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit(&self) -> anyhow::Result<Vec<AuditEntry>> {
        Ok(self.chatops.store().audit(&AuditFilter::default()).await?)
    }

    /// Where the console and API listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The conversations.
    #[must_use]
    pub fn chatops(&self) -> &Arc<ChatOps> {
        &self.chatops
    }

    /// The kubeconfig of the sandbox's admin, when the cluster is one.
    #[must_use]
    pub fn kubeconfig(&self) -> Option<PathBuf> {
        self.sandbox.as_ref().map(|_| folder::kubeconfig(self.data()))
    }

    /// The sandbox, when the cluster is one.
    #[must_use]
    pub fn sandbox(&self) -> Option<&Arc<Sandbox>> {
        self.sandbox.as_ref()
    }

    /// `adapter:name` of the model.
    #[must_use]
    pub fn model_id(&self) -> Option<String> {
        self.model.as_ref().map(|model| model.id())
    }

    /// What the cluster is called.
    #[must_use]
    pub fn cluster_name(&self) -> &str {
        &self.cluster_name
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Tokens of the local operators.
    #[must_use]
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Whether tokens were made by this start.
    #[must_use]
    pub fn tokens_are_new(&self) -> bool {
        self.new_tokens
    }
}

/// Everything that runs until `cancel` fires.
fn run_parts(
    chatops: &Arc<ChatOps>,
    listener: TcpListener,
    state: Arc<ServerState>,
    cancel: &CancellationToken,
) -> JoinSet<anyhow::Result<()>> {
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (delivery, cancel) = (Arc::clone(chatops.delivery()), cancel.clone());
        async move { delivery.run(cancel).await.context("running the change loop") }
    });
    tasks.spawn({
        let chatops = Arc::clone(chatops);
        async move { chatops.run().await.context("running the conversations") }
    });
    tasks.spawn({
        let cancel = cancel.clone();
        async move {
            server::serve(listener, server::router(state), cancel).await.context("serving HTTP")
        }
    });
    tasks
}

/// The store, the change loop, the agent with its tools, and the conversations over them.
fn conversations(
    config: &Config,
    cluster: Cluster,
    repository: Repository,
    minds: Minds,
    cancel: CancellationToken,
) -> anyhow::Result<Arc<ChatOps>> {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&config.data.join("kubemate.db"))?);
    let forge: Arc<dyn Forge> = Arc::new(LocalForge::new(repository.clone()));
    let client = kube::Client::try_from(cluster.config().clone())
        .context("setting up the cluster client")?;
    let delivery = Delivery::new(DeliveryParts {
        store: Arc::clone(&store),
        forge,
        repository: repository.clone(),
        client,
        policy: config.policy.clone(),
        config: config.reconcile.clone(),
    });
    let tools = tool::registry(&cluster, &repository).context("putting the tools together")?;
    let agent = Arc::new(Agent::new(AgentParts {
        model: minds.model,
        tools: Arc::new(tools),
        prompts: Arc::new(Prompts::load()?),
        nearest: minds.nearest,
        budget: config.agent.clone(),
    }));
    let inventories = Inventories::new(cluster.clone(), Arc::clone(&delivery));
    let parts = ChatOpsParts {
        store,
        agent,
        delivery: Arc::clone(&delivery),
        inventories,
        cluster,
        config: config.chat.clone(),
    };
    Ok(ChatOps::new(parts, cancel))
}

/// The configured models as one, `None` when there is none.
///
/// # Errors
/// When the configuration of a model is wrong.
pub fn model(config: &Config) -> anyhow::Result<Option<SharedModel>> {
    install_tls();
    if config.model.models.is_empty() {
        return Ok(None);
    }
    model::build(&config.model, &config.cache).map(Some).context("setting up the model")
}

/// Starts the sandbox cluster of the configuration.
///
/// # Errors
/// When the scenario is wrong or the address is taken.
pub async fn start_sandbox(config: &Config) -> anyhow::Result<Sandbox> {
    let listen = match &config.cluster {
        ClusterConfig::Sandbox(SandboxOptions { listen: Some(listen), .. }) => *listen,
        _ => SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("making the data folder {}", config.data.display()))?;
    let state = Some(config.data.join("sandbox.json"));
    Sandbox::start(SandboxConfig { listen, scenario: scenario(config)?, state })
        .await
        .context("starting the sandbox cluster")
}

/// Where the repository is.
#[must_use]
pub fn repository_path(config: &Config) -> PathBuf {
    config.repository.path.clone().unwrap_or_else(|| config.data.join("repository.git"))
}

/// The files of the repository's main branch.
///
/// # Errors
/// When it cannot be read.
pub fn read_repository(config: &Config) -> anyhow::Result<Tree> {
    let repository = Repository::open_or_init(&repository_path(config))?;
    let head = repository.head(MAIN)?.context("the repository has no main branch")?;
    Ok(repository.tree(&head)?)
}

/// The client configuration of a real cluster.
///
/// # Errors
/// When there is no kubeconfig, or not this context.
pub async fn kubeconfig(options: &KubeconfigOptions) -> anyhow::Result<kube::Config> {
    install_tls();
    let selected = kube::config::KubeConfigOptions {
        context: options.context.clone(),
        ..kube::config::KubeConfigOptions::default()
    };
    match &options.path {
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("reading the kubeconfig {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &selected)
                .await
                .context("reading the kubeconfig")
        }
        None if options.context.is_some() => {
            kube::Config::from_kubeconfig(&selected).await.context("reading the kubeconfig")
        }
        None => kube::Config::infer()
            .await
            .context("finding a cluster: neither in one nor a kubeconfig"),
    }
}

/// One crypto provider for the whole program; a second call changes nothing.
fn install_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// The scenario of the sandbox; `None` when the cluster is a real one.
fn scenario(config: &Config) -> anyhow::Result<Option<Scenario>> {
    let ClusterConfig::Sandbox(options) = &config.cluster else { return Ok(None) };
    let folder = match &options.scenario {
        Some(folder) => folder.clone(),
        None => sample::unpack(&config.data)?,
    };
    Ok(Some(Scenario::load(&folder)?))
}

async fn client_config(
    config: &Config,
    sandbox: Option<&Sandbox>,
) -> anyhow::Result<(kube::Config, String)> {
    match (&config.cluster, sandbox) {
        (ClusterConfig::Kubeconfig(options), _) => {
            let client = kubeconfig(options).await?;
            let name = client.cluster_url.to_string();
            Ok((client, name))
        }
        (ClusterConfig::Sandbox(_), sandbox) => {
            let sandbox = sandbox.context("the sandbox was not started")?;
            let url = sandbox.url().parse().context("reading the sandbox's address")?;
            let mut client = kube::Config::new(url);
            client.auth_info.token = Some(sandbox.admin_token().to_owned().into());
            Ok((client, format!("sandbox on {}", sandbox.url())))
        }
    }
}

fn operators(config: &Config, scenario: Option<&Scenario>) -> Vec<OperatorConfig> {
    if !config.operators.is_empty() {
        return config.operators.clone();
    }
    let of_scenario = scenario.map(|scenario| scenario.operators.as_slice()).unwrap_or_default();
    of_scenario
        .iter()
        .map(|operator| OperatorConfig {
            name: operator.name.clone(),
            groups: operator.groups.clone(),
            roles: operator.roles.iter().copied().collect(),
            lang: operator.lang,
            token: None,
        })
        .collect()
}

fn with_tokens(operators: Vec<OperatorConfig>, tokens: &[Token]) -> Vec<Operator> {
    let made = |name: &str| tokens.iter().find(|token| token.name == name);
    operators
        .into_iter()
        .filter_map(|operator| {
            let token = match &operator.token {
                Some(token) => token.expose_secret().to_owned(),
                None => made(&operator.name)?.token.clone(),
            };
            let actor = Actor {
                name: operator.name,
                groups: operator.groups,
                roles: operator.roles,
                channel: ChannelKind::Api,
            };
            Some(Operator { actor, lang: operator.lang, token: token.into() })
        })
        .collect()
}

/// Opens the repository, or makes it from the scenario's manifests.
fn open_repository(config: &Config, scenario: Option<&Scenario>) -> anyhow::Result<Repository> {
    let path = repository_path(config);
    if scenario.is_none() && !path.exists() {
        anyhow::bail!(
            "there is no repository at {}; set repository.path to a bare clone of your manifests",
            path.display()
        );
    }
    let repository = Repository::open_or_init(&path)?;
    if let Some(scenario) = scenario {
        repository.import(
            &scenario.manifests,
            "Import the scenario's manifests",
            &Author::kubemate(),
        )?;
    }
    Ok(repository)
}
