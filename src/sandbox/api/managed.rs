//! Field managers: who owns which field (`metadata.managedFields`), and server-side apply.

use serde_json::{Map, Value, json};

use super::{
    ApiError, Cause,
    dispatch::Call,
    fields::FieldSet,
    kinds::Resource,
    merge,
    schema::Type,
    versions,
    write::{Changed, Options},
};
use crate::sandbox::storage::time_text;

/// Entries of updates beyond this are merged into one.
const MAX_UPDATERS: usize = 10;

/// Who writes, and through which subresource.
pub(super) struct Writer<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) options: &'a Options,
    pub(super) subresource: Option<&'a str>,
}

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    manager: String,
    applied: bool,
    api_version: String,
    subresource: String,
    time: String,
    fields: FieldSet,
}

impl Entry {
    fn same_manager(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.applied == other.applied
            && self.subresource == other.subresource
            && (self.applied || self.api_version == other.api_version)
    }

    fn parse(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Self {
            manager: text("manager"),
            applied: value["operation"] == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            fields: FieldSet::from_value(&value["fieldsV1"]),
        }
    }

    fn to_value(&self) -> Value {
        let mut value = json!({
            "manager": self.manager,
            "operation": if self.applied { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_value(),
        });
        if !self.subresource.is_empty() {
            value["subresource"] = self.subresource.as_str().into();
        }
        value
    }

    /// `"alice"`, `"kubectl-edit" using apps/v1`, as conflicts name it.
    fn title(&self) -> String {
        let mut title = format!("\"{}\"", self.manager);
        if !self.subresource.is_empty() {
            title.push_str(&format!(" with subresource \"{}\"", self.subresource));
        }
        if !self.applied {
            title.push_str(&format!(" using {}", self.api_version));
            if !self.time.is_empty() {
                title.push_str(&format!(" at {}", self.time));
            }
        }
        title
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    list.into_iter().flatten().map(Entry::parse).collect()
}

fn put_entries(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        let key = |e: &Entry| {
            (
                !e.applied,
                e.time.clone(),
                e.manager.clone(),
                e.api_version.clone(),
                e.subresource.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if entries.is_empty() {
        metadata.shift_remove("managedFields");
    } else {
        let list: Vec<Value> = entries.iter().map(Entry::to_value).collect();
        metadata.insert("managedFields".into(), list.into());
    }
}

/// Takes out of a set what nobody owns, and what this path does not write.
fn strip(set: &mut FieldSet, subresource: Option<&str>, has_status: bool) {
    const NEVER: [&str; 10] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
        "deletionTimestamp",
    ];
    for key in NEVER {
        set.remove_tree(&["metadata", key]);
    }
    set.remove_tree(&["metadata", "deletionGracePeriodSeconds"]);
    set.remove_tree(&["apiVersion"]);
    set.remove_tree(&["kind"]);
    match subresource {
        Some("status") => set.keep_tree(&["status"]),
        None if has_status => set.remove_tree(&["status"]),
        _ => {}
    }
}

/// Records an update (or create: `live` is empty) by the request's manager.
pub(super) fn updated(writer: &Writer<'_>, live: &Value, object: &mut Value) {
    let resource = writer.call.resource;
    let reset = match object.pointer("/metadata/managedFields").and_then(Value::as_array) {
        Some(list) => list.is_empty() || (list.len() == 1 && list[0] == json!({})),
        None => false,
    };
    let is_new = live.get("metadata").is_none();
    let before = entries(live);
    if reset || (before.is_empty() && !is_new) {
        put_entries(object, Vec::new());
        return;
    }
    let Some(of) = stored_type(resource) else { return };
    let entry = new_entry(writer, false);
    let mut all = take_over(of, live, object, before, entry);
    cap(&mut all);
    put_entries(object, all);
}

/// Records in the name of a controller that writes to the storage directly.
fn new_entry(writer: &Writer<'_>, applied: bool) -> Entry {
    Entry {
        manager: writer.options.manager.clone(),
        applied,
        api_version: writer.call.resource.api_version(),
        subresource: writer.subresource.unwrap_or_default().to_owned(),
        time: time_text(writer.call.state.storage().clock().now()),
        fields: FieldSet::default(),
    }
}

fn stored_type(resource: &Resource) -> Option<Type<'_>> {
    if resource.plural == "horizontalpodautoscalers" {
        return super::kinds::built_in_type("autoscaling", "v2", &resource.kind);
    }
    if resource.storage_key() == "events" {
        return super::kinds::built_in_type("", "v1", &resource.kind);
    }
    resource.schema()
}

/// Gives what differs between two versions to `entry`, and takes it from everybody else.
fn take_over(of: Type<'_>, old: &Value, new: &Value, all: Vec<Entry>, entry: Entry) -> Vec<Entry> {
    let difference = merge::compare(of, old, new);
    let mut mine = difference.added.union(&difference.modified);
    let subresource = Some(entry.subresource.as_str()).filter(|s| !s.is_empty());
    strip(&mut mine, subresource, of.field("status").is_some());
    let mut kept: Vec<Entry> = all
        .into_iter()
        .map(|mut other| {
            other.fields = other.fields.difference(&difference.removed);
            // what this manager owns already in this way stays its own
            if !other.same_manager(&entry) {
                other.fields = other.fields.difference(&mine);
            }
            other
        })
        .collect();
    if !mine.is_empty() {
        match kept.iter_mut().find(|other| other.same_manager(&entry)) {
            Some(own) => {
                own.fields = own.fields.union(&mine);
                own.time = entry.time;
            }
            None => kept.push(Entry { fields: mine, ..entry }),
        }
    }
    kept
}

/// Merges the oldest updaters when there are too many.
fn cap(all: &mut Vec<Entry>) {
    let updaters = all.iter().filter(|e| !e.applied).count();
    if updaters <= MAX_UPDATERS {
        return;
    }
    all.sort_by(|a, b| (a.applied, &a.time).cmp(&(b.applied, &b.time)));
    let surplus = updaters - MAX_UPDATERS + 1;
    let old: Vec<Entry> = all.drain(..surplus).collect();
    if let Some(mut ancient) = old.last().cloned() {
        ancient.manager = "ancient-changes".into();
        ancient.subresource = String::new();
        ancient.fields = old.iter().fold(FieldSet::default(), |set, e| set.union(&e.fields));
        all.push(ancient);
    }
}

/// Records the apply that creates an object: the manager owns what it applied, nobody owns defaults.
pub(super) fn applied_new(writer: &Writer<'_>, object: &mut Value, config: &Value) {
    let Some(of) = writer.call.resource.schema() else { return };
    let mut entry = new_entry(writer, true);
    entry.fields = merge::field_set(of, config);
    strip(&mut entry.fields, writer.subresource, writer.call.resource.has_status());
    put_entries(object, vec![entry]);
}

/// Server-side apply onto an existing object (in the requested version).
pub(super) fn merge(
    call: &Call<'_>,
    options: &Options,
    live: &Value,
    config: &Value,
) -> Result<Changed, ApiError> {
    let resource = call.resource;
    let of = resource.schema().ok_or_else(|| ApiError::internal("no schema of this kind"))?;
    let subresource = call.target.subresource.as_deref();
    let writer = Writer { call, options, subresource };
    let mut entry = new_entry(&writer, true);
    let mut all = entries(live);
    if all.is_empty() {
        all = vec![before_first_apply(of, live, &entry)];
    }
    entry.fields = merge::field_set(of, config);
    strip(&mut entry.fields, subresource, resource.has_status());
    let last = all.iter().position(|e| e.same_manager(&entry)).map(|at| all.remove(at));

    let mut config = config.clone();
    confine(&mut config, subresource, resource.has_status());
    let mut merged = merge::merge(of, live, &config);
    if let Some(last) = &last {
        prune(of, &mut merged, &last.fields, &entry.fields, &all);
    }
    let difference = merge::compare(of, live, &merged);
    let mut touched = difference.added.union(&difference.modified);
    strip(&mut touched, subresource, resource.has_status());
    let conflicts: Vec<(String, Vec<String>)> = all
        .iter()
        .map(|other| (other.title(), other.fields.intersection(&touched).paths()))
        .filter(|(_, paths)| !paths.is_empty())
        .collect();
    if !options.force && !conflicts.is_empty() {
        return Err(conflict_error(&conflicts));
    }
    for other in &mut all {
        other.fields = other.fields.difference(&touched).difference(&difference.removed);
    }
    // an apply that changes nothing leaves no trace, not even a time
    let same_fields = last.as_ref().is_some_and(|last| last.fields == entry.fields);
    let same_object = touched.is_empty() && difference.removed.is_empty();
    if let (true, true, Some(last)) = (same_fields, same_object, last) {
        entry.time = last.time;
    }
    all.push(entry);
    put_entries(&mut merged, all);
    Ok(Changed::Applied(versions::present(resource, &merged).into_owned()))
}

/// Leaves in a configuration only what this path may write.
fn confine(config: &mut Value, subresource: Option<&str>, has_status: bool) {
    let Some(map) = config.as_object_mut() else { return };
    match subresource {
        Some("status") => {
            map.retain(|key, _| {
                matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status")
            });
            if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.retain(|key, _| {
                    matches!(key.as_str(), "name" | "namespace" | "resourceVersion" | "uid")
                });
            }
        }
        None if has_status => {
            map.shift_remove("status");
        }
        _ => {}
    }
}

/// Who owns the fields of an object that nobody's writes were recorded of.
fn before_first_apply(of: Type<'_>, live: &Value, like: &Entry) -> Entry {
    let mut fields = merge::compare(of, &Value::Object(Map::new()), live).added;
    strip(&mut fields, None, false);
    let (manager, subresource) = ("before-first-apply".into(), String::new());
    Entry { manager, subresource, applied: false, fields, ..like.clone() }
}

/// Takes out what the manager applied last time, not this time, and nobody else owns.
fn prune(of: Type<'_>, merged: &mut Value, last: &FieldSet, now: &FieldSet, others: &[Entry]) {
    let owned = others.iter().fold(now.clone(), |set, other| set.union(&other.fields));
    let named = |set: &FieldSet| merge::with_named_parents(Some(of), set);
    let gone = named(last).difference(&named(&owned));
    merge::remove(of, merged, &gone);
}

fn conflict_error(conflicts: &[(String, Vec<String>)]) -> ApiError {
    let causes: Vec<Cause> = conflicts
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {manager}"),
                field: path.clone(),
            })
        })
        .collect();
    let message = match conflicts {
        [(manager, paths)] if paths.len() == 1 => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", paths[0])
        }
        _ => {
            let mut sorted = conflicts.to_vec();
            sorted.sort();
            let parts: Vec<String> = sorted
                .iter()
                .map(|(manager, paths)| {
                    format!("conflicts with {manager}:\n- {}", paths.join("\n- "))
                })
                .collect();
            format!("Apply failed with {} conflicts: {}", causes.len(), parts.join("\n"))
        }
    };
    ApiError::apply_conflict(message, &causes)
}
