//! Delete and deletecollection.

use serde_json::{Value, json};

use super::{
    ApiError, body,
    dispatch::Call,
    read,
    respond::{self, Reply},
    versions,
};
use crate::sandbox::storage::{DeleteOptions, Deleted, Propagation};

/// Reads `DeleteOptions` from body and query; the query counts only where the body says nothing.
fn options(call: &Call<'_>, bytes: &[u8]) -> Result<DeleteOptions, ApiError> {
    let given =
        if bytes.is_empty() { Value::Null } else { body::decode(call.headers, bytes)?.value };
    let query = &call.info.query;
    let text = |pointer: &str| given.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let policy =
        text("/propagationPolicy").or_else(|| query.get("propagationPolicy").map(str::to_owned));
    let propagation = match policy.as_deref() {
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Background") => Some(Propagation::Background),
        Some("Orphan") => Some(Propagation::Orphan),
        Some(other) => {
            let message = format!(
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"{other}\": supported values: \"Background\", \"Foreground\", \"Orphan\""
            );
            return Err(ApiError::new(422, "Invalid", message));
        }
        None if given["orphanDependents"] == true
            || query.get("orphanDependents") == Some("true") =>
        {
            Some(Propagation::Orphan)
        }
        None => None,
    };
    let grace = given["gracePeriodSeconds"].as_i64();
    let dry = given["dryRun"].as_array().is_some_and(|list| list.iter().any(|v| v == "All"));
    Ok(DeleteOptions {
        uid: text("/preconditions/uid"),
        resource_version: text("/preconditions/resourceVersion"),
        propagation,
        grace_seconds: grace.or(query.number("gracePeriodSeconds")?),
        dry_run: dry || query.dry_run()?,
    })
}

/// Deletes one object: answers a `Status` when it is gone, the object while something holds it.
pub(super) fn delete(call: &Call<'_>, bytes: &[u8]) -> Result<Reply, ApiError> {
    let options = options(call, bytes)?;
    let resource = call.resource;
    let storage = call.state.storage();
    protect(call)?;
    let deleted = storage
        .delete(&resource.storage_key(), call.namespace(), call.name(), &options)
        .map_err(|error| {
            if error.code == 404 {
                ApiError::not_found(&resource.qualified(), call.name())
            } else {
                error
            }
        })?;
    match deleted {
        Deleted::Pending(object) => Ok(respond::json(200, &versions::present(resource, &object))),
        // pods and a few others answer with their last state, as real servers do
        Deleted::Gone(object)
            if matches!(resource.plural.as_str(), "pods" | "services" | "serviceaccounts") =>
        {
            Ok(respond::json(200, &versions::present(resource, &object)))
        }
        Deleted::Gone(object) => Ok(respond::json(200, &success(call, &object))),
    }
}

fn success(call: &Call<'_>, object: &Value) -> Value {
    let mut details = json!({"name": call.name(), "kind": call.resource.plural, "uid": object["metadata"]["uid"]});
    if !call.resource.group.is_empty() {
        details["group"] = call.resource.group.as_str().into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// Some namespaces cannot be deleted.
fn protect(call: &Call<'_>) -> Result<(), ApiError> {
    let protected =
        matches!(call.name(), "default" | "kube-system" | "kube-public" | "kube-node-lease");
    if call.resource.plural == "namespaces" && call.resource.group.is_empty() && protected {
        return Err(ApiError::forbidden(
            "namespaces",
            call.name(),
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

/// Deletes all objects of a selection.
pub(super) fn delete_collection(call: &Call<'_>, bytes: &[u8]) -> Result<Reply, ApiError> {
    let options = options(call, bytes)?;
    let selector = read::selector(call)?;
    let resource = call.resource;
    let storage = call.state.storage();
    let key = resource.storage_key();
    let (objects, revision) = storage.list(&key, call.namespace());
    let mut items = Vec::new();
    for object in objects.iter().filter(|object| selector.matches(object)) {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        match storage.delete(&key, metadata["namespace"].as_str(), name, &options) {
            Ok(Deleted::Gone(object) | Deleted::Pending(object)) => {
                items.push(versions::present(resource, &object).into_owned());
            }
            // somebody else was faster
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let list = json!({"kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": revision.to_string()}, "items": items});
    Ok(respond::json(200, &list))
}
