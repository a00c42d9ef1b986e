//! Workloads and autoscalers.

use serde_json::{Value, json};

use super::{Checks, list, pod, text};
use crate::sandbox::api::{Cause, selector};

const MISMATCH: &str = "`selector` does not match template `labels`";

/// Selector and template, which must fit.
fn selector_and_template(checks: &mut Checks, object: &Value, kind: &str) {
    let spec = &object["spec"];
    match spec.get("selector") {
        None | Some(Value::Null) => checks.required("spec.selector", ""),
        Some(selector) => {
            let empty = |key: &str| match &selector[key] {
                Value::Object(map) => map.is_empty(),
                Value::Array(list) => list.is_empty(),
                _ => true,
            };
            if empty("matchLabels") && empty("matchExpressions") {
                let why = format!("empty selector is invalid for {kind}");
                checks.invalid("spec.selector", selector, &why);
            } else if !selector::labels_match(selector, &spec["template"]["metadata"]["labels"]) {
                let labels = spec.pointer("/template/metadata/labels").unwrap_or(&Value::Null);
                checks.invalid("spec.template.metadata.labels", labels, MISMATCH);
            }
        }
    }
    let claims = list(spec, "/volumeClaimTemplates");
    let claims: Vec<&str> = claims.iter().map(|claim| text(claim, "/metadata/name")).collect();
    pod::template_with_claims(checks, &spec["template"], "spec.template", &claims);
    let policy = &spec["template"]["spec"]["restartPolicy"];
    checks.one_of("spec.template.spec.restartPolicy", policy, &["Always"]);
}

fn is_percent(text: &str) -> bool {
    text.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// A number or a percentage, not negative.
fn int_or_percent(checks: &mut Checks, value: &Value, field: &str) {
    match value {
        Value::Number(n) if n.as_i64().is_some_and(|n| n < 0) => {
            checks.invalid(field, value, "must be greater than or equal to 0");
        }
        Value::String(text) if !is_percent(text) => {
            let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            checks.invalid(field, value, why);
        }
        _ => {}
    }
}

fn is_zero(value: &Value) -> bool {
    value == 0 || value == "0%"
}

pub(super) fn deployment(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    checks.at_least(new, "spec.replicas", 0);
    checks.at_least(new, "spec.minReadySeconds", 0);
    checks.at_least(new, "spec.revisionHistoryLimit", 0);
    selector_and_template(checks, new, "deployment");
    let spec = &new["spec"];
    let strategy = &spec["strategy"];
    let kinds = ["Recreate", "RollingUpdate"];
    checks.one_of("spec.strategy.type", &strategy["type"], &kinds);
    match (text(strategy, "/type"), strategy.get("rollingUpdate")) {
        ("Recreate", Some(_)) => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            checks.add(Cause::forbidden("spec.strategy.rollingUpdate", why));
        }
        ("RollingUpdate", Some(rolling)) => {
            let at = "spec.strategy.rollingUpdate";
            int_or_percent(checks, &rolling["maxUnavailable"], &format!("{at}.maxUnavailable"));
            int_or_percent(checks, &rolling["maxSurge"], &format!("{at}.maxSurge"));
            if is_zero(&rolling["maxUnavailable"]) && is_zero(&rolling["maxSurge"]) {
                let why = "may not be 0 when `maxSurge` is 0";
                checks.invalid(format!("{at}.maxUnavailable"), &rolling["maxUnavailable"], why);
            }
        }
        _ => {}
    }
    let deadline = spec["progressDeadlineSeconds"].as_i64();
    if deadline.is_some_and(|d| d <= spec["minReadySeconds"].as_i64().unwrap_or(0)) {
        let why = "must be greater than minReadySeconds";
        checks.invalid("spec.progressDeadlineSeconds", &spec["progressDeadlineSeconds"], why);
    }
    checks.unchanged(old, new, "spec.selector");
}

pub(super) fn replica_set(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    checks.at_least(new, "spec.replicas", 0);
    checks.at_least(new, "spec.minReadySeconds", 0);
    selector_and_template(checks, new, "replicaset");
    checks.unchanged(old, new, "spec.selector");
}

pub(super) fn replication_controller(checks: &mut Checks, _: Option<&Value>, new: &Value) {
    checks.at_least(new, "spec.replicas", 0);
    let spec = &new["spec"];
    let selector = json!({"matchLabels": spec["selector"]});
    if spec["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
        checks.required("spec.selector", "");
    } else if !selector::labels_match(&selector, &spec["template"]["metadata"]["labels"]) {
        let labels = spec.pointer("/template/metadata/labels").unwrap_or(&Value::Null);
        checks.invalid("spec.template.metadata.labels", labels, MISMATCH);
    }
    pod::template(checks, &spec["template"], "spec.template");
}

pub(super) fn stateful_set(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    checks.at_least(new, "spec.replicas", 0);
    selector_and_template(checks, new, "statefulset");
    let policies = ["OrderedReady", "Parallel"];
    checks.one_of("spec.podManagementPolicy", &new["spec"]["podManagementPolicy"], &policies);
    let Some(old) = old else { return };
    const FREE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|key, _| !FREE.contains(&key.as_str()));
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        checks.add(Cause::forbidden("spec", why));
    }
}

pub(super) fn daemon_set(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    selector_and_template(checks, new, "daemonset");
    let kinds = ["RollingUpdate", "OnDelete"];
    checks.one_of("spec.updateStrategy.type", &new["spec"]["updateStrategy"]["type"], &kinds);
    checks.unchanged(old, new, "spec.selector");
}

fn job_template(checks: &mut Checks, spec: &Value, field: &str) {
    pod::template(checks, &spec["template"], &format!("{field}.template"));
    let policy = &spec["template"]["spec"]["restartPolicy"];
    checks.one_of(format!("{field}.template.spec.restartPolicy"), policy, &["OnFailure", "Never"]);
}

pub(super) fn job(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    for path in [
        "spec.completions",
        "spec.parallelism",
        "spec.backoffLimit",
        "spec.activeDeadlineSeconds",
        "spec.ttlSecondsAfterFinished",
    ] {
        checks.at_least(new, path, 0);
    }
    job_template(checks, &new["spec"], "spec");
    checks.unchanged(old, new, "spec.selector");
    checks.unchanged(old, new, "spec.template");
    if new["spec"]["completionMode"] != "Indexed" {
        checks.unchanged(old, new, "spec.completions");
    }
}

pub(super) fn cron_job(checks: &mut Checks, _: Option<&Value>, new: &Value) {
    let spec = &new["spec"];
    let schedule = text(spec, "/schedule");
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if schedule.is_empty() {
        checks.required("spec.schedule", "");
    } else if !schedule.starts_with('@') && fields.len() != 5 {
        let why =
            format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" "));
        checks.invalid("spec.schedule", &schedule.into(), &why);
    } else if fields.iter().any(|f| !schedule.starts_with('@') && !is_cron_field(f)) {
        checks.invalid("spec.schedule", &schedule.into(), "failed to parse the schedule");
    }
    let policies = ["Allow", "Forbid", "Replace"];
    checks.one_of("spec.concurrencyPolicy", &spec["concurrencyPolicy"], &policies);
    checks.at_least(new, "spec.startingDeadlineSeconds", 0);
    checks.at_least(new, "spec.successfulJobsHistoryLimit", 0);
    checks.at_least(new, "spec.failedJobsHistoryLimit", 0);
    job_template(checks, &spec["jobTemplate"]["spec"], "spec.jobTemplate.spec");
}

fn is_cron_field(field: &str) -> bool {
    field.chars().all(|c| c.is_ascii_alphanumeric() || "*/,-?".contains(c))
}

pub(super) fn autoscaler(checks: &mut Checks, _: Option<&Value>, new: &Value) {
    let spec = &new["spec"];
    checks.at_least(new, "spec.minReplicas", 1);
    let most = spec["maxReplicas"].as_i64().unwrap_or(0);
    if most < 1 {
        checks.invalid("spec.maxReplicas", &most.into(), "must be greater than 0");
    } else if most < spec["minReplicas"].as_i64().unwrap_or(1) {
        let why = "must be greater than or equal to `minReplicas`";
        checks.invalid("spec.maxReplicas", &most.into(), why);
    }
    for key in ["kind", "name"] {
        if text(&spec["scaleTargetRef"], &format!("/{key}")).is_empty() {
            checks.required(format!("spec.scaleTargetRef.{key}"), "");
        }
    }
    for (i, metric) in list(spec, "/metrics").iter().enumerate() {
        if text(metric, "/type").is_empty() {
            checks.required(format!("spec.metrics[{i}].type"), "must specify a metric source type");
        }
    }
}
