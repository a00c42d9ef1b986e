//! Kubernetes resource quantities: `500m`, `1.5`, `256Mi`, `1e3`, in thousandths so that sums stay exact.

/// An amount in thousandths of its unit: millicores, milli-bytes, milli-pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Quantity(i128);

impl Quantity {
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) fn milli(thousandths: i64) -> Self {
        Self(thousandths.into())
    }

    pub(crate) fn whole(units: i64) -> Self {
        Self(i128::from(units) * 1000)
    }

    /// Reads a quantity; `None` when it is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text
            .char_indices()
            .find(|(at, c)| {
                !(c.is_ascii_digit() || *c == '.' || (*at == 0 && matches!(c, '+' | '-')))
            })
            .map_or(text.len(), |(at, _)| at);
        let (number, unit) = text.split_at(digits);
        let (mantissa, decimals) = decimal(number)?;
        let (factor, divisor) = scale(unit)?;
        let value = mantissa.checked_mul(factor)?.checked_mul(1000)?;
        let divisor = divisor.checked_mul(10_i128.checked_pow(decimals)?)?;
        // a fraction of a thousandth rounds up, as the API server does
        Some(Self(value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)))
    }

    /// Reads a JSON quantity: a string or a plain number.
    pub(crate) fn read(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::String(text) => Self::parse(text),
            serde_json::Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn as_milli(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Whole units, rounded up.
    pub(crate) fn as_whole(self) -> i64 {
        let up = self.0.div_euclid(1000) + i128::from(self.0.rem_euclid(1000) != 0);
        i64::try_from(up).unwrap_or(i64::MAX)
    }

    pub(crate) fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn saturating_sub(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0))
    }

    /// The shortest usual form: `250m`, `2`, `1536Mi`; bytes in binary units where they are whole.
    pub(crate) fn format(self, binary: bool) -> String {
        if self.0 % 1000 != 0 {
            return format!("{}m", self.0);
        }
        let whole = self.0 / 1000;
        if binary && whole != 0 {
            for (unit, power) in [("Gi", 30), ("Mi", 20), ("Ki", 10)] {
                if whole % (1_i128 << power) == 0 {
                    return format!("{}{unit}", whole >> power);
                }
            }
        }
        whole.to_string()
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, |sum, one| sum + one)
    }
}

/// `1.25` as (125, 2).
fn decimal(number: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.trim_start_matches(['+', '-']).is_empty() && fraction.is_empty() {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some((mantissa, u32::try_from(fraction.len()).ok()?))
}

/// A unit as a factor and a divisor.
fn scale(unit: &str) -> Option<(i128, i128)> {
    let powers = |base: i128, power: u32| Some((base.pow(power), 1));
    match unit {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => powers(1000, 1),
        "M" => powers(1000, 2),
        "G" => powers(1000, 3),
        "T" => powers(1000, 4),
        "P" => powers(1000, 5),
        "E" => powers(1000, 6),
        "Ki" => powers(1024, 1),
        "Mi" => powers(1024, 2),
        "Gi" => powers(1024, 3),
        "Ti" => powers(1024, 4),
        "Pi" => powers(1024, 5),
        "Ei" => powers(1024, 6),
        _ => {
            let exponent: i32 = unit.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs().min(30))?;
            Some(if exponent < 0 { (1, power) } else { (power, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (text, milli) in [
            ("500m", 500),
            ("1", 1000),
            ("1.5", 1500),
            (".5", 500),
            ("0.1m", 1),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1e3", 1_000_000),
            ("12E2", 1_200_000),
            ("1E", 1_000_000_000_000_000_000_000_i128),
            ("100n", 1),
        ] {
            assert_eq!(Quantity::parse(text), Some(Quantity(milli)), "{text}");
        }
        for text in ["", "m", "1x", "1 Gi", "--1", "1.2.3", "e3"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_the_usual_form() {
        for (text, binary, out) in [
            ("1500m", false, "1500m"),
            ("2000m", false, "2"),
            ("1.5Gi", true, "1536Mi"),
            ("1024Mi", true, "1Gi"),
            ("1000", true, "1000"),
            ("0", true, "0"),
        ] {
            assert_eq!(Quantity::parse(text).map(|q| q.format(binary)).as_deref(), Some(out));
        }
    }
}
