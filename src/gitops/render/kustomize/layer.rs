//! One `kustomization.yaml`: read strictly, with the line of everything that is wrong.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Result;
use crate::gitops::{
    tree::Tree,
    unit::{SourceError, join, kustomization_in},
    yaml::{self, Dialect},
};

/// Fields that are understood.
const KNOWN: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "components",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "labels",
    "commonLabels",
    "commonAnnotations",
    "images",
    "imageTags",
    "replicas",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "replacements",
    "sortOptions",
];
/// Fields that exist but are not supported, and what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("vars", "use replacements"),
    ("generators", "use configMapGenerator or secretGenerator"),
    ("transformers", "use the fields of the kustomization"),
    ("validators", "checks run on every change anyway"),
    ("configurations", "use patches or labels.fields"),
    ("crds", "use patches"),
    ("openapi", "lists of custom resources are replaced as a whole"),
    ("helmCharts", "make the chart a unit of its own"),
    ("helmGlobals", "make the chart a unit of its own"),
    ("helmChartInflationGenerator", "make the chart a unit of its own"),
    ("buildMetadata", "remove it"),
];

/// A kustomization file and where it stands.
pub(super) struct Layer<'a> {
    pub(super) tree: &'a Tree,
    pub(super) folder: String,
    path: String,
    text: &'a str,
    root: Value,
}

/// An entry and where it stands.
pub(super) struct Item<T> {
    pub(super) value: T,
    pub(super) pointer: String,
}

impl<'a> Layer<'a> {
    /// Reads the kustomization of `folder`.
    pub(super) fn read(tree: &'a Tree, folder: &str) -> Result<Self> {
        let error =
            |path: &str, message: String| SourceError { path: path.to_owned(), line: 1, message };
        let path = kustomization_in(tree, folder).ok_or_else(|| {
            error(folder, "there is no kustomization.yaml in this folder".to_owned())
        })?;
        let text =
            tree.text(&path).ok_or_else(|| error(&path, "this is not UTF-8 text".to_owned()))?;
        let root = yaml::only(&path, text, Dialect::Kustomize)?;
        let layer = Self { tree, folder: folder.to_owned(), path, text, root };
        layer.check()?;
        Ok(layer)
    }

    fn check(&self) -> Result<()> {
        let Value::Object(map) = &self.root else {
            return self.fail("", "this kustomization is empty");
        };
        for (key, value) in map {
            let pointer = format!("/{}", yaml::pointer_step(key));
            let empty = value.is_null()
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(serde_json::Map::is_empty);
            if let Some((_, instead)) = UNSUPPORTED.iter().find(|(name, _)| name == key)
                && !empty
            {
                return self.fail(&pointer, format!("'{key}' is not supported; {instead}"));
            }
            if !KNOWN.contains(&key.as_str()) && !UNSUPPORTED.iter().any(|(name, _)| name == key) {
                return self.fail(&pointer, format!("'{key}' is no field of a kustomization"));
            }
        }
        if map
            .iter()
            .all(|(key, value)| matches!(key.as_str(), "apiVersion" | "kind") || value.is_null())
        {
            return self.fail("", "this kustomization is empty");
        }
        let kind = self.root.get("kind").and_then(Value::as_str).unwrap_or("Kustomization");
        if kind == "Kustomization" || kind == "Component" {
            return Ok(());
        }
        self.fail("/kind", format!("'{kind}' is not a Kustomization"))
    }

    /// The file and line of the field at `pointer`.
    pub(super) fn place(&self, pointer: &str) -> (String, usize) {
        (self.path.clone(), yaml::line_of(self.text, 0, pointer))
    }

    /// An error about the field at `pointer`.
    pub(super) fn fail<T>(&self, pointer: &str, message: impl Into<String>) -> Result<T> {
        Err(SourceError {
            path: self.path.clone(),
            line: yaml::line_of(self.text, 0, pointer),
            message: message.into(),
        })
    }

    /// The text of a field, empty when it is not there.
    pub(super) fn string(&self, key: &str) -> Result<&str> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => self.fail(&format!("/{key}"), format!("'{key}' must be text")),
        }
    }

    /// A field read as `T`; its default when it is not there.
    pub(super) fn one<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(T::default()),
            Some(value) => serde_json::from_value(value.clone())
                .or_else(|error| self.fail(&format!("/{key}"), format!("'{key}': {error}"))),
        }
    }

    /// The entries of a list, each read as `T`.
    pub(super) fn list<T: DeserializeOwned>(&self, key: &str) -> Result<Vec<Item<T>>> {
        let entries = match self.root.get(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(entries)) => entries,
            Some(_) => return self.fail(&format!("/{key}"), format!("'{key}' must be a list")),
        };
        let read = entries.iter().enumerate().map(|(index, entry)| {
            let pointer = format!("/{key}/{index}");
            match serde_json::from_value(entry.clone()) {
                Ok(value) => Ok(Item { value, pointer }),
                Err(error) => self.fail(&pointer, format!("'{key}': {error}")),
            }
        });
        read.collect()
    }

    /// The entries of a list of texts.
    pub(super) fn strings(&self, key: &str) -> Result<Vec<Item<String>>> {
        self.list(key)
    }

    /// `resources`, and `bases` as they were called once.
    pub(super) fn resources(&self) -> Result<Vec<Item<String>>> {
        let mut resources = self.strings("resources")?;
        resources.extend(self.strings("bases")?);
        Ok(resources)
    }

    /// A path named in this kustomization as a path of the repository; what is not in the repository is refused.
    pub(super) fn local(&self, named: &str, pointer: &str) -> Result<String> {
        let remote = named.contains("://") || named.starts_with("git@") || named.contains("?ref=");
        if remote || named.starts_with("github.com/") {
            return self
                .fail(pointer, format!("'{named}' is remote; vendor it into the repository"));
        }
        match join(&self.folder, named).filter(|_| !named.starts_with('/')) {
            Some(path) => Ok(path),
            None => self.fail(pointer, format!("'{named}' leaves the repository")),
        }
    }

    /// The text of a file named in this kustomization, which must lie in its folder or below.
    pub(super) fn file(&self, path: &str, pointer: &str) -> Result<&'a str> {
        self.inside(path, pointer)?;
        match self.tree.text(path) {
            Some(text) => Ok(text),
            None => self.fail(pointer, format!("'{path}' does not exist or is not text")),
        }
    }

    /// The bytes of such a file.
    pub(super) fn bytes(&self, path: &str, pointer: &str) -> Result<&'a [u8]> {
        self.inside(path, pointer)?;
        match self.tree.files.get(path) {
            Some(bytes) => Ok(bytes),
            None => self.fail(pointer, format!("'{path}' does not exist")),
        }
    }

    fn inside(&self, path: &str, pointer: &str) -> Result<()> {
        if self.folder.is_empty() || path.starts_with(&format!("{}/", self.folder)) {
            return Ok(());
        }
        let message = format!(
            "'{path}' lies outside of this kustomization's folder, which kustomize refuses; move it, or make a base of it"
        );
        self.fail(pointer, message)
    }
}
