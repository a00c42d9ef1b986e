//! Times in words of everyday speech as figures: "ten last night" is "10 o'clock last night", 一刻钟 is 15 minutes.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::number::{self, Number};

const HOURS: &str = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve";

/// An hour before or behind what makes it one: "ten last night", "since half past nine", "until 7 this morning".
static HOUR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(
        r"\b(?P<past>half past |quarter past )?(?P<hour>{HOURS}|\d{{1,2}})(?P<day>\s+(?:o'clock|am|pm|last night|yesterday|this morning|this afternoon|this evening|tonight|today|in the (?:morning|afternoon|evening))\b)?"
    ))
    .expect("invariant: the pattern is valid")
});

/// 零点五点零: two points make it a version.
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    const DIGITS: &str = "[零〇一二两三四五六七八九十百]+";
    Regex::new(&format!("{DIGITS}(?:点{DIGITS}){{2,}}")).expect("invariant: the pattern is valid")
});

/// The text with versions in Chinese numerals written in figures.
pub(super) fn versions_in_figures(text: &str) -> String {
    let figures = |found: &Captures<'_>| {
        let part = |said: &str| {
            let digits: Vec<char> = said.chars().collect();
            number::han(&digits).map_or_else(|| said.to_owned(), |(number, _)| number.to_string())
        };
        found[0].split('点').map(part).collect::<Vec<_>>().join(".")
    };
    VERSION.replace_all(text, figures).into_owned()
}

/// The text, in lower case as it came, with such times written in figures.
pub(super) fn in_figures(text: &str) -> String {
    let spans = text
        .replace("三刻钟", "45分钟")
        .replace("一刻钟", "15分钟")
        .replace("刻钟", "15分钟")
        .replace("three quarters of an hour", "45 minutes")
        .replace("quarter of an hour", "15 minutes")
        .replace("quarter hour", "15 minutes");
    let figures = |found: &Captures<'_>| {
        let whole = found[0].to_owned();
        // the minutes of 14:00, the day of 2026-03-07
        let inside =
            found.get(0).is_some_and(|m| spans[..m.start()].ends_with([':', '-', '.', '/']));
        let hour = match number::latin(&found["hour"]) {
            Some(Number::Whole(hour)) if (1..=24).contains(&hour) && !inside => hour,
            _ => return whole,
        };
        let past = found.name("past").map(|past| past.as_str());
        let day = found.name("day").map_or("", |day| day.as_str());
        let minute = match past {
            Some("half past ") => 30,
            Some(_) => 15,
            None if day.is_empty() => return whole,
            None => 0,
        };
        let half = ["am", "pm", "o'clock"].iter().any(|said| day.trim_start() == *said);
        match (minute, half) {
            (0, true) => format!("{hour}{day}"),
            (0, false) => format!("{hour} o'clock{day}"),
            _ => format!("{hour}:{minute}{}", day.trim_end_matches("o'clock")),
        }
    };
    HOUR.replace_all(&spans, figures).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{in_figures, versions_in_figures};

    #[test]
    fn versions_in_numerals_become_figures() {
        for (said, figures) in [
            ("换到零点五点零版", "换到0.5.0版"),
            ("升到二点十二点一", "升到2.12.1"),
            ("上午十点", "上午十点"),
            ("三点五十点五十五", "3.50.55"),
        ] {
            assert_eq!(versions_in_figures(said), figures, "{said}");
        }
    }

    #[test]
    fn hours_in_words_become_figures_and_everything_else_stays() {
        for (said, figures) in [
            ("since ten last night", "since 10 o'clock last night"),
            ("at half past nine yesterday", "at 9:30 yesterday"),
            ("since seven this morning", "since 7 o'clock this morning"),
            ("from 10 pm", "from 10 pm"),
            ("since 14:00 today", "since 14:00 today"),
            ("最近一刻钟", "最近15分钟"),
            ("scale x to ten", "scale x to ten"),
            ("one more in prod", "one more in prod"),
            ("the last quarter of an hour", "the last 15 minutes"),
        ] {
            assert_eq!(in_figures(said), figures, "{said}");
        }
    }
}
