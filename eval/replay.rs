//! Models that write a transcript and answer from one. Each belongs to one trial, so it knows which call is which.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use kubemate::model::{ChatRequest, ChatResponse, Model, ModelError, SharedModel};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::transcript::{Answer, Entry, Place, Transcript, fingerprint};

/// One trial's place in a transcript.
pub(crate) struct Cursor {
    transcript: Transcript,
    case: String,
    trial: u32,
    calls: AtomicU32,
}

impl Cursor {
    pub(crate) fn new(transcript: Transcript, case: &str, trial: u32) -> Self {
        Self { transcript, case: case.to_owned(), trial, calls: AtomicU32::new(0) }
    }

    fn next(&self) -> Place {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        Place { case: self.case.clone(), trial: self.trial, number: call }
    }
}

/// Writes down what another model answers.
pub(crate) struct Recorder {
    model: SharedModel,
    cursor: Cursor,
}

impl Recorder {
    pub(crate) fn new(model: SharedModel, cursor: Cursor) -> Self {
        Self { model, cursor }
    }
}

/// Answers from a transcript.
pub(crate) struct Replay {
    cursor: Cursor,
    /// What the transcript has no answer to.
    missing: Mutex<Vec<String>>,
}

impl Replay {
    pub(crate) fn new(cursor: Cursor) -> Self {
        Self { cursor, missing: Mutex::default() }
    }

    /// Calls that could not be answered, in words.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn answer(&self, request: &ChatRequest) -> Result<Entry, String> {
        let place = self.cursor.next();
        let at = format!("case {}, trial {}, call {}", place.case, place.trial, place.number);
        match self.cursor.transcript.get(&place) {
            None => Err(format!("{at}: the recording has no such call; record again")),
            Some(entry) if entry.prompt != fingerprint(request) => {
                Err(format!("{at}: prompts or tools changed; record again"))
            }
            Some(entry) => Ok(entry),
        }
    }
}

#[async_trait]
impl Model for Recorder {
    fn id(&self) -> String {
        self.model.id()
    }

    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError> {
        let (place, prompt) = (self.cursor.next(), fingerprint(&request));
        // stands when the caller drops this future at its own time limit
        let given_up = Entry { prompt, answer: Answer::GivenUp(true), tokens: [0; 3] };
        self.cursor.transcript.put(place.clone(), given_up.clone());
        let result = self.model.chat(request, tokens, cancel).await;
        self.cursor.transcript.put(place, Entry::of(given_up.prompt, &result));
        result
    }

    async fn health(&self) -> Result<(), ModelError> {
        self.model.health().await
    }
}

#[async_trait]
impl Model for Replay {
    fn id(&self) -> String {
        self.cursor.transcript.model().to_owned()
    }

    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        _cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError> {
        let entry = self.answer(&request).map_err(|why| {
            self.missing.lock().unwrap_or_else(PoisonError::into_inner).push(why.clone());
            ModelError::Other(anyhow::anyhow!(why))
        })?;
        let response = entry.result(&self.id())?;
        if let Some(tokens) = tokens
            && !response.text.is_empty()
        {
            // nobody may be listening; that is no failure
            let _ = tokens.send(response.text.clone()).await;
        }
        Ok(response)
    }

    async fn health(&self) -> Result<(), ModelError> {
        Ok(())
    }
}
