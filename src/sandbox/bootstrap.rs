//! What a new sandbox holds before anybody does anything: the usual namespaces, machines, and the scenario's objects.

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    resource::resource_for,
    scenario::{NodeSpec, Scenario},
    storage::Storage,
};

const STORAGE_CLASSES: &str = "storageclasses.storage.k8s.io";

/// Fills an empty storage.
///
/// # Errors
/// When an object of the scenario is not one, or there twice.
pub(super) fn fill(storage: &Storage, scenario: &Scenario) -> anyhow::Result<()> {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        storage.create("namespaces", namespace(name))?;
    }
    for (number, spec) in scenario.nodes.iter().enumerate() {
        let adding = || format!("adding the node {}", spec.name);
        storage.create("nodes", node(spec, number)).with_context(adding)?;
    }
    // definitions first: they say what the resources of the other objects are called
    let is_definition = |object: &&Value| object["kind"] == "CustomResourceDefinition";
    let (first, then): (Vec<&Value>, Vec<&Value>) =
        scenario.cluster.iter().partition(is_definition);
    for object in first.into_iter().chain(then) {
        add(storage, object)?;
    }
    if storage.count(STORAGE_CLASSES, None) == 0 {
        storage.create(STORAGE_CLASSES, storage_class())?;
    }
    Ok(())
}

fn add(storage: &Storage, object: &Value) -> anyhow::Result<()> {
    let field = |name: &str| object[name].as_str().unwrap_or_default();
    let resource = resource_for(storage, field("apiVersion"), field("kind"));
    let mut object = object.clone();
    if object["kind"] == "Namespace" {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if storage.get("namespaces", None, &name).is_some() {
            return Ok(());
        }
        let mut whole = namespace(&name);
        for field in ["labels", "annotations"] {
            for (key, value) in object["metadata"][field].as_object().into_iter().flatten() {
                whole["metadata"][field][key] = value.clone();
            }
        }
        object = whole;
    }
    let what = format!("{} {}", object["kind"], object["metadata"]["name"]);
    storage
        .create(&resource, object)
        .with_context(|| format!("adding the scenario's cluster object {what}"))?;
    Ok(())
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
        "spec": { "finalizers": ["kubernetes"] },
        "status": { "phase": "Active" },
    })
}

fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "sandbox.local/hostpath",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": true,
    })
}

fn node(spec: &NodeSpec, number: usize) -> Value {
    let name = &spec.name;
    let mut labels = json!({
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
    });
    if let Some(zone) = &spec.zone {
        labels["topology.kubernetes.io/zone"] = zone.as_str().into();
    }
    for (key, value) in &spec.labels {
        labels[key] = value.as_str().into();
    }
    let mut resources = json!({
        "cpu": spec.cpu,
        "memory": spec.memory,
        "pods": spec.pods.to_string(),
        "ephemeral-storage": "100Gi",
    });
    for (resource, amount) in &spec.resources {
        resources[resource] = amount.as_str().into();
    }
    // one /24 of pods per node, spread over 10.128.0.0/9 so that thousands fit
    let cidr = format!("10.{}.{}.0/24", 128 + (number / 256) % 128, number % 256);
    let mut made = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": labels },
        "spec": { "podCIDR": cidr, "podCIDRs": [cidr], "providerID": format!("sandbox://{name}") },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                { "type": "InternalIP", "address": format!("172.18.{}.{}", number / 250, 2 + number % 250) },
                { "type": "Hostname", "address": name },
            ],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "kubemate sandbox",
                "kernelVersion": "6.1.0",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": "v1.36.1",
                "kubeProxyVersion": "",
                "bootID": "", "machineID": "", "systemUUID": "",
            },
        },
    });
    if !spec.taints.is_empty() {
        made["spec"]["taints"] = spec.taints.clone().into();
    }
    made
}
