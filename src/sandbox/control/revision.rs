//! Controller revisions: the templates that stateful sets and daemon sets have had, so that they can be undone.

use serde_json::Value;

use super::{
    object::{Key, Object, int, name, text},
    template,
    view::{Plan, View},
};

pub(crate) const REVISIONS: &str = "controllerrevisions.apps";
/// The label that says which revision a pod is of.
pub(crate) const HASH: &str = "controller-revision-hash";

/// The revisions of one workload.
#[derive(Debug)]
pub(crate) struct Revisions {
    /// The hash of the present template.
    pub(crate) update: String,
    all: Vec<Object>,
}

impl Revisions {
    /// Finds the revision of the owner's present template, making it, or the newest one again, where needed.
    pub(crate) fn of(view: &View<'_>, owner: &Object, plan: &mut Plan) -> Self {
        let mut all = view.controlled(owner, REVISIONS);
        all.sort_by_key(|one| int(one, "/revision"));
        let next = all.last().and_then(|last| int(last, "/revision")).unwrap_or(0) + 1;
        let update = template::template_hash(&owner["spec"]["template"], 0);
        let is_present =
            |one: &Object| text(one, "/metadata/labels/controller-revision-hash") == update;
        match all.iter().position(is_present) {
            None => plan.create(template::revision(owner, &update, next)),
            Some(at) if at + 1 < all.len() => {
                let seen = &all[at];
                let mut newest = (**seen).clone();
                newest["revision"] = next.into();
                let key = Key::new(REVISIONS, super::object::namespace(seen), name(seen));
                plan.replace(&key, seen, newest);
            }
            Some(_) => {}
        }
        Self { update, all }
    }

    /// The template of an older revision, by its hash.
    pub(crate) fn template(&self, hash: &str) -> Option<Value> {
        let revision = self
            .all
            .iter()
            .find(|one| text(one, "/metadata/labels/controller-revision-hash") == hash)?;
        let mut template = revision.pointer("/data/spec/template")?.clone();
        if let Some(fields) = template.as_object_mut() {
            fields.shift_remove("$patch");
        }
        Some(template)
    }

    /// Deletes the oldest revisions that no pod is of, beyond the owner's history limit.
    pub(crate) fn forget(&self, owner: &Value, pods: &[Object], plan: &mut Plan) {
        let limit = int(owner, "/spec/revisionHistoryLimit").unwrap_or(10);
        let hash = |one: &Object| text(one, "/metadata/labels/controller-revision-hash").to_owned();
        let used: Vec<String> = pods.iter().map(hash).chain([self.update.clone()]).collect();
        // pods of stateful sets carry the whole name of their revision
        let is_used =
            |one: &Object| used.iter().any(|used| *used == hash(one) || used == name(one));
        let unused: Vec<&Object> = self.all.iter().filter(|one| !is_used(one)).collect();
        let surplus = unused.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for revision in unused.into_iter().take(surplus) {
            plan.delete(REVISIONS, revision);
        }
    }
}

/// How many of the pods are of the revision `hash`.
pub(crate) fn count_of(pods: &[Object], hash: &str) -> i64 {
    let of = pods.iter().filter(|pod| revision_of(pod) == hash);
    i64::try_from(of.count()).unwrap_or(i64::MAX)
}

/// The revision a pod is of.
pub(crate) fn revision_of(pod: &Value) -> &str {
    text(pod, "/metadata/labels/controller-revision-hash")
}
