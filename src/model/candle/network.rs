//! The forward pass of Qwen2 and Llama: grouped-query attention with rotary positions, RMS norms, a gated unit. Weights stay
//! quantised; keys and values of the sequence are kept.

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;

use super::super::ModelError;
use super::gguf::{Dimensions, Gguf};
use super::matrix::{Matrix, products};
use super::ops::{Angles, CausalSoftmax, RmsNorm, SwiGlu, ToHeads, to_vec};

/// A projection to heads, with Qwen's bias.
struct Projection {
    matrix: Matrix,
    bias: Option<Vec<f32>>,
}

impl Projection {
    fn read(
        gguf: &mut Gguf,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> std::result::Result<Self, ModelError> {
        let bias = format!("{name}.bias");
        let bias = if gguf.has(&bias) { Some(gguf.vector(&bias, rows)?) } else { None };
        Ok(Self { matrix: Matrix::read(gguf, &format!("{name}.weight"), rows, columns)?, bias })
    }
}

struct Layer {
    attention_norm: Vec<f32>,
    query: Projection,
    key: Projection,
    value: Projection,
    output: Matrix,
    feed_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

impl Layer {
    fn read(
        gguf: &mut Gguf,
        dims: &Dimensions,
        index: usize,
    ) -> std::result::Result<Self, ModelError> {
        let name = |part: &str| format!("blk.{index}.{part}");
        let (hidden, q, kv) = (dims.hidden, dims.heads * dims.head, dims.kv_heads * dims.head);
        let feed = dims.feed;
        Ok(Self {
            attention_norm: gguf.vector(&name("attn_norm.weight"), hidden)?,
            query: Projection::read(gguf, &name("attn_q"), q, hidden)?,
            key: Projection::read(gguf, &name("attn_k"), kv, hidden)?,
            value: Projection::read(gguf, &name("attn_v"), kv, hidden)?,
            output: Matrix::read(gguf, &name("attn_output.weight"), hidden, q)?,
            feed_norm: gguf.vector(&name("ffn_norm.weight"), hidden)?,
            gate: Matrix::read(gguf, &name("ffn_gate.weight"), feed, hidden)?,
            up: Matrix::read(gguf, &name("ffn_up.weight"), feed, hidden)?,
            down: Matrix::read(gguf, &name("ffn_down.weight"), hidden, feed)?,
        })
    }
}

/// The loaded weights.
pub(super) struct Network {
    pub(super) dims: Dimensions,
    frequencies: Vec<f32>,
    embedding: QTensor,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    output: Matrix,
}

impl Network {
    /// Reads the weights; `progress` hears the share done, from 0 to 1.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] when the file lacks something or holds something else than expected.
    pub(super) fn read(
        gguf: &mut Gguf,
        progress: impl Fn(f32),
    ) -> std::result::Result<Self, ModelError> {
        let dims = gguf.dimensions()?;
        let embedding = gguf.tensor("token_embd.weight", &[dims.vocab, dims.hidden])?;
        let output = if gguf.has("output.weight") {
            Matrix::read(gguf, "output.weight", dims.vocab, dims.hidden)?
        } else {
            Matrix::of(&embedding)
                .map_err(|e| gguf.damaged(&format!("has an unusable embedding: {e}")))?
        };
        let mut frequencies: Vec<f32> = (0..dims.head / 2)
            .map(|i| dims.rope_base.powf(-2.0 * i as f32 / dims.head as f32))
            .collect();
        if gguf.has("rope_freqs.weight") {
            let factors = gguf.vector("rope_freqs.weight", dims.head / 2)?;
            frequencies
                .iter_mut()
                .zip(factors)
                .for_each(|(frequency, factor)| *frequency /= factor);
        }
        let layers = (0..dims.layers)
            .map(|index| {
                progress(index as f32 / dims.layers as f32);
                Layer::read(gguf, &dims, index)
            })
            .collect::<std::result::Result<_, _>>()?;
        let norm = gguf.vector("output_norm.weight", dims.hidden)?;
        Ok(Self { dims, frequencies, embedding, layers, norm, output })
    }

    /// How many tokens of a prompt to give to [`Self::forward`] at once.
    pub(super) fn chunk(&self) -> usize {
        self.layers.iter().map(|layer| layer.up.chunk()).max().unwrap_or(1)
    }

    /// Appends `tokens` to the sequence of `kv` and returns the normed hidden state after the last one. Nothing is appended
    /// or returned once `stop` says so, which it is asked in every layer.
    pub(super) fn forward(
        &self,
        tokens: &[u32],
        kv: &mut KvCache,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Tensor>> {
        let (count, past) = (tokens.len(), kv.len());
        kv.reserve(past + count)?;
        let angles = Angles::new(&self.frequencies, self.dims.rope_pairs, past, count);
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let mut xs = self.embedding.embedding(&ids)?;
        for (index, layer) in self.layers.iter().enumerate() {
            if stop() {
                return Ok(None);
            }
            let normed = self.normed(&xs, &layer.attention_norm)?;
            xs = (xs + self.attention(index, &normed, &angles, kv)?)?;
            let normed = self.normed(&xs, &layer.feed_norm)?;
            let [gate, up] = products(&normed, [&layer.gate, &layer.up])?;
            xs = (xs + layer.down.mul(&gate.apply_op2_no_bwd(&up, &SwiGlu)?)?)?;
        }
        kv.tokens.extend_from_slice(tokens);
        self.normed(&xs.narrow(0, count - 1, 1)?.contiguous()?, &self.norm).map(Some)
    }

    /// The score of every token of the vocabulary.
    pub(super) fn logits(&self, hidden: &Tensor) -> Result<Vec<f32>> {
        to_vec(&self.output.mul(hidden)?)
    }

    /// The scores of a few tokens, in ascending order; much cheaper than all of them.
    pub(super) fn logits_of(&self, hidden: &Tensor, tokens: &[u32]) -> Result<Vec<f32>> {
        self.output.some(hidden, tokens)
    }

    fn normed(&self, xs: &Tensor, weight: &[f32]) -> Result<Tensor> {
        xs.apply_op1_no_bwd(&RmsNorm { weight, epsilon: self.dims.epsilon })
    }

    fn attention(
        &self,
        index: usize,
        xs: &Tensor,
        angles: &Angles,
        kv: &mut KvCache,
    ) -> Result<Tensor> {
        let layer = &self.layers[index];
        let dims = &self.dims;
        let (count, past) = (xs.dim(0)?, kv.len());
        let (query, key, value) = (&layer.query, &layer.key, &layer.value);
        let [q, k, v] = products(xs, [&query.matrix, &key.matrix, &value.matrix])?;
        let (heads, scale) = (dims.heads, (dims.head as f32).sqrt().recip());
        let angles = Some(angles);
        let q =
            q.apply_op1_no_bwd(&ToHeads { heads, bias: query.bias.as_deref(), angles, scale })?;
        let (heads, scale) = (dims.kv_heads, 1.0);
        let k = k.apply_op1_no_bwd(&ToHeads { heads, bias: key.bias.as_deref(), angles, scale })?;
        let bias = value.bias.as_deref();
        let v = v.apply_op1_no_bwd(&ToHeads { heads, bias, angles: None, scale })?;
        let (keys, values) = kv.append(index, &k, &v)?;
        let q = q.reshape((dims.kv_heads, dims.heads / dims.kv_heads * count, dims.head))?;
        let head = |index: usize| {
            let (q, keys) = (q.narrow(0, index, 1)?, keys.narrow(0, index, 1)?);
            let softmax = CausalSoftmax { positions: count, past };
            let scores = q.matmul(&keys.t()?)?.apply_op1_no_bwd(&softmax)?;
            scores.matmul(&values.narrow(0, index, 1)?)
        };
        let mixed = (0..dims.kv_heads).into_par_iter().map(head).collect::<Result<Vec<_>>>()?;
        let mixed = Tensor::cat(&mixed, 0)?.reshape((dims.heads, count, dims.head))?;
        let mixed =
            mixed.transpose(0, 1)?.contiguous()?.reshape((count, dims.heads * dims.head))?;
        layer.output.mul(&mixed)
    }
}

/// Keys and values of one sequence, per layer `[kv heads, capacity, head]`. Values are rounded to 16 bits, so that a
/// stored copy gives the same results as the original.
pub(super) struct KvCache {
    /// The sequence.
    tokens: Vec<u32>,
    layers: Vec<(Tensor, Tensor)>,
    kv_heads: usize,
    head: usize,
    capacity: usize,
}

/// How much the capacity grows by, in tokens.
const GROW: usize = 512;

impl KvCache {
    pub(super) fn new(dims: &Dimensions) -> Result<Self> {
        let empty = || Tensor::zeros((dims.kv_heads, 0, dims.head), DType::F32, &Device::Cpu);
        let layers = (0..dims.layers).map(|_| Ok((empty()?, empty()?))).collect::<Result<_>>()?;
        Ok(Self {
            tokens: Vec::new(),
            layers,
            kv_heads: dims.kv_heads,
            head: dims.head,
            capacity: 0,
        })
    }

    /// Tokens held.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Tokens there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The sequence.
    pub(super) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Forgets everything after the first `len` tokens.
    pub(super) fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
    }

    fn reserve(&mut self, needed: usize) -> Result<()> {
        if needed <= self.capacity {
            return Ok(());
        }
        let (capacity, held) = (needed.div_ceil(GROW) * GROW, self.len());
        for (keys, values) in &mut self.layers {
            for tensor in [keys, values] {
                let grown =
                    Tensor::zeros((self.kv_heads, capacity, self.head), DType::F32, &Device::Cpu)?;
                if held > 0 {
                    grown.slice_set(&tensor.narrow(1, 0, held)?.contiguous()?, 1, 0)?;
                }
                *tensor = grown;
            }
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Adds keys and values behind what the layer holds and returns all of them.
    fn append(&mut self, layer: usize, k: &Tensor, v: &Tensor) -> Result<(Tensor, Tensor)> {
        let (past, count) = (self.len(), k.dim(1)?);
        let rounded = |t: &Tensor| t.to_dtype(DType::F16)?.to_dtype(DType::F32);
        let (keys, values) = &self.layers[layer];
        keys.slice_set(&rounded(k)?, 1, past)?;
        values.slice_set(&rounded(v)?, 1, past)?;
        Ok((keys.narrow(1, 0, past + count)?, values.narrow(1, 0, past + count)?))
    }

    /// A compact copy of the first `len` tokens.
    pub(super) fn snapshot(&self, len: usize) -> Result<Snapshot> {
        let half = |t: &Tensor| t.narrow(1, 0, len)?.contiguous()?.to_dtype(DType::F16);
        let layers =
            self.layers.iter().map(|(k, v)| Ok((half(k)?, half(v)?))).collect::<Result<_>>()?;
        Ok(Snapshot { tokens: self.tokens[..len].to_vec(), layers })
    }

    /// Becomes what the snapshot holds.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.tokens.clear();
        self.reserve(snapshot.tokens.len())?;
        for ((keys, values), (k, v)) in self.layers.iter().zip(&snapshot.layers) {
            keys.slice_set(&k.to_dtype(DType::F32)?, 1, 0)?;
            values.slice_set(&v.to_dtype(DType::F32)?, 1, 0)?;
        }
        self.tokens.extend_from_slice(&snapshot.tokens);
        Ok(())
    }
}

/// Keys and values of a prefix in 16 bits.
pub(super) struct Snapshot {
    /// The prefix.
    pub(super) tokens: Vec<u32>,
    /// Per layer keys and values, `[kv heads, tokens, head]`.
    pub(super) layers: Vec<(Tensor, Tensor)>,
}

impl Snapshot {
    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.layers.iter().map(|(k, v)| (k.elem_count() + v.elem_count()) * 2).sum()
    }
}

#[cfg(test)]
mod tests;
