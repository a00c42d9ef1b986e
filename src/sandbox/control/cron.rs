//! Cron schedules of five fields, as `CronJob` takes them.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// A parsed schedule; each field is a set of bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Day of month or day of week is `*`: then both must hold, otherwise either may.
    both_days: bool,
}

impl Schedule {
    /// Reads `*/5 0-6 1,15 jan-mar mon` or `@hourly`; the error says which field is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{text}]", fields.len()));
        };
        const MONTHS: [&str; 12] =
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        let weekdays = field(weekday, 0, 7, &DAYS)?;
        Ok(Self {
            minutes: field(minute, 0, 59, &[])?,
            hours: field(hour, 0, 23, &[])?,
            days: field(day, 1, 31, &[])?,
            months: field(month, 1, 12, &MONTHS)?,
            // both 0 and 7 are Sunday
            weekdays: weekdays | (weekdays >> 7 & 1),
            both_days: day.starts_with(['*', '?']) || weekday.starts_with(['*', '?']),
        })
    }

    /// The first moment after `after` that the schedule names in `zone`; `None` when there is none within five years.
    pub(crate) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at = zone.to_datetime(after).with().second(0).subsec_nanosecond(0).build().ok()?;
        at = at.checked_add(SignedDuration::from_mins(1)).ok()?;
        let end = at.year().checked_add(5)?;
        while at.year() <= end {
            if let Some(jump) = self.jump(at) {
                at = jump;
                continue;
            }
            let moment = zone.to_ambiguous_timestamp(at).compatible().ok()?;
            if moment > after {
                return Some(moment);
            }
            at = at.checked_add(SignedDuration::from_mins(1)).ok()?;
        }
        None
    }

    /// Where to look next when `at` is not in the schedule.
    fn jump(&self, at: DateTime) -> Option<DateTime> {
        let has = |set: u64, value: i8| u8::try_from(value).is_ok_and(|bit| set >> bit & 1 == 1);
        let midnight = |date: jiff::civil::Date| date.at(0, 0, 0, 0);
        if !has(self.months, at.month()) {
            let next = at.date().last_of_month().tomorrow().unwrap_or(jiff::civil::Date::MAX);
            return Some(midnight(next));
        }
        let by_month = has(self.days, at.day());
        let by_week = has(self.weekdays, at.weekday().to_sunday_zero_offset());
        let day = if self.both_days { by_month && by_week } else { by_month || by_week };
        if !day {
            return Some(midnight(at.date().tomorrow().unwrap_or(jiff::civil::Date::MAX)));
        }
        let hour = SignedDuration::from_mins(60 - i64::from(at.minute()));
        if !has(self.hours, at.hour()) {
            return at.checked_add(hour).ok();
        }
        if !has(self.minutes, at.minute()) {
            return at.checked_add(SignedDuration::from_mins(1)).ok();
        }
        None
    }
}

/// One field as a set of bits.
fn field(text: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a value, range, list or step between {low} and {high}");
    let number = |part: &str| -> Result<u32, String> {
        let part = part.to_ascii_lowercase();
        if let Some(at) = names.iter().position(|name| *name == part) {
            return u32::try_from(at)
                .map(|at| at + if low == 1 { 1 } else { 0 })
                .map_err(|_| wrong());
        }
        part.parse().ok().filter(|n| (low..=high).contains(n)).ok_or_else(wrong)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step: u32 = step.parse().ok().filter(|step| *step > 0).ok_or_else(wrong)?;
                (range, Some(step))
            }
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (low, if names.len() == 7 { 6 } else { high }),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/10` means from 5 to the end in steps of 10
            None if step.is_some() => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(wrong());
        }
        let step = usize::try_from(step.unwrap_or(1)).map_err(|_| wrong())?;
        for value in (from..=to).step_by(step) {
            set |= 1 << value;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_times() {
        for (schedule, after, next) in [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "2026-01-01T00:14:59Z", "2026-01-01T00:15:00Z"),
            ("5/20 * * * *", "2026-01-01T00:26:00Z", "2026-01-01T00:45:00Z"),
            ("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"),
            ("30 2 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T02:30:00Z"),
            ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 0 * * mon-fri", "2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z"),
            ("0 9-17/4 1,15 jan,jul *", "2026-01-01T17:30:00Z", "2026-01-15T09:00:00Z"),
            // both days given: either one
            ("0 0 13 * 5", "2026-01-03T00:00:00Z", "2026-01-09T00:00:00Z"),
            ("@monthly", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            let parsed = Schedule::parse(schedule).expect(schedule);
            let got = parsed.next(after.parse().expect(after), &TimeZone::UTC);
            assert_eq!(got.map(|t| t.to_string()).as_deref(), Some(next), "{schedule}");
        }
    }

    #[test]
    fn never_and_nonsense() {
        let never = Schedule::parse("0 0 31 2 *").expect("well formed");
        assert_eq!(never.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC), None);
        for text in
            ["", "* * * *", "60 * * * *", "*/0 * * * *", "5-1 * * * *", "a * * * *", "0 0 0 * *"]
        {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
