//! Model files that are damaged, foreign, absurd or too large: each is refused before anything is allocated by what it
//! claims, and `kubemate doctor` says what is wrong with it and what to do.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_core::quantized::gguf_file::Value;
use kubemate::model::candle::{Candle, Config};
use kubemate::model::{ChatRequest, Model as _, ModelError};
use serde_json::json;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::tiny::Tiny;
use super::wants_text;

/// What to do about a file whose content is wrong.
const AGAIN: &str = "copy or fetch it again";
/// Address space of the doctor in KiB: plenty for it, and far less than what the absurd files claim.
const ADDRESS_SPACE: u32 = 4 << 20;

fn bytes_of(tiny: &Tiny) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiny.gguf");
    tiny.write(&file);
    fs::read(file).unwrap()
}

/// Where the entry of a tensor in the table of tensors lies.
struct Entry {
    shape: usize,
    kind: usize,
    offset: usize,
}

impl Entry {
    fn of(bytes: &[u8], name: &str) -> Self {
        let found = bytes.windows(name.len()).position(|window| window == name.as_bytes());
        let count = found.unwrap() + name.len();
        let dimensions = u32::from_le_bytes(bytes[count..count + 4].try_into().unwrap());
        let shape = count + 4;
        let kind = shape + 8 * dimensions as usize;
        Self { shape, kind, offset: kind + 4 }
    }
}

/// The last tensor of the table.
const LAST: &str = "blk.1.ffn_down.weight";

/// `bytes` with other ones from `at` on.
fn with(bytes: &[u8], at: usize, other: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + other.len()].copy_from_slice(other);
    bytes
}

/// A head that ends with an array of as many bytes as fit into `length`.
fn array_to_the_end(length: u32) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes()); // tensors
    bytes.extend(1_u64.to_le_bytes()); // metadata
    bytes.extend(1_u64.to_le_bytes());
    bytes.push(b'x');
    bytes.extend(9_u32.to_le_bytes()); // array
    bytes.extend(0_u32.to_le_bytes()); // of bytes
    bytes.extend(u64::from(length).to_le_bytes());
    bytes
}

/// A file, what the doctor says about it, and what it says to do.
type Case = (&'static str, Vec<u8>, &'static str, &'static str);

fn cases() -> Vec<Case> {
    let whole = bytes_of(&Tiny::default());
    let (first, last) = (Entry::of(&whole, "token_embd.weight"), Entry::of(&whole, LAST));
    let far = (1_u64 << 62).to_le_bytes();
    let most = u64::MAX.to_le_bytes();
    let kind = |number: u32| with(&whole, first.kind, &number.to_le_bytes());
    let head = "damaged or truncated head";
    let foreign = "which cannot be run in the process";
    let mamba = Tiny { architecture: "mamba", ..Tiny::default() };
    let other = |key, value| bytes_of(&Tiny { extra: Some((key, value)), ..Tiny::default() });
    let pieces = other("tokenizer.ggml.model", Value::String("llama".to_owned()));
    vec![
        ("empty", Vec::new(), "is not a GGUF file", AGAIN),
        ("page", b"<html>sign in first</html>".to_vec(), "is not a GGUF file", AGAIN),
        ("magic", with(&whole, 0, b"GGML"), "is not a GGUF file", AGAIN),
        ("version", with(&whole, 4, &[9]), head, AGAIN),
        ("cut-in-header", whole[..12].to_vec(), head, AGAIN),
        ("cut-in-metadata", whole[..700].to_vec(), head, AGAIN),
        ("cut-in-table", whole[..last.kind].to_vec(), head, AGAIN),
        ("cut-in-data", whole[..whole.len() - 100].to_vec(), "is truncated: it has", AGAIN),
        ("no-data", whole[..last.offset + 8].to_vec(), "is truncated: it has", AGAIN),
        ("tensors", with(&whole, 8, &most), head, AGAIN),
        ("entries", with(&whole, 16, &(1_u64 << 29).to_le_bytes()), head, AGAIN),
        ("text", with(&whole, 24, &(1_u64 << 29).to_le_bytes()), head, AGAIN),
        ("array", array_to_the_end(1 << 30), head, AGAIN),
        ("shape", with(&whole, first.shape, &far), "has impossible tensor sizes", AGAIN),
        ("offset", with(&whole, last.offset, &far), "is truncated: it has", AGAIN),
        ("offset-end", with(&whole, last.offset, &most), "has impossible tensor sizes", AGAIN),
        ("alignment", other("general.alignment", Value::U32(0)), "cannot be understood", AGAIN),
        ("heads", other("qwen2.attention.head_count", Value::U32(0)), "head_count", AGAIN),
        ("layers", other("qwen2.block_count", Value::U32(1 << 30)), "block_count", AGAIN),
        ("iq4-nl", kind(20), foreign, "Q4_K_M"),
        ("mxfp4", kind(39), foreign, "Q4_K_M"),
        ("q8-k", kind(15), foreign, "Q4_K_M"),
        ("no-type", kind(u32::MAX), foreign, "Q4_K_M"),
        ("mamba", bytes_of(&mamba), "has the architecture `mamba`", "use a Qwen2 or Llama model"),
        ("pieces", pieces, "has a tokenizer of the kind `llama`", "use a Qwen2, Llama 3"),
        ("memory", whole, "MB of memory and", "choose a smaller model"),
    ]
}

/// Writes the files of [`cases`] and returns them as models of a configuration.
fn written(folder: &Path, cases: &[Case]) -> Vec<serde_json::Value> {
    let write = |(name, bytes, ..): &Case| {
        let path = folder.join(format!("{name}.gguf"));
        fs::write(&path, bytes).unwrap();
        // the rest of these is a hole, which takes no space
        let length = match *name {
            "memory" => 1_u64 << 40,
            "array" => 2 << 30,
            _ => bytes.len() as u64,
        };
        File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        json!({"adapter": "candle", "name": name, "file": path})
    };
    cases.iter().map(write).collect()
}

/// Whether the doctor is content with the models, and what it says about them.
async fn doctor(folder: &Path, models: Vec<serde_json::Value>) -> (bool, String) {
    let config = json!({
        "data": folder.join("data"), "cache": folder.join("cache"), "listen": "127.0.0.1:1",
        "model": {"models": models},
    });
    let file = folder.join("config.yaml");
    fs::write(&file, config.to_string()).unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_kubemate"))
        .arg("--config")
        .arg(file)
        .args(["doctor", "--json"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let checks = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let check = checks.into_iter().find(|check| check["check"] == "model");
    let check = check.unwrap_or_else(|| panic!("{}: {said}{errors}", output.status));
    assert_eq!(check["ok"], output.status.success(), "{said}{errors}");
    (output.status.success(), check["text"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_with_a_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases();
    let mut models = written(folder.path(), &cases);
    models.push(json!({"adapter": "candle", "name": "absent", "file": "/nowhere/x.gguf"}));
    models.push(json!({"adapter": "ollama", "name": "down", "url": "http://127.0.0.1:1"}));
    let (content, said) = doctor(folder.path(), models.clone()).await;
    assert!(!content, "{said}");
    let about = |model: &str| {
        let part = said.split("the model is not available: ").find(|part| part.starts_with(model));
        part.unwrap_or_else(|| panic!("nothing about {model}: {said}"))
    };
    for (name, _, wrong, to_do) in &cases {
        let about = about(&format!("candle:{name}: "));
        for part in [*wrong, *to_do, &format!("{name}.gguf")] {
            assert!(about.contains(part), "{name} misses `{part}`: {about}");
        }
        assert!(about.len() < 1200 && !about.contains('\n'), "{name}: {about}");
    }
    assert!(about("candle:absent: ").contains("is not there; correct `file`"));
    assert!(about("ollama:down: ").contains("start it or correct `url`"));

    let sound = folder.path().join("sound.gguf");
    Tiny::default().write(&sound);
    models.push(json!({"adapter": "candle", "name": "sound", "file": sound}));
    let (content, said) = doctor(folder.path(), models).await;
    assert!(content && said.starts_with("candle:sound can answer; "), "{said}");
    assert!(said.contains("candle:mamba: "), "the others are told of too: {said}");
}

#[tokio::test]
async fn the_doctor_notices_a_fetched_model_with_the_wrong_hash() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("cache/models");
    fs::create_dir_all(&models).unwrap();
    let known = kubemate::model::download::named("smollm2-135m").unwrap();
    let file = File::create(models.join(&known.file)).unwrap();
    file.set_len(known.size).unwrap();
    let model = json!({"adapter": "candle", "name": known.name});
    let (content, said) = doctor(folder.path(), vec![model]).await;
    for part in ["its sha256 is ", &known.sha256, "remove it, or replace it by the right one"] {
        assert!(!content && said.contains(part), "{part}: {said}");
    }
}

/// A model file that is written anew for each case.
struct Scratch {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tiny.gguf");
        Self { folder, file }
    }

    fn model(&self, bytes: &[u8]) -> Candle {
        fs::write(&self.file, bytes).unwrap();
        let config = Config {
            name: "tiny".into(),
            file: Some(self.file.clone()),
            threads: Some(1),
            keep_prefixes: false,
            ..Config::default()
        };
        Candle::new(config, self.folder.path()).unwrap()
    }
}

/// It answers, or says what is wrong with the file; it does not take long or fail by a panic of its own.
async fn is_harmless(model: &Candle, what: &str) -> bool {
    let one = ChatRequest { max_tokens: 2, ..wants_text("x") };
    let asked = model.chat(one, None, CancellationToken::new());
    let answered = tokio::time::timeout(Duration::from_secs(30), asked).await;
    match answered.unwrap_or_else(|_| panic!("{what}: no answer")) {
        Ok(_) => true,
        Err(ModelError::Unavailable(why)) => {
            assert!(why.contains("tiny.gguf"), "{what}: {why}");
            false
        }
        Err(other) => panic!("{what}: {other}"),
    }
}

#[tokio::test]
async fn no_byte_of_the_head_can_do_harm() {
    let scratch = Scratch::new();
    let whole = bytes_of(&Tiny::default());
    let end = Entry::of(&whole, LAST).offset + 8;
    let table = Entry::of(&whole, "token_embd.weight").shape;
    // every byte of the header, some of the metadata and of the table of tensors
    let places = (0..64).chain((64..table).step_by(97)).chain((table..end).step_by(23));
    let (mut refused, mut accepted) = (0, 0);
    for (index, at) in places.enumerate() {
        let value = [whole[at] ^ 0x80, 0xff, whole[at] ^ 1, 0][index % 4];
        let what = format!("byte {at} as {value:#x}");
        let model = scratch.model(&with(&whole, at, &[value]));
        match model.health().await {
            Err(ModelError::Unavailable(why)) => {
                refused += 1;
                assert!(why.contains("tiny.gguf"), "{what}: {why}");
            }
            Err(other) => panic!("{what}: {other}"),
            Ok(()) => {
                accepted += 1;
                if accepted % 40 == 1 {
                    is_harmless(&model, &what).await;
                }
            }
        }
    }
    assert!(refused > 20 && accepted > 20, "{refused} refused, {accepted} accepted");
}

#[tokio::test]
async fn numbers_that_do_not_fit_the_weights_are_refused_when_loading() {
    let scratch = Scratch::new();
    for (key, number) in [
        ("qwen2.block_count", 1_u64 << 23),
        ("qwen2.embedding_length", 1 << 20),
        ("qwen2.feed_forward_length", 1 << 24),
        ("qwen2.attention.key_length", 1 << 24),
        ("qwen2.attention.head_count", 8),
        ("qwen2.attention.head_count_kv", 4),
    ] {
        let extra = Some((key, Value::U64(number)));
        let model = scratch.model(&bytes_of(&Tiny { extra, ..Tiny::default() }));
        assert!(!is_harmless(&model, key).await, "{key} is refused");
    }
    // what no dimension can be counts as not given
    let extra = Some(("qwen2.attention.key_length", Value::U64(1 << 60)));
    let model = scratch.model(&bytes_of(&Tiny { extra, ..Tiny::default() }));
    assert!(is_harmless(&model, "an absurd width").await);
}
