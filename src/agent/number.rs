//! Numbers as people write them: digits, Chinese numerals, English words, signs and thousands.

/// A number the operator said; kept wide so that absurd ones can be refused by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// A whole number.
    Whole(i64),
    /// A number with a fraction, or one too large to count with.
    Other(f64),
}

/// Reads a Latin token: `5`, `-1`, `1,000`, `1e9`, `10^9`, `2.5`, `five`.
pub(super) fn latin(token: &str) -> Option<Number> {
    if let Some(position) =
        WORDS.iter().position(|words| words.split('|').any(|word| word == token))
    {
        return Some(Number::Whole(position as i64));
    }
    match token {
        "thirty" => return Some(Number::Whole(30)),
        "fifty" => return Some(Number::Whole(50)),
        "hundred" => return Some(Number::Whole(100)),
        _ => {}
    }
    let plain = token.replace(',', "");
    if let Ok(whole) = plain.trim_start_matches('+').parse::<i64>() {
        return Some(Number::Whole(whole));
    }
    if let Some((base, power)) = plain.split_once('^') {
        return Some(of_f64(base.parse::<f64>().ok()?.powi(power.parse().ok()?)));
    }
    let looks_numeric = plain.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && plain.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | '-' | '+'));
    if looks_numeric { plain.parse::<f64>().ok().map(of_f64) } else { None }
}

/// Reads a number of several words: `six hundred`, `twenty five`, `two thousand`; how many words it has. One word is none.
pub(super) fn spelled(words: &[&str]) -> Option<(i64, usize)> {
    const TENS: [&str; 8] =
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let tens = |word: &str| TENS.iter().position(|t| *t == word).map(|at| (at as i64 + 2) * 10);
    let small = |word: &str| {
        let found = WORDS.iter().position(|words| words.split('|').any(|w| w == word));
        found.map(|n| n as i64).filter(|n| *n > 0 && word != "dozen")
    };
    let (mut total, mut current, mut used) = (0i64, 0i64, 0);
    for (at, word) in words.iter().enumerate() {
        match (*word, tens(word), small(word)) {
            ("hundred", ..) if (1..100).contains(&current) => current *= 100,
            ("thousand", ..) if (1..1000).contains(&current) => {
                (total, current) = (total + current * 1000, 0);
            }
            ("and", ..) if current >= 100 && used == at => continue,
            (_, Some(tens), _) if current % 100 == 0 => current += tens,
            (_, None, Some(n)) if current % 100 == 0 || (n < 10 && current % 10 == 0) => {
                current += n
            }
            _ => break,
        }
        used = at + 1;
    }
    (used > 1).then_some((total + current, used))
}

const WORDS: [&str; 21] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve|dozen",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

fn of_f64(value: f64) -> Number {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        Number::Whole(value as i64)
    } else {
        Number::Other(value)
    }
}

/// Reads Chinese numerals at the start of `chars`: the number and how many characters it took.
pub(super) fn han(chars: &[char]) -> Option<(i64, usize)> {
    let negative = chars.first() == Some(&'负');
    let digits = &chars[usize::from(negative)..];
    let (mut total, mut section, mut current, mut used) = (0i64, 0i64, None::<i64>, 0);
    for c in digits {
        if let Some(digit) = digit(*c) {
            // 一二 in a row is a list of digits: 二零 = 20
            current = Some(current.map_or(digit, |before| before * 10 + digit));
        } else if let Some(unit) = unit(*c) {
            if unit >= 10_000 {
                total = (total + section + current.take().unwrap_or(0)).max(1) * unit;
                section = 0;
            } else {
                section += current.take().unwrap_or(1) * unit;
            }
        } else {
            break;
        }
        used += 1;
        if used > 12 {
            return None;
        }
    }
    if used == 0 {
        return None;
    }
    let value = total + section + current.unwrap_or(0);
    Some((if negative { -value } else { value }, used + usize::from(negative)))
}

fn digit(c: char) -> Option<i64> {
    let found = match c {
        '零' | '〇' => 0,
        '一' | '壹' => 1,
        '二' | '两' | '俩' | '贰' => 2,
        '三' | '仨' | '叁' => 3,
        '四' => 4,
        '五' => 5,
        '六' => 6,
        '七' => 7,
        '八' => 8,
        '九' => 9,
        _ => return None,
    };
    Some(found)
}

fn unit(c: char) -> Option<i64> {
    let found = match c {
        '十' => 10,
        '百' => 100,
        '千' => 1000,
        '万' => 10_000,
        '亿' => 100_000_000,
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_languages() {
        for (text, value) in [
            ("五", 5),
            ("十二", 12),
            ("两", 2),
            ("二十", 20),
            ("一百零五", 105),
            ("十亿", 1_000_000_000),
            ("负一", -1),
            ("三万", 30_000),
        ] {
            let chars: Vec<char> = text.chars().collect();
            assert_eq!(han(&chars), Some((value, chars.len())), "{text}");
        }
        for (text, value) in [
            ("5", 5),
            ("-1", -1),
            ("+2", 2),
            ("1,000", 1000),
            ("10^9", 1_000_000_000),
            ("1e9", 1_000_000_000),
            ("twelve", 12),
            ("zero", 0),
        ] {
            assert_eq!(latin(text), Some(Number::Whole(value)), "{text}");
        }
        assert_eq!(latin("2.5"), Some(Number::Other(2.5)));
        assert_eq!(latin("v2"), None);
        assert_eq!(latin("1.4.2"), None);
        assert_eq!(latin("abc"), None);
    }
}
