//! Evaluation cases as data: `case.yaml` in a folder of its own.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use kubemate::domain::ObjectRef;
use serde::Deserialize;
use serde_json::Value;

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Equal to the folder's name.
    pub(crate) id: String,
    /// `zh`, `en` or `mixed`.
    pub(crate) lang: String,
    /// For filters and totals.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// Folder below the scenarios.
    pub(crate) scenario: String,
    /// The operator who speaks.
    #[serde(rename = "as")]
    pub(crate) speaker: String,
    /// What happens, in order.
    pub(crate) turns: Vec<Turn>,
}

/// One step and what must come of it. Exactly one of the actions is set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Turn {
    /// The operator says this.
    pub(crate) say: Option<String>,
    /// This operator approves the last change (which also merges and applies it).
    pub(crate) approve: Option<String>,
    /// This operator rejects the last change.
    pub(crate) reject: Option<String>,
    /// Wait for the last change to end; `healthy` is the only value.
    pub(crate) wait: Option<String>,
    /// Let this much time pass in the sandbox: `10m`, `90s`.
    pub(crate) advance: Option<String>,
    /// Inject this fault into the sandbox.
    pub(crate) inject: Option<Value>,
    /// What must hold afterwards.
    pub(crate) expect: Expect,
}

/// What must hold after a step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Expect {
    /// `change`, `answer`, `clarify` or `refuse`.
    pub(crate) kind: Option<String>,
    /// Manifests after the proposed edits.
    pub(crate) objects: Vec<ObjectExpect>,
    /// No other object is changed.
    pub(crate) only: bool,
    /// Tool calls that must have happened.
    pub(crate) calls: Vec<CallExpect>,
    /// What the answer says.
    pub(crate) answer: Option<AnswerExpect>,
    /// The object's live status is healthy.
    pub(crate) healthy: Option<ObjectRef>,
    /// The approval or rejection is refused.
    pub(crate) refused: bool,
}

/// One field of one object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectExpect {
    /// Which object.
    pub(crate) object: ObjectRef,
    /// JSON pointer.
    pub(crate) path: String,
    /// Its value; `null` means absent.
    pub(crate) equals: Value,
}

/// One tool call; the arguments named must be among the call's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallExpect {
    /// The tool, or one of several separated by `|`.
    pub(crate) tool: String,
    /// Arguments.
    #[serde(default)]
    pub(crate) args: serde_json::Map<String, Value>,
}

/// What an answer says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AnswerExpect {
    /// Texts that occur.
    pub(crate) contains: Vec<String>,
    /// Texts that do not occur.
    pub(crate) not_contains: Vec<String>,
    /// Every number of the text occurs in the evidence or the question.
    pub(crate) grounded: bool,
}

/// Reads every `case.yaml` below `folder`, in order of their paths.
pub(crate) fn load(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut files = Vec::new();
    find(folder, &mut files)?;
    files.sort();
    let mut ids = BTreeSet::new();
    let mut cases = Vec::new();
    for file in files {
        let reading = || format!("reading the case {}", file.display());
        let text = std::fs::read_to_string(&file).with_context(reading)?;
        let case: Case = serde_saphyr::from_str(&text).with_context(reading)?;
        check(&case, &file).with_context(reading)?;
        ensure!(ids.insert(case.id.clone()), "{}: the id {} occurs twice", file.display(), case.id);
        cases.push(case);
    }
    Ok(cases)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let reading = || format!("reading the folder of cases {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.file_name().is_some_and(|name| name == "case.yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn check(case: &Case, file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
    ensure!(
        folder.as_deref() == Some(case.id.as_str()),
        "the id {} is not its folder's name",
        case.id
    );
    ensure!(
        ["zh", "en", "mixed"].contains(&case.lang.as_str()),
        "lang is zh, en or mixed, not {}",
        case.lang
    );
    ensure!(!case.turns.is_empty(), "a case needs at least one turn");
    for (at, turn) in case.turns.iter().enumerate() {
        let actions = [
            turn.say.is_some(),
            turn.approve.is_some(),
            turn.reject.is_some(),
            turn.wait.is_some(),
            turn.advance.is_some(),
            turn.inject.is_some(),
        ];
        let set = actions.iter().filter(|set| **set).count();
        ensure!(set == 1, "turn {} must have exactly one action, not {set}", at + 1);
        let kind = turn.expect.kind.as_deref().unwrap_or("answer");
        ensure!(
            ["change", "answer", "clarify", "refuse"].contains(&kind),
            "turn {}: unknown kind {kind}",
            at + 1
        );
    }
    Ok(())
}
