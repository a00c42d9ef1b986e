//! The sample that comes with the binary: repositories and scenarios, unpacked into the data folder when none is configured.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "manifests/"]
#[prefix = "manifests/"]
struct Manifests;

#[derive(RustEmbed)]
#[folder = "eval/scenarios/"]
#[prefix = "eval/scenarios/"]
struct Scenarios;

/// The file that names the default scenario.
const DEFAULT: &str = "eval/scenarios/default";

fn is_needed(path: &str) -> bool {
    let default =
        Scenarios::get(DEFAULT).map(|file| String::from_utf8_lossy(&file.data).into_owned());
    let folder = default.map(|name| format!("eval/scenarios/{}/", name.trim()));
    path.starts_with("manifests/") || path == DEFAULT || folder.is_none_or(|f| path.starts_with(&f))
}

/// Unpacks the sample below `data` (laid out as in the project, so that relative paths hold) and returns the folder of the
/// default scenario, which the file `eval/scenarios/default` names.
///
/// # Errors
/// When the files cannot be written.
pub(super) fn unpack(data: &Path) -> anyhow::Result<PathBuf> {
    let root = data.join("sample");
    let files = Manifests::iter()
        .map(|path| (Manifests::get(&path), path))
        .chain(Scenarios::iter().map(|path| (Scenarios::get(&path), path)))
        // the other scenarios are for evaluation
        .filter(|(_, path)| is_needed(path));
    for (file, path) in files {
        let target = root.join(path.as_ref());
        let writing = || format!("unpacking the sample to {}", target.display());
        if let (Some(file), Some(folder)) = (file, target.parent()) {
            std::fs::create_dir_all(folder).with_context(writing)?;
            std::fs::write(&target, file.data).with_context(writing)?;
        }
    }
    let scenarios = root.join("eval/scenarios");
    let name = std::fs::read_to_string(scenarios.join("default"))
        .context("reading which scenario is the default one (eval/scenarios/default)")?;
    Ok(scenarios.join(name.trim()))
}
