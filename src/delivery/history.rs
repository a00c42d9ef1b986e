//! Going back: a whole change, or one object, as edits that keep what came later.

use std::sync::Arc;

use serde_json::Value;

use super::{Delivery, DeliveryError};
use crate::{
    domain::{ChangeId, ObjectRef},
    gitops::{
        plan::object_changes,
        render::render,
        source::Source,
        tree::{FileChange, Tree},
        unit::Unit,
    },
    worktree::Repository,
};

/// How many commits back an object's previous state is looked for.
const DEPTH: usize = 500;

impl Delivery {
    /// The edits on `source` that take a merged change back.
    pub(super) async fn undo(
        &self,
        source: &Arc<Source>,
        id: &ChangeId,
    ) -> Result<Vec<FileChange>, DeliveryError> {
        let Some(merged) = self.change(id).await?.merged else {
            return Err(DeliveryError::Invalid(format!(
                "{id} was never merged, so there is nothing to undo"
            )));
        };
        let onto = source.tree.revision.clone();
        let files = self
            .git(move |repository| {
                repository.take_back(&repository.parent(&merged)?, &merged, &onto)
            })
            .await?;
        if files.is_empty() {
            return Err(DeliveryError::Invalid(format!("{id} is undone already")));
        }
        Ok(files)
    }

    /// The edits on `source` that bring one object back to what `revision` said, or to what it was before the last commit
    /// that changed it.
    pub(super) async fn rollback(
        &self,
        source: &Arc<Source>,
        target: &ObjectRef,
        revision: Option<&str>,
    ) -> Result<Vec<FileChange>, DeliveryError> {
        let (source, target) = (Arc::clone(source), target.clone());
        let revision = revision.map(str::to_owned);
        self.git(move |repository| Ok(roll_back(repository, &source, &target, revision.as_deref())))
            .await?
    }
}

fn roll_back(
    repository: &Repository,
    source: &Source,
    target: &ObjectRef,
    revision: Option<&str>,
) -> Result<Vec<FileChange>, DeliveryError> {
    let declared: Vec<_> = source.declarations(target).collect();
    let (unit, current) = match declared.as_slice() {
        [] => {
            return Err(DeliveryError::Invalid(format!(
                "the repository does not declare {target}"
            )));
        }
        [(unit, rendered)] => (*unit, &rendered.value),
        _ => {
            let names: Vec<_> = declared.iter().map(|(unit, _)| unit.name.as_str()).collect();
            let message = format!("{target} is declared by several units ({})", names.join(", "));
            return Err(DeliveryError::Invalid(message));
        }
    };
    let head = &source.tree.revision;
    let (from, to) = match revision {
        Some(revision) => (revision.to_owned(), head.clone()),
        None => last_change(repository, head, unit, target, current)?,
    };
    let wanted = object(&repository.tree(&from)?, unit, target).ok_or_else(|| {
        DeliveryError::Invalid(format!("{target} did not exist at {}", short(&from)))
    })?;
    if wanted == *current {
        return Err(DeliveryError::Invalid(format!(
            "{target} is already as it was at {}",
            short(&from)
        )));
    }
    let all = repository.take_back(&from, &to, head)?;
    // only the files that make the object what it is
    let mut files: Vec<_> = all
        .iter()
        .filter(|file| {
            let tree = source.tree.with(std::slice::from_ref(*file));
            object(&tree, unit, target).as_ref() != Some(current)
        })
        .cloned()
        .collect();
    if object(&source.tree.with(&files), unit, target).as_ref() != Some(&wanted) {
        files = all;
    }
    let after = Source::read(source.tree.with(&files))
        .map_err(|error| DeliveryError::Invalid(error.to_string()))?;
    let others: Vec<_> = object_changes(source, &after)
        .into_iter()
        .filter(|change| change.object != *target)
        .map(|change| change.object.to_string())
        .collect();
    if others.is_empty() {
        return Ok(files);
    }
    Err(DeliveryError::Invalid(format!(
        "going back to {} would also change {}; undo the change that did it as a whole",
        short(&from),
        others.join(", ")
    )))
}

/// The last commit of the main line that changed the object, with its parent: (before, after).
fn last_change(
    repository: &Repository,
    head: &str,
    unit: &Unit,
    target: &ObjectRef,
    current: &Value,
) -> Result<(String, String), DeliveryError> {
    let log = repository.log(head, &[], DEPTH)?;
    for entry in &log {
        let Some(parent) = entry.parent.as_deref() else { break };
        if object(&repository.tree(parent)?, unit, target).as_ref() != Some(current) {
            return Ok((parent.to_owned(), entry.revision.clone()));
        }
    }
    Err(DeliveryError::Invalid(format!(
        "{target} has no earlier state in the last {} commits of the repository",
        log.len()
    )))
}

/// The object as `unit` rendered it in `tree`.
fn object(tree: &Tree, unit: &Unit, target: &ObjectRef) -> Option<Value> {
    render(tree, unit).ok()?.into_iter().find(|r| r.object == *target).map(|r| r.value)
}

fn short(revision: &str) -> &str {
    revision.get(..8).unwrap_or(revision)
}
