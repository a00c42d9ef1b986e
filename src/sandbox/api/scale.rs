//! The `scale` subresource: the replicas of any workload in one form.

use serde_json::{Value, json};

use super::{
    ApiError, Cause, body,
    dispatch::Call,
    patch, read,
    request::Form,
    respond::{self, Reply},
    strategic,
    write::{self, Changed, Options},
};

/// Where a kind keeps what `Scale` shows.
struct Paths {
    replicas: String,
    status: String,
    selector: Option<String>,
}

fn paths(call: &Call<'_>) -> Paths {
    let pointer = |path: &Value| {
        path.as_str().map(|path| path.replace('.', "/")).filter(|path| !path.is_empty())
    };
    match &call.resource.scale {
        Some(scale) => Paths {
            replicas: pointer(&scale["specReplicasPath"])
                .unwrap_or_else(|| "/spec/replicas".into()),
            status: pointer(&scale["statusReplicasPath"])
                .unwrap_or_else(|| "/status/replicas".into()),
            selector: pointer(&scale["labelSelectorPath"]),
        },
        None => Paths {
            replicas: "/spec/replicas".into(),
            status: "/status/replicas".into(),
            selector: Some("/spec/selector".into()),
        },
    }
}

/// An object as `Scale`.
fn scale_of(call: &Call<'_>, object: &Value) -> Value {
    let paths = paths(call);
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let metadata = &object["metadata"];
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"]},
        "spec": {"replicas": number(&paths.replicas)}, "status": {"replicas": number(&paths.status)}});
    let selector = paths.selector.and_then(|pointer| object.pointer(&pointer));
    if let Some(selector) = selector {
        scale["status"]["selector"] = selector_text(selector).into();
    }
    scale
}

fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let pairs = labels.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    pairs.join(",")
}

/// Answers for `scale`.
pub(super) fn answer(call: &Call<'_>, bytes: &[u8], form: Form) -> Result<Reply, ApiError> {
    if call.info.verb == "get" {
        let object = read::stored(call)?;
        return Ok(respond::json(200, &read::in_form(call, &scale_of(call, &object), form)));
    }
    let options = Options::of(call)?;
    let replicas_at = paths(call).replicas;
    let changed = write::change(call, &options, |current| {
        let mut scale = scale_of(call, current);
        match body::media_type(call.headers) {
            _ if call.info.verb == "update" => scale = body::decode(call.headers, bytes)?.value,
            "application/json-patch+json" => scale = patch::json_patch(&scale, bytes)?,
            "application/merge-patch+json" => {
                patch::merge_patch(&mut scale, body::json(bytes)?.value)
            }
            "application/apply-patch+yaml" => {
                patch::merge_patch(&mut scale, body::yaml(bytes)?.value)
            }
            _ => {
                let of = super::kinds::built_in_type("autoscaling", "v1", "Scale")
                    .ok_or_else(|| ApiError::internal("no schema of Scale"))?;
                strategic::strategic_merge(of, &mut scale, body::json(bytes)?.value)?;
            }
        }
        let wanted = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
        if wanted < 0 {
            let why = "must be greater than or equal to 0";
            let cause = Cause::invalid("spec.replicas", &wanted.into(), why);
            return Err(ApiError::invalid("Scale", "autoscaling", call.name(), &[cause]));
        }
        let mut new = current.clone();
        new["metadata"]["resourceVersion"] = scale["metadata"]["resourceVersion"].clone();
        put(&mut new, &replicas_at, wanted.into());
        Ok(Changed::Updated(new))
    })?;
    Ok(respond::json(200, &read::in_form(call, &scale_of(call, &changed), form)))
}

fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for key in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[key];
    }
    *at = value;
}
