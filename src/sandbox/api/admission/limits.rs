//! `LimitRange`: defaults and bounds of what containers ask for.

use serde_json::{Value, json};

use crate::sandbox::{
    api::{ApiError, quantity::Quantity},
    storage::Storage,
};

/// Fills a pod's requests and limits from the namespace's limit ranges and refuses what they forbid.
pub(super) fn apply(storage: &Storage, pod: &mut Value) -> Result<(), ApiError> {
    let namespace = pod["metadata"]["namespace"].as_str().map(str::to_owned);
    let (ranges, _) = storage.list("limitranges", namespace.as_deref());
    let limits: Vec<&Value> = ranges
        .iter()
        .flat_map(|range| range["spec"]["limits"].as_array().into_iter().flatten())
        .filter(|limit| limit["type"] == "Container")
        .collect();
    let mut problems = Vec::new();
    for kind in ["initContainers", "containers"] {
        for container in
            pod["spec"].get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten()
        {
            for limit in &limits {
                fill(container, limit);
                check(container, limit, &mut problems);
            }
        }
    }
    let why = match problems.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    Err(ApiError::forbidden("pods", pod["metadata"]["name"].as_str().unwrap_or_default(), &why))
}

fn fill(container: &mut Value, limit: &Value) {
    for (side, from) in [("limits", "default"), ("requests", "defaultRequest")] {
        for (resource, amount) in limit[from].as_object().into_iter().flatten() {
            let given = &container["resources"][side][resource];
            if given.is_null() {
                if !container["resources"][side].is_object() {
                    container["resources"][side] = json!({});
                }
                container["resources"][side][resource] = amount.clone();
            }
        }
    }
}

fn check(container: &Value, limit: &Value, problems: &mut Vec<String>) {
    let read = |value: &Value| value.as_str().and_then(Quantity::parse);
    for (bound, side, word) in [("min", "requests", "minimum"), ("max", "limits", "maximum")] {
        for (resource, amount) in limit[bound].as_object().into_iter().flatten() {
            let given = &container["resources"][side][resource];
            let shown = amount.as_str().unwrap_or_default();
            let (Some(asked), Some(bound)) = (read(given), read(amount)) else {
                let noun = side.trim_end_matches('s');
                problems.push(format!(
                    "{word} {resource} usage per Container is {shown}.  No {noun} is specified"
                ));
                continue;
            };
            let broken = if word == "minimum" { asked < bound } else { asked > bound };
            if broken {
                let noun = side.trim_end_matches('s');
                let asked = asked.text();
                problems.push(format!(
                    "{word} {resource} usage per Container is {shown}, but {noun} is {asked}"
                ));
            }
        }
    }
}
