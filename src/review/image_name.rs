//! `image-name-changed`: not only the tag of an image differs but its name, which may be a slip of the pen.

use super::{Proposed, finding, with_fix};
use crate::domain::{Finding, Severity};

pub(super) fn check(proposed: &Proposed<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for container in proposed.containers() {
        let Some(before) = container.before.and_then(|before| before["image"].as_str()) else {
            continue;
        };
        let after = container.after["image"].as_str().unwrap_or_default();
        let (old, new) = (repository(before), repository(after));
        if old == new {
            continue;
        }
        let message = proposed
            .say(
                "容器 {name} 换成了另一个镜像：{old} → {new}",
                "container {name} changes to another image: {old} -> {new}",
            )
            .replace("{name}", container.name)
            .replace("{old}", old)
            .replace("{new}", new);
        let found = finding("image-name-changed", Severity::Warning, container.change, message);
        findings.push(with_fix(
            found,
            proposed.say("确认镜像名没有写错", "make sure that the name is not a typo"),
        ));
    }
    findings
}

/// The reference without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // a colon before the last slash is a registry's port
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}
