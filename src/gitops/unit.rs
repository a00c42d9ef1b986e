//! Units: the pieces of the repository that are rendered and applied as one.

use std::collections::BTreeSet;

use super::tree::Tree;

mod automatic;
mod listed;

/// One renderable and appliable piece of the repository (what Flux calls a Kustomization, Argo CD an Application).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unit {
    /// Unique name: its path with `/` as `-`, unless `kubemate.yaml` names it.
    pub name: String,
    /// Folder in the repository.
    pub path: String,
    /// `prod`, `staging`, ... when the path or `kubemate.yaml` tells.
    pub environment: Option<String>,
    /// How it is rendered.
    pub kind: UnitKind,
}

/// How a unit is rendered.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum UnitKind {
    /// Every manifest in the folder.
    Plain,
    /// `kustomization.yaml`.
    Kustomize,
    /// A Helm chart with one release.
    Helm {
        /// Release name.
        release: String,
        /// Release namespace.
        namespace: String,
        /// Values files after the chart's own, in order, as repository paths.
        values: Vec<String>,
    },
}

/// Why the repository's units cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}: {message}")]
pub struct SourceError {
    /// File.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// The file at the repository's root that lists the units, when the automatic search is not what is wanted.
pub const LIST: &str = "kubemate.yaml";

/// Finds the units: those listed in `kubemate.yaml` at the root, or else every overlay no other kustomization uses, every
/// chart, and every folder of plain manifests.
///
/// # Errors
/// When `kubemate.yaml` is wrong, or the namespace of a chart's release cannot be told.
pub fn discover(tree: &Tree) -> Result<Vec<Unit>, SourceError> {
    let mut units = match tree.text(LIST) {
        Some(text) => listed::read(tree, text)?,
        None => automatic::find(tree)?,
    };
    let mut names = BTreeSet::new();
    for unit in &mut units {
        let wanted = unit.name.clone();
        let mut number = 2;
        while !names.insert(unit.name.clone()) {
            unit.name = format!("{wanted}-{number}");
            number += 1;
        }
    }
    Ok(units)
}

/// Words that name an environment wherever they stand in a path.
const WORDS: &[&str] = &[
    "prod",
    "production",
    "prd",
    "live",
    "staging",
    "stage",
    "stg",
    "preprod",
    "pre",
    "uat",
    "qa",
    "test",
    "testing",
    "sit",
    "int",
    "integration",
    "dev",
    "development",
    "sandbox",
    "canary",
    "demo",
    "perf",
    "dr",
];
/// Folders whose children are environments, whatever their names.
const HOLDERS: &[&str] =
    &["overlays", "overlay", "environments", "environment", "envs", "env", "stages"];

/// The environment a path speaks of: the folder below `overlays`, `environments`, ..., or a segment that is or contains one
/// of the usual words; the last one wins.
#[must_use]
pub fn environment_of(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').collect();
    let held = segments.windows(2).rev().find(|pair| HOLDERS.contains(&pair[0]));
    if let Some(pair) = held {
        return Some(pair[1].to_owned());
    }
    segments.iter().rev().find_map(|segment| {
        let lower = segment.to_lowercase();
        if WORDS.contains(&lower.as_str()) {
            return Some((*segment).to_owned());
        }
        lower.split(['-', '_', '.']).rev().find(|word| WORDS.contains(word)).map(str::to_owned)
    })
}

/// The folder a path lies in; empty for the root.
#[must_use]
pub fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `folder` and `relative` as one repository path without `.` and `..`; `None` when it leaves the repository.
#[must_use]
pub fn join(folder: &str, relative: &str) -> Option<String> {
    let mut segments: Vec<&str> = folder.split('/').filter(|s| !s.is_empty()).collect();
    for segment in relative.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            segment => segments.push(segment),
        }
    }
    Some(segments.join("/"))
}

/// The kustomization file of a folder: its path, when there is one.
#[must_use]
pub fn kustomization_in(tree: &Tree, folder: &str) -> Option<String> {
    ["kustomization.yaml", "kustomization.yml", "Kustomization"]
        .iter()
        .filter_map(|name| join(folder, name))
        .find(|path| tree.files.contains_key(path))
}

/// Whether a file's text holds manifests, by its look; what it really holds is told when it is rendered.
#[must_use]
pub fn looks_like_manifests(path: &str, text: &str) -> bool {
    if path.ends_with(".json") {
        return text.contains("\"apiVersion\"") && text.contains("\"kind\"");
    }
    let has = |key: &str| {
        text.lines().any(|line| {
            let line = line.trim_start_matches("- ");
            line.starts_with(key) || line.starts_with('{') && line.contains(key)
        })
    };
    (path.ends_with(".yaml") || path.ends_with(".yml")) && has("apiVersion:") && has("kind:")
}

#[cfg(test)]
mod tests;
