//! A chart and its subcharts, as they lie in the repository.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::{Map, Value, json};

use super::{Result, value::Val};
use crate::gitops::{
    tree::Tree,
    unit::{SourceError, join},
    yaml::{self, Dialect},
};

/// Subcharts within subcharts.
const MAX_DEPTH: usize = 10;

/// A chart.
pub(super) struct Chart<'a> {
    /// Its name, or the name its parent gives it.
    pub(super) name: String,
    /// `parent/charts/child`, as Helm names templates.
    pub(super) full_name: String,
    pub(super) is_library: bool,
    /// `Chart.yaml` and its path.
    pub(super) file: Value,
    pub(super) path: String,
    /// Its own values.
    pub(super) values: Value,
    pub(super) templates: Vec<Template<'a>>,
    /// Custom resource definitions: path and text.
    pub(super) crds: Vec<(String, &'a str)>,
    /// What `.Files` gives out.
    pub(super) files: BTreeMap<String, Rc<[u8]>>,
    pub(super) children: Vec<Self>,
}

/// A file below `templates/`.
pub(super) struct Template<'a> {
    /// As Helm names it: `chart/templates/x.yaml`.
    pub(super) name: String,
    /// In the repository.
    pub(super) path: String,
    pub(super) text: &'a str,
}

impl<'a> Chart<'a> {
    /// Reads the chart in `folder`.
    pub(super) fn load(tree: &'a Tree, folder: &str) -> Result<Self> {
        Self::load_as(tree, folder, "", None, 0)
    }

    fn load_as(
        tree: &'a Tree,
        folder: &str,
        parent: &str,
        alias: Option<&str>,
        depth: usize,
    ) -> Result<Self> {
        let path = join(folder, "Chart.yaml").unwrap_or_default();
        let error = |message: String| SourceError { path: path.clone(), line: 1, message };
        if depth > MAX_DEPTH {
            return Err(error("charts contain each other too deeply".to_owned()));
        }
        let text =
            tree.text(&path).ok_or_else(|| error("this chart has no Chart.yaml".to_owned()))?;
        let file = yaml::only(&path, text, Dialect::Kubectl)?;
        let own = file
            .get("name")
            .and_then(Value::as_str)
            .ok_or_else(|| error("this chart has no name".to_owned()))?;
        let name = alias.unwrap_or(own).to_owned();
        let full_name =
            if parent.is_empty() { name.clone() } else { format!("{parent}/charts/{name}") };
        let mut chart = Self {
            is_library: file.get("type").and_then(Value::as_str) == Some("library"),
            values: own_values(tree, folder)?,
            name,
            full_name,
            path: path.clone(),
            file,
            templates: Vec::new(),
            crds: Vec::new(),
            files: BTreeMap::new(),
            children: Vec::new(),
        };
        chart.read_files(tree, folder);
        chart.read_children(tree, folder, depth)?;
        Ok(chart)
    }

    fn read_files(&mut self, tree: &'a Tree, folder: &str) {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        for (path, bytes) in tree.files.range(prefix.clone()..) {
            let Some(inside) = path.strip_prefix(&prefix) else { break };
            match inside.split_once('/') {
                Some(("charts", _)) => {}
                Some(("templates", _)) => {
                    if let Some(text) = tree.text(path) {
                        let name = format!("{}/{inside}", self.full_name);
                        self.templates.push(Template { name, path: path.clone(), text });
                    }
                }
                Some(("crds", _)) => {
                    self.crds.extend(tree.text(path).map(|text| (path.clone(), text)))
                }
                _ if matches!(
                    inside,
                    "Chart.yaml" | "Chart.lock" | "values.yaml" | "values.schema.json"
                ) => {}
                _ => drop(self.files.insert(inside.to_owned(), Rc::from(&**bytes))),
            }
        }
    }

    /// The subcharts: those that `Chart.yaml` names, and others that lie in `charts/`.
    fn read_children(&mut self, tree: &'a Tree, folder: &str, depth: usize) -> Result<()> {
        let charts = join(folder, "charts").unwrap_or_default();
        let mut folders: BTreeMap<String, String> = BTreeMap::new();
        for path in tree.files.keys().filter_map(|path| path.strip_prefix(&format!("{charts}/"))) {
            if path.ends_with(".tgz") {
                return Err(SourceError {
                    path: format!("{charts}/{path}"),
                    line: 1,
                    message: "packed charts are not read; unpack it in place (helm pull --untar)"
                        .to_owned(),
                });
            }
            if let Some((child, "Chart.yaml")) = path.split_once('/') {
                let at = format!("{charts}/{child}");
                let file = yaml::only(
                    path,
                    tree.text(&format!("{at}/Chart.yaml")).unwrap_or_default(),
                    Dialect::Kubectl,
                )?;
                let name = file.get("name").and_then(Value::as_str).unwrap_or(child);
                folders.insert(name.to_owned(), at);
            }
        }
        let declared =
            self.file.get("dependencies").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut children = Vec::new();
        for (index, dependency) in declared.iter().enumerate() {
            let text = |key: &str| dependency.get(key).and_then(Value::as_str).unwrap_or_default();
            let local =
                text("repository").strip_prefix("file://").and_then(|path| join(folder, path));
            let Some(at) = folders.get(text("name")).cloned().or(local) else {
                let message = format!(
                    "the chart '{}' is not in charts/; vendor it into the repository, unpacked",
                    text("name")
                );
                return Err(self.wrong_dependency(tree, index, message));
            };
            if dependency.get("import-values").is_some() {
                let message =
                    "import-values is not supported; set the values in this chart".to_owned();
                return Err(self.wrong_dependency(tree, index, message));
            }
            let alias = Some(text("alias")).filter(|alias| !alias.is_empty());
            children.push(Self::load_as(tree, &at, &self.full_name, alias, depth + 1)?);
        }
        let named: Vec<&str> =
            declared.iter().filter_map(|dependency| dependency.get("name")?.as_str()).collect();
        for (_, at) in folders.iter().filter(|(name, _)| !named.contains(&name.as_str())) {
            children.push(Self::load_as(tree, at, &self.full_name, None, depth + 1)?);
        }
        self.children = children;
        Ok(())
    }

    fn wrong_dependency(&self, tree: &Tree, index: usize, message: String) -> SourceError {
        let text = tree.text(&self.path).unwrap_or_default();
        let line = yaml::line_of(text, 0, &format!("/dependencies/{index}"));
        SourceError { path: self.path.clone(), line, message }
    }

    /// Calls `f` with every chart, the deepest first: what is defined further up wins.
    pub(super) fn each(&self, f: &mut dyn FnMut(&Self) -> Result<()>) -> Result<()> {
        for child in &self.children {
            child.each(f)?;
        }
        f(self)
    }

    /// `.Chart`.
    pub(super) fn metadata(&self) -> Val {
        let mut map = Map::new();
        for (key, value) in self.file.as_object().into_iter().flatten() {
            let field = match key.as_str() {
                "apiVersion" => "APIVersion".to_owned(),
                key => {
                    let mut letters = key.chars();
                    letters
                        .next()
                        .map(|first| first.to_uppercase().chain(letters).collect())
                        .unwrap_or_default()
                }
            };
            map.insert(field, value.clone());
        }
        for field in
            ["Name", "Version", "AppVersion", "Description", "Type", "Home", "Icon", "KubeVersion"]
        {
            // versions are texts, even where they were written as numbers
            let text = match map.get(field) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            map.insert(field.to_owned(), json!(text));
        }
        map.insert("Name".to_owned(), json!(self.name));
        map.insert("IsRoot".to_owned(), json!(!self.full_name.contains('/')));
        Val::from_json(&Value::Object(map))
    }
}

fn own_values(tree: &Tree, folder: &str) -> Result<Value> {
    let path = join(folder, "values.yaml").unwrap_or_default();
    match tree.text(&path) {
        Some(text) => super::values::read(&path, text),
        None => Ok(json!({})),
    }
}
