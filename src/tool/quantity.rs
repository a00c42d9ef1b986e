//! Kubernetes quantities as numbers, and numbers as people read them.

/// `250m`, `1`, `0.5`, `1500000n` as cores; nothing for what is no quantity.
pub(super) fn parse(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    // `1e3` and `1E3` are numbers, `1E` is an exa
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let factor = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        _ => return None,
    };
    Some(number * factor)
}

/// Cores as `250m` or `1.5`.
pub(super) fn cores(cores: f64) -> String {
    let milli = (cores * 1000.0).round();
    if milli.abs() < 1000.0 { format!("{milli}m") } else { trim(format!("{cores:.2}")) }
}

/// Bytes as `128Mi`, `1.5Gi`.
pub(super) fn bytes(bytes: f64) -> String {
    let units = ["Ki", "Mi", "Gi", "Ti"];
    let mut value = bytes / 1024.0;
    let mut unit = units[0];
    for larger in &units[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{}{unit}", trim(format!("{value:.1}")))
}

fn trim(number: String) -> String {
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers() {
        for (text, value) in [
            ("250m", 0.25),
            ("2", 2.0),
            ("1500000n", 0.0015),
            ("1Gi", 1_073_741_824.0),
            ("128974848", 128_974_848.0),
            ("1e3", 1000.0),
            ("129M", 129e6),
        ] {
            assert!((parse(text).unwrap() - value).abs() < 1e-6, "{text}");
        }
        assert_eq!(parse("much"), None);
        assert_eq!(parse("1Xi"), None);
        assert_eq!(
            (cores(0.25), cores(1.5), cores(2.0)),
            ("250m".into(), "1.5".into(), "2".into())
        );
        assert_eq!(
            (bytes(134_217_728.0), bytes(1_610_612_736.0)),
            ("128Mi".into(), "1.5Gi".into())
        );
    }
}
