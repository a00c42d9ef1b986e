//! From one path edit to splices of bytes: walks the tree, refuses what cannot be done safely, and plans the smallest
//! next step towards the wanted value.

use std::{collections::HashSet, ops::Range};

use serde_json::{Map, Value};

use super::{
    Step,
    node::{Doc, Entry, Kind, Node, STR_TAG, Source, line_of},
    value::{self, Expander, is_merge, reads},
    write::Layout,
};

/// Bytes to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice {
    /// Which.
    pub(super) range: Range<usize>,
    /// By what; line breaks are `\n` whatever the file uses.
    pub(super) text: String,
}

/// Why not, and the offset it is about.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Refuses at `at`.
pub(super) fn refuse<T>(at: usize, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { at, message: message.into() })
}

/// A node and what holds it.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    pub(super) node: &'a Node,
    pub(super) place: Place<'a>,
}

/// What holds a node.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// The document.
    Root,
    /// The entry of a mapping.
    Value { map: &'a Node, index: usize },
    /// The item of a list.
    Item { list: &'a Node, index: usize },
}

/// One document, ready to be edited.
pub(super) struct Plan<'a> {
    pub(super) text: &'a str,
    pub(super) source: &'a Source,
    pub(super) root: &'a Node,
    pub(super) range_end: usize,
    pub(super) layout: Layout,
    pub(super) expander: Expander<'a>,
    aliased: HashSet<usize>,
}

type Splices = Result<Vec<Splice>, Refusal>;

impl<'a> Plan<'a> {
    pub(super) fn new(text: &'a str, source: &'a Source, doc: &'a Doc) -> Self {
        let root = &doc.root;
        let mut aliased = HashSet::new();
        root.visit(&mut |node| {
            if let Kind::Alias(id) = node.kind {
                aliased.insert(id);
            }
        });
        let layout = Layout::of(text, source, root);
        let range_end = doc.range.end;
        Self { text, source, root, range_end, layout, expander: Expander::new(root), aliased }
    }

    /// The value of a node.
    pub(super) fn value(&self, node: &Node) -> Result<Value, Refusal> {
        let message = "its aliases expand to too much; write the values out before editing it";
        self.expander
            .value(node)
            .ok_or_else(|| Refusal { at: node.start, message: message.to_owned() })
    }

    /// The next splices towards `value` at `path`; `None` when it is there.
    pub(super) fn set(&self, path: &[Step], value: &Value) -> Result<Option<Vec<Splice>>, Refusal> {
        if value::lookup(&self.value(self.root)?, path) == Some(value) {
            return Ok(None);
        }
        let (mut trail, rest) = self.walk(path)?;
        if rest.is_empty() {
            return self.converge(&mut trail, value);
        }
        let slot = *trail.last().expect("the walk begins with the root");
        self.check(&trail)?;
        let nest = |rest: &[Step]| {
            value::nest(rest, value).ok_or_else(|| Refusal {
                at: slot.node.start,
                message: "the list there does not exist, so only its item 0 can be set".to_owned(),
            })
        };
        if self.is_null(slot.node)? {
            return self.replace(slot, &nest(rest)?).map(Some);
        }
        let splices = match &rest[0] {
            Step::Key(key) => {
                self.check_merged(slot.node, key, rest, value)?;
                self.insert_entries(slot, &[(key, &nest(&rest[1..])?)])
            }
            Step::Index(_) => self.insert_item(slot, slot.node.items().len(), &nest(&rest[1..])?),
            Step::Where { key, value } => {
                let item = value::item(key, value, nest(&rest[1..])?);
                let Some(item) = item else {
                    return refuse(
                        slot.node.start,
                        format!("a new item with {key} '{value}' must be a mapping"),
                    );
                };
                self.insert_item(slot, slot.node.items().len(), &item)
            }
        };
        splices.map(Some)
    }

    /// The splices that remove what is at `path`, and the parents it leaves empty.
    pub(super) fn remove(&self, path: &[Step]) -> Splices {
        let (mut trail, rest) = self.walk(path)?;
        let deepest = *trail.last().expect("the walk begins with the root");
        if let [Step::Key(key), ..] = rest
            && self.expander.merged(deepest.node, key).is_some()
        {
            let message =
                format!("{key} comes in by a merge key (<<); remove it where the anchor is");
            return refuse(deepest.node.start, message);
        }
        if !rest.is_empty() {
            return refuse(deepest.node.start, format!("there is no {} to remove", show(path)));
        }
        self.check(&trail[..trail.len() - 1])?;
        loop {
            let slot = trail.pop().expect("the walk begins with the root");
            let (parent, alone) = match slot.place {
                Place::Root => {
                    return refuse(slot.node.start, "a whole document cannot be removed");
                }
                Place::Value { map, .. } => (map, map.entries().len() == 1),
                Place::Item { list, .. } => (list, list.items().len() == 1),
            };
            self.check_lost(slot.node)?;
            let holder = *trail.last().expect("the root holds every other slot");
            match (alone, holder.place) {
                (true, Place::Value { .. }) => {}
                (true, _) => return self.replace(holder, &empty(parent)),
                (false, _) => return self.remove_slot(slot),
            }
        }
    }

    /// The slots from the root to the deepest existing node of `path`, and the steps that are left.
    pub(super) fn walk<'p>(
        &self,
        path: &'p [Step],
    ) -> Result<(Vec<Slot<'a>>, &'p [Step]), Refusal> {
        let mut trail = vec![Slot { node: self.root, place: Place::Root }];
        for (done, step) in path.iter().enumerate() {
            let node = trail.last().expect("begins with the root").node;
            if let Kind::Alias(id) = node.kind {
                let place = self.expander.target(id).map_or(0, |n| line_of(self.text, n.start));
                let message = format!(
                    "{} is an alias of line {place}: editing inside it would change every place that uses it; \
                     write the value out here first",
                    show(&path[..done])
                );
                return refuse(node.start, message);
            }
            match self.step(node, step, &path[..done])? {
                Some(slot) => trail.push(slot),
                None => return Ok((trail, &path[done..])),
            }
        }
        Ok((trail, &[]))
    }

    fn step(
        &self,
        node: &'a Node,
        step: &Step,
        done: &[Step],
    ) -> Result<Option<Slot<'a>>, Refusal> {
        let index = match (step, &node.kind) {
            (Step::Key(key), Kind::Map { entries, .. }) => {
                let index = entries.iter().position(|entry| entry.key.text() == Some(key));
                if let Some(index) = index
                    && entries[index].explicit
                {
                    return refuse(
                        node.start,
                        format!("{key} is written as '? {key}'; rewrite it as '{key}:'"),
                    );
                }
                return Ok(index.map(|index| Slot {
                    node: &entries[index].value,
                    place: Place::Value { map: node, index },
                }));
            }
            (Step::Index(index), Kind::List { items, .. }) => match index.cmp(&items.len()) {
                std::cmp::Ordering::Less => Some(*index),
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => {
                    let message =
                        format!("{} has {} items, no item {index}", show(done), items.len());
                    return refuse(node.start, message);
                }
            },
            (Step::Where { key, value }, Kind::List { .. }) => self.find(node, key, value)?,
            _ if self.is_null(node)? => return Ok(None),
            (Step::Key(key), _) => {
                let message = format!("{} is no mapping, so it has no {key}", show(done));
                return refuse(node.start, message);
            }
            _ => return refuse(node.start, format!("{} is no list", show(done))),
        };
        Ok(index.map(|index| Slot {
            node: &node.items()[index].value,
            place: Place::Item { list: node, index },
        }))
    }

    fn find(&self, list: &Node, key: &str, wanted: &str) -> Result<Option<usize>, Refusal> {
        let mut found = None;
        for (index, item) in list.items().iter().enumerate() {
            let value = self.value(&item.value)?;
            if value.get(key).is_some_and(|value| reads(value, wanted)) {
                if found.is_some() {
                    return refuse(
                        item.start,
                        format!("a second item has {key} '{wanted}'; make them distinct"),
                    );
                }
                found = Some(index);
            }
        }
        Ok(found)
    }

    fn is_null(&self, node: &Node) -> Result<bool, Refusal> {
        Ok(self.value(node)?.is_null() && !matches!(node.kind, Kind::Alias(_)))
    }

    /// The next splices that bring the last node of `trail` closer to `target`.
    fn converge(
        &self,
        trail: &mut Vec<Slot<'a>>,
        target: &Value,
    ) -> Result<Option<Vec<Splice>>, Refusal> {
        let slot = *trail.last().expect("the trail is never empty");
        let now = self.value(slot.node)?;
        if now == *target {
            return Ok(None);
        }
        self.check(trail)?;
        match (&slot.node.kind, &now, target) {
            (Kind::Map { entries, .. }, Value::Object(now), Value::Object(wanted))
                if !entries.is_empty() && !wanted.is_empty() =>
            {
                self.converge_map(trail, now, wanted)
            }
            (Kind::List { items, .. }, Value::Array(now), Value::Array(wanted))
                if !items.is_empty() && !wanted.is_empty() =>
            {
                self.converge_list(trail, now, wanted)
            }
            _ => {
                self.check_lost(slot.node)?;
                self.replace(slot, target).map(Some)
            }
        }
    }

    fn converge_map(
        &self,
        trail: &mut Vec<Slot<'a>>,
        now: &Map<String, Value>,
        wanted: &Map<String, Value>,
    ) -> Result<Option<Vec<Splice>>, Refusal> {
        let slot = *trail.last().expect("the trail is never empty");
        let map = slot.node;
        if let Some(key) =
            now.keys().find(|key| !wanted.contains_key(*key) && map.entry(key).is_none())
        {
            return refuse(
                map.start,
                format!("{key} comes in by a merge key (<<); remove it where the anchor is"),
            );
        }
        for (index, entry) in map.entries().iter().enumerate() {
            let Some(key) = entry.key.text().filter(|_| !is_merge(&entry.key)) else { continue };
            let child = Slot { node: &entry.value, place: Place::Value { map, index } };
            match wanted.get(key) {
                None => {
                    self.check_lost(child.node)?;
                    return self.remove_slot(child).map(Some);
                }
                Some(value) if now.get(key) != Some(value) => {
                    trail.push(child);
                    return self.converge(trail, value);
                }
                Some(_) => {}
            }
        }
        let missing: Vec<(&String, &Value)> =
            wanted.iter().filter(|(key, value)| now.get(*key) != Some(*value)).collect();
        self.insert_entries(slot, &missing).map(Some)
    }

    fn converge_list(
        &self,
        trail: &mut Vec<Slot<'a>>,
        now: &[Value],
        wanted: &[Value],
    ) -> Result<Option<Vec<Splice>>, Refusal> {
        let slot = *trail.last().expect("the trail is never empty");
        let list = slot.node;
        let item = |index: usize| Slot {
            node: &list.items()[index].value,
            place: Place::Item { list, index },
        };
        match next_step(now, wanted) {
            ListStep::Change { old, new } => {
                trail.push(item(old));
                self.converge(trail, &wanted[new])
            }
            ListStep::Remove(old) => {
                self.check_lost(item(old).node)?;
                self.remove_slot(item(old)).map(Some)
            }
            ListStep::Insert { at, new } => self.insert_item(slot, at, &wanted[new]).map(Some),
        }
    }

    /// Refuses a place whose change would be seen elsewhere, or whose tag gives it a meaning of its own.
    fn check(&self, trail: &[Slot<'a>]) -> Result<(), Refusal> {
        for slot in trail {
            if let Some(tag) = slot.node.tag.as_deref().filter(|tag| *tag != STR_TAG) {
                let message = format!(
                    "it is tagged {tag}, which may give it another meaning; edit it by hand"
                );
                return refuse(slot.node.start, message);
            }
            self.check_anchor(
                slot.node,
                "changing it here would change it there too; write the value out there first",
            )?;
        }
        Ok(())
    }

    fn check_lost(&self, node: &Node) -> Result<(), Refusal> {
        let mut result = Ok(());
        node.visit(&mut |inner| {
            if result.is_ok() {
                result = self.check_anchor(inner, "it cannot go; write the value out there first");
            }
        });
        result
    }

    fn check_anchor(&self, node: &Node, consequence: &str) -> Result<(), Refusal> {
        let Some(anchor) = node.anchor.as_ref().filter(|anchor| self.aliased.contains(&anchor.id))
        else {
            return Ok(());
        };
        let mut lines = Vec::new();
        self.root.visit(&mut |user| {
            if matches!(user.kind, Kind::Alias(id) if id == anchor.id) {
                lines.push(line_of(self.text, user.start).to_string());
            }
        });
        let places = lines.join(", ");
        let name = &anchor.name;
        refuse(
            node.start,
            format!("the anchor &{name} is used by *{name} in line {places}: {consequence}"),
        )
    }

    /// A key that a merge key supplies may be overridden as a whole, not in part.
    fn check_merged(
        &self,
        map: &Node,
        key: &str,
        rest: &[Step],
        value: &Value,
    ) -> Result<(), Refusal> {
        match self.expander.merged(map, key) {
            Some(merged) if rest.len() > 1 && !merged.is_null() => {
                let mut whole = Value::Object(Map::from_iter([(key.to_owned(), merged)]));
                let edit = super::PathEdit::Set { path: rest.to_vec(), value: value.clone() };
                whole = value::edited(whole, &edit).unwrap_or_default();
                let message = format!(
                    "{key} comes in by a merge key (<<), and setting a part of it would hide the rest; set {key} as a \
                     whole here: {}",
                    whole[key]
                );
                refuse(map.start, message)
            }
            _ => Ok(()),
        }
    }
}

fn empty(node: &Node) -> Value {
    match node.kind {
        Kind::List { .. } => Value::Array(Vec::new()),
        _ => Value::Object(Map::new()),
    }
}

impl<'a> Slot<'a> {
    /// Whether it stands inside brackets.
    pub(super) fn in_flow(&self) -> bool {
        match self.place {
            Place::Root => false,
            Place::Value { map: holder, .. } | Place::Item { list: holder, .. } => holder.is_flow(),
        }
    }

    /// The entry of a mapping's value.
    pub(super) fn entry(&self) -> Option<&'a Entry> {
        match self.place {
            Place::Value { map, index } => map.entries().get(index),
            _ => None,
        }
    }
}

/// A path for people: `/spec/containers[name=app]/image`.
pub(super) fn show(path: &[Step]) -> String {
    if path.is_empty() {
        return "the document".to_owned();
    }
    path.iter()
        .map(|step| match step {
            Step::Key(key) => format!("/{key}"),
            Step::Index(index) => format!("[{index}]"),
            Step::Where { key, value } => format!("[{key}={value}]"),
        })
        .collect()
}

/// The next step from one list to another.
#[derive(Debug, PartialEq, Eq)]
enum ListStep {
    Change { old: usize, new: usize },
    Remove(usize),
    Insert { at: usize, new: usize },
}

/// Items are the same item when they are equal or have the same `name`, `key` or `id`. The lists differ.
fn next_step(now: &[Value], wanted: &[Value]) -> ListStep {
    let same = |a: &Value, b: &Value| {
        a == b
            || ["name", "key", "id"]
                .iter()
                .any(|key| a.get(key).is_some_and(|v| b.get(key) == Some(v)))
    };
    let equal = now.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let at = equal;
    match (now.get(at), wanted.get(at)) {
        (Some(old), Some(new)) if same(old, new) => ListStep::Change { old: at, new: at },
        (Some(old), Some(new)) => {
            let stays = wanted[at..].iter().any(|item| same(old, item));
            let known = now[at..].iter().any(|item| same(new, item));
            match (stays, known) {
                (true, false) => ListStep::Insert { at, new: at },
                (false, true) => ListStep::Remove(at),
                _ => ListStep::Change { old: at, new: at },
            }
        }
        (Some(_), None) => ListStep::Remove(at),
        (None, _) => ListStep::Insert { at, new: at },
    }
}
