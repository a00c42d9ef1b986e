//! Rendering a unit to objects: plain files, Kustomize, Helm.
//!
//! The renderers are part of the program (no `kustomize`, no `helm`), so that a plan can be made anywhere, and they refuse
//! what they do not know: a field that is silently ignored would make a plan lie.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    tree::Tree,
    unit::{SourceError, Unit, UnitKind},
};
use crate::domain::ObjectRef;

mod base64;
mod helm;
mod kustomize;
mod plain;
mod scope;

/// One rendered object and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Which object.
    pub object: ObjectRef,
    /// The manifest.
    pub value: Value,
    /// The file that declares it.
    pub file: String,
    /// The first line of the document that declares it, from 1.
    pub line: usize,
}

/// Renders `unit`.
///
/// # Errors
/// With `file:line` for what cannot be read or is not supported; all or nothing.
pub fn render(tree: &Tree, unit: &Unit) -> Result<Vec<Rendered>, SourceError> {
    let rendered = match &unit.kind {
        UnitKind::Plain => plain::render(tree, &unit.path)?,
        UnitKind::Kustomize => kustomize::render(tree, &unit.path)?,
        UnitKind::Helm { release, namespace, values } => {
            helm::render(tree, &unit.path, &helm::Release { name: release, namespace, values })?
        }
    };
    let mut seen: BTreeMap<&ObjectRef, &Rendered> = BTreeMap::new();
    for one in &rendered {
        if let Some(other) = seen.insert(&one.object, one) {
            return Err(SourceError {
                path: one.file.clone(),
                line: one.line,
                message: format!(
                    "{} is declared twice in this unit, also in {}:{}; keep one",
                    one.object, other.file, other.line
                ),
            });
        }
    }
    Ok(rendered)
}

/// One manifest as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
struct Manifest {
    value: Value,
    file: String,
    line: usize,
}

impl Manifest {
    /// The objects of a document: itself, or the items of a `List`.
    fn expand(value: Value, file: &str, line: usize) -> Result<Vec<Self>, SourceError> {
        let error = |message: &str| SourceError {
            path: file.to_owned(),
            line,
            message: message.to_owned(),
        };
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        match value {
            Value::Object(mut map)
                if kind.ends_with("List") && map.get("items").is_some_and(Value::is_array) =>
            {
                let Some(Value::Array(items)) = map.remove("items") else { return Ok(Vec::new()) };
                let items = items.into_iter().map(|item| Self::expand(item, file, line));
                Ok(items.collect::<Result<Vec<_>, _>>()?.concat())
            }
            Value::Object(map) => {
                let value = Value::Object(map);
                if ObjectRef::of(&value).is_none() {
                    return Err(error("a manifest needs apiVersion, kind and metadata.name"));
                }
                Ok(vec![Self { value, file: file.to_owned(), line }])
            }
            _ => Err(error("a manifest must be a mapping")),
        }
    }

    fn rendered(self) -> Result<Rendered, SourceError> {
        let Some(object) = ObjectRef::of(&self.value) else {
            return Err(SourceError {
                path: self.file,
                line: self.line,
                message: "this renders to something without apiVersion, kind or metadata.name"
                    .to_owned(),
            });
        };
        Ok(Rendered { object, value: self.value, file: self.file, line: self.line })
    }
}
