//! Rendering: our Kustomize against the real one over many folders, charts and plain files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use kubemate::gitops::{
    render::render,
    tree::Tree,
    unit::{Unit, UnitKind, discover, folder_of},
    yaml::{self, Dialect},
};
use serde_json::Value;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder as a tree.
pub(crate) fn tree_of(folder: &Path) -> Tree {
    fn walk(folder: &Path, prefix: &str, tree: &mut Tree) {
        let entries = std::fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let entry = entry.expect("directory entry");
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().expect("file type").is_dir() {
                walk(&entry.path(), &format!("{path}/"), tree);
            } else {
                tree.files.insert(path, Arc::from(std::fs::read(entry.path()).expect("file")));
            }
        }
    }
    let mut tree = Tree::default();
    walk(folder, "", &mut tree);
    tree
}

fn kustomize_unit(path: &str) -> Unit {
    Unit {
        name: path.to_owned(),
        path: path.to_owned(),
        environment: None,
        kind: UnitKind::Kustomize,
    }
}

/// Objects by kind, namespace and name.
fn index(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let key = |value: &Value| {
        let part = |pointer: &str| {
            value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        format!("{} {} {}", part("/kind"), part("/metadata/namespace"), part("/metadata/name"))
    };
    objects.into_iter().map(|value| (key(&value), value)).collect()
}

/// Whether two values are the same to Kubernetes: a list in another order is not, a whole float is its integer.
fn first_difference(path: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.map(|key| {
                (key, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null))
            })
            .find_map(|(key, a, b)| first_difference(&format!("{path}/{key}"), a, b))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| first_difference(&format!("{path}/{i}"), a, b)),
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        (a, b) if a == b => None,
        (a, b) => Some(format!("{path}: ours {a}, kustomize {b}")),
    }
}

/// Every folder with a kustomization that is no component.
fn kustomizations(tree: &Tree) -> Vec<String> {
    let is_kustomization = |path: &&String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
    };
    let files = tree.files.keys().filter(is_kustomization);
    let folders =
        files.filter(|path| !tree.text(path).is_some_and(|text| text.contains("kind: Component")));
    folders.map(|path| folder_of(path).to_owned()).collect()
}

/// Renders every kustomization below `folder` with both and lists what differs.
fn compare(folder: &Path, expected_to_fail: &dyn Fn(&str) -> bool) -> (usize, Vec<String>) {
    let tree = tree_of(folder);
    let mut differences = Vec::new();
    let all = kustomizations(&tree);
    for path in &all {
        let ours = render(&tree, &kustomize_unit(path));
        let output = Command::new("kubectl")
            .arg("kustomize")
            .arg(folder.join(path))
            .output()
            .expect("kubectl");
        let theirs = String::from_utf8_lossy(&output.stdout);
        match (ours, output.status.success()) {
            (Err(_), false) => {}
            (Err(error), true) if expected_to_fail(path) => drop(error),
            (Err(error), true) => differences.push(format!("{path}: only ours fails: {error}")),
            (Ok(_), false) => {
                differences.push(format!(
                    "{path}: only kustomize fails: {}",
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
            (Ok(ours), true) => {
                let theirs = yaml::documents("output", &theirs, Dialect::Kubectl)
                    .expect("output of kubectl");
                let theirs = index(theirs.into_iter().map(|doc| doc.value));
                let ours = index(ours.into_iter().map(|one| one.value));
                let keys = ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key)));
                for key in keys {
                    let (a, b) = (
                        ours.get(key).unwrap_or(&Value::Null),
                        theirs.get(key).unwrap_or(&Value::Null),
                    );
                    differences.extend(
                        first_difference("", a, b).map(|text| format!("{path}: {key} {text}")),
                    );
                }
            }
        }
    }
    (all.len(), differences)
}

#[test]
fn kustomize_renders_like_the_real_one() {
    if Command::new("kubectl").arg("kustomize").arg("--help").output().is_err() {
        eprintln!(
            "SKIPPED: there is no kubectl on this machine, so our Kustomize is not compared with the real one"
        );
        return;
    }
    let data = root().join("tests/data/render/kustomize");
    for (folder, minimum) in [(data, 30), (root().join("manifests"), 15)] {
        // what we refuse on purpose lies in folders called unsupported-*
        let (count, differences) = compare(&folder, &|path| path.starts_with("unsupported-"));
        assert!(count >= minimum, "only {count} kustomizations below {}", folder.display());
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

/// For a look at other people's repositories: `KUSTOMIZE_CORPUS` is read at compile time, so nothing is read from the
/// environment when tests run.
#[test]
#[ignore = "compares with a folder given when compiling, by KUSTOMIZE_CORPUS"]
fn kustomize_renders_a_corpus_like_the_real_one() {
    let Some(folder) = option_env!("KUSTOMIZE_CORPUS") else { return };
    let (count, differences) = compare(Path::new(folder), &|_| false);
    eprintln!(
        "{count} kustomizations, {} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(differences.is_empty());
}

#[test]
fn the_sample_repository_renders_without_gaps() {
    let tree = tree_of(&root().join("manifests"));
    let units = discover(&tree).expect("units");
    let mut workloads = Vec::new();
    for unit in &units {
        for one in render(&tree, unit).unwrap_or_else(|error| panic!("{}: {error}", unit.name)) {
            if matches!(one.object.kind.as_str(), "Deployment" | "StatefulSet" | "CronJob") {
                let namespace = one.object.namespace.as_deref().unwrap_or("?");
                workloads.push(format!("{namespace} {} {}", one.object.kind, one.object.name));
            }
        }
    }
    workloads.sort();
    insta::assert_snapshot!(workloads.join("\n"));
}

/// Compares our charts with what the real Helm made of them (`expected.yaml`, by `helm template release chart -f
/// values.yaml -n ns --include-crds`), one case per folder.
fn compare_charts(folder: &Path) -> (usize, Vec<String>) {
    let mut differences = Vec::new();
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("cases")
        .map(|entry| entry.expect("entry").path())
        .collect();
    cases.sort();
    for case in &cases {
        let tree = tree_of(case);
        let values = tree.files.contains_key("values.yaml").then(|| "values.yaml".to_owned());
        let kind = UnitKind::Helm {
            release: "release".into(),
            namespace: "ns".into(),
            values: values.into_iter().collect(),
        };
        let unit = Unit { name: "chart".into(), path: "chart".into(), environment: None, kind };
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let ours = match render(&tree, &unit) {
            Ok(ours) => ours,
            Err(error) => {
                differences.push(format!("{name}: {error}"));
                continue;
            }
        };
        let expected = tree.text("expected.yaml").expect("expected.yaml");
        let theirs =
            yaml::documents("expected.yaml", expected, Dialect::Kubectl).expect("output of helm");
        let is_test = |value: &Value| {
            let hook = value.pointer("/metadata/annotations/helm.sh~1hook").and_then(Value::as_str);
            hook.is_some_and(|hook| hook.starts_with("test"))
        };
        // Helm says the namespace when it applies, we say it in the objects
        let without_namespace = |mut value: Value| {
            if value.pointer("/metadata/namespace") == Some(&Value::from("ns"))
                && let Some(metadata) = value["metadata"].as_object_mut()
            {
                metadata.shift_remove("namespace");
            }
            value
        };
        let theirs = theirs.into_iter().map(|doc| doc.value).filter(|value| !is_test(value));
        let theirs = index(theirs.map(without_namespace));
        let ours = index(ours.into_iter().map(|one| without_namespace(one.value)));
        for key in ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key))) {
            let (a, b) =
                (ours.get(key).unwrap_or(&Value::Null), theirs.get(key).unwrap_or(&Value::Null));
            differences
                .extend(first_difference("", a, b).map(|text| format!("{name}: {key} {text}")));
        }
    }
    (cases.len(), differences)
}

#[test]
fn charts_render_as_helm_rendered_them() {
    let (count, differences) = compare_charts(&root().join("tests/data/render/helm"));
    assert!(count > 0 && differences.is_empty(), "{}", differences.join("\n"));
}

/// As above, for a folder of cases given when compiling.
#[test]
#[ignore = "compares with a folder given when compiling, by HELM_CORPUS"]
fn a_corpus_of_charts_renders_as_helm_rendered_it() {
    let Some(folder) = option_env!("HELM_CORPUS") else { return };
    let (count, differences) = compare_charts(Path::new(folder));
    eprintln!("{count} charts, {} differences\n{}", differences.len(), differences.join("\n"));
    assert!(differences.is_empty());
}
