//! Persistent volume claims: each is bound to a volume made for it by its storage class.

use serde_json::{Value, json};

use super::{
    object::{Key, Object, annotation, is_deleting, name, namespace, set, text, uid},
    quantity::Quantity,
    view::{Plan, View},
};

const FROM: &str = "persistentvolume-controller";
const CLASSES: &str = "storageclasses.storage.k8s.io";
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Binds one claim, grows its volume, or says what it waits for.
pub(crate) fn reconcile(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(claim) = view.at(key).filter(|claim| !is_deleting(claim)) else { return plan };
    if text(&claim, "/status/phase") == "Bound" {
        grow(view, key, &claim, &mut plan);
        return plan;
    }
    let mut after = (*claim).clone();
    if text(&after, "/status/phase").is_empty() {
        after["status"] = json!({ "phase": "Pending" });
    }
    if let Some(existing) = matching_volume(view, &claim) {
        bind(key, &claim, after, &existing, &mut plan);
        return plan;
    }
    match class_of(view, &claim) {
        None => {
            let message = if text(&claim, "/spec/storageClassName").is_empty() {
                "no persistent volumes available for this claim and no storage class is set"
                    .to_owned()
            } else {
                let class = text(&claim, "/spec/storageClassName");
                format!("storageclass.storage.k8s.io \"{class}\" not found")
            };
            let reason =
                if message.starts_with("no ") { "FailedBinding" } else { "ProvisioningFailed" };
            plan.normal(FROM, &claim, reason, message);
            plan.replace(key, &claim, after);
        }
        Some(_) if waits_for_pod(view, &claim) && !is_wanted(view, &claim) => {
            let message = "waiting for first consumer to be created before binding".to_owned();
            plan.normal(FROM, &claim, "WaitForFirstConsumer", message);
            plan.replace(key, &claim, after);
        }
        Some(class) => provision(key, &claim, after, &class, &mut plan),
    }
    plan
}

/// Whether the claim's class binds only once a pod wants it.
pub(crate) fn waits_for_pod(view: &View<'_>, claim: &Value) -> bool {
    class_of(view, claim)
        .is_some_and(|class| text(&class, "/volumeBindingMode") == "WaitForFirstConsumer")
}

/// The claim's storage class: the named one, or the default where none is named.
fn class_of(view: &View<'_>, claim: &Value) -> Option<Object> {
    match claim.pointer("/spec/storageClassName").and_then(Value::as_str) {
        Some("") => None,
        Some(class) => view.get(CLASSES, "", class),
        None => {
            view.list(CLASSES, "").into_iter().find(|class| annotation(class, DEFAULT) == "true")
        }
    }
}

fn is_wanted(view: &View<'_>, claim: &Value) -> bool {
    view.list("pods", namespace(claim)).iter().any(|pod| {
        super::object::items(pod, "/spec/volumes")
            .iter()
            .any(|volume| text(volume, "/persistentVolumeClaim/claimName") == name(claim))
    })
}

/// An available volume made by hand that fits.
fn matching_volume(view: &View<'_>, claim: &Value) -> Option<Object> {
    let wanted = claim.pointer("/spec/resources/requests/storage").and_then(Quantity::read)?;
    view.list("persistentvolumes", "").into_iter().find(|volume| {
        let free = matches!(text(volume, "/status/phase"), "" | "Available");
        let size = volume.pointer("/spec/capacity/storage").and_then(Quantity::read);
        let meant = match text(claim, "/spec/volumeName") {
            "" => text(volume, "/spec/storageClassName") == text(claim, "/spec/storageClassName"),
            wanted => wanted == name(volume),
        };
        let reserved = volume.pointer("/spec/claimRef").is_none_or(|claim_ref| {
            claim_ref["name"] == name(claim) && claim_ref["namespace"] == namespace(claim)
        });
        free && meant && reserved && size.is_some_and(|size| size >= wanted)
    })
}

/// Makes a volume for the claim and binds them.
fn provision(key: &Key, claim: &Object, after: Value, class: &Value, plan: &mut Plan) {
    let volume = format!("pvc-{}", uid(claim));
    let policy = match text(class, "/reclaimPolicy") {
        "" => "Delete",
        policy => policy,
    };
    let mode = claim["spec"]["volumeMode"].as_str().unwrap_or("Filesystem");
    let made = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume,
            "annotations": { "pv.kubernetes.io/provisioned-by": class["provisioner"] },
        },
        "spec": {
            "capacity": { "storage": claim["spec"]["resources"]["requests"]["storage"] },
            "accessModes": claim["spec"]["accessModes"],
            "claimRef": super::view::reference(claim),
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": name(class),
            "volumeMode": mode,
            "hostPath": { "path": format!("/var/lib/sandbox/{volume}"), "type": "DirectoryOrCreate" },
        },
        "status": { "phase": "Bound" },
    });
    plan.create(made.clone());
    bind(key, claim, after, &made, plan);
    let message = format!("Successfully provisioned volume {volume}");
    plan.normal(FROM, claim, "ProvisioningSucceeded", message);
}

/// Ties a claim to a volume, on both sides.
fn bind(key: &Key, claim: &Object, mut after: Value, volume: &Value, plan: &mut Plan) {
    after["spec"]["volumeName"] = name(volume).into();
    if after["spec"].get("storageClassName").is_none() {
        after["spec"]["storageClassName"] = volume["spec"]["storageClassName"].clone();
    }
    after["status"] = json!({
        "phase": "Bound",
        "accessModes": claim["spec"]["accessModes"],
        "capacity": volume["spec"]["capacity"],
    });
    set(&mut after, &["metadata", "annotations", "pv.kubernetes.io/bind-completed"], "yes".into());
    plan.replace(key, claim, after);
    if volume["metadata"].get("resourceVersion").is_some() {
        let seen = Object::new(volume.clone());
        let mut bound = volume.clone();
        bound["spec"]["claimRef"] = super::view::reference(claim);
        set(&mut bound, &["status", "phase"], "Bound".into());
        plan.replace(&Key::new("persistentvolumes", "", name(volume)), &seen, bound);
    }
}

/// A bound claim that asks for more gets it, where its class allows.
fn grow(view: &View<'_>, key: &Key, claim: &Object, plan: &mut Plan) {
    let wanted = claim.pointer("/spec/resources/requests/storage");
    let held = claim.pointer("/status/capacity/storage");
    let (Some(want), Some(have)) = (wanted.and_then(Quantity::read), held.and_then(Quantity::read))
    else {
        return;
    };
    let allowed = class_of(view, claim).is_some_and(|class| class["allowVolumeExpansion"] == true);
    if want <= have || !allowed {
        return;
    }
    let mut after = (**claim).clone();
    after["status"]["capacity"]["storage"] = wanted.cloned().unwrap_or_default();
    plan.replace(key, claim, after);
    if let Some(volume) = view.get("persistentvolumes", "", text(claim, "/spec/volumeName")) {
        let mut grown = (*volume).clone();
        grown["spec"]["capacity"]["storage"] = wanted.cloned().unwrap_or_default();
        plan.replace(&Key::new("persistentvolumes", "", name(&volume)), &volume, grown);
    }
    let message = "MountVolume.NodeExpandVolume succeeded for volume".to_owned();
    plan.normal("kubelet", claim, "FileSystemResizeSuccessful", message);
}

/// A volume whose claim is gone is deleted or released, as its policy says.
pub(crate) fn reclaim(view: &View<'_>, key: &Key) -> Plan {
    let mut plan = Plan::default();
    let Some(volume) = view.at(key).filter(|volume| text(volume, "/status/phase") == "Bound")
    else {
        return plan;
    };
    let claim_ref = &volume["spec"]["claimRef"];
    let claim =
        view.get("persistentvolumeclaims", text(claim_ref, "/namespace"), text(claim_ref, "/name"));
    if claim.is_some_and(|claim| claim_ref["uid"].is_null() || claim_ref["uid"] == uid(&claim)) {
        return plan;
    }
    if text(&volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" {
        plan.delete("persistentvolumes", &volume);
    } else {
        let mut released = (*volume).clone();
        released["status"]["phase"] = "Released".into();
        plan.replace(key, &volume, released);
    }
    plan
}
