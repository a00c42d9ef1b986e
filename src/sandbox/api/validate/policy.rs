//! Disruption budgets, quotas, RBAC.

use serde_json::Value;

use super::{Checks, list, quantity, text};
use crate::sandbox::api::Cause;

pub(super) fn disruption_budget(checks: &mut Checks, _: Option<&Value>, new: &Value) {
    let spec = &new["spec"];
    if spec.get("minAvailable").is_some() && spec.get("maxUnavailable").is_some() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        checks.invalid("spec", spec, why);
    }
    checks.at_least(new, "spec.minAvailable", 0);
    checks.at_least(new, "spec.maxUnavailable", 0);
}

pub(super) fn resource_quota(checks: &mut Checks, _: Option<&Value>, new: &Value) {
    for (name, amount) in new["spec"]["hard"].as_object().into_iter().flatten() {
        if quantity(amount).is_some_and(crate::sandbox::api::quantity::Quantity::is_negative) {
            let why = "must be greater than or equal to 0";
            checks.invalid(format!("spec.hard[{name}]"), amount, why);
        }
    }
}

pub(super) fn role(checks: &mut Checks, _: Option<&Value>, new: &Value) {
    for (i, rule) in list(new, "/rules").iter().enumerate() {
        let at = format!("rules[{i}]");
        if list(rule, "/verbs").is_empty() {
            checks.required(format!("{at}.verbs"), "verbs must contain at least one value");
        }
        if !list(rule, "/nonResourceURLs").is_empty() {
            continue;
        }
        if list(rule, "/apiGroups").is_empty() {
            checks.required(
                format!("{at}.apiGroups"),
                "resource rules must supply at least one api group",
            );
        }
        if list(rule, "/resources").is_empty() {
            checks.required(
                format!("{at}.resources"),
                "resource rules must supply at least one resource",
            );
        }
    }
}

pub(super) fn role_binding(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    let role = &new["roleRef"];
    let kinds: &[&str] = match new["kind"].as_str() {
        Some("ClusterRoleBinding") => &["ClusterRole"],
        _ => &["Role", "ClusterRole"],
    };
    checks.one_of("roleRef.kind", &role["kind"], kinds);
    if text(role, "/name").is_empty() {
        checks.required("roleRef.name", "");
    }
    for (i, subject) in list(new, "/subjects").iter().enumerate() {
        let at = format!("subjects[{i}]");
        if text(subject, "/name").is_empty() {
            checks.required(format!("{at}.name"), "");
        }
        let kinds = ["ServiceAccount", "User", "Group"];
        checks.one_of(format!("{at}.kind"), &subject["kind"], &kinds);
        if subject["kind"] == "ServiceAccount" && text(subject, "/namespace").is_empty() {
            checks.required(format!("{at}.namespace"), "");
        }
    }
    if let Some(old) = old
        && old["roleRef"] != *role
    {
        let cause = Cause::invalid("roleRef", role, "cannot change roleRef");
        checks.add(cause);
    }
}
