//! A manifest on its way through the layers, with the names it had before.

use std::fmt;

use serde_json::{Map, Value, json};

use super::super::{Manifest, scope::is_cluster_scoped};

/// What Kustomize tells resources apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    /// `None` for kinds without namespaces, `default` when none is given.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Id {
    pub(super) fn of(value: &Value) -> Self {
        let text =
            |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (group, version) =
            text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
        let kind = text("/kind");
        let namespace = match text("/metadata/namespace") {
            _ if is_cluster_scoped(group, kind) => None,
            "" => Some("default".to_owned()),
            namespace => Some(namespace.to_owned()),
        };
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            namespace,
            name: text("/metadata/name").to_owned(),
        }
    }

    /// Whether group, version and kind are the given ones; an empty one allows any.
    pub(super) fn is(&self, group: &str, version: &str, kind: &str) -> bool {
        (group.is_empty() || self.group == group)
            && (version.is_empty() || self.version == version)
            && (kind.is_empty() || self.kind == kind)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        self.namespace.iter().filter(|ns| *ns != "default").try_for_each(|ns| write!(f, " in {ns}"))
    }
}

/// One resource.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) manifest: Manifest,
    /// Earlier identities, oldest first.
    pub(super) previous: Vec<Id>,
    /// Prefixes and suffixes given so far.
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
    /// Whether a hash of the content goes to the end of the name.
    pub(super) needs_hash: bool,
}

impl Resource {
    pub(super) fn new(manifest: Manifest) -> Self {
        let mut resource = Self {
            manifest,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            needs_hash: false,
        };
        resource.drop_null_metadata();
        resource
    }

    pub(super) fn id(&self) -> Id {
        Id::of(&self.manifest.value)
    }

    /// The identity it was read with.
    pub(super) fn original(&self) -> Id {
        self.previous.first().cloned().unwrap_or_else(|| self.id())
    }

    /// Every identity it has or had.
    pub(super) fn ids(&self) -> Vec<Id> {
        let mut ids = self.previous.clone();
        ids.push(self.id());
        ids
    }

    pub(super) fn name(&self) -> &str {
        self.manifest.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.manifest
            .value
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Keeps the present identity for later references before it changes.
    pub(super) fn remember(&mut self) {
        let id = self.id();
        self.previous.push(id);
    }

    pub(super) fn rename(&mut self, name: &str) {
        self.remember();
        self.metadata().insert("name".to_owned(), json!(name));
    }

    /// `metadata`, made when missing.
    pub(super) fn metadata(&mut self) -> &mut Map<String, Value> {
        let value = &mut self.manifest.value["metadata"];
        if !value.is_object() {
            *value = json!({});
        }
        value.as_object_mut().expect("invariant: made an object just above")
    }

    /// The labels or annotations.
    pub(super) fn strings(&self, field: &str) -> Option<&Map<String, Value>> {
        self.manifest.value.get("metadata")?.get(field)?.as_object()
    }

    /// Whether it is configuration for tools and not meant for a cluster.
    pub(super) fn is_local(&self) -> bool {
        let value = self
            .strings("annotations")
            .and_then(|all| all.get("config.kubernetes.io/local-config"));
        value.and_then(Value::as_str).is_some_and(|value| value != "false")
    }

    /// Labels and annotations without a value mean nothing, and none at all are not written.
    pub(super) fn drop_null_metadata(&mut self) {
        for field in ["labels", "annotations"] {
            let metadata = self.metadata();
            if let Some(Value::Object(map)) = metadata.get_mut(field) {
                map.retain(|_, value| !value.is_null());
                if map.is_empty() {
                    metadata.remove(field);
                }
            }
        }
    }
}
