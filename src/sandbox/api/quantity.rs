//! Resource quantities: `500m`, `1Gi`, `0.5`, compared exactly and written in canonical form.

use std::cmp::Ordering;

/// A parsed quantity, in thousandths of nano units so that every suffix is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity {
    nanos: i128,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity; `None` when it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (scale, form) = scale(suffix)?;
        let (negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        if whole.len() > 20 || fraction.len() > 15 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut nanos = whole.checked_mul(scale)?;
        if !fraction.is_empty() {
            let parts: i128 = fraction.parse().ok()?;
            let unit = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
            let exact = parts.checked_mul(scale)?;
            // finer than a nano rounds up, away from zero
            nanos = nanos.checked_add((exact + unit - 1) / unit)?;
        }
        Some(Self { nanos: if negative { -nanos } else { nanos }, form })
    }

    pub(crate) fn zero() -> Self {
        Self { nanos: 0, form: Form::Decimal }
    }

    /// A whole number of something.
    pub(crate) fn whole(n: i64) -> Self {
        Self { nanos: i128::from(n) * NANO, form: Form::Decimal }
    }

    pub(crate) fn is_negative(self) -> bool {
        self.nanos < 0
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let form = if self.nanos == 0 { other.form } else { self.form };
        Self { nanos: self.nanos.saturating_add(other.nanos), form }
    }

    /// Canonical text: the largest suffix that needs no fraction.
    pub(crate) fn text(self) -> String {
        if self.nanos == 0 {
            return "0".to_owned();
        }
        if self.form == Form::Binary && self.nanos % NANO == 0 {
            let whole = self.nanos / NANO;
            for (power, suffix) in
                [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")]
            {
                if whole % (1_i128 << power) == 0 {
                    return format!("{}{suffix}", whole >> power);
                }
            }
            return whole.to_string();
        }
        let steps: [(i128, &str, &str); 10] = [
            (NANO * 10_i128.pow(18), "E", "e18"),
            (NANO * 10_i128.pow(15), "P", "e15"),
            (NANO * 10_i128.pow(12), "T", "e12"),
            (NANO * 10_i128.pow(9), "G", "e9"),
            (NANO * 10_i128.pow(6), "M", "e6"),
            (NANO * 1000, "k", "e3"),
            (NANO, "", ""),
            (NANO / 1000, "m", "e-3"),
            (1000, "u", "e-6"),
            (1, "n", "e-9"),
        ];
        for (unit, suffix, exponent) in steps {
            if self.nanos % unit == 0 {
                let suffix = if self.form == Form::Exponent { exponent } else { suffix };
                return format!("{}{suffix}", self.nanos / unit);
            }
        }
        self.nanos.to_string()
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

fn scale(suffix: &str) -> Option<(i128, Form)> {
    let binary = |power: u32| Some((NANO << power, Form::Binary));
    let decimal = |power: u32| Some((NANO * 10_i128.pow(power), Form::Decimal));
    match suffix {
        "" => decimal(0),
        "n" => Some((1, Form::Decimal)),
        "u" => Some((1000, Form::Decimal)),
        "m" => Some((1_000_000, Form::Decimal)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let scale = match power {
                0..=18 => NANO * 10_i128.pow(power.unsigned_abs()),
                -9..=-1 => NANO / 10_i128.pow(power.unsigned_abs()),
                _ => return None,
            };
            Some((scale, Form::Exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_take_their_canonical_form() {
        for (text, want) in [
            ("0.5", "500m"),
            ("1", "1"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("0", "0"),
            ("-1", "-1"),
            ("128974848", "128974848"),
            ("100k", "100k"),
            (".5", "500m"),
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::text).as_deref(), Some(want), "{text}");
        }
        for text in ["", "x", "1.2.3", "1mi", "m", "1 Gi", "99999999999999999999999"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
        assert!(Quantity::parse("1Gi") > Quantity::parse("1G"));
    }
}
