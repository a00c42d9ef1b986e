//! `configMapGenerator`, `secretGenerator`, and the hash at the end of generated names.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    super::{Manifest, base64},
    Result,
    layer::{Item, Layer},
    resource::Resource,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Generator {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    behavior: Behavior,
    /// Of a secret.
    #[serde(rename = "type")]
    secret_type: Option<String>,
    #[serde(default)]
    literals: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    #[serde(default)]
    envs: Vec<String>,
    /// As `envs` was written once.
    env: Option<String>,
    #[serde(default)]
    options: Options,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Behavior {
    #[default]
    #[serde(alias = "", alias = "unspecified")]
    Create,
    Merge,
    Replace,
}

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Options {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    disable_name_suffix_hash: bool,
    immutable: bool,
}

impl Options {
    /// These options completed by what is said for the whole kustomization.
    fn with(mut self, all: &Self) -> Self {
        for (own, all) in
            [(&mut self.labels, &all.labels), (&mut self.annotations, &all.annotations)]
        {
            for (key, value) in all {
                own.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        self.disable_name_suffix_hash |= all.disable_name_suffix_hash;
        self.immutable |= all.immutable;
        self
    }
}

/// Generates the layer's config maps and secrets into `resources`.
pub(super) fn run(layer: &Layer<'_>, resources: &mut Vec<Resource>) -> Result<()> {
    let all: Options = layer.one("generatorOptions")?;
    for (key, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for item in layer.list::<Generator>(key)? {
            let generated = generate(layer, &item, kind, &all)?;
            absorb(layer, resources, generated, &item)?;
        }
    }
    Ok(())
}

fn generate(
    layer: &Layer<'_>,
    item: &Item<Generator>,
    kind: &str,
    all: &Options,
) -> Result<Resource> {
    let Item { value: generator, pointer } = item;
    let options = generator.options.clone().with(all);
    let mut metadata = json!({"name": generator.name});
    if !generator.namespace.is_empty() {
        metadata["namespace"] = json!(generator.namespace);
    }
    for (field, pairs) in [("labels", &options.labels), ("annotations", &options.annotations)] {
        if !pairs.is_empty() {
            metadata[field] = json!(pairs);
        }
    }
    let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
    if kind == "Secret" {
        value["type"] = json!(generator.secret_type.as_deref().unwrap_or("Opaque"));
        value["data"] = json!({});
    } else if generator.secret_type.is_some() {
        return layer.fail(pointer, "a config map has no 'type'");
    }
    for (key, bytes) in pairs(layer, generator, pointer)? {
        let (field, text) = match std::str::from_utf8(&bytes) {
            Ok(text) if kind == "ConfigMap" => ("data", text.to_owned()),
            Err(_) if kind == "ConfigMap" => ("binaryData", lines64(&bytes)),
            _ => ("data", lines64(&bytes)),
        };
        value[field][key] = json!(text);
    }
    if options.immutable {
        value["immutable"] = json!(true);
    }
    let (file, line) = layer.place(pointer);
    let mut resource = Resource::new(Manifest { value, file, line });
    resource.needs_hash = !options.disable_name_suffix_hash;
    Ok(resource)
}

/// Keys and contents, in Kustomize's order: env files, literals, files.
fn pairs(
    layer: &Layer<'_>,
    generator: &Generator,
    pointer: &str,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
    for name in generator.envs.iter().chain(&generator.env) {
        let text = layer.file(&layer.local(name, pointer)?, pointer)?;
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim_start);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            pairs.push((key.to_owned(), value.into()));
        }
    }
    for literal in &generator.literals {
        match literal.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                pairs.push((key.to_owned(), unquote(value).into()))
            }
            _ => return layer.fail(pointer, format!("the literal '{literal}' is not key=value")),
        }
    }
    for file in &generator.files {
        let (key, path) =
            file.split_once('=').unwrap_or_else(|| (file.rsplit('/').next().unwrap_or(file), file));
        if key.is_empty() || path.is_empty() || path.contains('=') {
            return layer.fail(pointer, format!("'{file}' is not a path or key=path"));
        }
        pairs.push((key.to_owned(), layer.bytes(&layer.local(path, pointer)?, pointer)?.to_vec()));
    }
    for (index, (key, _)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(other, _)| other == key) {
            return layer.fail(pointer, format!("the key '{key}' is given twice"));
        }
        if !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return layer.fail(
                pointer,
                format!("'{key}' cannot be a key; use letters, digits, '-', '_' and '.'"),
            );
        }
    }
    Ok(pairs)
}

fn unquote(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    if text.len() < 2 { text } else { inner('"').or_else(|| inner('\'')).unwrap_or(text) }
}

fn absorb(
    layer: &Layer<'_>,
    resources: &mut Vec<Resource>,
    mut generated: Resource,
    item: &Item<Generator>,
) -> Result<()> {
    let (behavior, pointer) = (item.value.behavior, item.pointer.as_str());
    let id = generated.id();
    let mut matching = resources.iter_mut().filter(|resource| resource.ids().contains(&id));
    let old = match (matching.next(), matching.next()) {
        (None, _) if behavior == Behavior::Create => {
            resources.push(generated);
            return Ok(());
        }
        (None, _) => {
            return layer.fail(pointer, format!("there is no {id} to merge with or to replace"));
        }
        (Some(_), None) if behavior == Behavior::Create => {
            return layer.fail(
                pointer,
                format!("{id} is there already; say 'behavior: merge' or 'replace'"),
            );
        }
        (Some(old), None) => old,
        (Some(_), Some(_)) => return layer.fail(pointer, format!("there are several {id}")),
    };
    for field in ["labels", "annotations"] {
        let mut merged = old.strings(field).cloned().unwrap_or_default();
        merged.extend(generated.strings(field).cloned().unwrap_or_default());
        if !merged.is_empty() {
            generated.metadata().insert(field.to_owned(), Value::Object(merged));
        }
    }
    for field in ["name", "namespace"] {
        if let Some(kept) = old.metadata().get(field).cloned() {
            generated.metadata().insert(field.to_owned(), kept);
        }
    }
    if behavior == Behavior::Merge {
        for field in ["data", "binaryData"] {
            let mut merged = old
                .manifest
                .value
                .get(field)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            merged.extend(
                generated
                    .manifest
                    .value
                    .get(field)
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default(),
            );
            if !merged.is_empty() {
                generated.manifest.value[field] = Value::Object(merged);
            }
        }
    }
    old.needs_hash &= generated.needs_hash;
    old.manifest.value = generated.manifest.value;
    Ok(())
}

/// The ten characters that Kustomize puts at the end of a generated name.
pub(super) fn hash(value: &Value) -> String {
    let mut hashed = Map::new();
    let field = |name: &str| value.get(name).filter(|value| !value.is_null()).cloned();
    // keys in alphabetical order, as Go writes them
    if let Some(binary) = field("binaryData") {
        hashed.insert("binaryData".to_owned(), sorted(&binary));
    }
    hashed.insert("data".to_owned(), field("data").map_or_else(|| json!(""), |data| sorted(&data)));
    hashed.insert("kind".to_owned(), value["kind"].clone());
    // the name is looked up by a path that never matches, so it is always empty
    hashed.insert("name".to_owned(), json!(""));
    if let Some(text) = field("stringData") {
        hashed.insert("stringData".to_owned(), sorted(&text));
    }
    if value["kind"] == "Secret" {
        hashed.insert("type".to_owned(), field("type").unwrap_or_else(|| json!("")));
    }
    let text = base64::go_json(&Value::Object(hashed).to_string());
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    let letters = digest.chars().take(10).map(|c| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        c => c,
    });
    letters.collect()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, &Value> = map.iter().collect();
            Value::Object(
                ordered.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            )
        }
        other => other.clone(),
    }
}

/// Base 64 as Kustomize writes it: in lines when there is more than one.
fn lines64(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    let text = base64::encode(bytes);
    if text.len() < LINE {
        return text;
    }
    let lines = text.as_bytes().chunks(LINE).map(|line| String::from_utf8_lossy(line) + "\n");
    lines.collect()
}
