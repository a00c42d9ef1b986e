//! A Kubernetes `Status` of failure: what every refused request of the sandbox answers with.
//!
//! Wording follows `k8s.io/apimachinery/pkg/api/errors`, because tools and people match on it.

use serde_json::{Map, Value, json};

/// Why a request was refused, ready to be sent as a `Status` object.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason: `NotFound`, `Conflict`, `Invalid`, ...; empty when there is none.
    pub reason: &'static str,
    /// What people read.
    pub message: String,
    /// `name`, `group`, `kind`, `causes`, ...
    pub details: Option<Box<Value>>,
}

/// One field of a refused object and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired`, `FieldManagerConflict`, ...
    pub reason: &'static str,
    /// `spec.template.spec.containers[0].image`.
    pub field: String,
    /// `Required value`, `Invalid value: -1: must be greater than or equal to 0`.
    pub message: String,
}

impl Cause {
    /// The field must be given.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// The field's value is not allowed; strings are quoted as Go does.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {value}: {why}");
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    /// The field's value is not one of the supported ones.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let list = supported.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(", ");
        let message = format!("Unsupported value: {value}: supported values: {list}");
        Self { reason: "FieldValueNotSupported", field: field.into(), message }
    }

    /// The field must not be given here.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {why}"),
        }
    }

    /// The value stands more than once in a list whose items are unique.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        let message = format!("Duplicate value: {value}");
        Self { reason: "FieldValueDuplicate", field: field.into(), message }
    }

    /// The value is too long.
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        let message = format!("Too long: may not be more than {max} bytes");
        Self { reason: "FieldValueTooLong", field: field.into(), message }
    }

    fn to_value(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

/// Splits `deployments.apps` into (`deployments`, `apps`); the core group is empty.
#[must_use]
pub fn split_resource(resource: &str) -> (&str, &str) {
    resource.split_once('.').unwrap_or((resource, ""))
}

impl ApiError {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    /// The request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// No such object.
    #[must_use]
    pub fn not_found(resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).about(resource, name)
    }

    /// No such path.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with_details(
            json!({"causes": [{"reason": "UnexpectedServerResponse", "message": "404 page not found"}]}),
        )
    }

    /// An object of this name is there already.
    #[must_use]
    pub fn already_exists(resource: &str, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"))
            .about(resource, name)
    }

    /// The object changed since it was read, or a precondition does not hold.
    #[must_use]
    pub fn conflict(resource: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// [`Self::conflict`] for a stale `resourceVersion`.
    #[must_use]
    pub fn stale(resource: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// The requested revision is no longer (or not yet) held.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// Not allowed by RBAC, quota or admission.
    #[must_use]
    pub fn forbidden(resource: &str, name: &str, why: &str) -> Self {
        let what =
            if name.is_empty() { resource.to_owned() } else { format!("{resource} \"{name}\"") };
        Self::new(403, "Forbidden", format!("{what} is forbidden: {why}")).about(resource, name)
    }

    /// The object breaks the rules of its kind; `kind` is `Deployment`, `group` may be empty.
    #[must_use]
    pub fn invalid(kind: &str, group: &str, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> =
            causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut details = json!({"name": name, "group": group, "kind": kind,
            "causes": causes.iter().map(Cause::to_value).collect::<Vec<_>>()});
        strip_empty(&mut details);
        Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {list}"))
            .with_details(details)
    }

    /// Several field managers own what an apply wants to set.
    #[must_use]
    pub fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        let causes: Vec<Value> = causes.iter().map(Cause::to_value).collect();
        Self::new(409, "Conflict", message).with_details(json!({"causes": causes}))
    }

    /// Something the sandbox did wrong.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .with_details(json!({"causes": [{"message": message}]}))
    }

    /// Names the object this is about in `details`.
    #[must_use]
    pub fn about(self, resource: &str, name: &str) -> Self {
        let (plural, group) = split_resource(resource);
        let mut details = json!({"name": name, "group": group, "kind": plural});
        strip_empty(&mut details);
        self.with_details(details)
    }

    /// Replaces `details`.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The `Status` object.
    #[must_use]
    pub fn to_status(&self) -> Value {
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        status.insert("metadata".into(), json!({}));
        status.insert("status".into(), "Failure".into());
        status.insert("message".into(), self.message.as_str().into());
        if !self.reason.is_empty() {
            status.insert("reason".into(), self.reason.into());
        }
        if let Some(details) = &self.details {
            status.insert("details".into(), (**details).clone());
        }
        status.insert("code".into(), self.code.into());
        Value::Object(status)
    }
}

fn strip_empty(details: &mut Value) {
    if let Some(map) = details.as_object_mut() {
        map.retain(|_, v| v.as_str() != Some(""));
    }
}
