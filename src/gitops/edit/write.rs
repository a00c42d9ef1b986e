//! Writing values in the style of their surroundings: indentation, list style, quotes, line breaks.

use granit_parser::ScalarStyle;
use serde_json::Value;

use super::{
    node::{Entry, Kind, Node, Source},
    scalar,
};

/// How a document is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Columns a nested mapping is indented by.
    pub(super) step: usize,
    /// Columns a list's `-` stands right of its key.
    pub(super) list_indent: usize,
    /// Quotes for strings that need some.
    pub(super) quote: char,
    /// The document is JSON: everything is quoted, no trailing commas.
    pub(super) json: bool,
}

impl Layout {
    /// What most of the document does; where it shows nothing, what most of the file does.
    pub(super) fn of(text: &str, source: &Source, root: &Node) -> Self {
        let mut own = Habits::default();
        own.watch(text, root);
        let mut file = Habits::default();
        for document in &source.documents {
            file.watch(text, &document.root);
        }
        let step = most(&own.steps).or_else(|| most(&file.steps)).unwrap_or(2);
        let list = most(&own.lists).or_else(|| most(&file.lists)).unwrap_or(0);
        let single = if own.single + own.double == 0 { &file } else { &own };
        let json = root.is_flow()
            && root.entries().first().is_some_and(|entry| is_quoted(&entry.key).is_some());
        let quote = if single.single > single.double { '\'' } else { '"' };
        Self { step, list_indent: list, quote, json }
    }
}

#[derive(Default)]
struct Habits {
    steps: Vec<usize>,
    lists: Vec<usize>,
    single: usize,
    double: usize,
}

impl Habits {
    fn watch(&mut self, text: &str, root: &Node) {
        root.visit(&mut |node| {
            match is_quoted(node) {
                Some('\'') => self.single += 1,
                Some(_) => self.double += 1,
                None => {}
            }
            let nested = node.entries().iter().filter(|e| node.is_block() && e.value.is_block());
            for entry in nested {
                let key = column(text, entry.key.start);
                let child = column(text, entry.value.span.start);
                let list = matches!(entry.value.kind, Kind::List { .. });
                let seen = if list { &mut self.lists } else { &mut self.steps };
                seen.extend(child.checked_sub(key));
            }
        });
    }
}

/// The most frequent number; the smaller of two that are equally frequent.
fn most(seen: &[usize]) -> Option<usize> {
    let count = |n: usize| seen.iter().filter(|m| **m == n).count();
    seen.iter().copied().max_by_key(|n| (count(*n), usize::MAX - *n))
}

/// The quote character of a quoted scalar.
fn is_quoted(node: &Node) -> Option<char> {
    match node.style()? {
        ScalarStyle::SingleQuoted => Some('\''),
        ScalarStyle::DoubleQuoted => Some('"'),
        _ => None,
    }
}

/// Characters before `at` in its line; a byte-order mark has no width.
pub(super) fn column(text: &str, at: usize) -> usize {
    text[line_start(text, at)..at].chars().filter(|c| *c != '\u{feff}').count()
}

/// First byte of the line of `at`.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |position| position + 1)
}

/// First byte of the line after the one of `at`.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length + 1)
}

/// `width` blanks.
pub(super) fn pad(width: usize) -> String {
    " ".repeat(width)
}

/// Values as text; line breaks are `\n` whatever the file uses.
impl Layout {
    /// What follows `key:` at column `indent`: from the blank or line break on. `examples` are values of the same role.
    pub(super) fn after_key(&self, value: &Value, indent: usize, examples: &[&Node]) -> String {
        match value {
            Value::Object(map) if !map.is_empty() => {
                let inner = indent + self.step;
                format!("\n{}{}", pad(inner), self.block(value, inner, examples))
            }
            Value::Array(list) if !list.is_empty() => {
                let inner = indent + self.list_indent;
                format!("\n{}{}", pad(inner), self.block(value, inner, examples))
            }
            _ => format!(" {}", self.scalar_lines(value, indent + self.step, examples)),
        }
    }

    /// What follows the `-` at column `indent`, `gap` blanks first.
    pub(super) fn after_dash(
        &self,
        value: &Value,
        indent: usize,
        gap: usize,
        examples: &[&Node],
    ) -> String {
        let inner = indent + 1 + gap;
        match value {
            Value::Object(map) if !map.is_empty() => {
                format!("{}{}", pad(gap), self.block(value, inner, examples))
            }
            Value::Array(list) if !list.is_empty() => {
                format!("{}{}", pad(gap), self.block(value, inner, examples))
            }
            _ => format!("{}{}", pad(gap), self.scalar_lines(value, inner, examples)),
        }
    }

    /// A non-empty mapping or list whose first line starts at column `indent` already.
    pub(super) fn block(&self, value: &Value, indent: usize, examples: &[&Node]) -> String {
        let lines: Vec<String> = match value {
            Value::Object(map) => {
                map.iter().map(|(key, value)| self.entry(key, value, indent, examples)).collect()
            }
            Value::Array(list) => {
                let inner: Vec<&Node> =
                    examples.iter().flat_map(|n| n.items()).map(|item| &item.value).collect();
                list.iter()
                    .map(|value| format!("-{}", self.after_dash(value, indent, 1, &inner)))
                    .collect()
            }
            scalar => vec![self.scalar_lines(scalar, indent, examples)],
        };
        lines.join(&format!("\n{}", pad(indent)))
    }

    /// `key: value` at column `indent`; `maps` are mappings of the same role.
    pub(super) fn entry(&self, key: &str, value: &Value, indent: usize, maps: &[&Node]) -> String {
        let examples = value_examples(key, value, maps);
        format!("{}:{}", self.key(key, maps, false), self.after_key(value, indent, &examples))
    }

    fn key(&self, key: &str, maps: &[&Node], flow: bool) -> String {
        let keys: Vec<&Node> =
            maps.iter().flat_map(|map| map.entries()).map(|entry| &entry.key).collect();
        self.string(key, quote_of(&keys), flow)
    }

    fn string(&self, text: &str, quote: Option<char>, flow: bool) -> String {
        if self.json {
            return Value::String(text.to_owned()).to_string();
        }
        let needed = || (!scalar::is_plain(text, flow)).then_some(self.quote);
        scalar::write_string(text, quote.or_else(needed), flow)
    }

    /// A scalar or empty collection; text of several lines as a literal whose lines stand at column `indent`.
    fn scalar_lines(&self, value: &Value, indent: usize, examples: &[&Node]) -> String {
        let Value::String(text) = value else { return self.flow(value, examples) };
        let model = examples.last().filter(|_| examples.len() == 1);
        let block = model.is_some_and(|node| node.is_block_scalar());
        let quote = quote_of(examples);
        if (block || (text.contains('\n') && quote.is_none()))
            && let Some((chomping, lines)) = scalar::literal(text)
        {
            let folded = model.is_some_and(|node| node.style() == Some(ScalarStyle::Folded));
            let sign = if folded && lines.len() == 1 { '>' } else { '|' };
            let mut out = format!("{sign}{chomping}");
            for line in lines {
                out.push('\n');
                if !line.is_empty() {
                    out.push_str(&pad(indent));
                    out.push_str(line);
                }
            }
            return out;
        }
        self.string(text, quote, false)
    }

    /// Any value on one line; collections in brackets.
    pub(super) fn flow(&self, value: &Value, examples: &[&Node]) -> String {
        match value {
            Value::String(text) => self.string(text, quote_of(examples), true),
            Value::Array(list) => {
                let inner: Vec<&Node> =
                    examples.iter().flat_map(|n| n.items()).map(|item| &item.value).collect();
                let items: Vec<String> = list.iter().map(|item| self.flow(item, &inner)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Object(map) => {
                let entries: Vec<String> =
                    map.iter().map(|(key, value)| self.flow_entry(key, value, examples)).collect();
                format!("{{{}}}", entries.join(", "))
            }
            other => other.to_string(),
        }
    }

    /// `key: value` in a mapping in braces.
    pub(super) fn flow_entry(&self, key: &str, value: &Value, maps: &[&Node]) -> String {
        let examples = value_examples(key, value, maps);
        format!("{}: {}", self.key(key, maps, true), self.flow(value, &examples))
    }
}

/// Values that show how the value of `key` is written: of the same key in the example mappings or, for a scalar,
/// of its siblings.
fn value_examples<'a>(key: &str, value: &Value, maps: &[&'a Node]) -> Vec<&'a Node> {
    let values = |entries: &mut dyn Iterator<Item = &'a Entry>| -> Vec<&'a Node> {
        entries.map(|entry| &entry.value).filter(|value| !value.is_block_scalar()).collect()
    };
    let same = values(&mut maps.iter().filter_map(|map| map.entry(key)));
    if !same.is_empty() || value.is_object() || value.is_array() {
        return same;
    }
    let mut siblings = values(&mut maps.iter().flat_map(|map| map.entries()));
    siblings.retain(|value| value.text().is_some());
    siblings
}

/// The quotes all strings among the examples have.
fn quote_of(examples: &[&Node]) -> Option<char> {
    let strings = examples.iter().filter(|node| {
        node.style().is_some_and(|style| {
            node.text().is_some_and(|text| scalar::resolve(text, style).is_string())
        })
    });
    strings.map(|node| is_quoted(node)).reduce(|a, b| if a.is_some() { b } else { a }).flatten()
}
