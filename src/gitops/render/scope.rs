//! Which built-in kinds live outside of namespaces.

/// Whether objects of the kind have no namespace. Unknown kinds (custom resources) are taken to have one.
pub(super) fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    match group {
        "" => matches!(kind, "Namespace" | "Node" | "PersistentVolume" | "ComponentStatus"),
        "rbac.authorization.k8s.io" => matches!(kind, "ClusterRole" | "ClusterRoleBinding"),
        "apiextensions.k8s.io" => kind == "CustomResourceDefinition",
        "apiregistration.k8s.io" => kind == "APIService",
        "admissionregistration.k8s.io" | "flowcontrol.apiserver.k8s.io" => true,
        "certificates.k8s.io" => kind == "CertificateSigningRequest",
        "networking.k8s.io" => matches!(kind, "IngressClass" | "IPAddress" | "ServiceCIDR"),
        "node.k8s.io" => kind == "RuntimeClass",
        "policy" => kind == "PodSecurityPolicy",
        "scheduling.k8s.io" => kind == "PriorityClass",
        "storage.k8s.io" => kind != "CSIStorageCapacity",
        _ => false,
    }
}
