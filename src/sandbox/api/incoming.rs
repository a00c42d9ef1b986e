//! Decoded objects before anything is done with them: do they fit the path and their type?

use serde_json::{Value, json};

use super::{
    ApiError, body, conform,
    dispatch::Call,
    write::{FieldValidation, Options},
};

/// What was decoded, ready to be used, and what to warn about.
pub(super) struct Incoming {
    pub(super) object: Value,
    pub(super) warnings: Vec<String>,
}

/// Checks kind, name and namespace of a decoded object against the path, and its fields against its type.
pub(super) fn accept(
    call: &Call<'_>,
    decoded: body::Decoded,
    options: &Options,
) -> Result<Incoming, ApiError> {
    let resource = call.resource;
    let mut object = decoded.value;
    if !object.is_object() {
        return Err(ApiError::bad_request("the body of the request is not an object"));
    }
    let (version, kind) = (resource.api_version(), resource.kind.as_str());
    let given = |key: &str| object.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
    if let Some(got) = given("apiVersion").filter(|got| *got != version) {
        let message = format!(
            "the API version in the data ({got}) does not match the expected API version ({version})"
        );
        return Err(ApiError::bad_request(message));
    }
    if let Some(got) = given("kind").filter(|got| *got != kind) {
        let message = format!(
            "{got} in version \"{}\" cannot be handled as a {kind}: the kinds differ",
            resource.version
        );
        return Err(ApiError::bad_request(message));
    }
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    if object.get("metadata").is_none_or(Value::is_null) {
        object["metadata"] = json!({});
    }
    let warnings = check_fields(call, &mut object, decoded.duplicates, options)?;
    match_path(call, &mut object)?;
    Ok(Incoming { object, warnings })
}

/// Unknown and duplicate fields: refused, warned of, or ignored. Unknown fields are dropped in any case.
fn check_fields(
    call: &Call<'_>,
    object: &mut Value,
    duplicates: Vec<String>,
    options: &Options,
) -> Result<Vec<String>, ApiError> {
    let resource = call.resource;
    let Some(of) = resource.schema() else { return Ok(Vec::new()) };
    let findings = if resource.is_custom() {
        conform::prune(of, object)
    } else {
        conform::conform(of, object)
    };
    let cannot = |why: &str| {
        let (kind, version) = (&resource.kind, &resource.version);
        let message =
            format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}");
        ApiError::bad_request(message)
    };
    if let Some(mismatch) = findings.mismatch {
        return Err(cannot(&mismatch));
    }
    let unknown = findings.unknown.iter().map(|path| format!("unknown field \"{path}\""));
    let all: Vec<String> = duplicates
        .iter()
        .map(|path| format!("duplicate field \"{path}\""))
        .chain(unknown)
        .collect();
    let applied = body::media_type(call.headers) == "application/apply-patch+yaml";
    match options.validation {
        FieldValidation::Strict if !all.is_empty() => {
            let why = format!("strict decoding error: {}", all.join(", "));
            Err(if call.info.verb == "patch" { ApiError::bad_request(why) } else { cannot(&why) })
        }
        // an apply cannot own what is not in the schema
        _ if applied && !findings.unknown.is_empty() => {
            let why = format!(".{}: field not declared in schema", findings.unknown[0]);
            Err(untyped(call, object, &why))
        }
        FieldValidation::Warn => Ok(all),
        _ => Ok(Vec::new()),
    }
}

/// An applied configuration that does not fit its type.
pub(super) fn untyped(call: &Call<'_>, object: &Value, why: &str) -> ApiError {
    let metadata = &object["metadata"];
    let text = |key: &str| metadata[key].as_str().unwrap_or_default();
    let (namespace, name) = (call.namespace().unwrap_or_default(), text("name"));
    let (version, kind) = (call.resource.api_version(), &call.resource.kind);
    let what = format!("{namespace}/{name}; {version}, Kind={kind}");
    ApiError::new(500, "", format!("failed to create typed patch object ({what}): {why}"))
}

/// Fills name and namespace from the path and refuses others.
fn match_path(call: &Call<'_>, object: &mut Value) -> Result<(), ApiError> {
    let target = call.target;
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        return Err(ApiError::bad_request("metadata is not an object"));
    }
    let given = |metadata: &Value, key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
    let namespace = given(metadata, "namespace");
    match (&target.namespace, call.resource.namespaced) {
        (Some(wanted), true) if namespace.is_empty() => {
            metadata["namespace"] = wanted.as_str().into()
        }
        (Some(wanted), true) if *wanted != namespace => {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(ApiError::bad_request(message));
        }
        (None, true) => {
            // creating at /api/v1/pods: the object must be posted to its namespace
            return Err(ApiError::bad_request("an empty namespace may not be set during creation"));
        }
        (_, false) if !namespace.is_empty() => {
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.shift_remove("namespace");
            }
        }
        _ => {}
    }
    let name = given(metadata, "name");
    match target.name.as_deref() {
        Some(wanted) if name.is_empty() => metadata["name"] = wanted.into(),
        Some(wanted) if wanted != name => {
            let message = format!(
                "the name of the object ({name}) does not match the name on the URL ({wanted})"
            );
            return Err(ApiError::bad_request(message));
        }
        _ => {}
    }
    Ok(())
}
