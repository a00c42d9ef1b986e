//! Editing the manifest that declares the object.

use serde_json::Value;

use super::{
    edited,
    goal::Group,
    steps::{get, join},
};
use crate::gitops::{
    edit::{self, Document, Edit, Path, PathEdit, Step},
    render::Rendered,
    tree::{FileChange, Tree},
    yaml::{self, Dialect},
};

/// Edits the fields where the object is declared.
pub(super) fn edit(
    tree: &Tree,
    declared: &Rendered,
    group: &Group,
) -> Result<Vec<FileChange>, String> {
    let (index, prefix) = place(tree, declared)?;
    let edit = Edit { document: Document::Index(index), steps: steps(&prefix, group) };
    Ok(vec![edited(tree, &declared.file, &edit)?])
}

/// The manifest as it is declared, before any overlay.
pub(super) fn manifest(tree: &Tree, declared: &Rendered) -> Result<Value, String> {
    let (index, prefix) = place(tree, declared)?;
    let text = tree.text(&declared.file).unwrap_or_default();
    let read = yaml::documents(&declared.file, text, Dialect::Kubectl)
        .map_err(|error| error.to_string())?;
    let found = read.get(index).and_then(|doc| get(&doc.value, &prefix)).cloned();
    found
        .ok_or_else(|| format!("{}:{}: the declaration is not there", declared.file, declared.line))
}

/// The edits of the group's fields below `prefix`.
pub(super) fn steps(prefix: &[Step], group: &Group) -> Vec<PathEdit> {
    let step = |field: &super::goal::Field| {
        let path = join(prefix, &field.path);
        match &field.value {
            Some(value) => PathEdit::Set { path, value: value.clone() },
            None => PathEdit::Remove { path },
        }
    };
    group.fields.iter().map(step).collect()
}

/// The document that declares the object, and where in it (an item of a `List` lies deeper).
fn place(tree: &Tree, declared: &Rendered) -> Result<(usize, Path), String> {
    let Rendered { file, line, object, .. } = declared;
    let text = tree.text(file).ok_or_else(|| format!("{file}:{line}: this is not text"))?;
    let documents = edit::documents(file, text).map_err(|error| error.to_string())?;
    let index = documents
        .iter()
        .position(|doc| doc.line == *line)
        .ok_or_else(|| format!("{file}:{line}: no document begins here"))?;
    let read = yaml::documents(file, text, Dialect::Kubectl).map_err(|error| error.to_string())?;
    let items = read.get(index).and_then(|doc| doc.value.get("items")).and_then(Value::as_array);
    let Some(items) = items.filter(|_| documents[index].object.is_none()) else {
        return Ok((documents[index].index, Path::new()));
    };
    // overlays may have changed the name, but keep it as a part
    let is_it = |item: &&Value| {
        item["kind"] == object.kind.as_str()
            && item["metadata"]["name"].as_str().is_some_and(|name| object.name.contains(name))
    };
    let mut found = items.iter().enumerate().filter(|(_, item)| is_it(item));
    match (found.next(), found.next()) {
        (Some((at, _)), None) => {
            Ok((documents[index].index, vec![Step::Key("items".to_owned()), Step::Index(at)]))
        }
        _ => Err(format!(
            "{file}:{line}: {object} cannot be told from the others in this list; give it a file of its own"
        )),
    }
}
