//! The order in which kinds are applied: what others need comes first. Pruning goes the other way.

use crate::domain::ObjectRef;

/// Kinds by rank; what is not named ranks with [`OTHERS`].
const RANKS: &[&[&str]] = &[
    &["Namespace"],
    &["CustomResourceDefinition", "PriorityClass", "StorageClass", "RuntimeClass", "IngressClass"],
    &["ResourceQuota", "LimitRange", "ServiceAccount"],
    &["ClusterRole", "Role"],
    &["ClusterRoleBinding", "RoleBinding"],
    &["Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim"],
    &["Service", "NetworkPolicy", "PodDisruptionBudget"],
    &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob"],
    &["HorizontalPodAutoscaler", "Ingress"],
    &["APIService", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"],
];
/// Custom resources: after what they may refer to, before what makes traffic flow.
const OTHERS: usize = 7;

/// Smaller is applied earlier.
pub(super) fn rank(object: &ObjectRef) -> usize {
    RANKS.iter().position(|kinds| kinds.contains(&object.kind.as_str())).unwrap_or(OTHERS)
}
