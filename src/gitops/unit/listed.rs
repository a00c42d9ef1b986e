//! `kubemate.yaml`: the units as the repository's owners list them.

use serde::Deserialize;
use serde_json::Value;

use super::{LIST, SourceError, Unit, UnitKind, automatic, environment_of, join, kustomization_in};
use crate::gitops::{
    tree::Tree,
    yaml::{self, Dialect},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    path: String,
    environment: Option<String>,
    helm: Option<Release>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    release: Option<String>,
    namespace: String,
    #[serde(default)]
    values: Vec<String>,
}

/// The units that `text` lists.
pub(super) fn read(tree: &Tree, text: &str) -> Result<Vec<Unit>, SourceError> {
    let root = yaml::only(LIST, text, Dialect::Kustomize)?;
    let error = |pointer: &str, message: String| SourceError {
        path: LIST.to_owned(),
        line: yaml::line_of(text, 0, pointer),
        message,
    };
    for key in root.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if key != "units" {
            return Err(error(
                &format!("/{}", yaml::pointer_step(key)),
                format!("unknown key '{key}'; only 'units' is known here"),
            ));
        }
    }
    let Some(entries) = root.get("units").and_then(Value::as_array) else {
        return Err(error("", "list the units under 'units'".to_owned()));
    };
    let mut units = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let pointer = format!("/units/{index}");
        let entry: Entry =
            serde_json::from_value(entry.clone()).map_err(|e| error(&pointer, e.to_string()))?;
        units.push(unit(tree, entry).map_err(|message| error(&pointer, message))?);
    }
    Ok(units)
}

fn unit(tree: &Tree, entry: Entry) -> Result<Unit, String> {
    let path = join("", &entry.path)
        .ok_or_else(|| format!("the path '{}' leaves the repository", entry.path))?;
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    if !tree.files.keys().any(|file| file.starts_with(&below)) {
        return Err(format!("the folder '{path}' does not exist"));
    }
    let chart = automatic::chart_name(tree, &path);
    let kind = match (chart, entry.helm) {
        (Some(chart), Some(helm)) => {
            let values = helm.values.iter().map(|file| values_file(tree, &path, file));
            UnitKind::Helm {
                release: helm.release.unwrap_or(chart),
                namespace: helm.namespace,
                values: values.collect::<Result<_, _>>()?,
            }
        }
        (Some(_), None) => {
            return Err("this is a chart: say 'helm: {namespace: ...}'".to_owned());
        }
        (None, Some(_)) => return Err(format!("there is no Chart.yaml in '{path}'")),
        (None, None) if kustomization_in(tree, &path).is_some() => UnitKind::Kustomize,
        (None, None) => UnitKind::Plain,
    };
    Ok(Unit {
        name: entry.name.unwrap_or_else(|| automatic::name_of(&path)),
        environment: entry.environment.or_else(|| environment_of(&path)),
        path,
        kind,
    })
}

/// A values file, named relative to the chart or to the repository's root.
fn values_file(tree: &Tree, chart: &str, file: &str) -> Result<String, String> {
    [join(chart, file), join("", file)]
        .into_iter()
        .flatten()
        .find(|path| tree.files.contains_key(path))
        .ok_or_else(|| format!("the values file '{file}' does not exist"))
}
