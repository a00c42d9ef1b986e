//! `pods/eviction` (a deletion that respects disruption budgets) and `pods/binding`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    ApiError, Cause, body,
    dispatch::Call,
    read,
    respond::{self, Reply},
    selector,
};
use crate::sandbox::storage::{DeleteOptions, Mode, time_text};

const BUDGETS: &str = "poddisruptionbudgets.policy";

fn success() -> Reply {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    respond::json(201, &status)
}

/// Evicts a pod, unless a budget forbids it.
pub(super) fn evict(call: &Call<'_>, bytes: &[u8]) -> Result<Reply, ApiError> {
    let eviction = body::decode(call.headers, bytes)?.value;
    let dry_run = call.info.query.dry_run()?
        || eviction
            .pointer("/deleteOptions/dryRun")
            .is_some_and(|d| d.as_array().is_some_and(|d| !d.is_empty()));
    let pod = read::stored(call)?;
    let storage = call.state.storage();
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    let done = matches!(phase, "Succeeded" | "Failed" | "Pending")
        || pod["metadata"].get("deletionTimestamp").is_some();
    let budgets: Vec<Arc<Value>> = storage
        .list(BUDGETS, call.namespace())
        .0
        .into_iter()
        .filter(|b| b["spec"].get("selector").is_some_and(|s| selector::object_selects(s, &pod)))
        .collect();
    if !done {
        match budgets.as_slice() {
            [] => {}
            [budget] => spend(call, budget, &pod, dry_run)?,
            _ => {
                let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(ApiError::internal(why));
            }
        }
    }
    let options = DeleteOptions {
        grace_seconds: eviction
            .pointer("/deleteOptions/gracePeriodSeconds")
            .and_then(Value::as_i64),
        dry_run,
        ..DeleteOptions::default()
    };
    storage.delete("pods", call.namespace(), call.name(), &options)?;
    Ok(success())
}

/// Takes one disruption from a budget.
fn spend(call: &Call<'_>, budget: &Value, pod: &Value, dry_run: bool) -> Result<(), ApiError> {
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    let refuse = |message: &str| {
        let cause = json!({"causes": [{"reason": "DisruptionBudget", "message": message}]});
        Err(ApiError::new(
            429,
            "TooManyRequests",
            "Cannot evict pod as it would violate the pod's disruption budget.",
        )
        .with_details(cause))
    };
    let number = |budget: &Value, key: &str| {
        budget.pointer(&format!("/status/{key}")).and_then(Value::as_i64)
    };
    if number(budget, "observedGeneration") < budget["metadata"]["generation"].as_i64() {
        return refuse(&format!(
            "The disruption budget {name} is still being processed by the server."
        ));
    }
    // a pod that is not ready may go when the budget says so
    let ready =
        pod.pointer("/status/conditions").and_then(Value::as_array).is_some_and(|conditions| {
            conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
        });
    if !ready && budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" {
        return Ok(());
    }
    let message = format!(
        "The disruption budget {name} needs {} healthy pods and has {} currently",
        number(budget, "desiredHealthy").unwrap_or(0),
        number(budget, "currentHealthy").unwrap_or(0),
    );
    if number(budget, "disruptionsAllowed").unwrap_or(0) <= 0 {
        return refuse(&message);
    }
    if dry_run {
        return Ok(());
    }
    let storage = call.state.storage();
    let now = time_text(storage.clock().now());
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    storage.update(BUDGETS, call.namespace(), name, |budget| {
        let left = number(budget, "disruptionsAllowed").unwrap_or(0);
        if left <= 0 {
            return refuse(&message);
        }
        budget["status"]["disruptionsAllowed"] = (left - 1).into();
        budget["status"]["disruptedPods"][pod_name] = now.as_str().into();
        Ok(())
    })?;
    Ok(())
}

/// Binds a pod to a node, as a scheduler does.
pub(super) fn bind(call: &Call<'_>, bytes: &[u8]) -> Result<Reply, ApiError> {
    let binding = body::decode(call.headers, bytes)?.value;
    let node = binding.pointer("/target/name").and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() {
        let cause = Cause::required("target.name", "");
        return Err(ApiError::invalid("Binding", "", call.name(), &[cause]));
    }
    let storage = call.state.storage();
    let now = time_text(storage.clock().now());
    let mode = if call.info.query.dry_run()? { Mode::DryRun } else { Mode::Write };
    storage.update_with("pods", (call.namespace(), call.name()), mode, |pod| {
        let bound = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
        if !bound.is_empty() {
            let why = format!("pod {} is already assigned to node \"{bound}\"", call.name());
            return Err(ApiError::conflict("pods/binding", call.name(), &why));
        }
        pod["spec"]["nodeName"] = node.into();
        let condition =
            json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": now});
        match pod.pointer_mut("/status/conditions").and_then(Value::as_array_mut) {
            Some(conditions) => {
                conditions.retain(|c| c["type"] != "PodScheduled");
                conditions.push(condition);
            }
            None => pod["status"]["conditions"] = json!([condition]),
        }
        Ok(())
    })?;
    Ok(success())
}
