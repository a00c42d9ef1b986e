//! The change record: one request from the operator's words to healthy objects.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Finding, Lang, ObjectRef, ThreadId};

/// Identifies a change: `c-` and eight lower-case base-32 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeId(pub String);

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 (hex) over the rendered diff and the live diff; what an approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanHash(pub String);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A typed edit. The model (or a typed command) picks one and its arguments; Rust edits the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Operation {
    /// Set the number of replicas.
    Scale {
        /// A workload with a scale.
        target: ObjectRef,
        /// The wanted number.
        replicas: u32,
    },
    /// Set a container's image.
    SetImage {
        /// A workload.
        target: ObjectRef,
        /// Which container; `None` when the workload has only one.
        container: Option<String>,
        /// A full reference (`registry/name:tag`, `name@sha256:...`) or only a new tag (`:1.4.2`).
        image: String,
    },
    /// Set or remove environment variables.
    SetEnv {
        /// A workload.
        target: ObjectRef,
        /// Which container; `None` when the workload has only one.
        container: Option<String>,
        /// Variables to set, literally.
        set: BTreeMap<String, String>,
        /// Variables to remove.
        unset: Vec<String>,
    },
    /// Set requests and limits; what is not named stays.
    SetResources {
        /// A workload.
        target: ObjectRef,
        /// Which container; `None` when the workload has only one.
        container: Option<String>,
        /// `cpu` / `memory` / ... to Kubernetes quantity.
        requests: BTreeMap<String, String>,
        /// Likewise.
        limits: BTreeMap<String, String>,
    },
    /// Restart the pods by setting the pod template's `kubectl.kubernetes.io/restartedAt`.
    Restart {
        /// A workload.
        target: ObjectRef,
        /// The annotation's value.
        at: Timestamp,
    },
    /// Bring one object back to what an earlier revision of the repository said.
    Rollback {
        /// The object.
        target: ObjectRef,
        /// A commit; `None` is the state before the last commit that changed the object.
        revision: Option<String>,
    },
    /// Revert a whole change.
    Undo {
        /// The change whose merge commit is reverted.
        change: ChangeId,
    },
}

/// Where a change stands. Every step is stored before its effect is relied upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeState {
    /// Being built: edits, render, dry-run, branch and commit.
    Planning,
    /// Open for review.
    Proposed,
    /// Approved, about to be merged.
    Approved,
    /// Merged, not yet applied.
    Merged,
    /// Being applied, or applied and becoming healthy.
    Applying,
    /// Applied and healthy.
    Healthy,
    /// Applied, but health was not reached in time or was lost.
    Degraded,
    /// Turned down by a person.
    Rejected,
    /// The plan no longer holds (a push or live drift) and needs a new one.
    Stale,
    /// Could not be built or applied; `message` says why.
    Failed,
}

impl ChangeState {
    /// Whether nothing more will happen by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded | Self::Rejected | Self::Stale | Self::Failed)
    }
}

/// One change record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its id, also the `Change-Id` trailer.
    pub id: ChangeId,
    /// The conversation that hears of it.
    pub thread: ThreadId,
    /// Who asked.
    pub requested_by: String,
    /// The words they used.
    pub request: String,
    /// Language of messages about it.
    pub lang: Lang,
    /// One line: what it does; also the commit's subject.
    pub summary: String,
    /// The typed edits.
    pub operations: Vec<Operation>,
    /// Model that chose the operation, as `adapter:name`; `None` for typed commands.
    pub model: Option<String>,
    /// Hash of the prompt and tools the model saw.
    pub prompt: Option<String>,
    /// Where it stands.
    pub state: ChangeState,
    /// What happened or went wrong last, for people.
    pub message: Option<String>,
    /// Base revision (commit of the main branch) the edits were made on.
    pub base: Option<String>,
    /// Review branch.
    pub branch: Option<String>,
    /// Head commit of the branch.
    pub head: Option<String>,
    /// The plan under review.
    pub plan: Option<Plan>,
    /// Approvals given; each is bound to a plan hash and a head.
    pub approvals: Vec<Approval>,
    /// Merge commit.
    pub merged: Option<String>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When the record last changed.
    pub updated: Timestamp,
    /// When applying began and when health was reached.
    pub applied: Option<Timestamp>,
    /// See `applied`.
    pub finished: Option<Timestamp>,
    /// The change this one undoes.
    pub undoes: Option<ChangeId>,
    /// Incremented at each stored step; a writer must hold the latest.
    pub version: u64,
}

/// What would change, in files, rendered objects and the live cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Binds approvals.
    pub hash: PlanHash,
    /// Files of the commit.
    pub files: Vec<FileDiff>,
    /// Rendered objects that differ.
    pub objects: Vec<ObjectDiff>,
    /// Remarks of the checks.
    pub findings: Vec<Finding>,
}

/// One file's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiff {
    /// Path in the repository.
    pub path: String,
    /// Unified diff.
    pub diff: String,
    /// Text before; `None` for a new file.
    pub before: Option<String>,
    /// Text after; `None` for a removed file.
    pub after: Option<String>,
}

/// One object's change: rendered (git before and after) and live (server-side dry run).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectDiff {
    /// Which object.
    pub object: ObjectRef,
    /// The unit that declares it.
    pub unit: String,
    /// Rendered from the base; `None` when it is new. Secret values are masked.
    pub before: Option<Value>,
    /// Rendered from the head; `None` when it is removed.
    pub after: Option<Value>,
    /// Unified diff of the rendered YAML.
    pub rendered_diff: String,
    /// Unified diff of the live object against the dry-run result; `None` when the cluster could not be asked.
    pub live_diff: Option<String>,
    /// Field managers that lose a field by this apply, as the API server names them: `kubectl-edit: .spec.replicas`.
    pub takeovers: Vec<String>,
}

/// One person's approval of one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// Which plan.
    pub plan: PlanHash,
    /// Which head commit.
    pub head: String,
    /// What they said.
    pub comment: Option<String>,
    /// When.
    pub at: Timestamp,
}
