//! Naming one Kubernetes object.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One Kubernetes object: `apps/v1/Deployment/bank/ledger`, `v1/Namespace/bank`.
///
/// The text form is `apiVersion/kind[/namespace]/name`; it is what cases, trailers and the API use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ObjectRef {
    /// `apps/v1`, or `v1` for the core group.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Absent for cluster-scoped objects.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectRef {
    /// Builds a reference from its parts.
    pub fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// Reads the reference out of a manifest or live object; `None` when `apiVersion`, `kind` or `metadata.name` is missing.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        Some(Self::new(
            text("/apiVersion")?,
            text("/kind")?,
            text("/metadata/namespace").filter(|ns| !ns.is_empty()),
            text("/metadata/name")?,
        ))
    }

    /// The API group, empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The API version without its group: `v1`.
    #[must_use]
    pub fn version(&self) -> &str {
        self.api_version.split_once('/').map_or(&self.api_version, |(_, version)| version)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.api_version, self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl From<ObjectRef> for String {
    fn from(value: ObjectRef) -> Self {
        value.to_string()
    }
}

impl TryFrom<String> for ObjectRef {
    type Error = ParseObjectRefError;
    fn try_from(value: String) -> Result<Self, Self::Error> {
        value.parse()
    }
}

/// The text is not `apiVersion/kind[/namespace]/name`.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' does not name an object; write apiVersion/kind[/namespace]/name, for example apps/v1/Deployment/bank/ledger"
)]
pub struct ParseObjectRefError(String);

impl FromStr for ObjectRef {
    type Err = ParseObjectRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        // a version segment looks like v1, v1beta1: it tells whether the first segment is a group
        let is_version = |s: &str| {
            s.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let split = match parts.as_slice() {
            [version, ..] if is_version(version) => 1,
            [_, version, ..] if is_version(version) => 2,
            _ => return Err(ParseObjectRefError(text.to_owned())),
        };
        let api_version = parts[..split].join("/");
        match &parts[split..] {
            [kind, name] if !kind.is_empty() && !name.is_empty() => {
                Ok(Self::new(&api_version, kind, None, name))
            }
            [kind, namespace, name] if !kind.is_empty() && !name.is_empty() => {
                Ok(Self::new(&api_version, kind, Some(namespace), name))
            }
            _ => Err(ParseObjectRefError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in ["apps/v1/Deployment/bank/ledger", "v1/Namespace/shop", "v1/Pod/a/b"] {
            assert_eq!(
                text.parse::<ObjectRef>().map(|r| r.to_string()).ok().as_deref(),
                Some(text)
            );
        }
        assert!("Deployment/ledger".parse::<ObjectRef>().is_err());
        assert!("apps/v1/Deployment".parse::<ObjectRef>().is_err());
    }
}
