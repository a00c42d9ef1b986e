//! From the operations of a change to the files of its commit.

use std::{collections::BTreeMap, sync::Arc};

use super::{Delivery, DeliveryError};
use crate::{
    domain::{Change, Operation},
    gitops::{
        propose::propose,
        source::Source,
        tree::{FileChange, Tree},
    },
    worktree::{Author, NewCommit},
};

/// Longest subject of a commit.
const SUBJECT: usize = 100;

impl Delivery {
    /// The files the operations change on top of `source`, each once, as from the first to the last.
    pub(super) async fn edits(
        &self,
        source: &Arc<Source>,
        operations: &[Operation],
    ) -> Result<Vec<FileChange>, DeliveryError> {
        let mut files: BTreeMap<String, FileChange> = BTreeMap::new();
        let mut current = Arc::clone(source);
        for operation in operations {
            let changed = match operation {
                Operation::Undo { change } => self.undo(source, change).await?,
                Operation::Rollback { target, revision } => {
                    self.rollback(source, target, revision.as_deref()).await?
                }
                _ => propose(&current.tree, &current.units, operation)?,
            };
            for change in &changed {
                let first =
                    files.remove(&change.path).map(|f| f.before).unwrap_or(change.before.clone());
                files.insert(change.path.clone(), FileChange { before: first, ..change.clone() });
            }
            let tree: Tree = current.tree.with(&changed);
            let next = Source { tree, units: current.units.clone(), ..Source::default() };
            current = Arc::new(next);
        }
        let files: Vec<_> = files.into_values().filter(|file| file.before != file.after).collect();
        if files.is_empty() {
            return Err(DeliveryError::Invalid(
                "the repository already says so; nothing to change".to_owned(),
            ));
        }
        Ok(files)
    }
}

/// The commit of a change on its review branch.
pub(super) fn commit(change: &Change, base: &str, files: Vec<FileChange>) -> NewCommit {
    let mut message = format!("{}\n\n", change.summary);
    message.push_str(&trailers(change));
    NewCommit {
        branch: branch(change),
        parent: base.to_owned(),
        files,
        author: Author::operator(&change.requested_by),
        message,
    }
}

/// The review branch of a change.
pub(super) fn branch(change: &Change) -> String {
    format!("kubemate/{}", change.id)
}

/// `Key: value` lines that tie a commit to its change.
pub(super) fn trailers(change: &Change) -> String {
    let mut lines =
        vec![("Requested-by", change.requested_by.clone()), ("Change-Id", change.id.to_string())];
    lines.extend(change.undoes.iter().map(|id| ("Undoes", id.to_string())));
    lines.extend(change.model.iter().map(|model| ("Model", model.clone())));
    lines.extend(change.prompt.iter().map(|prompt| ("Prompt", prompt.clone())));
    lines
        .iter()
        .map(|(key, value)| format!("{key}: {}\n", value.replace(['\n', '\r'], " ")))
        .collect()
}

/// One line that says what the operations do; also the commit's subject.
pub(super) fn summary(operations: &[Operation]) -> String {
    let all: Vec<_> = operations.iter().map(one).collect();
    let text = all.join("; ");
    if text.chars().count() <= SUBJECT {
        return text;
    }
    text.chars().take(SUBJECT - 3).chain("...".chars()).collect()
}

fn one(operation: &Operation) -> String {
    match operation {
        Operation::Scale { target, replicas } => {
            let unit = if *replicas == 1 { "replica" } else { "replicas" };
            format!("Scale {} to {replicas} {unit}", place(target))
        }
        Operation::SetImage { target, container, image } => {
            let whose = container.as_ref().map(|c| format!(", container {c},")).unwrap_or_default();
            format!(
                "Set the image of {}{whose} to {}",
                place(target),
                image.trim_start_matches(':')
            )
        }
        Operation::SetEnv { target, set, unset, .. } => {
            // values may be anything; names are enough for a subject
            let set = (!set.is_empty()).then(|| format!("set {}", keys(set.keys())));
            let unset = (!unset.is_empty()).then(|| format!("unset {}", keys(unset.iter())));
            let what: Vec<_> = [set, unset].into_iter().flatten().collect();
            format!("Change the environment of {}: {}", place(target), what.join(", "))
        }
        Operation::SetResources { target, requests, limits, .. } => {
            let list = |what: &str, of: &BTreeMap<String, String>| -> Option<String> {
                let pairs: Vec<_> =
                    of.iter().map(|(key, value)| format!("{key}={value}")).collect();
                (!pairs.is_empty()).then(|| format!("{what} {}", pairs.join(" ")))
            };
            let what: Vec<_> = [list("requests", requests), list("limits", limits)]
                .into_iter()
                .flatten()
                .collect();
            format!("Set the resources of {}: {}", place(target), what.join(", "))
        }
        Operation::Restart { target, .. } => format!("Restart {}", place(target)),
        Operation::Rollback { target, revision } => match revision {
            Some(revision) => {
                format!("Roll {} back to {}", place(target), revision.get(..8).unwrap_or(revision))
            }
            None => format!("Roll {} back to its previous state", place(target)),
        },
        Operation::Undo { change } => format!("Undo change {change}"),
    }
}

fn keys<'a>(keys: impl Iterator<Item = &'a String>) -> String {
    keys.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn place(object: &crate::domain::ObjectRef) -> String {
    match &object.namespace {
        Some(namespace) => format!("{namespace}/{}", object.name),
        None => object.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ObjectRef;

    #[test]
    fn summaries_are_one_imperative_line() {
        let target = ObjectRef::new("apps/v1", "Deployment", Some("demo"), "web");
        let scale = Operation::Scale { target: target.clone(), replicas: 5 };
        let image =
            Operation::SetImage { target: target.clone(), container: None, image: ":1.2".into() };
        let env = Operation::SetEnv {
            target,
            container: None,
            set: [("A".to_owned(), "hidden".to_owned())].into(),
            unset: vec!["B".into()],
        };
        assert_eq!(
            summary(&[scale.clone(), image]),
            "Scale demo/web to 5 replicas; Set the image of demo/web to 1.2"
        );
        assert_eq!(summary(&[env]), "Change the environment of demo/web: set A, unset B");
        let many = vec![scale; 20];
        assert_eq!(summary(&many).chars().count(), SUBJECT);
    }
}
