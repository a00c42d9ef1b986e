//! From an operation to the edits of the right files of the right unit.
//!
//! The operation says which fields of which object are to change. For each there are several places where the repository
//! could say so (an entry of the overlay, a patch, the declaration itself, a chart's values); they are tried in the order a
//! careful person would, and the first one is taken that provably changes these fields of this object and nothing else in
//! any unit.

use std::collections::BTreeMap;

use super::{
    tree::{FileChange, Tree},
    unit::{Unit, UnitKind},
};
use crate::domain::Operation;

mod declaration;
mod goal;
mod image;
mod overlay;
mod proof;
mod steps;
mod values;

/// Reasons that are shown when nothing does: the likeliest attempts', and the last one.
const SHOWN: usize = 3;

use goal::{Goal, Group};
use proof::World;

/// Why no edit can be proposed; the text is shown to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The target is not declared by any unit.
    #[error("{0}")]
    NotFound(String),
    /// The operation does not fit the target (scale a DaemonSet, unknown container); says what would fit.
    #[error("{0}")]
    Invalid(String),
    /// The repository already says so.
    #[error("{0}")]
    NoChange(String),
    /// The file cannot be edited safely; `file:line: why`.
    #[error("{0}")]
    Unsafe(String),
}

/// The edits of one operation (all but `Undo` and `Rollback`, which need history), proven by rendering before and after:
/// exactly the intended fields of the target differ, in exactly the target's unit.
///
/// # Errors
/// See [`ProposeError`].
pub fn propose(
    tree: &Tree,
    units: &[Unit],
    operation: &Operation,
) -> Result<Vec<FileChange>, ProposeError> {
    let world = World::render(tree, units);
    let (unit, declared) = world.find(goal::target(operation)?)?;
    let mut problems = Vec::new();
    for goal in goal::of(operation, &world, declared)? {
        match reach(&world, unit, &goal) {
            Ok(after) => return Ok(changes(tree, &after)),
            Err(problem) => problems.push(problem),
        }
    }
    problems.dedup();
    Err(ProposeError::Unsafe(problems.join("; ")))
}

/// The tree in which every field of the goal is as wanted, one group of fields after the other.
fn reach(world: &World<'_>, unit: &Unit, goal: &Goal) -> Result<Tree, String> {
    let mut world = world.clone();
    let mut after = world.tree.clone();
    for (index, group) in goal.groups.iter().enumerate() {
        if index > 0 {
            world = world.moved_to(after);
        }
        after = step(&world, unit, goal, group)?;
    }
    Ok(after)
}

/// The first way to reach one group of fields that holds.
fn step(world: &World<'_>, unit: &Unit, goal: &Goal, group: &Group) -> Result<Tree, String> {
    let declared =
        world.declared(unit, &goal.target).ok_or("the object is not rendered any more")?;
    let mut wanted = declared.value.clone();
    group.apply(&mut wanted);
    let mut problems: Vec<String> = Vec::new();
    for attempt in attempts(world, unit, declared, group) {
        let problem = match attempt {
            Ok(changes) => {
                let after = world.tree.with(&changes);
                match world.prove(&after, unit, &goal.target, &wanted) {
                    Ok(()) => return Ok(after),
                    Err(problem) => {
                        let files: Vec<_> =
                            changes.iter().map(|change| change.path.as_str()).collect();
                        format!("a change of {} {problem}", files.join(", "))
                    }
                }
            }
            Err(problem) => problem,
        };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if problems.is_empty() {
        problems
            .push(format!("{}:{}: there is no place to set {group}", declared.file, declared.line));
    }
    if problems.len() > SHOWN {
        problems.drain(SHOWN - 1..problems.len() - 1);
    }
    Err(problems.join("; "))
}

/// Edits that might do, best first; those that cannot be made say why.
type Attempts = Vec<Result<Vec<FileChange>, String>>;

fn attempts(
    world: &World<'_>,
    unit: &Unit,
    declared: &super::render::Rendered,
    group: &Group,
) -> Attempts {
    match &unit.kind {
        UnitKind::Plain => vec![declaration::edit(&world.tree, declared, group)],
        UnitKind::Kustomize => overlay::attempts(world, unit, declared, group),
        UnitKind::Helm { .. } => values::attempts(&world.tree, unit, declared, group),
    }
}

/// The files in which two trees differ.
fn changes(before: &Tree, after: &Tree) -> Vec<FileChange> {
    let paths: BTreeMap<&String, ()> =
        before.files.keys().chain(after.files.keys()).map(|path| (path, ())).collect();
    let differs = |path: &&String| before.files.get(*path) != after.files.get(*path);
    let change = |path: &String| FileChange {
        path: path.clone(),
        before: before.text(path).map(str::to_owned),
        after: after.text(path).map(str::to_owned),
    };
    paths.into_keys().filter(differs).map(change).collect()
}

/// One file edited, as a change.
fn edited(tree: &Tree, path: &str, edit: &super::edit::Edit) -> Result<FileChange, String> {
    let text = tree.text(path).ok_or_else(|| format!("{path}:1: this is not text"))?;
    let after = super::edit::apply(path, text, edit).map_err(|error| error.to_string())?;
    Ok(FileChange { path: path.to_owned(), before: Some(text.to_owned()), after: Some(after) })
}
