//! `replicas` and `images` of a kustomization.

use serde_json::{Value, json};

use super::{
    super::{image::Image, steps::get},
    Attempts, Layer, Subject, edit,
};
use crate::gitops::edit::{PathEdit, Step};

/// Changes an entry that is there.
pub(super) fn existing(layer: &Layer<'_>, subject: &Subject<'_>) -> Attempts {
    let mut attempts = Attempts::new();
    if let Some(image) = image(subject) {
        for (index, entry) in layer.list("images").iter().enumerate().rev() {
            if speaks_of(entry, subject) {
                attempts.push(edit(layer, retagged(index, entry, &image)));
            }
        }
    }
    if let Some(count) = replicas(subject) {
        for (index, entry) in layer.list("replicas").iter().enumerate() {
            let name = entry["name"].as_str().unwrap_or_default();
            if name == subject.name() || name == subject.declared.object.name {
                let path = at("replicas", index, "count");
                attempts.push(edit(layer, vec![PathEdit::Set { path, value: json!(count) }]));
            }
        }
    }
    attempts
}

/// Adds an entry.
pub(super) fn added(layer: &Layer<'_>, subject: &Subject<'_>) -> Attempts {
    let mut attempts = Attempts::new();
    let mut add = |key: &str, entry: Value| {
        let (path, value) = layer.appended(key, entry);
        attempts.push(edit(layer, vec![PathEdit::Set { path, value }]));
    };
    if let Some(image) = image(subject) {
        // as the layer below calls it, which is known for the declaration and for the outermost layer only
        let mut names: Vec<String> = [&subject.declared.value, &subject.manifest]
            .into_iter()
            .filter_map(|value| current(value, subject))
            .collect();
        names.dedup();
        for name in names {
            let mut entry = json!({"name": name});
            if image.name != name {
                entry["newName"] = json!(image.name);
            }
            if let Some(tag) = &image.tag {
                entry["newTag"] = json!(tag);
            }
            if let Some(digest) = &image.digest {
                entry["digest"] = json!(digest);
            }
            add("images", entry);
        }
    }
    let kind = subject.declared.object.kind.as_str();
    if let Some(count) = replicas(subject)
        && matches!(kind, "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController")
    {
        add("replicas", json!({"name": subject.name(), "count": count}));
        if subject.name() != subject.declared.object.name {
            add("replicas", json!({"name": subject.declared.object.name, "count": count}));
        }
    }
    attempts
}

fn at(list: &str, index: usize, key: &str) -> Vec<Step> {
    vec![Step::Key(list.to_owned()), Step::Index(index), Step::Key(key.to_owned())]
}

/// The wanted number, when the group is about replicas.
fn replicas(subject: &Subject<'_>) -> Option<u64> {
    let [field] = subject.group.fields.as_slice() else { return None };
    let is_replicas =
        field.path == [Step::Key("spec".to_owned()), Step::Key("replicas".to_owned())];
    field.value.as_ref().filter(|_| is_replicas)?.as_u64()
}

/// The wanted image, when the group is about one.
fn image(subject: &Subject<'_>) -> Option<Image> {
    let field = subject.group.fields.first()?;
    let is_image = field.path.last() == Some(&Step::Key("image".to_owned()));
    Some(Image::parse(field.value.as_ref().filter(|_| is_image)?.as_str()?))
}

/// The name of the image in `value` that is to change.
fn current(value: &Value, subject: &Subject<'_>) -> Option<String> {
    let image = get(value, &subject.group.fields.first()?.path)?.as_str()?;
    Some(Image::parse(image).name)
}

fn speaks_of(entry: &Value, subject: &Subject<'_>) -> bool {
    let names = [&subject.declared.value, &subject.manifest].map(|value| current(value, subject));
    ["name", "newName"]
        .iter()
        .filter_map(|key| entry[*key].as_str())
        .any(|name| names.iter().flatten().any(|known| known == name))
}

/// The edits that make an entry bring about the image.
fn retagged(index: usize, entry: &Value, image: &Image) -> Vec<PathEdit> {
    let mut steps = Vec::new();
    let named = entry["newName"].as_str().or(entry["name"].as_str()).unwrap_or_default();
    let mut put = |key: &str, value: Option<&String>| {
        let path = at("images", index, key);
        match value {
            Some(value) => steps.push(PathEdit::Set { path, value: json!(value) }),
            None if entry.get(key).is_some() => steps.push(PathEdit::Remove { path }),
            None => {}
        }
    };
    if image.name != named {
        put("newName", Some(&image.name));
    }
    // what is set first stays in the place of what goes
    put("newTag", image.tag.as_ref());
    put("digest", image.digest.as_ref());
    steps
}
