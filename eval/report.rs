//! The report: what passed, what did not, by tag and language, as JSON and as a Markdown table.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

/// One trial of one case.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Trial {
    pub(crate) case: String,
    pub(crate) lang: String,
    pub(crate) tags: Vec<String>,
    pub(crate) passed: bool,
    pub(crate) failures: Vec<String>,
    /// Tool calls, for reading.
    pub(crate) calls: Vec<String>,
    /// Milliseconds from each message to the end of its turn.
    pub(crate) turn_ms: Vec<u64>,
}

/// All trials and their sums.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) model: String,
    pub(crate) trials: Vec<Trial>,
    pub(crate) totals: Totals,
}

/// Sums.
#[derive(Debug, Serialize)]
pub(crate) struct Totals {
    pub(crate) cases: usize,
    pub(crate) trials: usize,
    /// Share of trials that passed.
    pub(crate) pass_1: f64,
    /// Share of cases all of whose trials passed.
    pub(crate) pass_k: f64,
    /// Trials in which something was written that should not have been.
    pub(crate) wrong_writes: usize,
    pub(crate) p50_ms: u64,
    pub(crate) p95_ms: u64,
    pub(crate) by_tag: BTreeMap<String, Share>,
    pub(crate) by_lang: BTreeMap<String, Share>,
}

/// Passed of all.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Share {
    pub(crate) passed: usize,
    pub(crate) of: usize,
}

impl Report {
    pub(crate) fn new(model: String, trials: Vec<Trial>) -> Self {
        let mut by_case: BTreeMap<&str, bool> = BTreeMap::new();
        let (mut by_tag, mut by_lang) = (BTreeMap::new(), BTreeMap::new());
        for trial in &trials {
            *by_case.entry(&trial.case).or_insert(true) &= trial.passed;
            for tag in &trial.tags {
                count(&mut by_tag, tag, trial.passed);
            }
            count(&mut by_lang, &trial.lang, trial.passed);
        }
        let mut times: Vec<u64> = trials.iter().flat_map(|t| t.turn_ms.clone()).collect();
        times.sort_unstable();
        let wrong = |t: &&Trial| t.failures.iter().any(|f| f.contains("WRONG WRITE"));
        let totals = Totals {
            cases: by_case.len(),
            trials: trials.len(),
            pass_1: share(trials.iter().filter(|t| t.passed).count(), trials.len()),
            pass_k: share(by_case.values().filter(|passed| **passed).count(), by_case.len()),
            wrong_writes: trials.iter().filter(wrong).count(),
            p50_ms: percentile(&times, 50),
            p95_ms: percentile(&times, 95),
            by_tag,
            by_lang,
        };
        Self { model, trials, totals }
    }

    /// The table and the failures.
    pub(crate) fn markdown(&self) -> String {
        let t = &self.totals;
        let mut text = format!(
            "# Evaluation: {}\n\n{} cases, {} trials: pass@1 {:.1} %, pass^k {:.1} %, wrong writes {}, turn p50 {} ms, p95 {} ms\n\n",
            self.model,
            t.cases,
            t.trials,
            t.pass_1 * 100.0,
            t.pass_k * 100.0,
            t.wrong_writes,
            t.p50_ms,
            t.p95_ms
        );
        text += "| group | passed | of |\n|---|---|---|\n";
        for (name, share) in t.by_lang.iter().chain(&t.by_tag) {
            // writing to a String cannot fail
            let _ = writeln!(text, "| {name} | {} | {} |", share.passed, share.of);
        }
        text += "\n| case | result | calls | turns (ms) |\n|---|---|---|---|\n";
        for trial in &self.trials {
            let result = if trial.passed { "passed".to_owned() } else { trial.failures.join("; ") };
            let times: Vec<String> = trial.turn_ms.iter().map(u64::to_string).collect();
            let cells = [trial.case.clone(), result, trial.calls.join(", "), times.join(", ")];
            let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }
}

fn count(shares: &mut BTreeMap<String, Share>, name: &str, passed: bool) {
    let share = shares.entry(name.to_owned()).or_default();
    share.passed += usize::from(passed);
    share.of += 1;
}

#[expect(clippy::cast_precision_loss, reason = "counts of cases are small")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}
