//! Field specs: which fields of which kinds a transformation writes, as Kustomize's configuration names them.

use serde_json::{Value, json};

use super::{Result, resource::Id};

/// One place to write to.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FieldSpec {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    /// Keys separated by `/`; lists are entered by themselves, `[]` says that one is meant.
    pub(super) path: String,
    /// Whether the field is made when missing.
    pub(super) create: bool,
}

impl FieldSpec {
    pub(super) fn new(group: &str, kind: &str, path: &str, create: bool) -> Self {
        Self {
            group: group.to_owned(),
            version: String::new(),
            kind: kind.to_owned(),
            path: path.to_owned(),
            create,
        }
    }

    pub(super) fn is_for(&self, id: &Id) -> bool {
        id.is(&self.group, &self.version, &self.kind)
    }

    /// Calls `write` with every value at the path; a missing one is made as `Null` when the spec says so.
    pub(super) fn visit(
        &self,
        value: &mut Value,
        write: &mut dyn FnMut(&mut Value) -> Result<()>,
    ) -> Result<()> {
        let keys = split(&self.path);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        visit(value, &keys, self.create, write)
    }
}

/// The keys of a path; `\/` is a slash inside of a key.
fn split(path: &str) -> Vec<String> {
    let marked = path.replace("\\/", "\u{0}");
    marked.split('/').map(|key| key.replace('\u{0}', "/")).collect()
}

fn visit(
    value: &mut Value,
    keys: &[&str],
    create: bool,
    write: &mut dyn FnMut(&mut Value) -> Result<()>,
) -> Result<()> {
    let Some((key, rest)) = keys.split_first() else { return write(value) };
    match value {
        Value::Array(items) => {
            items.iter_mut().try_for_each(|item| visit(item, keys, create, write))
        }
        Value::Object(map) => {
            let name = key.trim_end_matches("[]");
            let missing = map.get(name).is_none_or(Value::is_null);
            if missing && (!create || name != *key) {
                return Ok(());
            }
            if missing {
                map.insert(name.to_owned(), if rest.is_empty() { Value::Null } else { json!({}) });
            }
            map.get_mut(name).map_or(Ok(()), |next| visit(next, rest, create, write))
        }
        _ => Ok(()),
    }
}
