//! Request bodies: JSON (with an eye on duplicate keys) and YAML.

use std::fmt;

use axum::http::{HeaderMap, header};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{ApiError, protobuf};

/// A decoded body.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) value: Value,
    /// Paths of keys that stood more than once; the last one counted.
    pub(super) duplicates: Vec<String>,
}

/// The media type of a body, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let text = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// Decodes a body of an object that is created or updated.
pub(super) fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Decoded, ApiError> {
    match media_type(headers) {
        "" | "application/json" | "application/x-www-form-urlencoded" => json(body),
        "application/yaml" => yaml(body),
        "application/vnd.kubernetes.protobuf" => {
            protobuf::decode(body).map(|value| Decoded { value, duplicates: Vec::new() })
        }
        other => Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format ({other}) - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
            ),
        )),
    }
}

/// Decodes JSON.
pub(super) fn json(body: &[u8]) -> Result<Decoded, ApiError> {
    let mut duplicates = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let seed = Node { path: String::new(), duplicates: &mut duplicates };
    let value = seed
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| {
            ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
        })?;
    Ok(Decoded { value, duplicates })
}

/// Decodes YAML, of which JSON is a part.
pub(super) fn yaml(body: &[u8]) -> Result<Decoded, ApiError> {
    if let Ok(decoded) = json(body) {
        return Ok(decoded);
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    let value = serde_saphyr::from_str(text)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    Ok(Decoded { value, duplicates: Vec::new() })
}

/// Builds a `Value` and notes duplicate keys.
struct Node<'a> {
    path: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, list.len());
            match seq.next_element_seed(Node { path, duplicates: self.duplicates })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path =
                if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if map.contains_key(&key) {
                self.duplicates.push(path.clone());
            }
            let value = entries.next_value_seed(Node { path, duplicates: self.duplicates })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn duplicate_keys_are_named() {
        let decoded = super::json(br#"{"spec":{"a":1,"l":[{"x":1,"x":2}],"a":3}}"#).unwrap();
        assert_eq!(decoded.value, json!({"spec": {"a": 3, "l": [{"x": 2}]}}));
        assert_eq!(decoded.duplicates, ["spec.l[0].x", "spec.a"]);
        assert_eq!(super::json(b"{} x").unwrap_err().code, 400);
    }
}
