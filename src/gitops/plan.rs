//! The plan of a change: what differs in the rendered objects and in the live cluster, and the hash that approvals bind to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{diff, render::Rendered, source::Source, tree::FileChange, unit::Unit};
use crate::domain::{FileDiff, Finding, ObjectDiff, ObjectRef, Plan, PlanHash};

/// One rendered object that differs between two revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectChange {
    /// Which object.
    pub object: ObjectRef,
    /// The unit that declares it.
    pub unit: String,
    /// The unit's environment.
    pub environment: Option<String>,
    /// Rendered before; `None` when it is new.
    pub before: Option<Value>,
    /// Rendered after; `None` when it is removed.
    pub after: Option<Value>,
    /// `file:line` of its declaration.
    pub location: String,
}

/// What applying one object would do to the live cluster.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LiveChange {
    /// The live object; `None` when there is none.
    pub before: Option<Value>,
    /// What a server-side dry run answered; `None` when it would be deleted.
    pub after: Option<Value>,
    /// Field managers that lose a field: `manager: .spec.replicas`.
    pub takeovers: Vec<String>,
}

/// The live side of a plan, by object; an object is missing when the cluster could not be asked about it.
pub type Live = BTreeMap<ObjectRef, LiveChange>;

/// Every object that differs between two revisions, by unit and object.
#[must_use]
pub fn object_changes(before: &Source, after: &Source) -> Vec<ObjectChange> {
    let names: BTreeSet<_> = before.rendered.keys().chain(after.rendered.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        // a unit that does not render on one side is not compared: nothing is known about it
        if before.broken.contains_key(name) || after.broken.contains_key(name) {
            continue;
        }
        let (old, new) = (by_object(before, name), by_object(after, name));
        let unit = after.unit(name).or_else(|| before.unit(name));
        let objects: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
        for object in objects {
            let (old, new) = (old.get(object), new.get(object));
            if old.map(|r| &r.value) == new.map(|r| &r.value) {
                continue;
            }
            let declared = new.or(old);
            changes.push(ObjectChange {
                object: object.clone(),
                unit: name.clone(),
                environment: unit.and_then(|unit: &Unit| unit.environment.clone()),
                before: old.map(|r| r.value.clone()),
                after: new.map(|r| r.value.clone()),
                location: declared.map(|r| format!("{}:{}", r.file, r.line)).unwrap_or_default(),
            });
        }
    }
    changes
}

fn by_object<'a>(source: &'a Source, unit: &str) -> BTreeMap<&'a ObjectRef, &'a Rendered> {
    source.rendered.get(unit).into_iter().flatten().map(|r| (&r.object, r)).collect()
}

/// The hash of what a change would do, to git's objects and to the live ones. It is stable while nothing drifts: only
/// differences count, never the whole live object, and nothing the API server or controllers write by themselves.
#[must_use]
pub fn hash(changes: &[ObjectChange], live: &Live) -> PlanHash {
    let entries: Vec<Value> = changes
        .iter()
        .map(|change| {
            let live = live.get(&change.object).map(|live| {
                json!({"fields": live_fields(live), "exists": live.before.is_some(), "takeovers": live.takeovers})
            });
            json!({
                "object": change.object,
                "unit": change.unit,
                "before": change.before,
                "after": change.after,
                "live": live,
            })
        })
        .collect();
    let mut sha = Sha256::new();
    sha.update(canonical(&Value::Array(entries)).to_string());
    PlanHash(hex::encode(sha.finalize()))
}

/// What an apply changes in a live object; empty for one that is created (the API server fills in random fields then) or
/// deleted.
fn live_fields(live: &LiveChange) -> Vec<diff::FieldChange> {
    match (&live.before, &live.after) {
        (Some(before), Some(after)) => {
            diff::fields(&diff::without_noise(before), &diff::without_noise(after))
        }
        _ => Vec::new(),
    }
}

/// Whether applying changes nothing in the live object.
#[must_use]
pub fn is_applied(live: &LiveChange) -> bool {
    live.before.is_some() && live.after.is_some() && live_fields(live).is_empty()
}

/// With the keys of every map in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by(|a, b| a.0.cmp(b.0));
            Value::Object(keys.into_iter().map(|(k, v)| (k.clone(), canonical(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// Puts a plan together for people to read; secrets are masked in it.
#[must_use]
pub fn build(
    files: &[FileChange],
    changes: &[ObjectChange],
    live: &Live,
    findings: Vec<Finding>,
) -> Plan {
    Plan {
        hash: hash(changes, live),
        files: files.iter().map(file_diff).collect(),
        objects: changes.iter().map(|change| object_diff(change, live)).collect(),
        findings,
    }
}

fn object_diff(change: &ObjectChange, live: &Live) -> ObjectDiff {
    let (mut before, mut after) = (change.before.clone(), change.after.clone());
    diff::mask(&mut before, &mut after);
    let live = live.get(&change.object);
    let live_diff = live.map(|live| {
        let mut before = live.before.as_ref().map(diff::without_noise);
        let mut after = live.after.as_ref().map(diff::without_noise);
        diff::mask(&mut before, &mut after);
        diff::unified_yaml(before.as_ref(), after.as_ref())
    });
    ObjectDiff {
        object: change.object.clone(),
        unit: change.unit.clone(),
        rendered_diff: diff::unified_yaml(before.as_ref(), after.as_ref()),
        before,
        after,
        live_diff,
        takeovers: live.map(|live| live.takeovers.clone()).unwrap_or_default(),
    }
}

fn file_diff(file: &FileChange) -> FileDiff {
    let secret = |text: &Option<String>| {
        text.as_ref().is_some_and(|text| {
            text.lines()
                .any(|line| line.trim_start_matches([' ', '-', '"']).starts_with("kind: Secret"))
        })
    };
    if secret(&file.before) || secret(&file.after) {
        let hidden = || "# not shown: the file holds a Secret\n".to_owned();
        return FileDiff {
            path: file.path.clone(),
            diff: hidden(),
            before: file.before.as_ref().map(|_| hidden()),
            after: file.after.as_ref().map(|_| hidden()),
        };
    }
    let text = |side: &Option<String>| side.clone().unwrap_or_default();
    FileDiff {
        path: file.path.clone(),
        diff: diff::unified(&text(&file.before), &text(&file.after)),
        before: file.before.clone(),
        after: file.after.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale() -> Vec<ObjectChange> {
        let object = |replicas: u32| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "demo"}, "spec": {"replicas": replicas}})
        };
        vec![ObjectChange {
            object: ObjectRef::new("apps/v1", "Deployment", Some("demo"), "web"),
            unit: "demo".into(),
            environment: None,
            before: Some(object(3)),
            after: Some(object(5)),
            location: "demo/web.yaml:1".into(),
        }]
    }

    fn live(replicas: u32, noise: u32) -> Live {
        let object = |replicas: u32, noise: u32| {
            json!({"metadata": {"name": "web", "generation": noise,
            "resourceVersion": noise.to_string(), "managedFields": [{"time": noise}]},
            "spec": {"replicas": replicas, "paused": false}, "status": {"readyReplicas": noise}})
        };
        let change = LiveChange {
            before: Some(object(replicas, noise)),
            after: Some(object(5, noise + 1)),
            takeovers: Vec::new(),
        };
        [(scale()[0].object.clone(), change)].into()
    }

    #[test]
    fn the_hash_ignores_noise_and_sees_drift() {
        let hash = |live: &Live| hash(&scale(), live);
        assert_eq!(hash(&live(3, 1)), hash(&live(3, 9)));
        assert_ne!(hash(&live(3, 1)), hash(&live(4, 1)), "somebody scaled it by hand");
        assert_ne!(hash(&live(3, 1)), hash(&Live::new()), "the cluster was not asked");
        let mut taken = live(3, 1);
        if let Some(change) = taken.values_mut().next() {
            change.takeovers.push("hpa: .spec.replicas".into());
        }
        assert_ne!(hash(&live(3, 1)), hash(&taken));
    }

    #[test]
    fn applied_means_nothing_left_to_change() {
        let check = |replicas| live(replicas, 1).values().all(is_applied);
        assert!(check(5) && !check(3));
    }

    #[test]
    fn files_with_secrets_are_not_shown() {
        let file = FileChange {
            path: "s.yaml".into(),
            before: Some("a: 1\n---\nkind: Secret\nstringData: {a: canary-1}\n".into()),
            after: Some("a: 1\n---\nkind: Secret\nstringData: {a: canary-2}\n".into()),
        };
        let plan = build(&[file], &[], &Live::new(), Vec::new());
        let text = serde_json::to_string(&plan).expect("is JSON");
        assert!(!text.contains("canary"), "{text}");
    }
}
