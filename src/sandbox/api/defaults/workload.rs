//! Defaults of workloads and autoscalers.

use serde_json::{Value, json};

use super::{fill, fill_all, items, object, pod::pod_spec};

fn template(spec: &mut Value) {
    pod_spec(object(object(spec, "template"), "spec"));
}

pub(super) fn pod_template(pod_template: &mut Value) {
    template(pod_template);
}

pub(super) fn deployment(deployment: &mut Value) {
    let spec = object(deployment, "spec");
    fill(spec, "replicas", 1);
    let strategy = object(spec, "strategy");
    fill(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = object(strategy, "rollingUpdate");
        fill(rolling, "maxUnavailable", "25%");
        fill(rolling, "maxSurge", "25%");
    }
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
    template(spec);
}

pub(super) fn replica_set(set: &mut Value) {
    let spec = object(set, "spec");
    fill(spec, "replicas", 1);
    template(spec);
}

pub(super) fn replication_controller(controller: &mut Value) {
    let labels = controller.pointer("/spec/template/metadata/labels").cloned();
    let spec = object(controller, "spec");
    fill(spec, "replicas", 1);
    if let Some(labels) = labels {
        fill(spec, "selector", labels.clone());
        fill(&mut controller["metadata"], "labels", labels);
    }
    template(object(controller, "spec"));
}

pub(super) fn stateful_set(set: &mut Value) {
    let spec = object(set, "spec");
    fill(spec, "podManagementPolicy", "OrderedReady");
    let strategy = object(spec, "updateStrategy");
    if strategy["type"].as_str().is_none_or(str::is_empty) {
        strategy["type"] = "RollingUpdate".into();
        fill(strategy, "rollingUpdate", json!({}));
    }
    if strategy["type"] == "RollingUpdate"
        && let Some(rolling) = strategy.get_mut("rollingUpdate")
    {
        fill(rolling, "partition", 0);
    }
    let retention = object(spec, "persistentVolumeClaimRetentionPolicy");
    fill(retention, "whenDeleted", "Retain");
    fill(retention, "whenScaled", "Retain");
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    for claim in items(spec, "volumeClaimTemplates") {
        fill(claim, "apiVersion", "v1");
        fill(claim, "kind", "PersistentVolumeClaim");
        fill(object(claim, "spec"), "volumeMode", "Filesystem");
        fill(object(claim, "status"), "phase", "Pending");
    }
    template(spec);
}

pub(super) fn daemon_set(set: &mut Value) {
    let spec = object(set, "spec");
    let strategy = object(spec, "updateStrategy");
    fill(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = object(strategy, "rollingUpdate");
        fill(rolling, "maxUnavailable", 1);
        fill(rolling, "maxSurge", 0);
    }
    fill(spec, "revisionHistoryLimit", 10);
    template(spec);
}

pub(super) fn job(job: &mut Value) {
    let labels = job.pointer("/spec/template/metadata/labels").cloned();
    if let Some(labels) = labels
        && job["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty)
    {
        job["metadata"]["labels"] = labels;
    }
    job_identity(job);
    let spec = object(job, "spec");
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        fill(spec, "completions", 1);
    }
    fill(spec, "parallelism", 1);
    let limit = if spec.get("backoffLimitPerIndex").is_some() { i32::MAX } else { 6 };
    fill(spec, "backoffLimit", limit);
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    let replacement =
        if spec.get("podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    fill(spec, "podReplacementPolicy", replacement);
    fill(spec, "manualSelector", false);
    template(spec);
}

/// The selector and labels that tell a job's pods from all others'.
fn job_identity(job: &mut Value) {
    let uid = job["metadata"]["uid"].clone();
    let name = job["metadata"]["name"].clone();
    let spec = object(job, "spec");
    if spec["manualSelector"] == true || spec.get("selector").is_some() || !uid.is_string() {
        return;
    }
    spec["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let labels = object(object(object(spec, "template"), "metadata"), "labels");
    let own = json!({"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name,
        "controller-uid": uid, "job-name": name});
    if let Some(own) = own.as_object() {
        fill_all(labels, own);
    }
}

pub(super) fn cron_job(cron: &mut Value) {
    let spec = object(cron, "spec");
    fill(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
    template(object(object(spec, "jobTemplate"), "spec"));
}

pub(super) fn autoscaler(autoscaler: &mut Value) {
    let spec = object(autoscaler, "spec");
    fill(spec, "minReplicas", 1);
    if spec["metrics"].as_array().is_none_or(Vec::is_empty) {
        spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    }
    let Some(behavior) = spec.get_mut("behavior").filter(|b| b.is_object()) else { return };
    let policy =
        |kind: &str, value: i64| json!({"type": kind, "value": value, "periodSeconds": 15});
    let up = object(behavior, "scaleUp");
    fill(up, "stabilizationWindowSeconds", 0);
    fill(up, "selectPolicy", "Max");
    fill(up, "policies", json!([policy("Pods", 4), policy("Percent", 100)]));
    let down = object(behavior, "scaleDown");
    fill(down, "selectPolicy", "Max");
    fill(down, "policies", json!([policy("Percent", 100)]));
}
