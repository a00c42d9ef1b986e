//! Differences between two objects: by field for machines, as unified YAML for people, with secrets masked.

use serde_json::{Map, Value};

/// Shown in place of a secret's value.
const MASK: &str = "********";

/// One field that differs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct FieldChange {
    /// Where: keys joined by `/`, items of lists of named things as `[name]`.
    pub path: String,
    /// Value before; `None` when it was not there.
    pub before: Option<Value>,
    /// Value after; `None` when it is gone.
    pub after: Option<Value>,
}

/// Every field that differs, in the order of the objects.
#[must_use]
pub fn fields(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
                compare(&format!("{path}/{key}"), before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after)))
            if named(before) && named(after) =>
        {
            let find = |items: &[Value], name: &Value| {
                items.iter().find(|item| item.get("name") == Some(name)).cloned()
            };
            let names = before.iter().chain(after).filter_map(|item| item.get("name"));
            let mut seen = Vec::new();
            for name in names {
                if seen.contains(&name) {
                    continue;
                }
                seen.push(name);
                let text = name.as_str().unwrap_or_default();
                let (before, after) = (find(before, name), find(after, name));
                compare(&format!("{path}[{text}]"), before.as_ref(), after.as_ref(), found);
            }
        }
        (before, after) => found.push(FieldChange {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

/// Whether a list is one of things told apart by `name`, each once.
fn named(items: &[Value]) -> bool {
    let mut names: Vec<_> = items.iter().filter_map(|item| item.get("name")?.as_str()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    count == items.len() && names.len() == count
}

/// Unified diff of two texts, without file header; empty when they are equal.
#[must_use]
pub fn unified(before: &str, after: &str) -> String {
    super::text_diff::hunks(before, after)
}

/// Unified diff of two objects as YAML; a missing side is empty.
#[must_use]
pub fn unified_yaml(before: Option<&Value>, after: Option<&Value>) -> String {
    unified(&before.map(yaml).unwrap_or_default(), &after.map(yaml).unwrap_or_default())
}

/// An object as YAML.
#[must_use]
pub fn yaml(object: &Value) -> String {
    serde_saphyr::to_string(object).unwrap_or_else(|_| format!("{object:#}\n"))
}

/// A live object without what the API server and controllers write: status, identity, bookkeeping.
#[must_use]
pub fn without_noise(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(root) = object.as_object_mut() {
        root.shift_remove("status");
        if let Some(metadata) = root.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in [
                "managedFields",
                "resourceVersion",
                "uid",
                "creationTimestamp",
                "generation",
                "selfLink",
            ] {
                metadata.shift_remove(key);
            }
            without_annotations(metadata);
        }
        // the API server fills this in on every template it stores
        for template in ["/spec/template/metadata", "/spec/jobTemplate/spec/template/metadata"] {
            if let Some(metadata) = object.pointer_mut(template).and_then(Value::as_object_mut) {
                metadata.shift_remove("creationTimestamp");
            }
        }
    }
    object
}

fn without_annotations(metadata: &mut Map<String, Value>) {
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    for key in
        ["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"]
    {
        annotations.shift_remove(key);
    }
    if annotations.is_empty() {
        metadata.shift_remove("annotations");
    }
}

/// Replaces the values of a Secret, so that it still shows which keys differ. Other objects are left as they are.
pub fn mask(before: &mut Option<Value>, after: &mut Option<Value>) {
    let secret = |object: &Option<Value>| {
        object.as_ref().is_some_and(|o| o["kind"] == "Secret" && o["apiVersion"] == "v1")
    };
    if !secret(before) && !secret(after) {
        return;
    }
    for section in ["data", "stringData"] {
        let old = before.as_ref().and_then(|o| o.get(section)).cloned();
        let new = after.as_ref().and_then(|o| o.get(section)).cloned();
        for (object, note) in [(&mut *before, "before"), (&mut *after, "after")] {
            let values = object.as_mut().and_then(|o| o.get_mut(section)?.as_object_mut());
            for (key, value) in values.into_iter().flatten() {
                let side = |section: &Option<Value>| section.as_ref()?.get(key).cloned();
                let same = side(&old) == side(&new);
                *value = Value::String(if same { MASK.into() } else { format!("{MASK} ({note})") });
            }
        }
    }
    // kubectl copies the whole object, values included, into an annotation
    for object in [before, after].into_iter().flatten() {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            without_annotations(metadata);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_by_name_in_lists() {
        let before = json!({"spec": {"replicas": 3, "containers": [
            {"name": "app", "image": "a:1"}, {"name": "proxy", "image": "p:1"}], "args": ["a", "b"]}});
        let after = json!({"spec": {"replicas": 5, "containers": [
            {"name": "proxy", "image": "p:1"}, {"name": "app", "image": "a:2"}, {"name": "new"}], "args": ["a"]}});
        let found: Vec<_> = fields(&before, &after).into_iter().map(|f| f.path).collect();
        assert_eq!(
            found,
            [
                "/spec/replicas",
                "/spec/containers[app]/image",
                "/spec/containers[new]",
                "/spec/args"
            ]
        );
        assert!(fields(&before, &before).is_empty());
    }

    #[test]
    fn secrets_are_masked_but_still_differ() {
        let secret = |data: Value| {
            json!({"apiVersion": "v1", "kind": "Secret", "data": data, "metadata": {"name": "s", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"canary\"}"}}})
        };
        let mut before =
            Some(secret(json!({"same": "canary-1", "gone": "canary-2", "new": "canary-3"})));
        let mut after = Some(secret(json!({"same": "canary-1", "new": "canary-4"})));
        mask(&mut before, &mut after);
        let diff = unified_yaml(before.as_ref(), after.as_ref());
        assert!(!diff.contains("canary"), "{diff}");
        assert!(diff.contains("-  gone:") && diff.contains("+  new:"), "{diff}");
        assert!(!diff.contains("-  same:"), "{diff}");
    }

    #[test]
    fn noise_is_dropped() {
        let live = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "7", "generation": 3,
            "managedFields": [], "creationTimestamp": "x",
            "annotations": {"deployment.kubernetes.io/revision": "3"}}, "spec": {"a": 1}, "status": {"b": 2}});
        assert_eq!(without_noise(&live), json!({"metadata": {"name": "a"}, "spec": {"a": 1}}));
    }
}
