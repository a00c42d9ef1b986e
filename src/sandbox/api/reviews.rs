//! Reviews: questions posted as objects and answered at once, never stored (who am I, may I, whose token).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    ApiError, Cause, User, body,
    dispatch::Call,
    rbac::{self, Attributes},
    respond::{self, Reply},
};
use crate::sandbox::storage::time_text;

/// Answers a review; `None` when the resource is none.
pub(super) fn answer(call: &Call<'_>, bytes: &[u8]) -> Option<Result<Reply, ApiError>> {
    let answer = match call.resource.plural.as_str() {
        "selfsubjectreviews" => who_am_i,
        "selfsubjectaccessreviews" => self_access,
        "subjectaccessreviews" | "localsubjectaccessreviews" => access,
        "selfsubjectrulesreviews" => rules,
        "tokenreviews" => token,
        _ => return None,
    };
    if call.info.verb != "create" {
        return Some(Err(super::dispatch::method_not_allowed(call)));
    }
    Some(body::decode(call.headers, bytes).and_then(|decoded| {
        let mut review = decoded.value;
        if !review.is_object() {
            return Err(ApiError::bad_request("the body of the request is not an object"));
        }
        review["apiVersion"] = call.resource.api_version().into();
        review["kind"] = call.resource.kind.as_str().into();
        if review["metadata"].is_null() {
            review["metadata"] = json!({});
        }
        answer(call, &mut review)?;
        Ok(respond::json(201, &review))
    }))
}

fn who_am_i(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
    review["status"] = json!({"userInfo": call.user.to_value()});
    Ok(())
}

fn self_access(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
    decide(call, call.user, review)
}

fn access(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
    let spec = &review["spec"];
    let name = spec["user"].as_str().unwrap_or_default();
    let groups: Vec<&str> =
        spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if name.is_empty() && groups.is_empty() {
        let cause = Cause::required("spec.user", "at least one of user or group must be specified");
        let (kind, group) = (&call.resource.kind, &call.resource.group);
        return Err(ApiError::invalid(kind, group, "", &[cause]));
    }
    // exactly the groups that are asked about, none added
    let user = User {
        name: name.to_owned(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        extra: std::collections::BTreeMap::new(),
    };
    decide(call, &user, review)
}

fn decide(call: &Call<'_>, user: &User, review: &mut Value) -> Result<(), ApiError> {
    let storage = call.state.storage();
    let spec = &review["spec"];
    let reason = if let Some(asked) = spec.get("resourceAttributes").filter(|a| !a.is_null()) {
        let text = |key: &str| asked[key].as_str().filter(|t| !t.is_empty());
        let attributes = Attributes {
            verb: text("verb").unwrap_or_default(),
            group: text("group").unwrap_or_default(),
            resource: text("resource").unwrap_or_default(),
            subresource: text("subresource"),
            namespace: text("namespace"),
            name: text("name"),
        };
        rbac::allow_reason(storage, user, &attributes)
    } else if let Some(asked) = spec.get("nonResourceAttributes").filter(|a| !a.is_null()) {
        let text = |key: &str| asked[key].as_str().unwrap_or_default();
        rbac::path_allow_reason(storage, user, text("verb"), text("path"))
    } else {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let cause = Cause::invalid("spec.resourceAttributes", &Value::Null, why);
        let (kind, group) = (&call.resource.kind, &call.resource.group);
        return Err(ApiError::invalid(kind, group, "", &[cause]));
    };
    review["status"] = match reason {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    };
    Ok(())
}

fn rules(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
    let namespace = review["spec"]["namespace"].as_str().filter(|ns| !ns.is_empty());
    let Some(namespace) = namespace else {
        return Err(ApiError::bad_request("no namespace on request"));
    };
    let rules = rbac::rules_for(call.state.storage(), call.user, Some(namespace));
    let (paths, resources): (Vec<Value>, Vec<Value>) =
        rules.into_iter().partition(|rule| rule.get("nonResourceURLs").is_some());
    review["status"] =
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    Ok(())
}

fn token(call: &Call<'_>, review: &mut Value) -> Result<(), ApiError> {
    let token = review["spec"]["token"].as_str().unwrap_or_default();
    let now = call.state.storage().clock().now();
    review["status"] = match call.state.inner.tokens.user(token, now) {
        Some(user) => json!({"authenticated": true, "user": user.to_value()}),
        None => json!({"authenticated": false, "error": "invalid bearer token"}),
    };
    if let Some(spec) = review["spec"].as_object_mut() {
        spec.shift_remove("token");
    }
    Ok(())
}

/// `serviceaccounts/token`: a bearer token that speaks for the account for a while.
pub(super) fn service_account_token(call: &Call<'_>, bytes: &[u8]) -> Result<Reply, ApiError> {
    let account = super::read::stored(call)?;
    let mut review = body::decode(call.headers, bytes)?.value;
    let seconds = review.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(3600);
    if seconds < 600 {
        let why = "may not specify a duration less than 10 minutes";
        let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), why);
        return Err(ApiError::invalid("TokenRequest", "authentication.k8s.io", "", &[cause]));
    }
    let now = call.state.storage().clock().now();
    let until = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    let namespace = call.namespace().unwrap_or_default();
    let user = User::new(&format!("system:serviceaccount:{namespace}:{}", call.name()), &[]);
    let token = format!("sandbox.{}.{}", call.name(), hex::encode(rand::random::<[u8; 24]>()));
    call.state.inner.tokens.add(token.clone(), user, Some(until));
    review["apiVersion"] = "authentication.k8s.io/v1".into();
    review["kind"] = "TokenRequest".into();
    review["metadata"] = json!({"name": call.name(), "namespace": namespace,
        "uid": account["metadata"]["uid"], "creationTimestamp": time_text(now)});
    review["spec"]["expirationSeconds"] = seconds.into();
    review["status"] = json!({"token": token, "expirationTimestamp": time_text(until)});
    Ok(respond::json(201, &review))
}
