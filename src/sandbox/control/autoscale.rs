//! Horizontal pod autoscalers: the scale of a workload from what its pods use.

mod behavior;

use std::collections::HashMap;

use serde_json::{Value, json};

use self::behavior::History;
use super::{
    demand,
    object::{
        Condition, Key, Object, condition_is_true, int, is_active, is_deleting, items, name,
        namespace, resource_of, seconds, set_condition, stamp, text,
    },
    quantity::Quantity,
    selector,
    usage::Gauge,
    view::{Plan, View},
};

const FROM: &str = "horizontal-pod-autoscaler";
/// How often each autoscaler looks.
const PERIOD: i64 = 15;

/// What the autoscalers remember between looks: recommendations and changes within their windows.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    histories: HashMap<Key, History>,
}

/// What one metric says.
#[derive(Debug)]
struct Reading {
    desired: i64,
    status: Value,
    /// `cpu resource utilization (percentage of request)`, for the event.
    what: String,
}

/// Looks at one autoscaler's target and resizes it.
pub(crate) fn reconcile(view: &View<'_>, key: &Key, gauge: &Gauge, memory: &mut Memory) -> Plan {
    let mut plan = Plan::default();
    let Some(scaler) = view.at(key).filter(|scaler| !is_deleting(scaler)) else {
        memory.histories.remove(key);
        return plan;
    };
    plan.wake_at(view.now + seconds(PERIOD));
    let mut conditions = items(&scaler, "/status/conditions").to_vec();
    let mut after = (*scaler).clone();
    let reference = &scaler["spec"]["scaleTargetRef"];
    let target = resource_of(text(reference, "/kind")).and_then(|resource| {
        let key = Key::new(resource, &key.namespace, text(reference, "/name"));
        Some((view.at(&key)?, key))
    });
    let Some((target, target_key)) = target else {
        let message = format!(
            "the HPA controller was unable to get the target's current scale: {} \"{}\" not found",
            text(reference, "/kind"),
            text(reference, "/name")
        );
        let said = Condition::new("AbleToScale", false, "FailedGetScale", &message);
        set_condition(&mut conditions, said, view.now);
        plan.warning(FROM, &scaler, "FailedGetScale", message.clone());
        after["status"]["conditions"] = conditions.into();
        plan.replace(key, &scaler, after);
        return plan;
    };
    let current = int(&target, "/spec/replicas").unwrap_or(1);
    let history = memory.histories.entry(key.clone()).or_default();
    let decision = decide(view, &scaler, (&target, current), (gauge, history), &mut conditions);
    let mut status = json!({
        "currentReplicas": int(&target, "/status/replicas").unwrap_or(0),
        "desiredReplicas": current,
    });
    if let Some(at) = scaler.pointer("/status/lastScaleTime") {
        status["lastScaleTime"] = at.clone();
    }
    match decision {
        Ok(decision) => {
            status["desiredReplicas"] = decision.desired.into();
            status["currentMetrics"] = decision.metrics.into();
            if decision.desired != current {
                resize(
                    view,
                    (&scaler, &target_key, &target),
                    (current, &decision.why, decision.desired),
                    &mut plan,
                );
                status["lastScaleTime"] = stamp(view.now).into();
                history.changed(view.now, decision.desired - current);
            }
        }
        Err((reason, message)) => plan.warning(FROM, &scaler, reason, message),
    }
    status["conditions"] = conditions.into();
    after["status"] = status;
    plan.replace(key, &scaler, after);
    plan
}

struct Decision {
    desired: i64,
    metrics: Vec<Value>,
    why: String,
}

/// The size the metrics, the bounds and the behaviour come to.
fn decide(
    view: &View<'_>,
    scaler: &Value,
    (target, current): (&Object, i64),
    (gauge, history): (&Gauge, &mut History),
    conditions: &mut Vec<Value>,
) -> Result<Decision, (&'static str, String)> {
    let mut say = |kind, holds, reason: &str, message: &str| {
        set_condition(conditions, Condition::new(kind, holds, reason, message), view.now);
    };
    say(
        "AbleToScale",
        true,
        "SucceededGetScale",
        "the HPA controller was able to get the target's current scale",
    );
    if current == 0 {
        say(
            "ScalingActive",
            false,
            "ScalingDisabled",
            "scaling is disabled since the replica count of the target is zero",
        );
        return Ok(Decision { desired: 0, metrics: vec![], why: String::new() });
    }
    let readings = match read_all(view, scaler, (target, current), gauge) {
        Ok(readings) => readings,
        Err((reason, message)) => {
            let said = format!("the HPA was unable to compute the replica count: {message}");
            say("ScalingActive", false, reason, &said);
            return Err((reason, message));
        }
    };
    let metrics = readings.iter().map(|reading| reading.status.clone()).collect();
    let highest = readings.into_iter().max_by_key(|reading| reading.desired);
    let (proposed, what) =
        highest.map_or((current, String::new()), |most| (most.desired, most.what));
    let valid = "the HPA was able to successfully calculate a replica count from ";
    say("ScalingActive", true, "ValidMetricFound", &format!("{valid}{what}"));
    let (least, most) = bounds(scaler);
    let behaved = history.behave(
        view.now,
        scaler.pointer("/spec/behavior"),
        current,
        proposed.clamp(least, most),
    );
    let desired = behaved.clamp(least, most);
    if proposed < least {
        let message = "the desired replica count is less than the minimum replica count";
        say("ScalingLimited", true, "TooFewReplicas", message);
    } else if proposed > most {
        let message = "the desired replica count is more than the maximum replica count";
        say("ScalingLimited", true, "TooManyReplicas", message);
    } else {
        let message = "the desired count is within the acceptable range";
        say("ScalingLimited", false, "DesiredWithinRange", message);
    }
    if desired != proposed.clamp(least, most) {
        let message = "recent recommendations were higher than current one, applying the highest recent recommendation";
        say("AbleToScale", true, "ScaleDownStabilized", message);
    } else if desired == current {
        say("AbleToScale", true, "ReadyForNewScale", "recommended size matches current size");
    }
    let why = if desired < proposed || proposed < current {
        "All metrics below target".to_owned()
    } else {
        format!("{what} above target")
    };
    Ok(Decision { desired, metrics, why })
}

fn bounds(scaler: &Value) -> (i64, i64) {
    let least = int(scaler, "/spec/minReplicas").unwrap_or(1).max(0);
    (least, int(scaler, "/spec/maxReplicas").unwrap_or(least).max(least))
}

fn resize(
    view: &View<'_>,
    (scaler, key, target): (&Object, &Key, &Object),
    (current, why, desired): (i64, &str, i64),
    plan: &mut Plan,
) {
    let mut sized = (**target).clone();
    sized["spec"]["replicas"] = desired.into();
    plan.replace(key, target, sized);
    let why = if desired < current { "All metrics below target" } else { why };
    let message = format!("New size: {desired}; reason: {why}");
    plan.normal(FROM, scaler, "SuccessfulRescale", message);
    plan.wake_at(view.now + seconds(PERIOD));
}

/// Reads every metric; the last error counts when none can be read.
fn read_all(
    view: &View<'_>,
    scaler: &Value,
    (target, current): (&Object, i64),
    gauge: &Gauge,
) -> Result<Vec<Reading>, (&'static str, String)> {
    let wanted = target.pointer("/spec/selector");
    let mut pods = view.list_namespaced("pods", namespace(scaler));
    pods.retain(|pod| is_active(pod) && selector::matches(wanted, pod.pointer("/metadata/labels")));
    let default = [json!({
        "type": "Resource",
        "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } },
    })];
    let metrics = match items(scaler, "/spec/metrics") {
        [] => &default[..],
        metrics => metrics,
    };
    let readings: Vec<_> =
        metrics.iter().map(|metric| read(metric, &pods, current, gauge)).collect();
    let good = readings.iter().any(Result::is_ok);
    if good {
        return Ok(readings.into_iter().filter_map(Result::ok).collect());
    }
    let message = readings.into_iter().find_map(Result::err).unwrap_or_default();
    Err(("FailedGetResourceMetric", message))
}

/// Reads one metric.
fn read(metric: &Value, pods: &[Object], current: i64, gauge: &Gauge) -> Result<Reading, String> {
    let (field, container) = match text(metric, "/type") {
        "Resource" => ("resource", None),
        "ContainerResource" => {
            ("containerResource", metric.pointer("/containerResource/container"))
        }
        other => {
            let kind = other.to_lowercase();
            return Err(format!(
                "unable to get {kind} metric: no {kind} metrics API is registered"
            ));
        }
    };
    let source = &metric[field];
    let resource = text(source, "/name");
    let ready: Vec<&Object> = pods.iter().filter(|pod| condition_is_true(pod, "Ready")).collect();
    if ready.is_empty() {
        return Err(format!(
            "failed to get {resource} utilization: did not receive metrics for targeted pods (pods might be unready)"
        ));
    }
    let wanted = |name: &Value| container.is_none_or(|container| container == name);
    let (mut used, mut requested) = (0_i64, 0_i64);
    for pod in &ready {
        for (container, usage) in gauge.containers(pod) {
            if wanted(&container.as_str().into()) {
                used += match resource {
                    "cpu" => i64::try_from(usage.cpu_nanocores / 1_000_000).unwrap_or(i64::MAX),
                    _ => i64::try_from(usage.memory_bytes).unwrap_or(i64::MAX),
                };
            }
        }
        for spec in items(pod, "/spec/containers").iter().filter(|spec| wanted(&spec["name"])) {
            let request = demand::request(spec, resource);
            requested += match (request, source.pointer("/target/averageUtilization")) {
                (Some(request), _) if resource == "cpu" => request.as_milli(),
                (Some(request), _) => request.as_whole(),
                (None, Some(_)) => {
                    return Err(format!(
                        "failed to get {resource} utilization: missing request for {resource} in container {} of Pod {}",
                        text(spec, "/name"),
                        name(pod)
                    ));
                }
                (None, None) => 0,
            };
        }
    }
    let count = i64::try_from(ready.len()).unwrap_or(1);
    Ok(weigh(source, field, (used, requested), (count, current)))
}

/// Compares what is used with the target.
fn weigh(
    source: &Value,
    field: &str,
    (used, requested): (i64, i64),
    (count, current): (i64, i64),
) -> Reading {
    let resource = text(source, "/name");
    let cpu = resource == "cpu";
    let average = used / count.max(1);
    let shown = if cpu {
        Quantity::milli(average).format(false)
    } else {
        Quantity::whole(average).format(true)
    };
    let mut now = json!({ "averageValue": shown });
    let (ratio, what) = if let Some(target) = int(source, "/target/averageUtilization") {
        let utilization = used.saturating_mul(100) / requested.max(1);
        now["averageUtilization"] = utilization.into();
        let what = format!("{resource} resource utilization (percentage of request)");
        ((utilization, target.max(1)), what)
    } else {
        let target =
            source.pointer("/target/averageValue").and_then(Quantity::read).unwrap_or_default();
        let target = if cpu { target.as_milli() } else { target.as_whole() };
        ((average, target.max(1)), format!("{resource} resource"))
    };
    let mut metric = json!({ "name": resource, "current": now });
    if let Some(container) = source.get("container") {
        metric["container"] = container.clone();
    }
    let kind = if field == "resource" { "Resource" } else { "ContainerResource" };
    let mut status = json!({ "type": kind });
    status[field] = metric;
    Reading { desired: proportional(ratio, count, current), status, what }
}

/// As many pods as bring the average to its target; within a tenth of it, as many as there are.
fn proportional((used, target): (i64, i64), count: i64, current: i64) -> i64 {
    let off = (used - target).abs().saturating_mul(10);
    if off <= target {
        return current;
    }
    let pods = used.saturating_mul(count);
    pods / target + i64::from(pods % target != 0)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn second(at: i64) -> Timestamp {
        Timestamp::from_second(at).expect("in range")
    }

    #[test]
    fn the_scale_follows_the_ratio_outside_the_tolerance() {
        for (used, target, count, current, desired) in [
            (50, 50, 4, 4, 4),
            (54, 50, 4, 4, 4),
            (60, 50, 4, 4, 5),
            (100, 50, 3, 3, 6),
            (10, 50, 5, 5, 1),
            (0, 50, 5, 5, 0),
        ] {
            assert_eq!(proportional((used, target), count, current), desired);
        }
    }

    #[test]
    fn down_waits_for_the_window_and_up_for_its_policies() {
        let mut history = History::default();
        assert_eq!(history.behave(second(0), None, 4, 4), 4);
        assert_eq!(history.behave(second(15), None, 4, 2), 4, "held by the recommendation at 0");
        assert_eq!(history.behave(second(301), None, 4, 2), 2);
        let mut history = History::default();
        assert_eq!(history.behave(second(0), None, 2, 50), 6, "four pods are more than twice two");
        history.changed(second(0), 4);
        assert_eq!(history.behave(second(5), None, 6, 50), 6, "that was all for these 15 s");
        assert_eq!(history.behave(second(16), None, 6, 50), 12);
    }

    #[test]
    fn behaviour_can_be_set() {
        let rules = json!({
            "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
            "scaleUp": {"selectPolicy": "Disabled"},
        });
        let mut history = History::default();
        assert_eq!(history.behave(second(0), Some(&rules), 5, 1), 4);
        history.changed(second(0), -1);
        assert_eq!(history.behave(second(30), Some(&rules), 4, 1), 4);
        assert_eq!(history.behave(second(61), Some(&rules), 4, 1), 3);
        assert_eq!(history.behave(second(62), Some(&rules), 3, 9), 3);
    }
}
