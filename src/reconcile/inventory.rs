//! Which objects kubemate applied for a unit, kept in a `ConfigMap` so that what git drops can be pruned.
//!
//! It is written before objects are applied, as the union of what was and what will be there: a kill in between never
//! leaves an object that nobody remembers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{ReconcileError, Reconciler, failed};
use crate::domain::ObjectRef;

/// Annotation of a record: the unit's name.
const UNIT: &str = "kubemate.dev/unit";

/// What is remembered of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inventory {
    /// Objects and, once applied, their UIDs.
    pub(super) objects: BTreeMap<ObjectRef, Option<String>>,
    /// Digest of the rendered unit that is fully applied; `None` while it is not.
    pub(super) applied: Option<String>,
}

impl Reconciler {
    pub(super) async fn inventory(&self, unit: &str) -> Result<Inventory, ReconcileError> {
        let object = self.inventory_object(unit);
        let Some(found) = self.get(&object).await? else { return Ok(Inventory::default()) };
        let text = found.pointer("/data/inventory").and_then(Value::as_str).unwrap_or("{}");
        serde_json::from_str(text).map_err(|error| ReconcileError::Refused {
            object,
            message: format!("the inventory cannot be read: {error}; restore or delete it"),
        })
    }

    /// Units that something was applied for.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn units(&self) -> Result<Vec<String>, ReconcileError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=kubemate");
        let found =
            api.list(&ours).await.map_err(|error| failed(&self.inventory_object(""), &error))?;
        let unit = |record: ConfigMap| record.metadata.annotations?.remove(UNIT);
        Ok(found.items.into_iter().filter_map(unit).collect())
    }

    pub(super) async fn write_inventory(
        &self,
        unit: &str,
        inventory: &Inventory,
    ) -> Result<(), ReconcileError> {
        let object = self.inventory_object(unit);
        let record = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": object.name,
                "namespace": object.namespace,
                "labels": {"app.kubernetes.io/managed-by": "kubemate"},
                "annotations": {UNIT: unit},
            },
            "data": {"inventory": serde_json::to_string(inventory).unwrap_or_default()},
        });
        match self.own(&object, &record).await {
            // the first write finds no namespace
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let name = &self.config.namespace;
                let namespace = ObjectRef::new("v1", "Namespace", None, name);
                let manifest =
                    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                self.own(&namespace, &manifest)
                    .await
                    .map_err(|error| failed(&namespace, &error))?;
                self.own(&object, &record).await
            }
            other => other,
        }
        .map_err(|error| failed(&object, &error))
    }

    /// Applies one of kubemate's own records.
    async fn own(&self, object: &ObjectRef, manifest: &Value) -> Result<(), kube::Error> {
        let params = PatchParams::apply("kubemate-inventory").force();
        let patch = Patch::Apply(manifest);
        if object.kind == "Namespace" {
            let api: Api<Namespace> = Api::all(self.client.clone());
            api.patch(&object.name, &params, &patch).await.map(drop)
        } else {
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.config.namespace);
            api.patch(&object.name, &params, &patch).await.map(drop)
        }
    }

    fn inventory_object(&self, unit: &str) -> ObjectRef {
        ObjectRef::new("v1", "ConfigMap", Some(&self.config.namespace), &record_name(unit))
    }
}

/// A name for the unit's record that Kubernetes accepts.
fn record_name(unit: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let clean: String = unit.chars().map(|c| if plain(c) { c } else { '-' }).take(180).collect();
    if clean == unit {
        return format!("inventory-{clean}");
    }
    // two units must not share a record
    let digest = hex::encode(Sha256::digest(unit.as_bytes()));
    format!("inventory-{}-{}", clean.trim_end_matches('-'), &digest[..8])
}

/// Digest of everything a unit declares.
pub(super) fn digest<'a>(manifests: impl Iterator<Item = &'a Value>) -> String {
    let mut sha = Sha256::new();
    for manifest in manifests {
        sha.update(manifest.to_string());
        sha.update([0]);
    }
    hex::encode(sha.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_names_are_valid_and_distinct() {
        assert_eq!(record_name("site-prod"), "inventory-site-prod");
        let (a, b) = (record_name("Site_Prod"), record_name("site-prod"));
        assert_ne!(a, b);
        assert!(record_name("商店").starts_with("inventory-"), "{}", record_name("商店"));
        assert!(record_name(&"x".repeat(400)).len() < 253);
    }
}
