//! Resource quotas and limit ranges: what a namespace may hold, and what it holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    demand,
    object::{Key, is_finished, items, name, set, text},
    quantity::Quantity,
    view::{Plan, View},
};

const QUOTAS: &str = "resourcequotas";

/// Keeps `status.hard` and `status.used` of one quota.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(quota) = view.at(key) else { return plan };
    let used: BTreeMap<String, String> = used(view, &key.namespace, &quota)
        .into_iter()
        .map(|(resource, used)| {
            let text = used.format(is_bytes(&resource));
            (resource, text)
        })
        .collect();
    let mut after = (*quota).clone();
    after["status"] = json!({ "hard": quota["spec"]["hard"], "used": used });
    plan.replace(key, &quota, after);
    plan
}

/// Checks new pods of one namespace against its quotas, counting those admitted before.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    quotas: Vec<Limits>,
    /// Default limits and requests of containers, from limit ranges.
    defaults: Vec<Value>,
}

#[derive(Debug)]
struct Limits {
    name: String,
    hard: BTreeMap<String, Quantity>,
    used: BTreeMap<String, Quantity>,
}

impl Admission {
    /// Reads the quotas and limit ranges of a namespace.
    pub(crate) fn open(view: &View<'_>, namespace: &str) -> Self {
        let quotas = view.list(QUOTAS, namespace);
        let limits = |quota: &Value| Limits {
            name: name(quota).to_owned(),
            hard: hard(quota),
            used: used(view, namespace, quota),
        };
        let quotas = quotas.iter().filter(|q| !is_scoped(q)).map(|quota| limits(quota)).collect();
        let ranges = view.list("limitranges", namespace);
        let container = |limit: &&Value| limit["type"] == "Container";
        let defaults = ranges
            .iter()
            .flat_map(|range| items(range, "/spec/limits").iter().filter(container))
            .cloned()
            .collect();
        Self { quotas, defaults }
    }

    /// Gives the pod the namespace's default requests and limits and counts it, or says why it may not be created.
    pub(crate) fn admit(&mut self, pod: &mut Value) -> Result<(), String> {
        for limit in &self.defaults {
            for list in ["containers", "initContainers"] {
                let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
                containers.into_iter().flatten().for_each(|container| complete(container, limit));
            }
        }
        let forbidden = |why: String| Err(format!("pods \"{}\" is forbidden: {why}", name(pod)));
        for quota in &self.quotas {
            let (mut asked, mut have, mut most) = (vec![], vec![], vec![]);
            for (resource, hard) in &quota.hard {
                let Some(needs) = pod_share(pod, resource) else { continue };
                let Some(needs) = needs else {
                    let why = format!("failed quota: {}: must specify {resource}", quota.name);
                    return forbidden(why);
                };
                let used = quota.used.get(resource).copied().unwrap_or_default();
                if !needs.is_zero() && used + needs > *hard {
                    let bytes = is_bytes(resource);
                    asked.push(format!("{resource}={}", needs.format(bytes)));
                    have.push(format!("{resource}={}", used.format(bytes)));
                    most.push(format!("{resource}={}", hard.format(bytes)));
                }
            }
            if !asked.is_empty() {
                return forbidden(format!(
                    "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                    quota.name,
                    asked.join(","),
                    have.join(","),
                    most.join(","),
                ));
            }
        }
        for quota in &mut self.quotas {
            for resource in quota.hard.keys() {
                if let Some(Some(needs)) = pod_share(pod, resource) {
                    *quota.used.entry(resource.clone()).or_default() += needs;
                }
            }
        }
        Ok(())
    }
}

/// Applies a limit range's container defaults to one container.
fn complete(container: &mut Value, limit: &Value) {
    for (side, field) in [("limits", "default"), ("requests", "defaultRequest")] {
        for (resource, amount) in limit[field].as_object().into_iter().flatten() {
            if container["resources"][side].get(resource).is_none() {
                set(container, &["resources", side, resource], amount.clone());
            }
        }
    }
}

/// What one pod takes of a quota's resource: `None` when it is no matter of pods, `Some(None)` when the pod must say it
/// and does not.
fn pod_share(pod: &Value, resource: &str) -> Option<Option<Quantity>> {
    Some(match resource {
        "pods" | "count/pods" => Some(Quantity::whole(1)),
        "cpu" | "memory" => required(pod, resource),
        "requests.cpu" => required(pod, "cpu"),
        "requests.memory" => required(pod, "memory"),
        "requests.ephemeral-storage" | "ephemeral-storage" => {
            Some(demand::requested(pod, "ephemeral-storage"))
        }
        "limits.cpu" => demand::limited(pod, "cpu"),
        "limits.memory" => demand::limited(pod, "memory"),
        _ => return None,
    })
}

/// The pod's request, when each of its containers has one.
fn required(pod: &Value, resource: &str) -> Option<Quantity> {
    let containers = items(pod, "/spec/containers");
    let all = containers.iter().all(|container| demand::request(container, resource).is_some());
    all.then(|| demand::requested(pod, resource))
}

/// What a namespace uses of each resource that the quota limits.
fn used(view: &View<'_>, namespace: &str, quota: &Value) -> BTreeMap<String, Quantity> {
    let pods = view.list("pods", namespace);
    let counts = |resource: &str| {
        let count = view.storage.count(resource, Some(namespace));
        Quantity::whole(i64::try_from(count).unwrap_or(i64::MAX))
    };
    hard(quota)
        .into_keys()
        .map(|resource| {
            let amount = if pod_share(&Value::Null, &resource).is_some() {
                let counted = pods.iter().filter(|pod| !is_finished(pod));
                counted.filter_map(|pod| pod_share(pod, &resource).flatten()).sum()
            } else if resource == "requests.storage" {
                let claims = view.list("persistentvolumeclaims", namespace);
                let size = |claim: &Value| {
                    claim.pointer("/spec/resources/requests/storage").and_then(Quantity::read)
                };
                claims.iter().filter_map(|claim| size(claim)).sum()
            } else if let Some(kind) = service_type(&resource) {
                let services = view.list("services", namespace);
                let of_kind = services.iter().filter(|service| text(service, "/spec/type") == kind);
                Quantity::whole(i64::try_from(of_kind.count()).unwrap_or(i64::MAX))
            } else {
                counts(resource.strip_prefix("count/").unwrap_or(&resource))
            };
            (resource, amount)
        })
        .collect()
}

fn service_type(resource: &str) -> Option<&'static str> {
    match resource {
        "services.loadbalancers" => Some("LoadBalancer"),
        "services.nodeports" => Some("NodePort"),
        _ => None,
    }
}

fn hard(quota: &Value) -> BTreeMap<String, Quantity> {
    let hard = quota.pointer("/spec/hard").and_then(Value::as_object);
    hard.into_iter()
        .flatten()
        .filter_map(|(resource, amount)| Some((resource.clone(), Quantity::read(amount)?)))
        .collect()
}

/// Quotas that count only some pods are shown but not enforced here.
fn is_scoped(quota: &Value) -> bool {
    !items(quota, "/spec/scopes").is_empty() || quota.pointer("/spec/scopeSelector").is_some()
}

fn is_bytes(resource: &str) -> bool {
    resource.ends_with("memory") || resource.ends_with("storage")
}
