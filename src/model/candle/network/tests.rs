//! The forward pass against a second one that is written for nothing but being read: plain loops over 32-bit floats, no
//! cache, no packing. The models are small files with weights that follow from a seed.

use std::collections::BTreeMap;
use std::fs::File;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{self, Value};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

const TOKENS: [u32; 5] = [3, 31, 0, 17, 17];

/// A network as a list of numbers and named matrices.
#[derive(Debug, Clone)]
struct Plain {
    architecture: &'static str,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head: usize,
    hidden: usize,
    feed: usize,
    vocab: usize,
    base: f32,
    epsilon: f32,
    /// Whether neighbours are rotated together; otherwise the two halves of a head.
    pairs: bool,
    /// By name: rows and values.
    weights: BTreeMap<String, (usize, Vec<f32>)>,
}

/// Biases, a scale of positions of its own, and an output that is the embedding.
fn qwen2() -> Plain {
    let plain = Plain {
        architecture: "qwen2",
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head: 64,
        hidden: 256,
        feed: 256,
        vocab: 32,
        base: 1_000_000.0,
        epsilon: 1e-6,
        pairs: false,
        weights: BTreeMap::new(),
    };
    plain.random(11)
}

/// Heads that are wider than their share, stretched positions, and an output of its own.
fn llama() -> Plain {
    let plain = Plain {
        architecture: "llama",
        heads: 8,
        base: 500_000.0,
        epsilon: 1e-5,
        pairs: true,
        ..qwen2()
    };
    plain.random(12)
}

impl Plain {
    fn random(mut self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut around = |middle: f32, by: f32, rows: usize, columns: usize| {
            let values =
                (0..rows * columns).map(|_| middle + by * (random.random::<f32>() * 2.0 - 1.0));
            (rows, values.collect::<Vec<f32>>())
        };
        let (hidden, feed) = (self.hidden, self.feed);
        let (q, kv) = (self.heads * self.head, self.kv_heads * self.head);
        let mut weights = BTreeMap::new();
        weights.insert("token_embd.weight".to_owned(), around(0.0, 1.0, self.vocab, hidden));
        weights.insert("output_norm.weight".to_owned(), around(1.0, 0.3, 1, hidden));
        for layer in 0..self.layers {
            let mut add =
                |part: &str, weight| weights.insert(format!("blk.{layer}.{part}"), weight);
            add("attn_norm.weight", around(1.0, 0.3, 1, hidden));
            add("ffn_norm.weight", around(1.0, 0.3, 1, hidden));
            for (part, rows) in [("attn_q", q), ("attn_k", kv), ("attn_v", kv)] {
                add(&format!("{part}.weight"), around(0.0, 0.1, rows, hidden));
                if self.architecture == "qwen2" {
                    add(&format!("{part}.bias"), around(0.0, 0.5, 1, rows));
                }
            }
            add("attn_output.weight", around(0.0, 0.1, hidden, q));
            add("ffn_gate.weight", around(0.0, 0.1, feed, hidden));
            add("ffn_up.weight", around(0.0, 0.1, feed, hidden));
            add("ffn_down.weight", around(0.0, 0.1, hidden, feed));
        }
        if self.architecture == "llama" {
            weights.insert("output.weight".to_owned(), around(0.0, 0.1, self.vocab, hidden));
            weights.insert("rope_freqs.weight".to_owned(), around(3.0, 2.0, 1, self.head / 2));
        }
        self.weights = weights;
        self
    }

    /// Reads the network from a file of it with matrices of `kind`; the weights here become what the file holds.
    fn read(&mut self, kind: GgmlDType) -> Network {
        let mut tensors = Vec::new();
        for (name, (rows, values)) in &mut self.weights {
            let is_vector = *rows == 1;
            let columns = values.len() / *rows;
            let shape = if is_vector { vec![columns] } else { vec![*rows, columns] };
            let tensor = Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
            let kind = if is_vector { GgmlDType::F32 } else { kind };
            let tensor = QTensor::quantize(&tensor, kind).unwrap();
            *values = to_vec(&tensor.dequantize(&Device::Cpu).unwrap()).unwrap();
            tensors.push((name.as_str(), tensor));
        }
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let numbers = [
            ("block_count", self.layers),
            ("context_length", 512),
            ("embedding_length", self.hidden),
            ("feed_forward_length", self.feed),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head),
        ];
        let key = |key: &str| format!("{}.{key}", self.architecture);
        let mut metadata: Vec<(String, Value)> =
            numbers.iter().map(|(name, n)| (key(name), Value::U32(*n as u32))).collect();
        let names = (0..self.vocab).map(|id| Value::String(format!("t{id}"))).collect();
        metadata.extend([
            (key("rope.freq_base"), Value::F32(self.base)),
            (key("attention.layer_norm_rms_epsilon"), Value::F32(self.epsilon)),
            ("general.architecture".to_owned(), Value::String(self.architecture.to_owned())),
            ("tokenizer.ggml.tokens".to_owned(), Value::Array(names)),
        ]);
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain.gguf");
        gguf_file::write(&mut File::create(&path).unwrap(), &metadata, &tensors).unwrap();
        Network::read(&mut Gguf::open(&path).unwrap(), |_| ()).unwrap()
    }

    fn weight(&self, name: &str) -> &[f32] {
        &self.weights[name].1
    }

    /// Rows of the matrix times the vector, plus the bias if there is one.
    fn times(&self, name: &str, xs: &[f32]) -> Vec<f32> {
        let mut out: Vec<f32> = self
            .weight(&format!("{name}.weight"))
            .chunks(xs.len())
            .map(|row| row.iter().zip(xs).map(|(w, x)| w * x).sum())
            .collect();
        if let Some((_, bias)) = self.weights.get(&format!("{name}.bias")) {
            out.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
        }
        out
    }

    fn norm(&self, name: &str, xs: &[f32]) -> Vec<f32> {
        let mean = xs.iter().map(|x| x * x).sum::<f32>() / xs.len() as f32;
        let root = (mean + self.epsilon).sqrt();
        xs.iter().zip(self.weight(name)).map(|(x, w)| x / root * w).collect()
    }

    /// Rotates each head of `xs` by the angles of a position.
    fn rotated(&self, mut xs: Vec<f32>, position: usize) -> Vec<f32> {
        let half = self.head / 2;
        for head in xs.chunks_mut(self.head) {
            for i in 0..half {
                let mut angle = position as f32 / self.base.powf(i as f32 / half as f32);
                if let Some((_, factors)) = self.weights.get("rope_freqs.weight") {
                    angle /= factors[i];
                }
                let (a, b) = if self.pairs { (2 * i, 2 * i + 1) } else { (i, i + half) };
                let (x, y) = (head[a], head[b]);
                head[a] = x * angle.cos() - y * angle.sin();
                head[b] = x * angle.sin() + y * angle.cos();
            }
        }
        xs
    }

    /// What one position takes from those before it and itself.
    fn attend(&self, query: &[f32], keys: &[Vec<f32>], values: &[Vec<f32>]) -> Vec<f32> {
        let mut mixed = Vec::new();
        for (head, q) in query.chunks(self.head).enumerate() {
            let from = head / (self.heads / self.kv_heads) * self.head;
            let part = |row: &Vec<f32>| row[from..from + self.head].to_vec();
            let weights: Vec<f32> = keys
                .iter()
                .map(|key| q.iter().zip(part(key)).map(|(q, k)| q * k).sum::<f32>())
                .map(|score| (score / (self.head as f32).sqrt()).exp())
                .collect();
            let total: f32 = weights.iter().sum();
            for i in 0..self.head {
                mixed.push(weights.iter().zip(values).map(|(w, v)| w / total * part(v)[i]).sum());
            }
        }
        mixed
    }

    /// The scores of the vocabulary after the last token.
    fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let row = |token: &u32| {
            self.weight("token_embd.weight")[*token as usize * self.hidden..][..self.hidden]
                .to_vec()
        };
        let mut xs: Vec<Vec<f32>> = tokens.iter().map(row).collect();
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            for (position, x) in xs.iter_mut().enumerate() {
                let normed = self.norm(&name("attn_norm.weight"), x);
                let query = self.rotated(self.times(&name("attn_q"), &normed), position);
                keys.push(self.rotated(self.times(&name("attn_k"), &normed), position));
                values.push(self.times(&name("attn_v"), &normed));
                let mixed = self.attend(&query, &keys, &values);
                add(x, &self.times(&name("attn_output"), &mixed));
                let normed = self.norm(&name("ffn_norm.weight"), x);
                let gate = self.times(&name("ffn_gate"), &normed);
                let up = self.times(&name("ffn_up"), &normed);
                let inner: Vec<f32> =
                    gate.iter().zip(&up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
                add(x, &self.times(&name("ffn_down"), &inner));
            }
        }
        let last = self.norm("output_norm.weight", &xs[xs.len() - 1]);
        let own = self.weights.contains_key("output.weight");
        self.times(if own { "output" } else { "token_embd" }, &last)
    }
}

fn add(xs: &mut [f32], more: &[f32]) {
    xs.iter_mut().zip(more).for_each(|(x, m)| *x += m);
}

/// A few tokens whose scores are also computed by themselves.
const FEW: [u32; 3] = [0, 5, 31];

/// The network's scores when it is given the tokens in these portions, and those of the few.
fn scores(network: &Network, portions: &[&[u32]]) -> (Vec<f32>, Vec<f32>) {
    let mut kv = KvCache::new(&network.dims).unwrap();
    let mut hidden = None;
    for portion in portions {
        hidden = network.forward(portion, &mut kv, &|| false).unwrap();
    }
    let hidden = hidden.unwrap();
    (network.logits(&hidden).unwrap(), network.logits_of(&hidden, &FEW).unwrap())
}

/// Root of the mean square of the differences, relative to the values.
fn error(got: &[f32], want: &[f32]) -> f32 {
    let differences: f32 = got.iter().zip(want).map(|(g, w)| (g - w).powi(2)).sum();
    (differences / want.iter().map(|w| w.powi(2)).sum::<f32>()).sqrt()
}

#[test]
fn logits_are_those_of_the_plain_loops() {
    for mut plain in [qwen2(), llama()] {
        // keys and values are kept in 16 bits; the packed kinds round the vectors to 8 bits
        for (kind, most) in
            [(GgmlDType::F32, 0.001), (GgmlDType::Q8_0, 0.05), (GgmlDType::Q4K, 0.05)]
        {
            let network = plain.read(kind);
            let want = plain.logits(&TOKENS);
            let singly: Vec<&[u32]> = TOKENS.chunks(1).collect();
            for portions in [&[&TOKENS[..]][..], &[&TOKENS[..3], &TOKENS[3..]], &singly] {
                let (all, few) = scores(&network, portions);
                let off = error(&all, &want).max(error(&few, &FEW.map(|id| want[id as usize])));
                assert!(off < most, "{} {kind:?} {portions:?}: {off}", plain.architecture);
            }
        }
    }
}

/// What the test above would notice.
#[test]
fn a_small_difference_in_the_network_is_a_large_one_in_the_logits() {
    for plain in [qwen2(), llama()] {
        let want = plain.logits(&TOKENS);
        let other = |change: &dyn Fn(&mut Plain)| {
            let mut other = plain.clone();
            change(&mut other);
            error(&other.logits(&TOKENS), &want)
        };
        let differences = [
            other(&|p| p.pairs = !p.pairs),
            other(&|p| p.base = 10_000.0),
            other(&|p| {
                let extra =
                    |name: &str| name.contains("attn_k.bias") || name.contains("rope_freqs");
                p.weights.retain(|name, _| !extra(name));
            }),
            other(&|p| p.kv_heads = 1),
        ];
        assert!(differences.iter().all(|d| *d > 0.01), "{}: {differences:?}", plain.architecture);
    }
}
