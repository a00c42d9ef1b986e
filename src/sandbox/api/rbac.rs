//! Role-based access control, evaluated against the roles and bindings in storage.

use std::sync::Arc;

use serde_json::Value;

use super::{ApiError, auth::User, selector};
use crate::sandbox::storage::Storage;

const GROUP: &str = "rbac.authorization.k8s.io";

/// An action on a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    pub(super) resource: &'a str,
    pub(super) subresource: Option<&'a str>,
    /// `None` is the cluster scope (or all namespaces).
    pub(super) namespace: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

impl Attributes<'_> {
    /// `pods/log`.
    fn full_resource(&self) -> String {
        match self.subresource {
            Some(sub) => format!("{}/{sub}", self.resource),
            None => self.resource.to_owned(),
        }
    }
}

/// Refuses what RBAC does not allow, in the words of a real server.
pub(super) fn require(
    storage: &Storage,
    user: &User,
    attributes: &Attributes<'_>,
) -> Result<(), ApiError> {
    if allow_reason(storage, user, attributes).is_some() {
        return Ok(());
    }
    let scope = match attributes.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let why = format!(
        "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {scope}",
        user.name,
        attributes.verb,
        attributes.full_resource(),
        attributes.group,
    );
    let qualified = match attributes.group {
        "" => attributes.resource.to_owned(),
        group => format!("{}.{group}", attributes.resource),
    };
    Err(ApiError::forbidden(&qualified, attributes.name.unwrap_or_default(), &why))
}

/// Refuses a path that RBAC does not allow.
pub(super) fn require_path(
    storage: &Storage,
    user: &User,
    verb: &str,
    path: &str,
) -> Result<(), ApiError> {
    if path_allow_reason(storage, user, verb, path).is_some() {
        return Ok(());
    }
    let message = format!("forbidden: User \"{}\" cannot {verb} path \"{path}\"", user.name);
    Err(ApiError::new(403, "Forbidden", message).with_details(serde_json::json!({})))
}

/// Why an action is allowed; `None` when it is not.
pub(super) fn allow_reason(
    storage: &Storage,
    user: &User,
    attributes: &Attributes<'_>,
) -> Option<String> {
    if is_master(user) {
        return Some(String::new());
    }
    grants(storage, user, attributes.namespace)
        .into_iter()
        .find(|grant| grant.rules.iter().any(|rule| allows(rule, attributes)))
        .map(|grant| grant.reason)
}

/// Why a path is allowed; only cluster-wide bindings count.
pub(super) fn path_allow_reason(
    storage: &Storage,
    user: &User,
    verb: &str,
    path: &str,
) -> Option<String> {
    if is_master(user) {
        return Some(String::new());
    }
    grants(storage, user, None)
        .into_iter()
        .find(|grant| grant.rules.iter().any(|rule| allows_path(rule, verb, path)))
        .map(|grant| grant.reason)
}

/// All rules that hold for a user in a namespace (and cluster-wide).
pub(super) fn rules_for(storage: &Storage, user: &User, namespace: Option<&str>) -> Vec<Value> {
    if is_master(user) {
        return vec![
            serde_json::json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
            serde_json::json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
        ];
    }
    grants(storage, user, namespace).into_iter().flat_map(|g| g.rules).collect()
}

fn is_master(user: &User) -> bool {
    user.groups.iter().any(|g| g == "system:masters")
}

struct Grant {
    rules: Vec<Value>,
    reason: String,
}

fn grants(storage: &Storage, user: &User, namespace: Option<&str>) -> Vec<Grant> {
    let mut grants = Vec::new();
    let mut collect = |kind: &str, bindings: Vec<Arc<Value>>| {
        for binding in bindings {
            let Some(subject) = matching_subject(&binding, user) else { continue };
            let text = |pointer: &str| {
                binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
            };
            let (role_kind, role) = (text("/roleRef/kind"), text("/roleRef/name"));
            let namespace = binding.pointer("/metadata/namespace").and_then(Value::as_str);
            let Some(rules) = role_rules(storage, role_kind, role, namespace) else { continue };
            let name = text("/metadata/name");
            let binding_name =
                namespace.map_or_else(|| name.to_owned(), |ns| format!("{name}/{ns}"));
            let reason = format!(
                "RBAC: allowed by {kind} \"{binding_name}\" of {role_kind} \"{role}\" to {subject}"
            );
            grants.push(Grant { rules, reason });
        }
    };
    collect("ClusterRoleBinding", storage.list(&format!("clusterrolebindings.{GROUP}"), None).0);
    if let Some(namespace) = namespace {
        let bindings = storage.list(&format!("rolebindings.{GROUP}"), Some(namespace)).0;
        collect("RoleBinding", bindings);
    }
    grants
}

/// The subject of a binding that the user is, in words.
fn matching_subject(binding: &Value, user: &User) -> Option<String> {
    binding.get("subjects")?.as_array()?.iter().find_map(|subject| {
        let text = |key: &str| subject.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("name");
        match text("kind") {
            "User" if name == user.name => Some(format!("User \"{name}\"")),
            "Group" if user.groups.iter().any(|g| g == name) => Some(format!("Group \"{name}\"")),
            "ServiceAccount" => {
                let namespace = text("namespace");
                let full = format!("system:serviceaccount:{namespace}:{name}");
                (user.name == full).then(|| format!("ServiceAccount \"{name}/{namespace}\""))
            }
            _ => None,
        }
    })
}

/// The rules of a role, with what an aggregated cluster role gathers.
fn role_rules(
    storage: &Storage,
    kind: &str,
    name: &str,
    namespace: Option<&str>,
) -> Option<Vec<Value>> {
    let rules = |role: &Value| role["rules"].as_array().cloned().unwrap_or_default();
    if kind == "Role" {
        return storage.get(&format!("roles.{GROUP}"), namespace, name).map(|role| rules(&role));
    }
    let cluster_roles = format!("clusterroles.{GROUP}");
    let role = storage.get(&cluster_roles, None, name)?;
    let mut all = rules(&role);
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
    for selector in selectors.into_iter().flatten() {
        for other in storage.list(&cluster_roles, None).0 {
            if !Arc::ptr_eq(&other, &role) && selector::object_selects(selector, &other) {
                all.extend(rules(&other));
            }
        }
    }
    Some(all)
}

fn list_has(rule: &Value, key: &str, matches: impl Fn(&str) -> bool) -> bool {
    rule.get(key)
        .and_then(Value::as_array)
        .is_some_and(|list| list.iter().filter_map(Value::as_str).any(matches))
}

fn allows(rule: &Value, a: &Attributes<'_>) -> bool {
    let full = a.full_resource();
    let names =
        rule.get("resourceNames").and_then(Value::as_array).filter(|names| !names.is_empty());
    list_has(rule, "verbs", |verb| verb == "*" || verb == a.verb)
        && list_has(rule, "apiGroups", |group| group == "*" || group == a.group)
        && list_has(rule, "resources", |resource| {
            resource == "*"
                || resource == full
                || a.subresource.is_some_and(|sub| resource.strip_prefix("*/") == Some(sub))
        })
        && names.is_none_or(|names| a.name.is_some_and(|name| names.iter().any(|n| n == name)))
}

fn allows_path(rule: &Value, verb: &str, path: &str) -> bool {
    list_has(rule, "verbs", |v| v == "*" || v == verb)
        && list_has(rule, "nonResourceURLs", |url| match url.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => url == path,
        })
}
