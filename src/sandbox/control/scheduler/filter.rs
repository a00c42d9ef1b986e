//! Why a node cannot take a pod, in the real scheduler's words.

use serde_json::{Map, Value};

use super::super::{
    demand::{Demand, requested},
    object::{Object, int, is_active, items, name, namespace, text},
    quantity::Quantity,
    selector,
    view::View,
};

/// Why one node refuses a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reasons: Vec<String>,
    /// Whether evicting other pods could make room.
    pub(super) preemption_helps: bool,
}

impl Refusal {
    fn final_word(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], preemption_helps: false }
    }

    fn for_now(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], preemption_helps: true }
    }
}

/// Whether the node can take the pod; the first rule that says no tells why.
pub(super) fn fits(
    view: &View<'_>,
    pod: &Value,
    node: &Object,
    nodes: &[Object],
) -> Result<(), Refusal> {
    let tolerations = items(pod, "/spec/tolerations");
    let cordoned = serde_json::json!({
        "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule",
    });
    if node["spec"]["unschedulable"] == true && !is_tolerated(&cordoned, tolerations) {
        return Err(Refusal::final_word("node(s) were unschedulable"));
    }
    if let Some(taint) = untolerated(node, tolerations) {
        let (key, value) = (text(taint, "/key"), text(taint, "/value"));
        return Err(Refusal::final_word(&format!(
            "node(s) had untolerated taint {{{key}: {value}}}"
        )));
    }
    if !is_selected(pod, node) {
        return Err(Refusal::final_word("node(s) didn't match Pod's node affinity/selector"));
    }
    if ports_are_taken(view, pod, node) {
        let why = "node(s) didn't have free ports for the requested pod ports";
        return Err(Refusal::for_now(why));
    }
    let insufficient = insufficient(view, pod, node);
    if !insufficient.is_empty() {
        return Err(Refusal { reasons: insufficient, preemption_helps: true });
    }
    if !spreads(view, pod, node, nodes) {
        return Err(Refusal::for_now("node(s) didn't match pod topology spread constraints"));
    }
    affinity(view, pod, node, nodes)
}

/// What a node has to give.
pub(super) fn allocatable(node: &Value, resource: &str) -> Quantity {
    let of = |list: &str| Quantity::read(node.get("status")?.get(list)?.get(resource)?);
    of("allocatable").or_else(|| of("capacity")).unwrap_or_default()
}

/// The first taint that keeps the pod away.
fn untolerated<'a>(node: &'a Value, tolerations: &[Value]) -> Option<&'a Value> {
    items(node, "/spec/taints").iter().find(|taint| {
        matches!(text(taint, "/effect"), "NoSchedule" | "NoExecute")
            // cordoning has its own rule and words
            && text(taint, "/key") != "node.kubernetes.io/unschedulable"
            && !is_tolerated(taint, tolerations)
    })
}

/// Whether one of the tolerations accepts the taint.
pub(crate) fn is_tolerated(taint: &Value, tolerations: &[Value]) -> bool {
    tolerations.iter().any(|one| tolerates(one, taint))
}

/// Whether a toleration accepts a taint.
pub(crate) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (effect, key) = (text(toleration, "/effect"), text(toleration, "/key"));
    let exists = text(toleration, "/operator") == "Exists";
    (effect.is_empty() || effect == text(taint, "/effect"))
        && if key.is_empty() { exists } else { key == text(taint, "/key") }
        && (exists || text(toleration, "/value") == text(taint, "/value"))
}

/// Whether the pod's node selector and required node affinity hold.
pub(crate) fn is_selected(pod: &Value, node: &Value) -> bool {
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    selector::matches_map(pod.pointer("/spec/nodeSelector"), node.pointer("/metadata/labels"))
        && pod.pointer(required).is_none_or(|terms| selector::node_selector_holds(terms, node))
}

fn ports_are_taken(view: &View<'_>, pod: &Value, node: &Value) -> bool {
    let ports = host_ports(pod);
    !ports.is_empty()
        && view.pods_on(name(node)).iter().any(|other| {
            is_active(other) && host_ports(other).iter().any(|port| ports.contains(port))
        })
}

fn host_ports(pod: &Value) -> Vec<i64> {
    items(pod, "/spec/containers")
        .iter()
        .flat_map(|container| items(container, "/ports"))
        .filter_map(|port| int(port, "/hostPort").filter(|port| *port > 0))
        .collect()
}

fn insufficient(view: &View<'_>, pod: &Value, node: &Value) -> Vec<String> {
    let (load, count) = view.index.load(name(node));
    let demand = Demand::of(pod);
    let mut reasons = vec![];
    let most = allocatable(node, "pods");
    if !most.is_zero() && Quantity::whole(count + 1) > most {
        reasons.push("Too many pods".to_owned());
    }
    for (resource, used, wanted) in [
        ("cpu", load.cpu, demand.cpu),
        ("memory", load.memory, demand.memory),
        ("ephemeral-storage", load.storage, demand.storage),
    ] {
        if !wanted.is_zero() && used + wanted > allocatable(node, resource) {
            reasons.push(format!("Insufficient {resource}"));
        }
    }
    for resource in extended_resources(pod) {
        let pods = view.pods_on(name(node));
        let used: Quantity =
            pods.iter().filter(|p| is_active(p)).map(|p| requested(p, &resource)).sum();
        if used + requested(pod, &resource) > allocatable(node, &resource) {
            reasons.push(format!("Insufficient {resource}"));
        }
    }
    reasons
}

/// Resources with a domain of their own, such as accelerators.
fn extended_resources(pod: &Value) -> Vec<String> {
    let empty = Map::new();
    let mut all: Vec<String> = items(pod, "/spec/containers")
        .iter()
        .flat_map(|container| {
            ["requests", "limits"].map(|side| container["resources"][side].as_object())
        })
        .flat_map(|side| {
            side.unwrap_or(&empty)
                .keys()
                .filter(|key| key.contains('/'))
                .cloned()
                .collect::<Vec<_>>()
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Whether the pod may go here by its `DoNotSchedule` topology spread constraints.
fn spreads(view: &View<'_>, pod: &Value, node: &Object, nodes: &[Object]) -> bool {
    items(pod, "/spec/topologySpreadConstraints")
        .iter()
        .filter(|rule| text(rule, "/whenUnsatisfiable") == "DoNotSchedule")
        .all(|rule| {
            let key = text(rule, "/topologyKey");
            let Some(here) = label(node, key) else { return false };
            let matching = |domain: &str| {
                let pods = nodes
                    .iter()
                    .filter(|node| label(node, key) == Some(domain))
                    .flat_map(|node| view.pods_on(name(node)));
                pods.filter(|other| {
                    is_active(other)
                        && namespace(other) == namespace(pod)
                        && selector::matches(
                            rule.get("labelSelector"),
                            other.pointer("/metadata/labels"),
                        )
                })
                .count()
            };
            let eligible = nodes.iter().filter(|node| is_selected(pod, node));
            let fewest =
                eligible.filter_map(|node| label(node, key)).map(matching).min().unwrap_or(0);
            let skew =
                int(rule, "/maxSkew").and_then(|skew| usize::try_from(skew).ok()).unwrap_or(1);
            matching(here) < fewest + skew
        })
}

/// Required affinity and anti-affinity to other pods.
fn affinity(view: &View<'_>, pod: &Value, node: &Object, nodes: &[Object]) -> Result<(), Refusal> {
    let terms = |kind: &str| {
        let at = format!("/spec/affinity/{kind}/requiredDuringSchedulingIgnoredDuringExecution");
        items(pod, &at).to_vec()
    };
    let meets = |term: &Value| {
        let key = text(term, "/topologyKey");
        let here = label(node, key);
        here.is_some()
            && nodes.iter().filter(|other| label(other, key) == here).any(|other| {
                view.pods_on(name(other))
                    .iter()
                    .any(|other| is_active(other) && is_meant(term, pod, other))
            })
    };
    if terms("podAntiAffinity").iter().any(meets) {
        return Err(Refusal::for_now("node(s) didn't match pod anti-affinity rules"));
    }
    // a pod that asks to be near its own kind may be the first of them
    let first_of_its_kind = |term: &Value| {
        is_meant(term, pod, pod)
            && !nodes
                .iter()
                .any(|node| view.pods_on(name(node)).iter().any(|other| is_meant(term, pod, other)))
    };
    if terms("podAffinity").iter().any(|term| !meets(term) && !first_of_its_kind(term)) {
        return Err(Refusal::final_word("node(s) didn't match pod affinity rules"));
    }
    Ok(())
}

/// Whether an affinity term of `pod` is about `other`.
fn is_meant(term: &Value, pod: &Value, other: &Value) -> bool {
    let spaces = items(term, "/namespaces");
    let in_space = if spaces.is_empty() {
        namespace(other) == namespace(pod)
    } else {
        spaces.iter().any(|space| space.as_str() == Some(namespace(other)))
    };
    in_space && selector::matches(term.get("labelSelector"), other.pointer("/metadata/labels"))
}

fn label<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node.pointer("/metadata/labels")?.get(key)?.as_str()
}

/// Why the pod's persistent volume claims keep it from being scheduled anywhere.
pub(super) fn unbound_claim(view: &View<'_>, pod: &Value) -> Option<String> {
    for volume in items(pod, "/spec/volumes") {
        let Some(claim) =
            volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str)
        else {
            continue;
        };
        let Some(found) = view.get("persistentvolumeclaims", namespace(pod), claim) else {
            return Some(format!("persistentvolumeclaim \"{claim}\" not found"));
        };
        if text(&found, "/status/phase") != "Bound"
            && !super::super::volume::waits_for_pod(view, &found)
        {
            let nodes = view.storage.count("nodes", None);
            return Some(format!(
                "0/{nodes} nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tolerations() {
        let taint = json!({"key": "gpu", "value": "yes", "effect": "NoSchedule"});
        for (toleration, holds) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "gpu", "operator": "Exists"}), true),
            (json!({"key": "gpu", "value": "yes"}), true),
            (json!({"key": "gpu", "value": "no"}), false),
            (json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({}), false),
        ] {
            assert_eq!(tolerates(&toleration, &taint), holds, "{toleration}");
        }
    }

    #[test]
    fn node_selection() {
        let node = json!({"metadata": {"name": "n1", "labels": {"disk": "ssd", "cores": "8"}}});
        let affinity = |expression: Value| {
            json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}}})
        };
        for (pod, holds) in [
            (json!({"spec": {}}), true),
            (json!({"spec": {"nodeSelector": {"disk": "ssd"}}}), true),
            (json!({"spec": {"nodeSelector": {"disk": "hdd"}}}), false),
            (affinity(json!({"key": "disk", "operator": "In", "values": ["ssd"]})), true),
            (affinity(json!({"key": "cores", "operator": "Gt", "values": ["8"]})), false),
            (affinity(json!({"key": "zone", "operator": "Exists"})), false),
        ] {
            assert_eq!(is_selected(&pod, &node), holds, "{pod}");
        }
    }
}
