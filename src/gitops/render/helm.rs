//! Helm charts, as `helm template` renders them for a first installation.
//!
//! What the cluster would answer (`lookup`) is empty, and functions whose result is never the same twice are refused.
//! Custom resource definitions of `crds/` are rendered, tests are not, and other hooks are objects like any other.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::Value;

use super::{Manifest, Rendered, scope::is_cluster_scoped};
use crate::gitops::{
    tree::Tree,
    unit::SourceError,
    yaml::{self, Dialect},
};

mod chart;
mod evaluate;
mod function;
mod text;
mod value;
mod values;

use chart::Chart;
use evaluate::Templates;
use value::Val;

type Result<T> = std::result::Result<T, SourceError>;

/// One release of a chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Release<'a> {
    /// `.Release.Name`.
    pub(super) name: &'a str,
    /// `.Release.Namespace`.
    pub(super) namespace: &'a str,
    /// Values files after the chart's own.
    pub(super) values: &'a [String],
}

/// Renders the chart in `folder`.
pub(super) fn render(tree: &Tree, folder: &str, release: &Release<'_>) -> Result<Vec<Rendered>> {
    let mut chart = Chart::load(tree, folder)?;
    let values = values::of_release(tree, &mut chart, release.values)?;
    let mut templates = Templates::default();
    chart.each(&mut |chart| {
        chart.templates.iter().try_for_each(|file| templates.add(&file.name, &file.path, file.text))
    })?;
    let mut rendered = Vec::new();
    chart.each(&mut |chart| {
        for (path, text) in &chart.crds {
            for doc in yaml::documents(path, text, Dialect::Kubectl)? {
                rendered.extend(Manifest::expand(doc.value, path, doc.line)?);
            }
        }
        Ok(())
    })?;
    let world = World { release, templates: &templates };
    world.run(&chart, &Val::from_json(&values), &mut rendered)?;
    rendered
        .into_iter()
        .filter(|one| !is_test(&one.value))
        .map(|one| in_namespace(one, release.namespace).rendered())
        .collect()
}

/// What all charts of a release share.
struct World<'a> {
    release: &'a Release<'a>,
    templates: &'a Templates,
}

impl World<'_> {
    /// Runs the templates of a chart and, before them, of its subcharts.
    fn run(&self, chart: &Chart<'_>, values: &Val, rendered: &mut Vec<Manifest>) -> Result<()> {
        let scope = self.scope(chart, values);
        for child in &chart.children {
            self.run(child, &child_values(values, &child.name), rendered)?;
        }
        let runs = |file: &&chart::Template<'_>| {
            !chart.is_library && !is_partial(file) && !is_test_file(file)
        };
        for file in chart.templates.iter().filter(runs) {
            let Val::Map(map) = &scope else { continue };
            let template = [
                ("Name", Val::str(&file.name)),
                ("BasePath", Val::str(format!("{}/templates", chart.full_name))),
            ];
            map.borrow_mut().insert("Template".to_owned(), Val::object(template));
            let text = self.templates.run(&file.name, scope.clone())?;
            rendered.extend(manifests(&file.path, file.text, &text)?);
        }
        Ok(())
    }

    /// `.Values`, `.Release`, `.Chart`, ...
    fn scope(&self, chart: &Chart<'_>, values: &Val) -> Val {
        let subcharts: BTreeMap<String, Val> = chart
            .children
            .iter()
            .map(|child| {
                (child.name.clone(), self.scope(child, &child_values(values, &child.name)))
            })
            .collect();
        let version = function_version();
        Val::object([
            ("Values", values.clone()),
            ("Chart", chart.metadata()),
            ("Files", Val::Files(Rc::new(chart.files.clone()))),
            ("Subcharts", Val::map(subcharts)),
            (
                "Release",
                Val::object([
                    ("Name", Val::str(self.release.name)),
                    ("Namespace", Val::str(self.release.namespace)),
                    ("Service", Val::str("Helm")),
                    ("IsInstall", Val::Bool(true)),
                    ("IsUpgrade", Val::Bool(false)),
                    ("Revision", Val::Int(1)),
                ]),
            ),
            (
                "Capabilities",
                Val::object([
                    ("APIVersions", Val::Versions),
                    ("KubeVersion", version),
                    ("HelmVersion", Val::object([("Version", Val::str("v3.19.0"))])),
                ]),
            ),
        ])
    }
}

/// Whether a template only defines others, or speaks to people.
fn is_partial(file: &chart::Template<'_>) -> bool {
    let base = file.name.rsplit('/').next().unwrap_or(&file.name);
    base.starts_with('_') || base == "NOTES.txt"
}

/// Whether a template is nothing but tests of the release, by its place and by what it says. Its objects would be left out,
/// and it need not be one that renders the same twice.
fn is_test_file(file: &chart::Template<'_>) -> bool {
    let count = |text: &str| file.text.matches(text).count();
    file.name.contains("/templates/tests/") && count("helm.sh/hook\": test") >= count("apiVersion:")
}

/// `.Capabilities.KubeVersion`.
fn function_version() -> Val {
    let full = function::KUBERNETES;
    let mut parts = full.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    Val::object([
        ("Version", Val::str(full)),
        ("GitVersion", Val::str(full)),
        ("Major", Val::str(major)),
        ("Minor", Val::str(minor)),
    ])
}

/// The part of the values that a subchart sees.
fn child_values(values: &Val, name: &str) -> Val {
    match values {
        Val::Map(map) => map.borrow().get(name).cloned().unwrap_or_else(|| Val::object([])),
        _ => Val::object([]),
    }
}

/// The manifests in a template's output.
fn manifests(path: &str, template: &str, text: &str) -> Result<Vec<Manifest>> {
    let documents = yaml::documents(path, text, Dialect::Kubectl).map_err(|error| {
        let shown = text.lines().nth(error.line.saturating_sub(1)).unwrap_or_default().trim();
        SourceError {
            path: path.to_owned(),
            line: 1,
            message: format!(
                "the output of this template cannot be read at its line {} ('{shown}'): {}",
                error.line, error.message
            ),
        }
    })?;
    // where the n-th document is declared can only be told when each has its own `apiVersion:`
    let starts: Vec<usize> = template
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("apiVersion:"))
        .map(|(index, _)| index + 1)
        .collect();
    let first = starts.first().copied().unwrap_or(1);
    let exact = starts.len() == documents.len();
    let mut found = Vec::new();
    for (index, doc) in documents.into_iter().enumerate() {
        let line = if exact { starts[index] } else { first };
        found.extend(Manifest::expand(doc.value, path, line)?);
    }
    Ok(found)
}

/// Whether a hook that only runs when somebody tests the release, or removes or rolls it back.
fn is_test(value: &Value) -> bool {
    let hooks = value.pointer("/metadata/annotations/helm.sh~1hook").and_then(Value::as_str);
    let unwanted = |hook: &str| {
        matches!(
            hook.trim(),
            "test"
                | "test-success"
                | "test-failure"
                | "pre-delete"
                | "post-delete"
                | "pre-rollback"
                | "post-rollback"
        )
    };
    hooks.is_some_and(|hooks| hooks.split(',').all(unwanted))
}

/// Objects that do not say where they live live in the release's namespace.
fn in_namespace(mut manifest: Manifest, namespace: &str) -> Manifest {
    let value = &mut manifest.value;
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let api_version = text("/apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if text("/metadata/namespace").is_empty() && !is_cluster_scoped(group, text("/kind")) {
        value["metadata"]["namespace"] = Value::String(namespace.to_owned());
    }
    manifest
}
