//! Repairing references to resources whose names changed: config maps, secrets, services, accounts, claims, ...

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Result, field::FieldSpec, merge::PODS, resource::Resource};
use crate::gitops::unit::SourceError;

/// The field of one kind that names an object of another.
struct Reference {
    /// Group (empty: any) and kind of what is named.
    target: (&'static str, &'static str),
    /// Who names it, and where.
    from: FieldSpec,
}

/// What a pod's spec names.
const POD_REFERENCES: &[(&str, &str)] = &[
    ("ConfigMap", "volumes/configMap/name"),
    ("ConfigMap", "volumes/projected/sources/configMap/name"),
    ("ConfigMap", "containers/env/valueFrom/configMapKeyRef/name"),
    ("ConfigMap", "containers/envFrom/configMapRef/name"),
    ("ConfigMap", "initContainers/env/valueFrom/configMapKeyRef/name"),
    ("ConfigMap", "initContainers/envFrom/configMapRef/name"),
    ("Secret", "volumes/secret/secretName"),
    ("Secret", "volumes/projected/sources/secret/name"),
    ("Secret", "containers/env/valueFrom/secretKeyRef/name"),
    ("Secret", "containers/envFrom/secretRef/name"),
    ("Secret", "initContainers/env/valueFrom/secretKeyRef/name"),
    ("Secret", "initContainers/envFrom/secretRef/name"),
    ("Secret", "imagePullSecrets/name"),
    ("ServiceAccount", "serviceAccountName"),
    ("PersistentVolumeClaim", "volumes/persistentVolumeClaim/claimName"),
    ("PriorityClass", "priorityClassName"),
];

/// What other kinds name: target, group and kind of the referrer, path.
const REFERENCES: &[(&str, &str, &str, &str)] = &[
    ("Deployment", "", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"),
    ("ReplicationController", "", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"),
    ("ReplicaSet", "", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"),
    ("StatefulSet", "", "HorizontalPodAutoscaler", "spec/scaleTargetRef/name"),
    ("ConfigMap", "", "Role", "rules/resourceNames"),
    ("ConfigMap", "", "ClusterRole", "rules/resourceNames"),
    (
        "ConfigMap",
        "",
        "Ingress",
        r"metadata/annotations/nginx.ingress.kubernetes.io\/fastcgi-params-configmap",
    ),
    ("Secret", "", "Role", "rules/resourceNames"),
    ("Secret", "", "ClusterRole", "rules/resourceNames"),
    ("Secret", "", "Ingress", "spec/tls/secretName"),
    ("Secret", "", "Ingress", r"metadata/annotations/ingress.kubernetes.io\/auth-secret"),
    ("Secret", "", "Ingress", r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret"),
    ("Secret", "", "Ingress", r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret"),
    ("Secret", "", "ServiceAccount", "imagePullSecrets/name"),
    ("Secret", "", "StorageClass", "parameters/secretName"),
    ("Secret", "", "StorageClass", "parameters/adminSecretName"),
    ("Secret", "", "StorageClass", "parameters/userSecretName"),
    ("Secret", "", "StorageClass", "parameters/secretRef"),
    ("Secret", "", "PersistentVolume", "spec/azureFile/secretName"),
    (
        "Secret",
        "serving.knative.dev",
        "Service",
        "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
    ),
    ("Service", "apps", "StatefulSet", "spec/serviceName"),
    ("Service", "", "Ingress", "spec/rules/http/paths/backend/serviceName"),
    ("Service", "", "Ingress", "spec/backend/serviceName"),
    ("Service", "", "Ingress", "spec/rules/http/paths/backend/service/name"),
    ("Service", "", "Ingress", "spec/defaultBackend/service/name"),
    ("Service", "apiregistration.k8s.io", "APIService", "spec/service/name"),
    (
        "Service",
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "webhooks/clientConfig/service",
    ),
    (
        "Service",
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "webhooks/clientConfig/service",
    ),
    ("Role", "rbac.authorization.k8s.io", "RoleBinding", "roleRef/name"),
    ("ClusterRole", "rbac.authorization.k8s.io", "RoleBinding", "roleRef/name"),
    ("ClusterRole", "rbac.authorization.k8s.io", "ClusterRoleBinding", "roleRef/name"),
    ("ServiceAccount", "rbac.authorization.k8s.io", "RoleBinding", "subjects"),
    ("ServiceAccount", "rbac.authorization.k8s.io", "ClusterRoleBinding", "subjects"),
    ("PersistentVolume", "", "PersistentVolumeClaim", "spec/volumeName"),
    ("PersistentVolume", "", "ClusterRole", "rules/resourceNames"),
    ("StorageClass", "", "PersistentVolume", "spec/storageClassName"),
    ("StorageClass", "", "PersistentVolumeClaim", "spec/storageClassName"),
    ("StorageClass", "", "StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName"),
    (
        "ValidatingAdmissionPolicy",
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        "spec/policyName",
    ),
];

/// The group of a kind that is named; kinds of other groups may bear the same name.
fn group_of(kind: &str) -> &'static str {
    match kind {
        "Role" | "ClusterRole" => "rbac.authorization.k8s.io",
        "StorageClass" => "storage.k8s.io",
        "PriorityClass" => "scheduling.k8s.io",
        "ValidatingAdmissionPolicy" => "admissionregistration.k8s.io",
        _ => "",
    }
}

static ALL: LazyLock<Vec<Reference>> = LazyLock::new(|| {
    let pods = POD_REFERENCES.iter().flat_map(|(target, path)| {
        PODS.iter().map(move |(kind, spec)| Reference {
            target: (group_of(target), target),
            from: FieldSpec::new("", kind, &format!("{spec}/{path}"), false),
        })
    });
    let others = REFERENCES.iter().map(|(target, group, kind, path)| Reference {
        target: (group_of(target), target),
        from: FieldSpec::new(group, kind, path, false),
    });
    pods.chain(others).collect()
});

/// What may be named, as it was before any reference is repaired.
struct Candidate {
    resource: Resource,
    name: String,
    namespace: String,
}

/// Writes the present names of renamed resources into the fields that name them.
pub(super) fn repair(resources: &mut [Resource]) -> Result<()> {
    let candidates: Vec<Candidate> = resources
        .iter()
        .filter(|resource| !resource.previous.is_empty())
        .map(|resource| Candidate {
            resource: resource.clone(),
            name: resource.name().to_owned(),
            namespace: resource.namespace().to_owned(),
        })
        .collect();
    for resource in resources {
        let original = resource.original();
        for reference in ALL.iter().filter(|reference| reference.from.is_for(&original)) {
            let referrer = Referrer::of(resource, reference);
            let mut problem = None;
            reference.from.visit(&mut resource.manifest.value, &mut |value| {
                if let Err(message) = referrer.set(value, &candidates) {
                    problem = Some(message);
                }
                Ok(())
            })?;
            if let Some(message) = problem {
                let Resource { manifest, .. } = resource;
                return Err(SourceError {
                    path: manifest.file.clone(),
                    line: manifest.line,
                    message,
                });
            }
        }
    }
    Ok(())
}

/// Who names, without its manifest (which is being written).
struct Referrer<'a> {
    reference: &'a Reference,
    namespace: Option<String>,
    role: Option<(String, String)>,
    /// Namespaces of the accounts that a binding names.
    accounts: Vec<String>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl<'a> Referrer<'a> {
    fn of(resource: &Resource, reference: &'a Reference) -> Self {
        let value = &resource.manifest.value;
        let text = |pointer: &str| {
            value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let role = reference.from.path.ends_with("roleRef/name");
        let subjects = value.get("subjects").and_then(Value::as_array).into_iter().flatten();
        let accounts = subjects
            .filter(|one| one["kind"] == "ServiceAccount")
            .filter_map(|one| one["namespace"].as_str());
        Self {
            reference,
            namespace: resource.id().namespace,
            role: role.then(|| (text("/roleRef/apiGroup"), text("/roleRef/kind"))),
            accounts: accounts.map(str::to_owned).collect(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
        }
    }

    /// Repairs a name, a mapping with a name, or a list of either.
    fn set(&self, value: &mut Value, candidates: &[Candidate]) -> std::result::Result<(), String> {
        match value {
            Value::String(name) => {
                if let Some(found) = self.select(name, None, candidates)? {
                    name.clone_from(&found.name);
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.set(item, candidates)),
            Value::Object(map) => {
                let Some(name) = map.get("name").and_then(Value::as_str) else { return Ok(()) };
                let namespace = map.get("namespace").and_then(Value::as_str);
                if let Some(found) = self.select(name, namespace, candidates)? {
                    map.insert("name".to_owned(), json!(found.name));
                    if !found.namespace.is_empty() {
                        map.insert("namespace".to_owned(), json!(found.namespace));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn select<'c>(
        &self,
        name: &str,
        namespace: Option<&str>,
        candidates: &'c [Candidate],
    ) -> std::result::Result<Option<&'c Candidate>, String> {
        let mut found: Vec<&Candidate> =
            candidates.iter().filter(|one| self.could_mean(name, namespace, one)).collect();
        if found.len() > 1 {
            found.retain(|one| self.same_affixes(&one.resource, true));
        }
        if found.len() > 1 {
            found.retain(|one| self.same_affixes(&one.resource, false));
        }
        let identical = found.windows(2).all(|pair| pair[0].name == pair[1].name);
        if identical {
            return Ok(found.first().copied());
        }
        let ids: Vec<String> = found.iter().map(|one| one.resource.id().to_string()).collect();
        Err(format!(
            "'{name}' in {} could mean several: {}",
            self.reference.from.path,
            ids.join(", ")
        ))
    }

    fn could_mean(&self, name: &str, namespace: Option<&str>, candidate: &Candidate) -> bool {
        let (group, kind) = self.reference.target;
        let past = &candidate.resource.previous;
        let now = candidate.resource.id();
        past.iter().any(|id| id.name == name)
            && past.iter().any(|id| id.is(group, "", kind))
            && (!group.is_empty() || matches!(now.group.as_str(), "" | "apps" | "extensions"))
            && self
                .role
                .as_ref()
                .is_none_or(|(group, kind)| past.iter().any(|id| id.is(group, "", kind)))
            && self.reaches(now.namespace.as_deref(), kind)
            && namespace.is_none_or(|wanted| {
                now.namespace.as_deref() == Some(wanted)
                    || candidate.resource.original().namespace.as_deref() == Some(wanted)
            })
    }

    /// Objects name what is in their own namespace or in none; bindings name accounts of other namespaces, too.
    fn reaches(&self, namespace: Option<&str>, kind: &str) -> bool {
        match (&self.namespace, namespace) {
            (None, _) | (_, None) => true,
            (Some(own), Some(other)) => {
                own == other
                    || kind == "ServiceAccount"
                        && self.accounts.iter().any(|account| account == other)
            }
        }
    }

    fn same_affixes(&self, other: &Resource, or_none: bool) -> bool {
        let same = |a: &[String], b: &[String]| {
            let none = a.is_empty() || b.is_empty();
            if none { or_none || a.len() == b.len() } else { a.ends_with(b) || b.ends_with(a) }
        };
        same(&self.prefixes, &other.prefixes) && same(&self.suffixes, &other.suffixes)
    }
}
