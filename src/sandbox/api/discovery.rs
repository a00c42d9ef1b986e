//! Discovery: which groups, versions and resources there are, in the old form and the aggregated one.

use serde_json::{Value, json};

use super::kinds::{Kinds, Resource};

/// The Kubernetes version whose behaviour the sandbox follows.
pub(super) const VERSION: &str = "v1.36.1";

/// `/version`.
pub(super) fn version() -> Value {
    json!({"major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35", "gitVersion": VERSION,
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "2026-05-12T00:00:00Z",
        "goVersion": "", "compiler": "", "platform": "linux/amd64"})
}

/// `/api`.
pub(super) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]})
}

/// The resources of one group by version.
type Versions<'a> = Vec<(&'a str, Vec<&'a Resource>)>;

/// The groups in order.
fn groups(kinds: &Kinds) -> Vec<(&str, Versions<'_>)> {
    let mut groups: Vec<(&str, Versions<'_>)> = Vec::new();
    for resource in kinds.all() {
        let at = groups.iter().position(|(name, _)| *name == resource.group).unwrap_or_else(|| {
            groups.push((&resource.group, Vec::new()));
            groups.len() - 1
        });
        let versions = &mut groups[at].1;
        match versions.iter_mut().find(|(name, _)| *name == resource.version) {
            Some((_, resources)) => resources.push(resource),
            None => versions.push((&resource.version, vec![resource])),
        }
    }
    groups
}

fn group_versions(name: &str, versions: &[(&str, Vec<&Resource>)]) -> Value {
    let all: Vec<Value> = versions
        .iter()
        .map(|(v, _)| json!({"groupVersion": format!("{name}/{v}"), "version": v}))
        .collect();
    json!({"name": name, "versions": all, "preferredVersion": all.first()})
}

/// `/apis`.
pub(super) fn group_list(kinds: &Kinds) -> Value {
    let groups: Vec<Value> = groups(kinds)
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group_versions(name, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(super) fn group(kinds: &Kinds, name: &str) -> Option<Value> {
    let groups = groups(kinds);
    let (name, versions) = groups.iter().find(|(group, _)| *group == name)?;
    let mut value = group_versions(name, versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

/// `/api/v1`, `/apis/GROUP/VERSION`.
pub(super) fn resource_list(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let all = kinds.all();
    let mut here = all.iter().filter(|r| r.group == group && r.version == version).peekable();
    let group_version = here.peek()?.api_version();
    let mut resources = Vec::new();
    for resource in here {
        let mut entry = json!({"name": resource.plural, "singularName": resource.singular,
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.verbs});
        for (key, list) in
            [("shortNames", &resource.short_names), ("categories", &resource.categories)]
        {
            if !list.is_empty() {
                entry[key] = json!(list);
            }
        }
        resources.push(entry);
        for sub in &resource.subresources {
            let mut entry = json!({"name": format!("{}/{}", resource.plural, sub.name),
                "singularName": "", "namespaced": resource.namespaced, "kind": sub.kind, "verbs": sub.verbs});
            if let (Some(group), Some(version)) = (&sub.group, &sub.version) {
                entry["group"] = json!(group);
                entry["version"] = json!(version);
            }
            resources.push(entry);
        }
    }
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": resources}))
}

/// `/api` (`core`) or `/apis` as `APIGroupDiscoveryList`.
pub(super) fn aggregated(kinds: &Kinds, core: bool) -> Value {
    let items: Vec<Value> = groups(kinds)
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, resources)| {
                    let resources: Vec<Value> =
                        resources.iter().map(|r| aggregated_resource(r)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": items})
}

fn aggregated_resource(resource: &Resource) -> Value {
    let own = |kind: &str, group: Option<&String>, version: Option<&String>| {
        json!({"group": group.unwrap_or(&resource.group),
            "version": version.unwrap_or(&resource.version), "kind": kind})
    };
    let mut entry = json!({"resource": resource.plural, "responseKind": own(&resource.kind, None, None),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular, "verbs": resource.verbs});
    for (key, list) in [("shortNames", &resource.short_names), ("categories", &resource.categories)]
    {
        if !list.is_empty() {
            entry[key] = json!(list);
        }
    }
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|s| {
            json!({"subresource": s.name, "verbs": s.verbs,
                "responseKind": own(&s.kind, s.group.as_ref(), s.version.as_ref())})
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = json!(subresources);
    }
    entry
}
