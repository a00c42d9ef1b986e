//! Label and field selectors.

use serde_json::Value;

use super::ApiError;

/// Which objects a list or watch is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    GreaterThan(i64),
    LessThan(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

/// Fields that a resource's objects can be selected by, besides `metadata.name` and `metadata.namespace`.
const SELECTABLE: &[(&str, &[&str])] = &[
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
            "regarding.kind",
            "regarding.name",
            "regarding.namespace",
            "regarding.uid",
        ],
    ),
    ("nodes", &["spec.unschedulable"]),
    ("namespaces", &["status.phase"]),
    ("secrets", &["type"]),
    ("services", &["spec.clusterIP", "spec.type"]),
    ("replicationcontrollers", &["status.replicas"]),
    ("replicasets", &["status.replicas"]),
    ("jobs", &["status.successful"]),
    ("certificatesigningrequests", &["spec.signerName"]),
];

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`.
    pub(super) fn parse(
        labels: Option<&str>,
        fields: Option<&str>,
        plural: &str,
    ) -> Result<Self, ApiError> {
        let labels = labels.map(parse_labels).transpose()?.unwrap_or_default();
        let fields = fields.map(|text| parse_fields(text, plural)).transpose()?.unwrap_or_default();
        Ok(Self { labels, fields })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        self.labels.iter().all(|r| r.test.holds(label(&r.key)))
            && self.fields.iter().all(|f| (field_text(object, &f.path) == f.value) == f.equal)
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = |v: Option<&str>| v.and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::In(values) => value.is_some_and(|v| values.iter().any(|x| x == v)),
            Self::NotIn(values) => value.is_none_or(|v| !values.iter().any(|x| x == v)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::GreaterThan(than) => number(value).is_some_and(|n| n > *than),
            Self::LessThan(than) => number(value).is_some_and(|n| n < *than),
        }
    }
}

/// The value of a field as text; absent fields are empty, absent flags `false`.
fn field_text(object: &Value, path: &str) -> String {
    let path = match path {
        "regarding.kind" | "regarding.name" | "regarding.namespace" | "regarding.uid" => {
            path.replace("regarding", "involvedObject")
        }
        "source" => "source.component".to_owned(),
        "status.successful" => "status.succeeded".to_owned(),
        other => other.to_owned(),
    };
    let found = path.split('.').try_fold(object, |value, key| value.get(key));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None
            if matches!(path.as_str(), "spec.unschedulable" | "spec.hostNetwork") =>
        {
            "false".to_owned()
        }
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn parse_fields(text: &str, plural: &str) -> Result<Vec<FieldRequirement>, ApiError> {
    let known = SELECTABLE.iter().find(|(p, _)| *p == plural).map_or(&[][..], |(_, f)| f);
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (path, value, equal) = part
                .split_once("!=")
                .map(|(p, v)| (p, v, false))
                .or_else(|| {
                    part.split_once("==")
                        .or_else(|| part.split_once('='))
                        .map(|(p, v)| (p, v, true))
                })
                .ok_or_else(|| {
                    ApiError::bad_request(format!(
                        "invalid selector: '{part}'; can't understand '{part}'"
                    ))
                })?;
            if !matches!(path, "metadata.name" | "metadata.namespace") && !known.contains(&path) {
                return Err(ApiError::bad_request(format!("field label not supported: {path}")));
            }
            Ok(FieldRequirement { path: path.to_owned(), value: value.to_owned(), equal })
        })
        .collect()
}

/// Splits at commas that are not inside parentheses.
fn split_requirements(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, ApiError> {
    split_requirements(text).into_iter().map(parse_requirement).collect()
}

fn parse_requirement(text: &str) -> Result<Requirement, ApiError> {
    let wrong = || {
        ApiError::bad_request(format!(
            "unable to parse requirement: found '{text}', expected a label selector"
        ))
    };
    let make = |key: &str, test: Test| {
        let key = key.trim();
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "()=!".contains(c)) {
            return Err(wrong());
        }
        Ok(Requirement { key: key.to_owned(), test })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = text.split_once("!=") {
        return make(key, Test::NotIn(one(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return make(key, Test::In(one(value)));
    }
    if let Some(open) = text.find('(') {
        let values = text[open + 1..].strip_suffix(')').ok_or_else(wrong)?;
        let values: Vec<String> = values.split(',').map(|v| v.trim().to_owned()).collect();
        let mut words = text[..open].split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => make(key, Test::In(values)),
            (Some(key), Some("notin"), None) => make(key, Test::NotIn(values)),
            _ => Err(wrong()),
        };
    }
    for (sign, greater) in [('>', true), ('<', false)] {
        if let Some((key, value)) = text.split_once(sign) {
            let than = value.trim().parse().map_err(|_| wrong())?;
            return make(key, if greater { Test::GreaterThan(than) } else { Test::LessThan(than) });
        }
    }
    match text.strip_prefix('!') {
        Some(key) => make(key, Test::Absent),
        None => make(text, Test::Exists),
    }
}

/// Whether a `LabelSelector` object (`matchLabels`, `matchExpressions`) selects an object. An empty one selects all.
pub(super) fn object_selects(selector: &Value, object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels");
    labels_match(selector, labels.unwrap_or(&Value::Null))
}

/// Whether a `LabelSelector` object selects these labels.
pub(super) fn labels_match(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    equal.into_iter().flatten().all(|(key, value)| label(key) == value.as_str())
        && expressions.into_iter().flatten().all(|expression| {
            let values = || -> Vec<String> {
                let list = expression["values"].as_array();
                list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let value = label(expression["key"].as_str().unwrap_or_default());
            match expression["operator"].as_str() {
                Some("In") => Test::In(values()).holds(value),
                Some("NotIn") => Test::NotIn(values()).holds(value),
                Some("Exists") => Test::Exists.holds(value),
                Some("DoesNotExist") => Test::Absent.holds(value),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front", "n": "5"}}});
        for (text, want) in [
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app in (api, web),!canary", true),
            ("app notin (api,web)", false),
            ("missing notin (x)", true),
            ("missing", false),
            ("tier", true),
            ("n>4,n<6", true),
            ("n>5", false),
            ("", true),
        ] {
            let selector = Selector::parse(Some(text), None, "pods").unwrap();
            assert_eq!(selector.matches(&object), want, "{text}");
        }
        for text in ["app in web", "a b", "app in (x", "n>x"] {
            assert!(Selector::parse(Some(text), None, "pods").is_err(), "{text}");
        }
    }

    #[test]
    fn field_selectors() {
        let pod = json!({"metadata": {"name": "p", "namespace": "a"}, "spec": {"nodeName": "n"},
            "status": {"phase": "Running"}});
        for (text, want) in [
            ("metadata.name=p", true),
            ("spec.nodeName=n,status.phase!=Failed", true),
            ("status.phase=Pending", false),
            ("spec.hostNetwork=false", true),
        ] {
            let selector = Selector::parse(None, Some(text), "pods").unwrap();
            assert_eq!(selector.matches(&pod), want, "{text}");
        }
        let refused = Selector::parse(None, Some("spec.color=red"), "pods").unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (400, "field label not supported: spec.color")
        );
    }
}
