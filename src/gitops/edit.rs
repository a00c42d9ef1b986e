//! Byte-exact edits of YAML text: only the lines of the change differ, or the edit is refused with file and line.

mod node;
mod plan;
mod scalar;
mod splice;
mod value;
mod write;

use std::{collections::HashMap, ops::Range};

use granit_parser::ScalarStyle;
use serde_json::Value;

use self::{
    node::{Doc, Source},
    plan::{Plan, Refusal, Splice},
    value::Expander,
};
use crate::domain::ObjectRef;

/// Edits one document of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Which document of the file.
    pub document: Document,
    /// What to do in it, in order.
    pub steps: Vec<PathEdit>,
}

/// Selects a document of a (possibly multi-document) file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// The only document (`values.yaml`, `kustomization.yaml`); several documents are an error.
    Only,
    /// The n-th non-empty document, from 0.
    Index(usize),
    /// The manifest with this kind and name; `namespace: None` matches a manifest without one.
    Object {
        /// `apiVersion`, when it matters.
        api_version: Option<String>,
        /// `kind`.
        kind: String,
        /// `metadata.namespace`.
        namespace: Option<String>,
        /// `metadata.name`.
        name: String,
    },
}

/// One edit at one path.
#[derive(Debug, Clone, PartialEq)]
pub enum PathEdit {
    /// Sets the value at the path, creating missing parents. A scalar keeps its quoting style, its anchor and its comment.
    Set {
        /// Where.
        path: Path,
        /// What; maps and lists are written in the block style and indentation of their surroundings.
        value: Value,
    },
    /// Removes the key or list item with its own comment; a parent left empty is removed up to the nearest list item or
    /// the given number of levels.
    Remove {
        /// Where.
        path: Path,
    },
}

/// A path into a document.
pub type Path = Vec<Step>;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key of a mapping.
    Key(String),
    /// An item of a list by position; its length appends.
    Index(usize),
    /// The item of a list of mappings whose `key` equals `value`; created with that key when missing.
    Where {
        /// `name`.
        key: String,
        /// `app`.
        value: String,
    },
}

/// Why a file was not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}: {message}")]
pub struct EditError {
    /// File.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// What is in the way, and what to do about it.
    pub message: String,
}

/// One non-empty document of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentInfo {
    /// Position among the non-empty documents, from 0; see [`Document::Index`].
    pub index: usize,
    /// Its bytes, with its `---` line; the ranges of a file follow each other without gaps, empty documents aside.
    pub range: Range<usize>,
    /// Line of its first key or value, from 1.
    pub line: usize,
    /// The object it declares, when it declares one.
    pub object: Option<ObjectRef>,
}

/// The non-empty documents of `text`, the content of the file `path`.
///
/// # Errors
/// When the text is no YAML, or a template.
pub fn documents(path: &str, text: &str) -> Result<Vec<DocumentInfo>, EditError> {
    let source = read(path, text)?;
    let filled = filled(&source);
    Ok(filled.map(|(index, doc)| info(text, index, doc)).collect())
}

/// The line, from 1, of the value at `path` in the selected document of `text`, or of the nearest parent that exists:
/// a finding about a missing key points to the mapping that lacks it. `None` when there is no such document.
#[must_use]
pub fn locate(text: &str, document: &Document, path: &[Step]) -> Option<usize> {
    let source = node::parse(text).ok()?;
    let doc = select(text, &source, document).ok()?;
    let plan = Plan::new(text, &source, doc);
    let trail = (0..=path.len()).rev().find_map(|length| plan.walk(&path[..length]).ok());
    let slot = *trail?.0.last()?;
    let start = slot.entry().map_or(slot.node.start, |entry| entry.key.start);
    Some(node::line_of(text, start))
}

/// Applies `edit` to `text` (the content of `path`) and returns the new text.
///
/// The result is proven before it is returned: parsed again, the selected document means what the edit says (aliases and
/// merge keys expanded), and every other document has the same bytes. A `Set` of what is there already returns `text`.
///
/// A removed key or item takes its trailing comment along, and the comment lines right above it when they can speak of
/// nothing else (a sibling that follows without comment or blank line keeps them, as the head of a group).
///
/// # Errors
/// When the document or path cannot be found or cannot be edited safely; nothing is ever half edited.
pub fn apply(path: &str, text: &str, edit: &Edit) -> Result<String, EditError> {
    let source = read(path, text)?;
    let index = select(text, &source, &edit.document)
        .map(|doc| source.documents.iter().position(|other| std::ptr::eq(doc, other)).unwrap_or(0))
        .map_err(|refusal| refusal.of(path, text))?;
    let mut now = text.to_owned();
    for step in &edit.steps {
        now = apply_step(path, &now, index, step)?;
    }
    Ok(now)
}

/// Splices one edit may take: each brings the text closer to the wanted value.
const MAX_SPLICES: usize = 2_000;

fn apply_step(path: &str, text: &str, index: usize, edit: &PathEdit) -> Result<String, EditError> {
    let source = read(path, text)?;
    let doc = &source.documents[index];
    let failed = |refusal: Refusal| refusal.of(path, text);
    check_document(text, doc).map_err(failed)?;
    let plan = Plan::new(text, &source, doc);
    let before = plan.value(&doc.root).map_err(failed)?;
    let mut now = text.to_owned();
    match edit {
        PathEdit::Remove { path } => {
            now = spliced(&now, plan.remove(path).map_err(failed)?);
        }
        PathEdit::Set { path: steps, value } => {
            let value = value::wanted(&before, steps, value);
            for _ in 0..MAX_SPLICES {
                let source = read(path, &now)?;
                let plan = Plan::new(&now, &source, &source.documents[index]);
                let next = plan.set(steps, &value).map_err(|refusal| refusal.of(path, &now))?;
                match next {
                    Some(splices) => now = spliced(&now, splices),
                    None => break,
                }
            }
        }
    }
    if now != text {
        let wanted = value::edited(before, edit);
        prove(text, &now, index, wanted.as_ref()).map_err(|reason| {
            let steps = match edit {
                PathEdit::Set { path, .. } | PathEdit::Remove { path } => plan::show(path),
            };
            let message =
                format!("editing {steps} is not safe here ({reason}); edit the file by hand");
            Refusal { at: doc.root.start, message }.of(path, text)
        })?;
    }
    Ok(now)
}

/// Parsed again, document `index` of `after` must mean `wanted`, and all others must have the bytes they had.
fn prove(before: &str, after: &str, index: usize, wanted: Option<&Value>) -> Result<(), String> {
    let old = node::parse(before).map_err(|(_, reason)| reason)?;
    let new = node::parse(after)
        .map_err(|(_, reason)| format!("the result would not parse: {reason}"))?;
    let doc = new.documents.get(index).ok_or("a document would be lost")?;
    let value = Expander::new(&doc.root).value(&doc.root);
    if value.as_ref() != wanted || wanted.is_none() {
        return Err("the result would not mean what was asked for".to_owned());
    }
    let others = |text: &str, source: &Source| -> Vec<String> {
        let ranges = source.documents.iter().enumerate().filter(|(other, _)| *other != index);
        ranges.map(|(_, doc)| text[doc.range.clone()].to_owned()).collect()
    };
    if others(before, &old) != others(after, &new) {
        return Err("another document would change".to_owned());
    }
    Ok(())
}

/// `text` with the splices done, in the line breaks of the text.
fn spliced(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let mut out = String::with_capacity(text.len() + 64);
    let mut from = 0;
    for splice in splices {
        out.push_str(&text[from..splice.range.start]);
        let above = text[..splice.range.start].rfind('\n').or_else(|| text.find('\n'));
        if above.is_some_and(|at| text[..at].ends_with('\r')) {
            out.push_str(&splice.text.replace('\n', "\r\n"));
        } else {
            out.push_str(&splice.text);
        }
        from = splice.range.end;
    }
    out.push_str(&text[from..]);
    out
}

fn read(path: &str, text: &str) -> Result<Source, EditError> {
    let template = text.find("{{").or_else(|| text.find("{%"));
    let in_templates = path.split('/').any(|part| part == "templates");
    let refusal = match (node::parse(text), template) {
        (Ok(source), Some(at)) if in_templates && !source.documents.is_empty() => {
            Refusal { at, message: TEMPLATE.to_owned() }
        }
        (Ok(source), _) => return Ok(source),
        (Err(_), Some(at)) => Refusal { at, message: TEMPLATE.to_owned() },
        (Err((at, reason)), None) => {
            Refusal { at, message: format!("this is no valid YAML: {reason}; mend it first") }
        }
    };
    Err(refusal.of(path, text))
}

const TEMPLATE: &str =
    "this is a template, not a manifest; change the values it is rendered from instead";

/// Refuses a document whose meaning is unclear.
fn check_document(text: &str, doc: &Doc) -> Result<(), Refusal> {
    let mut result = Ok(());
    doc.root.visit(&mut |node| {
        if result.is_err() {
            return;
        }
        let templated = node.style() == Some(ScalarStyle::Plain)
            && node.text().is_some_and(|text| text.contains("{{"));
        if templated || node.entries().iter().any(|entry| !entry.key.entries().is_empty()) {
            result = plan::refuse(node.start, TEMPLATE);
            return;
        }
        let mut seen = HashMap::new();
        for key in node.entries().iter().map(|entry| &entry.key) {
            let Some(name) = key.text() else { continue };
            if let Some(first) = seen.insert(name, key.start) {
                let line = node::line_of(text, first);
                let message = format!(
                    "the key {name} is here twice, first in line {line}; remove one of them"
                );
                result = plan::refuse(key.start, message);
                return;
            }
        }
    });
    result
}

fn filled(source: &Source) -> impl Iterator<Item = (usize, &Doc)> {
    source.documents.iter().filter(|doc| !doc.root.is_omitted()).enumerate()
}

fn info(text: &str, index: usize, doc: &Doc) -> DocumentInfo {
    let field = |path: &[&str]| {
        let node = path.iter().try_fold(&doc.root, |at, key| at.entry(key).map(|e| &e.value))?;
        node.text().filter(|text| !text.is_empty() && !node.is_omitted())
    };
    let object = || {
        let namespace = field(&["metadata", "namespace"]);
        Some(ObjectRef::new(
            field(&["apiVersion"])?,
            field(&["kind"])?,
            namespace,
            field(&["metadata", "name"])?,
        ))
    };
    let line = node::line_of(text, doc.root.start);
    DocumentInfo { index, range: doc.range.clone(), line, object: object() }
}

fn select<'a>(text: &str, source: &'a Source, wanted: &Document) -> Result<&'a Doc, Refusal> {
    let mut filled = filled(source);
    match wanted {
        Document::Only => match (filled.next(), filled.next()) {
            (Some(_), Some((_, second))) => plan::refuse(
                second.root.start,
                "a second document begins here; say which one is meant",
            ),
            (Some((_, only)), None) => Ok(only),
            // empty documents can be filled, one of several cannot be told apart
            _ if source.documents.len() == 1 => Ok(&source.documents[0]),
            _ => plan::refuse(0, "the file has several documents, all of them empty"),
        },
        Document::Index(index) => match filled.nth(*index) {
            Some((_, doc)) => Ok(doc),
            None => plan::refuse(0, format!("there is no document {index} in this file")),
        },
        Document::Object { api_version, kind, namespace, name } => {
            let matches = |(index, doc): &(usize, &Doc)| {
                info(text, *index, doc).object.is_some_and(|object| {
                    object.kind == *kind
                        && object.name == *name
                        && object.namespace == *namespace
                        && api_version.as_ref().is_none_or(|version| object.api_version == *version)
                })
            };
            let found: Vec<&Doc> = filled.filter(matches).map(|(_, doc)| doc).collect();
            match found.as_slice() {
                [only] => Ok(only),
                [_, second, ..] => plan::refuse(
                    second.root.start,
                    format!("{kind} {name} is declared here a second time; remove one of the two"),
                ),
                [] => {
                    let place = namespace.as_deref().map_or_else(
                        || "without a namespace".to_owned(),
                        |namespace| format!("in namespace {namespace}"),
                    );
                    let names: Vec<String> = self::filled(source)
                        .filter_map(|(index, doc)| info(text, index, doc).object)
                        .map(|object| object.to_string())
                        .take(8)
                        .collect();
                    let names =
                        if names.is_empty() { "no object".to_owned() } else { names.join(", ") };
                    plan::refuse(
                        0,
                        format!("this file declares no {kind} {name} {place}; it declares {names}"),
                    )
                }
            }
        }
    }
}

impl Refusal {
    fn of(self, path: &str, text: &str) -> EditError {
        let line = node::line_of(text, self.at);
        EditError { path: path.to_owned(), line, message: self.message }
    }
}
