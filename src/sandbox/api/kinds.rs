//! The resources that are served: the built-in ones and those that custom resource definitions add.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    crd,
    openapi::built_in,
    schema::{Type, TypeId, Types},
};
use crate::sandbox::storage::Storage;

pub(super) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// One served resource at one version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    #[serde(rename = "resource")]
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) kind: String,
    pub(super) namespaced: bool,
    pub(super) verbs: Vec<String>,
    #[serde(default)]
    pub(super) short_names: Vec<String>,
    #[serde(default)]
    pub(super) categories: Vec<String>,
    #[serde(default)]
    pub(super) subresources: Vec<Subresource>,
    /// The type of a custom resource; built-in kinds are looked up.
    #[serde(skip)]
    pub(super) types: Option<(Arc<Types>, TypeId)>,
    /// The OpenAPI schema of a custom resource, for the documents.
    #[serde(skip)]
    pub(super) schema_source: Option<Arc<Value>>,
    /// `additionalPrinterColumns` of a custom resource.
    #[serde(skip)]
    pub(super) columns: Vec<Value>,
    /// `subresources.scale` of a custom resource.
    #[serde(skip)]
    pub(super) scale: Option<Value>,
    /// The version that custom resources are stored in.
    #[serde(skip)]
    pub(super) stored_version: Option<String>,
}

/// `deployments/scale`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Subresource {
    pub(super) name: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) group: Option<String>,
    #[serde(default)]
    pub(super) version: Option<String>,
    pub(super) verbs: Vec<String>,
}

impl Resource {
    /// What the storage and messages call it: `deployments.apps`, `pods`.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() {
            return self.plural.clone();
        }
        format!("{}.{}", self.plural, self.group)
    }

    /// Where its objects are held; events of both groups are the same objects.
    pub(super) fn storage_key(&self) -> String {
        if self.plural == "events" { "events".to_owned() } else { self.qualified() }
    }

    /// `apps/v1`, `v1`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() {
            return self.version.clone();
        }
        format!("{}/{}", self.group, self.version)
    }

    pub(super) fn is_custom(&self) -> bool {
        self.schema_source.is_some()
    }

    pub(super) fn has_status(&self) -> bool {
        self.subresources.iter().any(|s| s.name == "status")
    }

    /// The type of its objects; `None` when none is known.
    pub(super) fn schema(&self) -> Option<Type<'_>> {
        if let Some((types, id)) = &self.types {
            return Some(types.at(*id));
        }
        built_in_type(&self.group, &self.version, &self.kind)
    }
}

/// The type of a built-in kind, also of ones that are no resource (`Scale`, `DeleteOptions`, ...).
pub(super) fn built_in_type(group: &str, version: &str, kind: &str) -> Option<Type<'static>> {
    let built_in = built_in();
    let key = (group.to_owned(), version.to_owned(), kind.to_owned());
    built_in.kinds.get(&key).map(|(id, _)| built_in.types.at(*id))
}

fn built_in_resources() -> &'static [Resource] {
    static RESOURCES: OnceLock<Vec<Resource>> = OnceLock::new();
    RESOURCES.get_or_init(|| {
        serde_json::from_str(include_str!("../openapi/resources.json"))
            .expect("invariant: the embedded resource list is JSON of this form")
    })
}

/// Everything served at one moment.
#[derive(Default)]
pub(super) struct Kinds {
    custom: Vec<Resource>,
    by_path: HashMap<(String, String, String), usize>,
}

impl Kinds {
    fn new(definitions: &[Arc<Value>]) -> Self {
        let custom: Vec<Resource> = definitions.iter().flat_map(|d| crd::resources(d)).collect();
        let all = built_in_resources().iter().chain(&custom);
        let by_path = all
            .enumerate()
            .map(|(i, r)| ((r.group.clone(), r.version.clone(), r.plural.clone()), i))
            .collect();
        Self { custom, by_path }
    }

    /// The resource under `/apis/GROUP/VERSION/PLURAL`.
    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        let built_in = built_in_resources();
        let at = *self.by_path.get(&key)?;
        built_in.get(at).or_else(|| self.custom.get(at - built_in.len()))
    }

    /// All of them, in the order of discovery.
    pub(super) fn all(&self) -> Vec<&Resource> {
        built_in_resources().iter().chain(&self.custom).collect()
    }
}

/// Keeps [`Kinds`] up to date with the custom resource definitions in storage.
#[derive(Default)]
pub(super) struct KindCache {
    made_from: Mutex<(Vec<Arc<Value>>, Arc<Kinds>)>,
}

impl KindCache {
    pub(super) fn get(&self, storage: &Storage) -> Arc<Kinds> {
        let (definitions, _) = storage.list(CRDS, None);
        let mut made = self.made_from.lock().unwrap_or_else(PoisonError::into_inner);
        let same = made.0.len() == definitions.len()
            && made.0.iter().zip(&definitions).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same || made.1.by_path.is_empty() {
            *made = (definitions.clone(), Arc::new(Kinds::new(&definitions)));
        }
        made.1.clone()
    }
}
