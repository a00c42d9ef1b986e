//! `single-replica`: one pod in production means an outage with every node drain and roll-out.

use super::{Proposed, finding, is_production, with_fix};
use crate::domain::{Finding, Severity};

pub(super) fn check(proposed: &Proposed<'_>) -> Vec<Finding> {
    let single =
        proposed.replicas().filter(|(change, _, after)| *after == 1 && is_production(change));
    single
        .map(|(change, ..)| {
            let message = proposed
                .say("{name} 在生产环境只有 1 个副本", "{name} has a single replica in production")
                .replace("{name}", &change.object.name);
            let found = finding("single-replica", Severity::Warning, change, message);
            with_fix(found, proposed.say("至少使用 2 个副本", "run at least 2 replicas"))
        })
        .collect()
}
