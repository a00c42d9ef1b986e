//! `resources-missing`: a container the scheduler and the kernel know nothing about.

use super::{Proposed, finding, with_fix};
use crate::domain::{Finding, Severity};

/// What every container should say.
const WANTED: [&str; 3] = ["/requests/cpu", "/requests/memory", "/limits/memory"];

pub(super) fn check(proposed: &Proposed<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for container in proposed.containers() {
        let missing = |container: &serde_json::Value| -> Vec<&str> {
            let has = |pointer: &str| container["resources"].pointer(pointer).is_some();
            WANTED.into_iter().filter(|pointer| !has(pointer)).collect()
        };
        let after = missing(container.after);
        if after.is_empty() {
            continue;
        }
        // what was missing before is only mentioned
        let new = container.before.is_none_or(|before| missing(before) != after);
        let severity = if new { Severity::Warning } else { Severity::Info };
        let missing: Vec<_> = after.iter().map(|pointer| pointer[1..].replace('/', ".")).collect();
        let message = proposed
            .say("容器 {name} 没有设置 {missing}", "container {name} does not set {missing}")
            .replace("{name}", container.name)
            .replace("{missing}", &missing.join(", "));
        let found = finding("resources-missing", severity, container.change, message);
        findings.push(with_fix(
            found,
            proposed.say("按实际用量设置", "set them from what it really uses"),
        ));
    }
    findings
}
