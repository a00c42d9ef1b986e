//! Pod disruption budgets: how many of the selected pods may be evicted now.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    deployment::{share, wanted},
    object::{Condition, Key, Object, condition_is_true, is_active, items, set_condition, uid},
    selector,
    view::{Plan, View},
};

/// Keeps the status of one budget, which evictions are checked against.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(budget) = view.at(key) else { return plan };
    let mut pods = view.list("pods", &key.namespace);
    let wanted = budget.pointer("/spec/selector");
    pods.retain(|pod| is_active(pod) && selector::matches(wanted, pod.pointer("/metadata/labels")));
    let healthy = count(pods.iter().filter(|pod| condition_is_true(pod, "Ready")));
    let (expected, desired) = demands(view, &budget, &pods);
    let allowed = (healthy - desired).max(0);
    let mut conditions = items(&budget, "/status/conditions").to_vec();
    let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
    let said = Condition::new("DisruptionAllowed", allowed > 0, reason, "");
    set_condition(&mut conditions, said, view.now);
    for condition in &mut conditions {
        condition["observedGeneration"] = budget["metadata"]["generation"].clone();
    }
    let mut after = (*budget).clone();
    after["status"] = json!({
        "disruptionsAllowed": if expected == 0 { 0 } else { allowed },
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "observedGeneration": budget["metadata"]["generation"],
        "conditions": conditions,
    });
    plan.replace(key, &budget, after);
    plan
}

/// How many pods there should be, and how many of them healthy.
fn demands(view: &View<'_>, budget: &Value, pods: &[Object]) -> (i64, i64) {
    if let Some(most) = budget.pointer("/spec/maxUnavailable") {
        let expected = scale(view, pods);
        return (expected, (expected - share(Some(most), expected, true)).max(0));
    }
    match budget.pointer("/spec/minAvailable") {
        Some(Value::String(percent)) => {
            let expected = scale(view, pods);
            (expected, share(Some(&Value::from(percent.as_str())), expected, true))
        }
        least => (count(pods.iter()), least.and_then(Value::as_i64).unwrap_or(1)),
    }
}

/// The sizes that the pods' controllers want, together.
fn scale(view: &View<'_>, pods: &[Object]) -> i64 {
    let mut controllers: BTreeMap<String, i64> = BTreeMap::new();
    let mut alone = 0;
    for pod in pods {
        let Some(owner) = view.controller(pod) else {
            alone += 1;
            continue;
        };
        let top = view.controller(&owner).unwrap_or(owner);
        controllers.insert(uid(&top).to_owned(), wanted(&top));
    }
    controllers.values().sum::<i64>() + alone
}

fn count<'a>(pods: impl Iterator<Item = &'a Object>) -> i64 {
    i64::try_from(pods.count()).unwrap_or(i64::MAX)
}
