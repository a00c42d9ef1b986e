//! `ResourceQuota`: how much a namespace may hold. Usage is counted from the objects themselves.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::sandbox::{
    api::{ApiError, kinds::Resource, quantity::Quantity},
    storage::Storage,
};

/// Resource name to amount.
type Amounts = BTreeMap<String, Quantity>;

/// Refuses an object that the namespace has no room for.
pub(super) fn admit(
    storage: &Storage,
    resource: &Resource,
    object: &Value,
) -> Result<(), ApiError> {
    let namespace = object["metadata"]["namespace"].as_str();
    let (quotas, _) = storage.list("resourcequotas", namespace);
    if quotas.is_empty() {
        return Ok(());
    }
    let key = resource.storage_key();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let wanted = charge(&key, object);
    for quota in &quotas {
        if quota["spec"].get("scopes").is_some() || quota["spec"].get("scopeSelector").is_some() {
            continue;
        }
        let hard: Amounts = quota["spec"]["hard"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(k, v)| Some((k.clone(), Quantity::parse(v.as_str()?)?)))
            .collect();
        let quota_name = quota["metadata"]["name"].as_str().unwrap_or_default();
        if key == "pods"
            && let Some(missing) = missing(object, &hard)
        {
            return Err(ApiError::forbidden(
                &key,
                name,
                &format!("failed quota: {quota_name}: {missing}"),
            ));
        }
        let (others, _) = storage.list(&key, namespace);
        if let Some(why) = exceeded(&key, &others, &wanted, &hard) {
            return Err(ApiError::forbidden(
                &resource.qualified(),
                name,
                &format!("exceeded quota: {quota_name}, {why}"),
            ));
        }
    }
    Ok(())
}

fn exceeded(key: &str, others: &[Arc<Value>], wanted: &Amounts, hard: &Amounts) -> Option<String> {
    let mut used = Amounts::new();
    for other in others {
        for (name, amount) in charge(key, other) {
            let total = used.get(&name).copied().unwrap_or_else(Quantity::zero).plus(amount);
            used.insert(name, total);
        }
    }
    let over: Vec<(&String, Quantity, Quantity, Quantity)> = wanted
        .iter()
        .filter_map(|(name, asked)| {
            let limit = *hard.get(name)?;
            let used = used.get(name).copied().unwrap_or_else(Quantity::zero);
            (used.plus(*asked) > limit).then_some((name, *asked, used, limit))
        })
        .collect();
    if over.is_empty() {
        return None;
    }
    let join = |pick: fn(&(&String, Quantity, Quantity, Quantity)) -> Quantity| {
        let parts: Vec<String> =
            over.iter().map(|o| format!("{}={}", o.0, pick(o).text())).collect();
        parts.join(",")
    };
    Some(format!(
        "requested: {}, used: {}, limited: {}",
        join(|o| o.1),
        join(|o| o.2),
        join(|o| o.3)
    ))
}

/// What an object counts for.
fn charge(key: &str, object: &Value) -> Amounts {
    let mut amounts = Amounts::new();
    let one = Quantity::whole(1);
    amounts.insert(format!("count/{key}"), one);
    match key {
        "pods" => {
            let phase = object.pointer("/status/phase").and_then(Value::as_str);
            if matches!(phase, Some("Succeeded" | "Failed")) {
                return amounts;
            }
            amounts.insert("pods".into(), one);
            for (side, amount) in demand(object) {
                if let Some(resource) = side.strip_prefix("requests.") {
                    amounts.insert(resource.to_owned(), amount);
                }
                amounts.insert(side, amount);
            }
        }
        "services" => {
            amounts.insert("services".into(), one);
            let ports = object["spec"]["ports"].as_array().map_or(0, Vec::len);
            let ports = Quantity::whole(i64::try_from(ports).unwrap_or(i64::MAX));
            match object["spec"]["type"].as_str() {
                Some("NodePort") => drop(amounts.insert("services.nodeports".into(), ports)),
                Some("LoadBalancer") => {
                    amounts.insert("services.nodeports".into(), ports);
                    amounts.insert("services.loadbalancers".into(), one);
                }
                _ => {}
            }
        }
        "persistentvolumeclaims" => {
            amounts.insert(key.into(), one);
            let size = object.pointer("/spec/resources/requests/storage").and_then(Value::as_str);
            amounts.extend(size.and_then(Quantity::parse).map(|s| ("requests.storage".into(), s)));
        }
        "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => {
            amounts.insert(key.into(), one);
        }
        _ => {}
    }
    amounts
}

/// `requests.cpu`, `limits.memory`, ... of a pod: its containers together, or the largest init container.
fn demand(pod: &Value) -> Amounts {
    let mut total = Amounts::new();
    for (kind, together) in [("containers", true), ("initContainers", false)] {
        for container in pod["spec"][kind].as_array().into_iter().flatten() {
            for side in ["requests", "limits"] {
                for (resource, amount) in
                    container["resources"][side].as_object().into_iter().flatten()
                {
                    let Some(amount) = amount.as_str().and_then(Quantity::parse) else { continue };
                    let name = format!("{side}.{resource}");
                    let before = total.get(&name).copied().unwrap_or_else(Quantity::zero);
                    let now = if together { before.plus(amount) } else { before.max(amount) };
                    total.insert(name, now);
                }
            }
        }
    }
    total
}

/// Which compute resources of a quota a pod's containers leave open.
fn missing(pod: &Value, hard: &Amounts) -> Option<String> {
    let mut parts = Vec::new();
    for name in hard.keys() {
        let (side, resource) = match name.as_str() {
            "cpu" | "memory" => ("requests", name.as_str()),
            other => match other.split_once('.') {
                Some((side @ ("requests" | "limits"), resource @ ("cpu" | "memory"))) => {
                    (side, resource)
                }
                _ => continue,
            },
        };
        let open: Vec<&str> = pod["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|c| c["resources"][side].get(resource).is_none())
            .filter_map(|c| c["name"].as_str())
            .collect();
        if !open.is_empty() {
            parts.push(format!("{name} for: {}", open.join(",")));
        }
    }
    (!parts.is_empty()).then(|| format!("must specify {}", parts.join("; ")))
}
