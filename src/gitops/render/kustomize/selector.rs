//! Selectors of patches and replacements: patterns on kind and name, label expressions.

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::resource::{Id, Resource};

/// Which resources are meant; what is empty matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct Selector {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) label_selector: String,
    pub(super) annotation_selector: String,
}

impl Selector {
    /// Whether the resource is selected; `Err` says what is wrong with the selector.
    pub(super) fn selects(&self, resource: &Resource) -> Result<bool, String> {
        let (now, original) = (resource.id(), resource.original());
        let either = |pattern: &str, field: fn(&Id) -> String| -> Result<bool, String> {
            Ok(matches(pattern, &field(&original))? || matches(pattern, &field(&now))?)
        };
        Ok(either(&self.namespace, |id| id.namespace.clone().unwrap_or_default())?
            && either(&self.name, |id| id.name.clone())?
            && self.is_kind(&now)?
            && self.is_labelled(resource)?)
    }

    /// Whether group, version and kind match.
    fn is_kind(&self, id: &Id) -> Result<bool, String> {
        Ok(matches(&self.group, &id.group)?
            && matches(&self.version, &id.version)?
            && matches(&self.kind, &id.kind)?)
    }

    /// Whether the label and annotation expressions hold.
    pub(super) fn is_labelled(&self, resource: &Resource) -> Result<bool, String> {
        Ok(holds(&self.label_selector, resource.strings("labels"))?
            && holds(&self.annotation_selector, resource.strings("annotations"))?)
    }

    /// Whether one of the resource's identities, present or past, is meant by group, version, kind, name and namespace.
    pub(super) fn names(&self, id: &Id) -> Result<bool, String> {
        Ok(self.is_kind(id)?
            && matches(&self.name, &id.name)?
            && matches(&self.namespace, id.namespace.as_deref().unwrap_or_default())?)
    }
}

/// Whether the whole text matches the pattern; an empty pattern matches anything.
fn matches(pattern: &str, text: &str) -> Result<bool, String> {
    if pattern.is_empty() || pattern == text {
        return Ok(true);
    }
    let regex = Regex::new(&format!("^(?:{pattern})$"));
    regex.map(|regex| regex.is_match(text)).map_err(|_| format!("'{pattern}' is not a pattern"))
}

/// Whether a label expression (`app=x,tier in (a,b),!legacy`) holds.
fn holds(expression: &str, labels: Option<&Map<String, Value>>) -> Result<bool, String> {
    let value = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
    for term in terms(expression) {
        let bad = || format!("'{term}' is not a label expression");
        let holds = if let Some((key, wanted)) = term.split_once("!=") {
            value(key.trim()) != Some(wanted.trim())
        } else if let Some((key, wanted)) = term.split_once("==").or_else(|| term.split_once('=')) {
            value(key.trim()) == Some(wanted.trim())
        } else if let Some((left, list)) = term.split_once('(') {
            let list = list.strip_suffix(')').ok_or_else(bad)?;
            let mut words = left.split_whitespace();
            let (key, operator) = (words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?);
            let inside =
                value(key).is_some_and(|value| list.split(',').any(|one| one.trim() == value));
            match operator {
                "in" => inside,
                "notin" => !inside,
                _ => return Err(bad()),
            }
        } else if let Some(key) = term.strip_prefix('!') {
            value(key.trim()).is_none()
        } else if term.contains(char::is_whitespace) {
            return Err(bad());
        } else {
            value(&term).is_some()
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The terms of an expression: separated by commas outside of parentheses.
fn terms(expression: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0_i32;
    for c in expression.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            terms.push(String::new());
        } else if let Some(last) = terms.last_mut() {
            last.push(c);
        }
    }
    terms.iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}
