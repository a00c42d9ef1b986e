//! The tokenizer, from the metadata of the GGUF file: byte-level BPE with the model's own pre-tokenizer. Special tokens
//! are reachable by name only; text never becomes one, whatever it contains.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::super::ModelError;
use super::gguf::Gguf;

/// How Qwen 2 cuts text before merging; Llama 3 takes up to three digits at once.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// `tokenizer.ggml.token_type` of tokens that are not text: unknown, control, user defined, unused.
const NOT_TEXT: [i32; 4] = [2, 3, 4, 5];

/// Token ids and the bytes they stand for.
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    /// Bytes of each token; of special tokens their name.
    bytes: Vec<Vec<u8>>,
    special: HashMap<String, u32>,
    /// Ids in `special`, sorted.
    special_ids: Vec<u32>,
}

impl Vocabulary {
    /// Reads the vocabulary.
    ///
    /// # Errors
    /// [`ModelError::Unavailable`] for kinds of tokenizers that are not known; guessing would give wrong tokens.
    pub(super) fn read(gguf: &Gguf) -> Result<Self, ModelError> {
        let kind = gguf.text("tokenizer.ggml.model")?;
        if kind != "gpt2" {
            return Err(gguf.unusable(&format!(
                "has a tokenizer of the kind `{kind}`, and only `gpt2` (byte-level BPE) is known; use a Qwen2, Llama 3 or SmolLM model, or a model server"
            )));
        }
        let names = strings(gguf, "tokenizer.ggml.tokens")?;
        let types = gguf.array("tokenizer.ggml.token_type")?;
        let is_special = |id: usize| {
            types.get(id).and_then(|t| t.to_i32().ok()).is_some_and(|t| NOT_TEXT.contains(&t))
        };
        let mut special = HashMap::new();
        let mut text = Vocab::default();
        let mut bytes = Vec::with_capacity(names.len());
        let of_char = byte_of_char();
        for (id, name) in names.iter().enumerate() {
            let id32 = u32::try_from(id).map_err(|_| gguf.damaged("has too many tokens"))?;
            if is_special(id) {
                special.insert((*name).to_owned(), id32);
                bytes.push(name.as_bytes().to_vec());
            } else {
                text.insert((*name).to_owned(), id32);
                bytes.push(name.chars().filter_map(|c| of_char.get(&c).copied()).collect());
            }
        }
        let merges = strings(gguf, "tokenizer.ggml.merges")?
            .into_iter()
            .map(|merge| merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| gguf.damaged("has a merge that is not two tokens"))?;
        let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("default");
        let bpe = BPE::builder().vocab_and_merges(text, merges);
        let bpe = bpe.ignore_merges(pre == "llama-bpe").build();
        let bpe = bpe.map_err(|e| {
            gguf.damaged(&format!("has a tokenizer that does not fit together: {e}"))
        })?;
        let mut tokenizer = Tokenizer::new(bpe);
        let cut = pre_tokenizer(pre).ok_or_else(|| {
            gguf.unusable(&format!(
                "cuts text by `{pre}`, which is not known; use a Qwen2, Llama 3 or SmolLM model"
            ))
        })?;
        tokenizer.with_pre_tokenizer(Some(cut));
        if pre == "qwen2" {
            let composed = tokenizer.with_normalizer(Some(NFC));
            composed.map_err(|e| gguf.damaged(&format!("has an unusable tokenizer: {e}")))?;
        }
        let mut special_ids: Vec<u32> = special.values().copied().collect();
        special_ids.sort_unstable();
        Ok(Self { tokenizer, bytes, special, special_ids })
    }

    /// The tokens of `text`, none of them special.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode_fast(text, false).map(|e| e.get_ids().to_vec()).unwrap_or_default()
    }

    /// A special token by its name.
    pub(super) fn special(&self, name: &str) -> Option<u32> {
        self.special.get(name).copied()
    }

    /// Whether the token is not text.
    pub(super) fn is_special(&self, token: u32) -> bool {
        self.special_ids.binary_search(&token).is_ok()
    }

    /// All special tokens.
    pub(super) fn specials(&self) -> &[u32] {
        &self.special_ids
    }

    /// What the token stands for; the name of a special one.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map(Vec::as_slice).unwrap_or_default()
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

fn strings<'a>(gguf: &'a Gguf, key: &str) -> Result<Vec<&'a str>, ModelError> {
    let texts = gguf.array(key)?.iter().map(|value| match value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    });
    texts
        .collect::<Option<_>>()
        .ok_or_else(|| gguf.damaged(&format!("has something else than texts in `{key}`")))
}

/// The cutting of text before merging, by llama.cpp's name for it.
fn pre_tokenizer(name: &str) -> Option<PreTokenizerWrapper> {
    let by = |regex: &str| -> Option<PreTokenizerWrapper> {
        let split = Split::new(
            SplitPattern::Regex(regex.to_owned()),
            SplitDelimiterBehavior::Isolated,
            false,
        )
        .ok()?;
        Some(Sequence::new(vec![split.into(), ByteLevel::new(false, false, false).into()]).into())
    };
    match name {
        "qwen2" => by(QWEN2),
        "llama-bpe" | "llama3" => by(LLAMA3),
        "smollm" => Some(
            Sequence::new(vec![
                Digits::new(true).into(),
                ByteLevel::new(false, false, true).into(),
            ])
            .into(),
        ),
        "gpt-2" => Some(ByteLevel::new(false, false, true).into()),
        _ => None,
    }
}

/// GPT-2 writes each byte as a printable character: printable Latin-1 as itself, the others from U+0100 on.
fn byte_of_char() -> HashMap<char, u8> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut moved = 0x100_u32;
    (0..=255_u8)
        .filter_map(|byte| {
            let code = if printable(byte) {
                u32::from(byte)
            } else {
                moved += 1;
                moved - 1
            };
            Some((char::from_u32(code)?, byte))
        })
        .collect()
}
