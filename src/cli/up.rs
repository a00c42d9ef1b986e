//! `kubemate up` and `kubemate sandbox`: run until told to stop.

use std::{io::Write, net::SocketAddr, path::PathBuf};

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit;
use crate::{
    app::{self, App},
    config::{ClusterConfig, Config, SandboxOptions},
    telemetry,
};

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Where the console and API listen.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Model: `none`, `candle[:NAME or GGUF]`, `ollama:NAME`, `openai:NAME`, `scripted:FILE`.
    #[arg(long, value_name = "SPEC")]
    model: Option<String>,
    /// Run the sandbox with this scenario instead of the built-in sample.
    #[arg(long, value_name = "DIR")]
    scenario: Option<PathBuf>,
}

/// Arguments of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Where the API server listens; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// A scenario instead of the built-in sample.
    #[arg(long, value_name = "DIR")]
    scenario: Option<PathBuf>,
    /// Where to write the kubeconfig.
    #[arg(long, value_name = "FILE", default_value = "kubeconfig")]
    kubeconfig: PathBuf,
}

/// Starts everything and runs until SIGTERM or SIGINT; a second one aborts.
pub(super) async fn up(
    mut config: Config,
    args: UpArgs,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    telemetry::init(&config.log)?;
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if let Some(model) = args.model {
        config.choose_model(&model)?;
    }
    if let Some(scenario) = args.scenario {
        let listen = match &config.cluster {
            ClusterConfig::Sandbox(options) => options.listen,
            ClusterConfig::Kubeconfig(_) => None,
        };
        config.cluster =
            ClusterConfig::Sandbox(SandboxOptions { scenario: Some(scenario), listen });
    }
    let stop = stop_on_signal()?;
    let app = App::start(config, stop.clone()).await?;
    banner(&app, out)?;
    app.wait().await?;
    Ok(exit::OK)
}

/// Runs only the sandbox.
pub(super) async fn sandbox(
    mut config: Config,
    args: SandboxArgs,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    telemetry::init(&config.log)?;
    config.cluster = ClusterConfig::Sandbox(SandboxOptions {
        scenario: args.scenario,
        listen: Some(args.listen),
    });
    let stop = stop_on_signal()?;
    // the state in the data folder is one process's
    let _lock = app::folder::lock(&config.data)?;
    let sandbox = app::start_sandbox(&config).await?;
    std::fs::write(&args.kubeconfig, sandbox.kubeconfig())
        .with_context(|| format!("writing {}", args.kubeconfig.display()))?;
    writeln!(out, "sandbox cluster on {}", sandbox.url())?;
    writeln!(out, "kubectl --kubeconfig {} get nodes", args.kubeconfig.display())?;
    out.flush()?;
    stop.cancelled().await;
    sandbox.shutdown().await?;
    Ok(exit::OK)
}

fn banner(app: &App, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    writeln!(out, "kubemate is ready: http://{}", app.address())?;
    writeln!(
        out,
        "  model    {}",
        app.model_id().map_or_else(
            || "none (typed commands: /help)".to_owned(),
            |id| format!("{id}, prepared in the background; typed commands (/help) work meanwhile"),
        )
    )?;
    writeln!(out, "  cluster  {}", app.cluster_name())?;
    writeln!(out, "  data     {}", app.data().display())?;
    if let Some(kubeconfig) = app.kubeconfig() {
        writeln!(out, "  kubectl  kubectl --kubeconfig {} get pods -A", kubeconfig.display())?;
    }
    if app.tokens_are_new() {
        writeln!(
            out,
            "Tokens to log in with, made just now and kept in {}:",
            app.data().join("tokens.json").display()
        )?;
        for token in app.tokens() {
            writeln!(out, "  {:10} {}", token.name, token.token)?;
        }
    } else {
        writeln!(out, "  tokens   {}", app.data().join("tokens.json").display())?;
    }
    out.flush()?;
    Ok(())
}

/// The first SIGTERM or SIGINT drains, the second ends the process at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let stop = CancellationToken::new();
    let fired = stop.clone();
    let wait = move || async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if fired.is_cancelled() {
                std::process::abort();
            }
            fired.cancel();
        }
    };
    #[expect(clippy::disallowed_methods, reason = "lives as long as the process and owns nothing")]
    tokio::spawn(wait());
    Ok(stop)
}
