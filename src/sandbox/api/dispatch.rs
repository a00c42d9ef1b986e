//! One request from arrival to answer.

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    response::IntoResponse as _,
};
use serde_json::json;

use super::{
    ApiError, ApiState, User, auth, delete, discovery, eviction,
    kinds::{Kinds, Resource},
    logs, metrics, openapi, rbac, read,
    request::{RequestInfo, Target, accepted_form},
    respond::{self, Reply},
    reviews, scale, watch, write,
};

/// Bodies larger than this are refused, as etcd does (with some room for JSON).
const MAX_BODY: usize = 3 * 1024 * 1024;

/// A request for a resource, with everything known about it.
pub(super) struct Call<'a> {
    pub(super) state: &'a ApiState,
    pub(super) user: &'a User,
    pub(super) info: &'a RequestInfo,
    pub(super) headers: &'a HeaderMap,
    pub(super) resource: &'a Resource,
    pub(super) target: &'a Target,
}

impl Call<'_> {
    /// The object's name in the path.
    pub(super) fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.target.namespace.as_deref()
    }
}

/// The one handler.
pub(super) async fn dispatch(State(state): State<ApiState>, request: Request) -> Reply {
    match answer(&state, request).await {
        Ok(reply) => reply,
        Err(error) => error.into_response(),
    }
}

async fn answer(state: &ApiState, request: Request) -> Result<Reply, ApiError> {
    let (parts, body) = request.into_parts();
    let (token, path) = auth::token_in_path(parts.uri.path());
    let info = RequestInfo::of(&parts.method, &parts.uri, path);
    let storage = state.storage();
    let user = state.inner.tokens.authenticate(token, &parts.headers, storage)?;
    let kinds = state.kinds();
    let Some(target) = &info.target else {
        if !is_public(&info.path) {
            rbac::require_path(storage, &user, &parts.method.as_str().to_lowercase(), &info.path)?;
        }
        return plain_path(&info, &parts.headers, &parts.method, &kinds);
    };
    authorize(state, &user, &info, target)?;
    let resource = kinds
        .find(&target.group, &target.version, &target.resource)
        .filter(|r| r.namespaced || target.namespace.is_none())
        .ok_or_else(ApiError::no_such_path)?;
    let headers = &parts.headers;
    let call = Call { state, user: &user, info: &info, headers, resource, target };
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| too_large())?;
    resource_call(&call, &body)
}

fn too_large() -> ApiError {
    ApiError::new(413, "RequestEntityTooLarge", format!("limit is {MAX_BODY}"))
}

fn is_public(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/livez" | "/version")
}

fn authorize(
    state: &ApiState,
    user: &User,
    info: &RequestInfo,
    target: &Target,
) -> Result<(), ApiError> {
    // what is in a namespace is authorised there, and so is the namespace itself
    let own = (target.resource == "namespaces").then_some(target.name.as_deref()).flatten();
    let attributes = rbac::Attributes {
        verb: info.verb,
        group: &target.group,
        resource: &target.resource,
        subresource: target.subresource.as_deref(),
        namespace: target.namespace.as_deref().or(own),
        name: target.name.as_deref(),
    };
    rbac::require(state.storage(), user, &attributes)
}

fn resource_call(call: &Call<'_>, body: &Bytes) -> Result<Reply, ApiError> {
    if let Some(sub) = &call.target.subresource
        && !call.resource.subresources.iter().any(|s| s.name == *sub)
    {
        return Err(ApiError::no_such_path());
    }
    if call.resource.group == "metrics.k8s.io" {
        return metrics::answer(call, accepted_form(call.headers)?);
    }
    if let Some(answer) = reviews::answer(call, body) {
        return answer;
    }
    match (call.target.subresource.as_deref(), call.info.verb) {
        (Some("log"), "get") => return logs::log(call),
        (Some("eviction"), "create") => return eviction::evict(call, body),
        (Some("binding"), "create") => return eviction::bind(call, body),
        (Some("token"), "create") => return reviews::service_account_token(call, body),
        (Some("log" | "eviction" | "binding" | "token"), _) | (Some(_), "create" | "delete") => {
            return Err(method_not_allowed(call));
        }
        (Some("scale"), _) => return scale::answer(call, body, accepted_form(call.headers)?),
        _ => {}
    }
    let form = accepted_form(call.headers)?;
    match call.info.verb {
        "create" if call.target.name.is_some() => Err(method_not_allowed(call)),
        "get" => read::get(call, form),
        "list" => read::list(call, form),
        "watch" => watch::watch(call, form),
        "create" => write::create(call, body, form),
        "update" => write::update(call, body, form),
        "patch" => write::patch(call, body, form),
        "delete" => delete::delete(call, body),
        "deletecollection" => delete::delete_collection(call, body),
        _ => Err(method_not_allowed(call)),
    }
}

pub(super) fn method_not_allowed(call: &Call<'_>) -> ApiError {
    let message = "the server does not allow this method on the requested resource";
    ApiError::new(405, "MethodNotAllowed", message).about(&call.resource.qualified(), call.name())
}

/// Paths that are not about a resource: discovery, OpenAPI, health.
fn plain_path(
    info: &RequestInfo,
    headers: &HeaderMap,
    method: &Method,
    kinds: &Kinds,
) -> Result<Reply, ApiError> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(ApiError::no_such_path());
    }
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let parts: Vec<&str> = info.path.split('/').filter(|p| !p.is_empty()).collect();
    let value = match parts.as_slice() {
        ["healthz" | "readyz" | "livez", ..] => return Ok(respond::text(200, "text/plain", "ok")),
        ["version"] => Some(discovery::version()),
        ["api" | "apis"] if accept.contains("as=APIGroupDiscoveryList") => {
            let core = parts.first() == Some(&"api");
            let body = discovery::aggregated(kinds, core).to_string();
            let kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
            return Ok(respond::text(200, kind, body));
        }
        ["api"] => Some(discovery::core_versions()),
        ["apis"] => Some(discovery::group_list(kinds)),
        ["apis", group] => discovery::group(kinds, group),
        ["api", version] => discovery::resource_list(kinds, "", version),
        ["apis", group, version] => discovery::resource_list(kinds, group, version),
        ["openapi", "v2"] => return openapi_v2(accept),
        ["openapi", "v3"] => Some(openapi::index(&kinds.all())),
        ["openapi", "v3", rest @ ..] => return openapi_v3(kinds, rest),
        [] => Some(
            json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3",
            "/readyz", "/version"]}),
        ),
        _ => None,
    };
    value.map(|v| respond::json(200, &v)).ok_or_else(ApiError::no_such_path)
}

fn openapi_v2(accept: &str) -> Result<Reply, ApiError> {
    if !accept.is_empty() && !accept.contains("json") && !accept.contains("*/*") {
        let message = "only the following media types are accepted: application/json";
        return Err(ApiError::new(406, "NotAcceptable", message));
    }
    Ok(respond::text(200, "application/json", openapi::document_v2()))
}

fn openapi_v3(kinds: &Kinds, path: &[&str]) -> Result<Reply, ApiError> {
    let path = path.join("/");
    let all = kinds.all();
    let here: Vec<&Resource> = all.into_iter().filter(|r| openapi::group_path(r) == path).collect();
    if here.is_empty() {
        return Err(ApiError::no_such_path());
    }
    Ok(respond::text(200, "application/json", openapi::document(&here)))
}
