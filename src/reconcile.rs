//! From declared to live: dry run, server-side apply, inventory, prune, health and drift. The only part that writes to the
//! cluster, under the field manager [`FIELD_MANAGER`].

mod access;
mod apply;
pub mod health;
mod inventory;
mod kinds;
mod live;
mod order;
mod prune;
mod wait;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use access::Denied;
pub use apply::{Applied, Prune, Step, Work};
pub use health::{assess, failing_pod};
pub use live::Drift;
pub use wait::Outcome;

use crate::domain::{Health, ObjectRef};

/// Owner of the fields kubemate applies.
pub const FIELD_MANAGER: &str = "kubemate";

/// How the cluster is brought to what git says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seconds a change has to become healthy.
    pub health_timeout_seconds: u64,
    /// Seconds between looks at the repository for pushes from outside.
    pub interval_seconds: u64,
    /// Namespace of kubemate's own records in the cluster.
    pub namespace: String,
    /// A revision that would delete more objects than this by a push from outside deletes none and says so.
    pub prune_limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            health_timeout_seconds: 300,
            interval_seconds: 15,
            namespace: "kubemate".to_owned(),
            prune_limit: 10,
        }
    }
}

impl Config {
    fn health_timeout(&self) -> Duration {
        Duration::from_secs(self.health_timeout_seconds)
    }
}

/// Applies to one cluster.
pub struct Reconciler {
    client: kube::Client,
    kinds: kinds::Kinds,
    config: Config,
}

/// Something to show while a revision is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// An object was taken care of.
    Applied {
        /// Which object.
        object: ObjectRef,
        /// What was done.
        step: Step,
    },
    /// The health of an object changed.
    Health {
        /// Which object.
        object: ObjectRef,
        /// How it is.
        health: Health,
        /// Why, as a person reads it.
        message: String,
    },
}

/// Why the cluster was not brought to what git says.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The cluster serves no such kind.
    #[error("the cluster does not serve {} {}; install its custom resource definition first", .0.api_version, .0.kind)]
    UnknownKind(ObjectRef),
    /// The API server refuses the object.
    #[error("the cluster refuses {object}: {message}")]
    Refused {
        /// Which object.
        object: ObjectRef,
        /// The API server's words.
        message: String,
    },
    /// Fields that the plan did not list would be taken from somebody.
    #[error("{object}: fields are held by others now ({}); undo the change and ask for it again to see them in its plan", .holders.join(", "))]
    FieldsTaken {
        /// Which object.
        object: ObjectRef,
        /// `manager: field`.
        holders: Vec<String>,
    },
    /// The cluster did not answer.
    #[error("the cluster cannot be reached: {0}")]
    Unreachable(String),
}

impl Reconciler {
    /// Talks to the cluster through `client`.
    #[must_use]
    pub fn new(client: kube::Client, config: Config) -> Self {
        Self { kinds: kinds::Kinds::new(client.clone()), client, config }
    }
}

/// Sorts a client error into ours.
fn failed(object: &ObjectRef, error: &kube::Error) -> ReconcileError {
    match error {
        kube::Error::Api(status) if status.code < 500 && status.code != 429 => {
            ReconcileError::Refused { object: object.clone(), message: status.message.clone() }
        }
        kube::Error::Api(status) => ReconcileError::Unreachable(status.message.clone()),
        other => ReconcileError::Unreachable(other.to_string()),
    }
}
