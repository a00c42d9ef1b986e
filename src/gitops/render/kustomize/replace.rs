//! `replacements`: copying a value from one resource into fields of others.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Result,
    layer::Layer,
    resource::{Id, Resource},
    selector::Selector,
};
use crate::gitops::yaml::{self, Dialect};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Replacement {
    /// A file with the replacement(s).
    path: Option<String>,
    source: Option<Source>,
    source_value: Option<String>,
    #[serde(default)]
    targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[derive(Default)]
struct Source {
    group: String,
    version: String,
    kind: String,
    name: String,
    namespace: String,
    field_path: String,
    options: Options,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Target {
    select: Selector,
    #[serde(default)]
    reject: Vec<Selector>,
    #[serde(default)]
    field_paths: Vec<String>,
    #[serde(default)]
    options: Options,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Options {
    delimiter: String,
    index: i64,
    create: bool,
}

type Done<T> = std::result::Result<T, String>;

/// Applies the layer's replacements.
pub(super) fn run(layer: &Layer<'_>, resources: &mut [Resource]) -> Result<()> {
    for item in layer.list::<Replacement>("replacements")? {
        let pointer = item.pointer.as_str();
        for replacement in load(layer, item.value, pointer)? {
            apply(&replacement, resources).or_else(|message| layer.fail(pointer, message))?;
        }
    }
    Ok(())
}

fn load(layer: &Layer<'_>, replacement: Replacement, pointer: &str) -> Result<Vec<Replacement>> {
    let Some(path) = &replacement.path else { return Ok(vec![replacement]) };
    let path = layer.local(path, pointer)?;
    let text = layer.file(&path, pointer)?;
    let value = yaml::only(&path, text, Dialect::Kustomize)?;
    let list = if value.is_array() { value } else { json!([value]) };
    serde_json::from_value(list)
        .or_else(|error| layer.fail(pointer, format!("in '{path}': {error}")))
}

fn apply(replacement: &Replacement, resources: &mut [Resource]) -> Done<()> {
    let value = match (&replacement.source, &replacement.source_value) {
        (Some(source), None) => source_value(source, resources)?,
        (None, Some(text)) => json!(text),
        _ => return Err("a replacement has either 'source' or 'sourceValue'".to_owned()),
    };
    for target in &replacement.targets {
        for resource in resources.iter_mut() {
            if !is_target(target, resource)? {
                continue;
            }
            let name = ["metadata.name".to_owned()];
            let paths =
                if target.field_paths.is_empty() { name.as_slice() } else { &target.field_paths };
            for path in paths {
                let mut count = 0;
                let keys = split(path);
                put(&mut resource.manifest.value, &keys, target.options.create, &mut |field| {
                    count += 1;
                    write(field, &value, &target.options)
                })?;
                if count == 0 {
                    return Err(format!("{} has no field '{path}'", resource.id()));
                }
            }
        }
    }
    Ok(())
}

fn is_target(target: &Target, resource: &Resource) -> Done<bool> {
    let ids = resource.ids();
    let any = |selector: &Selector| -> Done<bool> {
        for id in &ids {
            if selector.names(id)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    for reject in &target.reject {
        let by_name = Selector {
            label_selector: String::new(),
            annotation_selector: String::new(),
            ..reject.clone()
        };
        let names = by_name != Selector::default() && any(&by_name)?;
        let labelled = (*reject != by_name) && reject.is_labelled(resource)?;
        if names || labelled {
            return Ok(false);
        }
    }
    Ok(any(&target.select)? && target.select.is_labelled(resource)?)
}

fn source_value(source: &Source, resources: &[Resource]) -> Done<Value> {
    let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    let selected = |id: &Id| {
        id.is(&source.group, &source.version, &source.kind)
            && is(&source.name, &id.name)
            && is(&source.namespace, id.namespace.as_deref().unwrap_or_default())
    };
    let mut found = resources.iter().filter(|resource| resource.ids().iter().any(selected));
    let resource = match (found.next(), found.next()) {
        (Some(resource), None) => resource,
        (None, _) => return Err("the source of this replacement selects nothing".to_owned()),
        (Some(_), Some(_)) => {
            return Err("the source of this replacement selects several resources".to_owned());
        }
    };
    let path = if source.field_path.is_empty() { "metadata.name" } else { &source.field_path };
    let mut value = None;
    put(&mut resource.manifest.value.clone(), &split(path), false, &mut |field| {
        value = Some(field.clone());
        Ok(())
    })?;
    let value = value
        .filter(|value| !value.is_null())
        .ok_or_else(|| format!("{} has no field '{path}'", resource.id()))?;
    if source.options.delimiter.is_empty() {
        return Ok(value);
    }
    let text = scalar(&value).ok_or("a delimiter needs a plain value")?;
    let index =
        usize::try_from(source.options.index).map_err(|_| "the index must not be negative")?;
    let part = text.split(source.options.delimiter.as_str()).nth(index);
    part.map(|part| json!(part)).ok_or_else(|| format!("'{text}' has no part {index}"))
}

/// The keys of a path: `.` separates, `\.` does not, nor does a dot within brackets.
fn split(path: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut chars = path.chars().peekable();
    let mut bracket = false;
    while let Some(c) = chars.next() {
        let Some(last) = keys.last_mut() else { break };
        match c {
            '\\' if chars.peek() == Some(&'.') => last.extend(chars.next()),
            '.' if !bracket => keys.push(String::new()),
            c => {
                bracket = (bracket || c == '[' && last.is_empty()) && c != ']';
                last.push(c);
            }
        }
    }
    let plain = |key: String| match key.strip_prefix('[').and_then(|key| key.strip_suffix(']')) {
        Some(inner) if !inner.contains('=') => inner.to_owned(),
        _ => key,
    };
    keys.into_iter().map(plain).collect()
}

fn put(
    value: &mut Value,
    keys: &[String],
    create: bool,
    write: &mut dyn FnMut(&mut Value) -> Done<()>,
) -> Done<()> {
    let Some((key, rest)) = keys.split_first() else { return write(value) };
    match value {
        Value::Array(items) => {
            if key == "*" {
                return items.iter_mut().try_for_each(|item| put(item, rest, create, write));
            }
            let chosen =
                key.strip_prefix('[').and_then(|key| key.strip_suffix(']')?.split_once('='));
            if let Some((name, wanted)) = chosen {
                let is = |item: &Value| {
                    item.get(name).and_then(scalar).is_some_and(|text| text == wanted)
                };
                if create && !items.iter().any(is) {
                    items.push(json!({name: wanted}));
                }
                let mut chosen = items.iter_mut().filter(|item| is(item));
                return chosen.try_for_each(|item| put(item, rest, create, write));
            }
            let index: usize =
                key.parse().map_err(|_| format!("'{key}' does not choose an item of a list"))?;
            items.get_mut(index).map_or(Ok(()), |item| put(item, rest, create, write))
        }
        Value::Object(map) => {
            if key == "*" {
                return map.values_mut().try_for_each(|item| put(item, rest, create, write));
            }
            if create && !map.contains_key(key) {
                let list = rest.first().is_some_and(|next| next.starts_with('['));
                let made = if rest.is_empty() {
                    Value::Null
                } else if list {
                    json!([])
                } else {
                    json!({})
                };
                map.insert(key.clone(), made);
            }
            map.get_mut(key).map_or(Ok(()), |next| put(next, rest, create, write))
        }
        _ => Ok(()),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn write(field: &mut Value, value: &Value, options: &Options) -> Done<()> {
    if options.delimiter.is_empty() {
        // a plain field keeps its type: text stays text
        let kept = match (&*field, scalar(value)) {
            (Value::String(_), Some(text)) => json!(text),
            (Value::Number(_) | Value::Bool(_), Some(text)) => {
                yaml::plain(&text, Dialect::Kustomize)
            }
            _ => value.clone(),
        };
        *field = kept;
        return Ok(());
    }
    let (Some(text), Some(part)) = (scalar(field), scalar(value)) else {
        return Err("a delimiter needs plain values".to_owned());
    };
    let mut parts: Vec<String> =
        text.split(options.delimiter.as_str()).map(str::to_owned).collect();
    match usize::try_from(options.index) {
        Err(_) => parts.insert(0, part),
        Ok(index) if index >= parts.len() => parts.push(part),
        Ok(index) => parts[index] = part,
    }
    *field = json!(parts.join(&options.delimiter));
    Ok(())
}
