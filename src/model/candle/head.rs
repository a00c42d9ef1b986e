//! What is known of a model before its weights are read: whether the file is whole and can be run, and whether it fits
//! into memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::super::ModelError;
use super::gguf::{Dimensions, Gguf, damaged};
use super::memory;
use super::template::Template;
use super::vocabulary::Vocabulary;

/// An opened file with all but the weights.
pub(super) struct Head {
    pub(super) gguf: Gguf,
    pub(super) dims: Dimensions,
    pub(super) vocabulary: Arc<Vocabulary>,
    pub(super) template: Template,
}

impl Head {
    /// Reads it; `context` is the most tokens that a sequence is to have.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] saying why the model cannot be run, and what to do.
    pub(super) fn read(file: &Path, context: usize) -> Result<Self, ModelError> {
        let read = || {
            let gguf = Gguf::open(file)?;
            let dims = gguf.dimensions()?;
            let vocabulary = Arc::new(Vocabulary::read(&gguf)?);
            let template = Template::of(&vocabulary, &gguf)?;
            Ok(Self { gguf, dims, vocabulary, template })
        };
        let panicked = |said: String| Err(damaged(file, &format!("cannot be understood: {said}")));
        let head = catching(read).unwrap_or_else(panicked)?;
        enough_memory(file, &head.dims, context)?;
        Ok(head)
    }
}

/// Runs `work`, which calls libraries that may panic on what they did not expect; then what the panic said comes back.
pub(super) fn catching<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}

/// Says so when the machine plainly has too little memory; where that cannot be known, loading is tried.
fn enough_memory(file: &Path, dims: &Dimensions, context: usize) -> Result<(), ModelError> {
    let size = std::fs::metadata(file).map_or(0, |about| about.len());
    // weights, what reading the largest takes, the sequences
    let needed = (size / 2 * 3 + (256 << 20)).saturating_add(dims.bytes_of(context));
    match memory::available() {
        Some(available) if available < needed => Err(ModelError::Unavailable(format!(
            "the model {} needs about {} MB of memory and {} MB are free; free some, raise the container's limit, or choose a smaller model, a smaller `context` or a model server",
            file.display(),
            needed >> 20,
            available >> 20
        ))),
        _ => Ok(()),
    }
}
