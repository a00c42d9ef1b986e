//! Get and list.

use std::{fmt::Write as _, sync::Arc};

use axum::body::Body;
use serde_json::{Value, json};

use super::{
    ApiError,
    dispatch::Call,
    request::{Form, Query},
    respond::{self, Reply},
    selector::Selector,
    table, versions,
};

/// One object.
pub(super) fn get(call: &Call<'_>, form: Form) -> Result<Reply, ApiError> {
    let object = stored(call)?;
    let object = versions::present(call.resource, &object);
    Ok(respond::json(200, &in_form(call, &object, form)))
}

/// The object that the path names, as stored.
pub(super) fn stored(call: &Call<'_>) -> Result<Arc<Value>, ApiError> {
    let (resource, storage) = (call.resource, call.state.storage());
    storage
        .get(&resource.storage_key(), call.namespace(), call.name())
        .ok_or_else(|| ApiError::not_found(&resource.qualified(), call.name()))
}

/// An object as the client wants to see it.
pub(super) fn in_form(call: &Call<'_>, object: &Value, form: Form) -> Value {
    match form {
        Form::Object => object.clone(),
        Form::Table => {
            let now = call.state.storage().clock().now();
            table::table(call.resource, &call.info.query, std::iter::once(object), now)
        }
        Form::Metadata => metadata_only(object),
    }
}

/// `PartialObjectMetadata`.
pub(super) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// Where a list goes on: the revision it is of and the object it stopped after.
struct Continue {
    revision: u64,
    after: (String, String),
}

impl Continue {
    fn decode(token: &str) -> Option<Self> {
        let text = String::from_utf8(hex::decode(token).ok()?).ok()?;
        let mut parts = text.splitn(3, '/');
        let revision = parts.next()?.parse().ok()?;
        Some(Self { revision, after: (parts.next()?.to_owned(), parts.next()?.to_owned()) })
    }

    fn encode(&self) -> String {
        hex::encode(format!("{}/{}/{}", self.revision, self.after.0, self.after.1))
    }
}

/// One page of a list.
struct Page {
    items: Vec<Arc<Value>>,
    revision: u64,
    next: Option<String>,
    remaining: Option<usize>,
}

/// The objects of a collection.
pub(super) fn list(call: &Call<'_>, form: Form) -> Result<Reply, ApiError> {
    let page = page(call)?;
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if let Some(next) = &page.next {
        metadata["continue"] = next.as_str().into();
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let items = page.items.iter().map(|object| versions::present(call.resource, object));
    match form {
        Form::Object => Ok(object_list(call, &metadata, items)),
        Form::Table => {
            let now = call.state.storage().clock().now();
            let items: Vec<_> = items.collect();
            let objects = items.iter().map(AsRef::as_ref);
            let mut made = table::table(call.resource, &call.info.query, objects, now);
            made["metadata"] = metadata;
            Ok(respond::json(200, &made))
        }
        Form::Metadata => {
            let items: Vec<Value> = items.map(|object| metadata_only(&object)).collect();
            let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata, "items": items});
            Ok(respond::json(200, &list))
        }
    }
}

/// Writes a list without copying its objects; built-in kinds leave out each item's own kind, as Go's typed lists do.
fn object_list<'a>(
    call: &Call<'_>,
    metadata: &Value,
    items: impl Iterator<Item = std::borrow::Cow<'a, Value>>,
) -> Reply {
    let resource = call.resource;
    let (kind, version) = (&resource.kind, resource.api_version());
    let mut out = format!(
        "{{\"kind\":\"{kind}List\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":["
    );
    for (i, object) in items.enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = if resource.is_custom() {
            write!(out, "{comma}{}", object.as_ref())
        } else {
            write!(out, "{comma}{}", Untyped(&object))
        };
    }
    out.push_str("]}");
    respond::text(200, "application/json", Body::from(out))
}

/// Displays an object without `apiVersion` and `kind`.
struct Untyped<'a>(&'a Value);

impl std::fmt::Display for Untyped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('{')?;
        let fields = self.0.as_object().into_iter().flatten();
        let mut first = true;
        for (key, value) in fields.filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind"))
        {
            let comma = if first { "" } else { "," };
            write!(f, "{comma}{}:{value}", Value::from(key.as_str()))?;
            first = false;
        }
        f.write_char('}')
    }
}

/// The selector that the query and the path ask for.
pub(super) fn selector(call: &Call<'_>) -> Result<Selector, ApiError> {
    let query = &call.info.query;
    Selector::parse(query.get("labelSelector"), query.get("fieldSelector"), &call.resource.plural)
}

fn page(call: &Call<'_>) -> Result<Page, ApiError> {
    let query = &call.info.query;
    let storage = call.state.storage();
    let key = call.resource.storage_key();
    let selector = selector(call)?;
    let (mut items, mut revision) = storage.list(&key, call.namespace());
    check_revision(query, revision)?;
    let total_known = selector.is_empty();
    items.retain(|object| selector.matches(object));
    if let Some(token) = query.get("continue") {
        let from = Continue::decode(token).ok_or_else(|| {
            ApiError::bad_request("continue key is not valid: it was not given out by this server")
        })?;
        storage.watch(&key, from.revision).map_err(|_| {
            ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
            )
        })?;
        revision = from.revision;
        items.retain(|object| place(object) > (from.after.0.as_str(), from.after.1.as_str()));
    }
    let limit = query.number("limit")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let left = limit.map_or(0, |limit| items.len().saturating_sub(limit));
    let mut next = None;
    if left > 0 {
        items.truncate(items.len() - left);
        next = items.last().map(|object| {
            let (namespace, name) = place(object);
            Continue { revision, after: (namespace.to_owned(), name.to_owned()) }.encode()
        });
    }
    Ok(Page { items, revision, next, remaining: (left > 0 && total_known).then_some(left) })
}

/// The order of lists.
fn place(object: &Value) -> (&str, &str) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    (text("namespace"), text("name"))
}

/// `resourceVersion` of a list: at least, or (with `resourceVersionMatch=Exact`) exactly.
fn check_revision(query: &Query, now: u64) -> Result<(), ApiError> {
    let Some(text) = query.get("resourceVersion") else { return Ok(()) };
    let wanted: u64 = text.parse().map_err(|_| invalid_revision(text))?;
    if wanted > now {
        let message = format!("Too large resource version: {wanted}, current: {now}");
        return Err(ApiError::new(504, "Timeout", message));
    }
    if query.get("resourceVersionMatch") == Some("Exact") && wanted != now {
        return Err(ApiError::expired(format!(
            "The resourceVersion for the provided list is too old: {wanted}"
        )));
    }
    Ok(())
}

pub(super) fn invalid_revision(text: &str) -> ApiError {
    ApiError::bad_request(format!(
        "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
    ))
}
