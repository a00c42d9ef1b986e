//! Amounts of CPU and memory as people write them, to Kubernetes quantities.
//!
//! In a sentence `2G`, `2GB` and `512 兆` mean binary units (`2Gi`, `512Mi`); the reviewed diff shows what was understood.

/// What an amount is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
}

impl Resource {
    /// The key in `resources.requests`.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// An amount with a unit, of CPU or memory when the unit tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantity {
    number: f64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Plain,
    /// `m`: thousandths of a core; for memory people mean mebibytes.
    Milli,
    Core,
    MilliCore,
    Kibi,
    Mebi,
    Gibi,
    Tebi,
}

impl Quantity {
    /// A number without a unit (`cpu 2`).
    pub(super) fn plain(number: f64) -> Self {
        Self { number, unit: Unit::Plain }
    }

    /// What the unit alone says it is of.
    pub(super) fn resource(&self) -> Option<Resource> {
        match self.unit {
            Unit::Plain | Unit::Milli => None,
            Unit::Core | Unit::MilliCore => Some(Resource::Cpu),
            Unit::Kibi | Unit::Mebi | Unit::Gibi | Unit::Tebi => Some(Resource::Memory),
        }
    }

    /// The Kubernetes quantity; `None` when the unit does not fit the resource or the amount is not positive.
    pub(super) fn render(&self, resource: Resource) -> Option<String> {
        if self.number <= 0.0 || !self.number.is_finite() {
            return None;
        }
        match (resource, self.unit) {
            (Resource::Cpu, Unit::Plain | Unit::Core) => {
                if self.number.fract() == 0.0 {
                    Some(format!("{}", self.number))
                } else {
                    whole(self.number * 1000.0).map(|millis| format!("{millis}m"))
                }
            }
            (Resource::Cpu, Unit::Milli | Unit::MilliCore) => {
                whole(self.number).map(|millis| format!("{millis}m"))
            }
            (Resource::Memory, Unit::Milli) => scaled(self.number, 1),
            (Resource::Memory, Unit::Kibi) => scaled(self.number, 0),
            (Resource::Memory, Unit::Mebi) => scaled(self.number, 1),
            (Resource::Memory, Unit::Gibi) => scaled(self.number, 2),
            (Resource::Memory, Unit::Tebi) => scaled(self.number, 3),
            _ => None,
        }
    }
}

/// A declared quantity times `2`, `3` or `1/2`; `None` when it cannot be read or does not come out even.
pub(super) fn times(declared: &str, factor: &str) -> Option<String> {
    let split = declared.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(declared.len());
    let number: f64 = declared[..split].parse().ok()?;
    let factor = match factor.split_once('/') {
        Some((by, of)) => by.parse::<f64>().ok()? / of.parse::<f64>().ok()?,
        None => factor.parse().ok()?,
    };
    let (number, suffix) = (number * factor, &declared[split..]);
    if let Some(whole) = whole(number) {
        return Some(match suffix {
            "Mi" if whole % 1024 == 0 => format!("{}Gi", whole / 1024),
            _ => format!("{whole}{suffix}"),
        });
    }
    // half of 1 core, half of 1Gi
    match suffix {
        "" => whole(number * 1000.0).map(|millis| format!("{millis}m")),
        "Mi" | "Gi" | "Ti" => {
            let down = match suffix {
                "Mi" => "Ki",
                "Gi" => "Mi",
                _ => "Gi",
            };
            whole(number * 1024.0).map(|number| format!("{number}{down}"))
        }
        _ => None,
    }
}

/// Binary units, going one unit down for a fraction: `1.5Gi` = `1536Mi`.
fn scaled(number: f64, unit: usize) -> Option<String> {
    const UNITS: [&str; 4] = ["Ki", "Mi", "Gi", "Ti"];
    match (whole(number), unit) {
        (Some(whole), _) => Some(format!("{whole}{}", UNITS[unit])),
        (None, 0) => None,
        (None, _) => whole(number * 1024.0).map(|n| format!("{n}{}", UNITS[unit - 1])),
    }
}

fn whole(number: f64) -> Option<u64> {
    (number.fract().abs() < 1e-9 && (1.0..9e15).contains(&number)).then_some(number as u64)
}

/// Reads a Latin token with a unit: `500m`, `2Gi`, `2g`, `512mb`, `2c`.
pub(super) fn latin(token: &str) -> Option<Quantity> {
    let lower = token.to_lowercase();
    let split = lower.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = lower[..split].parse().ok()?;
    Some(Quantity { number, unit: unit(&lower[split..])? })
}

/// A unit on its own, after a number: `核`, `cores`, `Gi`, `兆`.
pub(super) fn with_unit(number: f64, word: &str) -> Option<Quantity> {
    Some(Quantity { number, unit: unit(word)? })
}

/// Han units, longest first.
pub(super) const HAN_UNITS: [&str; 6] = ["毫核", "兆", "核心", "核", "吉", "千兆"];

fn unit(word: &str) -> Option<Unit> {
    let found = match word {
        "m" => Unit::Milli,
        "c" | "core" | "cores" | "vcpu" | "vcpus" | "cpu" | "cpus" | "核" | "核心" => Unit::Core,
        "millicore" | "millicores" | "millicpu" | "mcpu" | "mcores" | "毫核" => Unit::MilliCore,
        "k" | "ki" | "kb" | "kib" => Unit::Kibi,
        "mi" | "mb" | "mib" | "meg" | "megs" | "megabytes" | "兆" => Unit::Mebi,
        "g" | "gi" | "gb" | "gib" | "gig" | "gigs" | "gigabytes" | "吉" | "千兆" => Unit::Gibi,
        "t" | "ti" | "tb" | "tib" => Unit::Tebi,
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_both_languages() {
        let cases = [
            (latin("500m"), Resource::Cpu, Some("500m")),
            (latin("512m"), Resource::Memory, Some("512Mi")),
            (latin("2Gi"), Resource::Memory, Some("2Gi")),
            (latin("2G"), Resource::Memory, Some("2Gi")),
            (latin("1.5g"), Resource::Memory, Some("1536Mi")),
            (with_unit(2.0, "核"), Resource::Cpu, Some("2")),
            (with_unit(0.5, "cores"), Resource::Cpu, Some("500m")),
            (with_unit(512.0, "兆"), Resource::Memory, Some("512Mi")),
            (Some(Quantity::plain(2.0)), Resource::Memory, None),
            (latin("2Gi"), Resource::Cpu, None),
        ];
        for (quantity, resource, expected) in cases {
            let found = quantity.as_ref().and_then(|q| q.render(resource));
            assert_eq!(found.as_deref(), expected, "{quantity:?}");
        }
        for (declared, factor, want) in [
            ("256Mi", "2", Some("512Mi")),
            ("1", "1/2", Some("500m")),
            ("250m", "3", Some("750m")),
            ("1Gi", "1/2", Some("512Mi")),
            ("0.5", "2", Some("1")),
            ("512Mi", "2", Some("1Gi")),
            ("?", "2", None),
        ] {
            assert_eq!(times(declared, factor).as_deref(), want, "{declared} {factor}");
        }
        assert_eq!(latin("v2"), None);
        assert_eq!(latin("2x"), None);
    }
}
