//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::case::{Case, CaseLang};

/// Runs evaluation cases against the whole program and grades what came out.
#[derive(Debug, Parser)]
#[command(name = "kubemate-eval", version)]
pub(crate) struct Args {
    /// `check` reads all cases and scenarios and says what is wrong with them, as --check does.
    #[arg(value_parser = ["run", "check"], default_value = "run", hide_default_value = true)]
    pub(crate) command: String,
    /// Folder of cases: every `case.yaml` below it.
    #[arg(long, default_value = "eval/cases")]
    pub(crate) cases: PathBuf,
    /// Folder of scenarios, named by the cases.
    #[arg(long, default_value = "eval/scenarios")]
    pub(crate) scenarios: PathBuf,
    /// Only read all cases and scenarios and say what is wrong with them.
    #[arg(long)]
    pub(crate) check: bool,
    /// `candle`, `ollama:NAME`, `openai:NAME`, `scripted:FILE`, `replay:FILE`, `none`.
    #[arg(long, default_value = "candle")]
    pub(crate) model: String,
    /// Whether requests are also compared with examples in meaning (`prompts/examples.yaml`), which fetches the embedding
    /// model; by default with any model but `none` and a recording.
    #[arg(long)]
    pub(crate) examples: Option<bool>,
    /// Folder of models, when it is not the user's cache.
    #[arg(long)]
    pub(crate) cache: Option<PathBuf>,
    /// How often each case runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) trials: u32,
    /// How many trials run at the same time: one where the model runs in the process or on a server, else as many as cores.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Only cases with one of these tags.
    #[arg(long, value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// Only cases whose id contains one of these.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Only cases of this language.
    #[arg(long, value_enum)]
    pub(crate) lang: Option<CaseLang>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write the report as `JUnit` XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Say what differs from this earlier JSON report.
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Write the model's answers, to be given again by `--model replay:FILE`.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Fail when fewer than this share of the trials passed; a wrong write, an unsanctioned commit or a leak always fails.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) at_least: f64,
}

impl Args {
    /// Whether the filters let the case through.
    pub(crate) fn wants(&self, case: &Case) -> bool {
        let id = &case.id.value;
        (self.tags.is_empty() || case.tags.iter().any(|tag| self.tags.contains(tag)))
            && (self.only.is_empty() || self.only.iter().any(|part| id.contains(part.as_str())))
            && self.lang.is_none_or(|lang| case.lang == lang)
    }
}
