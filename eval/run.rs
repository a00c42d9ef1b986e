//! Runs the cases: several trials at a time where the model allows, each a program of its own.

use std::{num::NonZero, time::Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use kubemate::config::{ClusterConfig, Config, SandboxOptions};

use crate::{
    args::Args,
    case::{Case, Turn},
    grade::{Failure, FailureKind},
    models::Models,
    report::{Report, Trial},
    world::World,
};

/// Runs every case `--trials` times.
///
/// # Errors
/// When the model cannot answer or a world cannot be started.
pub(crate) async fn run(args: &Args, cases: &[&Case]) -> anyhow::Result<(Report, Models)> {
    let mut config = Config::read(None)?;
    if let Some(cache) = &args.cache {
        config.cache.clone_from(cache);
    }
    let models = Models::choose(args, &mut config).await?;
    let jobs = match args.jobs {
        Some(jobs) => usize::from(jobs),
        None if models.parallel() => std::thread::available_parallelism().map_or(1, NonZero::get),
        None => 1,
    };
    let all = u64::from(args.trials) * cases.len() as u64;
    // hidden where there is no terminal
    let bar = ProgressBar::new(all).with_style(
        ProgressStyle::with_template("{pos}/{len} {bar:30} {elapsed} {msg}")
            .context("setting up the progress bar")?,
    );
    let each = cases.iter().flat_map(|case| (1..=args.trials).map(move |number| (*case, number)));
    let trials: Vec<Trial> = stream::iter(each)
        .map(|(case, number)| {
            let (models, config, bar) = (&models, &config, &bar);
            async move {
                bar.set_message(case.id.value.clone());
                let mut config = config.clone();
                config.cluster = ClusterConfig::Sandbox(SandboxOptions {
                    scenario: Some(args.scenarios.join(&case.scenario.value)),
                    listen: None,
                });
                let done = trial(config, models, case, number).await;
                bar.inc(1);
                done.with_context(|| format!("running the case {}", case.id.value))
            }
        })
        .buffered(jobs)
        .try_collect()
        .await?;
    bar.finish_and_clear();
    Ok((Report::new(models.id()?, trials), models))
}

/// One program from its start to its end.
async fn trial(config: Config, models: &Models, case: &Case, number: u32) -> anyhow::Result<Trial> {
    let seat = models.seat(&case.id.value, number)?;
    let folder = tempfile::tempdir().context("making a folder for the trial")?;
    let begun = Instant::now();
    let mut world =
        World::start(config, seat.minds(), folder.path()).await.context("starting the world")?;
    let mut trial = Trial::new(case, number);
    for (at, turn) in case.turns.iter().enumerate() {
        let of_turn = |text: &str| format!("turn {}: {text}", at + 1);
        match world.step(case, &turn.value).await {
            Ok(stepped) => {
                trial.failures.extend(
                    stepped
                        .failures
                        .into_iter()
                        .map(|failure| Failure { text: of_turn(&failure.text), ..failure }),
                );
                trial.calls.extend(stepped.calls);
                trial.turn_ms.extend(stepped.took.map(|took| millis(took.as_millis())));
            }
            Err(error) => {
                let text = of_turn(&format!("{error:#}"));
                trial.failures.push(Failure::new(FailureKind::Broken, text));
                trial.never_run = never_run(&case.turns[at..], at);
                break;
            }
        }
    }
    trial.failures.extend(world.finish(&case.canaries).await?);
    trial.failures.extend(seat.failures());
    trial.used = seat.used();
    trial.passed = trial.failures.is_empty();
    trial.ms = millis(begun.elapsed().as_millis());
    Ok(trial)
}

/// The expectations of steps from the broken one on.
fn never_run(turns: &[serde_saphyr::Spanned<Turn>], first: usize) -> Vec<String> {
    let numbered = turns.iter().enumerate();
    numbered
        .flat_map(|(at, turn)| {
            let named = turn.value.expect.named().into_iter();
            named.map(move |name| format!("turn {}: {name}", first + at + 1))
        })
        .collect()
}

fn millis(millis: u128) -> u64 {
    u64::try_from(millis).unwrap_or(u64::MAX)
}
