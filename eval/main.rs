//! `kubemate-eval`: runs evaluation cases against the real program and grades what came out, without a judge.

mod args;
mod case;
mod check;
mod grade;
mod load;
mod models;
mod replay;
mod report;
mod run;
mod safety;
mod tally;
mod transcript;
mod world;

use std::{collections::BTreeSet, path::Path, process::ExitCode};

use anyhow::{Context, bail, ensure};
use clap::Parser;

use args::Args;
use case::Case;
use load::Loaded;
use report::{Comparison, Report};

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

/// What to print, and whether enough passed.
fn evaluate(args: &Args) -> anyhow::Result<(String, bool)> {
    let all = checked(args)?;
    let cases: Vec<&Case> = all.iter().map(|l| &l.case).filter(|case| args.wants(case)).collect();
    if args.check || args.command == "check" {
        return Ok((format!("{} cases are well-formed", all.len()), true));
    }
    ensure!(!cases.is_empty(), "no case below {} fits the filters", args.cases.display());
    // read before the long run, not after it
    let before = args.compare.as_deref().map(Report::read).transpose()?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let (report, models) = runtime.block_on(run::run(args, &cases))?;
    if let (Some(path), Some(transcript)) = (&args.record, models.recorded()) {
        let ran: BTreeSet<&str> = cases.iter().map(|case| case.id.value.as_str()).collect();
        let ids = all.iter().map(|loaded| loaded.case.id.value.clone());
        transcript.write(path, &ids.filter(|id| !ran.contains(id.as_str())).collect())?;
    }
    let mut text = report.markdown();
    if let Some(before) = before {
        text += &format!("\n{}", Comparison::of(&before, &report));
    }
    if let Some(path) = &args.json {
        write(path, &report.json()?)?;
    }
    if let Some(path) = &args.junit {
        write(path, &report.junit())?;
    }
    if let Some(path) = &args.markdown {
        write(path, &text)?;
    }
    let harm = report.totals.harm();
    text.extend(harm.iter().map(|harm| format!("\nFailed, whatever --at-least says: {harm}.\n")));
    Ok((text, harm.is_none() && report.totals.pass_1 >= args.at_least))
}

/// Every case, when nothing is wrong with any of them or with a scenario.
fn checked(args: &Args) -> anyhow::Result<Vec<Loaded>> {
    let (cases, mut problems) = load::load(&args.cases)?;
    let known = check::Known::read(&args.scenarios, &mut problems)?;
    problems.extend(cases.iter().flat_map(|loaded| known.check(loaded)));
    problems.sort();
    if !problems.is_empty() {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!("{} problems in cases and scenarios\n{}", lines.len(), lines.join("\n"));
    }
    Ok(cases)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
