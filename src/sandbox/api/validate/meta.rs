//! Names, labels, annotations.

use serde_json::Value;

use super::{Checks, text};
use crate::sandbox::{
    api::{Cause, kinds::Resource},
    storage::split_resource,
};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
/// Bytes that all annotations of an object may have together.
const ANNOTATIONS: usize = 256 * 1024;

/// Checks `metadata`.
pub(super) fn metadata(checks: &mut Checks, resource: &Resource, old: Option<&Value>, new: &Value) {
    if old.is_none() {
        name(checks, resource, text(new, "/metadata/name"));
    }
    labels(checks, &new["metadata"]["labels"], "metadata.labels");
    let annotations = new["metadata"]["annotations"].as_object();
    let mut total = 0;
    for (key, value) in annotations.into_iter().flatten() {
        total += key.len() + value.as_str().unwrap_or_default().len();
        if let Some(why) = wrong_key(&key.to_lowercase()) {
            checks.invalid("metadata.annotations", &key.as_str().into(), &why);
        }
    }
    if total > ANNOTATIONS {
        checks.add(Cause::too_long("metadata.annotations", ANNOTATIONS));
    }
}

fn name(checks: &mut Checks, resource: &Resource, name: &str) {
    let key = resource.storage_key();
    let (plural, group) = split_resource(&key);
    let why = match plural {
        _ if group == "rbac.authorization.k8s.io" => path_segment(name),
        "services" => dns_1035_label(name),
        "namespaces" if group.is_empty() => dns_label(name),
        _ => dns_subdomain(name),
    };
    if let Some(why) = why {
        checks.invalid("metadata.name", &name.into(), &why);
    }
}

fn path_segment(name: &str) -> Option<String> {
    if name == "." || name == ".." {
        return Some(format!("may not be '{name}'"));
    }
    ["/", "%"].iter().find(|c| name.contains(**c)).map(|c| format!("may not contain '{c}'"))
}

fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// What is wrong with a name that must be a DNS label.
pub(super) fn dns_label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".into());
    }
    (!is_label(name)).then(|| LABEL.into())
}

fn dns_1035_label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".into());
    }
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    (!(is_label(name) && starts)).then(|| LABEL_1035.into())
}

/// What is wrong with a name that must be a DNS subdomain.
pub(super) fn dns_subdomain(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 bytes".into());
    }
    (!name.split('.').all(is_label)).then(|| SUBDOMAIN.into())
}

fn is_name_part(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// What is wrong with a label or annotation key: `[PREFIX/]NAME`.
fn wrong_key(key: &str) -> Option<String> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            if prefix.is_empty() {
                return Some("prefix part must be non-empty".into());
            }
            if let Some(why) = dns_subdomain(prefix) {
                return Some(format!("prefix part {why}"));
            }
            name
        }
        None => key,
    };
    if name.is_empty() {
        return Some("name part must be non-empty".into());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 bytes".into());
    }
    (!is_name_part(name)).then(|| NAME_PART.into())
}

/// Checks labels.
pub(super) fn labels(checks: &mut Checks, labels: &Value, field: &str) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        if let Some(why) = wrong_key(key) {
            checks.invalid(field, &key.as_str().into(), &why);
        }
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            checks.invalid(field, value, "must be no more than 63 bytes");
        } else if !text.is_empty() && !is_name_part(text) {
            checks.invalid(field, value, LABEL_VALUE);
        }
    }
}
