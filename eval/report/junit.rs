//! The report as `JUnit` XML, for the test pages of build servers: one test case a trial.

use super::{Report, Trial};

impl Report {
    /// For build servers.
    pub(crate) fn junit(&self) -> String {
        let failed = self.trials.iter().filter(|trial| !trial.passed).count();
        let time: u64 = self.trials.iter().map(|trial| trial.ms).sum();
        let counts = format!(
            "tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{}\"",
            self.trials.len(),
            seconds(time)
        );
        let name = escaped(&format!("kubemate-eval {}", self.model));
        let cases: String = self.trials.iter().map(test_case).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{name}\" {counts}>\n{cases}</testsuite>\n</testsuites>\n"
        )
    }
}

fn test_case(trial: &Trial) -> String {
    let name = match trial.trial {
        0 | 1 => trial.case.clone(),
        number => format!("{} #{number}", trial.case),
    };
    let head = format!(
        "<testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        escaped(&trial.lang),
        escaped(&name),
        seconds(trial.ms)
    );
    if trial.passed {
        return format!("{head}/>\n");
    }
    let texts: Vec<&str> = trial.failures.iter().map(|failure| failure.text.as_str()).collect();
    let first = escaped(texts.first().copied().unwrap_or_default());
    let all = escaped(&texts.join("\n"));
    format!("{head}>\n<failure message=\"{first}\">{all}</failure>\n</testcase>\n")
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Text for XML 1.0, which cannot hold most control characters at all.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_escaped() {
        assert_eq!(escaped("a<b & \"c\"\u{1b}[0m 中"), "a&lt;b &amp; &quot;c&quot;\u{fffd}[0m 中");
    }
}
