//! Scenarios: the world a sandbox starts with, described in a folder with a `scenario.yaml`.
//!
//! Everything is optional, so any folder of manifests is a scenario.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::fault::{Fault, Selector};
use crate::domain::{Lang, Role};

/// The file that describes a scenario.
pub const FILE: &str = "scenario.yaml";

/// The world a sandbox starts with.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// One line for people.
    pub description: String,
    /// The folder of the repository's content.
    pub manifests: PathBuf,
    /// Objects that are in the cluster before any commit: roles, storage classes, custom resource definitions.
    pub cluster: Vec<Value>,
    /// The machines.
    pub nodes: Vec<NodeSpec>,
    /// Who may speak.
    pub operators: Vec<OperatorSpec>,
    /// Repositories and tags that can be pulled (any tag where none is listed); everything, when absent.
    pub registry: Option<BTreeMap<String, Vec<String>>>,
    /// What goes wrong from the start.
    pub faults: Vec<Fault>,
    /// Lines that programs write besides their own.
    pub logs: Vec<LogSpec>,
    /// The sandbox's time at its start; the real time, when absent.
    pub start: Option<Timestamp>,
    /// Sandbox seconds per real second; 0 stands still until advanced.
    pub speed: f64,
    /// From a pod's arrival on its node to its containers' start, in seconds; 0 also skips the probes' initial delays.
    pub pod_start_seconds: f64,
}

/// One machine, or several of the same kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// `node-1`; with `count`, the prefix of `node-1`, `node-2`, ...
    pub name: String,
    /// How many of them.
    pub count: usize,
    /// Allocatable cores.
    pub cpu: String,
    /// Allocatable memory.
    pub memory: String,
    /// How many pods it takes.
    pub pods: u32,
    /// The failure domain it stands in.
    pub zone: Option<String>,
    /// Other resources: `nvidia.com/gpu: "4"`.
    pub resources: BTreeMap<String, String>,
    /// Labels besides the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Taints, as in the node's spec.
    pub taints: Vec<Value>,
}

impl Default for NodeSpec {
    fn default() -> Self {
        Self {
            name: "node".into(),
            count: 1,
            cpu: "4".into(),
            memory: "8Gi".into(),
            pods: 110,
            zone: None,
            resources: BTreeMap::new(),
            labels: BTreeMap::new(),
            taints: vec![],
        }
    }
}

/// Somebody who may speak to kubemate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorSpec {
    /// Login name and Kubernetes user.
    pub name: String,
    /// Kubernetes groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Roles in kubemate.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Preferred language.
    #[serde(default)]
    pub lang: Option<Lang>,
}

/// Lines that the selected programs write besides their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSpec {
    /// Whose logs.
    #[serde(default)]
    pub select: Selector,
    /// The lines, written in turn.
    pub lines: Vec<String>,
    /// From one line to the next.
    #[serde(default = "half_minute")]
    pub every_seconds: u32,
}

fn half_minute() -> u32 {
    30
}

/// `scenario.yaml` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    description: String,
    manifests: Option<PathBuf>,
    cluster: Option<Cluster>,
    nodes: Option<Vec<NodeSpec>>,
    operators: Vec<OperatorSpec>,
    registry: Option<BTreeMap<String, Vec<String>>>,
    faults: Vec<Fault>,
    logs: Vec<LogSpec>,
    start: Option<Timestamp>,
    speed: Option<f64>,
    pod_start_seconds: Option<f64>,
}

/// A file or folder of objects, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Cluster {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

impl Scenario {
    /// Loads the scenario in `folder`; a folder without a `scenario.yaml` is a folder of manifests.
    ///
    /// # Errors
    /// With file and line when something cannot be read or has an unknown key.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(FILE);
        if !file.is_file() {
            if !folder.is_dir() {
                bail!("loading the scenario {}: there is no such folder", folder.display());
            }
            let document = Document { manifests: Some(PathBuf::new()), ..Document::default() };
            return Self::assemble(document, folder);
        }
        let text = read(&file)?;
        let document: Document = parse(&text, &file)?;
        Self::assemble(document, folder)
    }

    /// A scenario from the text of a `scenario.yaml` whose paths are relative to `folder`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(text: &str, folder: &Path) -> anyhow::Result<Self> {
        Self::assemble(parse(text, &folder.join(FILE))?, folder)
    }

    fn assemble(document: Document, folder: &Path) -> anyhow::Result<Self> {
        let paths = match document.cluster {
            None => vec![],
            Some(Cluster::One(path)) => vec![path],
            Some(Cluster::Several(paths)) => paths,
        };
        let mut cluster = vec![];
        for path in paths {
            read_objects(&folder.join(path), &mut cluster)?;
        }
        let nodes =
            document.nodes.unwrap_or_else(|| vec![NodeSpec { count: 3, ..NodeSpec::default() }]);
        let number = |value: Option<f64>, default: f64, what: &str| match value.unwrap_or(default) {
            good if good.is_finite() && good >= 0.0 => Ok(good),
            bad => bail!("{}: {what} is {bad}; it must be 0 or more", folder.join(FILE).display()),
        };
        Ok(Self {
            description: document.description,
            manifests: folder.join(document.manifests.unwrap_or_else(|| "manifests".into())),
            cluster,
            nodes: each_node(nodes),
            operators: document.operators,
            registry: document.registry,
            faults: document.faults,
            logs: document.logs,
            start: document.start,
            speed: number(document.speed, 1.0, "speed")?,
            pod_start_seconds: number(document.pod_start_seconds, 2.0, "podStartSeconds")?,
        })
    }
}

impl Default for Scenario {
    /// Three machines, nobody in particular, nothing wrong.
    fn default() -> Self {
        Self {
            description: String::new(),
            manifests: "manifests".into(),
            cluster: vec![],
            nodes: each_node(vec![NodeSpec { count: 3, ..NodeSpec::default() }]),
            operators: vec![],
            registry: None,
            faults: vec![],
            logs: vec![],
            start: None,
            speed: 1.0,
            pod_start_seconds: 2.0,
        }
    }
}

/// One entry per machine.
fn each_node(specs: Vec<NodeSpec>) -> Vec<NodeSpec> {
    let several = |spec: NodeSpec| {
        let count = spec.count;
        (1..=count).map(move |number| {
            let name =
                if count == 1 { spec.name.clone() } else { format!("{}-{number}", spec.name) };
            NodeSpec { name, count: 1, ..spec.clone() }
        })
    };
    specs.into_iter().flat_map(several).collect()
}

/// Adds the objects of a YAML file, or of all YAML files below a folder in order of their names.
fn read_objects(path: &Path, objects: &mut Vec<Value>) -> anyhow::Result<()> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path)
            .with_context(|| format!("reading the folder {}", path.display()))?;
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .with_context(|| format!("reading the folder {}", path.display()))?;
        paths.sort();
        let is_yaml = |path: &Path| {
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
        };
        for path in paths.iter().filter(|path| path.is_dir() || is_yaml(path)) {
            read_objects(path, objects)?;
        }
        return Ok(());
    }
    let text = read(path)?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|error| located(path, &error))?;
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        if document["kind"].is_string() && document["apiVersion"].is_string() {
            objects.push(document);
        } else {
            bail!("{}: every document needs apiVersion and kind", path.display());
        }
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn parse<T: DeserializeOwned + Default>(text: &str, file: &Path) -> anyhow::Result<T> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(T::default());
    }
    serde_saphyr::from_str(text).map_err(|error| located(file, &error))
}

/// `scenario.yaml:12: unknown field ...`
fn located(file: &Path, error: &serde_saphyr::Error) -> anyhow::Error {
    let line = error.location().map(|at| format!(":{}", at.line())).unwrap_or_default();
    anyhow::anyhow!("{}{line}: {}", file.display(), error.without_snippet())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_optional() {
        let folder = Path::new("/w");
        let scenario = Scenario::parse("# nothing\n", folder).expect("an empty scenario");
        assert_eq!(scenario, Scenario { manifests: "/w/manifests".into(), ..Scenario::default() });
        let names: Vec<&str> = scenario.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["node-1", "node-2", "node-3"]);
    }

    #[test]
    fn a_full_one_is_read() {
        let text = "
description: two machines
manifests: ../repo
nodes:
  - {name: big, cpu: '16', memory: 64Gi, zone: a, labels: {disk: ssd}}
  - {name: small, count: 2, taints: [{key: spot, effect: NoSchedule}]}
operators:
  - {name: alice, groups: [dev], roles: [operator, approver], lang: zh}
registry: {nginx: ['1.25'], tools/any: []}
faults:
  - select: {kind: Deployment, name: web, image: ':2'}
    effect: {crashLoop: {exitCode: 2}}
logs:
  - {select: {labels: {app: web}}, lines: [hello]}
start: 2026-03-01T08:00:00Z
speed: 0
podStartSeconds: 0.5
";
        let scenario = Scenario::parse(text, Path::new("/w/x")).expect("well formed");
        assert_eq!(scenario.manifests, Path::new("/w/x/../repo"));
        assert_eq!(scenario.nodes.len(), 3);
        assert_eq!(scenario.nodes[2].name, "small-2");
        assert_eq!(scenario.operators[0].lang, Some(Lang::Zh));
        assert_eq!((scenario.speed, scenario.logs[0].every_seconds), (0.0, 30));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, part) in [
            ("description: x\nnods: []\n", "scenario.yaml:2"),
            ("nodes:\n  - name: a\n    cpus: 4\n", "scenario.yaml:3"),
            ("speed: -1\n", "speed is -1"),
            ("faults:\n  - effect: explode\n", "scenario.yaml:2"),
            ("start: tomorrow\n", "scenario.yaml:1"),
        ] {
            let error = Scenario::parse(text, Path::new("/w")).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_folder_of_manifests_is_a_scenario() {
        let folder = tempfile::tempdir().expect("a folder");
        let scenario = Scenario::load(folder.path()).expect("no file is needed");
        assert_eq!(scenario.manifests, folder.path().join(""));
        assert!(Scenario::load(&folder.path().join("missing")).is_err());
        std::fs::write(folder.path().join(FILE), "cluster: roles.yaml\n").expect("written");
        std::fs::write(folder.path().join("roles.yaml"), "a: 1\n---\nb: [\n").expect("written");
        let error = Scenario::load(folder.path()).expect_err("broken").to_string();
        assert!(error.contains("roles.yaml"), "{error}");
    }
}
