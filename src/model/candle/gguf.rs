//! Opening a GGUF file: is it whole, is it an architecture we can run, what are its dimensions. A GGUF file is input
//! from outside: every count is checked before anything is allocated by it.
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};

use super::super::ModelError;

/// Longest head, which is all before the weights, in bytes. Values take up to thirty times as much space in memory as in
/// the file, so what claims to be longer is refused.
const HEAD: u64 = 32 << 20;
/// Largest number that a dimension may be.
const LARGEST: usize = 1 << 24;
/// What to do about a kind of weights that cannot be computed with.
const OTHER_TYPE: &str =
    "use a file quantised as Q4_K_M, Q8_0 or another of the types before IQ, or a model server";

/// An opened file.
pub(super) struct Gguf {
    path: PathBuf,
    reader: BufReader<File>,
    content: Content,
}

/// Dimensions of the network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dimensions {
    /// Transformer blocks.
    pub(super) layers: usize,
    /// Query heads.
    pub(super) heads: usize,
    /// Key and value heads; `heads` is a multiple.
    pub(super) kv_heads: usize,
    /// Width of one head.
    pub(super) head: usize,
    /// Width of the residual stream.
    pub(super) hidden: usize,
    /// Width of the feed-forward part.
    pub(super) feed: usize,
    /// Entries of the vocabulary.
    pub(super) vocab: usize,
    /// Longest sequence the model was trained for.
    pub(super) context: usize,
    /// Base of the rotary embedding.
    pub(super) rope_base: f32,
    /// Whether neighbouring values are rotated together (Llama's conversion) or the two halves of a head (Qwen's).
    pub(super) rope_pairs: bool,
    /// Epsilon of the RMS norms.
    pub(super) epsilon: f32,
}

impl Dimensions {
    /// Memory of a sequence that fills a context of `context` tokens, as far as the model's own reaches.
    pub(super) fn bytes_of(&self, context: usize) -> u64 {
        let kept =
            [2, size_of::<f32>(), self.layers, self.kv_heads, self.head, context.min(self.context)];
        kept.iter().fold(1, |bytes: u64, n| bytes.saturating_mul(*n as u64))
    }
}

impl Gguf {
    /// Opens and checks the file.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] saying what is wrong with it.
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let damaged = |what: String| damaged(path, &what);
        let file = File::open(path).map_err(|e| damaged(format!("cannot be opened: {e}")))?;
        let length = file.metadata().map_err(|e| damaged(format!("cannot be read: {e}")))?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut magic = [0; 4];
        if reader.read_exact(&mut magic).is_err() || magic != *b"GGUF" {
            return Err(damaged("is not a GGUF file".to_owned()));
        }
        reader.rewind().map_err(|e| damaged(format!("cannot be read: {e}")))?;
        let mut head = (&mut reader).take(length.min(HEAD));
        let content = Content::read(&mut head).map_err(|e| unreadable_head(path, &e))?;
        let gguf = Self { path: path.to_owned(), reader, content };
        gguf.only_known_types()?;
        let needed = gguf
            .needed_length()
            .ok_or_else(|| damaged("has impossible tensor sizes".to_owned()))?;
        if length < needed {
            return Err(damaged(format!("is truncated: it has {length} bytes and needs {needed}")));
        }
        Ok(gguf)
    }

    /// There are types that candle can name and not read.
    fn only_known_types(&self) -> Result<(), ModelError> {
        let unread = self
            .content
            .tensor_infos
            .iter()
            .find(|(_, info)| matches!(info.ggml_dtype, GgmlDType::Q8_1 | GgmlDType::Q8K));
        match unread {
            None => Ok(()),
            Some((name, info)) => Err(self.unusable(&format!(
                "has the tensor `{name}` of the type {:?}, which cannot be run in the process; {OTHER_TYPE}",
                info.ggml_dtype
            ))),
        }
    }

    /// Bytes the file must have for all its tensors.
    fn needed_length(&self) -> Option<u64> {
        let mut end = 0;
        for info in self.content.tensor_infos.values() {
            let dims = info.shape.dims();
            let elements = dims.iter().try_fold(1_u64, |n, d| n.checked_mul(*d as u64))?;
            let block = info.ggml_dtype.block_size() as u64;
            if dims.last().is_none_or(|last| !(*last as u64).is_multiple_of(block)) {
                return None;
            }
            let bytes = (elements / block).checked_mul(info.ggml_dtype.type_size() as u64)?;
            end = end
                .max(self.content.tensor_data_offset.checked_add(info.offset)?.checked_add(bytes)?);
        }
        Some(end)
    }

    /// `qwen2` or `llama`.
    ///
    /// # Errors
    /// For every other architecture.
    pub(super) fn dimensions(&self) -> Result<Dimensions, ModelError> {
        let architecture = self.text("general.architecture")?;
        if !matches!(architecture, "qwen2" | "llama") {
            return Err(self.unusable(&format!(
                "has the architecture `{architecture}`, which cannot be run in the process; use a Qwen2 or Llama model, or a server"
            )));
        }
        let number = |key: &str| self.count(&format!("{architecture}.{key}"));
        let heads = number("attention.head_count")?;
        let hidden = number("embedding_length")?;
        let tokens =
            self.content.metadata.get("tokenizer.ggml.tokens").and_then(|v| v.to_vec().ok());
        let kv_heads =
            self.optional(&format!("{architecture}.attention.head_count_kv")).unwrap_or(heads);
        let head = self
            .optional(&format!("{architecture}.attention.key_length"))
            .unwrap_or(hidden / heads);
        let float = |key: &str, default: f32| {
            let value = self.content.metadata.get(&format!("{architecture}.{key}"));
            value.and_then(|v| v.to_f32().ok()).unwrap_or(default)
        };
        let dimensions = Dimensions {
            layers: number("block_count")?,
            heads,
            kv_heads,
            head,
            hidden,
            feed: number("feed_forward_length")?,
            vocab: tokens.map_or(0, Vec::len),
            context: number("context_length")?,
            rope_base: float("rope.freq_base", 10_000.0),
            rope_pairs: architecture == "llama",
            epsilon: float("attention.layer_norm_rms_epsilon", 1e-5),
        };
        if dimensions.vocab == 0
            || kv_heads == 0
            || head == 0
            || !head.is_multiple_of(2)
            || !heads.is_multiple_of(kv_heads)
        {
            return Err(
                self.damaged(&format!("has dimensions that do not fit together: {dimensions:?}"))
            );
        }
        Ok(dimensions)
    }

    /// Reads one tensor and checks its shape.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<QTensor, ModelError> {
        let Some(info) = self.content.tensor_infos.get(name) else {
            return Err(self.damaged(&format!("has no tensor `{name}`")));
        };
        if info.shape.dims() != shape {
            let found = info.shape.dims().to_vec();
            return Err(self.damaged(&format!(
                "has `{name}` in the shape {found:?} where {shape:?} is needed"
            )));
        }
        let read = self.content.tensor(&mut self.reader, name, &Device::Cpu);
        read.map_err(|e| self.damaged(&format!("has an unreadable tensor `{name}`: {e}")))
    }

    /// Whether the tensor is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Reads a vector of 32-bit floats.
    pub(super) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, ModelError> {
        let tensor = self.tensor(name, &[length])?;
        let read = tensor.dequantize(&Device::Cpu).and_then(|t| t.to_vec1::<f32>());
        read.map_err(|e| self.damaged(&format!("has an unreadable tensor `{name}`: {e}")))
    }

    /// A string of the metadata.
    pub(super) fn text(&self, key: &str) -> Result<&str, ModelError> {
        match self.content.metadata.get(key) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(self.damaged(&format!("has no text `{key}` in its metadata"))),
        }
    }

    /// An array of the metadata.
    pub(super) fn array(&self, key: &str) -> Result<&[Value], ModelError> {
        match self.content.metadata.get(key) {
            Some(Value::Array(values)) => Ok(values),
            _ => Err(self.damaged(&format!("has no array `{key}` in its metadata"))),
        }
    }

    /// A number of the metadata that is at least 1.
    fn count(&self, key: &str) -> Result<usize, ModelError> {
        let value = self.optional(key).filter(|n| *n > 0);
        value.ok_or_else(|| self.damaged(&format!("has no usable number `{key}` in its metadata")))
    }

    /// A number of the metadata, where it is one that a dimension can be.
    fn optional(&self, key: &str) -> Option<usize> {
        let value = self.content.metadata.get(key)?;
        let number = value.to_u64().ok().or_else(|| u64::try_from(value.to_i32().ok()?).ok())?;
        usize::try_from(number).ok().filter(|n| *n <= LARGEST)
    }

    /// The error for a file whose content is wrong.
    pub(super) fn damaged(&self, what: &str) -> ModelError {
        damaged(&self.path, what)
    }

    /// The error for a file that is sound and of no use here; `what` ends with what to do instead.
    pub(super) fn unusable(&self, what: &str) -> ModelError {
        unusable(&self.path, what)
    }
}

/// The error for a file whose content is wrong.
pub(super) fn damaged(path: &Path, what: &str) -> ModelError {
    unusable(path, &format!("{what}; copy or fetch it again, or use another one"))
}

fn unusable(path: &Path, what: &str) -> ModelError {
    ModelError::Unavailable(format!("the model file {} {what}", path.display()))
}

/// What candle's refusal of a head means. The first line is its reason; a backtrace may follow.
fn unreadable_head(path: &Path, error: &candle_core::Error) -> ModelError {
    let said = error.to_string();
    let said = said.lines().next().unwrap_or_default();
    match said.split_once("unknown dtype for tensor ") {
        Some((_, number)) => unusable(
            path,
            &format!(
                "has tensors of the type {number}, which cannot be run in the process; {OTHER_TYPE}"
            ),
        ),
        None => damaged(path, &format!("has a damaged or truncated head: {said}")),
    }
}
