//! A model that answers from a script: for tests, demonstrations and replays. The script is data; it can also
//! misbehave on purpose (garbage, an endless stream, silence, errors) so that what stands behind it can be tested.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call;
use super::{ChatRequest, ChatResponse, ChatRole, Model, ModelError, Output, ToolCall, Usage};

/// What the model answers, in order. YAML or JSON.
///
/// ```yaml
/// steps:
/// - when: {contains: [scale, api]}          # a rule: any number of times, whenever it matches
///   call: {name: scale, arguments: {workload: api, replicas: 5}}
/// - text: hello                             # no `when`: once, when its turn comes
/// - raw: "```json\n{oops"                   # what a careless model writes; parsed and validated as such
/// - fail: unavailable
/// - never: true                             # neither answers nor ends, until it is cancelled
/// - endless: "la "                          # streams this for ever, until it is cancelled
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The steps; the first one that fits the request and is not used up answers.
    pub steps: Vec<Step>,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Only for requests like this. A step with `when` may answer any number of times unless `times` says otherwise.
    pub when: Option<When>,
    /// How often the step may answer.
    pub times: Option<u32>,
    /// Answers with a call, which must be valid for the offered tools.
    pub call: Option<ToolCall>,
    /// Answers with text.
    pub text: Option<String>,
    /// Answers with raw output that is parsed like a real model's.
    pub raw: Option<String>,
    /// Fails.
    pub fail: Option<Failure>,
    /// Never answers.
    pub never: bool,
    /// Streams this again and again.
    pub endless: Option<String>,
}

/// Which requests a step answers; every given condition must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// All of these occur in the last user message, whatever their case.
    pub contains: Vec<String>,
    /// What is asked for.
    pub output: Option<Output>,
    /// A tool of this name is offered.
    pub offers: Option<String>,
}

/// Ways to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The server is away.
    Unavailable,
    /// The prompt does not fit.
    TooLong,
    /// Something else.
    Other,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When the file cannot be read or is not a script.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the model script {}", path.display()))?;
        serde_saphyr::from_str(&text)
            .with_context(|| format!("cannot understand the model script {}", path.display()))
    }

    /// Adds a call, answered once in its turn.
    #[must_use]
    pub fn call(self, name: &str, arguments: serde_json::Value) -> Self {
        let call = ToolCall { name: name.to_owned(), arguments };
        self.step(Step { call: Some(call), ..Step::default() })
    }

    /// Adds a text, answered once in its turn.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.step(Step { text: Some(text.to_owned()), ..Step::default() })
    }

    /// Adds any step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl When {
    fn fits(&self, request: &ChatRequest) -> bool {
        let said = last_user_message(request).to_lowercase();
        self.contains.iter().all(|part| said.contains(&part.to_lowercase()))
            && self.output.is_none_or(|output| output == request.output)
            && self
                .offers
                .as_ref()
                .is_none_or(|name| request.callable().iter().any(|tool| tool.name == *name))
    }
}

fn last_user_message(request: &ChatRequest) -> &str {
    request
        .messages
        .iter()
        .rev()
        .find(|m| m.role == ChatRole::User)
        .map_or("", |m| m.content.as_str())
}

/// What decides the answer of a request.
enum Source {
    Script { steps: Vec<Step>, used: Vec<u32> },
    Function(Box<dyn FnMut(&ChatRequest) -> Step + Send>),
}

impl Source {
    fn next(&mut self, request: &ChatRequest) -> Option<Step> {
        match self {
            Self::Function(answer) => Some(answer(request)),
            Self::Script { steps, used } => {
                let at = steps.iter().zip(used.iter()).position(|(step, used)| {
                    let times =
                        step.times.unwrap_or(if step.when.is_some() { u32::MAX } else { 1 });
                    *used < times && step.when.as_ref().is_none_or(|when| when.fits(request))
                })?;
                used[at] += 1;
                Some(steps[at].clone())
            }
        }
    }
}

/// The adapter. Records every request it got.
pub struct Scripted {
    source: Mutex<Source>,
    requests: Mutex<Vec<ChatRequest>>,
}

impl Scripted {
    /// Answers from `script`.
    #[must_use]
    pub fn new(script: Script) -> Self {
        let used = vec![0; script.steps.len()];
        Self::from(Source::Script { steps: script.steps, used })
    }

    /// Answers with what `answer` says.
    pub fn from_fn(answer: impl FnMut(&ChatRequest) -> Step + Send + 'static) -> Self {
        Self::from(Source::Function(Box::new(answer)))
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ChatRequest> {
        locked(&self.requests).clone()
    }

    async fn answer(
        &self,
        request: &ChatRequest,
        step: Step,
        tokens: Option<mpsc::Sender<String>>,
    ) -> Result<ChatResponse, ModelError> {
        if let Some(piece) = &step.endless {
            return endless(piece, tokens).await;
        }
        if step.never {
            return std::future::pending().await;
        }
        if let Some(failure) = step.fail {
            return Err(failure.into());
        }
        let usage = Usage { input_tokens: 1, cached_tokens: 0, output_tokens: 1 };
        let (text, call) = match (request.output, step.call, step.raw.or(step.text)) {
            (Output::ToolCall, Some(call), _) => {
                let raw = call.arguments.to_string();
                (
                    String::new(),
                    Some(call::checked(&call.name, call.arguments, request.callable(), &raw)?),
                )
            }
            (Output::ToolCall, None, raw) => (
                String::new(),
                Some(call::call_from_text(&raw.unwrap_or_default(), request.callable())?),
            ),
            (Output::Text, _, Some(text)) => (text, None),
            (Output::Text, _, None) => {
                return Err(ModelError::Other(anyhow::anyhow!(
                    "the script has a call where text was asked for"
                )));
            }
        };
        if let (Some(tokens), false) = (tokens, text.is_empty()) {
            // nobody may be listening; that is no failure
            let _ = tokens.send(text.clone()).await;
        }
        Ok(ChatResponse { text, call, usage, model: self.id() })
    }
}

impl From<Source> for Scripted {
    fn from(source: Source) -> Self {
        Self { source: Mutex::new(source), requests: Mutex::default() }
    }
}

impl From<Failure> for ModelError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable => Self::Unavailable("the script says so".to_owned()),
            Failure::TooLong => Self::TooLong { tokens: 10_000, limit: 4096 },
            Failure::Other => Self::Other(anyhow::anyhow!("the script says so")),
        }
    }
}

/// Streams `piece` until somebody cancels.
async fn endless(
    piece: &str,
    tokens: Option<mpsc::Sender<String>>,
) -> Result<ChatResponse, ModelError> {
    loop {
        if let Some(tokens) = &tokens {
            let _ = tokens.send(piece.to_owned()).await;
        }
        tokio::task::yield_now().await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Model for Scripted {
    fn id(&self) -> String {
        "scripted".to_owned()
    }

    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError> {
        let step = locked(&self.source).next(&request);
        locked(&self.requests).push(request.clone());
        let Some(step) = step else {
            let said = last_user_message(&request);
            return Err(ModelError::Unavailable(format!("the script has no step for {said:?}")));
        };
        cancel
            .run_until_cancelled(self.answer(&request, step, tokens))
            .await
            .unwrap_or(Err(ModelError::Cancelled))
    }

    async fn health(&self) -> Result<(), ModelError> {
        Ok(())
    }
}
