//! `blast-radius`: how much a change touches, and what it deletes.

use std::collections::BTreeSet;

use super::{Proposed, finding};
use crate::domain::{Finding, Severity};

/// More objects than this are worth a second look.
const MANY: usize = 10;

pub(super) fn check(proposed: &Proposed<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for change in proposed.objects.iter().filter(|change| change.after.is_none()) {
        let message = proposed
            .say("将删除 {object}", "{object} will be deleted")
            .replace("{object}", &change.object.to_string());
        findings.push(finding("blast-radius", Severity::Warning, change, message));
    }
    let spaces: BTreeSet<_> =
        proposed.objects.iter().filter_map(|change| change.object.namespace.as_ref()).collect();
    let count = proposed.objects.len();
    if count > MANY || spaces.len() > 1 {
        let message = proposed
            .say(
                "涉及 {count} 个对象、{spaces} 个命名空间",
                "touches {count} objects in {spaces} namespaces",
            )
            .replace("{count}", &count.to_string())
            .replace("{spaces}", &spaces.len().to_string());
        findings.push(Finding {
            check: "blast-radius".to_owned(),
            severity: Severity::Warning,
            object: None,
            location: None,
            message,
            fix: None,
        });
    }
    findings
}
