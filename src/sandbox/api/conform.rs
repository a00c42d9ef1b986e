//! Makes a decoded object conform to its type: unknown fields are found and dropped, nulls dropped, quantities put in
//! canonical form, values of a wrong type reported. It is what decoding into Go's structs does on a real server.

use serde_json::Value;

use super::{
    quantity::Quantity,
    schema::{Shape, Type},
};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Paths of fields that the type does not have.
    pub(super) unknown: Vec<String>,
    /// The first value of a wrong type, in Go's words.
    pub(super) mismatch: Option<String>,
}

/// Walks an object of a built-in kind.
pub(super) fn conform(of: Type<'_>, value: &mut Value) -> Findings {
    let mut walk = Walk { findings: Findings::default(), custom: false };
    walk.visit(of, value, "");
    walk.findings
}

/// Walks an object of a custom kind: only unknown fields are dropped, the rest is left to validation.
pub(super) fn prune(of: Type<'_>, value: &mut Value) -> Findings {
    let mut walk = Walk { findings: Findings::default(), custom: true };
    walk.visit(of, value, "");
    walk.findings
}

struct Walk {
    findings: Findings,
    custom: bool,
}

impl Walk {
    fn visit(&mut self, of: Type<'_>, value: &mut Value, path: &str) {
        match (of.shape(), &mut *value) {
            (_, Value::Null) | (Shape::Any { .. }, _) => {}
            (Shape::Object { .. }, Value::Object(map)) => {
                if !self.custom {
                    map.retain(|_, v| !v.is_null());
                }
                let embedded = of.node().limits.as_ref().is_some_and(|l| l.embedded);
                let mut unknown = Vec::new();
                for (key, value) in map.iter_mut() {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    match of.key(key) {
                        Some(inner) => self.visit(inner, value, &below),
                        None if embedded
                            && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") => {}
                        None => unknown.push((key.clone(), below)),
                    }
                }
                for (key, path) in unknown {
                    map.shift_remove(&key);
                    self.findings.unknown.push(path);
                }
            }
            (Shape::List { items, .. }, Value::Array(list)) => {
                for (i, item) in list.iter_mut().enumerate() {
                    self.visit(of.to(*items), item, &format!("{path}[{i}]"));
                }
            }
            _ if self.custom => {}
            (Shape::Quantity, _) => self.quantity(value, path),
            (Shape::String, Value::String(_))
            | (Shape::Boolean, Value::Bool(_))
            | (Shape::IntOrString, Value::String(_)) => {}
            (Shape::Integer { wide: false } | Shape::IntOrString, Value::Number(n))
                if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
            (Shape::Integer { wide: true }, Value::Number(n)) if n.is_i64() || n.is_u64() => {}
            (Shape::Integer { .. }, Value::Number(n))
                if n.is_f64() && n.as_f64().is_some_and(|f| f.fract() == 0.0) =>
            {
                // 3.0 is 3
                #[expect(clippy::cast_possible_truncation, reason = "whole and checked by fract")]
                if let Some(whole) = n.as_f64().map(|f| f as i64) {
                    *value = whole.into();
                }
            }
            (Shape::Number, Value::Number(_)) => {}
            (shape, _) => self.mismatch(shape, value, path),
        }
    }

    fn quantity(&mut self, value: &mut Value, path: &str) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return self.mismatch(&Shape::Quantity, value, path),
        };
        match Quantity::parse(&text) {
            Some(quantity) => *value = quantity.text().into(),
            None => {
                let message = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
                self.findings.mismatch.get_or_insert_with(|| message.to_owned());
            }
        }
    }

    fn mismatch(&mut self, shape: &Shape, value: &Value, path: &str) {
        let got = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(n) => &format!("number {n}"),
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let want = match shape {
            Shape::Object { extra: Some(_), .. } => "map[string]string",
            Shape::Object { .. } | Shape::Any { .. } => "struct",
            Shape::List { .. } => "[]",
            Shape::String => "string",
            Shape::Integer { wide: true } => "int64",
            Shape::Integer { wide: false } => "int32",
            Shape::Number => "float64",
            Shape::Boolean => "bool",
            Shape::IntOrString => "intstr.IntOrString",
            Shape::Quantity => "resource.Quantity",
        };
        self.findings.mismatch.get_or_insert_with(|| {
            format!("json: cannot unmarshal {got} into Go struct field {path} of type {want}")
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::api::kinds::built_in_type;

    #[test]
    fn deployments_are_checked_field_by_field() {
        let of = built_in_type("apps", "v1", "Deployment").unwrap();
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x",
            "creationTimestamp": null, "labels": {"a": "b"}}, "spec": {"replicsa": 1, "template": {"spec": {"containers": [
            {"name": "c", "imagee": "x", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]}}}});
        let findings = conform(of, &mut object);
        assert_eq!(findings.unknown, ["spec.template.spec.containers[0].imagee", "spec.replicsa"]);
        assert_eq!(findings.mismatch, None);
        let limits = &object["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(limits, &json!({"cpu": "500m", "memory": "1Gi"}));
        assert!(object["metadata"].get("creationTimestamp").is_none());

        for (pointer, value, want) in [
            (
                "/spec/replicas",
                json!("3"),
                "cannot unmarshal string into Go struct field spec.replicas of type int32",
            ),
            (
                "/metadata/labels",
                json!({"a": 1}),
                "cannot unmarshal number 1 into Go struct field metadata.labels.a of type string",
            ),
            (
                "/spec/replicas",
                json!(10_000_000_000_i64),
                "cannot unmarshal number 10000000000 into Go struct field spec.replicas of type int32",
            ),
            ("/spec/template/spec/containers", json!({}), "cannot unmarshal object"),
            (
                "/spec/template/spec/containers/0/resources/limits/cpu",
                json!("1x"),
                "quantities must match",
            ),
        ] {
            let mut wrong = object.clone();
            wrong["spec"]["replicas"] = 1.into();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let mismatch = conform(of, &mut wrong).mismatch.unwrap_or_default();
            assert!(mismatch.contains(want), "{pointer}: {mismatch}");
        }
    }
}
