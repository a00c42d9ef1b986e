//! Numbers with the unit that follows them: CPU, memory, time, percent.

use super::{
    lexicon,
    number::{self, Number},
    quantity,
    scan::What,
    text::{Token, TokenKind},
};

/// `half a core`, `a gig`, `one and a half gigs`.
pub(super) fn halves(tokens: &[Token]) -> Option<(What, usize)> {
    let word = |at: usize| tokens.get(at).map(|t| t.lower.as_str());
    match (word(0)?, word(1)?, word(2)) {
        ("half", "a", Some("dozen")) => return Some((What::Number(Number::Whole(6)), 3)),
        ("a", "dozen", _) => return Some((What::Number(Number::Whole(12)), 2)),
        ("a", "couple", Some("of")) => return Some((What::Number(Number::Whole(2)), 3)),
        ("a" | "just" | "only", "single", _) => return Some((What::Number(Number::Whole(1)), 2)),
        ("a", "couple", _) => return Some((What::Number(Number::Whole(2)), 2)),
        _ => {}
    }
    if let ("half", "a" | "an", Some("second" | "minute" | "hour" | "day")) =
        (word(0)?, word(1)?, word(2))
    {
        return Some((What::Measure, 3));
    }
    let quarters = |n: f64, at: usize| {
        let of = word(at) == Some("of") && word(at + 1) == Some("a");
        let unit = word(at + usize::from(of) * 2)?;
        let quantity = quantity::with_unit(n, unit).filter(|_| unit.len() > 2)?;
        Some((What::Quantity(quantity), at + usize::from(of) * 2 + 1))
    };
    match (word(0)?, word(1)?) {
        ("a" | "one", "quarter") => return quarters(0.25, 2),
        ("three", "quarters") => return quarters(0.75, 2),
        _ => {}
    }
    let (amount, used) = match (word(0)?, word(1)?, word(2), word(3)) {
        ("half", "a" | "an", Some(_), _) => (0.5, 2),
        ("a" | "one", "and", Some("a"), Some("half")) => (1.5, 4),
        ("two", "and", Some("a"), Some("half")) => (2.5, 4),
        ("a" | "an" | "another", "half", Some(_), _) => (0.5, 2),
        ("a" | "an" | "one", ..) => (1.0, 1),
        _ => return None,
    };
    let unit = word(used)?;
    // letters alone are too little to be a unit here
    let quantity = quantity::with_unit(amount, unit).filter(|_| unit.len() > 2)?;
    Some((What::Quantity(quantity), used + 1))
}

/// A number, alone or with the unit that follows it.
pub(super) fn value(tokens: &[Token]) -> Option<(What, usize)> {
    let token = &tokens[0];
    if token.lower.ends_with('%') {
        return Some((What::Measure, 1));
    }
    let words: Vec<&str> = tokens.iter().take(6).map(|t| t.lower.as_str()).collect();
    if let Some((whole, used)) = number::spelled(&words) {
        let number = Number::Whole(whole);
        let found = with_unit(number, &tokens[used..]);
        return Some(found.map_or((What::Number(number), used), |(w, n)| (w, n + used)));
    }
    let Some(number) = number::latin(&token.lower) else {
        return of_one_token(&token.lower).map(|what| (what, 1));
    };
    Some(with_unit(number, &tokens[1..]).map_or((What::Number(number), 1), |(w, n)| (w, n + 1)))
}

fn of_one_token(lower: &str) -> Option<What> {
    let digits = lower.trim_start_matches(|c: char| c.is_ascii_digit());
    if digits.len() < lower.len()
        && matches!(digits, "s" | "sec" | "min" | "mins" | "h" | "hr" | "hrs" | "d")
    {
        return Some(What::Measure);
    }
    quantity::latin(lower).map(What::Quantity)
}

/// The unit after a number: of CPU, memory or time.
pub(super) fn with_unit(number: Number, rest: &[Token]) -> Option<(What, usize)> {
    let amount = match number {
        Number::Whole(n) => n as f64,
        Number::Other(n) => n,
    };
    let next = rest.first()?;
    if next.text == "%" {
        return Some((What::Measure, 1));
    }
    if next.kind == TokenKind::Latin {
        const TIME: &str = "s sec secs second seconds min mins minute minutes h hr hrs hour hours day days week weeks am pm times ms";
        if TIME.split(' ').any(|unit| unit == next.lower) {
            return Some((What::Measure, 1));
        }
        // `2 cpu` is left to the noun that follows
        let is_noun = lexicon::english(&next.lower).is_some();
        return quantity::with_unit(amount, &next.lower)
            .filter(|_| !is_noun && next.lower.len() > usize::from(next.spaced))
            .map(|q| (What::Quantity(q), 1));
    }
    // 一个半 G
    if let (true, true, Some(unit)) =
        (next.text == "个", rest.get(1).is_some_and(|t| t.text == "半"), rest.get(2))
        && let Some(quantity) = quantity::with_unit(amount + 0.5, &unit.lower)
    {
        return Some((What::Quantity(quantity), 3));
    }
    // 两个 G, 两个核
    if let (true, Some(unit)) = (next.text == "个", rest.get(1))
        && matches!(
            unit.lower.as_str(),
            "g" | "gb" | "gi" | "gib" | "m" | "mb" | "mi" | "核" | "兆"
        )
        && let Some(quantity) =
            quantity::with_unit(amount, if unit.lower == "m" { "mi" } else { &unit.lower })
    {
        return Some((What::Quantity(quantity), 2));
    }
    let text: String = rest.iter().take(3).map(|t| t.lower.as_str()).collect();
    for unit in [
        "个小时",
        "分钟",
        "小时",
        "秒钟",
        "点半",
        "点钟",
        "个月",
        "秒",
        "分",
        "天",
        "周",
        "点",
        "次",
        "%",
    ] {
        if text.starts_with(unit) {
            return Some((What::Measure, unit.chars().count()));
        }
    }
    let unit = quantity::HAN_UNITS.iter().find(|unit| text.starts_with(**unit))?;
    Some((What::Quantity(quantity::with_unit(amount, unit)?), unit.chars().count()))
}
