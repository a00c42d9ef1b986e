//! Evidence made short for the model, and the check that an answer says only what was read.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Evidence;

/// The evidence as text of at most `limit` characters: titles, the first rows or the last lines, and what was left out.
pub(super) fn condensed(evidence: &[Evidence], limit: usize) -> String {
    let share = limit / evidence.len().max(1);
    let mut text = String::new();
    for one in evidence {
        text.push_str(&condense(one, share));
        text.push('\n');
    }
    text
}

fn condense(evidence: &Evidence, limit: usize) -> String {
    let mut text = format!("[{}] {}\n", evidence.id, evidence.title);
    let room = limit.saturating_sub(text.chars().count() + 40);
    if let Some(log) = &evidence.text {
        text.push_str(&condense_lines(log, room));
    } else {
        text.push_str(&condense_rows(evidence, room));
    }
    if let Some(left_out) = &evidence.truncated {
        text.push_str(&format!("({left_out})\n"));
    }
    text
}

/// Lines that differ in numbers and ids alone are counted as one, shown by the last of them. When there is no room for all,
/// those that tell of trouble stay first, then the latest.
fn condense_lines(log: &str, room: usize) -> String {
    // pattern -> (last line, its place, how often)
    let mut patterns: BTreeMap<String, (&str, usize, usize)> = BTreeMap::new();
    for (at, line) in log.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let seen = patterns.entry(pattern(line)).or_insert((line, at, 0));
        *seen = (line, at, seen.2 + 1);
    }
    let mut lines: Vec<(&str, usize, usize)> = patterns.into_values().collect();
    lines.sort_by_key(|(line, at, _)| (!tells_of_trouble(line), usize::MAX - at));
    let (mut kept, mut used, mut left_out) = (Vec::new(), 0, 0);
    for (line, at, count) in lines {
        let line: String = line.chars().take(240).collect();
        let line = if count > 1 { format!("{line} (x{count})") } else { line };
        used += line.chars().count() + 1;
        if used > room {
            left_out += count;
        } else {
            kept.push((at, line));
        }
    }
    kept.sort_unstable();
    let mut text =
        if left_out > 0 { format!("({left_out} other lines left out)\n") } else { String::new() };
    for (_, line) in kept {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// A line with its numbers, times and ids masked: a run of letters and digits that holds a digit is `#`.
fn pattern(line: &str) -> String {
    let mut text = String::new();
    for word in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let mark = word.chars().last().filter(|c| !c.is_ascii_alphanumeric());
        if word.contains(|c: char| c.is_ascii_digit()) {
            text.push('#');
            text.extend(mark);
        } else {
            text.push_str(word);
        }
    }
    text
}

/// Words loggers write where something went wrong.
fn tells_of_trouble(line: &str) -> bool {
    const WORDS: [&str; 12] = [
        "error",
        "fatal",
        "panic",
        "exception",
        "warn",
        "fail",
        "refused",
        "timeout",
        "timed out",
        "denied",
        "错误",
        "失败",
    ];
    let line = line.to_lowercase();
    WORDS.iter().any(|word| line.contains(word))
}

fn condense_rows(evidence: &Evidence, room: usize) -> String {
    let mut text = format!("{}\n", evidence.columns.join(" | "));
    for (at, row) in evidence.rows.iter().enumerate() {
        let line = row.join(" | ");
        if text.chars().count() + line.chars().count() > room {
            text.push_str(&format!("({} more rows left out)\n", evidence.rows.len() - at));
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Everything an answer may say: the words and numbers of the evidence and of the question.
pub(super) struct Grounds {
    words: BTreeSet<String>,
    numbers: BTreeSet<String>,
}

impl Grounds {
    /// Collects them.
    pub(super) fn of(evidence: &[Evidence], question: &str) -> Self {
        let mut grounds = Self { words: BTreeSet::new(), numbers: BTreeSet::new() };
        grounds.add(question);
        for one in evidence {
            grounds.add(&one.title);
            one.summary.iter().for_each(|s| grounds.add(s));
            grounds.add(one.text.as_deref().unwrap_or_default());
            grounds.add(one.truncated.as_deref().unwrap_or_default());
            one.columns.iter().for_each(|c| grounds.add(c));
            one.rows.iter().flatten().for_each(|c| grounds.add(c));
            grounds.add(&one.data.to_string());
            // how many there are can be counted
            grounds.numbers.insert(one.rows.len().to_string());
        }
        grounds
    }

    fn add(&mut self, text: &str) {
        for word in words(text) {
            self.numbers.extend(numbers(&word));
            for part in word.split(['/', ':', '=', '@']) {
                self.words.insert(part.to_lowercase());
            }
            self.words.insert(word.to_lowercase());
        }
    }

    /// Whether a sentence names no number and no identifier that was not read.
    pub(super) fn hold(&self, sentence: &str) -> bool {
        words(sentence).iter().all(|word| {
            let known = self.words.contains(&word.to_lowercase());
            let numbers_known = numbers(word).iter().all(|n| self.numbers.contains(n));
            let identifier = word.contains(|c: char| c.is_ascii_alphabetic())
                && word.contains(['-', '_', '/', ':', '.', '@'])
                && !is_plain_compound(word);
            known || (numbers_known && !identifier)
        })
    }
}

/// English compounds that are no names: `up-to-date`, `e.g.`.
fn is_plain_compound(word: &str) -> bool {
    const PLAIN: [&str; 10] = [
        "up-to-date",
        "e.g",
        "i.e",
        "non-zero",
        "read-only",
        "so-called",
        "follow-up",
        "one-time",
        "long-running",
        "well-known",
    ];
    PLAIN.contains(&word.to_lowercase().as_str())
}

/// Latin words with their inner marks.
fn words(text: &str) -> Vec<String> {
    let is_word = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '=' | '%')
    };
    text.split(|c: char| !is_word(c))
        .map(|w| w.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned())
        .filter(|w| !w.is_empty())
        .collect()
}

/// The numbers in a word, decimals whole: `5m12.5s` has 5 and 12.5.
fn numbers(word: &str) -> Vec<String> {
    word.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|n| n.trim_matches('.').to_owned())
        .filter(|n| !n.is_empty())
        .collect()
}

/// Takes complete sentences off the front of `text`.
pub(super) fn take_sentence(text: &mut String) -> Option<String> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    for (n, (at, c)) in chars.iter().enumerate() {
        let next = chars.get(n + 1).map(|(_, c)| *c);
        let ends = match c {
            '。' | '！' | '？' | '\n' => true,
            '.' | '!' | '?' => next.is_some_and(char::is_whitespace),
            _ => false,
        };
        if ends {
            let rest = text.split_off(at + c.len_utf8());
            return Some(std::mem::replace(text, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        Evidence {
            id: "e1".into(),
            tool: "rollout_status".into(),
            title: "ledger-api: 3 of 5 ready".into(),
            source: "kubernetes".into(),
            query: "GET".into(),
            time: vec![],
            link: None,
            columns: vec!["pod".into(), "restarts".into()],
            rows: vec![vec!["ledger-api-7d9-x".into(), "12".into()]],
            text: None,
            data: serde_json::Value::Null,
            summary: vec![],
            truncated: None,
        }
    }

    #[test]
    fn only_what_was_read_may_be_said() {
        let grounds = Grounds::of(&[evidence()], "how is it?");
        for (sentence, held) in [
            ("ledger-api has 3 of 5 replicas ready.", true),
            ("Pod ledger-api-7d9-x restarted 12 times.", true),
            ("It restarted 13 times.", false),
            ("kyc-worker is down.", false),
            ("ledger-api 有 5 个副本。", true),
            ("重启了 99 次。", false),
        ] {
            assert_eq!(grounds.hold(sentence), held, "{sentence}");
        }
    }

    #[test]
    fn sentences_are_taken_whole() {
        let mut text = "One is 1.5 now. Two".to_owned();
        assert_eq!(take_sentence(&mut text).as_deref(), Some("One is 1.5 now."));
        assert_eq!(take_sentence(&mut text), None);
        assert_eq!(text, " Two");
    }

    #[test]
    fn condensing_keeps_trouble_and_counts_repeats() {
        let log = "a\nb\nb\nb\nc".to_owned();
        assert_eq!(condense_lines(&log, 100), "a\nb (x3)\nc\n");
        assert!(condense_lines(&log, 3).contains("other lines left out"));
        let log: String = (0..500).map(|n| format!("12:00:{n} GET /cart/{n} 200\n")).collect();
        let log = format!("12:00 ERROR no route to db-7\n{log}");
        let short = condense_lines(&log, 80);
        assert_eq!(short, "12:00 ERROR no route to db-7\n12:00:499 GET /cart/499 200 (x500)\n");
        assert!(condense_lines(&log, 30).contains("ERROR"), "trouble stays");
    }
}
