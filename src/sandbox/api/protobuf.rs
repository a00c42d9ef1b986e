//! Bodies in Kubernetes' protobuf form, which kubectl sends for built-in kinds. Only decoded: answers are always JSON,
//! which the same clients accept.

use std::{collections::HashMap, io::Read as _, sync::OnceLock};

use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::ApiError;

static MESSAGES: &[u8] = include_bytes!("../openapi/messages.tsv.gz");
const MAGIC: &[u8] = b"k8s\0";
/// Deeper nesting is refused.
const MAX_DEPTH: usize = 64;

/// Message names to the text of their fields (`openapi/messages.py` describes it).
fn messages() -> &'static HashMap<String, String> {
    static TABLE: OnceLock<HashMap<String, String>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut text = String::new();
        GzDecoder::new(MESSAGES)
            .read_to_string(&mut text)
            .expect("invariant: the embedded message table is gzip of text");
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        lines.map(|(name, fields)| (name.to_owned(), fields.to_owned())).collect()
    })
}

/// Decodes a body.
///
/// # Errors
/// `BadRequest` when it is malformed or of a kind that has no protobuf form here.
pub(super) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let wrong =
        || ApiError::bad_request("the body of the request is not a Kubernetes protobuf object");
    let envelope = body.strip_prefix(MAGIC).ok_or_else(wrong)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for (number, field) in fields(envelope).ok_or_else(wrong)? {
        match (number, field) {
            (1, Raw::Bytes(meta)) => {
                for (number, field) in fields(meta).ok_or_else(wrong)? {
                    match (number, field) {
                        (1, Raw::Bytes(text)) => api_version = utf8(text).ok_or_else(wrong)?,
                        (2, Raw::Bytes(text)) => kind = utf8(text).ok_or_else(wrong)?,
                        _ => {}
                    }
                }
            }
            (2, Raw::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = message_name(&api_version, &kind);
    if !messages().contains_key(&message) {
        let text = format!("{kind} of {api_version} cannot be sent as protobuf here; send JSON");
        return Err(ApiError::new(415, "UnsupportedMediaType", text));
    }
    let mut object = Map::new();
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    read_message(&message, raw, &mut object, 0).ok_or_else(wrong)?;
    Ok(Value::Object(object))
}

/// `apps/v1`, `Deployment` to `apps/v1.Deployment`.
fn message_name(api_version: &str, kind: &str) -> String {
    if matches!(kind, "DeleteOptions" | "PatchOptions" | "CreateOptions" | "UpdateOptions") {
        return format!("meta/v1.{kind}");
    }
    match api_version.split_once('/') {
        None => format!("core/{api_version}.{kind}"),
        Some((group, version)) => {
            let package = group.split('.').next().unwrap_or_default();
            format!("{package}/{version}.{kind}")
        }
    }
}

/// A field as it stands on the wire.
enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Raw<'_>)>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let raw = match key & 7 {
            0 => Raw::Number(varint(&mut bytes)?),
            1 => Raw::Number(u64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Raw::Bytes(take(&mut bytes, length)?)
            }
            5 => Raw::Number(u64::from(u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?))),
            _ => return None,
        };
        all.push((key >> 3, raw));
    }
    Some(all)
}

fn utf8(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// Reads the fields of a message into an object; `None` when the bytes are malformed.
fn read_message(
    name: &str,
    bytes: &[u8],
    object: &mut Map<String, Value>,
    depth: usize,
) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    let known = messages().get(name)?;
    for (number, raw) in fields(bytes)? {
        let field = known.split(' ').find_map(|field| {
            let mut parts = field.splitn(3, ':');
            let here = parts.next()?.parse::<u64>().ok()? == number;
            here.then(|| Some((parts.next()?, parts.next()?)))?
        });
        let Some((key, kind)) = field else { continue };
        if let Some(inline) = kind.strip_prefix('!') {
            if let Raw::Bytes(bytes) = raw {
                read_message(inline, bytes, object, depth + 1)?;
            }
        } else if let Some(item) = kind.strip_prefix('[') {
            let value = read_value(item, &raw, depth)?.unwrap_or_else(|| empty(item));
            match object.get_mut(key) {
                Some(Value::Array(list)) => list.push(value),
                _ => drop(object.insert(key.to_owned(), Value::Array(vec![value]))),
            }
        } else if let Some(item) = kind.strip_prefix('{') {
            let Raw::Bytes(entry) = raw else { return None };
            let (entry_key, value) = read_entry(item, entry, depth)?;
            match object.get_mut(key) {
                Some(Value::Object(map)) => drop(map.insert(entry_key, value)),
                _ => {
                    drop(object.insert(key.to_owned(), Map::from_iter([(entry_key, value)]).into()))
                }
            }
        } else if let Some(value) = read_value(kind, &raw, depth)? {
            object.insert(key.to_owned(), value);
        }
    }
    Some(())
}

fn empty(kind: &str) -> Value {
    match kind {
        "s" | "y" => "".into(),
        "i" | "d" => 0.into(),
        "b" => false.into(),
        _ => Value::Object(Map::new()),
    }
}

fn read_entry(item: &str, bytes: &[u8], depth: usize) -> Option<(String, Value)> {
    let mut key = String::new();
    let mut value = empty(item);
    for (number, raw) in fields(bytes)? {
        match (number, &raw) {
            (1, Raw::Bytes(text)) => key = utf8(text)?,
            (2, _) => value = read_value(item, &raw, depth)?.unwrap_or(value),
            _ => {}
        }
    }
    Some((key, value))
}

/// Reads one value; `Some(None)` when it is a zero that means absent.
#[expect(clippy::option_option, reason = "malformed, absent and present are three things")]
fn read_value(kind: &str, raw: &Raw<'_>, depth: usize) -> Option<Option<Value>> {
    let (keeps_zero, kind) = match kind.strip_prefix('*') {
        Some(kind) => (true, kind),
        None => (false, kind),
    };
    let value: Value = match (kind, raw) {
        ("s", Raw::Bytes(bytes)) => utf8(bytes)?.into(),
        ("y", Raw::Bytes(bytes)) => base64(bytes).into(),
        ("i", Raw::Number(n)) => n.cast_signed().into(),
        ("b", Raw::Number(n)) => (*n != 0).into(),
        ("d", Raw::Number(n)) => f64::from_bits(*n).into(),
        (name, Raw::Bytes(bytes)) => return read_object(name.strip_prefix('@')?, bytes, depth),
        _ => return None,
    };
    let absent = value == "" || value == 0 || value == false;
    Some((keeps_zero || !absent).then_some(value))
}

#[expect(clippy::option_option, reason = "malformed, absent and present are three things")]
fn read_object(name: &str, bytes: &[u8], depth: usize) -> Option<Option<Value>> {
    let numbers =
        || -> Option<HashMap<u64, Raw<'_>>> { Some(fields(bytes)?.into_iter().collect()) };
    let number = |map: &HashMap<u64, Raw<'_>>, key: u64| match map.get(&key) {
        Some(Raw::Number(n)) => n.cast_signed(),
        _ => 0,
    };
    let text = |map: &HashMap<u64, Raw<'_>>, key: u64| match map.get(&key) {
        Some(Raw::Bytes(bytes)) => utf8(bytes),
        _ => Some(String::new()),
    };
    Some(match name {
        "Quantity" => Some(text(&numbers()?, 1)?.into()),
        "IntOrString" => {
            let map = numbers()?;
            Some(if number(&map, 1) == 1 { text(&map, 3)?.into() } else { number(&map, 2).into() })
        }
        "Time" | "MicroTime" => {
            let map = numbers()?;
            let nanos = i32::try_from(number(&map, 2)).ok()?;
            let at = Timestamp::new(number(&map, 1), nanos).ok()?;
            let form = if name == "Time" { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
            // a zero time is written as the year 1 or as nothing
            (!map.is_empty() && at.as_second() > 0).then(|| at.strftime(form).to_string().into())
        }
        "Raw" => match numbers()?.get(&1) {
            Some(Raw::Bytes(json)) => serde_json::from_slice(json).ok(),
            _ => None,
        },
        "Duration" => Some(format!("{}s", number(&numbers()?, 1) / 1_000_000_000).into()),
        "Texts" => {
            let items: Option<Vec<Value>> = fields(bytes)?
                .into_iter()
                .map(|(_, raw)| if let Raw::Bytes(b) = raw { Some(utf8(b)?.into()) } else { None })
                .collect();
            Some(items?.into())
        }
        _ => {
            let mut object = Map::new();
            read_message(name, bytes, &mut object, depth + 1)?;
            Some(Value::Object(object))
        }
    })
}

/// Standard base64 with padding, as JSON carries bytes.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4_usize {
            let index = (bits >> (18 - 6 * i)) & 63;
            let letter = char::from(ALPHABET[index as usize]);
            text.push(if i <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, length], bytes].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let entry = |key: &str, value: &[u8]| [field(1, key.as_bytes()), field(2, value)].concat();
        let object = [
            field(1, &[field(1, b"settings"), field(5, b"")].concat()),
            field(2, &entry("a", b"b")),
            field(3, &entry("bin", &[0xff, 0])),
        ]
        .concat();
        let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
        let body = [MAGIC.to_vec(), field(1, &kind), field(2, &object)].concat();
        assert_eq!(
            decode(&body).unwrap(),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                "data": {"a": "b"}, "binaryData": {"bin": "/wA="}})
        );
        assert_eq!(decode(&body[..body.len() - 1]).unwrap_err().code, 400);
        assert_eq!(decode(b"{}").unwrap_err().code, 400);
    }

    #[test]
    fn base64_pads() {
        for (bytes, want) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), want);
        }
    }
}
