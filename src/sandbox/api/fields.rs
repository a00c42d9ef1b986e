//! Sets of fields, as server-side apply keeps them in `managedFields` (format `FieldsV1`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value, json};

/// One step of a path into an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// `f:name`.
    Field(String),
    /// `k:{"name":"x"}`: the item of a list whose keys are these (JSON, sorted by key).
    Key(String),
    /// `v:"x"`: the item of a set (JSON).
    Item(String),
    /// `i:0`.
    Index(usize),
}

impl Step {
    fn to_text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => format!("k:{keys}"),
            Self::Item(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            // canonical text, so that equal keys compare equal
            "k" => Some(Self::Key(serde_json::from_str::<Value>(rest).ok()?.to_string())),
            "v" => Some(Self::Item(serde_json::from_str::<Value>(rest).ok()?.to_string())),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let pairs: Vec<String> =
                    keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "[{}]", pairs.join(","))
            }
            Self::Item(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A set of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSet {
    members: BTreeSet<Step>,
    children: BTreeMap<Step, Self>,
}

impl FieldSet {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Adds a path; the empty path is ignored.
    pub(super) fn insert(&mut self, path: &[Step]) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut set = self;
        for step in parents {
            set = set.children.entry(step.clone()).or_default();
        }
        set.members.insert(last.clone());
    }

    pub(super) fn has_member(&self, step: &Step) -> bool {
        self.members.contains(step)
    }

    /// What is below a step.
    pub(super) fn below(&self, step: &Step) -> Option<&Self> {
        self.children.get(step).filter(|set| !set.is_empty())
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Step> {
        self.members.iter()
    }

    pub(super) fn children(&self) -> impl Iterator<Item = (&Step, &Self)> {
        self.children.iter()
    }

    /// Puts a set below a step.
    pub(super) fn put_below(&mut self, step: &Step, set: Self) {
        if !set.is_empty() {
            self.children.insert(step.clone(), set);
        }
    }

    /// Removes a path and everything below it.
    pub(super) fn remove_tree(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        let step = Step::Field((*first).to_owned());
        if rest.is_empty() {
            self.members.remove(&step);
            self.children.remove(&step);
        } else if let Some(below) = self.children.get_mut(&step) {
            below.remove_tree(rest);
        }
    }

    /// Keeps only what is at or below a path.
    pub(super) fn keep_tree(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        let step = Step::Field((*first).to_owned());
        self.members.retain(|member| rest.is_empty() && *member == step);
        self.children.retain(|child, _| *child == step);
        if let Some(below) = self.children.get_mut(&step) {
            below.keep_tree(rest);
        }
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.members.extend(other.members.iter().cloned());
        for (step, set) in &other.children {
            let merged = all.children.get(step).map_or_else(|| set.clone(), |mine| mine.union(set));
            all.children.insert(step.clone(), merged);
        }
        all
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let members = self.members.intersection(&other.members).cloned().collect();
        let both = self.children.iter().filter_map(|(step, set)| {
            let set = set.intersection(other.children.get(step)?);
            (!set.is_empty()).then(|| (step.clone(), set))
        });
        Self { members, children: both.collect() }
    }

    /// The paths that `other` has not; a path stays when `other` has only its parent or its children.
    pub(super) fn difference(&self, other: &Self) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        let left = self.children.iter().filter_map(|(step, set)| {
            let set = match other.children.get(step) {
                Some(theirs) => set.difference(theirs),
                None => set.clone(),
            };
            (!set.is_empty()).then(|| (step.clone(), set))
        });
        Self { members, children: left.collect() }
    }

    /// All paths as people read them: `.spec.replicas`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.collect_paths("", &mut all);
        all
    }

    fn collect_paths(&self, prefix: &str, all: &mut Vec<String>) {
        all.extend(self.members.iter().map(|step| format!("{prefix}{step}")));
        for (step, set) in &self.children {
            set.collect_paths(&format!("{prefix}{step}"), all);
        }
    }

    /// `{"f:spec":{"f:replicas":{}}}`.
    pub(super) fn to_value(&self) -> Value {
        let mut map = Map::new();
        let steps: BTreeSet<&Step> = self.members.iter().chain(self.children.keys()).collect();
        for step in steps {
            let mut below = Map::new();
            if let Some(set) = self.below(step) {
                if self.members.contains(step) {
                    below.insert(".".to_owned(), json!({}));
                }
                if let Value::Object(fields) = set.to_value() {
                    below.extend(fields);
                }
            } else if !self.members.contains(step) {
                continue;
            }
            map.insert(step.to_text(), Value::Object(below));
        }
        Value::Object(map)
    }

    /// Reads [`Self::to_value`]; what is not understood is left out.
    pub(super) fn from_value(value: &Value) -> Self {
        let mut set = Self::default();
        for (text, below) in value.as_object().into_iter().flatten() {
            let Some(step) = Step::parse(text) else { continue };
            let fields = below.as_object();
            if fields.is_none_or(|f| f.is_empty() || f.contains_key(".")) {
                set.members.insert(step.clone());
            }
            set.put_below(&step, Self::from_value(below));
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_read_back_and_combine() {
        let text = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}, "f:finalizers": {"v:\"x\"": {}}},
        });
        let set = FieldSet::from_value(&text);
        assert_eq!(set.to_value(), text);
        assert_eq!(
            set.paths(),
            [
                ".metadata.labels",
                ".metadata.labels.app",
                ".spec.containers[name=\"a\"]",
                ".spec.containers[name=\"a\"].image",
                ".spec.finalizers[=\"x\"]"
            ]
        );
        let image = FieldSet::from_value(
            &json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}}),
        );
        assert_eq!(set.intersection(&image), image);
        assert!(
            !set.difference(&image)
                .paths()
                .contains(&".spec.containers[name=\"a\"].image".to_owned())
        );
        assert_eq!(set.difference(&image).union(&image), set);
        let mut kept = set.clone();
        kept.keep_tree(&["spec", "finalizers"]);
        assert_eq!(kept.paths(), [".spec.finalizers[=\"x\"]"]);
        let mut rest = set;
        rest.remove_tree(&["spec"]);
        assert_eq!(rest.paths().len(), 2);
    }
}
