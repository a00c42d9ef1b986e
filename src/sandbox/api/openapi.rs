//! The OpenAPI schemas of the built-in kinds, and the documents served from them.
//!
//! The schemas stay compressed; a document is put together from their lines as text, without parsing them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{BufRead, BufReader, Read as _},
    sync::OnceLock,
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    kinds::Resource,
    schema::{TypeId, Types, TypesBuilder},
};

static SCHEMAS: &[u8] = include_bytes!("../openapi/schemas.tsv.gz");
const REF: &str = "#/components/schemas/";

/// The types of all built-in kinds.
pub(super) struct BuiltIn {
    pub(super) types: Types,
    /// (group, version, kind) to type and schema name.
    pub(super) kinds: BTreeMap<(String, String, String), (TypeId, String)>,
}

/// The built-in types, made on first use.
pub(super) fn built_in() -> &'static BuiltIn {
    static BUILT_IN: OnceLock<BuiltIn> = OnceLock::new();
    BUILT_IN.get_or_init(|| {
        let mut builder = TypesBuilder::default();
        let mut kinds = BTreeMap::new();
        for_each_schema(|name, text| {
            let schema: Value =
                serde_json::from_str(text).expect("invariant: the embedded schemas are JSON");
            builder.define(name, &schema);
            for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let part = |key: &str| gvk[key].as_str().unwrap_or_default().to_owned();
                let key = (part("group"), part("version"), part("kind"));
                kinds.insert(key, (builder.named(name), name.to_owned()));
            }
        });
        BuiltIn { types: builder.finish(), kinds }
    })
}

/// Visits the name and JSON text of every built-in schema.
pub(super) fn for_each_schema(mut visit: impl FnMut(&str, &str)) {
    let mut reader = BufReader::new(GzDecoder::new(SCHEMAS));
    let mut line = String::new();
    while reader.read_line(&mut line).expect("invariant: the embedded schemas are gzip of text") > 0
    {
        if let Some((name, schema)) = line.trim_end().split_once('\t') {
            visit(name, schema);
        }
        line.clear();
    }
}

/// The names that a schema's text refers to.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split(REF).skip(1).filter_map(|rest| rest.split('"').next())
}

/// The schemas of these names and all they refer to, as `"name":{...},...`.
fn closure(roots: BTreeSet<String>) -> String {
    let mut text = String::new();
    GzDecoder::new(SCHEMAS)
        .read_to_string(&mut text)
        .expect("invariant: the embedded schemas are gzip of text");
    let lines: BTreeMap<&str, &str> = text.lines().filter_map(|l| l.split_once('\t')).collect();
    let mut wanted = BTreeSet::new();
    let mut open: Vec<&str> = lines.keys().copied().filter(|name| roots.contains(*name)).collect();
    while let Some(name) = open.pop() {
        if wanted.insert(name)
            && let Some(schema) = lines.get(name)
        {
            open.extend(references(schema).filter(|name| !wanted.contains(name)));
        }
    }
    let mut out = String::new();
    for name in wanted {
        if let Some(schema) = lines.get(name) {
            let comma = if out.is_empty() { "" } else { "," };
            let _ = write!(out, "{comma}\"{name}\":{schema}");
        }
    }
    out
}

/// `/openapi/v3`: where the document of each group and version is, with a hash that changes when it changes.
pub(super) fn index(resources: &[&Resource]) -> Value {
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for resource in resources {
        // the schema text matters as much as the names, so custom resources change the hash too
        let entry = paths.entry(group_path(resource)).or_default();
        let _ =
            write!(entry, "{} {} {:?};", resource.plural, resource.kind, resource.schema_source);
    }
    let paths: serde_json::Map<String, Value> = paths
        .into_iter()
        .map(|(path, text)| {
            let hash = hex::encode_upper(Sha256::digest(text.as_bytes()));
            let url = format!("/openapi/v3/{path}?hash={hash}");
            (path, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// `api/v1`, `apis/apps/v1`.
pub(super) fn group_path(resource: &Resource) -> String {
    if resource.group.is_empty() {
        return format!("api/{}", resource.version);
    }
    format!("apis/{}/{}", resource.group, resource.version)
}

/// The OpenAPI v3 document of one group and version.
pub(super) fn document(resources: &[&Resource]) -> String {
    let mut paths = serde_json::Map::new();
    let mut roots = BTreeSet::new();
    let mut custom = String::new();
    for resource in resources {
        add_paths(&mut paths, resource);
        let name = schema_name(resource);
        if let Some(schema) = &resource.schema_source {
            let mut schema = (**schema).clone();
            schema["x-kubernetes-group-version-kind"] = json!([gvk(resource)]);
            schema["properties"]["apiVersion"] = json!({"type": "string"});
            schema["properties"]["kind"] = json!({"type": "string"});
            schema["properties"]["metadata"] = json!({"allOf": [{"$ref": format!("{REF}{META}")}]});
            let _ = write!(custom, ",\"{name}\":{schema}");
            roots.insert(META.to_owned());
        } else {
            roots.insert(name.clone());
            roots.insert(format!("{name}List"));
        }
    }
    roots.insert("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions".to_owned());
    let schemas = closure(roots);
    let paths = Value::Object(paths);
    format!(
        "{{\"openapi\":\"3.0.0\",\"info\":{{\"title\":\"Kubernetes\",\"version\":\"{}\"}},\"paths\":{paths},\
         \"components\":{{\"schemas\":{{{schemas}{custom}}}}}}}",
        super::discovery::VERSION
    )
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The OpenAPI v2 document of everything built in.
pub(super) fn document_v2() -> String {
    let all = closure(built_in().kinds.values().map(|(_, name)| name.clone()).collect());
    let definitions = all.replace(REF, "#/definitions/");
    format!(
        "{{\"swagger\":\"2.0\",\"info\":{{\"title\":\"Kubernetes\",\"version\":\"{}\"}},\"paths\":{{}},\
         \"definitions\":{{{definitions}}}}}",
        super::discovery::VERSION
    )
}

fn schema_name(resource: &Resource) -> String {
    let key = (resource.group.clone(), resource.version.clone(), resource.kind.clone());
    if let Some((_, name)) = built_in().kinds.get(&key) {
        return name.clone();
    }
    let reversed: Vec<&str> = resource.group.rsplit('.').collect();
    format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind)
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// The paths of a resource; kubectl looks there for which query parameters a kind's patch takes.
fn add_paths(paths: &mut serde_json::Map<String, Value>, resource: &Resource) {
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("/{}{scope}/{}", group_path(resource), resource.plural);
    let schema = json!({"schema": {"$ref": format!("{REF}{}", schema_name(resource))}});
    let operation = |action: &str, verb: &str| {
        let query = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
        let parameters: Vec<Value> = match verb {
            "list" => {
                ["labelSelector", "fieldSelector", "limit", "continue", "watch"].map(query).into()
            }
            "get" => vec![],
            "delete" => ["dryRun", "gracePeriodSeconds", "propagationPolicy"].map(query).into(),
            _ => ["dryRun", "fieldManager", "fieldValidation", "force"].map(query).into(),
        };
        json!({"operationId": format!("{verb}{}{}", resource.kind, resource.version),
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk(resource),
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": schema}}}})
    };
    let has = |verb: &str| resource.verbs.iter().any(|v| v == verb);
    let mut of_collection = serde_json::Map::new();
    let mut of_one = serde_json::Map::new();
    for (verb, action, method, one) in [
        ("list", "list", "get", false),
        ("create", "post", "post", false),
        ("get", "get", "get", true),
        ("update", "put", "put", true),
        ("patch", "patch", "patch", true),
        ("delete", "delete", "delete", true),
    ] {
        if has(verb) {
            let target = if one { &mut of_one } else { &mut of_collection };
            target.insert(method.to_owned(), operation(action, verb));
        }
    }
    if !of_one.is_empty() {
        paths.insert(format!("{collection}/{{name}}"), Value::Object(of_one));
    }
    paths.insert(collection, Value::Object(of_collection));
}
