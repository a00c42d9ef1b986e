//! What a person sees of a cluster at a glance: namespaces, workloads, nodes, and how they are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ObjectRef;

/// A cluster at one moment, as far as one operator may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// When it was read.
    pub at: Timestamp,
    /// Namespaces, by name.
    pub namespaces: Vec<NamespaceOverview>,
    /// Workloads, by namespace and name.
    pub workloads: Vec<WorkloadOverview>,
    /// Nodes, by name; empty when the operator may not see nodes.
    pub nodes: Vec<NodeOverview>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As desired.
    Healthy,
    /// On its way to what is desired.
    Progressing,
    /// Cannot be told.
    Unknown,
    /// Not as desired, and not getting there by itself.
    Degraded,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceOverview {
    /// Its name.
    pub name: String,
    /// The environment of the units in git that declare it, when there is one.
    pub environment: Option<String>,
    /// `Active` or `Terminating`.
    pub phase: String,
    /// The worst health of its workloads.
    pub health: Health,
}

/// One workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadOverview {
    /// Which object.
    pub object: ObjectRef,
    /// Desired pods; `None` where the kind has no such number.
    pub desired: Option<u32>,
    /// Ready pods.
    pub ready: u32,
    /// How it is.
    pub health: Health,
    /// Why it is not healthy, as a person reads it.
    pub message: Option<String>,
    /// Images of its containers.
    pub images: Vec<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The unit in git that declares it; `None` means it is only live and cannot be changed by commit.
    pub unit: Option<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOverview {
    /// Its name.
    pub name: String,
    /// Degraded when not ready; progressing when cordoned.
    pub health: Health,
    /// Why it is not healthy.
    pub message: Option<String>,
    /// Kubelet version.
    pub version: Option<String>,
    /// Pods running on it.
    pub pods: u32,
    /// Requested and allocatable CPU, in millicores.
    pub cpu: (u64, u64),
    /// Requested and allocatable memory, in bytes.
    pub memory: (u64, u64),
}
