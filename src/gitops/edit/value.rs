//! What a document means, aliases and merge keys expanded, and what an edit is to make of it: the yardstick of the
//! proof in `apply`, kept apart from the code that plans the bytes.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    PathEdit, Step,
    node::{Kind, Node, STR_TAG},
    scalar,
};

/// Nodes that an expansion may have: aliases of aliases must not fill the memory.
const BUDGET: usize = 500_000;
/// Nesting of an expansion: an alias inside its own anchor has no end.
const DEPTH: usize = 400;

/// Expands nodes of one file.
pub(super) struct Expander<'a> {
    anchors: HashMap<usize, &'a Node>,
}

impl<'a> Expander<'a> {
    /// Knows every anchor below `root`.
    pub(super) fn new(root: &'a Node) -> Self {
        let mut anchors = HashMap::new();
        root.visit(&mut |node| {
            if let Some(anchor) = &node.anchor {
                anchors.insert(anchor.id, node);
            }
        });
        Self { anchors }
    }

    /// The node an alias stands for.
    pub(super) fn target(&self, id: usize) -> Option<&'a Node> {
        self.anchors.get(&id).copied()
    }

    /// The value of `node`; `None` when it is too large to be expanded.
    pub(super) fn value(&self, node: &Node) -> Option<Value> {
        self.expand(node, &mut { BUDGET }, DEPTH)
    }

    /// The value of `key` in a mapping and whether a merge key brings it in.
    pub(super) fn merged(&self, map: &Node, key: &str) -> Option<Value> {
        let bases = map.entries().iter().filter(|entry| is_merge(&entry.key));
        bases.rev().find_map(|entry| {
            let mut out = Map::new();
            self.merge(&entry.value, &mut out, &mut { BUDGET }, DEPTH)?;
            out.get(key).cloned()
        })
    }

    fn expand(&self, node: &Node, budget: &mut usize, depth: usize) -> Option<Value> {
        *budget = budget.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        let value = match &node.kind {
            Kind::Alias(id) => return self.expand(self.target(*id)?, budget, depth),
            Kind::Scalar { text, .. } if node.tag.as_deref() == Some(STR_TAG) => {
                Value::String(if node.is_omitted() { String::new() } else { text.clone() })
            }
            Kind::Scalar { text, style } => scalar::resolve(text, *style),
            Kind::List { items, .. } => Value::Array(
                items
                    .iter()
                    .map(|item| self.expand(&item.value, budget, depth))
                    .collect::<Option<_>>()?,
            ),
            Kind::Map { entries, .. } => {
                let mut map = Map::new();
                for entry in entries.iter().filter(|entry| is_merge(&entry.key)) {
                    self.merge(&entry.value, &mut map, budget, depth)?;
                }
                for entry in entries.iter().filter(|entry| !is_merge(&entry.key)) {
                    let key = self.key(&entry.key, budget, depth)?;
                    map.insert(key, self.expand(&entry.value, budget, depth)?);
                }
                Value::Object(map)
            }
        };
        match &node.tag {
            Some(tag) if tag != STR_TAG => Some(serde_json::json!({ "\u{1}tag": tag, "": value })),
            _ => Some(value),
        }
    }

    fn key(&self, key: &Node, budget: &mut usize, depth: usize) -> Option<String> {
        match key.text() {
            Some(text) => Some(text.to_owned()),
            None => Some(format!("\u{1}{}", self.expand(key, budget, depth)?)),
        }
    }

    /// Merges a mapping, an alias of one, or a list of those; earlier ones win.
    fn merge(
        &self,
        node: &Node,
        out: &mut Map<String, Value>,
        budget: &mut usize,
        depth: usize,
    ) -> Option<()> {
        match self.expand(node, budget, depth)? {
            Value::Object(map) => {
                for (key, value) in map {
                    out.entry(key).or_insert(value);
                }
            }
            Value::Array(bases) => {
                for (key, value) in bases.into_iter().filter_map(object).flatten() {
                    out.entry(key).or_insert(value);
                }
            }
            _ => {}
        }
        Some(())
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// Whether a key is `<<`.
pub(super) fn is_merge(key: &Node) -> bool {
    key.text() == Some("<<") && key.style() == Some(granit_parser::ScalarStyle::Plain)
}

/// Whether a list item's key or a scalar reads as `text`, whatever its type.
pub(super) fn reads(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string == text,
        Value::Number(number) => number.to_string() == text,
        Value::Bool(truth) => text == if *truth { "true" } else { "false" },
        _ => false,
    }
}

/// The value at `path`.
pub(super) fn lookup<'v>(root: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(root, |at, step| match step {
        Step::Key(key) => at.get(key),
        Step::Index(index) => at.get(index),
        Step::Where { key, value } => {
            at.as_array()?.iter().find(|item| item.get(key).is_some_and(|v| reads(v, value)))
        }
    })
}

/// The value that `rest` of a path leads to, when nothing of it exists yet.
pub(super) fn nest(rest: &[Step], value: &Value) -> Option<Value> {
    let Some((step, rest)) = rest.split_first() else { return Some(value.clone()) };
    let inner = nest(rest, value)?;
    match step {
        Step::Key(key) => Some(Value::Object(Map::from_iter([(key.clone(), inner)]))),
        Step::Index(0) => Some(Value::Array(vec![inner])),
        Step::Index(_) => None,
        Step::Where { key, value } => Some(Value::Array(vec![item(key, value, inner)?])),
    }
}

/// A new list item found by `key`: that key first.
pub(super) fn item(key: &str, value: &str, inner: Value) -> Option<Value> {
    let mut map = Map::from_iter([(key.to_owned(), Value::String(value.to_owned()))]);
    map.extend(object(inner)?);
    Some(Value::Object(map))
}

/// The value an edit asks for: an item set as a whole keeps the key it was found by.
pub(super) fn wanted(root: &Value, path: &[Step], value: &Value) -> Value {
    match (path.last(), value) {
        (Some(Step::Where { key, value: name }), Value::Object(map)) if !map.contains_key(key) => {
            let known = lookup(root, path).and_then(|item| item.get(key)).cloned();
            let name = known.unwrap_or_else(|| Value::String(name.clone()));
            let mut whole = Map::from_iter([(key.clone(), name)]);
            whole.extend(map.clone());
            Value::Object(whole)
        }
        _ => value.clone(),
    }
}

/// `root` after the edit; `None` when the edit does not fit.
pub(super) fn edited(mut root: Value, edit: &PathEdit) -> Option<Value> {
    match edit {
        PathEdit::Set { path, value } => {
            let value = wanted(&root, path, value);
            set(&mut root, path, &value)?;
        }
        PathEdit::Remove { path } => {
            remove(&mut root, path)?;
        }
    }
    Some(root)
}

fn set(at: &mut Value, path: &[Step], value: &Value) -> Option<()> {
    let Some((step, rest)) = path.split_first() else {
        *at = value.clone();
        return Some(());
    };
    if at.is_null() {
        *at = nest(path, value)?;
        return Some(());
    }
    match step {
        Step::Key(key) => match at.as_object_mut()?.entry(key.clone()) {
            serde_json::map::Entry::Occupied(mut slot) => set(slot.get_mut(), rest, value),
            serde_json::map::Entry::Vacant(slot) => {
                slot.insert(nest(rest, value)?);
                Some(())
            }
        },
        Step::Index(index) => {
            let list = at.as_array_mut()?;
            if *index == list.len() {
                list.push(nest(rest, value)?);
                return Some(());
            }
            set(list.get_mut(*index)?, rest, value)
        }
        Step::Where { key, value: wanted } => {
            let list = at.as_array_mut()?;
            match list.iter_mut().find(|item| item.get(key).is_some_and(|v| reads(v, wanted))) {
                Some(item) => set(item, rest, value),
                None => {
                    list.push(item(key, wanted, nest(rest, value)?)?);
                    Some(())
                }
            }
        }
    }
}

/// Removes and prunes emptied parents; says whether `at` was left empty.
fn remove(at: &mut Value, path: &[Step]) -> Option<bool> {
    let (step, rest) = path.split_first()?;
    match step {
        Step::Key(key) => {
            let map = at.as_object_mut()?;
            if rest.is_empty() || remove(map.get_mut(key)?, rest)? {
                map.shift_remove(key)?;
            }
            Some(map.is_empty())
        }
        Step::Index(_) | Step::Where { .. } => {
            let list = at.as_array_mut()?;
            let index = match step {
                Step::Index(index) => *index,
                Step::Where { key, value } => {
                    list.iter().position(|item| item.get(key).is_some_and(|v| reads(v, value)))?
                }
                Step::Key(_) => return None,
            };
            if rest.is_empty() {
                (index < list.len()).then(|| list.remove(index))?;
            } else {
                // an item is never pruned, only emptied
                remove(list.get_mut(index)?, rest)?;
            }
            Some(list.is_empty())
        }
    }
}
