//! The vocabulary of kubemate: plain data, no IO, no dependency on any other module.

pub mod actor;
pub mod change;
pub mod chat;
pub mod evidence;
pub mod explanation;
pub mod finding;
pub mod inventory;
pub mod overview;
pub mod resource;

pub use actor::{Actor, ChannelKind, Role};
pub use change::{
    Approval, Change, ChangeId, ChangeState, FileDiff, ObjectDiff, Operation, Plan, PlanHash,
};
pub use chat::{Block, Choice, Lang, Message, MessageId, Speaker, Thread, ThreadId, TurnEvent};
pub use evidence::Evidence;
pub use explanation::{Candidate, Consultation, Explanation, FoundName, Likeness};
pub use finding::{Finding, Severity};
pub use inventory::{ContainerInfo, Inventory, Workload};
pub use overview::{Health, NamespaceOverview, NodeOverview, Overview, WorkloadOverview};
pub use resource::ObjectRef;
