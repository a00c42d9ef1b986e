//! Create, update and patch: one pipeline from a body to a stored object.
//!
//! decode -> check fields -> (patch) -> settle what this path may change -> default -> admit -> validate -> record field
//! managers -> store. A dry run goes the whole way and stores nothing.

use axum::http::header;
use serde_json::{Value, json};

use super::{
    ApiError, admission, body, crd, defaults,
    dispatch::Call,
    incoming::{accept, untyped},
    kinds::CRDS,
    managed::{self, Writer},
    merge, patch, read,
    request::Form,
    respond::{self, Reply},
    strategic, validate, versions,
};
use crate::sandbox::storage::Mode;

/// How a write is to be done.
pub(super) struct Options {
    pub(super) mode: Mode,
    pub(super) manager: String,
    pub(super) force: bool,
    pub(super) validation: FieldValidation,
}

/// What happens to unknown and duplicate fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldValidation {
    /// They are refused.
    Strict,
    /// The client is warned.
    Warn,
    /// Nothing is said.
    Ignore,
}

impl Options {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, ApiError> {
        let query = &call.info.query;
        let validation = match query.get("fieldValidation") {
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Warn") | None => FieldValidation::Warn,
            Some(other) => {
                let message = format!(
                    "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
                );
                return Err(ApiError::new(422, "Invalid", message));
            }
        };
        Ok(Self {
            mode: if query.dry_run()? { Mode::DryRun } else { Mode::Write },
            manager: manager(call),
            force: query.is_true("force"),
            validation,
        })
    }
}

/// `fieldManager`, or the first word of the user agent.
fn manager(call: &Call<'_>) -> String {
    let agent = call.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok());
    let named = call.info.query.get("fieldManager");
    let name = named.or_else(|| agent?.split('/').next()).filter(|name| !name.is_empty());
    name.unwrap_or("unknown").chars().take(128).collect()
}

/// Creates an object.
pub(super) fn create(call: &Call<'_>, bytes: &[u8], form: Form) -> Result<Reply, ApiError> {
    let options = Options::of(call)?;
    let decoded = body::decode(call.headers, bytes)?;
    let incoming = accept(call, decoded, &options)?;
    let made = store_new(call, incoming.object, &options, None)?;
    let shown = read::in_form(call, &made, form);
    Ok(respond::with_warnings(respond::json(201, &shown), &incoming.warnings))
}

/// Stores an object of the requested version; `applied` is the set of fields of an apply.
fn store_new(
    call: &Call<'_>,
    object: Value,
    options: &Options,
    applied: Option<&Value>,
) -> Result<Value, ApiError> {
    let resource = call.resource;
    let storage = call.state.storage();
    let mut object = versions::to_stored(resource, object);
    prepare_new(call, &mut object)?;
    let writer = Writer { call, options, subresource: None };
    let stored = storage
        .create_with(&resource.storage_key(), object, options.mode, |object| {
            defaults::defaults(resource, object);
            defaults::initial_status(resource, object);
            admission::admit_new(call, object)?;
            if resource.storage_key() == CRDS {
                crd::accept(object, storage.clock().now());
            }
            validate::new_object(resource, object)?;
            match applied {
                Some(config) => managed::applied_new(&writer, object, config),
                None => managed::updated(&writer, &json!({}), object),
            }
            Ok(())
        })
        .map_err(|error| rename(call, error))?;
    Ok(versions::present(resource, &stored).into_owned())
}

/// Storage names events by one resource; messages name the requested one.
fn rename(call: &Call<'_>, mut error: ApiError) -> ApiError {
    let (key, shown) = (call.resource.storage_key(), call.resource.qualified());
    if key != shown {
        error.message = error.message.replacen(&key, &shown, 1);
    }
    error
}

/// Name, namespace and what a new object must not bring along.
fn prepare_new(call: &Call<'_>, object: &mut Value) -> Result<(), ApiError> {
    let resource = call.resource;
    let text =
        |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    if text(object, "name").is_empty() {
        let prefix = text(object, "generateName");
        if prefix.is_empty() {
            let cause = super::Cause::required("metadata.name", "name or generateName is required");
            return Err(ApiError::invalid(&resource.kind, &resource.group, "", &[cause]));
        }
        object["metadata"]["name"] = generated_name(&prefix).into();
    }
    if !text(object, "resourceVersion").is_empty() {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for key in ["uid", "managedFields", "selfLink"] {
            metadata.shift_remove(key);
        }
    }
    if resource.has_status()
        && resource.plural != "nodes"
        && let Some(object) = object.as_object_mut()
    {
        object.shift_remove("status");
    }
    Ok(())
}

/// A name that is most likely free.
pub(super) fn generated_name(prefix: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random: [u8; 5] = rand::random();
    let tail = random.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    let head: String = prefix.chars().take(58).collect();
    head + &String::from_iter(tail)
}

/// Replaces an object.
pub(super) fn update(call: &Call<'_>, bytes: &[u8], form: Form) -> Result<Reply, ApiError> {
    let options = Options::of(call)?;
    let decoded = body::decode(call.headers, bytes)?;
    let incoming = accept(call, decoded, &options)?;
    let new = incoming.object;
    let changed = change(call, &options, |_| Ok(Changed::Updated(new)))?;
    let shown = read::in_form(call, &changed, form);
    Ok(respond::with_warnings(respond::json(200, &shown), &incoming.warnings))
}

/// Patches an object in one of the four ways.
pub(super) fn patch(call: &Call<'_>, bytes: &[u8], form: Form) -> Result<Reply, ApiError> {
    let options = Options::of(call)?;
    let mut warnings = Vec::new();
    let media = body::media_type(call.headers);
    if media == "application/apply-patch+yaml" {
        return apply(call, bytes, &options, form);
    }
    if options.force {
        let cause = super::Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid("PatchOptions", "meta.k8s.io", "", &[cause]));
    }
    let changed = change(call, &options, |current| {
        let mut new = current.clone();
        let mut duplicates = Vec::new();
        match media {
            "application/json-patch+json" => new = patch::json_patch(current, bytes)?,
            "application/merge-patch+json" => {
                let decoded = body::json(bytes)?;
                duplicates = decoded.duplicates;
                patch::merge_patch(&mut new, decoded.value);
            }
            "application/strategic-merge-patch+json" if !call.resource.is_custom() => {
                let decoded = body::json(bytes)?;
                duplicates = decoded.duplicates;
                let of = call
                    .resource
                    .schema()
                    .ok_or_else(|| ApiError::internal("no schema of this kind"))?;
                strategic::strategic_merge(of, &mut new, decoded.value)?;
            }
            _ => return Err(unsupported_patch(call)),
        }
        let incoming = accept(call, body::Decoded { value: new, duplicates }, &options)?;
        warnings = incoming.warnings;
        Ok(Changed::Updated(incoming.object))
    })?;
    let shown = read::in_form(call, &changed, form);
    Ok(respond::with_warnings(respond::json(200, &shown), &warnings))
}

fn unsupported_patch(call: &Call<'_>) -> ApiError {
    let strategic =
        if call.resource.is_custom() { "" } else { ", application/strategic-merge-patch+json" };
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json{strategic}, application/apply-patch+yaml"
    );
    ApiError::new(415, "UnsupportedMediaType", message)
}

/// Server-side apply: merges, or creates what is not there.
fn apply(call: &Call<'_>, bytes: &[u8], options: &Options, form: Form) -> Result<Reply, ApiError> {
    if call.info.query.get("fieldManager").is_none() {
        let cause = super::Cause::required("fieldManager", "is required for apply patch");
        return Err(ApiError::invalid("PatchOptions", "meta.k8s.io", "", &[cause]));
    }
    let decoded = body::yaml(bytes)?;
    if decoded.value.pointer("/metadata/managedFields").is_some_and(|m| !m.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    for key in ["apiVersion", "kind"] {
        if decoded.value[key].as_str().is_none_or(str::is_empty) {
            let message = format!("invalid object type: error decoding: Object '{key}' is missing");
            return Err(ApiError::bad_request(message));
        }
    }
    let incoming = accept(call, decoded, options)?;
    let config = incoming.object;
    if let Some(why) = call.resource.schema().and_then(|of| merge::problem(of, &config)) {
        return Err(untyped(call, &config, &why));
    }
    let storage = call.state.storage();
    let exists = storage.get(&call.resource.storage_key(), call.namespace(), call.name()).is_some();
    let (status, object) = if exists {
        (200, change(call, options, |current| managed::merge(call, options, current, &config))?)
    } else if call.target.subresource.is_some() {
        return Err(ApiError::not_found(&call.resource.qualified(), call.name()));
    } else {
        if let Some(uid) = config["metadata"]["uid"].as_str() {
            let why =
                format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
            return Err(ApiError::conflict(&call.resource.qualified(), call.name(), &why));
        }
        (201, store_new(call, config.clone(), options, Some(&config))?)
    };
    let shown = read::in_form(call, &object, form);
    Ok(respond::with_warnings(respond::json(status, &shown), &incoming.warnings))
}

/// What a write made of the current object, in the requested version.
pub(super) enum Changed {
    /// Somebody's new version of it.
    Updated(Value),
    /// The result of an apply, with its managed fields in place already.
    Applied(Value),
}

/// Changes the object that the path names. `compute` sees it in the requested version.
pub(super) fn change(
    call: &Call<'_>,
    options: &Options,
    compute: impl FnOnce(&Value) -> Result<Changed, ApiError>,
) -> Result<Value, ApiError> {
    let resource = call.resource;
    let storage = call.state.storage();
    let at = (call.namespace(), call.name());
    let stored = storage
        .update_with(&resource.storage_key(), at, options.mode, |live| {
            let current = versions::present(resource, live);
            let (new, applied) = match compute(&current)? {
                Changed::Updated(new) => (new, false),
                Changed::Applied(new) => (new, true),
            };
            check_identity(call, &current, &new)?;
            let mut new = versions::to_stored(resource, new);
            settle(call, live, &mut new);
            defaults::defaults(resource, &mut new);
            defaults::keep_allocated(resource, live, &mut new);
            admission::admit_change(call, live, &mut new)?;
            if resource.storage_key() == CRDS && call.target.subresource.is_none() {
                crd::accept(&mut new, storage.clock().now());
            }
            validate::changed_object(resource, live, &new)?;
            if !applied {
                let subresource = call.target.subresource.as_deref();
                managed::updated(&Writer { call, options, subresource }, live, &mut new);
            }
            *live = new;
            Ok(())
        })
        .map_err(|error| rename(call, error))?;
    Ok(versions::present(resource, &stored).into_owned())
}

/// Refuses a change made from a stale or another object.
fn check_identity(call: &Call<'_>, current: &Value, new: &Value) -> Result<(), ApiError> {
    let field =
        |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let (resource, name) = (call.resource.qualified(), call.name());
    let revision = field(new, "resourceVersion");
    if !revision.is_empty() && revision != field(current, "resourceVersion") {
        return Err(ApiError::stale(&resource, name));
    }
    let uid = field(new, "uid");
    if !uid.is_empty() && uid != field(current, "uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            field(current, "uid")
        );
        return Err(ApiError::conflict(&resource, name, &why));
    }
    Ok(())
}

/// Lets through only what this path may change: the object without its status, or one part of it.
fn settle(call: &Call<'_>, live: &Value, new: &mut Value) {
    let part = match call.target.subresource.as_deref() {
        None if call.resource.has_status() => {
            match live.get("status") {
                Some(status) => new["status"] = status.clone(),
                None => {
                    if let Some(new) = new.as_object_mut() {
                        new.shift_remove("status");
                    }
                }
            }
            return;
        }
        // the scale already changed nothing but the replicas
        None | Some("scale") => return,
        Some("status") => "/status",
        Some("finalize") => "/spec/finalizers",
        Some("ephemeralcontainers") => "/spec/ephemeralContainers",
        Some(_) => "/spec/containers",
    };
    // a part that is left out is taken away
    let wanted = new.pointer(part).cloned().unwrap_or(Value::Null);
    let managed = new.pointer("/metadata/managedFields").cloned();
    *new = live.clone();
    let (parent, key) = part.rsplit_once('/').unwrap_or(("", part));
    if let Some(Value::Object(parent)) = new.pointer_mut(parent) {
        if wanted.is_null() {
            parent.shift_remove(key)
        } else {
            parent.insert(key.to_owned(), wanted)
        };
    }
    if let Some(managed) = managed {
        new["metadata"]["managedFields"] = managed;
    }
}
