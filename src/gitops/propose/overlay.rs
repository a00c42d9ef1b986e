//! Where a Kustomize overlay says, or could say, what a field is.
//!
//! The layers between the unit and the declaration are read; what an outer layer says overrules the inner ones.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Attempts, declaration, goal::Group, proof::World, steps::path};
use crate::gitops::{
    edit::Path,
    render::Rendered,
    tree::{FileChange, Tree},
    unit::{Unit, UnitKind, join, kustomization_in},
    yaml::{self, Dialect},
};

mod entry;
mod patch;

/// Layers that are followed down.
const MAX_DEPTH: usize = 30;

/// One kustomization on the way from the unit to the declaration.
pub(super) struct Layer<'a> {
    pub(super) tree: &'a Tree,
    pub(super) folder: String,
    /// The kustomization file and its content.
    pub(super) file: String,
    pub(super) value: Value,
}

impl Layer<'_> {
    /// The entries of a list of the kustomization.
    pub(super) fn list(&self, key: &str) -> &[Value] {
        self.value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The path at which a new entry of a list is written, and the entry as it is to be written there.
    pub(super) fn appended(&self, key: &str, entry: Value) -> (Path, Value) {
        use crate::gitops::edit::Step;
        match self.list(key).len() {
            0 => (path(&[key]), json!([entry])),
            length => (vec![Step::Key(key.to_owned()), Step::Index(length)], entry),
        }
    }
}

/// What is edited, and how it was called where it is declared.
pub(super) struct Subject<'a> {
    pub(super) declared: &'a Rendered,
    /// The manifest before any overlay.
    pub(super) manifest: Value,
    pub(super) group: &'a Group,
}

impl Subject<'_> {
    /// The object's name where it is declared.
    pub(super) fn name(&self) -> &str {
        self.manifest["metadata"]["name"].as_str().unwrap_or(&self.declared.object.name)
    }

    /// Whether a patch without a target is for the object.
    pub(super) fn is_named_by(&self, patch: &Value) -> bool {
        let name = patch["metadata"]["name"].as_str().unwrap_or_default();
        patch["kind"] == self.declared.object.kind.as_str()
            && (name == self.name() || name == self.declared.object.name)
    }
}

/// The edits that might do: of what an overlay says already, from the outside in; of the declaration; of an overlay that
/// is to say it, from the inside out. Layers that other units use, too, are left alone even where that would not be seen
/// today.
pub(super) fn attempts(
    world: &World<'_>,
    unit: &Unit,
    declared: &Rendered,
    group: &Group,
) -> Attempts {
    let tree = &world.tree;
    let others =
        world.units.iter().filter(|other| *other != unit && other.kind == UnitKind::Kustomize);
    let mut shared = BTreeSet::new();
    others.for_each(|other| closure(tree, &other.path, &mut shared));
    let manifest = match declaration::manifest(tree, declared) {
        Ok(manifest) => manifest,
        Err(problem) => return vec![Err(problem)],
    };
    let subject = Subject { declared, manifest, group };
    let mut chains = chains(tree, &unit.path, &declared.file, 0);
    for chain in &mut chains {
        chain.retain(|layer| !shared.contains(&layer.folder));
    }
    let mut attempts = Attempts::new();
    for layer in chains.iter().flatten() {
        attempts.extend(entry::existing(layer, &subject));
        attempts.extend(patch::existing(layer, &subject));
    }
    if !shared.contains(&declared.file) {
        attempts.push(declaration::edit(tree, declared, group));
    }
    for layer in chains.iter().flat_map(|chain| chain.iter().rev()) {
        attempts.extend(entry::added(layer, &subject));
        attempts.extend(patch::added(layer, &subject));
    }
    attempts
}

/// The ways from the kustomization in `folder` to the one that includes `file`, outermost first; components stand behind
/// the layer that uses them.
fn chains<'a>(tree: &'a Tree, folder: &str, file: &str, depth: usize) -> Vec<Vec<Layer<'a>>> {
    let Some(layer) = read(tree, folder).filter(|_| depth < MAX_DEPTH) else { return Vec::new() };
    let texts = |key: &str| {
        layer.list(key).iter().filter_map(Value::as_str).filter_map(|one| join(folder, one))
    };
    let mut below: Vec<Vec<Layer<'a>>> = Vec::new();
    for path in texts("resources").chain(texts("bases")) {
        if path == file {
            below.push(Vec::new());
        } else {
            below.extend(chains(tree, &path, file, depth + 1));
        }
    }
    let components: Vec<String> = texts("components").collect();
    let mut found = Vec::new();
    for chain in below {
        let used = components.iter().filter_map(|component| read(tree, component));
        found.push([read(tree, folder)].into_iter().flatten().chain(used).chain(chain).collect());
    }
    for component in &components {
        for chain in chains(tree, component, file, depth + 1) {
            found.push([read(tree, folder)].into_iter().flatten().chain(chain).collect());
        }
    }
    found
}

/// A kustomization's folder, or a file, and everything it uses.
fn closure(tree: &Tree, path: &str, found: &mut BTreeSet<String>) {
    if !found.insert(path.to_owned()) {
        return;
    }
    let Some(layer) = read(tree, path) else { return };
    for key in ["resources", "bases", "components"] {
        let entries = layer.list(key).iter().filter_map(Value::as_str);
        entries.filter_map(|entry| join(path, entry)).for_each(|path| closure(tree, &path, found));
    }
}

fn read<'a>(tree: &'a Tree, folder: &str) -> Option<Layer<'a>> {
    let file = kustomization_in(tree, folder)?;
    let value = yaml::only(&file, tree.text(&file)?, Dialect::Kustomize).ok()?;
    Some(Layer { tree, folder: folder.to_owned(), file, value })
}

/// The kustomization with one edit.
fn edit(
    layer: &Layer<'_>,
    steps: Vec<crate::gitops::edit::PathEdit>,
) -> Result<Vec<FileChange>, String> {
    let edit = crate::gitops::edit::Edit { document: crate::gitops::edit::Document::Only, steps };
    Ok(vec![super::edited(layer.tree, &layer.file, &edit)?])
}
