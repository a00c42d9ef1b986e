//! What a model answered, in a file: one line of JSON per call, in order of case, trial and call, so that a new recording
//! differs from the old one only where an answer does. `record` writes it, `replay` answers from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, ensure};
use kubemate::model::{ChatRequest, ChatResponse, ChatRole, ModelError, Output, ToolCall, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Head {
    /// `Model::id` of the recorded model.
    model: String,
}

/// Which call: the n-th of one trial of one case, from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) case: String,
    pub(crate) trial: u32,
    pub(crate) number: u32,
}

/// What was asked for and what came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// [`fingerprint`] of the request.
    pub(crate) prompt: String,
    #[serde(flatten)]
    pub(crate) answer: Answer,
    /// Tokens in, of these cached, and out.
    pub(crate) tokens: [u32; 3],
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Text was asked for.
    Text(String),
    /// A call was asked for.
    Call(ToolCall),
    /// The caller did not wait for the answer.
    GivenUp(bool),
    /// The output was no valid call.
    Malformed(String),
    /// It failed otherwise.
    Failed(String),
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    entry: Entry,
}

/// A whole recording; shared by the trials that write or read it.
#[derive(Clone)]
pub(crate) struct Transcript {
    model: String,
    entries: Arc<Mutex<BTreeMap<Place, Entry>>>,
}

impl Transcript {
    /// An empty recording of `model`.
    pub(crate) fn new(model: String) -> Self {
        Self { model, entries: Arc::default() }
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// With file and line when it cannot be read.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("reading the recording {}; make one with --record", path.display())
        })?;
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let place = |at: usize| format!("{}:{}: not a line of a recording", path.display(), at + 1);
        let (at, first) = lines.next().with_context(|| format!("{} is empty", path.display()))?;
        let head: Head = serde_json::from_str(first).with_context(|| place(at))?;
        let mut entries = BTreeMap::new();
        for (at, line) in lines {
            let line: Line = serde_json::from_str(line).with_context(|| place(at))?;
            let twice = entries.insert(line.place, line.entry).is_some();
            ensure!(!twice, "{}: the same call again", place(at));
        }
        Ok(Self { model: head.model, entries: Arc::new(Mutex::new(entries)) })
    }

    /// Writes it. Entries that the file already has of cases in `keep` are kept.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn write(&self, path: &Path, keep: &BTreeSet<String>) -> anyhow::Result<()> {
        let mut entries = self.entries().clone();
        if path.exists() {
            let old = Self::read(path)?;
            let kept = old.entries().clone().into_iter();
            entries.extend(kept.filter(|(place, _)| keep.contains(&place.case)));
        }
        let mut text = serde_json::to_string(&Head { model: self.model.clone() })? + "\n";
        for (place, entry) in entries {
            text += &serde_json::to_string(&Line { place, entry })?;
            text.push('\n');
        }
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// The recorded model.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    pub(crate) fn get(&self, place: &Place) -> Option<Entry> {
        self.entries().get(place).cloned()
    }

    pub(crate) fn put(&self, place: Place, entry: Entry) {
        self.entries().insert(place, entry);
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The entry of a result.
    pub(crate) fn of(prompt: String, result: &Result<ChatResponse, ModelError>) -> Self {
        let mut tokens = [0; 3];
        let answer = match result {
            Ok(response) => {
                let used = response.usage;
                tokens = [used.input_tokens, used.cached_tokens, used.output_tokens];
                match &response.call {
                    Some(call) => Answer::Call(call.clone()),
                    None => Answer::Text(response.text.clone()),
                }
            }
            Err(ModelError::Cancelled) => Answer::GivenUp(true),
            Err(ModelError::Malformed { detail, .. }) => Answer::Malformed(detail.clone()),
            Err(error) => Answer::Failed(error.to_string()),
        };
        Self { prompt, answer, tokens }
    }

    /// The result it was made of, as far as anybody looks at it.
    ///
    /// # Errors
    /// When the recorded call failed.
    pub(crate) fn result(self, model: &str) -> Result<ChatResponse, ModelError> {
        let [input_tokens, cached_tokens, output_tokens] = self.tokens;
        let response = ChatResponse {
            usage: Usage { input_tokens, cached_tokens, output_tokens },
            model: model.to_owned(),
            ..ChatResponse::default()
        };
        match self.answer {
            Answer::Text(text) => Ok(ChatResponse { text, ..response }),
            Answer::Call(call) => Ok(ChatResponse { call: Some(call), ..response }),
            Answer::GivenUp(_) => Err(ModelError::Cancelled),
            Answer::Malformed(detail) => Err(ModelError::Malformed { detail, raw: String::new() }),
            Answer::Failed(why) => Err(ModelError::Other(anyhow::anyhow!(why))),
        }
    }
}

/// A short hash over the instructions, the tools without live enumerations, and the kind of output: what a recorded
/// answer is an answer to, apart from the conversation itself.
pub(crate) fn fingerprint(request: &ChatRequest) -> String {
    let system = request.messages.iter().filter(|message| message.role == ChatRole::System);
    let system: Vec<&str> = system.map(|message| message.content.as_str()).collect();
    let mut tools = json!(request.tools);
    without_live(&mut tools);
    let kind = match request.output {
        Output::Text => "text",
        Output::ToolCall => "call",
    };
    let text = json!([kind, system, tools]).to_string();
    let mut hash = hex::encode(Sha256::digest(text.as_bytes()));
    hash.truncate(12);
    hash
}

fn without_live(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("x-live") == Some(&Value::Bool(true)) {
                fields.remove("enum");
            }
            fields.values_mut().for_each(without_live);
        }
        Value::Array(items) => items.iter_mut().for_each(without_live),
        _ => {}
    }
}
