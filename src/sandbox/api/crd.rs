//! Custom resource definitions: the resources they serve, and what the server itself says in their status.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    kinds::{Resource, Subresource},
    schema::TypesBuilder,
};
use crate::sandbox::storage::{Cause, time_text};

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The resources that a definition serves, one per served version.
pub(super) fn resources(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let texts = |v: &Value| -> Vec<String> {
        v.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = versions.iter().find(|v| v["storage"] == true).map(|v| text(&v["name"]));
    let served = versions.iter().filter(|v| v["served"] == true);
    served
        .map(|version| {
            let names = &spec["names"];
            let kind = text(&names["kind"]);
            let schema = version
                .pointer("/schema/openAPIV3Schema")
                .cloned()
                .unwrap_or_else(|| json!({"type": "object"}));
            let mut builder = TypesBuilder::custom();
            let id = builder.add(&with_object_fields(schema.clone()));
            builder.define_object_meta();
            Resource {
                group: text(&spec["group"]),
                version: text(&version["name"]),
                plural: text(&names["plural"]),
                singular: names["singular"]
                    .as_str()
                    .map_or_else(|| kind.to_lowercase(), str::to_owned),
                namespaced: spec["scope"] == "Namespaced",
                verbs: VERBS.map(str::to_owned).to_vec(),
                short_names: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                subresources: subresources(version, &kind),
                types: Some((Arc::new(builder.finish()), id)),
                schema_source: Some(Arc::new(schema)),
                columns: version["additionalPrinterColumns"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default(),
                scale: version.pointer("/subresources/scale").cloned(),
                stored_version: stored.clone(),
                kind,
            }
        })
        .collect()
}

/// Every object has these, whether its schema says so or not.
fn with_object_fields(mut schema: Value) -> Value {
    schema["type"] = "object".into();
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema["properties"]["metadata"] = json!({"$ref": "ObjectMeta"});
    schema
}

fn subresources(version: &Value, kind: &str) -> Vec<Subresource> {
    let verbs = || vec!["get".to_owned(), "patch".to_owned(), "update".to_owned()];
    let mut made = Vec::new();
    if version.pointer("/subresources/status").is_some() {
        let (name, kind) = ("status".to_owned(), kind.to_owned());
        made.push(Subresource { name, kind, group: None, version: None, verbs: verbs() });
    }
    if version.pointer("/subresources/scale").is_some() {
        made.push(Subresource {
            name: "scale".into(),
            kind: "Scale".into(),
            group: Some("autoscaling".into()),
            version: Some("v1".into()),
            verbs: verbs(),
        });
    }
    made
}

/// Fills what the server decides: defaults of the names, and a status that says the kind is served.
pub(super) fn accept(definition: &mut Value, now: jiff::Timestamp) {
    let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let names = &mut definition["spec"]["names"];
    if names["singular"].as_str().unwrap_or_default().is_empty() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names["listKind"].as_str().unwrap_or_default().is_empty() {
        names["listKind"] = format!("{kind}List").into();
    }
    let names = names.clone();
    if definition["spec"]["conversion"].is_null() {
        definition["spec"]["conversion"] = json!({"strategy": "None"});
    }
    let stored: Vec<Value> = definition["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|v| v["storage"] == true)
        .map(|v| v["name"].clone())
        .collect();
    if definition
        .pointer("/status/conditions")
        .is_some_and(|c| c.as_array().is_some_and(|c| !c.is_empty()))
    {
        definition["status"]["acceptedNames"] = names;
        definition["status"]["storedVersions"] = stored.into();
        return;
    }
    let now = time_text(now);
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message});
    definition["status"] = json!({
        "acceptedNames": names,
        "storedVersions": stored,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
    });
}

/// What is wrong with a definition, beyond its types.
pub(super) fn problems(definition: &Value) -> Vec<Cause> {
    let spec = &definition["spec"];
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let mut causes = Vec::new();
    let wanted = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    if definition["metadata"]["name"] != wanted.as_str() {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &definition["metadata"]["name"], why));
    }
    for (field, value) in [
        ("spec.group", &spec["group"]),
        ("spec.names.plural", &spec["names"]["plural"]),
        ("spec.names.kind", &spec["names"]["kind"]),
    ] {
        if text(value).is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
    let scopes = ["Cluster", "Namespaced"];
    if !scopes.contains(&text(&spec["scope"]).as_str()) {
        causes.push(Cause::not_supported("spec.scope", &spec["scope"], &scopes));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions.iter().filter(|v| v["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &spec["versions"], why));
    }
    for (i, version) in versions.iter().enumerate() {
        let field = format!("spec.versions[{i}].schema.openAPIV3Schema");
        let Some(schema) = version.pointer("/schema/openAPIV3Schema") else {
            causes.push(Cause::required(field, "schemas are required"));
            continue;
        };
        if schema["type"] != "object" {
            let why = "must be object at the root";
            causes.push(Cause::invalid(format!("{field}.type"), &schema["type"], why));
        }
    }
    causes
}
