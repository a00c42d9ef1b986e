//! `kubemate doctor`: what works, what does not, and what to do about it.

use std::{io::Write, path::Path};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::exit;
use crate::{
    app,
    config::{ClusterConfig, Config},
    embedder,
    gitops::{render, unit},
};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The server; the default is the configuration's address.
    #[arg(long, env = "KUBEMATE_SERVER", value_name = "URL")]
    server: Option<String>,
    /// Print JSON, one check per line.
    #[arg(long)]
    json: bool,
}

/// One check's result.
struct Check {
    name: &'static str,
    result: Result<String, String>,
}

/// Runs every check; nothing is changed.
pub(super) async fn doctor(
    config: &Config,
    args: DoctorArgs,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let checks = [
        Check { name: "data", result: data(&config.data) },
        Check { name: "repository", result: repository(config).map_err(said) },
        Check { name: "cluster", result: cluster(config).await.map_err(said) },
        Check { name: "model", result: model(config).await.map_err(said) },
        Check { name: "embedder", result: embedder(config).await.map_err(said) },
        Check { name: "server", result: server(config, args.server).await.map_err(said) },
    ];
    for Check { name, result } in &checks {
        let (state, text) = match result {
            Ok(text) => ("ok", text),
            Err(text) => ("bad", text),
        };
        if args.json {
            writeln!(out, "{}", json!({"check": name, "ok": result.is_ok(), "text": text}))?;
        } else {
            writeln!(out, "{state:4} {name:11} {text}")?;
        }
    }
    Ok(if checks.iter().all(|check| check.result.is_ok()) { exit::OK } else { exit::FAILED })
}

fn said(error: anyhow::Error) -> String {
    format!("{error:#}")
}

fn data(folder: &Path) -> Result<String, String> {
    if !folder.exists() {
        return Ok(format!("{} will be made at the first start", folder.display()));
    }
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(format!("{} is writable", folder.display())),
        Err(error) => Err(format!("{} cannot be written: {error}", folder.display())),
    }
}

fn repository(config: &Config) -> anyhow::Result<String> {
    let path = app::repository_path(config);
    if !path.exists() && config.repository.path.is_some() {
        anyhow::bail!(
            "{} does not exist: clone the manifests there (git clone --bare), or leave repository.path out",
            path.display()
        );
    }
    if !path.exists() {
        return Ok(format!("{} will be made at the first start", path.display()));
    }
    let tree = app::read_repository(config)?;
    let units = unit::discover(&tree)?;
    let mut objects = 0;
    for unit in &units {
        objects += render::render(&tree, unit)?.len();
    }
    Ok(format!("{}: {} units render to {objects} objects", path.display(), units.len()))
}

async fn cluster(config: &Config) -> anyhow::Result<String> {
    match &config.cluster {
        ClusterConfig::Sandbox(_) => {
            Ok("the built-in sandbox, started with `kubemate up`".to_owned())
        }
        ClusterConfig::Kubeconfig(options) => {
            let config = app::kubeconfig(options).await?;
            let asking = format!(
                "asking the API server at {}; is it up, and is this the right kubeconfig and context?",
                config.cluster_url
            );
            let client = kube::Client::try_from(config)?;
            let version = client.apiserver_version().await.context(asking)?;
            Ok(format!("answers as Kubernetes {}", version.git_version))
        }
    }
}

/// Each model by itself: one that works hides none that does not.
async fn model(config: &Config) -> anyhow::Result<String> {
    let (mut able, mut unable) = (Vec::new(), Vec::new());
    for adapter in &config.model.models {
        let mut alone = config.clone();
        alone.model.models = vec![adapter.clone()];
        let Some(model) = app::model(&alone)? else { continue };
        match model.health().await {
            Ok(()) => able.push(format!("{} can answer", model.id())),
            Err(error) => unable.push(error.to_string()),
        }
    }
    if able.is_empty() && unable.is_empty() {
        return Ok("none: typed commands work, free text only where it is unambiguous".to_owned());
    }
    anyhow::ensure!(!able.is_empty(), "{}", unable.join("; "));
    able.append(&mut unable);
    Ok(able.join("; "))
}

async fn embedder(config: &Config) -> anyhow::Result<String> {
    match embedder::build(&config.embedder, &config.cache)? {
        None => Ok("none: the words of a request decide alone".to_owned()),
        Some(embedder) => {
            embedder.health().await?;
            Ok(format!("{} can answer", embedder.id()))
        }
    }
}

async fn server(config: &Config, named: Option<String>) -> anyhow::Result<String> {
    let base = named.unwrap_or_else(|| format!("http://{}", config.listen));
    let url = format!("{}/readyz", base.trim_end_matches('/'));
    let http = reqwest::Client::builder().no_proxy().build()?;
    match http.get(&url).send().await {
        Ok(response) if response.status().is_success() => Ok(format!("{url} is ready")),
        Ok(response) => {
            anyhow::bail!("{url} answers {}: {}", response.status(), response.text().await?)
        }
        Err(_) => Ok(format!("nothing answers at {base}; start it with `kubemate up`")),
    }
}
