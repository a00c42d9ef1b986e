//! The data folder: who holds it, and the private files in it.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Makes the data folder this process's own, as long as the file is held: two programs on one data folder would undo each
/// other's steps.
///
/// # Errors
/// When it cannot be made, or another process holds it.
pub fn lock(data: &Path) -> anyhow::Result<std::fs::File> {
    std::fs::create_dir_all(data)
        .with_context(|| format!("making the data folder {}", data.display()))?;
    let path = data.join("lock");
    let file =
        std::fs::File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    file.try_lock().map_err(|error| {
        anyhow::anyhow!(
            "another kubemate uses {} ({error}); stop it or choose another folder with --data",
            data.display()
        )
    })?;
    Ok(file)
}

/// The file that lets kubectl reach the sandbox.
#[must_use]
pub fn kubeconfig(data: &Path) -> PathBuf {
    data.join("kubeconfig")
}

/// Writes the kubeconfig of the sandbox's admin.
pub(super) fn write_kubeconfig(data: &Path, content: &str) -> anyhow::Result<()> {
    write_private(&kubeconfig(data), content.as_bytes())
}

/// Written beside and renamed; readable by this user only.
pub(super) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let writing = || format!("writing {}", path.display());
    let folder = path.parent().context("the file has a folder").with_context(writing)?;
    std::fs::create_dir_all(folder).with_context(writing)?;
    // tempfile creates with mode 0600
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(writing)?;
    file.write_all(content).with_context(writing)?;
    file.persist(path).with_context(writing)?;
    Ok(())
}
