//! `image-tag-mutable`: an image whose tag can mean something else tomorrow.

use super::{Proposed, finding, with_fix};
use crate::domain::{Finding, Severity};

pub(super) fn check(proposed: &Proposed<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for container in proposed.containers() {
        let image = container.after["image"].as_str().unwrap_or_default();
        let changed = container.before.is_none_or(|before| before["image"] != image);
        if !changed || image.is_empty() || image.contains('@') {
            continue;
        }
        let tag =
            image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
        if !matches!(tag, None | Some("latest" | "main" | "master" | "dev" | "nightly")) {
            continue;
        }
        let name = container.name;
        let message = proposed
            .say(
                "容器 {name} 的镜像 {image} 没有固定版本：同一个标签以后可能是别的内容",
                "container {name} uses {image}, whose content can change under the same tag",
            )
            .replace("{name}", name)
            .replace("{image}", image);
        let found = finding("image-tag-mutable", Severity::Warning, container.change, message);
        findings.push(with_fix(
            found,
            proposed.say(
                "使用版本标签或摘要（@sha256:...）",
                "use a version tag or a digest (@sha256:...)",
            ),
        ));
    }
    findings
}
