//! Plain manifests: every YAML or JSON file of a folder that holds some.

use super::{Manifest, Rendered};
use crate::gitops::{
    tree::Tree,
    unit::{LIST, SourceError, folder_of, looks_like_manifests},
    yaml::{self, Dialect},
};

/// The objects of the folder's own files (not of its sub-folders), in order of file and line.
pub(super) fn render(tree: &Tree, folder: &str) -> Result<Vec<Rendered>, SourceError> {
    let mut rendered = Vec::new();
    for path in tree.files.keys().filter(|path| folder_of(path) == folder) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let Some(text) = tree.text(path) else { continue };
        if name.starts_with('.') || path == LIST || !looks_like_manifests(path, text) {
            continue;
        }
        for doc in yaml::documents(path, text, Dialect::Kubectl)? {
            for manifest in Manifest::expand(doc.value, path, doc.line)? {
                rendered.push(manifest.rendered()?);
            }
        }
    }
    Ok(rendered)
}
