//! What a namespace allows: it must be there and stay, limit ranges, quotas. Also gives services their addresses.

mod limits;
mod quota;
mod service;

use serde_json::{Value, json};

use super::{ApiError, dispatch::Call};

/// Admits (and completes) an object that is to be created.
pub(super) fn admit_new(call: &Call<'_>, object: &mut Value) -> Result<(), ApiError> {
    let key = call.resource.storage_key();
    let storage = call.state.storage();
    if call.resource.namespaced {
        namespace_stands(call, object)?;
    }
    match key.as_str() {
        "pods" => limits::apply(storage, object)?,
        "services" => service::allocate(storage, object)?,
        "persistentvolumeclaims" => default_storage_class(call, object),
        _ => {}
    }
    if call.resource.namespaced {
        quota::admit(storage, call.resource, object)?;
    }
    Ok(())
}

/// Admits a change.
pub(super) fn admit_change(call: &Call<'_>, _: &Value, new: &mut Value) -> Result<(), ApiError> {
    if call.resource.storage_key() == "services" {
        service::allocate(call.state.storage(), new)?;
    }
    Ok(())
}

fn namespace_stands(call: &Call<'_>, object: &Value) -> Result<(), ApiError> {
    let name = call.namespace().unwrap_or_default();
    let namespace = call
        .state
        .storage()
        .get("namespaces", None, name)
        .ok_or_else(|| ApiError::not_found("namespaces", name))?;
    if namespace["metadata"].get("deletionTimestamp").is_none() {
        return Ok(());
    }
    let resource = call.resource.qualified();
    let object_name = object["metadata"]["name"].as_str().unwrap_or_default();
    let why =
        format!("unable to create new content in namespace {name} because it is being terminated");
    let mut error = ApiError::forbidden(&resource, object_name, &why);
    if let Some(details) = &mut error.details {
        details["causes"] = json!([{"reason": "NamespaceTerminating",
            "message": format!("namespace {name} is being terminated"), "field": "metadata.namespace"}]);
    }
    Err(error)
}

fn default_storage_class(call: &Call<'_>, claim: &mut Value) {
    if claim["spec"].get("storageClassName").is_some() {
        return;
    }
    let (classes, _) = call.state.storage().list("storageclasses.storage.k8s.io", None);
    let is_default = |class: &Value| {
        class.pointer("/metadata/annotations/storageclass.kubernetes.io~1is-default-class")
            == Some(&json!("true"))
    };
    if let Some(class) = classes.iter().find(|class| is_default(class)) {
        claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
    }
}
