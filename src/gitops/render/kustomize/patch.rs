//! `patches`, `patchesStrategicMerge`, `patchesJson6902`.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Result,
    layer::{Item, Layer},
    merge,
    resource::{Id, Resource},
    selector::Selector,
};
use crate::gitops::yaml::{self, Dialect};

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    /// As `patches` was written once: a file with strategic merge patches.
    File(String),
    Patch(Box<Patch>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    path: Option<String>,
    patch: Option<String>,
    target: Option<Selector>,
    #[serde(default)]
    options: Options,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Options {
    allow_name_change: bool,
    allow_kind_change: bool,
}

/// `patchesStrategicMerge`, then `patches`: before names and labels are given.
pub(super) fn early(layer: &Layer<'_>, resources: &mut Vec<Resource>) -> Result<()> {
    for item in layer.strings("patchesStrategicMerge")? {
        let inline = item.value.contains('\n');
        let text = if inline { &item.value } else { named(layer, &item.value, &item.pointer)? };
        let patch = Patch { path: None, patch: None, target: None, options: Options::default() };
        apply(layer, resources, &Item { value: patch, pointer: item.pointer.clone() }, text)?;
    }
    for item in layer.list::<Value>("patches")? {
        // untagged enums hide what is wrong, so the shape is told by hand
        let entry = if item.value.is_string() {
            serde_json::from_value(item.value).map(Entry::File)
        } else {
            serde_json::from_value(item.value).map(|patch| Entry::Patch(Box::new(patch)))
        };
        let entry =
            entry.or_else(|error| layer.fail(&item.pointer, format!("'patches': {error}")))?;
        let patch = match entry {
            Entry::File(path) => {
                Patch { path: Some(path), patch: None, target: None, options: Options::default() }
            }
            Entry::Patch(patch) => *patch,
        };
        one(layer, resources, patch, item.pointer)?;
    }
    Ok(())
}

/// `patchesJson6902`: after names and labels are given.
pub(super) fn late(layer: &Layer<'_>, resources: &mut Vec<Resource>) -> Result<()> {
    for item in layer.list::<Patch>("patchesJson6902")? {
        if item.value.target.as_ref().is_none_or(|target| target.name.is_empty()) {
            return layer.fail(&item.pointer, "this patch needs a target with a name");
        }
        one(layer, resources, item.value, item.pointer)?;
    }
    Ok(())
}

fn one(
    layer: &Layer<'_>,
    resources: &mut Vec<Resource>,
    patch: Patch,
    pointer: String,
) -> Result<()> {
    let text = match (&patch.path, &patch.patch) {
        (Some(path), None) => named(layer, path, &pointer)?.to_owned(),
        (None, Some(text)) => text.clone(),
        _ => return layer.fail(&pointer, "a patch has either 'path' or 'patch'"),
    };
    apply(layer, resources, &Item { value: patch, pointer }, &text)
}

fn named<'a>(layer: &Layer<'a>, path: &str, pointer: &str) -> Result<&'a str> {
    layer.file(&layer.local(path, pointer)?, pointer)
}

fn apply(
    layer: &Layer<'_>,
    resources: &mut Vec<Resource>,
    item: &Item<Patch>,
    text: &str,
) -> Result<()> {
    let (patch, pointer) = (&item.value, item.pointer.as_str());
    let path = match &patch.path {
        Some(path) => layer.local(path, pointer)?,
        None => String::from("patch"),
    };
    let documents = match yaml::documents(&path, text, Dialect::Kustomize) {
        Ok(documents) => documents,
        Err(error) if patch.path.is_some() => return Err(error),
        Err(error) => return layer.fail(pointer, format!("in the patch: {}", error.message)),
    };
    match documents.first().map(|doc| &doc.value) {
        None => layer.fail(pointer, "this patch is empty"),
        Some(Value::Array(_)) => json(layer, resources, item, &documents[0].value),
        Some(_) if documents.len() > 1 && patch.target.is_some() => {
            layer.fail(pointer, "several patches cannot share one target")
        }
        Some(_) => {
            documents.iter().try_for_each(|doc| strategic(layer, resources, item, &doc.value))
        }
    }
}

/// The positions of the resources a patch is for.
fn targets(
    layer: &Layer<'_>,
    resources: &[Resource],
    target: &Selector,
    pointer: &str,
) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for (index, resource) in resources.iter().enumerate() {
        if target.selects(resource).or_else(|error| layer.fail(pointer, error))? {
            found.push(index);
        }
    }
    Ok(found)
}

fn json(
    layer: &Layer<'_>,
    resources: &mut [Resource],
    item: &Item<Patch>,
    operations: &Value,
) -> Result<()> {
    let pointer = item.pointer.as_str();
    let Some(target) = &item.value.target else {
        return layer.fail(pointer, "a JSON patch needs a target");
    };
    let operations: json_patch::Patch = serde_json::from_value(operations.clone())
        .or_else(|error| layer.fail(pointer, format!("this is no JSON patch: {error}")))?;
    for index in targets(layer, resources, target, pointer)? {
        let resource = &mut resources[index];
        resource.remember();
        if let Err(error) = json_patch::patch(&mut resource.manifest.value, &operations) {
            return layer.fail(
                pointer,
                format!("this patch does not fit {}: {error}", resource.original()),
            );
        }
    }
    Ok(())
}

fn strategic(
    layer: &Layer<'_>,
    resources: &mut Vec<Resource>,
    item: &Item<Patch>,
    patch: &Value,
) -> Result<()> {
    let pointer = item.pointer.as_str();
    let found = match &item.value.target {
        Some(target) => targets(layer, resources, target, pointer)?,
        None => vec![addressed(layer, resources, patch, pointer)?],
    };
    let mut deleted = Vec::new();
    for index in found {
        let options = item.value.options;
        match merge_one(&mut resources[index], patch, options, item.value.target.is_some()) {
            Ok(true) => {}
            Ok(false) => deleted.push(index),
            Err(error) => return layer.fail(pointer, error),
        }
    }
    let mut index = 0;
    resources.retain(|_| {
        index += 1;
        !deleted.contains(&(index - 1))
    });
    Ok(())
}

/// The resource that a patch without a target names, by what it is called now or was called once.
fn addressed(
    layer: &Layer<'_>,
    resources: &[Resource],
    patch: &Value,
    pointer: &str,
) -> Result<usize> {
    let wanted = Id::of(patch);
    let found: Vec<usize> =
        (0..resources.len()).filter(|index| resources[*index].ids().contains(&wanted)).collect();
    match found.as_slice() {
        [index] => Ok(*index),
        [] => layer.fail(
            pointer,
            format!("there is no {wanted} for this patch; name one, or give a target"),
        ),
        _ => {
            layer.fail(pointer, format!("there are several {wanted} for this patch; give a target"))
        }
    }
}

fn merge_one(
    resource: &mut Resource,
    patch: &Value,
    options: Options,
    targeted: bool,
) -> std::result::Result<bool, String> {
    let id = resource.id();
    let namespace = resource.namespace().to_owned();
    let api_version = resource.manifest.value["apiVersion"].clone();
    if options.allow_name_change || options.allow_kind_change {
        resource.remember();
    }
    if !merge::strategic(&mut resource.manifest.value, patch, &id.kind)? {
        return Ok(false);
    }
    if targeted {
        resource.manifest.value["apiVersion"] = api_version;
    }
    if !options.allow_kind_change {
        resource.manifest.value["kind"] = Value::String(id.kind);
    }
    let metadata = resource.metadata();
    if !options.allow_name_change {
        metadata.insert("name".to_owned(), Value::String(id.name));
    }
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), Value::String(namespace));
    }
    resource.drop_null_metadata();
    Ok(true)
}
