//! JSON patch (RFC 6902) and merge patch (RFC 7396).

use serde_json::Value;

use super::ApiError;

/// Applies a JSON patch.
pub(super) fn json_patch(object: &Value, body: &[u8]) -> Result<Value, ApiError> {
    let patch: json_patch::Patch = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).map_err(|error| {
        let message =
            format!("the server rejected our request due to an error in our request: {error}");
        ApiError::new(422, "Invalid", message)
    })?;
    Ok(patched)
}

/// Applies a merge patch: null deletes, objects merge, all else replaces.
pub(super) fn merge_patch(object: &mut Value, patch: Value) {
    json_patch::merge(object, &patch);
}
