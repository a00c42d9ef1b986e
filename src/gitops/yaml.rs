//! Reading manifests: YAML text to plain values with the lines they stand on.
//!
//! Scalars mean what Kubernetes' own tools make of them; which booleans count depends on the tool (see [`Dialect`]).

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use super::unit::SourceError;

/// Whose reading of plain scalars is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// kubectl and Helm: `yes`, `on`, `no`, `off` are booleans (YAML 1.1).
    Kubectl,
    /// Kustomize: only `true` and `false` are.
    Kustomize,
}

/// One non-empty document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Doc {
    /// Its content.
    pub value: Value,
    /// Its first line with content, from 1.
    pub line: usize,
}

/// Nesting that is still read.
const MAX_DEPTH: usize = 100;
/// Values a file may expand to through aliases.
const MAX_NODES: usize = 1_000_000;

/// The non-empty documents of `text` (the content of `path`), in order.
///
/// # Errors
/// When the text is not YAML, repeats a key, or expands to unreasonable size.
pub fn documents(path: &str, text: &str, dialect: Dialect) -> Result<Vec<Doc>, SourceError> {
    let mut reader = Reader::new(path, text, dialect);
    reader.stream()
}

/// The only document of a configuration file; `Null` when the file is empty.
///
/// # Errors
/// Like [`documents`], and when there are several documents.
pub fn only(path: &str, text: &str, dialect: Dialect) -> Result<Value, SourceError> {
    let mut all = documents(path, text, dialect)?;
    if let Some(second) = all.get(1) {
        return Err(SourceError {
            path: path.to_owned(),
            line: second.line,
            message: "a second document begins here; keep one document in this file".to_owned(),
        });
    }
    Ok(all.pop().map_or(Value::Null, |doc| doc.value))
}

/// The line (from 1) of the node at the JSON pointer in the `index`-th non-empty document; of its nearest parent when it
/// does not exist.
#[must_use]
pub fn line_of(text: &str, index: usize, pointer: &str) -> usize {
    let mut reader = Reader::new("", text, Dialect::Kubectl);
    reader.lines = Some(Vec::new());
    let _ = reader.stream();
    let documents = reader.lines.unwrap_or_default();
    let Some(lines) = documents.get(index) else { return 1 };
    let mut pointer = pointer;
    loop {
        if let Some(line) = lines.get(pointer) {
            return *line;
        }
        let Some(cut) = pointer.rfind('/') else { return 1 };
        pointer = &pointer[..cut];
    }
}

/// One step of a JSON pointer, escaped.
#[must_use]
pub fn pointer_step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

struct Reader<'a> {
    path: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    dialect: Dialect,
    anchors: HashMap<usize, Value>,
    nodes: usize,
    /// Lines by pointer, one map per non-empty document, when wanted.
    lines: Option<Vec<HashMap<String, usize>>>,
    here: String,
}

type Read<T> = Result<T, SourceError>;

impl<'a> Reader<'a> {
    fn new(path: &'a str, text: &'a str, dialect: Dialect) -> Self {
        Self {
            path,
            parser: Parser::new_from_str(text),
            dialect,
            anchors: HashMap::new(),
            nodes: 0,
            lines: None,
            here: String::new(),
        }
    }

    fn error<T>(&self, line: usize, message: impl Into<String>) -> Read<T> {
        Err(SourceError { path: self.path.to_owned(), line, message: message.into() })
    }

    fn next(&mut self) -> Read<(Event<'a>, Span)> {
        loop {
            match self.parser.next() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => {
                    let line = error.marker().line();
                    return self.error(line, format!("this is not YAML: {}", error.info()));
                }
                None => return self.error(1, "the file ends too early"),
            }
        }
    }

    fn stream(&mut self) -> Read<Vec<Doc>> {
        let mut documents = Vec::new();
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(documents),
                Event::DocumentStart(..) => {
                    if let Some(lines) = &mut self.lines {
                        lines.push(HashMap::new());
                    }
                    self.anchors.clear();
                    let (event, span) = self.next()?;
                    let line = span.start.line();
                    let value = self.node(event, span, 0)?;
                    if !value.is_null() {
                        documents.push(Doc { value, line });
                    } else if let Some(lines) = &mut self.lines {
                        lines.pop();
                    }
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Read<Value> {
        let line = span.start.line();
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return self.error(line, "this nests or repeats too much to be a manifest");
        }
        if let Some(current) = self.lines.as_mut().and_then(|lines| lines.last_mut()) {
            current.entry(self.here.clone()).or_insert(line);
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(&text, style, tag.as_deref(), line)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(id) => {
                let value = self.anchors.get(&id).cloned().unwrap_or(Value::Null);
                self.nodes += size(&value);
                (value, 0)
            }
            _ => return self.error(line, "a value was expected here"),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Array(items));
            }
            let index = items.len().to_string();
            let item = self.at(&index, |reader| reader.node(event, span, depth + 1))?;
            items.push(item);
        }
    }

    fn mapping(&mut self, depth: usize) -> Read<Value> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let line = span.start.line();
            let (key, plain) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, anchor, _) => {
                    if anchor != 0 {
                        self.anchors.insert(anchor, Value::String(text.to_string()));
                    }
                    (text.into_owned(), style == ScalarStyle::Plain)
                }
                Event::Alias(id) => match self.anchors.get(&id) {
                    Some(Value::String(text)) => (text.clone(), false),
                    _ => return self.error(line, "a key must be a string"),
                },
                _ => return self.error(line, "a key must be a string"),
            };
            let (event, span) = self.next()?;
            if plain && key == "<<" {
                let value = self.node(event, span, depth + 1)?;
                merged.push((value, line));
                continue;
            }
            let step = pointer_step(&key);
            if let Some(current) = self.lines.as_mut().and_then(|lines| lines.last_mut()) {
                current.entry(format!("{}/{step}", self.here)).or_insert(line);
            }
            let value = self.at(&step, |reader| reader.node(event, span, depth + 1))?;
            if map.insert(key.clone(), value).is_some() {
                return self.error(line, format!("the key '{key}' stands twice in this mapping"));
            }
        }
        for (value, line) in merged {
            self.merge(&mut map, value, line)?;
        }
        Ok(Value::Object(map))
    }

    /// `<<: *base`: own keys win, then earlier bases.
    fn merge(&self, map: &mut Map<String, Value>, base: Value, line: usize) -> Read<()> {
        match base {
            Value::Object(base) => {
                for (key, value) in base {
                    map.entry(key).or_insert(value);
                }
                Ok(())
            }
            Value::Array(bases) => {
                bases.into_iter().try_for_each(|base| self.merge(map, base, line))
            }
            _ => self.error(line, "only a mapping can be merged with '<<'"),
        }
    }

    fn at<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let length = self.here.len();
        self.here.push('/');
        self.here.push_str(step);
        let result = read(self);
        self.here.truncate(length);
        result
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        line: usize,
    ) -> Read<Value> {
        match tag {
            Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(Value::String(text.to_owned())),
            Some(tag) if tag.is_yaml_core_schema() => Ok(plain(text, self.dialect)),
            Some(_) => self.error(line, "a tag of this kind means nothing to Kubernetes"),
            None if style == ScalarStyle::Plain => Ok(plain(text, self.dialect)),
            None => Ok(Value::String(text.to_owned())),
        }
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// What a plain scalar means.
#[must_use]
pub fn plain(text: &str, dialect: Dialect) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" if dialect == Dialect::Kubectl => {
            return Value::Bool(true);
        }
        "no" | "No" | "NO" | "off" | "Off" | "OFF" if dialect == Dialect::Kubectl => {
            return Value::Bool(false);
        }
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// The number a plain scalar stands for, in every notation of YAML 1.1 and 1.2.
pub(super) fn number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let first = *digits.as_bytes().first()?;
    if !first.is_ascii_digit() && first != b'.' {
        return None;
    }
    let bare = digits.replace('_', "");
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| bare.strip_prefix(prefix).map(|rest| (rest, radix)))
        .or_else(|| (bare.len() > 1).then(|| bare.strip_prefix('0')).flatten().map(|r| (r, 8)));
    let unsigned = match radix {
        Some((rest, radix)) => u64::from_str_radix(rest, radix).ok(),
        None if bare.bytes().all(|b| b.is_ascii_digit()) => bare.parse().ok(),
        None => None,
    };
    if let Some(unsigned) = unsigned {
        return match (negative, i64::try_from(unsigned)) {
            (false, _) => Some(unsigned.into()),
            (true, Ok(signed)) => Some((-signed).into()),
            (true, Err(_)) => None,
        };
    }
    let float =
        bare.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let value: f64 = if float { bare.parse().ok()? } else { return None };
    Number::from_f64(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_read_as_kubernetes_reads_them() {
        let table = [
            ("yes", json!(true), json!("yes")),
            ("True", json!(true), json!(true)),
            ("0644", json!(420), json!(420)),
            ("0x10", json!(16), json!(16)),
            ("1_000", json!(1000), json!(1000)),
            ("-3", json!(-3), json!(-3)),
            ("1.5", json!(1.5), json!(1.5)),
            ("1.2.3", json!("1.2.3"), json!("1.2.3")),
            ("100m", json!("100m"), json!("100m")),
            ("~", json!(null), json!(null)),
            ("2024-01-01", json!("2024-01-01"), json!("2024-01-01")),
            ("0899", json!(899.0), json!(899.0)),
        ];
        for (text, kubectl, kustomize) in table {
            assert_eq!(plain(text, Dialect::Kubectl), kubectl, "{text}");
            assert_eq!(plain(text, Dialect::Kustomize), kustomize, "{text}");
        }
    }

    #[test]
    fn documents_know_their_lines_and_expand_anchors() {
        let text = "# head\n---\na: &x {k: 1}\n---\n---\nb:\n  <<: *y\n";
        assert!(documents("f.yaml", text, Dialect::Kubectl).is_err());
        let text = "# head\n---\na: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n---\n---\nc: 1\n";
        let read = documents("f.yaml", text, Dialect::Kubectl).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].line, read[1].line), (3, 9));
        assert_eq!(read[0].value, json!({"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}));
        assert_eq!(line_of(text, 0, "/b/k"), 6);
        assert_eq!(line_of(text, 1, "/c/nothing"), 9);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_line() {
        for (text, line) in [("a: 1\na: 2\n", 2), ("a: [1\n", 1), ("a: !vault x\n", 1)] {
            let error = documents("f.yaml", text, Dialect::Kubectl).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
        }
        let bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f]\n";
        assert!(documents("f.yaml", bomb, Dialect::Kubectl).is_err());
    }
}
