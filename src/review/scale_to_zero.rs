//! `scale-to-zero`: nothing will be running any more.

use super::{Proposed, finding};
use crate::domain::{Finding, Severity};

pub(super) fn check(proposed: &Proposed<'_>) -> Vec<Finding> {
    let stopped =
        proposed.replicas().filter(|(_, before, after)| *after == 0 && *before != Some(0));
    stopped
        .map(|(change, before, _)| {
            let message = proposed
                .say(
                    "{name} 将停止：副本数从 {before} 变为 0",
                    "{name} stops: from {before} replicas to 0",
                )
                .replace("{name}", &change.object.name)
                .replace("{before}", &before.unwrap_or(0).to_string());
            finding("scale-to-zero", Severity::Warning, change, message)
        })
        .collect()
}
