//! Paths of edits applied to plain values.

use serde_json::{Map, Value};

use crate::gitops::edit::{Path, Step};

/// A path from keys; `name=x` chooses the item of a list with that name.
pub(super) fn path(steps: &[&str]) -> Path {
    let step = |step: &&str| match step.split_once('=') {
        Some((key, value)) => Step::Where { key: key.to_owned(), value: value.to_owned() },
        None => Step::Key((*step).to_owned()),
    };
    steps.iter().map(step).collect()
}

/// A path with more steps.
pub(super) fn join(path: &[Step], more: &[Step]) -> Path {
    [path, more].concat()
}

/// The value at a path.
pub(super) fn get<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
        Step::Where { key, value: wanted } => {
            value.as_array()?.iter().find(|item| item[key.as_str()] == *wanted.as_str())
        }
    })
}

/// Sets the value at a path, making what is missing on the way.
pub(super) fn set(value: &mut Value, path: &[Step], new: Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    let next = match step {
        Step::Key(key) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            &mut value[key.as_str()]
        }
        Step::Index(index) => match value.get_mut(index) {
            Some(next) => next,
            None => return,
        },
        Step::Where { key, value: wanted } => {
            if !value.is_array() {
                *value = Value::Array(Vec::new());
            }
            let Some(items) = value.as_array_mut() else { return };
            let position = items.iter().position(|item| item[key.as_str()] == *wanted.as_str());
            let position = position.unwrap_or_else(|| {
                items.push(serde_json::json!({key: wanted}));
                items.len() - 1
            });
            &mut items[position]
        }
    };
    set(next, rest, new);
}

/// Removes what is at a path, and lists that become empty by it.
pub(super) fn remove(value: &mut Value, path: &[Step]) {
    match path {
        [] => {}
        [Step::Key(key)] => {
            value.as_object_mut().map(|map| map.shift_remove(key));
        }
        [Step::Where { key, value: wanted }] => {
            if let Some(items) = value.as_array_mut() {
                items.retain(|item| item[key.as_str()] != *wanted.as_str());
            }
        }
        [first, rest @ ..] => {
            let next = match first {
                Step::Key(key) => value.get_mut(key.as_str()),
                Step::Index(index) => value.get_mut(index),
                Step::Where { key, value: wanted } => value.as_array_mut().and_then(|items| {
                    items.iter_mut().find(|item| item[key.as_str()] == *wanted.as_str())
                }),
            };
            let Some(next) = next else { return };
            remove(next, rest);
            let empty = next.as_array().is_some_and(Vec::is_empty);
            if let (true, Step::Key(key), Some(map)) = (empty, first, value.as_object_mut()) {
                map.shift_remove(key);
            }
        }
    }
}

/// The path with positions in lists instead of names, as JSON patches have it.
pub(super) fn positions(value: &Value, path: &[Step]) -> Option<Vec<String>> {
    let mut value = Some(value);
    let mut found = Vec::new();
    for step in path {
        let (text, next) = match step {
            Step::Key(key) => (key.clone(), value.and_then(|value| value.get(key))),
            Step::Index(index) => (index.to_string(), value.and_then(|value| value.get(index))),
            Step::Where { key, value: wanted } => {
                let items = value?.as_array()?;
                let at = items.iter().position(|item| item[key.as_str()] == *wanted.as_str())?;
                (at.to_string(), items.get(at))
            }
        };
        found.push(text);
        value = next;
    }
    Some(found)
}
