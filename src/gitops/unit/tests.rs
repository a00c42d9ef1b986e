//! Tables for discovery.

use std::sync::Arc;

use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes())));
    Tree { revision: String::new(), files: files.collect() }
}

fn summary(tree: &Tree) -> Vec<String> {
    let units = discover(tree).expect("units");
    units
        .iter()
        .map(|unit| {
            let kind = match &unit.kind {
                UnitKind::Plain => "plain".to_owned(),
                UnitKind::Kustomize => "kustomize".to_owned(),
                UnitKind::Helm { release, namespace, values } => {
                    format!("helm {release} in {namespace} with {}", values.join(","))
                }
            };
            format!("{} {} {kind}", unit.name, unit.environment.as_deref().unwrap_or("-"))
        })
        .collect()
}

const OBJECT: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ledger-prod}\n";

#[test]
fn environments_come_from_paths() {
    let table = [
        ("apps/ledger/overlays/eu-west", Some("eu-west")),
        ("environments/blue/ledger", Some("blue")),
        ("clusters/production/ledger", Some("production")),
        ("ledger-uat", Some("uat")),
        ("ledger/prod/dev-tools", Some("dev")),
        ("k8s/ledger", None),
        ("products/reproduction", None),
    ];
    for (path, expected) in table {
        assert_eq!(environment_of(path).as_deref(), expected, "{path}");
    }
}

#[test]
fn units_are_found_in_every_layout() {
    let tree = tree(&[
        (".github/workflows/ci.yaml", OBJECT),
        ("docs/example.yaml", OBJECT),
        ("README.md", "apiVersion: v1\nkind: ConfigMap\n"),
        ("docker-compose.yaml", "services: {}\n"),
        ("ledger/base/kustomization.yaml", "resources: [deployment.yaml]\n"),
        ("ledger/base/deployment.yaml", OBJECT),
        (
            "ledger/overlays/prod/kustomization.yaml",
            "namespace: ledger-prod\nresources: [../../base]\ncomponents: [../../tls]\n",
        ),
        ("ledger/overlays/prod/patches/p.yaml", OBJECT),
        ("ledger/overlays/dr/kustomization.yml", "bases: [../../base/]\n"),
        ("ledger/tls/kustomization.yaml", "kind: Component\n"),
        ("rates/prod/rates.yaml", OBJECT),
        ("rates/prod/values.yaml", "a: 1\n"),
        ("charts/fx/Chart.yaml", "name: fx\n"),
        ("charts/fx/values.yaml", "a: 1\n"),
        ("charts/fx/values-prod.yaml", "a: 2\n"),
        ("charts/fx/environments/uat/values.yaml", "namespace: fx-test\n"),
        ("charts/fx/templates/x.yaml", OBJECT),
        ("charts/fx/charts/sub/Chart.yaml", "name: sub\n"),
        ("charts/common/Chart.yaml", "name: common\ntype: library\n"),
    ]);
    assert_eq!(
        summary(&tree),
        [
            "charts-fx-prod prod helm fx in ledger-prod with charts/fx/values-prod.yaml",
            "charts-fx-uat uat helm fx in fx-test with charts/fx/environments/uat/values.yaml",
            "ledger-overlays-dr dr kustomize",
            "ledger-overlays-prod prod kustomize",
            "rates-prod prod plain",
        ]
    );
}

#[test]
fn a_list_of_units_replaces_the_search() {
    let list = "units:\n  - {name: core, path: ./k8s/, environment: live}\n  - path: charts/fx\n    helm: {namespace: fx, values: [values-eu.yaml]}\n";
    let tree = tree(&[
        ("kubemate.yaml", list),
        ("k8s/a.yaml", OBJECT),
        ("other/a.yaml", OBJECT),
        ("charts/fx/Chart.yaml", "name: fx\n"),
        ("charts/fx/values-eu.yaml", ""),
    ]);
    assert_eq!(
        summary(&tree),
        ["core live plain", "charts-fx - helm fx in fx with charts/fx/values-eu.yaml"]
    );
}

#[test]
fn a_wrong_list_is_refused_with_its_line() {
    let table = [
        ("unit: []\n", 1, "unknown key 'unit'"),
        ("units:\n  - path: a\n  - paht: b\n", 2, "does not exist"),
        ("units:\n  - path: k8s\n    env: b\n", 2, "unknown field `env`"),
        ("units:\n  - path: ../x\n", 2, "leaves the repository"),
        ("units:\n  - path: k8s\n    helm: {namespace: a}\n", 2, "no Chart.yaml"),
    ];
    for (list, line, message) in table {
        let tree = tree(&[("kubemate.yaml", list), ("k8s/a.yaml", OBJECT)]);
        let error = discover(&tree).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.message.contains(message), "{error}");
    }
}

#[test]
fn a_namespace_is_never_guessed_among_several() {
    let tree = tree(&[
        ("a/prod/a.yaml", OBJECT),
        ("b/prod/b.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: other}\n"),
        ("fx/Chart.yaml", "name: fx\n"),
        ("fx/values-prod.yaml", ""),
    ]);
    let error = discover(&tree).unwrap_err();
    assert!(error.message.contains("list the units in kubemate.yaml"), "{error}");
}
