//! Who is asking: bearer tokens and impersonation.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock},
};

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ApiError,
    rbac::{self, Attributes},
};
use crate::sandbox::storage::Storage;

/// The name that the holder of the admin token acts under.
const ADMIN: &str = "system:admin";
/// Paths below this and a token are answered as if the token had been sent as a header.
const TOKEN_PATH: &str = "/with-token";
const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `alice`, `system:serviceaccount:shop:default`.
    pub name: String,
    /// Groups, including `system:authenticated`.
    pub groups: Vec<String>,
    /// What an authenticator says besides.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user of this name in these groups and `system:authenticated`.
    #[must_use]
    pub fn new(name: &str, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        if let Some((namespace, _)) = service_account(name) {
            groups.push("system:serviceaccounts".into());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        if name != ANONYMOUS && !groups.iter().any(|g| g == AUTHENTICATED) {
            groups.push(AUTHENTICATED.into());
        }
        Self { name: name.to_owned(), groups, extra: BTreeMap::new() }
    }

    /// The one who may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self::new(ADMIN, &["system:masters"])
    }

    fn anonymous() -> Self {
        Self::new(ANONYMOUS, &["system:unauthenticated"])
    }

    /// `UserInfo` as reviews tell it.
    pub(super) fn to_value(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

/// Splits `system:serviceaccount:NAMESPACE:NAME`.
fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

/// Known bearer tokens.
#[derive(Default)]
pub(super) struct Tokens {
    known: RwLock<HashMap<String, (User, Option<Timestamp>)>>,
    /// Without tokens of its own the sandbox lets everybody in as admin.
    open: bool,
}

impl Tokens {
    pub(super) fn new(admin_token: Option<String>) -> Self {
        let open = admin_token.is_none();
        let known = admin_token.map(|token| (token, (User::admin(), None))).into_iter().collect();
        Self { known: RwLock::new(known), open }
    }

    pub(super) fn add(&self, token: String, user: User, until: Option<Timestamp>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(token, (user, until));
    }

    /// Whose token this is, unless it expired.
    pub(super) fn user(&self, token: &str, now: Timestamp) -> Option<User> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (user, until) = known.get(token)?;
        until.is_none_or(|until| until > now).then(|| user.clone())
    }

    /// Who sends a request, after impersonation. `in_path` is the token that stood in the path, if one did.
    pub(super) fn authenticate(
        &self,
        in_path: Option<&str>,
        headers: &HeaderMap,
        storage: &Storage,
    ) -> Result<User, ApiError> {
        let in_header = headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer ").or_else(|| v.strip_prefix("bearer ")));
        let user = match in_header.or(in_path) {
            Some(token) => {
                self.user(token.trim(), storage.clock().now()).ok_or_else(unauthorized)?
            }
            None if self.open => User::admin(),
            None => User::anonymous(),
        };
        impersonate(user, headers, storage)
    }
}

/// Splits `/with-token/TOKEN/api/v1/pods`: kubectl sends no bearer token over plain HTTP, but any path before its own.
pub(super) fn token_in_path(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix(TOKEN_PATH).and_then(|rest| rest.strip_prefix('/')) else {
        return (None, path);
    };
    let end = rest.find('/').unwrap_or(rest.len());
    (Some(&rest[..end]), &rest[end..])
}

/// A kubeconfig for the API server at `url` and the holder of `token`, as YAML.
#[must_use]
pub fn kubeconfig(url: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\n\
         clusters:\n- name: sandbox\n  cluster:\n    server: {url}{TOKEN_PATH}/{token}\n\
         users:\n- name: admin\n  user:\n    token: {token}\n\
         contexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: admin\n"
    )
}

fn unauthorized() -> ApiError {
    ApiError::new(401, "Unauthorized", "Unauthorized")
}

fn impersonate(user: User, headers: &HeaderMap, storage: &Storage) -> Result<User, ApiError> {
    let all = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect()
    };
    let names = all("impersonate-user");
    let groups = all("impersonate-group");
    let Some(name) = names.first() else {
        if groups.is_empty() {
            return Ok(user);
        }
        let message = "requested [{Group  ".to_owned()
            + &groups.join(" ")
            + "}] without impersonating a user";
        return Err(ApiError::bad_request(message));
    };
    let mut wanted = Vec::new();
    match service_account(name) {
        Some((namespace, name)) => wanted.push(("serviceaccounts", Some(namespace), name)),
        None => wanted.push(("users", None, name.as_str())),
    }
    wanted.extend(groups.iter().map(|g| ("groups", None, g.as_str())));
    for (resource, namespace, name) in wanted {
        let attributes = Attributes {
            verb: "impersonate",
            group: "",
            resource,
            subresource: None,
            namespace,
            name: Some(name),
        };
        rbac::require(storage, &user, &attributes)?;
    }
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut target = User::new(name, &groups);
    for (key, value) in headers {
        if let (Some(key), Ok(value)) =
            (key.as_str().strip_prefix("impersonate-extra-"), value.to_str())
        {
            target.extra.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    Ok(target)
}
