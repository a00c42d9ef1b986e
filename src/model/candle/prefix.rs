//! Keys and values of prompt prefixes that come again and again (system prompt and tools): kept in memory, and on disk
//! so that a restart is warm. Only an optimisation: whatever is wrong with a stored prefix, it is computed anew.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use candle_core::{DType, Device, Tensor};
use half::f16;
use sha2::{Digest as _, Sha256};

use super::gguf::Dimensions;
use super::network::{KvCache, Snapshot};

/// Bytes of snapshots kept in memory and on disk.
const MEMORY_BYTES: usize = 192 << 20;
const DISK_BYTES: u64 = 512 << 20;
/// Shorter prefixes are computed faster than they are found.
const SHORTEST: usize = 48;
/// Tokens of the last sequence beyond the fixed part that are worth resuming from; the rounding of results depends on
/// where chunks begin.
pub(super) const WORTH: usize = 64;
/// Changes when the layout of the files or the arithmetic of the network does.
const FORMAT: &[u8] = b"kubemate prefix 2\n";

/// The known prefixes of one model.
pub(super) struct Prefixes {
    /// Least recently used first.
    held: Vec<Arc<Snapshot>>,
    folder: Option<PathBuf>,
    model: String,
    dims: Dimensions,
}

impl Prefixes {
    /// `model` identifies the weights; without a folder nothing is kept on disk.
    pub(super) fn new(model: &str, dims: &Dimensions, folder: Option<PathBuf>) -> Self {
        Self { held: Vec::new(), folder, model: model.to_owned(), dims: dims.clone() }
    }

    /// Lets `kv` hold the longest known prefix of `tokens`, at most all but the last one; `fixed` of them are the part
    /// that may be stored on disk. Returns how many tokens it holds.
    pub(super) fn resume(
        &mut self,
        kv: &mut KvCache,
        tokens: &[u32],
        fixed: usize,
    ) -> anyhow::Result<usize> {
        let most = tokens.len() - 1;
        let live = match common(kv.tokens(), tokens).min(most) {
            // resuming exactly behind the fixed part gives the same result every time, which is worth some tokens
            shared if shared > fixed && shared - fixed < WORTH => fixed,
            shared => shared,
        };
        if live < fixed && self.best(tokens).is_none_or(|(_, length)| length < fixed) {
            self.load(&tokens[..fixed]);
        }
        match self.best(tokens).map(|(at, length)| (at, length.min(most))) {
            Some((at, length)) if length > live => {
                let snapshot = self.held.remove(at);
                kv.restore(&snapshot)?;
                kv.truncate(length);
                self.held.push(snapshot);
            }
            _ => kv.truncate(live),
        }
        Ok(kv.len())
    }

    /// The held snapshot that shares most with `tokens`.
    fn best(&self, tokens: &[u32]) -> Option<(usize, usize)> {
        let shared = self
            .held
            .iter()
            .enumerate()
            .map(|(at, snapshot)| (at, common(&snapshot.tokens, tokens)));
        shared.max_by_key(|(_, length)| *length).filter(|(_, length)| *length > 0)
    }

    /// Keeps the first `length` tokens of `kv`, unless they are kept already.
    pub(super) fn keep(&mut self, kv: &KvCache, length: usize) -> anyhow::Result<()> {
        let tokens = &kv.tokens()[..length];
        if length < SHORTEST || self.held.iter().any(|held| held.tokens == tokens) {
            return Ok(());
        }
        let snapshot = Arc::new(kv.snapshot(length)?);
        if let Some(folder) = &self.folder
            && let Err(error) = self.store(folder, &snapshot)
        {
            tracing::warn!(error = format!("{error:#}"), "cannot store the model's prompt prefix");
        }
        self.hold(snapshot);
        Ok(())
    }

    fn hold(&mut self, snapshot: Arc<Snapshot>) {
        self.held.push(snapshot);
        while self.held.len() > 1
            && self.held.iter().map(|s| s.bytes()).sum::<usize>() > MEMORY_BYTES
        {
            self.held.remove(0);
        }
    }

    /// Name of the file for a prefix: what it was computed from.
    fn file(&self, folder: &Path, tokens: &[u32]) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(FORMAT);
        hash.update(self.model.as_bytes());
        tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
        folder.join(format!("{}.kv", hex::encode(hash.finalize())))
    }

    /// Takes a prefix from disk, when it is there and sound.
    fn load(&mut self, tokens: &[u32]) {
        let Some(folder) = &self.folder else { return };
        let path = self.file(folder, tokens);
        if tokens.len() < SHORTEST || !path.exists() {
            return;
        }
        match read(&path, tokens, &self.dims) {
            Ok(snapshot) => {
                // an error only means that the file may be removed earlier
                let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                self.hold(Arc::new(snapshot));
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "ignoring a stored prompt prefix");
                let _ = fs::remove_file(&path); // it stays unusable otherwise, which is no worse
            }
        }
    }

    fn store(&self, folder: &Path, snapshot: &Snapshot) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut body = Vec::with_capacity(snapshot.bytes());
        for (keys, values) in &snapshot.layers {
            for tensor in [keys, values] {
                let numbers: Vec<f16> = tensor.flatten_all()?.to_vec1()?;
                numbers.iter().for_each(|n| body.extend_from_slice(&n.to_le_bytes()));
            }
        }
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&Sha256::digest(&body))?;
        file.write_all(&body)?;
        file.persist(self.file(folder, &snapshot.tokens))?;
        make_room(folder, DISK_BYTES)
    }
}

/// Reads and checks a stored prefix.
fn read(path: &Path, tokens: &[u32], dims: &Dimensions) -> anyhow::Result<Snapshot> {
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let elements = dims.kv_heads * tokens.len() * dims.head;
    let (digest, body) = content.split_at_checked(32).context("the file is too short")?;
    ensure!(
        body.len() == dims.layers * 2 * elements * 2,
        "the file has {} bytes, which is not right",
        content.len()
    );
    ensure!(Sha256::digest(body).as_slice() == digest, "the file's checksum is wrong");
    let mut numbers = body.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]));
    let mut tensor = || -> anyhow::Result<Tensor> {
        let part: Vec<f16> = numbers.by_ref().take(elements).collect();
        let tensor =
            Tensor::from_vec(part, (dims.kv_heads, tokens.len(), dims.head), &Device::Cpu)?;
        Ok(tensor.to_dtype(DType::F16)?)
    };
    let layers =
        (0..dims.layers).map(|_| Ok((tensor()?, tensor()?))).collect::<anyhow::Result<_>>()?;
    Ok(Snapshot { tokens: tokens.to_vec(), layers })
}

/// Removes the files that were not used for longest until the rest has at most `limit` bytes.
fn make_room(folder: &Path, limit: u64) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if entry.path().extension().is_some_and(|e| e == "kv") {
            files.push((about.modified()?, about.len(), entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in files {
        if total <= limit {
            break;
        }
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        total -= length;
    }
    Ok(())
}

/// Length of the common beginning.
pub(super) fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_by_removing_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in [(30, "old.kv"), (20, "middle.kv"), (10, "new.kv"), (99, "other.txt")] {
            let path = folder.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let then = SystemTime::now() - std::time::Duration::from_secs(age);
            fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        }
        make_room(folder.path(), 250).unwrap();
        let left = |name: &str| folder.path().join(name).exists();
        assert!(!left("old.kv") && left("middle.kv") && left("new.kv") && left("other.txt"));
    }
}
