//! What a request asks for: the path, the verb and the query, as Kubernetes reads them.

use axum::http::{HeaderMap, Method, Uri, header};

use super::ApiError;

/// The parts of a request that decide what is done.
#[derive(Debug, Clone)]
pub(super) struct RequestInfo {
    pub(super) verb: &'static str,
    pub(super) path: String,
    pub(super) query: Query,
    /// Set when the path names a resource.
    pub(super) target: Option<Target>,
}

/// `/apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    pub(super) resource: String,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

/// Query parameters.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        Self(pairs.map(|axum::extract::Query(pairs)| pairs).unwrap_or_default())
    }

    /// The first value of a parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(k, v)| k == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.0.iter().any(|(k, v)| k == name && !matches!(v.as_str(), "false" | "0"))
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = |_| {
            ApiError::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
        };
        text.parse().map(Some).map_err(wrong)
    }

    /// `dryRun=All`; anything else there is refused.
    pub(super) fn dry_run(&self) -> Result<bool, ApiError> {
        let mut dry = false;
        for (_, value) in self.0.iter().filter(|(k, v)| k == "dryRun" && !v.is_empty()) {
            if value != "All" {
                let message = format!(
                    "Invalid value: [\"{value}\"]: Unsupported value: \"{value}\": supported values: \"All\""
                );
                return Err(ApiError::bad_request(message));
            }
            dry = true;
        }
        Ok(dry)
    }
}

impl RequestInfo {
    /// `path` is the URI's path without a token that stood before it.
    pub(super) fn of(method: &Method, uri: &Uri, path: &str) -> Self {
        let query = Query::of(uri);
        let target = parse_path(path);
        let has_name = target.as_ref().is_some_and(|t| t.name.is_some());
        let verb = match *method {
            Method::GET | Method::HEAD if target.is_none() || has_name => "get",
            Method::GET | Method::HEAD if query.is_true("watch") => "watch",
            Method::GET | Method::HEAD => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if has_name => "delete",
            Method::DELETE => "deletecollection",
            _ => "unknown",
        };
        Self { verb, path: path.to_owned(), query, target }
    }
}

/// Reads a path below `/api/v1` or `/apis/GROUP/VERSION`; `None` when it names no resource.
fn parse_path(path: &str) -> Option<Target> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        // /namespaces/NAME/status and /finalize are of the namespace itself
        ["namespaces", _, "status" | "finalize"] | [] | ["namespaces"] | ["namespaces", _] => {
            (None, rest)
        }
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        _ => (None, rest),
    };
    let (resource, rest) = rest.split_first()?;
    Some(Target {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace,
        resource: (*resource).to_owned(),
        name: rest.first().map(|s| (*s).to_owned()),
        subresource: (rest.len() > 1).then(|| rest[1..].join("/")),
    })
}

/// How an object or list is to be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Object,
    /// As a `Table` of columns for people.
    Table,
    /// Only its metadata.
    Metadata,
}

/// Chooses the form of the answer from the `Accept` header.
///
/// # Errors
/// `NotAcceptable` when nothing that we can write is accepted.
pub(super) fn accepted_form(headers: &HeaderMap) -> Result<Form, ApiError> {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()) else {
        return Ok(Form::Object);
    };
    for wanted in accept.split(',') {
        let mut parts = wanted.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if !matches!(
            media,
            "application/json" | "*/*" | "application/*" | "" | "text/plain" | "text/*"
        ) {
            continue;
        }
        let view = parts.find_map(|p| p.strip_prefix("as="));
        return Ok(match view {
            Some("Table") => Form::Table,
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Form::Metadata,
            Some(_) => continue,
            None => Form::Object,
        });
    }
    let message = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    Err(ApiError::new(406, "NotAcceptable", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_kubernetes_does() {
        // group, namespace, resource, name, subresource; a dash where there is none
        let table = [
            ("/api/v1/pods", Some(["", "-", "pods", "-", "-"])),
            ("/api/v1/namespaces", Some(["", "-", "namespaces", "-", "-"])),
            ("/api/v1/namespaces/a", Some(["", "-", "namespaces", "a", "-"])),
            ("/api/v1/namespaces/a/finalize", Some(["", "-", "namespaces", "a", "finalize"])),
            ("/api/v1/namespaces/a/pods/p/log", Some(["", "a", "pods", "p", "log"])),
            (
                "/apis/apps/v1/namespaces/a/deployments",
                Some(["apps", "a", "deployments", "-", "-"]),
            ),
            ("/apis/apps/v1", None),
            ("/version", None),
        ];
        for (path, want) in table {
            let got = parse_path(path).map(|t| {
                let text = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
                [t.group, text(t.namespace), t.resource, text(t.name), text(t.subresource)]
            });
            assert_eq!(got, want.map(|parts| parts.map(str::to_owned)), "{path}");
        }
    }
}
