//! Strategic merge patch: a merge patch that knows which lists merge by a key, with its directives (`$patch`,
//! `$retainKeys`, `$setElementOrder/...`, `$deleteFromPrimitiveList/...`).

use serde_json::{Map, Value};

use super::{
    ApiError,
    schema::{Field, Shape, Type},
};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch to an object of a built-in kind.
pub(super) fn strategic_merge(
    of: Type<'_>,
    object: &mut Value,
    patch: Value,
) -> Result<(), ApiError> {
    let Value::Object(patch) = patch else {
        return Err(ApiError::bad_request("a strategic merge patch is an object"));
    };
    let original = std::mem::take(object);
    let original = if let Value::Object(map) = original { map } else { Map::new() };
    *object = Value::Object(merge_map(Some(of), original, patch)?);
    Ok(())
}

fn merge_map(
    of: Option<Type<'_>>,
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    match patch.shift_remove(DIRECTIVE).as_ref().map(Value::as_str) {
        None | Some(Some("merge")) => {}
        Some(Some("replace")) => return Ok(patch),
        Some(Some("delete")) => return Ok(Map::new()),
        Some(other) => {
            let message =
                format!("unknown patch directive $patch: {}", other.unwrap_or("(not a text)"));
            return Err(ApiError::bad_request(message));
        }
    }
    if let Some(keep) = patch.shift_remove(RETAIN_KEYS) {
        let keep: Vec<&str> =
            keep.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        original.retain(|key, _| keep.contains(&key.as_str()));
    }
    let orders = take_prefixed(&mut patch, ORDER);
    let deletions = take_prefixed(&mut patch, DELETE_FROM);
    let server: Map<String, Value> = orders
        .iter()
        .filter_map(|(key, _)| Some((key.clone(), original.get(key)?.clone())))
        .collect();
    for (key, gone) in deletions {
        if let (Some(Value::Array(list)), Value::Array(gone)) = (original.get_mut(&key), gone) {
            list.retain(|item| !gone.contains(item));
        }
    }
    for (key, value) in patch {
        merge_key(of, &mut original, key, value)?;
    }
    for (key, order) in orders {
        let field = of.and_then(|t| t.field(&key));
        let merge_by = field.and_then(|f| f.merge_key.as_deref());
        if let (Some(Value::Array(merged)), Value::Array(order)) = (original.get_mut(&key), order) {
            let before =
                server.get(&key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            *merged = in_order(std::mem::take(merged), &order, before, merge_by);
        }
    }
    Ok(original)
}

fn take_prefixed(patch: &mut Map<String, Value>, prefix: &str) -> Vec<(String, Value)> {
    let keys: Vec<String> = patch.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
    keys.into_iter()
        .filter_map(|key| Some((key[prefix.len()..].to_owned(), patch.shift_remove(&key)?)))
        .collect()
}

fn merge_key(
    of: Option<Type<'_>>,
    original: &mut Map<String, Value>,
    key: String,
    value: Value,
) -> Result<(), ApiError> {
    let inner = of.and_then(|t| t.key(&key));
    let field = of.and_then(|t| t.field(&key));
    let merged = match (original.get_mut(&key), value) {
        (_, Value::Null) => {
            original.shift_remove(&key);
            return Ok(());
        }
        (Some(Value::Object(old)), Value::Object(new)) => {
            let deletes = new.get(DIRECTIVE).is_some_and(|d| d == "delete");
            let merged = merge_map(inner, std::mem::take(old), new)?;
            if deletes {
                original.shift_remove(&key);
                return Ok(());
            }
            Value::Object(merged)
        }
        (Some(Value::Array(old)), Value::Array(new)) if field.is_some_and(|f| f.merges) => {
            let items = inner.and_then(|t| match t.shape() {
                Shape::List { items, .. } => Some(t.to(*items)),
                _ => None,
            });
            Value::Array(merge_list(items, field, std::mem::take(old), new)?)
        }
        (_, value) => match without_directives(value) {
            Some(value) => value,
            None => {
                original.shift_remove(&key);
                return Ok(());
            }
        },
    };
    original.insert(key, merged);
    Ok(())
}

fn merge_list(
    items: Option<Type<'_>>,
    field: Option<&Field>,
    old: Vec<Value>,
    new: Vec<Value>,
) -> Result<Vec<Value>, ApiError> {
    let server = old.clone();
    let mut merged = old;
    let Some(key) = field.and_then(|f| f.merge_key.as_deref()) else {
        for item in &new {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(in_order(merged, &new, &server, None));
    };
    let mut order = Vec::new();
    let replaces = new.iter().any(|item| item[DIRECTIVE] == "replace");
    if replaces {
        return Ok(new.into_iter().filter(|item| item.get(DIRECTIVE).is_none()).collect());
    }
    for item in new {
        let Some(wanted) = item.get(key).cloned() else {
            return Err(ApiError::bad_request(format!(
                "map: {item} does not contain declared merge key: {key}"
            )));
        };
        if item[DIRECTIVE] == "delete" {
            merged.retain(|old| old.get(key) != Some(&wanted));
            continue;
        }
        order.push(item.clone());
        let place = merged.iter().position(|old| old.get(key) == Some(&wanted));
        match (place, item) {
            (Some(at), Value::Object(patch)) => {
                let old = merged[at].as_object_mut().map(std::mem::take).unwrap_or_default();
                merged[at] = Value::Object(merge_map(items, old, patch)?);
            }
            (_, item) => merged.extend(without_directives(item)),
        }
    }
    Ok(in_order(merged, &order, &server, Some(key)))
}

/// Puts the items that `order` names in that order, and the others where the server had them relative to those.
fn in_order(
    merged: Vec<Value>,
    order: &[Value],
    server: &[Value],
    key: Option<&str>,
) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    };
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut ordered, others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(order, item).is_some());
    ordered.sort_by_key(|item| place(order, item));
    let mut result = Vec::new();
    let mut ordered = ordered.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(left), Some(right)) = (others.peek(), ordered.peek()) {
        let before = match (place(server, left), place(server, right)) {
            (Some(left), Some(right)) => left < right,
            _ => false,
        };
        result.extend(if before { others.next() } else { ordered.next() });
    }
    result.extend(others);
    result.extend(ordered);
    result
}

fn is_directive(key: &str) -> bool {
    key == DIRECTIVE || key == RETAIN_KEYS || key.starts_with(ORDER) || key.starts_with(DELETE_FROM)
}

/// A patch's value that has nothing to merge with: directives go; `None` when nothing is left to keep.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            if map.get(DIRECTIVE).is_some_and(|d| d == "delete") {
                return None;
            }
            let kept = map
                .into_iter()
                .filter(|(key, value)| !(value.is_null() || is_directive(key)))
                .filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => Some(Value::Array(
            list.into_iter()
                .filter(|item| item.get(DIRECTIVE).is_none_or(|d| d == "merge"))
                .filter_map(without_directives)
                .collect(),
        )),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::api::kinds::built_in_type;

    fn check(of: Type<'_>, table: Vec<(&str, Value, Value, Value)>) {
        for (what, mut object, patch, want) in table {
            strategic_merge(of, &mut object, patch).unwrap();
            assert_eq!(object, want, "{what}");
        }
    }

    #[test]
    fn lists_merge_by_their_keys() {
        let of = built_in_type("apps", "v1", "Deployment").unwrap();
        let containers =
            |list: Value| json!({"spec": {"template": {"spec": {"containers": list}}}});
        let two =
            || containers(json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]));
        let table = [
            (
                "merge by key",
                two(),
                containers(json!([{"name": "b", "image": "b:2"}])),
                containers(json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2"}])),
            ),
            (
                "add an item",
                two(),
                containers(json!([{"name": "c"}])),
                containers(
                    json!([{"name": "c"}, {"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]),
                ),
            ),
            (
                "delete an item",
                two(),
                containers(json!([{"name": "a", "$patch": "delete"}])),
                containers(json!([{"name": "b", "image": "b:1"}])),
            ),
            (
                "replace the list",
                two(),
                containers(json!([{"name": "z"}, {"$patch": "replace"}])),
                containers(json!([{"name": "z"}])),
            ),
            (
                "order",
                two(),
                json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}}}),
                containers(json!([{"name": "b", "image": "b:1"}, {"name": "a", "image": "a:1"}])),
            ),
        ];
        check(of, table.into());
    }

    #[test]
    fn directives_and_primitives() {
        let of = built_in_type("apps", "v1", "Deployment").unwrap();
        let containers =
            |list: Value| json!({"spec": {"template": {"spec": {"containers": list}}}});
        let table = [
            (
                "replace a map",
                json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
                json!({"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}}),
                json!({"spec": {"strategy": {"type": "Recreate"}}}),
            ),
            (
                "retain keys",
                json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
                json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
                json!({"spec": {"strategy": {"type": "Recreate"}}}),
            ),
            (
                "primitive lists",
                json!({"metadata": {"finalizers": ["a", "b"]}}),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}),
                json!({"metadata": {"finalizers": ["c", "b"]}}),
            ),
            (
                "null deletes",
                json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
                json!({"metadata": {"labels": {"a": null}}}),
                json!({"metadata": {"labels": {"b": "2"}}}),
            ),
            (
                "atomic lists are replaced",
                json!({"spec": {"template": {"spec": {"containers": [
                {"name": "a", "args": ["1", "2"]}]}}}}),
                containers(json!([{"name": "a", "args": ["3"]}])),
                containers(json!([{"name": "a", "args": ["3"]}])),
            ),
        ];
        check(of, table.into());
    }

    #[test]
    fn items_need_their_key() {
        let of = built_in_type("apps", "v1", "Deployment").unwrap();
        let object = |item: Value| json!({"spec": {"template": {"spec": {"containers": [item]}}}});
        let mut original = object(json!({"name": "a"}));
        let error = strategic_merge(of, &mut original, object(json!({"image": "x"}))).unwrap_err();
        assert!(error.message.contains("does not contain declared merge key: name"), "{error}");
    }
}
