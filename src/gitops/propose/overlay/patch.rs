//! Patches of a kustomization: those that set the field, those that could, and new ones.

use serde_json::{Value, json};

use super::{
    super::{
        edited,
        steps::{get, positions},
    },
    Attempts, Layer, Subject, declaration, edit,
};
use crate::gitops::{
    edit::{self as text_edit, Document, Edit, Path, PathEdit, Step},
    tree::FileChange,
    unit::join,
    yaml::{self, Dialect},
};

/// One document of one patch.
struct Patch {
    place: Place,
    /// Position among the documents of the text.
    index: usize,
    content: Value,
    /// Whether a selector says what it is for.
    targeted: bool,
}

/// Where a patch's text is.
#[derive(Clone)]
enum Place {
    File(String),
    /// A text within the kustomization.
    Inline(Path, String),
}

/// Every patch document of the layer, the one that is applied last first.
fn patches(layer: &Layer<'_>) -> Vec<Patch> {
    let mut found = Vec::new();
    for key in ["patchesStrategicMerge", "patches", "patchesJson6902"] {
        for (index, entry) in layer.list(key).iter().enumerate() {
            let at = |field: Option<&str>| -> Path {
                let steps = [Step::Key(key.to_owned()), Step::Index(index)];
                steps.into_iter().chain(field.map(|field| Step::Key(field.to_owned()))).collect()
            };
            let file = |name: &str| join(&layer.folder, name).map(Place::File);
            let place = match (entry.as_str(), entry["path"].as_str(), entry["patch"].as_str()) {
                (Some(text), _, _) if text.contains('\n') => {
                    Some(Place::Inline(at(None), text.to_owned()))
                }
                (Some(name), _, _) | (_, Some(name), _) => file(name),
                (_, _, Some(text)) => Some(Place::Inline(at(Some("patch")), text.to_owned())),
                _ => None,
            };
            let Some(place) = place else { continue };
            let text = match &place {
                Place::File(path) => layer.tree.text(path).unwrap_or_default(),
                Place::Inline(_, text) => text,
            };
            let documents = yaml::documents("patch", text, Dialect::Kustomize).unwrap_or_default();
            for (index, doc) in documents.into_iter().enumerate() {
                let targeted = entry.get("target").is_some();
                found.push(Patch { place: place.clone(), index, content: doc.value, targeted });
            }
        }
    }
    found.reverse();
    found
}

/// Changes patches that set a field of the group.
pub(super) fn existing(layer: &Layer<'_>, subject: &Subject<'_>) -> Attempts {
    let mut attempts = Attempts::new();
    for patch in patches(layer) {
        if patch.content.is_array() {
            attempts.extend(operations(&patch, subject).map(|steps| write(layer, &patch, steps)));
            continue;
        }
        let sets =
            subject.group.fields.iter().any(|field| get(&patch.content, &field.path).is_some());
        if sets && (patch.targeted || subject.is_named_by(&patch.content)) {
            attempts.push(write(layer, &patch, declaration::steps(&[], subject.group)));
            attempts.push(write(layer, &patch, strategic(subject)));
        }
    }
    attempts
}

/// Extends a patch of the object, or writes a new one.
pub(super) fn added(layer: &Layer<'_>, subject: &Subject<'_>) -> Attempts {
    let mut attempts = Attempts::new();
    for patch in patches(layer) {
        if patch.content.is_object() && !patch.targeted && subject.is_named_by(&patch.content) {
            attempts.push(write(layer, &patch, strategic(subject)));
        }
    }
    attempts.push(create(layer, subject));
    attempts
}

/// The edits that make a strategic merge patch say what the group says.
fn strategic(subject: &Subject<'_>) -> Vec<PathEdit> {
    let step = |field: &super::super::goal::Field| {
        let value = match (&field.value, field.path.last()) {
            (Some(value), _) => value.clone(),
            (None, Some(Step::Where { key, value })) => json!({key: value, "$patch": "delete"}),
            (None, _) => Value::Null,
        };
        PathEdit::Set { path: field.path.clone(), value }
    };
    subject.group.fields.iter().map(step).collect()
}

/// The edits of a JSON patch whose operations set fields of the group; `None` when none does.
fn operations(patch: &Patch, subject: &Subject<'_>) -> Option<Vec<PathEdit>> {
    let operations = patch.content.as_array()?;
    let mut steps = Vec::new();
    for field in &subject.group.fields {
        let value = field.value.clone()?;
        let wanted = positions(&subject.declared.value, &field.path)?;
        let found = operations.iter().enumerate().rev().find_map(|(index, operation)| {
            let sets = matches!(operation["op"].as_str(), Some("add" | "replace"));
            let keys: Vec<String> = operation["path"]
                .as_str()
                .filter(|_| sets)?
                .split('/')
                .skip(1)
                .map(unescape)
                .collect();
            let rest = below(&keys, &wanted, field.path.as_slice(), &operation["value"])?;
            Some((index, rest))
        });
        let (index, rest) = found?;
        let path =
            [Step::Index(index), Step::Key("value".to_owned())].into_iter().chain(rest).collect();
        steps.push(PathEdit::Set { path, value });
    }
    Some(steps)
}

/// The path inside of an operation's value at which the wanted field is.
fn below(keys: &[String], wanted: &[String], path: &[Step], value: &Value) -> Option<Path> {
    if keys.len() > wanted.len() {
        return None;
    }
    let last = keys.len().checked_sub(1)?;
    let appended = keys[last] == "-" && keys[..last] == wanted[..last];
    if !appended && keys != &wanted[..keys.len()] {
        return None;
    }
    // an item that is appended must be the one that is meant
    if let (true, Step::Where { key, value: name }) = (appended, &path[last])
        && value[key.as_str()] != *name.as_str()
    {
        return None;
    }
    Some(path[keys.len()..].to_vec())
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// Edits a patch where it stands.
fn write(
    layer: &Layer<'_>,
    patch: &Patch,
    steps: Vec<PathEdit>,
) -> Result<Vec<FileChange>, String> {
    let inner = Edit { document: Document::Index(patch.index), steps };
    match &patch.place {
        Place::File(path) => Ok(vec![edited(layer.tree, path, &inner)?]),
        Place::Inline(at, text) => {
            let after =
                text_edit::apply(&layer.file, text, &inner).map_err(|error| error.to_string())?;
            edit(layer, vec![PathEdit::Set { path: at.clone(), value: json!(after) }])
        }
    }
}

/// A new patch file, and its entry in the kustomization.
fn create(layer: &Layer<'_>, subject: &Subject<'_>) -> Result<Vec<FileChange>, String> {
    let names = std::iter::once(String::new()).chain((2..).map(|number| format!("-{number}")));
    let (name, path) = names
        .map(|suffix| format!("{}-patch{suffix}.yaml", subject.name()))
        .filter_map(|name| Some((name.clone(), join(&layer.folder, &name)?)))
        .find(|(_, path)| !layer.tree.files.contains_key(path))
        .ok_or("there is no name left for a patch")?;
    let object = &subject.declared.object;
    let mut skeleton = format!(
        "apiVersion: {}\nkind: {}\nmetadata:\n  name: {}\n",
        object.api_version,
        object.kind,
        subject.name()
    );
    if let Some(namespace) = subject.manifest["metadata"]["namespace"].as_str() {
        skeleton.push_str(&format!("  namespace: {namespace}\n"));
    }
    let patch = Edit { document: Document::Only, steps: strategic(subject) };
    let text = text_edit::apply(&path, &skeleton, &patch).map_err(|error| error.to_string())?;
    let (at, value) = layer.appended("patches", json!({"path": name}));
    let mut changes = edit(layer, vec![PathEdit::Set { path: at, value }])?;
    changes.push(FileChange { path, before: None, after: Some(text) });
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::{super::super::steps::path, *};

    #[test]
    fn operations_are_found_by_what_they_set() {
        let keys = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let image = path(&["spec", "containers", "name=a", "image"]);
        let wanted = keys("spec/containers/0/image");
        assert_eq!(below(&wanted, &wanted, &image, &Value::Null), Some(Vec::new()));
        assert_eq!(below(&keys("spec/containers/1/image"), &wanted, &image, &Value::Null), None);
        let item = json!({"name": "a", "image": "x"});
        assert_eq!(
            below(&keys("spec/containers/-"), &wanted, &image, &item),
            Some(path(&["image"]))
        );
        assert_eq!(below(&keys("spec/containers/-"), &wanted, &image, &json!({"name": "b"})), None);
    }
}
