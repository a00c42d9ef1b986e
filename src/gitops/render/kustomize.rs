//! Kustomize, as `kubectl kustomize` renders it, without plugins and without the network.
//!
//! A layer accumulates the resources of the layers below, adds generated ones, and transforms them all; names are
//! hashed and references to changed names repaired once, at the top.

use super::{Manifest, Rendered};
use crate::gitops::{
    tree::Tree,
    unit::{SourceError, kustomization_in},
    yaml::{self, Dialect},
};

mod field;
mod generate;
mod layer;
mod merge;
mod patch;
mod references;
mod replace;
mod resource;
mod selector;
mod transform;

use layer::Layer;
use resource::Resource;

type Result<T> = std::result::Result<T, SourceError>;

/// Layers below layers that are still followed.
const MAX_DEPTH: usize = 30;

/// Renders the kustomization in `folder`.
pub(super) fn render(tree: &Tree, folder: &str) -> Result<Vec<Rendered>> {
    let mut resources = accumulate(tree, folder, Vec::new(), &mut Vec::new())?;
    for resource in resources.iter_mut().filter(|resource| resource.needs_hash) {
        let name = format!("{}-{}", resource.name(), generate::hash(&resource.manifest.value));
        resource.rename(&name);
    }
    references::repair(&mut resources)?;
    resources.retain(|resource| !resource.is_local());
    resources.into_iter().map(|resource| resource.manifest.rendered()).collect()
}

/// The transformed resources of the layer in `folder`; `inherited` is what a component works on besides its own.
fn accumulate(
    tree: &Tree,
    folder: &str,
    inherited: Vec<Resource>,
    stack: &mut Vec<String>,
) -> Result<Vec<Resource>> {
    let layer = Layer::read(tree, folder)?;
    if stack.iter().any(|other| other == folder) || stack.len() > MAX_DEPTH {
        return layer.fail("/resources", "this kustomization includes itself");
    }
    stack.push(folder.to_owned());
    let mut resources = inherited;
    for item in layer.resources()? {
        let more = include(&layer, &item.value, &item.pointer, stack)?;
        append(&layer, &mut resources, more, &item.pointer)?;
    }
    generate::run(&layer, &mut resources)?;
    for item in layer.strings("components")? {
        let path = layer.local(&item.value, &item.pointer)?;
        if kustomization_in(tree, &path).is_none() {
            return layer
                .fail(&item.pointer, format!("the component '{path}' has no kustomization.yaml"));
        }
        resources = accumulate(tree, &path, resources, stack)?;
    }
    transform::run(&layer, &mut resources)?;
    stack.pop();
    Ok(resources)
}

/// What one entry of `resources` brings in.
fn include(
    layer: &Layer<'_>,
    entry: &str,
    pointer: &str,
    stack: &mut Vec<String>,
) -> Result<Vec<Resource>> {
    let path = layer.local(entry, pointer)?;
    if layer.tree.files.contains_key(&path) {
        return load(layer, &path, pointer);
    }
    if kustomization_in(layer.tree, &path).is_some() {
        return accumulate(layer.tree, &path, Vec::new(), stack);
    }
    layer.fail(
        pointer,
        format!("'{entry}' is neither a file nor a folder with a kustomization.yaml"),
    )
}

fn load(layer: &Layer<'_>, path: &str, pointer: &str) -> Result<Vec<Resource>> {
    let text = layer.file(path, pointer)?;
    let mut resources = Vec::new();
    for doc in yaml::documents(path, text, Dialect::Kustomize)? {
        let manifests = Manifest::expand(doc.value, path, doc.line)?;
        resources.extend(manifests.into_iter().map(Resource::new));
    }
    Ok(resources)
}

/// Adds resources; one that is there already is an error, as the author surely did not mean it.
fn append(
    layer: &Layer<'_>,
    resources: &mut Vec<Resource>,
    more: Vec<Resource>,
    pointer: &str,
) -> Result<()> {
    for resource in more {
        if let Some(other) = resources.iter().find(|other| other.id() == resource.id()) {
            let message = format!(
                "{} of {}:{} is there already, from {}:{}",
                resource.id(),
                resource.manifest.file,
                resource.manifest.line,
                other.manifest.file,
                other.manifest.line
            );
            return layer.fail(pointer, message);
        }
        resources.push(resource);
    }
    Ok(())
}
