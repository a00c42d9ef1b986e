//! The cells of workloads.

use jiff::Timestamp;
use serde_json::Value;

use super::cells::{
    age, containers, human, label_selector, list, map_text, number, or_none, shown, since, text,
};

pub(super) fn deployment(d: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(d, "/spec/template/spec");
    vec![
        format!("{}/{}", number(d, "/status/readyReplicas"), number(d, "/spec/replicas")).into(),
        number(d, "/status/updatedReplicas").into(),
        number(d, "/status/availableReplicas").into(),
        age(d, now),
        names,
        images,
        label_selector(d.pointer("/spec/selector")),
    ]
}

pub(super) fn replica_set(r: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(r, "/spec/template/spec");
    let selector = match r["kind"].as_str() {
        Some("ReplicationController") => or_none(&map_text(r.pointer("/spec/selector"))),
        _ => label_selector(r.pointer("/spec/selector")),
    };
    vec![
        number(r, "/spec/replicas").into(),
        number(r, "/status/replicas").into(),
        number(r, "/status/readyReplicas").into(),
        age(r, now),
        names,
        images,
        selector,
    ]
}

pub(super) fn stateful_set(s: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(s, "/spec/template/spec");
    let ready = format!("{}/{}", number(s, "/status/readyReplicas"), number(s, "/spec/replicas"));
    vec![ready.into(), age(s, now), names, images]
}

pub(super) fn daemon_set(d: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(d, "/spec/template/spec");
    vec![
        number(d, "/status/desiredNumberScheduled").into(),
        number(d, "/status/currentNumberScheduled").into(),
        number(d, "/status/numberReady").into(),
        number(d, "/status/updatedNumberScheduled").into(),
        number(d, "/status/numberAvailable").into(),
        or_none(&map_text(d.pointer("/spec/template/spec/nodeSelector"))),
        age(d, now),
        names,
        images,
        label_selector(d.pointer("/spec/selector")),
    ]
}

pub(super) fn job(j: &Value, now: Timestamp) -> Vec<Value> {
    let has = |kind: &str| {
        list(j, "/status/conditions").iter().any(|c| c["type"] == kind && c["status"] == "True")
    };
    let status = if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if !text(j, "/metadata/deletionTimestamp").is_empty() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else {
        "Running"
    };
    let succeeded = number(j, "/status/succeeded");
    let completions = match j.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(completions) => format!("{succeeded}/{completions}"),
        None => match number(j, "/spec/parallelism") {
            0 | 1 => format!("{succeeded}/1"),
            parallelism => format!("{succeeded}/1 of {parallelism}"),
        },
    };
    let started = text(j, "/status/startTime").parse::<Timestamp>();
    let duration = started.map_or_else(
        |_| String::new(),
        |started| {
            let end = text(j, "/status/completionTime").parse::<Timestamp>().unwrap_or(now);
            human(end.duration_since(started).as_secs())
        },
    );
    let [names, images] = containers(j, "/spec/template/spec");
    let selector = label_selector(j.pointer("/spec/selector"));
    vec![status.into(), completions.into(), duration.into(), age(j, now), names, images, selector]
}

pub(super) fn cron_job(c: &Value, now: Timestamp) -> Vec<Value> {
    let last = text(c, "/status/lastScheduleTime");
    let suspended = c.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false);
    let [names, images] = containers(c, "/spec/jobTemplate/spec/template/spec");
    vec![
        text(c, "/spec/schedule").into(),
        or_none(text(c, "/spec/timeZone")),
        if suspended { "True" } else { "False" }.into(),
        list(c, "/status/active").len().into(),
        if last.is_empty() { "<none>".into() } else { since(last, now).into() },
        age(c, now),
        names,
        images,
        label_selector(c.pointer("/spec/jobTemplate/spec/selector")),
    ]
}

pub(super) fn autoscaler(h: &Value, now: Timestamp) -> Vec<Value> {
    let reference = format!(
        "{}/{}",
        text(h, "/spec/scaleTargetRef/kind"),
        text(h, "/spec/scaleTargetRef/name")
    );
    let mut targets: Vec<String> = Vec::new();
    for (i, metric) in list(h, "/spec/metrics").iter().enumerate() {
        let Some(resource) = metric.get("resource") else {
            targets.push(format!("<unknown> ({})", text(metric, "/type")));
            continue;
        };
        let current =
            list(h, "/status/currentMetrics").get(i).and_then(|m| m.pointer("/resource/current"));
        let name = text(resource, "/name");
        let percent = resource.pointer("/target/averageUtilization").and_then(Value::as_i64);
        targets.push(if let Some(target) = percent {
            let current = current.and_then(|c| c["averageUtilization"].as_i64());
            let current = current.map_or_else(|| "<unknown>".to_owned(), |c| format!("{c}%"));
            format!("{name}: {current}/{target}%")
        } else {
            let current = current.and_then(|c| c["averageValue"].as_str()).unwrap_or("<unknown>");
            format!("{name}: {current}/{}", text(resource, "/target/averageValue"))
        });
    }
    if let Some(target) = h.pointer("/spec/targetCPUUtilizationPercentage").and_then(Value::as_i64)
    {
        let current = h.pointer("/status/currentCPUUtilizationPercentage").and_then(Value::as_i64);
        let current = current.map_or_else(|| "<unknown>".to_owned(), |c| format!("{c}%"));
        targets.push(format!("cpu: {current}/{target}%"));
    }
    vec![
        reference.into(),
        or_none(&targets.join(", ")),
        shown(h, "/spec/minReplicas", "<unset>"),
        number(h, "/spec/maxReplicas").into(),
        number(h, "/status/currentReplicas").into(),
        age(h, now),
    ]
}

pub(super) fn disruption_budget(p: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        shown(p, "/spec/minAvailable", "N/A"),
        shown(p, "/spec/maxUnavailable", "N/A"),
        number(p, "/status/disruptionsAllowed").into(),
        age(p, now),
    ]
}
