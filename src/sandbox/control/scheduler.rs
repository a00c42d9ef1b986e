//! The scheduler: finds a node for each pod that has none, or says why there is none.

pub(crate) mod filter;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::filter::Refusal;
use super::{
    demand::Demand,
    kubelet,
    object::{
        Condition, Key, Object, condition, items, name, namespace, seconds, set_condition, text,
    },
    view::{Plan, View},
};
use crate::sandbox::fault::Effect;

const FROM: &str = "default-scheduler";

/// Binds one pending pod, or marks it unschedulable.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(pod) = view.at(key).filter(|pod| text(pod, "/spec/nodeName").is_empty()) else {
        return plan;
    };
    let scheduler = text(&pod, "/spec/schedulerName");
    let ours = scheduler.is_empty() || scheduler == FROM;
    if !ours || !super::object::is_active(&pod) || !items(&pod, "/spec/schedulingGates").is_empty()
    {
        return plan;
    }
    match choose(view, &pod) {
        Ok(node) => bind(view, key, &pod, &node, &mut plan),
        Err(why) => refuse(view, key, &pod, &why, &mut plan),
    }
    plan
}

/// The best node, or the message that lists what is wrong with all of them.
fn choose(view: &View<'_>, pod: &Object) -> Result<String, String> {
    if let Some(why) = filter::unbound_claim(view, pod) {
        return Err(why);
    }
    let nodes = view.list("nodes", "");
    if nodes.is_empty() {
        return Err("no nodes available to schedule pods".to_owned());
    }
    let forced = forced_refusal(view, pod);
    let demand = Demand::of(pod);
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    let mut hopeless = 0;
    let mut best: Option<(i64, &Object)> = None;
    for node in &nodes {
        let refusal = match &forced {
            Some(why) => Err(Refusal { reasons: vec![why.clone()], preemption_helps: true }),
            None => filter::fits(view, pod, node, &nodes),
        };
        match refusal {
            Ok(()) => {
                let score = score(view, pod, node, demand);
                if best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, node));
                }
            }
            Err(refusal) => {
                hopeless += usize::from(!refusal.preemption_helps);
                for reason in refusal.reasons {
                    *refusals.entry(reason).or_default() += 1;
                }
            }
        }
    }
    match best {
        Some((_, node)) => Ok(name(node).to_owned()),
        None => Err(message(nodes.len(), &refusals, hopeless)),
    }
}

/// `0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu. preemption: ...`
fn message(nodes: usize, refusals: &BTreeMap<String, usize>, hopeless: usize) -> String {
    let mut reasons: Vec<String> =
        refusals.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    let mut preemption = vec![];
    if nodes > hopeless {
        let count = nodes - hopeless;
        preemption.push(format!("{count} No preemption victims found for incoming pod"));
    }
    if hopeless > 0 {
        preemption.push(format!("{hopeless} Preemption is not helpful for scheduling"));
    }
    preemption.sort();
    format!(
        "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: {}.",
        reasons.join(", "),
        preemption.join(", "),
    )
}

/// What a fault makes the scheduler say of every node.
fn forced_refusal(view: &View<'_>, pod: &Value) -> Option<String> {
    let all = view.faults.all();
    let reasons: Vec<_> = all
        .iter()
        .filter_map(|one| match &one.fault.effect {
            Effect::Unschedulable { reason } => Some((&one.fault.select, reason)),
            _ => None,
        })
        .collect();
    if reasons.is_empty() {
        return None;
    }
    let subject = kubelet::subject(view.storage, pod);
    let containers = items(pod, "/spec/containers");
    let facts: Vec<_> =
        containers.iter().map(|c| kubelet::container_facts(view.storage, pod, c)).collect();
    let hit = |select: &crate::sandbox::fault::Selector| {
        facts.iter().any(|facts| select.matches(&subject, Some(facts)))
    };
    reasons.into_iter().find(|(select, _)| hit(select)).map(|(_, reason)| reason.clone())
}

/// How good a node is: emptier is better, and so is one with fewer pods of the same owner.
fn score(view: &View<'_>, pod: &Value, node: &Value, demand: Demand) -> i64 {
    let (load, _) = view.index.load(name(node));
    let free = |resource: &str, used: i64| {
        let all = filter::allocatable(node, resource).as_milli().max(1);
        100 - used.saturating_mul(100) / all
    };
    let cpu = free("cpu", (load.cpu + demand.cpu).as_milli());
    let memory = free("memory", (load.memory + demand.memory).as_milli());
    let owner = super::object::controller_of(pod).map_or("", |owner| text(owner, "/uid"));
    let siblings = view.index.siblings(name(node), owner);
    (cpu + memory) / 2 - siblings * 20
}

fn bind(view: &View<'_>, key: &Key, pod: &Object, node: &str, plan: &mut Plan) {
    let mut bound = (**pod).clone();
    bound["spec"]["nodeName"] = node.into();
    let mut conditions = items(pod, "/status/conditions").to_vec();
    set_condition(&mut conditions, Condition::new("PodScheduled", true, "", ""), view.now);
    super::object::set(&mut bound, &["status", "conditions"], conditions.into());
    plan.replace(key, pod, bound);
    let message = format!("Successfully assigned {}/{} to {node}", namespace(pod), name(pod));
    plan.normal(FROM, pod, "Scheduled", message);
}

fn refuse(view: &View<'_>, key: &Key, pod: &Object, why: &str, plan: &mut Plan) {
    let said_already = condition(pod, "PodScheduled").is_some_and(|old| old["message"] == why);
    let mut marked = (**pod).clone();
    let mut conditions = items(pod, "/status/conditions").to_vec();
    let said = Condition::new("PodScheduled", false, "Unschedulable", why);
    set_condition(&mut conditions, said, view.now);
    if !marked["status"].is_object() {
        marked["status"] = json!({ "phase": "Pending" });
    }
    marked["status"]["conditions"] = conditions.into();
    plan.replace(key, pod, marked);
    // said again every five minutes, as the real one does from its queue of unschedulable pods
    let since = condition(pod, "PodScheduled")
        .and_then(|old| super::object::time(old, "/lastTransitionTime"));
    let again = since.is_some_and(|since| (view.now.duration_since(since).as_secs() % 300) < 2);
    if !said_already || again {
        plan.warning(FROM, pod, "FailedScheduling", why.to_owned());
    }
    plan.wake_at(view.now + seconds(300));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_reads_like_the_real_one() {
        let refusals = BTreeMap::from([
            ("Insufficient cpu".to_owned(), 2),
            ("node(s) were unschedulable".to_owned(), 1),
        ]);
        assert_eq!(
            message(3, &refusals, 1),
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. preemption: 0/3 nodes are \
             available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
        );
    }
}
