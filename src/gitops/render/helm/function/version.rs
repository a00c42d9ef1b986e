//! Versions: `semver`, `semverCompare`, and the API versions a chart may ask for.

use std::cmp::Ordering;

use super::{Args, Outcome};
use crate::gitops::render::helm::value::Val;

/// The Kubernetes version that charts are told.
pub(crate) const KUBERNETES: &str = "v1.34.0";

/// Groups and versions that every cluster of that version serves.
const SERVED: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "apiextensions.k8s.io/v1",
    "apiregistration.k8s.io/v1",
    "apps/v1",
    "authentication.k8s.io/v1",
    "authorization.k8s.io/v1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "certificates.k8s.io/v1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "events.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1",
    "networking.k8s.io/v1",
    "node.k8s.io/v1",
    "policy/v1",
    "rbac.authorization.k8s.io/v1",
    "resource.k8s.io/v1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1",
];

/// Whether `group/version` or `group/version/Kind` is served by every cluster.
pub(super) fn is_served(wanted: &str) -> bool {
    let kind = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
    let version = wanted
        .rsplit_once('/')
        .filter(|(_, last)| kind(last))
        .map_or(wanted, |(version, _)| version);
    SERVED.contains(&version)
}

pub(super) fn call(name: &str, args: Args<'_>) -> Option<Outcome> {
    Some(match name {
        "semver" => args.str(0).and_then(|text| {
            let version =
                Version::parse(text).ok_or_else(|| format!("'{text}' is not a version"))?;
            let number = |n: u64| Val::Int(i64::try_from(n).unwrap_or(i64::MAX));
            Ok(Val::object([
                ("Major", number(version.parts[0])),
                ("Minor", number(version.parts[1])),
                ("Patch", number(version.parts[2])),
                ("Prerelease", Val::str(&version.pre)),
                ("Original", Val::str(text)),
            ]))
        }),
        "semverCompare" => args.str(0).and_then(|constraint| {
            let text = args.str(1)?;
            let version =
                Version::parse(text).ok_or_else(|| format!("'{text}' is not a version"))?;
            let mut alternatives = constraint.split("||").map(|all| satisfies(all, &version));
            alternatives.try_fold(false, |any, one| Ok(any || one?)).map(Val::Bool)
        }),
        _ => return None,
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    parts: [u64; 3],
    /// How many parts were written; the others are wildcards in constraints.
    given: usize,
    pre: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let text = text.split('+').next()?;
        let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
        let mut version = Self { parts: [0; 3], given: 0, pre: pre.to_owned() };
        for part in numbers.split('.') {
            if matches!(part, "x" | "X" | "*") {
                return (!numbers.is_empty()).then_some(version);
            }
            *version.parts.get_mut(version.given)? = part.parse().ok()?;
            version.given += 1;
        }
        Some(version)
    }

    fn order(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts).then_with(|| {
            match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => pre_order(&self.pre, &other.pre),
            }
        })
    }

    /// The first version after those that the given parts, up to `keep`, allow.
    fn next(&self, keep: usize) -> Self {
        let mut parts = self.parts;
        let at = keep.clamp(1, 3) - 1;
        parts[at] += 1;
        parts[at + 1..].fill(0);
        Self { parts, given: 3, pre: String::new() }
    }
}

fn pre_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, _) => Ordering::Less,
            (_, None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), _) => Ordering::Less,
                (_, Ok(_)) => Ordering::Greater,
                _ => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Whether the version satisfies every term of a constraint (`>=1.19-0 <1.25`, `^1.2`, `1.2 - 1.4`).
fn satisfies(constraint: &str, version: &Version) -> Result<bool, String> {
    let spaced = constraint.replace(" - ", "\u{0}");
    let mut joined = String::new();
    for c in spaced.chars() {
        // a sign may stand apart from its version
        if c == ' ' && joined.ends_with(['<', '>', '=', '~', '^', '!']) {
            continue;
        }
        joined.push(if c == ',' { ' ' } else { c });
    }
    for term in joined.split_whitespace() {
        let holds = match term.split_once('\u{0}') {
            Some((low, high)) => {
                satisfies_one(&format!(">={low}"), version)?
                    && satisfies_one(&format!("<={high}"), version)?
            }
            None => satisfies_one(term, version)?,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn satisfies_one(term: &str, version: &Version) -> Result<bool, String> {
    let digits = term.find(|c: char| !"<>=~^!".contains(c)).unwrap_or(term.len());
    let (sign, text) = term.split_at(digits);
    if matches!(text, "*" | "x" | "X") || text.is_empty() {
        return Ok(version.pre.is_empty());
    }
    let bound =
        Version::parse(text).ok_or_else(|| format!("'{term}' is not a constraint on versions"))?;
    // a version before its release is only meant when the constraint speaks of such
    if !version.pre.is_empty() && bound.pre.is_empty() {
        return Ok(false);
    }
    let at_least = version.order(&bound).is_ge();
    let before = |limit: &Version| version.parts < limit.parts;
    let within = |keep: usize| at_least && before(&bound.next(keep));
    let major = bound.parts.iter().position(|part| *part > 0).unwrap_or(2) + 1;
    Ok(match sign {
        "" | "=" | "==" if bound.given == 3 => version.order(&bound).is_eq(),
        "" | "=" | "==" => within(bound.given),
        "!=" if bound.given == 3 => version.order(&bound).is_ne(),
        "!=" => !within(bound.given),
        ">" if bound.given == 3 => version.order(&bound).is_gt(),
        ">" => !before(&bound.next(bound.given)),
        ">=" | "=>" => at_least,
        "<" => version.order(&bound).is_lt(),
        "<=" | "=<" if bound.given == 3 => version.order(&bound).is_le(),
        "<=" | "=<" => before(&bound.next(bound.given)),
        "~" | "~>" => within(bound.given.min(2)),
        "^" => within(major.min(bound.given.max(1))),
        _ => return Err(format!("'{term}' is not a constraint on versions")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_hold_as_in_helm() {
        let table = [
            (">=1.19-0", "v1.34.0", true),
            (">= 1.19-0, < 1.25-0", "1.24.3", true),
            ("<1.21-0", "1.34.0", false),
            ("^1.2.3", "1.9.0", true),
            ("^1.2.3", "2.0.0", false),
            ("^0.2.3", "0.3.0", false),
            ("~1.2", "1.2.9", true),
            ("~1.2", "1.3.0", false),
            ("1.2.x", "1.2.7", true),
            ("1.2 - 1.4", "1.4.9", true),
            ("<1.2 || >=2", "2.1.0", true),
            (">=1.19", "1.20.0-alpha.1", false),
            (">=1.19-0", "1.20.0-gke.100", true),
            ("*", "1.2.3", true),
            (">1.2", "1.2.9", false),
        ];
        for (constraint, version, expected) in table {
            let args = [Val::str(constraint), Val::str(version)];
            let result = call("semverCompare", Args(&args)).expect("known").expect("valid");
            assert_eq!(result.truth(), expected, "{constraint} {version}");
        }
    }

    #[test]
    fn api_versions_are_those_of_every_cluster() {
        assert!(is_served("policy/v1") && is_served("networking.k8s.io/v1/Ingress"));
        assert!(
            !is_served("policy/v1beta1") && !is_served("monitoring.coreos.com/v1/ServiceMonitor")
        );
    }
}
