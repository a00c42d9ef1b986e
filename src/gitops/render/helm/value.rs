//! Values of templates, with Go's meaning: numbers from values files are floats, mappings are shared and can be changed.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde_json::{Number, Value as Json};

/// What is printed for nothing. Helm removes it at the very end, so a hash of a text within still counts it.
pub(super) const NO_VALUE: &str = "<no value>";

/// A mapping, shared by everyone who holds it, as in Go.
pub(super) type Map = Rc<RefCell<BTreeMap<String, Val>>>;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Val {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<str>),
    List(Rc<Vec<Self>>),
    Map(Map),
    /// `.Capabilities.APIVersions`.
    Versions,
    /// `.Files`, by path within the chart.
    Files(Rc<BTreeMap<String, Rc<[u8]>>>),
}

impl Val {
    pub(super) fn str(text: impl AsRef<str>) -> Self {
        Self::Str(Rc::from(text.as_ref()))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    pub(super) fn map(entries: BTreeMap<String, Self>) -> Self {
        Self::Map(Rc::new(RefCell::new(entries)))
    }

    /// From named parts.
    pub(super) fn object<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// From a values file: every number is a float.
    pub(super) fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Float(number.as_f64().unwrap_or(0.0)),
            Json::String(text) => Self::str(text),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json).collect()),
            Json::Object(map) => Self::map(
                map.iter().map(|(key, value)| (key.clone(), Self::from_json(value))).collect(),
            ),
        }
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Nil | Self::Versions => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(number) => Json::Number((*number).into()),
            Self::Float(number) => float_json(*number),
            Self::Str(text) => Json::String(text.to_string()),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(map) => Json::Object(
                map.borrow().iter().map(|(key, value)| (key.clone(), value.to_json())).collect(),
            ),
            Self::Files(files) => {
                let text =
                    |bytes: &Rc<[u8]>| Json::String(String::from_utf8_lossy(bytes).into_owned());
                Json::Object(files.iter().map(|(key, bytes)| (key.clone(), text(bytes))).collect())
            }
        }
    }

    /// What `if` makes of it.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => !map.borrow().is_empty(),
            Self::Versions => true,
            Self::Files(files) => !files.is_empty(),
        }
    }

    /// Go's name for the kind of value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(_) | Self::Versions => "slice",
            Self::Map(_) | Self::Files(_) => "map",
        }
    }

    /// Go's name for the type of value.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            other => other.kind(),
        }
    }

    /// Whether two values are the same, all the way down.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits() || a == b,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                let (a, b) = (a.borrow(), b.borrow());
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, value)| b.get(key).is_some_and(|other| value.same(other)))
            }
            _ => false,
        }
    }

    /// A copy that shares nothing.
    pub(super) fn deep_copy(&self) -> Self {
        match self {
            Self::List(items) => Self::list(items.iter().map(Self::deep_copy).collect()),
            Self::Map(map) => Self::map(
                map.borrow().iter().map(|(key, value)| (key.clone(), value.deep_copy())).collect(),
            ),
            other => other.clone(),
        }
    }

    /// As Go's `%v` prints it.
    pub(super) fn print(&self) -> String {
        match self {
            Self::Nil => "<nil>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => print_float(*number),
            Self::Str(text) => text.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::print).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Map(map) => {
                let entries: Vec<String> = map
                    .borrow()
                    .iter()
                    .map(|(key, value)| format!("{key}:{}", value.print()))
                    .collect();
                format!("map[{}]", entries.join(" "))
            }
            Self::Versions | Self::Files(_) => String::new(),
        }
    }

    /// As it appears in the output of a template: what is not there leaves nothing.
    pub(super) fn output(&self) -> String {
        if matches!(self, Self::Nil) { NO_VALUE.to_owned() } else { self.print() }
    }
}

/// A float as JSON has it: whole numbers without a point.
fn float_json(number: f64) -> Json {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number in range")]
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Json::Number((number as i64).into());
    }
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

/// Go's `%v` of a float: the shortest digits, with an exponent from a million on.
fn print_float(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return format!("{number}").replace("inf", "+Inf");
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        let table = [
            (2.0, "2"),
            (0.5, "0.5"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (0.00001, "1e-05"),
            (-3.0, "-3"),
        ];
        for (number, text) in table {
            assert_eq!(print_float(number), text);
        }
    }
}
