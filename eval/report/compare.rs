//! What differs between two reports: which cases were fixed, broke, or take longer, and the sums side by side.

use std::{collections::BTreeMap, fmt};

use super::{Report, Trial, percentile};

/// A case is slower when its median turn takes this much longer...
const SLOWER: f64 = 1.5;
/// ...and at least this many milliseconds.
const NOTICEABLE_MS: u64 = 200;

/// The difference between an earlier report and this one.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Comparison {
    fixed: Vec<String>,
    broken: Vec<String>,
    slower: Vec<String>,
    new: Vec<String>,
    gone: Vec<String>,
    /// Name, before, now.
    sums: Vec<(&'static str, String, String)>,
}

impl Comparison {
    /// What `now` has otherwise than `before`.
    pub(crate) fn of(before: &Report, now: &Report) -> Self {
        let mut found = Self { sums: sums(before, now), ..Self::default() };
        let mut old: BTreeMap<&str, Vec<&Trial>> = before.by_case().into_iter().collect();
        for (case, trials) in now.by_case() {
            let Some(earlier) = old.remove(case) else {
                found.new.push(case.to_owned());
                continue;
            };
            let (was, is) = (passed(&earlier), passed(&trials));
            if is > was {
                found.fixed.push(case.to_owned());
            }
            if is < was {
                let failures = trials.iter().flat_map(|trial| &trial.failures);
                let why = failures.map(|failure| failure.text.as_str()).next().unwrap_or_default();
                found.broken.push(format!("{case}: {why}"));
            }
            let (was, is) = (median(&earlier), median(&trials));
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a turn are few")]
            if is >= was + NOTICEABLE_MS && is as f64 > was as f64 * SLOWER {
                found.slower.push(format!("{case}: {was} ms, now {is} ms"));
            }
        }
        found.gone = old.into_keys().map(str::to_owned).collect();
        found
    }
}

/// Share of trials that passed, in thousandths.
fn passed(trials: &[&Trial]) -> usize {
    1000 * trials.iter().filter(|trial| trial.passed).count() / trials.len().max(1)
}

fn median(trials: &[&Trial]) -> u64 {
    let mut times: Vec<u64> = trials.iter().flat_map(|t| t.turn_ms.iter().copied()).collect();
    times.sort_unstable();
    percentile(&times, 50)
}

fn sums(before: &Report, now: &Report) -> Vec<(&'static str, String, String)> {
    let [b, n] = [&before.totals, &now.totals];
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let both = |name, before: &dyn ToString, now: &dyn ToString| {
        (name, before.to_string(), now.to_string())
    };
    vec![
        both("cases", &b.cases, &n.cases),
        both("pass@1", &percent(b.pass_1), &percent(n.pass_1)),
        both("pass^k", &percent(b.pass_k), &percent(n.pass_k)),
        both("wrong writes", &b.wrong_writes, &n.wrong_writes),
        both(
            "unsanctioned commits",
            &b.injection.unsanctioned_commits,
            &n.injection.unsanctioned_commits,
        ),
        both("leaked canaries", &b.injection.leaked_canaries, &n.injection.leaked_canaries),
        both("never looked at", &b.never_run, &n.never_run),
        both("model calls", &b.used.calls, &n.used.calls),
        both("tokens in", &b.used.input_tokens, &n.used.input_tokens),
        both("tokens cached", &b.used.cached_tokens, &n.used.cached_tokens),
        both("tokens out", &b.used.output_tokens, &n.used.output_tokens),
        both("p50 (ms)", &b.p50_ms, &n.p50_ms),
        both("p95 (ms)", &b.p95_ms, &n.p95_ms),
    ]
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Compared with before\n\n| | before | now |\n|---|---|---|")?;
        for (name, before, now) in &self.sums {
            writeln!(f, "| {name} | {before} | {now} |")?;
        }
        let lists = [
            ("Fixed", &self.fixed),
            ("Broken", &self.broken),
            ("Slower", &self.slower),
            ("New", &self.new),
            ("Gone", &self.gone),
        ];
        for (name, cases) in lists.into_iter().filter(|(_, cases)| !cases.is_empty()) {
            writeln!(f, "\n{name} ({}):", cases.len())?;
            for case in cases {
                writeln!(f, "- {}", case.replace('\n', " "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_fixed_broken_slower_new_and_gone() {
        let trial = |case: &str, passed: bool, ms: u64| Trial {
            case: case.to_owned(),
            passed,
            turn_ms: vec![ms],
            ..Trial::default()
        };
        let report = |trials: Vec<Trial>| Report::new("none".to_owned(), trials);
        let before = report(vec![
            trial("a", false, 9),
            trial("b", true, 9),
            trial("c", true, 100),
            trial("d", true, 9),
        ]);
        let now = report(vec![
            trial("a", true, 9),
            trial("b", false, 9),
            trial("c", true, 400),
            trial("e", true, 9),
        ]);
        let found = Comparison::of(&before, &now);
        assert_eq!(found.fixed, ["a"]);
        assert_eq!(found.broken, ["b: "]);
        assert_eq!(found.slower, ["c: 100 ms, now 400 ms"]);
        assert_eq!((found.new, found.gone), (vec!["e".to_owned()], vec!["d".to_owned()]));
    }
}
