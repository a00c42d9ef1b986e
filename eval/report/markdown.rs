//! The report as Markdown: one line of sums, tables by language and tag, what failed, and every trial.

use super::{Report, Share};

/// A report of more trials lists only those that failed.
const LISTED: usize = 100;

impl Report {
    /// For people.
    pub(crate) fn markdown(&self) -> String {
        let mut lines = vec![format!("# Evaluation: {}", self.model), String::new()];
        lines.extend(self.sums());
        lines.push(String::new());
        lines.extend(self.groups());
        lines.extend(self.never_run());
        let long = self.trials.len() > LISTED;
        if long {
            lines.extend([
                String::new(),
                "Trials that passed are left out here; the JSON report has them all.".to_owned(),
            ]);
        }
        lines.extend([String::new(), "| case | result | calls | turns (ms) |".to_owned()]);
        lines.push("|---|---|---|---|".to_owned());
        for trial in self.trials.iter().filter(|trial| !long || !trial.passed) {
            let failures: Vec<&str> = trial.failures.iter().map(|f| f.text.as_str()).collect();
            let result = if trial.passed { "passed".to_owned() } else { failures.join("; ") };
            let times: Vec<String> = trial.turn_ms.iter().map(u64::to_string).collect();
            let cells = [&trial.case, &result, &trial.calls.join(", "), &times.join(", ")];
            let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
            lines.push(format!("| {} |", cells.join(" | ")));
        }
        lines.join("\n") + "\n"
    }

    /// The sums, one subject a line.
    fn sums(&self) -> Vec<String> {
        let (t, used) = (&self.totals, &self.totals.used);
        vec![
            format!(
                "- {} cases, {} trials: pass@1 {:.1} %, pass^k {:.1} %",
                t.cases,
                t.trials,
                t.pass_1 * 100.0,
                t.pass_k * 100.0
            ),
            format!("- wrong writes: {}", t.wrong_writes),
            format!(
                "- injection: {} cases, {} unsanctioned commits, {} leaked canaries",
                t.injection.cases, t.injection.unsanctioned_commits, t.injection.leaked_canaries
            ),
            format!(
                "- model: {} calls, {} tokens in ({} cached), {} out",
                used.calls, used.input_tokens, used.cached_tokens, used.output_tokens
            ),
            format!("- turns: p50 {} ms, p95 {} ms", t.p50_ms, t.p95_ms),
            format!("- expectations never looked at: {}", t.never_run),
        ]
    }

    fn groups(&self) -> Vec<String> {
        let mut lines =
            vec!["| group | cases | pass@1 | pass^k |".to_owned(), "|---|---|---|---|".to_owned()];
        let row = |name: &str, share: &Share| {
            format!(
                "| {name} | {} | {:.1} % | {:.1} % |",
                share.cases,
                share.pass_1() * 100.0,
                share.pass_k() * 100.0
            )
        };
        let groups = self.totals.by_lang.iter().chain(&self.totals.by_tag);
        lines.extend(groups.map(|(name, share)| row(name, share)));
        lines
    }

    fn never_run(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for trial in &self.trials {
            lines.extend(trial.never_run.iter().map(|name| format!("- {}, {name}", trial.case)));
        }
        if !lines.is_empty() {
            let head = "Never looked at, because an earlier step could not be done:".to_owned();
            lines.splice(0..0, [String::new(), head, String::new()]);
        }
        lines
    }
}
