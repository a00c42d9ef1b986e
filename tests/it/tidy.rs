//! The rules of the house that a machine can check: direction of dependencies, size and opening of files, and that the
//! product knows nothing of the sample's names.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// Which top-level modules a module may name. `domain` is open to all and not listed.
const EDGES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    // two things to fetch and to speak HTTP with, one way to do either
    ("embedder", &["model"]),
    ("forge", &["worktree", "gitops"]),
    ("model", &[]),
    ("store", &[]),
    ("tool", &["cluster", "worktree", "gitops", "reconcile"]),
    ("cluster", &[]),
    ("prompt", &["model", "tool"]),
    ("worktree", &["gitops"]),
    ("gitops", &[]),
    ("policy", &[]),
    ("review", &["gitops"]),
    ("reconcile", &["gitops"]),
    ("agent", &["embedder", "model", "prompt", "tool"]),
    ("delivery", &["forge", "gitops", "policy", "reconcile", "review", "store", "worktree"]),
    (
        "chatops",
        &[
            "agent",
            "cluster",
            "delivery",
            "gitops",
            "model",
            "policy",
            "prompt",
            "reconcile",
            "store",
            "tool",
        ],
    ),
    ("sandbox", &[]),
    ("server", &["agent", "chatops", "delivery", "model", "store"]),
    ("client", &[]),
    ("telemetry", &[]),
    (
        "config",
        &["agent", "chatops", "embedder", "model", "policy", "reconcile", "server", "telemetry"],
    ),
];

/// Names of the sample that are words of the field too.
const GENERAL: &[&str] = &[
    "search", "default", "defaults", "compute", "orders", "redis", "postgres", "config", "web",
    "frontend", "cache",
];

/// The entry points and the wiring may name everything.
const FREE: &[&str] = &["app", "cli", "main", "lib"];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn dependencies_point_one_way() {
    let src = root().join("src");
    let mut wrong = BTreeSet::new();
    for file in rust_files(&src) {
        let relative = file.strip_prefix(&src).unwrap();
        let top =
            relative.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        if FREE.contains(&top.as_str()) {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(module, _)| *module == top) else {
            wrong.insert(format!("{top} has no row in the table of edges"));
            continue;
        };
        let text = product_text(&fs::read_to_string(&file).unwrap());
        for module in named_modules(&text) {
            if module != top && module != "domain" && !allowed.contains(&module.as_str()) {
                wrong.insert(format!("{} names crate::{module}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that are not in the table:\n{}", join(&wrong));
}

/// The top-level modules of `crate::x` and `crate::{x::.., y}` paths.
fn named_modules(text: &str) -> BTreeSet<String> {
    let name = |part: &str| -> String {
        part.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let (mut depth, mut at_start) = (0, true);
        for (at, c) in list.char_indices() {
            if at_start && depth == 0 && (c.is_alphanumeric() || c == '_') {
                found.insert(name(&list[at..]));
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
            at_start = depth == 0 && (c == ',' || (at_start && c.is_whitespace()));
        }
    }
    found.retain(|module| module.starts_with(|c: char| c.is_ascii_lowercase()));
    found
}

#[test]
fn files_say_what_they_are_for_and_stay_small() {
    let mut wrong = BTreeSet::new();
    for folder in ["src", "eval", "tests"] {
        for file in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            let shown = file.strip_prefix(root()).unwrap().display().to_string();
            if !text.starts_with("//!") {
                wrong.insert(format!("{shown} does not open with //!"));
            }
            let lines = text.lines().count();
            if lines > 500 && folder == "src" {
                wrong.insert(format!(
                    "{shown} has {lines} lines; split it by what changes together"
                ));
            }
            if file.file_name().is_some_and(|name| name == "mod.rs") {
                wrong.insert(format!("{shown}: write foo.rs beside foo/"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", join(&wrong));
}

/// Whatever the sample is called, another repository must work the same: its names occur in no product file.
#[test]
fn the_product_does_not_know_the_sample() {
    let mut names = BTreeSet::new();
    let field = Regex::new(r"(?m)^\s{0,2}(?:name|namespace):\s*([a-z][a-z0-9-]+)\s*$").unwrap();
    for file in walk(&root().join("manifests")) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        names.extend(field.captures_iter(&text).map(|c| c[1].to_owned()));
    }
    // words of the field, not of the sample
    for word in GENERAL {
        names.remove(*word);
    }
    let mut wrong = BTreeSet::new();
    for folder in ["src", "prompts", "tools"] {
        for file in walk(&root().join(folder)) {
            let text = product_text(&fs::read_to_string(&file).unwrap_or_default());
            for name in &names {
                let word = Regex::new(&format!(r"\b{}\b", regex::escape(name))).unwrap();
                if name.len() > 3 && word.is_match(&text) {
                    let shown = file.strip_prefix(root()).unwrap().display().to_string();
                    wrong.insert(format!("{shown} knows '{name}' of the sample"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", join(&wrong));
}

/// Without comments and without the tests at the end of a file.
fn product_text(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn join(lines: &BTreeSet<String>) -> String {
    lines.iter().cloned().collect::<Vec<_>>().join("\n")
}
