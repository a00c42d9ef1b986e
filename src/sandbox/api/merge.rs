//! Typed merging and comparing of objects for server-side apply, after
//! [structured-merge-diff](https://github.com/kubernetes-sigs/structured-merge-diff).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    fields::{FieldSet, Step},
    schema::{ListKind, Shape, Type},
};

/// How a value of a type is looked at.
enum View<'a> {
    /// As a whole.
    Leaf,
    /// Key by key.
    Map(Type<'a>),
    /// Item by item, told apart by keys or by value.
    List(Type<'a>, &'a ListKind),
}

fn view<'a>(of: Option<Type<'a>>, value: &Value) -> View<'a> {
    let Some(of) = of else { return View::Leaf };
    match (of.shape(), value) {
        (Shape::Object { atomic: false, .. } | Shape::Any { free: true }, Value::Object(_)) => {
            View::Map(of)
        }
        (Shape::List { items, kind }, Value::Array(_)) if *kind != ListKind::Atomic => {
            View::List(of.to(*items), kind)
        }
        _ => View::Leaf,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// The step that leads to an item of a list; `None` when it lacks its keys.
fn item_step(items: Type<'_>, kind: &ListKind, item: &Value) -> Option<Step> {
    let ListKind::Map(keys) = kind else { return Some(Step::Item(item.to_string())) };
    let mut found = BTreeMap::new();
    for key in keys {
        let default = items.field(key).and_then(|f| f.default.as_ref());
        if let Some(value) = item.get(&**key).or(default) {
            found.insert(&**key, value);
        }
    }
    (!found.is_empty()).then(|| Step::Key(serde_json::to_string(&found).unwrap_or_default()))
}

/// The fields that an object sets.
pub(super) fn field_set(of: Type<'_>, object: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(Some(of), object, &mut Vec::new(), &mut set);
    set
}

fn collect(of: Option<Type<'_>>, value: &Value, path: &mut Vec<Step>, set: &mut FieldSet) {
    match (view(of, value), value) {
        (View::Map(of), Value::Object(map)) => {
            for (key, value) in map {
                path.push(Step::Field(key.clone()));
                collect(of.key(key), value, path, set);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if empty || of.field(key).is_none() {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (View::List(items, kind), Value::Array(list)) => {
            for item in list {
                let Some(step) = item_step(items, kind, item) else { continue };
                path.push(step);
                collect(Some(items), item, path, set);
                set.insert(path);
                path.pop();
            }
        }
        _ => set.insert(path),
    }
}

/// Why an object cannot be merged: items of a list that cannot be told apart.
pub(super) fn problem(of: Type<'_>, object: &Value) -> Option<String> {
    problem_at(Some(of), object, &mut String::new())
}

fn problem_at(of: Option<Type<'_>>, value: &Value, path: &mut String) -> Option<String> {
    let length = path.len();
    match (view(of, value), value) {
        (View::Map(of), Value::Object(map)) => map.iter().find_map(|(key, value)| {
            path.push('.');
            path.push_str(key);
            let found = problem_at(of.key(key), value, path);
            path.truncate(length);
            found
        }),
        (View::List(items, kind), Value::Array(list)) => {
            let mut seen = Vec::new();
            list.iter().enumerate().find_map(|(i, item)| {
                let Some(step) = item_step(items, kind, item) else {
                    let why = "associative list with keys has an element that omits all key fields";
                    return Some(format!("{path}: element {i}: {why}"));
                };
                if seen.contains(&step) {
                    return Some(format!("{path}: duplicate entries for key {step}"));
                }
                path.push_str(&step.to_string());
                let found = problem_at(Some(items), item, path);
                path.truncate(length);
                seen.push(step);
                found
            })
        }
        _ => None,
    }
}

/// Adds the named fields on the way to a set's members: `.spec` and `.spec.template` for `.spec.template.x`.
pub(super) fn with_named_parents(of: Option<Type<'_>>, set: &FieldSet) -> FieldSet {
    let mut all = FieldSet::default();
    for member in set.members() {
        all.insert(std::slice::from_ref(member));
    }
    for (step, below) in set.children() {
        let inner = match (step, of) {
            (Step::Field(name), Some(of)) => {
                if of.field(name).is_some() {
                    all.insert(std::slice::from_ref(step));
                }
                of.key(name)
            }
            (_, Some(of)) => match of.shape() {
                Shape::List { items, .. } => Some(of.to(*items)),
                _ => None,
            },
            _ => None,
        };
        all.put_below(step, with_named_parents(inner, below));
    }
    all
}

/// What differs between two versions of an object.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

/// Compares two versions of an object.
pub(super) fn compare(of: Type<'_>, old: &Value, new: &Value) -> Comparison {
    let mut found = Comparison::default();
    compare_at(Some(of), Some(old), Some(new), &mut Vec::new(), &mut found);
    found
}

fn compare_at(
    of: Option<Type<'_>>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Step>,
    found: &mut Comparison,
) {
    let Some(either) = new.filter(|v| !v.is_null()).or(old) else { return };
    let both_empty = old.is_none_or(is_empty) && new.is_none_or(is_empty);
    match view(of, either) {
        View::Map(of) if !both_empty => compare_maps(of, old, new, path, found),
        View::List(items, kind) if !both_empty => {
            compare_lists(items, kind, (old, new), path, found);
        }
        _ => {
            match (old, new) {
                (None, Some(_)) => found.added.insert(path),
                (Some(_), None) => found.removed.insert(path),
                (Some(old), Some(new)) if old != new => found.modified.insert(path),
                _ => {}
            }
            return;
        }
    }
    match (old, new) {
        (None, Some(_)) => found.added.insert(path),
        (Some(_), None) => found.removed.insert(path),
        _ => {}
    }
}

fn compare_maps(
    of: Type<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Step>,
    found: &mut Comparison,
) {
    let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    let more = new
        .into_iter()
        .flat_map(Map::keys)
        .filter(|key| old.is_none_or(|old| !old.contains_key(*key)));
    for key in old.into_iter().flat_map(Map::keys).chain(more) {
        let before = old.and_then(|map| map.get(key));
        let after = new.and_then(|map| map.get(key));
        if before == after {
            continue;
        }
        path.push(Step::Field(key.clone()));
        // Go always writes these structs, so an absent one is an empty one and is neither added nor removed itself
        let written =
            of.field(key).is_some_and(|f| f.always_written || (f.required && is_list(of, f.id)));
        let absent = Value::Null;
        let (before, after) = if written {
            (before.or(Some(&absent)), after.or(Some(&absent)))
        } else {
            (before, after)
        };
        compare_at(of.key(key), before, after, path, found);
        path.pop();
    }
}

fn is_list(of: Type<'_>, id: super::schema::TypeId) -> bool {
    matches!(of.to(id).shape(), Shape::List { .. } | Shape::Object { .. })
}

fn compare_lists(
    items: Type<'_>,
    kind: &ListKind,
    (old, new): (Option<&Value>, Option<&Value>),
    path: &mut Vec<Step>,
    found: &mut Comparison,
) {
    let index = |side: Option<&'_ Value>| -> Vec<(Step, Value)> {
        let list = side.and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|item| Some((item_step(items, kind, item)?, item.clone()))).collect()
    };
    let (old, new) = (index(old), index(new));
    let find = |list: &[(Step, Value)], step: &Step| list.iter().position(|(s, _)| s == step);
    let more = new.iter().filter(|(step, _)| find(&old, step).is_none());
    for (step, _) in old.iter().chain(more) {
        let before = find(&old, step).map(|at| &old[at].1);
        let after = find(&new, step).map(|at| &new[at].1);
        if before != after {
            path.push(step.clone());
            compare_at(Some(items), before, after, path, found);
            path.pop();
        }
    }
}

/// Lays an applied configuration over the live object.
pub(super) fn merge(of: Type<'_>, live: &Value, config: &Value) -> Value {
    merge_at(Some(of), live, config)
}

fn merge_at(of: Option<Type<'_>>, live: &Value, config: &Value) -> Value {
    match (view(of, config), live, config) {
        (View::Map(of), Value::Object(live), Value::Object(config))
            if !(live.is_empty() && config.is_empty()) =>
        {
            let mut merged = live.clone();
            for (key, value) in config {
                let value = match live.get(key) {
                    Some(before) => merge_at(of.key(key), before, value),
                    None => value.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (View::List(items, kind), Value::Array(live), Value::Array(config)) => {
            Value::Array(merge_lists(items, kind, live, config))
        }
        _ => config.clone(),
    }
}

/// Merges lists item by item; the configuration's order wins, live items keep their place relative to it.
fn merge_lists(items: Type<'_>, kind: &ListKind, live: &[Value], config: &[Value]) -> Vec<Value> {
    let steps = |list: &[Value]| -> Vec<Option<Step>> {
        list.iter().map(|item| item_step(items, kind, item)).collect()
    };
    let (live_steps, config_steps) = (steps(live), steps(config));
    let place = |steps: &[Option<Step>], step: &Option<Step>| {
        steps.iter().position(|other| step.is_some() && other == step)
    };
    let mut shared = config_steps.iter().filter(|step| place(&live_steps, step).is_some());
    let mut next_shared = shared.next();
    let mut merged_steps: Vec<&Option<Step>> = Vec::new();
    let mut out = Vec::new();
    let (mut l, mut r) = (0, 0);
    while l < live.len() || r < config.len() {
        if l < live.len() {
            let step = &live_steps[l];
            let in_config = place(&config_steps, step).is_some();
            if !in_config {
                out.push(live[l].clone());
                l += 1;
                continue;
            }
            // merged already, or a shared item whose turn has not come
            if merged_steps.contains(&step)
                || (r < config.len() && next_shared.is_some_and(|next| next != step))
            {
                l += 1;
                continue;
            }
        }
        if r < config.len() {
            let step = &config_steps[r];
            out.push(match place(&live_steps, step) {
                Some(at) => merge_at(Some(items), &live[at], &config[r]),
                None => config[r].clone(),
            });
            merged_steps.push(step);
            if next_shared == Some(step) {
                next_shared = shared.next();
            }
            if l < live.len() && live_steps[l] == *step {
                l += 1;
            }
            r += 1;
        } else {
            l += 1;
        }
    }
    out
}

/// Takes the paths of a set out of an object.
pub(super) fn remove(of: Type<'_>, object: &mut Value, set: &FieldSet) {
    remove_at(Some(of), object, set);
}

fn remove_at(of: Option<Type<'_>>, value: &mut Value, set: &FieldSet) {
    match (view(of, value), value) {
        (View::Map(of), Value::Object(map)) => {
            map.retain(|key, _| !set.has_member(&Step::Field(key.clone())));
            for (key, value) in map.iter_mut() {
                if let Some(below) = set.below(&Step::Field(key.clone())) {
                    remove_at(of.key(key), value, below);
                }
            }
        }
        (View::List(items, kind), Value::Array(list)) => {
            let step = |item: &Value| item_step(items, kind, item);
            list.retain(|item| step(item).is_none_or(|step| !set.has_member(&step)));
            for item in list {
                if let Some(below) = step(item).as_ref().and_then(|step| set.below(step)) {
                    remove_at(Some(items), item, below);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::api::kinds::built_in_type;

    fn pod_type() -> Type<'static> {
        built_in_type("", "v1", "Pod").unwrap()
    }

    #[test]
    fn fields_are_told_by_keys() {
        let pod = json!({"metadata": {"labels": {"a": "1"}, "finalizers": ["x"]}, "spec": {
            "containers": [{"name": "c", "args": ["1"], "ports": [{"containerPort": 80}]}],
            "nodeSelector": {"d": "s"}}});
        assert_eq!(
            field_set(pod_type(), &pod).to_value(),
            json!({"f:metadata": {"f:finalizers": {"v:\"x\"": {}}, "f:labels": {"f:a": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:args": {}, "f:name": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}},
                    "f:nodeSelector": {}}})
        );
    }

    #[test]
    fn merging_keeps_the_order_of_both() {
        let list = |names: &str| -> Value {
            names.chars().map(|c| json!({"name": c.to_string()})).collect()
        };
        for (live, config, want) in [
            ("ab", "ab", "ab"),
            ("ab", "ba", "ba"),
            ("abc", "b", "abc"),
            ("ab", "c", "abc"),
            ("ab", "ca", "cab"),
            ("abcd", "dxa", "bcdxa"),
            ("", "ab", "ab"),
        ] {
            let object = |names: &str| json!({"spec": {"containers": list(names)}});
            let merged = merge(pod_type(), &object(live), &object(config));
            assert_eq!(merged, object(want), "{live} + {config}");
        }
    }

    #[test]
    fn comparing_names_what_changed() {
        let old = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"containers": [{"name": "x", "image": "1"}]}});
        let new = json!({"metadata": {"labels": {"a": "2"}}, "spec": {"containers": [{"name": "x", "image": "1"}, {"name": "y"}]}});
        let found = compare(pod_type(), &old, &new);
        assert_eq!(found.modified.paths(), [".metadata.labels.a"]);
        assert_eq!(found.removed.paths(), [".metadata.labels.b"]);
        assert_eq!(
            found.added.paths(),
            [".spec.containers[name=\"y\"]", ".spec.containers[name=\"y\"].name"]
        );
    }

    #[test]
    fn removing_takes_items_and_fields_out() {
        let mut pod = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "x", "image": "1"}, {"name": "y"}]}});
        let set = FieldSet::from_value(&json!({"f:metadata": {"f:labels": {"f:a": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"x\"}": {"f:image": {}}, "k:{\"name\":\"y\"}": {}}}}));
        remove(pod_type(), &mut pod, &set);
        assert_eq!(
            pod,
            json!({"metadata": {"labels": {}}, "spec": {"containers": [{"name": "x"}]}})
        );
    }
}
