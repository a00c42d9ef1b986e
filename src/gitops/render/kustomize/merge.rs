//! Strategic merge, in the way Kustomize does it: lists of known kinds are merged by key, others replaced; what a patch
//! brings comes first.

use serde_json::{Map, Value};

/// How a list is merged.
#[derive(Clone, Copy)]
enum Lists {
    /// Replaced as a whole.
    Replaced,
    /// Items are told apart by these keys.
    Keyed(&'static [&'static str]),
    /// Plain values, united.
    United,
}

/// Where in which kind of object.
#[derive(Clone)]
struct Place {
    kind: String,
    path: Vec<String>,
}

/// Kinds that carry a pod, and where.
pub(super) const PODS: &[(&str, &str)] = &[
    ("Pod", "spec"),
    ("PodTemplate", "template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicaSet", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
];

/// Lists of a pod's spec.
const POD_LISTS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("hostAliases", &["ip"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("resourceClaims", &["name"]),
    ("schedulingGates", &["name"]),
];
/// Lists of a container.
const CONTAINER_LISTS: &[(&str, &[&str])] = &[
    ("env", &["name"]),
    ("ports", &["containerPort", "protocol"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
];
/// Lists of other kinds.
const OTHER_LISTS: &[(&str, &str, &[&str])] = &[
    ("Service", "spec/ports", &["port", "protocol"]),
    ("ServiceAccount", "secrets", &["name"]),
    ("ServiceAccount", "imagePullSecrets", &["name"]),
    ("ValidatingWebhookConfiguration", "webhooks", &["name"]),
    ("MutatingWebhookConfiguration", "webhooks", &["name"]),
];

impl Place {
    fn below(&self, key: &str) -> Self {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        Self { kind: self.kind.clone(), path }
    }

    fn lists(&self) -> Lists {
        let path = self.path.join("/");
        match path.as_str() {
            "metadata/finalizers" => return Lists::United,
            "metadata/ownerReferences" => return Lists::Keyed(&["uid"]),
            _ => {}
        }
        if let Some((_, _, keys)) =
            OTHER_LISTS.iter().find(|(kind, at, _)| *kind == self.kind && *at == path)
        {
            return Lists::Keyed(keys);
        }
        let pod = PODS.iter().find(|(kind, _)| *kind == self.kind);
        let Some(inside) = pod.and_then(|(_, spec)| path.strip_prefix(spec)?.strip_prefix('/'))
        else {
            return Lists::Replaced;
        };
        let keys = match inside.split_once("ontainers/") {
            Some((_, field)) => CONTAINER_LISTS.iter().find(|(name, _)| *name == field),
            None => POD_LISTS.iter().find(|(name, _)| *name == inside),
        };
        keys.map_or(Lists::Replaced, |(_, keys)| Lists::Keyed(keys))
    }
}

/// Merges `patch` into `value`, an object of a built-in `kind` (any other name: lists are replaced). `false` when the patch
/// deletes the object.
pub(super) fn strategic(value: &mut Value, patch: &Value, kind: &str) -> Result<bool, String> {
    let place = Place { kind: kind.to_owned(), path: Vec::new() };
    if directive(patch) == Some("delete") {
        return Ok(false);
    }
    merge(value, patch, &place)?;
    Ok(true)
}

fn directive(patch: &Value) -> Option<&str> {
    patch.get("$patch").and_then(Value::as_str)
}

fn merge(value: &mut Value, patch: &Value, place: &Place) -> Result<(), String> {
    match (value, patch) {
        (Value::Object(map), Value::Object(changes)) if directive(patch) != Some("replace") => {
            for (key, change) in changes {
                field(map, key, change, &place.below(key))?;
            }
        }
        (Value::Array(items), Value::Array(changes)) => list(items, changes, place)?,
        (value, patch) => *value = plain(patch)?,
    }
    Ok(())
}

fn field(
    map: &mut Map<String, Value>,
    key: &str,
    change: &Value,
    place: &Place,
) -> Result<(), String> {
    if key == "$patch" {
        return match change.as_str() {
            Some("merge") => Ok(()),
            _ => Err(format!("'$patch: {change}' is not known; use merge, replace or delete")),
        };
    }
    if key.starts_with('$') {
        return Err(format!("the directive '{key}' is not supported; use $patch, or a JSON patch"));
    }
    if change.is_null() || directive(change) == Some("delete") {
        map.remove(key);
        return Ok(());
    }
    match map.get_mut(key) {
        Some(value) => merge(value, change, place),
        None => {
            map.insert(key.to_owned(), plain(change)?);
            Ok(())
        }
    }
}

fn list(items: &mut Vec<Value>, changes: &[Value], place: &Place) -> Result<(), String> {
    let replaces =
        changes.iter().any(|change| directive(change) == Some("replace") && is_bare(change));
    match place.lists() {
        Lists::Keyed(keys) if !replaces => keyed(items, changes, keys, place)?,
        Lists::United if !replaces => {
            let new: Vec<Value> =
                changes.iter().filter(|change| !items.contains(change)).cloned().collect();
            items.splice(0..0, new);
        }
        _ => {
            let kept = changes
                .iter()
                .filter(|change| directive(change) != Some("delete") && !is_bare(change));
            *items = kept.map(plain).collect::<Result<_, _>>()?;
        }
    }
    Ok(())
}

/// Merges lists whose items are told apart by `keys`. What is new comes first; what was there moves to the front with it
/// when one key is in use, and stays in its order when several are.
fn keyed(
    items: &mut Vec<Value>,
    changes: &[Value],
    keys: &[&str],
    place: &Place,
) -> Result<(), String> {
    let used =
        keys.iter().filter(|key| items.iter().chain(changes).any(|item| !item[**key].is_null()));
    let stay = used.count() > 1;
    let mut first = Vec::new();
    for change in changes {
        let exact = |item: &Value| keys.iter().all(|key| item[*key] == change[*key]);
        let close = |item: &Value| {
            let same = |key: &&str| item[*key] == change[*key];
            let compatible =
                |key: &&str| same(key) || item[*key].is_null() || change[*key].is_null();
            keys.iter().any(|key| same(key) && !item[*key].is_null()) && keys.iter().all(compatible)
        };
        let position = items.iter().position(exact).or_else(|| items.iter().position(close));
        match position {
            Some(position) if directive(change) == Some("delete") => {
                items.remove(position);
            }
            Some(position) if stay => merge(&mut items[position], change, place)?,
            Some(position) => {
                let mut item = items.remove(position);
                merge(&mut item, change, place)?;
                first.push(item);
            }
            None if directive(change) == Some("delete") => {}
            None => first.push(plain(change)?),
        }
    }
    items.splice(0..0, first);
    Ok(())
}

/// Whether a list item is nothing but a directive.
fn is_bare(change: &Value) -> bool {
    directive(change).is_some() && change.as_object().is_some_and(|map| map.len() == 1)
}

/// What a patch says where there was nothing: without directives and removals.
fn plain(patch: &Value) -> Result<Value, String> {
    Ok(match patch {
        Value::Object(map) => {
            let mut kept = Map::new();
            for (key, value) in map {
                if key.starts_with('$') && key != "$patch" {
                    return Err(format!(
                        "the directive '{key}' is not supported; use $patch, or a JSON patch"
                    ));
                }
                if key != "$patch" && !value.is_null() && directive(value) != Some("delete") {
                    kept.insert(key.clone(), plain(value)?);
                }
            }
            Value::Object(kept)
        }
        Value::Array(items) => {
            let kept =
                items.iter().filter(|item| directive(item) != Some("delete") && !is_bare(item));
            Value::Array(kept.map(plain).collect::<Result<_, _>>()?)
        }
        other => other.clone(),
    })
}
