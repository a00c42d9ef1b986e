//! YAML text as a tree of nodes that know their bytes: what the edits are planned on.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle, options};

/// A parsed file.
#[derive(Debug)]
pub(super) struct Source {
    /// Every document, the empty ones too.
    pub(super) documents: Vec<Doc>,
    /// Bytes of every comment, in order, from `#` to before the line break.
    pub(super) comments: Vec<Range<usize>>,
}

/// One document of the stream.
#[derive(Debug)]
pub(super) struct Doc {
    /// Its bytes, with its `---` line and the comments up to the next document.
    pub(super) range: Range<usize>,
    /// Its content; a null node without bytes when it is empty.
    pub(super) root: Node,
}

/// One node and where it is written.
#[derive(Debug)]
pub(super) struct Node {
    /// The value's own bytes, without anchor and tag; from the `|` or `>` of a block scalar. Empty for an omitted null.
    pub(super) span: Range<usize>,
    /// First byte, with anchor and tag.
    pub(super) start: usize,
    /// Where a value may be written, after `key:`, `-` or `---` and after anchor and tag.
    pub(super) bound: usize,
    /// Anchor defined here.
    pub(super) anchor: Option<Anchor>,
    /// Tag as written, when there is one.
    pub(super) tag: Option<String>,
    /// What it is.
    pub(super) kind: Kind,
}

/// `&name`.
#[derive(Debug)]
pub(super) struct Anchor {
    /// Unique in the file.
    pub(super) id: usize,
    /// As written, without `&`.
    pub(super) name: String,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A string, number, boolean or null.
    Scalar {
        /// After unescaping.
        text: String,
        /// As written.
        style: ScalarStyle,
    },
    /// A mapping.
    Map {
        /// `{...}` instead of lines.
        flow: bool,
        /// In order.
        entries: Vec<Entry>,
    },
    /// A sequence.
    List {
        /// `[...]` instead of lines.
        flow: bool,
        /// In order.
        items: Vec<Item>,
    },
    /// `*name`: the node of the anchor with this id.
    Alias(usize),
}

/// One key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: Node,
    /// Whether a `:` follows the key (`{a}` has none).
    pub(super) colon: bool,
    /// Whether it is written as `? key`.
    pub(super) explicit: bool,
    /// The value.
    pub(super) value: Node,
}

/// One item of a sequence.
#[derive(Debug)]
pub(super) struct Item {
    /// Where its `-` is; in flow style, where the item itself begins.
    pub(super) start: usize,
    /// The value.
    pub(super) value: Node,
}

impl Node {
    fn omitted(at: usize) -> Self {
        let kind = Kind::Scalar { text: String::new(), style: ScalarStyle::Plain };
        Self { span: at..at, start: at, bound: at, anchor: None, tag: None, kind }
    }

    /// After the last byte that is its own: trailing blank lines and line breaks are not.
    pub(super) fn end(&self) -> usize {
        self.span.end.max(self.bound)
    }

    /// Whether nothing is written (`key:`).
    pub(super) fn is_omitted(&self) -> bool {
        self.span.is_empty() && matches!(self.kind, Kind::Scalar { .. })
    }

    /// Whether it is a mapping or sequence of lines.
    pub(super) fn is_block(&self) -> bool {
        matches!(self.kind, Kind::Map { flow: false, .. } | Kind::List { flow: false, .. })
    }

    /// Whether it is a mapping or sequence in brackets.
    pub(super) fn is_flow(&self) -> bool {
        matches!(self.kind, Kind::Map { flow: true, .. } | Kind::List { flow: true, .. })
    }

    /// Whether it is `|` or `>`.
    pub(super) fn is_block_scalar(&self) -> bool {
        matches!(self.style(), Some(ScalarStyle::Literal | ScalarStyle::Folded))
    }

    /// How a scalar is written.
    pub(super) fn style(&self) -> Option<ScalarStyle> {
        match &self.kind {
            Kind::Scalar { style, .. } => Some(*style),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Entries of a mapping.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map { entries, .. } => entries,
            _ => &[],
        }
    }

    /// Items of a sequence.
    pub(super) fn items(&self) -> &[Item] {
        match &self.kind {
            Kind::List { items, .. } => items,
            _ => &[],
        }
    }

    /// The entry with this key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key.text() == Some(key))
    }

    /// Calls `see` for this node and every node below it, keys too.
    pub(super) fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        for entry in self.entries() {
            entry.key.visit(see);
            entry.value.visit(see);
        }
        for item in self.items() {
            item.value.visit(see);
        }
    }
}

/// The tag that says "a string" and changes nothing else.
pub(super) const STR_TAG: &str = "!!str";

/// Line of `offset`, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Parses a whole file.
///
/// # Errors
/// Offset and reason.
pub(super) fn parse(text: &str) -> Result<Source, (usize, String)> {
    let mut tokens = Vec::new();
    let mut comments = Vec::new();
    let options = options! { emit_anchor_events: true, max_buffered_comment_events: 10_000 };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| {
            (error.marker().byte_offset().unwrap_or(0), error.kind().to_string())
        })?;
        let range = span.byte_range().unwrap_or(0..0);
        match event {
            Event::Comment(..) => comments.push(range),
            Event::StreamStart | Event::StreamEnd => {}
            event => tokens.push((event, range, span)),
        }
    }
    comments.sort_by_key(|range| range.start);
    let mut builder = Builder { text, tokens: tokens.into_iter().peekable(), comments };
    let mut documents = builder.documents();
    if documents.is_empty() {
        // nothing but comments: a place to write into all the same
        documents.push(Doc { range: 0..text.len(), root: Node::omitted(text.len()) });
    }
    Ok(Source { documents, comments: builder.comments })
}

type Token<'a> = (Event<'a>, Range<usize>, Span);

struct Builder<'a> {
    text: &'a str,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token<'a>>>,
    comments: Vec<Range<usize>>,
}

impl Builder<'_> {
    fn documents(&mut self) -> Vec<Doc> {
        let mut documents: Vec<Doc> = Vec::new();
        // where the next document begins when it has no `---` of its own
        let mut from = 0;
        while let Some((event, range, _)) = self.tokens.next() {
            let explicit = matches!(event, Event::DocumentStart(true, _));
            let begin = match documents.last_mut() {
                // directives stand between `...` and `---`
                Some(last) if from > last.range.start => from,
                Some(_) => range.start,
                None => 0,
            };
            if let Some(last) = documents.last_mut() {
                last.range.end = begin;
            }
            let root = self.node(if explicit { range.end } else { range.start });
            from = 0;
            if let Some((_, end, _)) = self.tokens.next()
                && !end.is_empty()
            {
                from = self.line_end(end.end);
            }
            documents.push(Doc { range: begin..self.text.len(), root });
        }
        documents
    }

    /// The next node; `bound` is where it may begin.
    fn node(&mut self, bound: usize) -> Node {
        let (event, range, span) = self.tokens.next().expect("a node follows by the grammar");
        let mut node = Node {
            span: range.clone(),
            start: range.start,
            bound,
            anchor: None,
            tag: None,
            kind: Kind::Alias(0),
        };
        let mut properties: Option<Range<usize>> = span.tag_span().and_then(|tag| tag.byte_range());
        node.tag = properties.clone().map(|tag| self.text[tag].to_owned());
        if let Some((Event::Anchor(id, name), anchor, _)) =
            self.tokens.next_if(|(event, ..)| matches!(event, Event::Anchor(..)))
        {
            node.anchor = Some(Anchor { id, name: name.into_owned() });
            let other = properties.unwrap_or(anchor.clone());
            properties = Some(other.start.min(anchor.start)..other.end.max(anchor.end));
        }
        if let Some(range) = &properties {
            node.bound = range.end.max(bound);
        }
        match event {
            Event::Alias(id) => node.kind = Kind::Alias(id),
            Event::Scalar(text, style, ..) => self.scalar(&mut node, text.into_owned(), style),
            Event::MappingStart(style, ..) => self.map(&mut node, style == StructureStyle::Flow),
            Event::SequenceStart(style, ..) => self.list(&mut node, style == StructureStyle::Flow),
            _ => unreachable!("only nodes come here by the grammar"),
        }
        node.start = properties.map_or(node.span.start, |range| range.start);
        node
    }

    fn scalar(&self, node: &mut Node, text: String, style: ScalarStyle) {
        if style == ScalarStyle::Plain && node.span.is_empty() {
            // the parser places an omitted value anywhere near
            node.span = node.bound..node.bound;
        } else if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            let header = self.skip(node.bound, false);
            let indicators = self.text[header..]
                .find(|c: char| !matches!(c, '|' | '>' | '+' | '-') && !c.is_ascii_digit())
                .map_or(self.text.len(), |length| header + length);
            let keep = self.text[header..indicators].contains('+');
            let body = &self.text[header..node.span.end.max(indicators)];
            let end = if keep && body.len() > indicators - header {
                // the parser's span may reach into the blanks of the next line
                let lines = body.trim_end_matches(' ').strip_suffix('\n');
                lines.map_or(body.len(), |lines| lines.trim_end_matches('\r').len())
            } else if node.span.is_empty() {
                indicators - header
            } else {
                body.trim_end().len()
            };
            node.span = header..header + end;
        }
        node.kind = Kind::Scalar { text, style };
    }

    fn map(&mut self, node: &mut Node, flow: bool) {
        let mut entries = Vec::new();
        let mut from = if flow { node.span.end } else { node.bound };
        loop {
            if let Some((_, end, _)) =
                self.tokens.next_if(|(event, ..)| matches!(event, Event::MappingEnd))
            {
                node.span.end = if flow { end.end } else { from };
                break;
            }
            let key = self.node(from);
            let before = self.text[..key.start].trim_end_matches([' ', '\t']);
            let explicit = key.is_omitted() || (before.ends_with('?') && before.len() >= from);
            let after = self.skip(key.end(), explicit || flow);
            let colon = self.text[after..].starts_with(':');
            let value = self.node(if colon { after + 1 } else { key.end() });
            from = value.end();
            entries.push(Entry { key, colon, explicit, value });
        }
        if !flow && let Some(first) = entries.first() {
            node.span.start = first.key.start;
        }
        node.kind = Kind::Map { flow, entries };
    }

    fn list(&mut self, node: &mut Node, flow: bool) {
        let mut items = Vec::new();
        let mut from = if flow { node.span.end } else { node.bound };
        loop {
            if let Some((_, end, _)) =
                self.tokens.next_if(|(event, ..)| matches!(event, Event::SequenceEnd))
            {
                node.span.end = if flow { end.end } else { from };
                break;
            }
            let dash = if flow { from } else { self.skip(from, true) };
            let value = self.node(if flow { from } else { dash + 1 });
            from = value.end();
            items.push(Item { start: if flow { value.start } else { dash }, value });
        }
        if !flow && let Some(first) = items.first() {
            node.span.start = first.start;
        }
        node.kind = Kind::List { flow, items };
    }

    /// After blanks, and with `lines` after line breaks and comments.
    fn skip(&self, mut at: usize, lines: bool) -> usize {
        loop {
            let rest = &self.text[at..];
            let blank = rest.len() - rest.trim_start_matches(|c| is_blank(c, lines)).len();
            if blank > 0 {
                at += blank;
            } else if lines && let Ok(found) = self.comments.binary_search_by_key(&at, |c| c.start)
            {
                at = self.comments[found].end;
            } else {
                return at;
            }
        }
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |length| at + length + 1)
    }
}

fn is_blank(c: char, lines: bool) -> bool {
    matches!(c, ' ' | '\t' | '\u{feff}') || (lines && matches!(c, '\r' | '\n'))
}
