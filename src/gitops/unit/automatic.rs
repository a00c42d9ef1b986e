//! Finding units without being told: overlays nobody else uses, charts, folders of plain manifests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    SourceError, Unit, UnitKind, environment_of, folder_of, join, kustomization_in,
    looks_like_manifests,
};
use crate::gitops::{
    tree::Tree,
    yaml::{self, Dialect},
};

/// Folders whose YAML is not meant for a cluster.
const IGNORED: &[&str] = &["docs", "doc", "examples", "example", "node_modules", "vendor"];

/// Every unit of the repository, by path.
pub(super) fn find(tree: &Tree) -> Result<Vec<Unit>, SourceError> {
    let charts = charts(tree);
    let in_chart = |path: &str| charts.iter().any(|(folder, _)| is_below(path, folder));
    let kustomized: BTreeSet<&str> = tree
        .files
        .keys()
        .map(|path| folder_of(path))
        .filter(|folder| !is_ignored(folder) && !in_chart(folder))
        .filter(|folder| kustomization_in(tree, folder).is_some())
        .collect();
    let mut units = overlays(tree, &kustomized);
    units.extend(plain(tree, &kustomized, &in_chart));
    let namespaces = namespaces(tree, &units);
    for (folder, chart) in &charts {
        units.extend(releases(tree, folder, chart, &namespaces)?);
    }
    units.sort_by(|a, b| (&a.path, &a.name).cmp(&(&b.path, &b.name)));
    Ok(units)
}

/// A unit's name, from its path.
pub(super) fn name_of(path: &str) -> String {
    if path.is_empty() { "root".to_owned() } else { path.replace('/', "-") }
}

/// The name of the chart in `folder`, when there is one.
pub(super) fn chart_name(tree: &Tree, folder: &str) -> Option<String> {
    let chart = lenient(tree, &join(folder, "Chart.yaml")?)?;
    let name = chart.get("name").and_then(Value::as_str);
    Some(name.unwrap_or_else(|| folder.rsplit('/').next().unwrap_or(folder)).to_owned())
}

fn is_ignored(folder: &str) -> bool {
    folder.split('/').any(|segment| segment.starts_with('.') || IGNORED.contains(&segment))
}

fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path == folder || path.starts_with(&format!("{folder}/"))
}

/// A file's only document, however wrong the rest is: discovery must not fail on files nobody renders.
fn lenient(tree: &Tree, path: &str) -> Option<Value> {
    yaml::only(path, tree.text(path)?, Dialect::Kustomize).ok()
}

fn unit(path: &str, kind: UnitKind) -> Unit {
    Unit { name: name_of(path), path: path.to_owned(), environment: environment_of(path), kind }
}

/// Kustomizations that no other one uses; components are only ever used.
fn overlays(tree: &Tree, folders: &BTreeSet<&str>) -> Vec<Unit> {
    let mut used = BTreeSet::new();
    let mut components = BTreeSet::new();
    for folder in folders {
        let Some(file) = kustomization_in(tree, folder).and_then(|path| lenient(tree, &path))
        else {
            continue;
        };
        if file.get("kind").and_then(Value::as_str) == Some("Component") {
            components.insert((*folder).to_owned());
        }
        for list in ["resources", "bases", "components"] {
            let entries = file.get(list).and_then(Value::as_array).into_iter().flatten();
            used.extend(entries.filter_map(Value::as_str).filter_map(|path| join(folder, path)));
        }
    }
    let roots = folders.iter().filter(|folder| !used.contains(**folder));
    roots
        .filter(|folder| !components.contains(**folder))
        .map(|folder| unit(folder, UnitKind::Kustomize))
        .collect()
}

/// Folders that hold manifests and belong to no chart and no kustomization. Folders below a kustomization hold its patches
/// and resources, so they are its own business, unless it is the repository's root.
fn plain(tree: &Tree, kustomized: &BTreeSet<&str>, in_chart: &dyn Fn(&str) -> bool) -> Vec<Unit> {
    let belongs = |folder: &str| {
        kustomized
            .iter()
            .any(|other| folder == *other || !other.is_empty() && is_below(folder, other))
    };
    let mut folders = BTreeSet::new();
    for path in tree.files.keys() {
        let folder = folder_of(path);
        let hidden = path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        if hidden
            || folders.contains(folder)
            || is_ignored(folder)
            || in_chart(folder)
            || belongs(folder)
        {
            continue;
        }
        if tree.text(path).is_some_and(|text| looks_like_manifests(path, text)) {
            folders.insert(folder);
        }
    }
    folders.into_iter().map(|folder| unit(folder, UnitKind::Plain)).collect()
}

/// Folders with a `Chart.yaml` that are no subchart and no library, with the chart's name.
fn charts(tree: &Tree) -> Vec<(String, String)> {
    let mut charts: Vec<(String, String)> = Vec::new();
    let mut folders: Vec<&str> = tree
        .files
        .keys()
        .filter(|path| path.rsplit('/').next() == Some("Chart.yaml"))
        .map(|path| folder_of(path))
        .filter(|folder| !is_ignored(folder))
        .collect();
    folders.sort_by_key(|folder| folder.len());
    for folder in folders {
        let library = join(folder, "Chart.yaml")
            .and_then(|path| lenient(tree, &path))
            .is_some_and(|chart| chart.get("type").and_then(Value::as_str) == Some("library"));
        if library || charts.iter().any(|(parent, _)| is_below(folder, parent)) {
            continue;
        }
        if let Some(name) = chart_name(tree, folder) {
            charts.push((folder.to_owned(), name));
        }
    }
    charts
}

/// The releases of a chart: one per environment that has a values file, or else one.
fn releases(
    tree: &Tree,
    folder: &str,
    chart: &str,
    namespaces: &BTreeMap<Option<String>, BTreeSet<String>>,
) -> Result<Vec<Unit>, SourceError> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in tree.files.keys().filter(|path| is_below(path, folder)) {
        let inside = path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/');
        if let Some(environment) = environment_of_values(inside) {
            values.entry(environment).or_default().push(path.clone());
        }
    }
    let environments: Vec<(Option<String>, Vec<String>)> = if values.is_empty() {
        vec![(environment_of(folder), Vec::new())]
    } else {
        values.into_iter().map(|(environment, files)| (Some(environment), files)).collect()
    };
    environments
        .into_iter()
        .map(|(environment, files)| {
            let namespace = namespace(tree, folder, &files, &environment, namespaces)?;
            let suffix = if files.is_empty() { None } else { environment.clone() };
            let base = name_of(folder);
            Ok(Unit {
                name: suffix.map_or_else(|| base.clone(), |suffix| format!("{base}-{suffix}")),
                path: folder.to_owned(),
                environment,
                kind: UnitKind::Helm { release: chart.to_owned(), namespace, values: files },
            })
        })
        .collect()
}

/// The environment of a values file, by its path inside the chart: `values-prod.yaml`, `values.prod.yaml`,
/// `prod-values.yaml`, `values/prod.yaml`, `environments/prod/values.yaml`.
fn environment_of_values(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".yaml").or_else(|| path.strip_suffix(".yml"))?;
    let (folders, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    if folders.split('/').any(|folder| matches!(folder, "templates" | "crds" | "charts" | "ci")) {
        return None;
    }
    if folders.is_empty() {
        return ["values-", "values_", "values."]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .or_else(|| name.strip_suffix("-values"))
            .map(str::to_owned);
    }
    if name == "values" {
        return environment_of(folders);
    }
    let holder = folders.rsplit('/').next().unwrap_or(folders);
    matches!(holder, "values" | "environments" | "envs" | "env").then(|| name.to_owned())
}

/// The namespace of a release: what its values say (`namespaceOverride`, `namespace`), or the one namespace the
/// environment's other units use.
fn namespace(
    tree: &Tree,
    folder: &str,
    files: &[String],
    environment: &Option<String>,
    namespaces: &BTreeMap<Option<String>, BTreeSet<String>>,
) -> Result<String, SourceError> {
    let own = join(folder, "values.yaml");
    let said = files.iter().rev().chain(own.iter()).find_map(|path| {
        let values = lenient(tree, path)?;
        let said =
            ["namespaceOverride", "namespace"].iter().find_map(|key| values.get(*key)?.as_str());
        said.filter(|name| !name.is_empty()).map(str::to_owned)
    });
    if let Some(said) = said {
        return Ok(said);
    }
    let candidates = namespaces.get(environment);
    match candidates.map_or(0, BTreeSet::len) {
        0 => Ok("default".to_owned()),
        1 => Ok(candidates.into_iter().flatten().next().cloned().unwrap_or_default()),
        _ => Err(SourceError {
            path: format!("{folder}/Chart.yaml"),
            line: 1,
            message: format!(
                "the namespace of this chart's release in {} cannot be told: list the units in {}, with 'helm: {{namespace: ...}}' for this chart",
                environment.as_deref().unwrap_or("the repository"),
                super::LIST
            ),
        }),
    }
}

/// The namespaces that units write to, by environment.
fn namespaces(tree: &Tree, units: &[Unit]) -> BTreeMap<Option<String>, BTreeSet<String>> {
    let mut found: BTreeMap<Option<String>, BTreeSet<String>> = BTreeMap::new();
    let mut add = |unit: &Unit, name: Option<&Value>| {
        if let Some(name) = name.and_then(Value::as_str).filter(|name| !name.is_empty()) {
            found.entry(unit.environment.clone()).or_default().insert(name.to_owned());
        }
    };
    for unit in units {
        if unit.kind == UnitKind::Kustomize {
            let file = kustomization_in(tree, &unit.path).and_then(|path| lenient(tree, &path));
            add(unit, file.as_ref().and_then(|file| file.get("namespace")));
            continue;
        }
        for path in tree.files.keys().filter(|path| folder_of(path) == unit.path) {
            let Some(text) = tree.text(path).filter(|text| looks_like_manifests(path, text)) else {
                continue;
            };
            for doc in yaml::documents(path, text, Dialect::Kubectl).unwrap_or_default() {
                add(unit, doc.value.pointer("/metadata/namespace"));
            }
        }
    }
    found
}
