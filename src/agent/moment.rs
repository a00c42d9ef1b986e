//! Spans of time as operators say them, in both languages: "the last 20 minutes", 最近半小时, "since 14:00", 昨晚十点,
//! "between 9 and 10 this morning". Times of day are those of the operator's zone.

use std::sync::LazyLock;

use jiff::{SignedDuration, Span, Timestamp, Zoned, civil::Date, tz::Offset};
use regex::{Captures, Regex};

use super::{number, spoken};

/// From when to when; an open end is the beginning of everything or now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Not before.
    pub(super) since: Option<Timestamp>,
    /// Not after.
    pub(super) until: Option<Timestamp>,
    /// Said as a span that ends now, in minutes.
    pub(super) last_minutes: Option<i64>,
    /// Of the operator's zone, for showing the ends.
    pub(super) offset: Offset,
}

/// How far around a time of day people mean when they say "at ten".
const AROUND_MINUTES: i64 = 30;

/// The span of time a message speaks of; `None` when it speaks of none.
pub(super) fn window(text: &str, now: &Zoned) -> Option<Window> {
    let text = spoken::in_figures(&text.to_lowercase());
    if let Some(window) = relative(&text, now) {
        return Some(window);
    }
    let open = Window { since: None, until: None, last_minutes: None, offset: now.offset() };
    let moments = moments(&text, now);
    let (first, rest) = moments.split_first()?;
    if let Some(second) = rest.first()
        && joins(&text[first.end..second.start])
    {
        return Some(Window { since: Some(first.from()), until: Some(second.to()), ..open });
    }
    let (before, after) = (&text[..first.start], &text[first.end..]);
    if ends_with(before, "since|from|after|自从|自|从")
        || starts_with(after, "以来|之后|以后|后|起|开始|onwards|onward")
    {
        return Some(Window { since: Some(first.from()), ..open });
    }
    if ends_with(before, "before|until|till|by|up to") || starts_with(after, "之前|以前|前|为止")
    {
        return Some(Window { until: Some(first.from()), ..open });
    }
    let (since, until) = first.around();
    let until = (until < now.timestamp()).then_some(until);
    Some(Window { since: Some(since), until, ..open })
}

/// A day, a part of a day or a time of day.
struct Moment {
    /// Where it was said.
    start: usize,
    end: usize,
    /// The time of day, where one was said.
    clock: Option<Timestamp>,
    /// The day or the part of it.
    span: (Timestamp, Timestamp),
}

impl Moment {
    fn from(&self) -> Timestamp {
        self.clock.unwrap_or(self.span.0)
    }

    fn to(&self) -> Timestamp {
        self.clock.unwrap_or(self.span.1)
    }

    fn around(&self) -> (Timestamp, Timestamp) {
        let slack = SignedDuration::from_mins(AROUND_MINUTES);
        self.clock.map_or(self.span, |at| {
            (at.checked_sub(slack).unwrap_or(at), at.checked_add(slack).unwrap_or(at))
        })
    }
}

const NUMBER: &str = r"\d+(?:\.\d+)?|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|few|couple(?: of)?|half(?: an?)?|[一二两三四五六七八九十百几]+|半";
const UNIT: &str = r"seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|秒钟?|分钟|小时|钟头|天|周|星期|[smhdw]\b";

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("invariant: the pattern is valid")
}

static LAST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?:\b(?:last|past|previous|recent|within)\s+|最近的?|过去的?)\s*(?P<n>{NUMBER})?\s*个?(?P<half>半)?(?P<u>{UNIT})(?P<tail>半)?"
    ))
});
static NEXT_TO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r"[近前这]\s*(?P<n>{NUMBER})\s*个?(?P<half>半)?(?P<u>{UNIT})(?P<tail>半)?"))
});
static INSIDE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?P<n>{NUMBER})\s*个?(?P<half>半)?(?P<u>{UNIT})(?P<tail>半)?\s*(?:以内|之内|内|以来)"
    ))
});
static AGO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?P<since>since |从)?(?:about |around |大约|大概)?(?P<n>{NUMBER})\s*个?(?P<half>半)?(?P<u>{UNIT})(?P<tail>半)?\s*(?:ago|之前|以前|前)(?P<on>开始|起|到现在|以来)?"
    ))
});
static BARE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?P<n>\d+|[一二两三四五六七八九十]+|半)\s*个?(?P<half>半)?(?P<u>minutes?|mins?|hours?|hrs?|分钟|小时|钟头)(?P<tail>半)?",
    )
});
/// Words after a bare span that make it a time still to come, or a setting.
static COMING: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^\s*(?:后|之后|以后|later|from now|timeout|超时)"));

fn relative(text: &str, now: &Zoned) -> Option<Window> {
    if let Some(found) = AGO.captures(text) {
        let minutes = minutes(&found)?;
        let at = back(now, minutes);
        if found.name("since").is_some() || found.name("on").is_some() {
            return Some(last(now, minutes));
        }
        let slack = SignedDuration::from_mins((minutes / 4).max(5));
        let until = at.checked_add(slack).ok()?.min(now.timestamp());
        let since = at.checked_sub(slack).ok();
        return Some(Window {
            since,
            until: Some(until),
            last_minutes: None,
            offset: now.offset(),
        });
    }
    let found = [&LAST, &INSIDE, &NEXT_TO].iter().find_map(|pattern| pattern.captures(text));
    if let Some(found) = found {
        return Some(last(now, minutes(&found)?));
    }
    let bare = BARE.captures(text)?;
    let after = &text[bare.get(0)?.end()..];
    if COMING.is_match(after) {
        return None;
    }
    Some(last(now, minutes(&bare)?))
}

fn last(now: &Zoned, minutes: i64) -> Window {
    let since = Some(back(now, minutes));
    Window { since, until: None, last_minutes: Some(minutes), offset: now.offset() }
}

fn back(now: &Zoned, minutes: i64) -> Timestamp {
    let now = now.timestamp();
    now.checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(now)
}

/// The minutes of a number with a unit: 一个半小时 is 90.
fn minutes(found: &Captures<'_>) -> Option<i64> {
    let unit = match found["u"].chars().next()? {
        's' | '秒' => 1.0 / 60.0,
        'm' | '分' => 1.0,
        'h' | '小' | '钟' => 60.0,
        'd' | '天' => 24.0 * 60.0,
        _ => 7.0 * 24.0 * 60.0,
    };
    let mut count = match found.name("n") {
        None if found.name("half").is_some() => 0.0,
        None => 1.0,
        Some(n) => amount(n.as_str())?,
    };
    if found.name("half").is_some() || found.name("tail").is_some() {
        count += 0.5;
    }
    let minutes = (count * unit).ceil() as i64;
    (1..=60 * 24 * 400).contains(&minutes).then_some(minutes)
}

fn amount(text: &str) -> Option<f64> {
    if text.starts_with("half") || text == "半" {
        return Some(0.5);
    }
    match text.trim_end_matches(" of") {
        "a" | "an" => return Some(1.0),
        "couple" => return Some(2.0),
        "few" | "几" => return Some(5.0),
        _ => {}
    }
    let han: Vec<char> = text.chars().collect();
    match number::latin(text) {
        Some(number::Number::Whole(n)) => Some(n as f64),
        Some(number::Number::Other(n)) => Some(n),
        None => number::han(&han).map(|(n, _)| n as f64),
    }
}

static DAY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?P<today>\btoday\b|今天|今日|当天)|(?P<yesterday>\byesterday\b|昨天|昨日)|(?P<before>\bday before yesterday\b|前天)|(?P<morning>\bthis morning\b|今早|今天早上|今晨)|(?P<noon>\bthis afternoon\b)|(?P<evening>\bthis evening\b|\btonight\b|今晚)|(?P<night>\blast night\b|昨晚|昨夜|昨儿晚上)|(?P<iso>\b\d{4}-\d{1,2}-\d{1,2}\b)|(?P<month>\d{1,2})月(?P<date>\d{1,2})[日号]",
    )
});
static PART: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:\s|的|,|，|in the |at |around |about )*(?P<part>凌晨|清晨|早上|早晨|上午|中午|下午|傍晚|晚上|夜里|半夜|morning|noon|afternoon|evening|night|midnight)",
    )
});
static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?P<h>\d{1,2})[:：](?P<m>\d{2})(?::\d{2})?\s*(?P<half1>am|pm)?|\b(?P<h2>\d{1,2})\s*(?P<half2>am|pm|o'clock)\b|(?P<h3>\d{1,2}|[一二两三四五六七八九十]+)点钟?(?:(?P<m3>\d{1,2}|[一二三四五六七八九十]+)分|(?P<half3>半)|(?P<quarter>一刻))?",
    )
});
/// What may stand between a day and its time.
static BETWEEN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(?:\s|的|,|，|at|around|about|in the|大约|大概|差不多)*$"));
/// A time before its day: "10pm yesterday".
static DAY_AFTER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*(?:on\s+)?$"));

/// What joins two moments to one span.
fn joins(between: &str) -> bool {
    let between = between.trim();
    matches!(between, "to" | "and" | "-" | "–" | "~" | "until" | "till" | "到" | "至" | "和" | "与")
}

fn ends_with(text: &str, words: &str) -> bool {
    let text = text.trim_end().trim_end_matches("about").trim_end();
    words.split('|').any(|word| text.ends_with(word))
}

fn starts_with(text: &str, words: &str) -> bool {
    words.split('|').any(|word| text.trim_start().starts_with(word))
}

/// Every moment of the text, in the order they were said; a time without a day takes that of the one before it.
fn moments(text: &str, now: &Zoned) -> Vec<Moment> {
    let mut found: Vec<Moment> = Vec::new();
    let mut at = 0;
    let mut last_day: Option<(Date, Option<Part>)> = None;
    while at < text.len() {
        let Some(said) = said_at(text, at, now, last_day) else { break };
        at = said.moment.end;
        last_day = Some((said.day, said.part));
        found.push(said.moment);
    }
    found
}

struct Said {
    moment: Moment,
    day: Date,
    part: Option<Part>,
}

/// Hours of a part of a day: the first and the one behind the last; past 24 it is the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part(i64, i64);

fn part_of(word: &str) -> Part {
    match word {
        "凌晨" => Part(0, 6),
        "清晨" => Part(5, 8),
        "早上" | "早晨" | "上午" | "morning" => Part(6, 12),
        "中午" | "noon" => Part(11, 14),
        "下午" | "afternoon" => Part(12, 18),
        "傍晚" => Part(17, 20),
        "半夜" | "夜里" | "midnight" => Part(22, 28),
        _ => Part(18, 24),
    }
}

/// The day a match speaks of, and the part of it that is in the word itself.
fn day_of(found: &Captures<'_>, today: Date) -> Option<(Date, Option<Part>)> {
    let ago = |days: i64| today.checked_sub(Span::new().days(days)).ok();
    let has = |name: &str| found.name(name).is_some();
    if has("today") {
        return Some((today, None));
    } else if has("before") {
        return Some((ago(2)?, None));
    } else if has("yesterday") {
        return Some((ago(1)?, None));
    } else if has("morning") {
        return Some((today, Some(Part(6, 12))));
    } else if has("noon") {
        return Some((today, Some(Part(12, 18))));
    } else if has("evening") {
        return Some((today, Some(Part(18, 24))));
    } else if has("night") {
        return Some((ago(1)?, Some(Part(18, 30))));
    }
    if let Some(iso) = found.name("iso") {
        let mut parts = iso.as_str().split('-').map(str::parse::<i16>);
        let (year, month, day) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        return Some((
            Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?,
            None,
        ));
    }
    let (month, date) = (found["month"].parse().ok()?, found["date"].parse().ok()?);
    let this_year = Date::new(today.year(), month, date).ok()?;
    let day =
        if this_year > today { Date::new(today.year() - 1, month, date).ok()? } else { this_year };
    Some((day, None))
}

/// The next moment from `at` on.
fn said_at(text: &str, at: usize, now: &Zoned, last: Option<(Date, Option<Part>)>) -> Option<Said> {
    let day = DAY.captures_at(text, at);
    let clock = CLOCK.captures_at(text, at);
    let day_range = day.as_ref().and_then(|d| d.get(0)).map(|m| m.range());
    let clock_range = clock.as_ref().and_then(|c| c.get(0)).map(|m| m.range());
    let today = now.date();
    let day_first = match (&day_range, &clock_range) {
        (Some(day), Some(clock)) => day.start <= clock.start,
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => return None,
    };
    if !day_first {
        let range = clock_range?;
        let after = day_range.filter(|d| DAY_AFTER.is_match(&text[range.end..d.start]));
        let (part, start) = part_before(text, range.start);
        let (date, part, end) = match (after, day) {
            (Some(after), Some(day)) => {
                let (date, own) = day_of(&day, today)?;
                (Some(date), part.or(own), after.end)
            }
            _ => (None, part, range.end),
        };
        let (date, part) = (date.or(last.map(|l| l.0)), part.or(last.and_then(|l| l.1)));
        let clock = clock?;
        // 快一点 is no time of day
        let only_a_bit = clock.name("h3").is_some_and(|h| h.as_str() == "一");
        if only_a_bit && date.is_none() && part.is_none() {
            return None;
        }
        let (point, day) = of_clock(&clock, date, part, now)?;
        let moment = Moment { start, end, clock: Some(point), span: (point, point) };
        return Some(Said { moment, day, part });
    }
    let (range, day) = (day_range?, day?);
    let (date, mut part) = day_of(&day, today)?;
    let mut end = range.end;
    if let Some(found) = PART.captures(&text[end..]) {
        part = Some(part_of(&found["part"]));
        end += found.get(0)?.end();
    }
    let mut point = None;
    if let (Some(clock), Some(range)) = (clock, clock_range)
        && range.start >= end
        && BETWEEN.is_match(&text[end..range.start])
    {
        point = of_clock(&clock, Some(date), part, now).map(|(point, _)| point);
        end = range.end;
    }
    let Part(from, to) = part.unwrap_or(Part(0, 24));
    let span = (hour(date, from, now)?, hour(date, to, now)?);
    Some(Said { moment: Moment { start: range.start, end, clock: point, span }, day: date, part })
}

/// 下午 right before a time, and where it begins.
fn part_before(text: &str, at: usize) -> (Option<Part>, usize) {
    const PARTS: [&str; 8] = ["凌晨", "早上", "上午", "中午", "下午", "傍晚", "晚上", "半夜"];
    let before = text[..at].trim_end();
    let found = PARTS.iter().find(|part| before.ends_with(**part));
    found.map_or((None, at), |part| (Some(part_of(part)), before.len() - part.len()))
}

/// A day's hour as a time; hours past 24 are the next day's.
fn hour(date: Date, hour: i64, now: &Zoned) -> Option<Timestamp> {
    let midnight = date.to_zoned(now.time_zone().clone()).ok()?;
    midnight.checked_add(Span::new().hours(hour)).ok().map(|z| z.timestamp())
}

/// The time a clock shows, on the day said or on the latest day that had it.
fn of_clock(
    found: &Captures<'_>,
    date: Option<Date>,
    part: Option<Part>,
    now: &Zoned,
) -> Option<(Timestamp, Date)> {
    let text = |name: &str| found.name(name).map(|m| m.as_str());
    let count = |text: &str| amount(text).map(|n| n as i64);
    let mut hours = count(text("h").or(text("h2")).or(text("h3"))?)?;
    let minutes = match (text("m").or(text("m3")), text("half3"), text("quarter")) {
        (Some(m), ..) => count(m)?,
        (None, Some(_), _) => 30,
        (None, None, Some(_)) => 15,
        _ => 0,
    };
    let half = text("half1").or(text("half2"));
    let late = part.is_some_and(|p| p.0 >= 12 && p != Part(22, 28) && hours >= p.0 - 12);
    // half past midnight "last night" is the morning after
    let after_midnight = part.is_some_and(|p| p.1 > 24) && hours < 6 && half != Some("pm");
    if (half == Some("pm") && hours < 12)
        || (half.is_none() && late && hours < 12 && !after_midnight)
    {
        hours += 12;
    } else if half == Some("am") && hours == 12 {
        hours = 0;
    } else if part == Some(Part(22, 28)) && (6..12).contains(&hours) {
        hours += 12;
    }
    if !(0..=24).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    let at = |date: Date| -> Option<Timestamp> {
        let hours = if after_midnight { hours + 24 } else { hours };
        hour(date, hours, now)?.checked_add(SignedDuration::from_mins(minutes)).ok()
    };
    match date {
        Some(date) => Some((at(date)?, date)),
        None => {
            let today = now.date();
            let point = at(today)?;
            if point <= now.timestamp() {
                return Some((point, today));
            }
            let yesterday = today.checked_sub(Span::new().days(1)).ok()?;
            Some((at(yesterday)?, yesterday))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-03-10T15:00:00+08:00[Asia/Shanghai]".parse().unwrap()
    }

    /// `-` for an open end, else the time in the operator's zone.
    fn shown(text: &str) -> String {
        let Some(window) = window(text, &now()) else { return "none".to_owned() };
        if let Some(minutes) = window.last_minutes {
            return format!("last {minutes}");
        }
        let end = |t: Option<Timestamp>| {
            t.map_or("-".to_owned(), |t| {
                t.to_zoned(now().time_zone().clone()).strftime("%d %H:%M").to_string()
            })
        };
        format!("{} .. {}", end(window.since), end(window.until))
    }

    #[test]
    fn spans_in_both_languages() {
        for (text, want) in [
            ("logs of the last 20 minutes", "last 20"),
            ("errors in the past 2 hours", "last 120"),
            ("in the last half hour", "last 30"),
            ("last hour please", "last 60"),
            ("over the last couple of hours", "last 120"),
            ("最近半小时的日志", "last 30"),
            ("过去两小时", "last 120"),
            ("最近一个半小时有报错吗", "last 90"),
            ("近 3 天的改动", "last 4320"),
            ("30 分钟内的事件", "last 30"),
            ("since 10 minutes ago", "last 10"),
            ("logs from 40m ago", "10 14:10 .. 10 14:30"),
            ("两个小时前发生了什么", "10 12:30 .. 10 13:30"),
            ("show me 15 min of logs", "last 15"),
            ("看 5 分钟的日志", "last 5"),
            ("10 minutes of logs", "last 10"),
            ("10 分钟后重启", "none"),
            ("scale to 5", "none"),
            ("the 3 pods", "none"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn times_of_day_in_both_languages() {
        for (text, want) in [
            ("what happened at 10pm last night", "09 21:30 .. 09 22:30"),
            ("昨晚十点出了什么事", "09 21:30 .. 09 22:30"),
            ("昨晚 22:15 的日志", "09 21:45 .. 09 22:45"),
            ("昨晚一点", "10 00:30 .. 10 01:30"),
            ("last night", "09 18:00 .. 10 06:00"),
            ("errors since 14:00", "10 14:00 .. -"),
            ("从下午两点开始的错误", "10 14:00 .. -"),
            ("since 16:30", "09 16:30 .. -"),
            ("what about yesterday?", "09 00:00 .. 10 00:00"),
            ("那昨天呢", "09 00:00 .. 10 00:00"),
            ("昨天下午三点半", "09 15:00 .. 09 16:00"),
            ("this morning", "10 06:00 .. 10 12:00"),
            ("今天上午九点到十点", "10 09:00 .. 10 10:00"),
            ("between 9:00 and 10:30 this morning", "10 09:00 .. 10 10:30"),
            ("from 13:00 to 14:00", "10 13:00 .. 10 14:00"),
            ("3月8日之后的变更", "08 00:00 .. -"),
            ("changes since 2026-03-07", "07 00:00 .. -"),
            ("前天", "08 00:00 .. 09 00:00"),
            ("今天", "10 00:00 .. -"),
            ("at 3pm yesterday", "09 14:30 .. 09 15:30"),
            ("十点半", "10 10:00 .. 10 11:00"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }
}
