//! The rules of kinds, in the words of `k8s.io/kubernetes/pkg/apis/*/validation`.

mod config;
mod custom;
mod meta;
mod pod;
mod policy;
mod service;
mod workload;

use serde_json::Value;

use super::{ApiError, Cause, crd, kinds::Resource, quantity::Quantity};

/// The rules of one kind: `old` is there for an update.
type Rules = fn(&mut Checks, old: Option<&Value>, new: &Value);

/// Kinds with rules, by storage name.
const KINDS: &[(&str, Rules)] = &[
    ("pods", pod::pod),
    ("deployments.apps", workload::deployment),
    ("replicasets.apps", workload::replica_set),
    ("replicationcontrollers", workload::replication_controller),
    ("statefulsets.apps", workload::stateful_set),
    ("daemonsets.apps", workload::daemon_set),
    ("jobs.batch", workload::job),
    ("cronjobs.batch", workload::cron_job),
    ("horizontalpodautoscalers.autoscaling", workload::autoscaler),
    ("services", service::service),
    ("ingresses.networking.k8s.io", service::ingress),
    ("configmaps", config::config_map),
    ("secrets", config::secret),
    ("persistentvolumeclaims", config::volume_claim),
    ("poddisruptionbudgets.policy", policy::disruption_budget),
    ("resourcequotas", policy::resource_quota),
    ("roles.rbac.authorization.k8s.io", policy::role),
    ("clusterroles.rbac.authorization.k8s.io", policy::role),
    ("rolebindings.rbac.authorization.k8s.io", policy::role_binding),
    ("clusterrolebindings.rbac.authorization.k8s.io", policy::role_binding),
];

/// Collects what is wrong with an object.
#[derive(Default)]
pub(super) struct Checks {
    causes: Vec<Cause>,
}

impl Checks {
    fn add(&mut self, cause: Cause) {
        self.causes.push(cause);
    }

    fn invalid(&mut self, field: impl Into<String>, value: &Value, why: &str) {
        self.add(Cause::invalid(field, value, why));
    }

    fn required(&mut self, field: impl Into<String>, why: &str) {
        self.add(Cause::required(field, why));
    }

    /// A number that must not be below `least`, when it is there.
    fn at_least(&mut self, object: &Value, path: &str, least: i64) {
        let pointer = format!("/{}", path.replace('.', "/"));
        if let Some(value) = object.pointer(&pointer)
            && value.as_i64().is_some_and(|n| n < least)
        {
            self.invalid(path, value, &format!("must be greater than or equal to {least}"));
        }
    }

    /// A text that must be one of these, when it is there.
    fn one_of(&mut self, field: impl Into<String>, value: &Value, allowed: &[&str]) {
        if value.as_str().is_some_and(|text| !allowed.contains(&text)) {
            self.add(Cause::not_supported(field, value, allowed));
        }
    }

    /// A part of an object that must stay as it was.
    fn unchanged(&mut self, old: Option<&Value>, new: &Value, path: &str) {
        let pointer = format!("/{}", path.replace('.', "/"));
        let Some(old) = old else { return };
        if old.pointer(&pointer) != new.pointer(&pointer) {
            let value = new.pointer(&pointer).unwrap_or(&Value::Null);
            self.invalid(path, value, "field is immutable");
        }
    }
}

/// Checks an object that is to be created.
pub(super) fn new_object(resource: &Resource, object: &Value) -> Result<(), ApiError> {
    check(resource, None, object)
}

/// Checks what is to replace an object.
pub(super) fn changed_object(
    resource: &Resource,
    old: &Value,
    new: &Value,
) -> Result<(), ApiError> {
    if old == new {
        return Ok(());
    }
    check(resource, Some(old), new)
}

fn check(resource: &Resource, old: Option<&Value>, new: &Value) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    meta::metadata(&mut checks, resource, old, new);
    let key = resource.storage_key();
    if resource.is_custom() {
        if let Some(of) = resource.schema() {
            custom::value(&mut checks, of, new);
        }
    } else if key == super::kinds::CRDS {
        checks.causes.extend(crd::problems(new));
    } else if let Some((_, rules)) = KINDS.iter().find(|(name, _)| *name == key) {
        // status writers say nothing about the spec, and old objects may break newer rules
        if old.is_none_or(|old| old.get("spec") != new.get("spec") || new.get("spec").is_none()) {
            rules(&mut checks, old, new);
        }
    }
    if checks.causes.is_empty() {
        return Ok(());
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    Err(ApiError::invalid(&resource.kind, &resource.group, name, &checks.causes))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn quantity(value: &Value) -> Option<Quantity> {
    Quantity::parse(value.as_str()?)
}
