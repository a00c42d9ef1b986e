//! Who speaks: an operator as the channels identify them, with the grants policy and the cluster know.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// An operator, as identified by a channel and mapped to a Kubernetes user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Stable login name; also the Kubernetes user that is impersonated.
    pub name: String,
    /// Kubernetes groups that are impersonated with the user.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What kubemate itself lets them do.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Where they are speaking from.
    pub channel: ChannelKind,
}

impl Actor {
    /// Whether the actor holds `role`; an administrator holds every role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role) || self.roles.contains(&Role::Admin)
    }
}

/// What an operator may do inside kubemate (the cluster's own RBAC is checked besides).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May ask.
    Viewer,
    /// May ask and request changes.
    Operator,
    /// May approve other people's changes.
    Approver,
    /// All of the above, and administration.
    Admin,
}

/// The kind of channel a message came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// The web console.
    Web,
    /// The command line.
    Cli,
    /// The HTTP API used by scripts.
    Api,
}
