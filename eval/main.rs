//! `kubemate-eval`: runs evaluation cases against the real program and grades what came out, without a judge.

mod case;
mod grade;
mod report;
mod run;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Parser;

/// Runs evaluation cases.
#[derive(Debug, Parser)]
#[command(name = "kubemate-eval", version)]
struct Args {
    /// Folder of cases: every `case.yaml` below it.
    #[arg(long, default_value = "eval/cases")]
    cases: PathBuf,
    /// Folder of scenarios, named by the cases.
    #[arg(long, default_value = "eval/scenarios")]
    scenarios: PathBuf,
    /// `candle`, `ollama:NAME`, `openai:NAME`, `scripted:FILE`, `none`.
    #[arg(long, default_value = "candle")]
    model: String,
    /// Whether requests are also compared with examples in meaning (`prompts/examples.yaml`), which fetches the embedding
    /// model; by default with any model but `none`.
    #[arg(long)]
    examples: Option<bool>,
    /// Folder of models, when it is not the user's cache.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// How often each case runs.
    #[arg(long, default_value_t = 1)]
    trials: u32,
    /// Only cases with one of these tags.
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// Only cases whose id contains this.
    #[arg(long)]
    only: Option<String>,
    /// Only cases of this language: zh, en or mixed.
    #[arg(long)]
    lang: Option<String>,
    /// Write the report as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the report as a Markdown table.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Fail when fewer than this share of the trials passed.
    #[arg(long, default_value_t = 1.0)]
    at_least: f64,
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where the program talks to its user"
)]
fn main() -> ExitCode {
    // an error only means that the model in the process is slower on a busy machine
    let _ = kubemate::model::candle::restart_with_own_threads();
    let args = Args::parse();
    match evaluate(&args) {
        Ok((text, passed)) => {
            println!("{text}");
            if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("kubemate-eval: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn evaluate(args: &Args) -> anyhow::Result<(String, bool)> {
    let cases: Vec<case::Case> = case::load(&args.cases)?
        .into_iter()
        .filter(|case| args.tags.is_empty() || case.tags.iter().any(|tag| args.tags.contains(tag)))
        .filter(|case| args.lang.as_ref().is_none_or(|lang| &case.lang == lang))
        .filter(|case| args.only.as_ref().is_none_or(|part| case.id.contains(part.as_str())))
        .collect();
    anyhow::ensure!(!cases.is_empty(), "no case below {} fits the filters", args.cases.display());
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let report = runtime.block_on(run::run(args, &cases))?;
    let write = |path: &PathBuf, text: String| {
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    };
    if let Some(path) = &args.json {
        write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    let text = report.markdown();
    if let Some(path) = &args.markdown {
        write(path, text.clone())?;
    }
    Ok((text, report.totals.pass_1 >= args.at_least))
}
