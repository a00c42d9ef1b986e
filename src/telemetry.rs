//! Logging of the process: one subscriber, text for people or JSON for collectors. Never prompts, tool output or secrets at info.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How the process logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A `tracing` filter: `info`, `kubemate=debug,warn`.
    pub filter: String,
    /// One JSON object per line instead of text.
    pub json: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { filter: "warn,kubemate=info".to_owned(), json: false }
    }
}

/// Installs the subscriber on standard error; a second call is ignored (tests start many apps in one process).
///
/// # Errors
/// When the filter cannot be parsed.
pub fn init(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|e| anyhow::anyhow!("reading log.filter '{}': {e}", config.filter))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed =
        if config.json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    if installed.is_err() {
        tracing::debug!("logging is already set up");
    }
    Ok(())
}
