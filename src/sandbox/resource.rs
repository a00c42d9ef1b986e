//! What the resource of a kind is called: `Deployment` of `apps/v1` is `deployments.apps`.

use super::storage::Storage;

const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The resource of a kind: as its custom resource definition has it, or else its English plural, which is right for all
/// built-in kinds.
pub(super) fn resource_for(storage: &Storage, api_version: &str, kind: &str) -> String {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    // only groups with a domain of their own can be custom
    let defined = group.contains('.').then(|| defined_plural(storage, group, kind)).flatten();
    let plural = defined.unwrap_or_else(|| plural(&kind.to_lowercase()));
    if group.is_empty() { plural } else { format!("{plural}.{group}") }
}

fn defined_plural(storage: &Storage, group: &str, kind: &str) -> Option<String> {
    storage.list(CRDS, None).0.into_iter().find_map(|definition| {
        let spec = &definition["spec"];
        let same = spec["group"] == group && spec["names"]["kind"] == kind;
        same.then(|| spec["names"]["plural"].as_str().map(str::to_owned)).flatten()
    })
}

fn plural(kind: &str) -> String {
    match kind.as_bytes() {
        _ if kind == "endpoints" => kind.to_owned(),
        [.., b's'] => format!("{kind}es"),
        [.., b'a' | b'e' | b'i' | b'o' | b'u', b'y'] => format!("{kind}s"),
        [rest @ .., b'y'] => format!("{}ies", String::from_utf8_lossy(rest)),
        _ => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::clock::Clock;

    #[test]
    fn kinds_become_resources() {
        let storage = Storage::new(Clock::real());
        let definition = json!({"metadata": {"name": "oxen.farm.io"},
            "spec": {"group": "farm.io", "names": {"kind": "Ox", "plural": "oxen"}}});
        storage.create(CRDS, definition).expect("new");
        for (version, kind, resource) in [
            ("v1", "Pod", "pods"),
            ("v1", "Endpoints", "endpoints"),
            ("apps/v1", "Deployment", "deployments.apps"),
            ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies.networking.k8s.io"),
            ("networking.k8s.io/v1", "Ingress", "ingresses.networking.k8s.io"),
            ("storage.k8s.io/v1", "StorageClass", "storageclasses.storage.k8s.io"),
            ("gateway.io/v1", "Gateway", "gateways.gateway.io"),
            ("farm.io/v1", "Ox", "oxen.farm.io"),
        ] {
            assert_eq!(resource_for(&storage, version, kind), resource);
        }
    }
}
