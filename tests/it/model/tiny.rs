//! Writes tiny models with random weights in the GGUF format.

use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

/// What to write.
#[derive(Debug, Clone)]
pub(crate) struct Tiny {
    pub(crate) architecture: &'static str,
    /// The weights follow from it.
    pub(crate) seed: u64,
    pub(crate) context: u32,
    /// Left out of the file.
    pub(crate) without: Option<&'static str>,
    /// Written after the rest of the metadata, so that it counts.
    pub(crate) extra: Option<(&'static str, Value)>,
}

impl Default for Tiny {
    fn default() -> Self {
        Self { architecture: "qwen2", seed: 1, context: 4096, without: None, extra: None }
    }
}

const HIDDEN: usize = 64;
const HEADS: usize = 4;
const KV: usize = 2;
const HEAD: usize = 16;
const FEED: usize = 128;
const LAYERS: usize = 2;
/// Bytes, then the special tokens.
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
pub(crate) const VOCABULARY: usize = 256 + SPECIAL.len();

/// The printable characters GPT-2 writes bytes as.
fn byte_names() -> Vec<String> {
    let mut moved = 0x100;
    (0..=255_u32)
        .map(|byte| {
            let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
            let code = if printable {
                byte
            } else {
                moved += 1;
                moved - 1
            };
            char::from_u32(code).unwrap().to_string()
        })
        .collect()
}

impl Tiny {
    /// Writes the model.
    pub(crate) fn write(&self, path: &Path) {
        let mut tensors = self.tensors();
        tensors.retain(|(name, _)| Some(name.as_str()) != self.without);
        let tensors: Vec<(&str, &QTensor)> =
            tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let metadata = self.metadata();
        let metadata: Vec<(&str, &Value)> =
            metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        gguf_file::write(&mut File::create(path).unwrap(), &metadata, &tensors).unwrap();
    }

    fn metadata(&self) -> Vec<(String, Value)> {
        let text = |text: &str| Value::String(text.to_owned());
        let mut names = byte_names();
        names.extend(SPECIAL.map(str::to_owned));
        let types = (0..VOCABULARY).map(|id| Value::I32(if id < 256 { 1 } else { 3 })).collect();
        let u32s = [
            ("block_count", LAYERS as u32),
            ("context_length", self.context),
            ("embedding_length", HIDDEN as u32),
            ("feed_forward_length", FEED as u32),
            ("attention.head_count", HEADS as u32),
            ("attention.head_count_kv", KV as u32),
        ];
        let mut metadata: Vec<(String, Value)> = u32s
            .iter()
            .map(|(key, value)| (format!("{}.{key}", self.architecture), Value::U32(*value)))
            .collect();
        metadata.extend([
            ("general.architecture".to_owned(), text(self.architecture)),
            ("tokenizer.ggml.model".to_owned(), text("gpt2")),
            ("tokenizer.ggml.pre".to_owned(), text("qwen2")),
            (
                "tokenizer.ggml.tokens".to_owned(),
                Value::Array(names.iter().map(|n| text(n)).collect()),
            ),
            ("tokenizer.ggml.token_type".to_owned(), Value::Array(types)),
            ("tokenizer.ggml.merges".to_owned(), Value::Array(Vec::new())),
        ]);
        metadata.extend(self.extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        metadata
    }

    fn tensors(&self) -> Vec<(String, QTensor)> {
        let mut random = Random(self.seed);
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize], kind: GgmlDType| {
            let scale = if name.contains("norm") { 0.0 } else { 0.3 };
            let count = shape.iter().product();
            let offset = if name.contains("norm") { 1.0 } else { 0.0 };
            let mut values: Vec<f32> = (0..count).map(|_| offset + scale * random.next()).collect();
            if name == "output.weight" {
                values[256 * HIDDEN..].fill(0.0); // the model never ends by itself
            }
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            tensors.push((name, QTensor::quantize(&tensor, kind).unwrap()));
        };
        add("token_embd.weight".into(), &[VOCABULARY, HIDDEN], GgmlDType::Q8_0);
        add("output.weight".into(), &[VOCABULARY, HIDDEN], GgmlDType::Q8_0);
        add("output_norm.weight".into(), &[HIDDEN], GgmlDType::F32);
        for layer in 0..LAYERS {
            let name = |part: &str| format!("blk.{layer}.{part}");
            add(name("attn_norm.weight"), &[HIDDEN], GgmlDType::F32);
            add(name("ffn_norm.weight"), &[HIDDEN], GgmlDType::F32);
            for (part, rows) in
                [("attn_q", HEADS * HEAD), ("attn_k", KV * HEAD), ("attn_v", KV * HEAD)]
            {
                add(name(&format!("{part}.weight")), &[rows, HIDDEN], GgmlDType::Q8_0);
                add(name(&format!("{part}.bias")), &[rows], GgmlDType::F32);
            }
            add(name("attn_output.weight"), &[HIDDEN, HEADS * HEAD], GgmlDType::Q5_0);
            add(name("ffn_gate.weight"), &[FEED, HIDDEN], GgmlDType::Q4_0);
            add(name("ffn_up.weight"), &[FEED, HIDDEN], GgmlDType::F16);
            add(name("ffn_down.weight"), &[HIDDEN, FEED], GgmlDType::F32);
        }
        tensors
    }
}

/// Numbers between -1 and 1, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}
