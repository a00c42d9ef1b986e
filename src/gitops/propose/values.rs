//! Which value of a chart brings a field about, and writing it where the release keeps its own values.
//!
//! Templates cannot be read backwards, so values that might do are set to what is wanted, and the proof tells which one
//! changes exactly the field that is meant.

use serde_json::{Value, json};

use super::{
    Attempts, edited,
    goal::{Field, Group},
    image::Image,
    steps::{get, set},
};
use crate::gitops::{
    edit::{Document, Edit, Path, PathEdit, Step},
    render::Rendered,
    tree::{FileChange, Tree},
    unit::{Unit, UnitKind, join},
    yaml::{self, Dialect},
};

/// Values that are looked at; charts with more are better served by a word from their owner.
const MAX_NODES: usize = 600;

/// Edits of the release's values that might do, the likeliest first.
pub(super) fn attempts(tree: &Tree, unit: &Unit, declared: &Rendered, group: &Group) -> Attempts {
    let UnitKind::Helm { values: files, .. } = &unit.kind else { return Attempts::new() };
    let effective = effective(tree, &unit.path, files);
    let Some(file) = files.last().cloned().or_else(|| join(&unit.path, "values.yaml")) else {
        return Attempts::new();
    };
    let own = tree
        .text(&file)
        .and_then(|text| yaml::only(&file, text, Dialect::Kubectl).ok())
        .unwrap_or(Value::Null);
    let mut nodes = Vec::new();
    collect(&effective, &mut Vec::new(), &mut nodes);
    nodes.truncate(MAX_NODES);
    let release = Release { tree, file, own, effective };
    let ideas = ideas(declared, group, &nodes);
    // what the operator hears first when nothing does
    let mut attempts: Attempts = vec![Err(nothing_helps(tree, declared, group))];
    attempts.extend(ideas.iter().map(|idea| release.write(idea)));
    attempts
}

/// A path in the values and what is to stand there; `None`: nothing.
type Idea = Vec<(Path, Option<Value>)>;

/// A value and where it is.
struct Node {
    path: Path,
    value: Value,
}

/// Every value, with the path to it.
fn collect(value: &Value, path: &mut Path, nodes: &mut Vec<Node>) {
    nodes.push(Node { path: path.clone(), value: value.clone() });
    let children: Vec<(Step, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (Step::Index(index), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, child) in children {
        path.push(step);
        collect(child, path, nodes);
        path.pop();
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

/// What might be set, the likeliest first.
fn ideas(declared: &Rendered, group: &Group, nodes: &[Node]) -> Vec<Idea> {
    let Some(field) = group.fields.first() else { return Vec::new() };
    let current = get(&declared.value, &field.path).and_then(text).unwrap_or_default();
    let mut ideas = match (&field.value, field.path.last()) {
        (Some(Value::String(wanted)), Some(Step::Key(key))) if key == "image" => {
            images(&current, wanted, nodes)
        }
        _ => Vec::new(),
    };
    if let Some(wanted) = &field.value {
        ideas.extend(replacing(&current, wanted, nodes));
    }
    ideas.extend(named(declared, field, nodes));
    ideas.extend(mounted(field, nodes));
    ideas
}

/// Another image: its tag, its name, or all of it.
fn images(current: &str, wanted: &str, nodes: &[Node]) -> Vec<Idea> {
    let (old, new) = (Image::parse(current), Image::parse(wanted));
    let holding = |value: &str, keys: &[&str]| -> Vec<Path> {
        let is = |node: &&Node| {
            let key = matches!(node.path.last(), Some(Step::Key(key)) if keys.iter().any(|name| key.to_lowercase().ends_with(name)));
            text(&node.value).is_some_and(|text| text == value && (key || !text.is_empty()))
        };
        nodes.iter().filter(is).map(|node| node.path.clone()).collect()
    };
    let tag = |image: &Image| image.tag.clone().unwrap_or_default();
    let mut tags = holding(&tag(&old), &["tag", "version"]);
    // an empty tag stands for the chart's own version
    tags.extend(holding("", &["tag", "version"]));
    let digests = holding(old.digest.as_deref().unwrap_or_default(), &["digest", "sha"]);
    let mut ideas: Vec<Idea> = Vec::new();
    for tag_path in &tags {
        let tagged = (tag_path.clone(), Some(json!(tag(&new))));
        if old.name == new.name {
            ideas.push(vec![tagged.clone()]);
        } else {
            ideas.extend(
                holding(&old.name, &[])
                    .into_iter()
                    .map(|name| vec![(name, Some(json!(new.name))), tagged.clone()]),
            );
        }
        if old.digest.is_some() || new.digest.is_some() {
            let digest = json!(new.digest.clone().unwrap_or_default());
            ideas.extend(
                digests
                    .iter()
                    .map(|path| vec![tagged.clone(), (path.clone(), Some(digest.clone()))]),
            );
        }
    }
    ideas
}

/// Every plain value that is what the field is now.
fn replacing(current: &str, wanted: &Value, nodes: &[Node]) -> Vec<Idea> {
    let plain =
        |node: &&Node| !node.path.is_empty() && !node.value.is_object() && !node.value.is_array();
    let same = |node: &&Node| text(&node.value).is_some_and(|text| text == current);
    let idea = |node: &Node| -> Idea {
        // text stays text, so that the file keeps its quotes
        let wanted = match (&node.value, wanted) {
            (Value::String(_), Value::Number(number)) => json!(number.to_string()),
            _ => wanted.clone(),
        };
        vec![(node.path.clone(), Some(wanted))]
    };
    let mut ideas: Vec<Idea> = nodes.iter().filter(plain).filter(same).map(idea).collect();
    // a default within the template hides the value: keys of that name that are empty
    let empty =
        |node: &&Node| matches!(&node.value, Value::Null) || node.value.as_str() == Some("");
    ideas.extend(nodes.iter().filter(plain).filter(empty).map(idea));
    ideas
}

/// A variable: as a key of a mapping, or as an item of a list of things with a name.
fn named(declared: &Rendered, field: &Field, nodes: &[Node]) -> Vec<Idea> {
    let item = field.path.iter().rev().find_map(|step| match step {
        Step::Where { key, value } if key == "name" => Some(value.clone()),
        _ => None,
    });
    let in_env = field.path.iter().any(|step| *step == Step::Key("env".to_owned()));
    let Some(name) = item.filter(|_| in_env) else { return Vec::new() };
    let mut ideas: Vec<Idea> = Vec::new();
    for node in nodes {
        let below = |step: Step| node.path.iter().cloned().chain([step]).collect::<Path>();
        match (&node.value, &field.value) {
            (Value::Object(_), wanted) => {
                ideas.push(vec![(below(Step::Key(name.clone())), wanted.clone())])
            }
            (Value::Array(items), wanted) => {
                let position = items.iter().position(|item| item["name"] == name.as_str());
                let mut changed = items.clone();
                match (position, wanted) {
                    (Some(at), Some(wanted)) => changed[at]["value"] = wanted.clone(),
                    (Some(at), None) => drop(changed.remove(at)),
                    (None, Some(wanted)) => changed.push(json!({"name": name, "value": wanted})),
                    (None, None) => continue,
                }
                ideas.push(vec![(node.path.clone(), Some(Value::Array(changed)))]);
            }
            _ => {}
        }
    }
    // where the container's other variables are is likelier than where only the name speaks of variables
    let siblings = siblings(declared, field);
    let holds = |path: &[Step], value: &Value| match value {
        Value::Object(map) => siblings.iter().any(|name| map.contains_key(*name)),
        Value::Array(items) => {
            items.iter().any(|item| siblings.iter().any(|name| item["name"] == *name))
        }
        _ => says(path, "env"),
    };
    let of = |idea: &Idea| -> usize {
        let Some((path, value)) = idea.first() else { return 3 };
        let node =
            nodes.iter().rev().find(|node| path.starts_with(&node.path) && !is_plain(&node.value));
        let list = matches!(value, Some(Value::Array(_)));
        match node {
            Some(node) if holds(&node.path, &node.value) => usize::from(list),
            Some(node) if says(&node.path, "env") => 2,
            _ => 3,
        }
    };
    ideas.sort_by_key(of);
    ideas
}

fn is_plain(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Names of the container's variables.
fn siblings<'a>(declared: &'a Rendered, field: &Field) -> Vec<&'a str> {
    let end = field
        .path
        .iter()
        .position(|step| *step == Step::Key("env".to_owned()))
        .map_or(0, |at| at + 1);
    let env = get(&declared.value, &field.path[..end]).and_then(Value::as_array);
    env.into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

fn says(path: &[Step], word: &str) -> bool {
    path.iter().any(|step| matches!(step, Step::Key(key) if key.to_lowercase().contains(word)))
}

/// The last keys of the field below any mapping, as where a template passes a whole mapping on (`toYaml`).
fn mounted(field: &Field, nodes: &[Node]) -> Vec<Idea> {
    let keys: Vec<&Step> =
        field.path.iter().rev().take_while(|step| matches!(step, Step::Key(_))).take(3).collect();
    let mut ideas: Vec<(bool, Idea)> = Vec::new();
    for length in 1..=keys.len() {
        let suffix: Path = keys[..length].iter().rev().map(|step| (*step).clone()).collect();
        // the key above says which mappings are likely
        let above = match field.path.get(field.path.len().wrapping_sub(length + 1)) {
            Some(Step::Key(key)) => key.to_lowercase(),
            _ => String::new(),
        };
        for node in nodes.iter().filter(|node| node.value.is_object() || node.value.is_null()) {
            let path = node.path.iter().cloned().chain(suffix.clone()).collect::<Path>();
            let likely = !above.is_empty() && says(&node.path, &above);
            ideas.push((!likely, vec![(path, field.value.clone())]));
        }
    }
    ideas.sort_by_key(|(unlikely, _)| *unlikely);
    ideas.into_iter().map(|(_, idea)| idea).collect()
}

/// Where a release keeps its values.
struct Release<'a> {
    tree: &'a Tree,
    file: String,
    /// What the file says.
    own: Value,
    /// What it says together with everything it overrules.
    effective: Value,
}

impl Release<'_> {
    /// The idea as an edit of the release's file.
    fn write(&self, idea: &Idea) -> Result<Vec<FileChange>, String> {
        let steps = idea.iter().map(|(path, value)| self.step(path, value.as_ref())).collect();
        if self.own.is_null() {
            return self.written_anew(idea);
        }
        Ok(vec![edited(self.tree, &self.file, &Edit { document: Document::Only, steps })?])
    }

    fn step(&self, path: &[Step], value: Option<&Value>) -> PathEdit {
        let list = path.iter().position(|step| matches!(step, Step::Index(_)));
        if let Some(at) = list.filter(|at| get(&self.own, &path[..*at]).is_none()) {
            // lists overrule as a whole, so the file needs all of it
            let mut whole = get(&self.effective, &path[..at]).cloned().unwrap_or(Value::Null);
            set(&mut whole, &path[at..], value.cloned().unwrap_or(Value::Null));
            return PathEdit::Set { path: path[..at].to_vec(), value: whole };
        }
        match value {
            Some(value) => PathEdit::Set { path: path.to_vec(), value: value.clone() },
            // null takes a default of the chart away
            None => PathEdit::Set { path: path.to_vec(), value: Value::Null },
        }
    }

    /// A values file that has nothing in it yet, comments at most.
    fn written_anew(&self, idea: &Idea) -> Result<Vec<FileChange>, String> {
        let mut value = json!({});
        for (path, wanted) in idea {
            set(&mut value, path, wanted.clone().unwrap_or(Value::Null));
        }
        let before = self.tree.text(&self.file).unwrap_or_default();
        let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        let text = serde_saphyr::to_string(&value).map_err(|error| error.to_string())?;
        let after = format!("{before}{gap}{text}");
        let before = self.tree.files.contains_key(&self.file).then(|| before.to_owned());
        Ok(vec![FileChange { path: self.file.clone(), before, after: Some(after) }])
    }
}

/// The chart's values with those of the release on top, and those of its subcharts below their names.
fn effective(tree: &Tree, folder: &str, files: &[String]) -> Value {
    let read =
        |path: &str| tree.text(path).and_then(|text| yaml::only(path, text, Dialect::Kubectl).ok());
    let mut values = json!({});
    let charts = format!("{folder}/charts/");
    for path in tree.files.keys().filter_map(|path| path.strip_prefix(&charts)) {
        if let Some((name, "values.yaml")) = path.split_once('/') {
            values[name] = read(&format!("{charts}{path}"))
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({}));
        }
    }
    let own = join(folder, "values.yaml");
    for path in own.iter().chain(files) {
        overlay(&mut values, read(path).unwrap_or(Value::Null));
    }
    values
}

fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over,
    }
}

/// Why no value will do, and what to do about it.
fn nothing_helps(tree: &Tree, declared: &Rendered, group: &Group) -> String {
    let key = group.fields.first().and_then(|field| {
        field.path.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(format!("{key}:")),
            _ => None,
        })
    });
    let text = tree.text(&declared.file).unwrap_or_default();
    let says = |line: &str, key: &str| line.trim_start_matches([' ', '-']).starts_with(key);
    let mut lines = text.lines().enumerate().skip(declared.line.saturating_sub(1));
    let line = key.and_then(|key| lines.find(|(_, line)| says(line, &key))).map(|(line, _)| line);
    format!(
        "{}:{}: no value of this chart changes {group} of {} and nothing else; make it a value of the template, and set it in the release's values",
        declared.file,
        line.map_or(declared.line, |line| line + 1),
        declared.object
    )
}
