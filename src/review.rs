//! Checks of a proposed change. `review/` holds one check per file; adding one = one file and one line in [`CHECKS`].

mod blast_radius;
mod image_name;
mod image_tag;
mod privileged;
mod replica_jump;
mod resources;
mod scale_to_zero;
mod single_replica;

use serde_json::Value;

use crate::{
    domain::{Finding, Lang, Severity},
    gitops::plan::ObjectChange,
};

/// Looks at one change and says what it thinks.
type Check = fn(&Proposed<'_>) -> Vec<Finding>;

/// Every check, in the order their findings are shown.
const CHECKS: &[Check] = &[
    privileged::check,
    image_name::check,
    image_tag::check,
    scale_to_zero::check,
    single_replica::check,
    replica_jump::check,
    resources::check,
    blast_radius::check,
];

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct Proposed<'a> {
    /// The rendered objects that differ.
    pub objects: &'a [ObjectChange],
    /// Language of the findings.
    pub lang: Lang,
}

/// Runs every check; the worst findings come first.
#[must_use]
pub fn review(proposed: &Proposed<'_>) -> Vec<Finding> {
    let mut findings: Vec<_> = CHECKS.iter().flat_map(|check| check(proposed)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

impl<'a> Proposed<'a> {
    /// The text in the operator's language.
    fn say<'t>(&self, zh: &'t str, en: &'t str) -> &'t str {
        if self.lang == Lang::Zh { zh } else { en }
    }

    /// Objects that exist after the change, with their manifests.
    fn kept(&self) -> impl Iterator<Item = (&'a ObjectChange, &'a Value)> {
        self.objects.iter().filter_map(|change| Some((change, change.after.as_ref()?)))
    }

    /// Containers after the change, each with the same container before it.
    fn containers(&self) -> impl Iterator<Item = Container<'a>> {
        self.kept().flat_map(|(change, after)| {
            let before = change.before.as_ref();
            containers(after).map(move |(name, container)| {
                let before =
                    before.and_then(|b| containers(b).find(|(n, _)| *n == name)).map(|(_, c)| c);
                Container { change, name, before, after: container }
            })
        })
    }

    /// Changes of `/spec/replicas` to a number, with the number before (1 where it was not written).
    fn replicas(&self) -> impl Iterator<Item = (&'a ObjectChange, Option<u64>, u64)> {
        self.kept().filter_map(|(change, after)| {
            let number = |object: &Value| object.pointer("/spec/replicas").and_then(Value::as_u64);
            let before = change.before.as_ref().map(|before| number(before).unwrap_or(1));
            let after = number(after)?;
            (before != Some(after)).then_some((change, before, after))
        })
    }
}

/// One container of a changed object.
struct Container<'a> {
    change: &'a ObjectChange,
    name: &'a str,
    before: Option<&'a Value>,
    after: &'a Value,
}

/// The pod spec inside a workload or pod.
fn pod_spec(object: &Value) -> Option<&Value> {
    ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"]
        .iter()
        .find_map(|pointer| object.pointer(pointer))
        .or_else(|| object.get("spec").filter(|_| object["kind"] == "Pod"))
}

fn containers(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let spec = pod_spec(object);
    ["initContainers", "containers"]
        .into_iter()
        .filter_map(move |list| spec?.get(list)?.as_array())
        .flatten()
        .filter_map(|container| Some((container.get("name")?.as_str()?, container)))
}

/// Whether an environment's name says that customers are on it.
fn is_production(change: &ObjectChange) -> bool {
    let name = change.environment.as_deref().unwrap_or_default().to_lowercase();
    name.split(['-', '_', '.', '/'])
        .any(|part| matches!(part, "prod" | "production" | "live" | "prd"))
}

fn finding(check: &str, severity: Severity, change: &ObjectChange, message: String) -> Finding {
    Finding {
        check: check.to_owned(),
        severity,
        object: Some(change.object.clone()),
        location: Some(change.location.clone()),
        message,
        fix: None,
    }
}

fn with_fix(mut finding: Finding, fix: &str) -> Finding {
    finding.fix = Some(fix.to_owned());
    finding
}

#[cfg(test)]
mod tests;
