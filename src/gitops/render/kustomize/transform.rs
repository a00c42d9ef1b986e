//! The transformations of a layer, in Kustomize's order.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Result,
    field::FieldSpec,
    layer::{Item, Layer},
    patch, replace,
    resource::Resource,
};

/// Transforms every resource of a layer.
pub(super) fn run(layer: &Layer<'_>, resources: &mut Vec<Resource>) -> Result<()> {
    patch::early(layer, resources)?;
    namespace(layer, resources)?;
    affixes(layer, resources)?;
    labels(layer, resources)?;
    annotations(layer, resources)?;
    patch::late(layer, resources)?;
    replicas(layer, resources)?;
    images(layer, resources)?;
    replace::run(layer, resources)
}

fn namespace(layer: &Layer<'_>, resources: &mut [Resource]) -> Result<()> {
    let namespace = layer.string("namespace")?;
    if namespace.is_empty() {
        return Ok(());
    }
    let specs = [
        FieldSpec::new("apiregistration.k8s.io", "APIService", "spec/service/namespace", true),
        FieldSpec::new(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            "spec/conversion/webhook/clientConfig/service/namespace",
            false,
        ),
    ];
    for resource in resources.iter_mut() {
        resource.remember();
        let id = resource.id();
        if id.namespace.is_some() {
            resource.metadata().insert("namespace".to_owned(), json!(namespace));
        }
        if id.is("", "v1", "Namespace") && id.group.is_empty() {
            resource.metadata().insert("name".to_owned(), json!(namespace));
        }
        if matches!(id.kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
            let subjects =
                resource.manifest.value.get_mut("subjects").and_then(Value::as_array_mut);
            for subject in subjects.into_iter().flatten() {
                if subject.get("name").and_then(Value::as_str) == Some("default") {
                    subject["namespace"] = json!(namespace);
                }
            }
        }
        write(resource, &specs, &mut |value| {
            *value = json!(namespace);
            Ok(())
        })?;
    }
    for (index, resource) in resources.iter().enumerate() {
        if resources[..index].iter().any(|other| other.id() == resource.id()) {
            return layer.fail(
                "/namespace",
                format!("in this namespace there would be two {}", resource.id()),
            );
        }
    }
    Ok(())
}

fn affixes(layer: &Layer<'_>, resources: &mut [Resource]) -> Result<()> {
    let (prefix, suffix) = (layer.string("namePrefix")?, layer.string("nameSuffix")?);
    let skipped = |resource: &Resource| {
        let id = resource.original();
        id.kind == "CustomResourceDefinition"
            || id.kind == "Namespace"
            || id.is("apiregistration.k8s.io", "", "APIService")
    };
    for resource in resources.iter_mut().filter(|resource| !skipped(resource)) {
        if !prefix.is_empty() {
            resource.prefixes.push(prefix.to_owned());
            let name = format!("{prefix}{}", resource.name());
            resource.rename(&name);
        }
        if !suffix.is_empty() {
            resource.suffixes.push(suffix.to_owned());
            let name = format!("{}{suffix}", resource.name());
            resource.rename(&name);
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Labels {
    #[serde(default)]
    pairs: BTreeMap<String, String>,
    #[serde(default)]
    include_selectors: bool,
    #[serde(default)]
    include_templates: bool,
    #[serde(default)]
    fields: Vec<FieldSpec>,
}

fn labels(layer: &Layer<'_>, resources: &mut [Resource]) -> Result<()> {
    let mut all = layer.list::<Labels>("labels")?;
    let common: BTreeMap<String, String> = layer.one("commonLabels")?;
    all.push(Item {
        value: Labels {
            pairs: common,
            include_selectors: true,
            include_templates: true,
            fields: Vec::new(),
        },
        pointer: "/commonLabels".to_owned(),
    });
    for Item { value: labels, .. } in all {
        let mut specs = labels.fields;
        if labels.include_selectors {
            specs.extend(selector_specs());
        }
        if labels.include_selectors || labels.include_templates {
            specs.extend(template_specs("labels"));
            specs.push(FieldSpec::new(
                "apps",
                "StatefulSet",
                "spec/volumeClaimTemplates[]/metadata/labels",
                true,
            ));
        }
        specs.push(FieldSpec::new("", "", "metadata/labels", true));
        set_pairs(resources, &specs, &labels.pairs)?;
    }
    Ok(())
}

fn annotations(layer: &Layer<'_>, resources: &mut [Resource]) -> Result<()> {
    let pairs: BTreeMap<String, String> = layer.one("commonAnnotations")?;
    let mut specs = template_specs("annotations");
    specs.push(FieldSpec::new("", "", "metadata/annotations", true));
    set_pairs(resources, &specs, &pairs)
}

/// Labels or annotations of the pods that a workload makes.
fn template_specs(field: &str) -> Vec<FieldSpec> {
    let mut specs: Vec<FieldSpec> =
        ["ReplicationController", "Deployment", "ReplicaSet", "DaemonSet"]
            .iter()
            .map(|kind| FieldSpec::new("", kind, &format!("spec/template/metadata/{field}"), true))
            .collect();
    for (group, kind, path) in [
        ("apps", "StatefulSet", "spec/template/metadata"),
        ("batch", "Job", "spec/template/metadata"),
        ("batch", "CronJob", "spec/jobTemplate/metadata"),
        ("batch", "CronJob", "spec/jobTemplate/spec/template/metadata"),
    ] {
        specs.push(FieldSpec::new(group, kind, &format!("{path}/{field}"), true));
    }
    specs
}

/// Selectors that must go along with the labels of pods.
fn selector_specs() -> Vec<FieldSpec> {
    let mut specs = vec![
        FieldSpec {
            version: "v1".to_owned(),
            ..FieldSpec::new("", "Service", "spec/selector", true)
        },
        FieldSpec {
            version: "v1".to_owned(),
            ..FieldSpec::new("", "ReplicationController", "spec/selector", true)
        },
        FieldSpec::new("apps", "StatefulSet", "spec/selector/matchLabels", true),
        FieldSpec::new("batch", "Job", "spec/selector/matchLabels", false),
        FieldSpec::new("batch", "CronJob", "spec/jobTemplate/spec/selector/matchLabels", false),
        FieldSpec::new("policy", "PodDisruptionBudget", "spec/selector/matchLabels", false),
    ];
    for kind in ["Deployment", "ReplicaSet", "DaemonSet"] {
        specs.push(FieldSpec::new("", kind, "spec/selector/matchLabels", true));
    }
    for path in ["spec/podSelector", "spec/ingress/from/podSelector", "spec/egress/to/podSelector"]
    {
        let path = format!("{path}/matchLabels");
        specs.push(FieldSpec::new("networking.k8s.io", "NetworkPolicy", &path, false));
    }
    let preferred =
        "preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels";
    let required = "requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels";
    for kind in ["Deployment", "StatefulSet"] {
        for affinity in ["podAffinity", "podAntiAffinity"] {
            for term in [preferred, required] {
                let path = format!("spec/template/spec/affinity/{affinity}/{term}");
                specs.push(FieldSpec::new("apps", kind, &path, false));
            }
        }
        let path = "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels";
        specs.push(FieldSpec::new("apps", kind, path, false));
    }
    specs
}

fn set_pairs(
    resources: &mut [Resource],
    specs: &[FieldSpec],
    pairs: &BTreeMap<String, String>,
) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    for resource in resources {
        write(resource, specs, &mut |value| {
            if value.is_null() {
                *value = Value::Object(Map::new());
            }
            if let Value::Object(map) = value {
                map.extend(pairs.iter().map(|(key, value)| (key.clone(), json!(value))));
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Visits the fields of a resource that the specs name.
fn write(
    resource: &mut Resource,
    specs: &[FieldSpec],
    set: &mut dyn FnMut(&mut Value) -> Result<()>,
) -> Result<()> {
    let id = resource.id();
    let mut specs = specs.iter().filter(|spec| spec.is_for(&id));
    specs.try_for_each(|spec| spec.visit(&mut resource.manifest.value, set))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replicas {
    name: String,
    count: u32,
}

fn replicas(layer: &Layer<'_>, resources: &mut [Resource]) -> Result<()> {
    const KINDS: [&str; 4] = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"];
    for Item { value: Replicas { name, count }, pointer } in layer.list("replicas")? {
        let mut found = false;
        for resource in resources.iter_mut() {
            let named = resource
                .ids()
                .iter()
                .any(|id| id.name == name && KINDS.contains(&id.kind.as_str()));
            if named {
                found = true;
                FieldSpec::new("", "", "spec/replicas", true).visit(
                    &mut resource.manifest.value,
                    &mut |value| {
                        *value = json!(count);
                        Ok(())
                    },
                )?;
            }
        }
        if !found {
            return layer.fail(&pointer, format!("there is no workload '{name}' with replicas"));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[derive(Default)]
struct Image {
    name: String,
    new_name: String,
    new_tag: String,
    tag_suffix: String,
    digest: String,
}

impl Image {
    /// The changed reference; `None` when it is another image.
    fn change(&self, reference: &str, pattern: &Regex) -> Option<String> {
        if !pattern.is_match(reference) {
            return None;
        }
        let (named, digest) =
            reference.split_once('@').map_or((reference, ""), |(name, digest)| (name, digest));
        let slash = named.rfind('/').map_or(0, |at| at + 1);
        let colon = named[slash..].find(':').map(|at| at + slash);
        let (mut name, mut tag) =
            colon.map_or((named, String::new()), |at| (&named[..at], named[at + 1..].to_owned()));
        let mut digest = digest.to_owned();
        if !self.new_name.is_empty() {
            name = &self.new_name;
        }
        if !self.new_tag.is_empty() || !self.digest.is_empty() {
            tag.clone_from(&self.new_tag);
            digest.clone_from(&self.digest);
        } else if !self.tag_suffix.is_empty() {
            tag.push_str(&self.tag_suffix);
            digest.clear();
        }
        let mut changed = name.to_owned();
        for (sign, part) in [(':', tag), ('@', digest)] {
            if !part.is_empty() {
                changed.push(sign);
                changed.push_str(&part);
            }
        }
        Some(changed)
    }
}

fn images(layer: &Layer<'_>, resources: &mut [Resource]) -> Result<()> {
    let mut all = layer.list::<Image>("images")?;
    all.extend(layer.list::<Image>("imageTags")?);
    for Item { value: image, pointer } in all {
        // the name is a pattern to Kustomize, too
        let pattern =
            format!("^(?:{})(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
        let pattern = Regex::new(&pattern).or_else(|_| {
            layer.fail(&pointer, format!("'{}' is no name of an image", image.name))
        })?;
        let others = [
            FieldSpec::new("", "", "spec/volumes[]/image/reference", false),
            FieldSpec::new("", "", "spec/template/spec/volumes[]/image/reference", false),
        ];
        for resource in
            resources.iter_mut().filter(|resource| resource.id().kind != "CustomResourceDefinition")
        {
            let mut set = |value: &mut Value| {
                if let Some(changed) = value.as_str().and_then(|text| image.change(text, &pattern))
                {
                    *value = json!(changed);
                }
            };
            containers(&mut resource.manifest.value, &mut set);
            write(resource, &others, &mut |value| {
                set(value);
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Every image of every list called `containers` or `initContainers`, however deep.
fn containers(value: &mut Value, set: &mut dyn FnMut(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| containers(item, set)),
        Value::Object(map) => {
            for (key, value) in map {
                containers(value, set);
                if let ("containers" | "initContainers", Value::Array(items)) =
                    (key.as_str(), value)
                {
                    items.iter_mut().filter_map(|item| item.get_mut("image")).for_each(&mut *set);
                }
            }
        }
        _ => {}
    }
}
