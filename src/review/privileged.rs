//! `privileged`: a pod that can take over its node.

use serde_json::Value;

use super::{Proposed, finding, pod_spec};
use crate::domain::{Finding, Severity};

pub(super) fn check(proposed: &Proposed<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |change, known: bool, what: &str| {
        // what was so before is only mentioned; adding it is stopped
        let severity = if known { Severity::Info } else { Severity::Error };
        let message = proposed
            .say("{what} 让 Pod 能控制所在节点", "{what} lets the pod take over its node")
            .replace("{what}", what);
        findings.push(finding("privileged", severity, change, message));
    };
    for container in proposed.containers() {
        let set = |container: &Value| {
            container.pointer("/securityContext/privileged") == Some(&Value::Bool(true))
        };
        if set(container.after) {
            let what = format!("{}: securityContext.privileged", container.name);
            say(container.change, container.before.is_some_and(set), &what);
        }
    }
    for (change, after) in proposed.kept() {
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            let set = |object: &Value| pod_spec(object).is_some_and(|spec| spec[field] == true);
            if set(after) {
                say(change, change.before.as_ref().is_some_and(set), field);
            }
        }
    }
    findings
}
