//! `replica-jump`: the number of replicas is multiplied, which may be a digit too many.

use super::{Proposed, finding};
use crate::domain::{Finding, Severity};

/// From this factor on.
const FACTOR: u64 = 5;

pub(super) fn check(proposed: &Proposed<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (change, before, after) in proposed.replicas() {
        let Some(before) = before.filter(|before| *before > 0) else { continue };
        if after <= before.saturating_mul(FACTOR) {
            continue;
        }
        let message = proposed
            .say(
                "{name} 的副本数从 {before} 增加到 {after}，超过 5 倍",
                "{name} grows from {before} to {after} replicas, more than five times",
            )
            .replace("{name}", &change.object.name)
            .replace("{before}", &before.to_string())
            .replace("{after}", &after.to_string());
        findings.push(finding("replica-jump", Severity::Warning, change, message));
    }
    findings
}
