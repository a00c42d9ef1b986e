//! Values: what the chart says, what the release says, and what subcharts see of it.

use serde_json::{Map, Value, json};

use super::{Result, chart::Chart};
use crate::gitops::{
    tree::Tree,
    unit::SourceError,
    yaml::{self, Dialect},
};

/// A values file; an empty one is an empty mapping.
pub(super) fn read(path: &str, text: &str) -> Result<Value> {
    match yaml::only(path, text, Dialect::Kubectl)? {
        Value::Null => Ok(json!({})),
        value @ Value::Object(_) => Ok(value),
        _ => Err(SourceError {
            path: path.to_owned(),
            line: 1,
            message: "values must be a mapping".to_owned(),
        }),
    }
}

/// The values of a release, with those of the subcharts below their names. Subcharts that are switched off are taken out
/// of the chart.
pub(super) fn of_release(tree: &Tree, chart: &mut Chart<'_>, files: &[String]) -> Result<Value> {
    let mut said = json!({});
    for path in files {
        let text = tree.text(path).ok_or_else(|| SourceError {
            path: path.clone(),
            line: 1,
            message: "this values file does not exist or is not text".to_owned(),
        })?;
        let file = read(path, text)?;
        merge(&mut said, file);
    }
    let with_defaults = coalesced(said.clone(), &chart.values);
    switch_off(chart, &with_defaults);
    Ok(complete(chart, said))
}

/// Puts `over` on top of `base`, mappings key by key. `null` stays, as it takes a default away later.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(old) if old.is_object() && value.is_object() => merge(old, value),
                    _ => drop(base.insert(key, value)),
                }
            }
        }
        (base, over) => *base = over,
    }
}

/// `said` completed by `defaults`; a `null` says that there is to be no default.
fn coalesced(said: Value, defaults: &Value) -> Value {
    let (Value::Object(mut said), Value::Object(defaults)) = (said, defaults) else {
        return json!({});
    };
    for (key, default) in defaults {
        match said.get_mut(key) {
            None => drop(said.insert(key.clone(), default.clone())),
            Some(Value::Null) => drop(said.shift_remove(key)),
            Some(value) if value.is_object() && default.is_object() => {
                *value = coalesced(value.take(), default);
            }
            Some(_) => {}
        }
    }
    Value::Object(said)
}

/// Values of a chart with its defaults, those of its subcharts below their names, and the globals everywhere.
fn complete(chart: &Chart<'_>, said: Value) -> Value {
    let mut values = coalesced(said, &chart.values);
    let global = values.get("global").cloned().filter(Value::is_object);
    for child in &chart.children {
        let mut below =
            values.get(&child.name).cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
        if let Some(global) = &global {
            let own = below.get("global").cloned().unwrap_or_else(|| json!({}));
            // what comes from above wins
            below["global"] = coalesced(global.clone(), &own);
        }
        values[child.name.as_str()] = complete(child, below);
        if values[child.name.as_str()].get("global").is_none() {
            values[child.name.as_str()]["global"] = json!({});
        }
    }
    if values.get("global").is_none() {
        values["global"] = json!({});
    }
    values
}

/// Takes out subcharts whose condition or tags say no.
fn switch_off(chart: &mut Chart<'_>, values: &Value) {
    let declared =
        chart.file.get("dependencies").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |dependency: &Value, key: &str| {
        dependency.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    chart.children.retain(|child| {
        let dependency = declared.iter().find(|dependency| {
            let alias = text(dependency, "alias");
            (if alias.is_empty() { text(dependency, "name") } else { alias }) == child.name
        });
        dependency.is_none_or(|dependency| {
            condition(&text(dependency, "condition"), values)
                .unwrap_or_else(|| tagged(dependency, values))
        })
    });
    for child in &mut chart.children {
        let below = values.get(&child.name).cloned().unwrap_or_else(|| json!({}));
        let mut below = coalesced(below, &child.values);
        if let (Some(global), Value::Object(map)) = (values.get("global"), &mut below) {
            map.entry("global").or_insert_with(|| global.clone());
        }
        switch_off(child, &below);
    }
}

/// What the first of the paths that leads to a boolean says.
fn condition(paths: &str, values: &Value) -> Option<bool> {
    paths.split(',').find_map(|path| {
        path.trim().split('.').try_fold(values, |value, key| value.get(key))?.as_bool()
    })
}

/// Whether a tag switches the subchart on, or none switches it off.
fn tagged(dependency: &Value, values: &Value) -> bool {
    let tags = dependency.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
    let said: Map<String, Value> =
        values.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
    let states: Vec<bool> =
        tags.iter().filter_map(Value::as_str).filter_map(|tag| said.get(tag)?.as_bool()).collect();
    states.is_empty() || states.contains(&true)
}
