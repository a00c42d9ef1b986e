//! Which model answers in each trial: one shared by all, a fresh script, or a recording; counted and, if asked for,
//! recorded.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use kubemate::{
    agent::Nearest,
    app::{self, Minds},
    config::Config,
    embedder,
    model::SharedModel,
};
use tokio_util::sync::CancellationToken;

use crate::{
    args::Args,
    grade::{Failure, FailureKind},
    replay::{Cursor, Recorder, Replay},
    tally::{ModelUse, Tally},
    transcript::Transcript,
};

/// Where models come from.
pub(crate) struct Models {
    source: Source,
    nearest: Option<Arc<Nearest>>,
    record: Option<Transcript>,
}

enum Source {
    /// Typed commands and code only.
    None,
    /// One model that is loaded once.
    Shared(SharedModel),
    /// A script begins anew in each trial.
    Script(Box<Config>),
    Recording(Transcript),
}

/// The model of one trial.
#[derive(Default)]
pub(crate) struct Seat {
    nearest: Option<Arc<Nearest>>,
    tally: Option<Arc<Tally>>,
    replay: Option<Arc<Replay>>,
}

impl Models {
    /// Makes the model of the command line ready; puts it into `config` where it is one of the program's.
    ///
    /// # Errors
    /// When there is no such model, or it cannot answer.
    pub(crate) async fn choose(args: &Args, config: &mut Config) -> anyhow::Result<Self> {
        let source = match args.model.split_once(':') {
            Some(("replay", file)) => Source::Recording(Transcript::read(Path::new(file))?),
            _ => {
                config.choose_model(&args.model)?;
                match app::model(config)? {
                    None => Source::None,
                    Some(_) if args.model.starts_with("scripted:") => {
                        Source::Script(Box::new(config.clone()))
                    }
                    Some(model) => {
                        app::prepare(&model, &CancellationToken::new())
                            .await
                            .context("the model cannot answer")?;
                        Source::Shared(model)
                    }
                }
            }
        };
        let nearest = examples(args, &source, config).await?;
        let mut models = Self { source, nearest, record: None };
        if args.record.is_some() {
            if !matches!(models.source, Source::Shared(_) | Source::Script(_)) {
                bail!("--record needs a model that answers by itself, not --model {}", args.model);
            }
            models.record = Some(Transcript::new(models.id()?));
        }
        Ok(models)
    }

    /// What the report calls it.
    pub(crate) fn id(&self) -> anyhow::Result<String> {
        Ok(match &self.source {
            Source::None => "none".to_owned(),
            Source::Shared(model) => model.id(),
            Source::Script(config) => app::model(config)?.map(|m| m.id()).unwrap_or_default(),
            Source::Recording(transcript) => format!("replay of {}", transcript.model()),
        })
    }

    /// Whether several trials gain anything from running at the same time.
    pub(crate) fn parallel(&self) -> bool {
        !matches!(self.source, Source::Shared(_))
    }

    /// The recording made so far.
    pub(crate) fn recorded(&self) -> Option<&Transcript> {
        self.record.as_ref()
    }

    /// The model of one trial.
    ///
    /// # Errors
    /// When a script cannot be read.
    pub(crate) fn seat(&self, case: &str, trial: u32) -> anyhow::Result<Seat> {
        let mut replay = None;
        let mut model: SharedModel = match &self.source {
            Source::None => return Ok(Seat { nearest: self.nearest.clone(), ..Seat::default() }),
            Source::Shared(model) => Arc::clone(model),
            Source::Script(config) => app::model(config)?.context("there is no script")?,
            Source::Recording(transcript) => {
                let made = Arc::new(Replay::new(Cursor::new(transcript.clone(), case, trial)));
                replay = Some(Arc::clone(&made));
                made
            }
        };
        if let Some(transcript) = &self.record {
            let cursor = Cursor::new(transcript.clone(), case, trial);
            model = Arc::new(Recorder::new(model, cursor));
        }
        Ok(Seat { nearest: self.nearest.clone(), tally: Some(Arc::new(Tally::new(model))), replay })
    }
}

/// The examples, ready to be compared with, where they are wanted.
async fn examples(
    args: &Args,
    source: &Source,
    config: &mut Config,
) -> anyhow::Result<Option<Arc<Nearest>>> {
    let by_default = !matches!(source, Source::None | Source::Recording(_));
    if !args.examples.unwrap_or(by_default) {
        config.embedder = embedder::Config(embedder::Adapter::None);
    } else if args.examples == Some(true) {
        config.embedder = embedder::Config::default();
    }
    let nearest = Minds::of(config)?.nearest;
    if let Some(nearest) = &nearest {
        nearest
            .prepare()
            .await
            .context("the examples cannot be embedded; --examples false goes without")?;
    }
    Ok(nearest)
}

impl Seat {
    /// What a program of this trial thinks with.
    pub(crate) fn minds(&self) -> Minds {
        let model = self.tally.clone().map(|tally| tally as SharedModel);
        Minds { model, nearest: self.nearest.clone() }
    }

    /// What it was used for.
    pub(crate) fn used(&self) -> ModelUse {
        self.tally.as_ref().map(|tally| tally.total()).unwrap_or_default()
    }

    /// What a recording had no answer to.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        let missing = self.replay.iter().flat_map(|replay| replay.missing());
        missing.map(|text| Failure::new(FailureKind::Broken, text)).collect()
    }
}
