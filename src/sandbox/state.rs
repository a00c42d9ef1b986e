//! Keeping a sandbox in a file: the objects, the faults and the time, written whole and atomically.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    fault::{Faults, Injected},
    storage::Storage,
};

/// A saved cluster.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    /// The cluster's time.
    pub(super) now: Timestamp,
    /// Kept, so that a kubeconfig stays good.
    pub(super) admin_token: String,
    pub(super) faults: Vec<Injected>,
    /// What [`Storage::snapshot`] gave.
    pub(super) objects: Value,
}

/// Reads a saved cluster; `None` when there is no such file.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<Saved>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("reading the saved sandbox {}", path.display()));
        }
    };
    let saved = serde_json::from_slice(&bytes).with_context(|| {
        let path = path.display();
        format!("reading the saved sandbox {path}; delete the file to start afresh")
    })?;
    Ok(Some(saved))
}

/// The file a cluster is kept in. Clones keep the same one.
#[derive(Clone)]
pub(super) struct StateFile {
    path: Arc<Path>,
    admin_token: String,
    storage: Storage,
    faults: Faults,
}

impl StateFile {
    pub(super) fn new(
        path: PathBuf,
        admin_token: String,
        storage: Storage,
        faults: Faults,
    ) -> Self {
        Self { path: path.into(), admin_token, storage, faults }
    }

    /// Saves the cluster every `period` in which `activity` counted a change, until `stop` is cancelled.
    pub(super) async fn keep(
        &self,
        period: Duration,
        activity: &AtomicU64,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut saved = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(period) => {}
            }
            let changes = activity.load(Ordering::Relaxed);
            if changes != saved {
                // a full disk must not end the cluster; the next attempt may succeed
                match self.save().await {
                    Ok(()) => saved = changes,
                    Err(error) => {
                        tracing::warn!(error = format!("{error:#}"), "saving the sandbox")
                    }
                }
            }
        }
    }

    /// Writes the file: all or nothing.
    pub(super) async fn save(&self) -> anyhow::Result<()> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.write()).await.context("saving the sandbox")?
    }

    fn write(&self) -> anyhow::Result<()> {
        let path = &self.path;
        let saving = || format!("saving the sandbox to {}", path.display());
        let saved = Saved {
            now: self.storage.clock().now(),
            admin_token: self.admin_token.clone(),
            faults: self.faults.all().to_vec(),
            objects: self.storage.snapshot(),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // the temporary file is private to its owner, and so is what it becomes: it holds secrets
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
            .with_context(saving)?;
        let mut writer = std::io::BufWriter::new(file.as_file_mut());
        serde_json::to_writer(&mut writer, &saved).with_context(saving)?;
        writer.flush().with_context(saving)?;
        drop(writer);
        file.as_file().sync_all().with_context(saving)?;
        file.persist(&**path).with_context(saving)?;
        Ok(())
    }
}
