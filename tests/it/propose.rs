//! From operations to edits, over repositories of several layouts; what is asserted are the diffs a reviewer would see.

use std::{fmt::Write as _, sync::Arc};

use kubemate::{
    domain::Operation,
    gitops::{diff, propose::propose, render::render, tree::Tree, unit::discover},
};
use serde_json::{Value, json};

/// A repository in one file: `=== path` before each file.
fn repository(name: &str) -> Tree {
    let path = crate::render::root().join("tests/data/propose").join(format!("{name}.txt"));
    let text = std::fs::read_to_string(path).expect("repository");
    let mut tree = Tree::default();
    for part in format!("\n{text}").split("\n=== ").skip(1) {
        let (path, content) = part.split_once('\n').expect("a path before each file");
        tree.files.insert(
            path.to_owned(),
            Arc::from(format!("{content}\n").replace("\n\n", "\n").as_bytes()),
        );
    }
    tree
}

/// What becomes of each operation, as text.
fn outcomes(tree: &Tree, operations: &[Value]) -> String {
    let units = discover(tree).expect("units");
    let mut out = String::new();
    for operation in operations {
        writeln!(out, "##### {operation}").expect("text");
        let operation: Operation = serde_json::from_value(operation.clone()).expect("operation");
        match propose(tree, &units, &operation) {
            Err(error) => writeln!(out, "{error:?}\n").expect("text"),
            Ok(changes) => {
                for change in changes {
                    let (before, after) =
                        (change.before.unwrap_or_default(), change.after.unwrap_or_default());
                    let new = if before.is_empty() { " (new)" } else { "" };
                    write!(out, "--- {}{new}\n{}", change.path, diff::unified(&before, &after))
                        .expect("text");
                }
                out.push('\n');
            }
        }
    }
    out
}

fn deployment(namespace: &str, name: &str) -> String {
    format!("apps/v1/Deployment/{namespace}/{name}")
}

#[test]
fn a_bank_with_overlays() {
    let (live, uat) = (deployment("bank-live", "ledger"), deployment("bank-uat", "uat-ledger"));
    let interest = deployment("bank-live", "interest");
    let operations = [
        json!({"op": "scale", "target": uat, "replicas": 1}),
        json!({"op": "scale", "target": live, "replicas": 5}),
        json!({"op": "scale", "target": interest, "replicas": 4}),
        json!({"op": "scale", "target": "apps/v1/DaemonSet/bank-live/vault-agent", "replicas": 4}),
        json!({"op": "scale", "target": "batch/v1/CronJob/bank-live/close-books", "replicas": 4}),
        json!({"op": "set_image", "target": live, "container": "ledger", "image": ":1.2.0"}),
        json!({"op": "set_image", "target": live, "container": null, "image": ":1.2.0"}),
        json!({"op": "set_image", "target": live, "container": "nobody", "image": ":1.2.0"}),
        json!({"op": "set_image", "target": live, "container": "ledger", "image": "mirror.example/ledger:2"}),
        json!({"op": "set_image", "target": uat, "container": "ledger", "image": ":1.2.0"}),
        json!({"op": "set_image", "target": uat, "container": "audit", "image": ":0.4"}),
        json!({"op": "set_image", "target": "batch/v1/CronJob/bank-live/close-books", "container": null, "image": ":8"}),
        json!({"op": "set_env", "target": live, "container": "ledger", "set": {"MODE": "lenient", "NEW": "1"}, "unset": []}),
        json!({"op": "set_env", "target": live, "container": "ledger", "set": {"TOKEN": "x"}, "unset": []}),
        json!({"op": "set_env", "target": live, "container": "ledger", "set": {}, "unset": ["MODE"]}),
        json!({"op": "set_env", "target": live, "container": "ledger", "set": {"MODE": "strict"}, "unset": ["GONE"]}),
        json!({"op": "set_env", "target": interest, "container": null, "set": {"RATE": "0.75"}, "unset": []}),
        json!({"op": "set_resources", "target": live, "container": "ledger", "requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}),
        json!({"op": "set_resources", "target": uat, "container": "audit", "requests": {"cpu": "50m"}, "limits": {}}),
        json!({"op": "set_resources", "target": uat, "container": "audit", "requests": {"cpu": "lots"}, "limits": {}}),
        json!({"op": "restart", "target": live, "at": "2026-11-23T06:00:00.123Z"}),
        json!({"op": "scale", "target": deployment("bank-prod", "ledger"), "replicas": 5}),
        json!({"op": "scale", "target": deployment("bank-live", "twin"), "replicas": 5}),
    ];
    insta::assert_snapshot!(outcomes(&repository("bank"), &operations));
}

#[test]
fn a_bank_with_plain_manifests() {
    let (live, uat) = ("apps/v1/StatefulSet/bank-live/rates", "apps/v1/StatefulSet/bank-uat/rates");
    let operations = [
        json!({"op": "scale", "target": live, "replicas": 3}),
        json!({"op": "set_image", "target": live, "container": null, "image": ":2.0"}),
        json!({"op": "set_env", "target": live, "container": null, "set": {"SOURCE": "fed", "TTL": "60"}, "unset": []}),
        json!({"op": "set_env", "target": live, "container": null, "set": {}, "unset": ["SOURCE"]}),
        json!({"op": "scale", "target": uat, "replicas": 3}),
        json!({"op": "set_resources", "target": uat, "container": null, "requests": {"cpu": "1"}, "limits": {}}),
    ];
    insta::assert_snapshot!(outcomes(&repository("bank"), &operations));
}

#[test]
fn logistics_with_components_and_an_umbrella() {
    let (fleet, depot) = (deployment("trucks", "fleet"), "apps/v1/StatefulSet/trucks/depot");
    let operations = [
        json!({"op": "scale", "target": fleet, "replicas": 6}),
        json!({"op": "set_image", "target": fleet, "container": null, "image": ":10"}),
        json!({"op": "scale", "target": depot, "replicas": 6}),
        json!({"op": "set_env", "target": depot, "container": null, "set": {"REGION": "west"}, "unset": []}),
        json!({"op": "set_env", "target": depot, "container": null, "set": {}, "unset": ["REGION"]}),
        json!({"op": "set_env", "target": depot, "container": null, "set": {"DEBUG": "0"}, "unset": []}),
        json!({"op": "set_image", "target": depot, "container": null, "image": ":3.2"}),
        json!({"op": "restart", "target": "apps/v1/StatefulSet/trucks-training/depot", "at": "2026-11-23T06:00:00Z"}),
    ];
    insta::assert_snapshot!(outcomes(&repository("logistics"), &operations));
}

#[test]
fn a_hospital_with_a_chart() {
    let (live, training) = (deployment("clinic", "ward"), deployment("default", "ward"));
    let env = |target: &str, set: Value, unset: Value| json!({"op": "set_env", "target": target, "container": null, "set": set, "unset": unset});
    let operations = [
        json!({"op": "set_image", "target": live, "container": null, "image": ":2.1.0"}),
        json!({"op": "set_image", "target": live, "container": null, "image": "mirror.example/ward:2.1.0"}),
        json!({"op": "set_image", "target": training, "container": null, "image": ":2.1.0"}),
        env(&live, json!({"BEDS": "80", "LANGUAGE": "fr", "NEW": "1"}), json!([])),
        env(&live, json!({"SHIFT": "night"}), json!([])),
        env(&live, json!({"FIXED": "2"}), json!([])),
        env(&live, json!({}), json!(["LANGUAGE"])),
        json!({"op": "set_resources", "target": live, "container": null, "requests": {"cpu": "200m"}, "limits": {"memory": "1Gi"}}),
        json!({"op": "restart", "target": live, "at": "2026-11-23T06:00:00Z"}),
        json!({"op": "scale", "target": live, "replicas": 4}),
        json!({"op": "scale", "target": "apps/v1/StatefulSet/clinic/ward-archive", "replicas": 4}),
    ];
    insta::assert_snapshot!(outcomes(&repository("hospital"), &operations));
}

/// Every operation on every workload of the sample repository, and the files it would change.
#[test]
fn the_sample_repository_can_be_changed_everywhere() {
    let tree = crate::render::tree_of(&crate::render::root().join("manifests"));
    let units = discover(&tree).expect("units");
    let mut out = String::new();
    // one environment is enough: the other one is laid out alike
    for unit in units.iter().filter(|unit| unit.environment.as_deref() == Some("prod")) {
        for one in render(&tree, unit).expect("renders") {
            let kind = one.object.kind.as_str();
            let template = if kind == "CronJob" {
                "/spec/jobTemplate/spec/template"
            } else {
                "/spec/template"
            };
            let Some(container) = one.value.pointer(&format!("{template}/spec/containers/0/name"))
            else {
                continue;
            };
            let target = &one.object;
            let operations = [
                json!({"op": "scale", "target": target, "replicas": 7}),
                json!({"op": "set_image", "target": target, "container": container, "image": ":9.9.9"}),
                json!({"op": "set_env", "target": target, "container": container, "set": {"ZONE": "a"}, "unset": []}),
                json!({"op": "set_resources", "target": target, "container": container, "requests": {"memory": "300Mi"}, "limits": {"memory": "333Mi"}}),
                json!({"op": "restart", "target": target, "at": "2026-11-23T06:00:00Z"}),
            ];
            for operation in operations {
                let text = operation["op"].as_str().unwrap_or_default().to_owned();
                let operation: Operation = serde_json::from_value(operation).expect("operation");
                let files = match propose(&tree, &units, &operation) {
                    Ok(changes) => changes
                        .iter()
                        .map(|change| change.path.clone())
                        .collect::<Vec<_>>()
                        .join(" "),
                    Err(error) => format!("{error:?}"),
                };
                writeln!(out, "{target} {text}: {files}").expect("text");
            }
        }
    }
    insta::assert_snapshot!(out);
}
