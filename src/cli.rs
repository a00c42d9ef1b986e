//! The command line: its grammar, and each command as a function that writes to the given output.

mod ask;
mod changes;
mod doctor;
pub mod exit;
mod up;

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{app::tokens, client::Client, config::Config};

/// GitOps ChatOps for Kubernetes: requests become reviewed commits that a reconciler applies.
#[derive(Debug, Parser)]
#[command(name = "kubemate", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, global = true, env = "KUBEMATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of durable state, overriding the configuration.
    #[arg(long, global = true, env = "KUBEMATE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start everything: console, API, agent, change loop, and the sandbox when no cluster is configured.
    Up(up::UpArgs),
    /// Ask, or request a change; without text, an interactive session.
    Ask(ask::AskArgs),
    /// List changes, or show one.
    Changes(changes::ChangesArgs),
    /// Approve the plan of a change somebody else requested.
    Approve(changes::DecisionArgs),
    /// Turn a change down.
    Reject(changes::DecisionArgs),
    /// Check configuration, repository, cluster and model, and say what is wrong.
    Doctor(doctor::DoctorArgs),
    /// Run only the sandbox cluster and write a kubeconfig for kubectl.
    Sandbox(up::SandboxArgs),
    /// Print the shell completion script.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Which server, as whom.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The server; the default is the configuration's address.
    #[arg(long, env = "KUBEMATE_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Speak as this local operator, with the token kept in the data folder.
    #[arg(long = "as", value_name = "NAME")]
    pub speak_as: Option<String>,
    /// The operator's token.
    #[arg(long, env = "KUBEMATE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Print JSON for scripts, one document per line.
    #[arg(long)]
    pub json: bool,
}

impl ServerArgs {
    fn client(&self, config: &Config) -> anyhow::Result<Client> {
        let server = self.server.clone().unwrap_or_else(|| format!("http://{}", config.listen));
        let token = match &self.token {
            Some(token) => token.clone(),
            None => tokens::read(&config.data, self.speak_as.as_deref())
                .context("finding the operator's token; name one with --token")?,
        };
        Client::new(&server, &token)
    }
}

/// Runs the command line and returns the exit code.
///
/// # Errors
/// What went wrong, for the person at the terminal; [`exit::of`] gives its code.
pub async fn run(cli: Cli, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    if let Command::Completion { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "kubemate", &mut &mut *out);
        return Ok(exit::OK);
    }
    // every command may speak HTTP; a second provider changes nothing
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut config = Config::read(cli.config.as_deref())?;
    if let Some(data) = cli.data {
        config.data = data;
    }
    match cli.command {
        Command::Up(args) => up::up(config, args, out).await,
        Command::Sandbox(args) => up::sandbox(config, args, out).await,
        Command::Ask(args) => ask::ask(&config, args, out).await,
        Command::Changes(args) => changes::changes(&config, args, out).await,
        Command::Approve(args) => changes::decide(&config, "approve", args, out).await,
        Command::Reject(args) => changes::decide(&config, "reject", args, out).await,
        Command::Doctor(args) => doctor::doctor(&config, args, out).await,
        Command::Completion { .. } => Ok(exit::OK),
    }
}
