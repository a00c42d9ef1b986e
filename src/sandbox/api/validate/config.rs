//! Config maps, secrets, volume claims.

use serde_json::Value;

use super::{Checks, list, text};
use crate::sandbox::api::Cause;

/// Bytes that the values of a config map or secret may have together.
const MAX_DATA: usize = 1024 * 1024;
const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

fn data(checks: &mut Checks, old: Option<&Value>, new: &Value, parts: &[&str]) {
    let mut total = 0;
    for part in parts {
        for (key, value) in new[*part].as_object().into_iter().flatten() {
            total += value.as_str().unwrap_or_default().len();
            let fine = !key.is_empty()
                && key.len() <= 253
                && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if !fine {
                checks.invalid(format!("{part}[{key}]"), &key.as_str().into(), KEY);
            }
        }
    }
    if total > MAX_DATA {
        checks.add(Cause::too_long("", MAX_DATA));
    }
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return };
    if new["immutable"] != true {
        let why = "field is immutable when `immutable` is set";
        checks.add(Cause::forbidden("immutable", why));
    }
    for part in parts {
        if old.get(*part) != new.get(*part) {
            let why = "field is immutable when `immutable` is set";
            checks.add(Cause::forbidden(*part, why));
        }
    }
}

pub(super) fn config_map(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    data(checks, old, new, &["data", "binaryData"]);
}

pub(super) fn secret(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    data(checks, old, new, &["data"]);
    checks.unchanged(old, new, "type");
    let needs: &[&str] = match text(new, "/type") {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        _ => &[],
    };
    for key in needs {
        if new["data"].get(*key).is_none() {
            checks.required(format!("data[{key}]"), "");
        }
    }
}

pub(super) fn volume_claim(checks: &mut Checks, old: Option<&Value>, new: &Value) {
    let spec = &new["spec"];
    if list(spec, "/accessModes").is_empty() {
        checks.required("spec.accessModes", "at least 1 access mode is required");
    }
    if spec.pointer("/resources/requests/storage").is_none() {
        checks.required("spec.resources[storage]", "");
    }
    let Some(old) = old else { return };
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        for key in ["resources", "volumeName", "volumeAttributesClassName", "storageClassName"] {
            // the binder fills these once
            if key == "resources" || old["spec"].get(key).is_none() {
                spec.as_object_mut().map(|s| s.shift_remove(key));
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        checks.add(Cause::forbidden("spec", why));
    }
    let size =
        |object: &Value| super::quantity(&object["spec"]["resources"]["requests"]["storage"]);
    if size(new) < size(old) {
        let why = "field can not be less than status.capacity";
        checks.add(Cause::forbidden("spec.resources.requests.storage", why));
    }
}
