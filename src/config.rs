//! The configuration: read once, whole, typed, strict. The only place that looks at files and environment for settings.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    agent, chatops,
    domain::{Lang, Role},
    embedder, model, policy, reconcile, server, telemetry,
};

/// Everything that can be set. Every key is optional; unknown keys are errors.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the console and API listen. Anything but loopback should sit behind TLS.
    pub listen: SocketAddr,
    /// Folder of all durable state (database, repository, sandbox state, tokens).
    pub data: PathBuf,
    /// Folder of models and prefix caches, shared between installations.
    pub cache: PathBuf,
    /// The cluster that is watched and reconciled.
    pub cluster: ClusterConfig,
    /// The repository of manifests.
    pub repository: RepositoryConfig,
    /// Local operators. Empty: those of the sandbox scenario, with tokens made at the first start.
    pub operators: Vec<OperatorConfig>,
    /// Models in fallback order; empty is "no model": typed commands only.
    pub model: model::Config,
    /// Sentence embeddings; without them the words of a request decide alone.
    pub embedder: embedder::Config,
    /// Bounds of a turn.
    pub agent: agent::Config,
    /// Conversation limits.
    pub chat: chatops::Config,
    /// Who may approve what.
    pub policy: policy::Config,
    /// Applying and waiting for health.
    pub reconcile: reconcile::Config,
    /// HTTP limits.
    pub server: server::Config,
    /// Logging.
    pub log: telemetry::Config,
}

/// The cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterConfig {
    /// The built-in sandbox.
    Sandbox(SandboxOptions),
    /// A real cluster.
    Kubeconfig(KubeconfigOptions),
}

/// The built-in sandbox.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxOptions {
    /// Folder of a scenario (`scenario.yaml` and manifests); none is the built-in sample.
    pub scenario: Option<PathBuf>,
    /// Where the sandbox's API server listens; port 0 picks a free one.
    pub listen: Option<SocketAddr>,
}

/// A real cluster.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubeconfigOptions {
    /// The file; none is the in-cluster account or `~/.kube/config`.
    pub path: Option<PathBuf>,
    /// The context; none is the current one.
    pub context: Option<String>,
}

/// The repository of manifests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepositoryConfig {
    /// A bare repository; none is `repository.git` in the data folder, made from the scenario's manifests at the first start.
    pub path: Option<PathBuf>,
}

/// A local operator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorConfig {
    /// Login name and Kubernetes user.
    pub name: String,
    /// Kubernetes groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Roles in kubemate.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Preferred language.
    #[serde(default)]
    pub lang: Option<Lang>,
    /// The token; none is made at the first start and kept in the data folder.
    #[serde(default)]
    pub token: Option<SecretString>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: PathBuf::from("kubemate-data"),
            cache: PathBuf::from("kubemate-cache"),
            cluster: ClusterConfig::Sandbox(SandboxOptions::default()),
            repository: RepositoryConfig::default(),
            operators: Vec::new(),
            model: model::Config::default(),
            embedder: embedder::Config::default(),
            agent: agent::Config::default(),
            chat: chatops::Config::default(),
            policy: policy::Config::default(),
            reconcile: reconcile::Config::default(),
            server: server::Config::default(),
            log: telemetry::Config::default(),
        }
    }
}

impl Config {
    /// Reads `file` (or only the defaults when there is none) and places data and cache in the user's folders.
    ///
    /// # Errors
    /// With <file:line> and a did-you-mean when the file cannot be read or has an unknown key.
    pub fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut config = match file {
            None => Self::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("reading the configuration {}", path.display()))?;
                Self::parse(&text)
                    .with_context(|| format!("reading the configuration {}", path.display()))?
            }
        };
        let defaults = Self::default();
        if config.data == defaults.data {
            config.data = user_folder("XDG_DATA_HOME", ".local/share")?;
        }
        if config.cache == defaults.cache {
            config.cache = user_folder("XDG_CACHE_HOME", ".cache")?;
        }
        Ok(config)
    }

    /// Replaces the configured models by the one of the command line; `none` is none, and nothing is fetched then.
    ///
    /// # Errors
    /// When `spec` names no model.
    pub fn choose_model(&mut self, spec: &str) -> anyhow::Result<()> {
        self.model.models = match spec {
            "none" => {
                self.embedder = embedder::Config(embedder::Adapter::None);
                Vec::new()
            }
            spec => vec![spec.parse().with_context(|| format!("reading --model {spec}"))?],
        };
        Ok(())
    }

    /// Parses the text of a configuration file.
    ///
    /// # Errors
    /// With line and column and, for an unknown key, the nearest known one.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        match serde_saphyr::from_str(text) {
            Ok(config) => Ok(config),
            Err(error) => bail!("{}", with_suggestion(&error.to_string())),
        }
    }
}

/// Adds the nearest known name to "unknown field `x`, expected one of `a`, `b`", whatever is unknown.
#[must_use]
pub fn with_suggestion(message: &str) -> String {
    let nearest = message.split_once("`, expected one of ").and_then(|(said, rest)| {
        let (_, wrong) = said.rsplit_once('`')?;
        // the list ends with the line, or where a parser says its position
        let list = rest.lines().next()?.split(" at line ").next()?;
        let known = list.split(", ").map(|key| key.trim_matches('`'));
        known
            .map(|known| (strsim::damerau_levenshtein(wrong, known), known))
            .filter(|(distance, known)| *distance <= 1 + known.len() / 3)
            .min()
    });
    match nearest {
        Some((_, known)) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
fn user_folder(variable: &str, below_home: &str) -> anyhow::Result<PathBuf> {
    let base = std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(below_home)))
        .with_context(|| {
            format!("finding the user's folders: neither {variable} nor HOME is set; set `data` and `cache` in the configuration")
        })?;
    Ok(base.join("kubemate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_errors_with_a_suggestion() {
        let error = Config::parse("listn: 127.0.0.1:1\n").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("did you mean `listen`"), "{error}");
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = Config::parse("{}").unwrap();
        assert_eq!(config.listen.port(), 8080);
    }

    #[test]
    fn operators_and_scenario_are_read() {
        let config = Config::parse(
            "cluster: {sandbox: {scenario: worlds/bank}}\noperators:\n- {name: li, roles: [operator], groups: [ops]}\n",
        )
        .unwrap();
        assert_eq!(config.operators[0].name, "li");
        let ClusterConfig::Sandbox(options) = config.cluster else { unreachable!("a sandbox") };
        assert_eq!(options.scenario, Some(PathBuf::from("worlds/bank")));
    }
}
