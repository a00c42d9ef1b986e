//! What the adapters that speak HTTP share: the client, streams of lines, and errors that say what to do.

use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use reqwest::StatusCode;
use tokio::sync::mpsc;

use super::{ModelError, Output};

/// Most bytes of one answer that are read; a server that never stops is cut off here.
const ANSWER_BYTES: usize = 512 * 1024;
/// Longest line of a stream, in bytes.
const LINE_BYTES: usize = 256 * 1024;
/// How often a busy server is asked again, and the longest wait in between.
const BUSY_TRIES: u32 = 2;
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// A client with a short connect time-out. Installs the process's TLS provider when nobody did.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    // an error only says that a provider is installed already
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("kubemate/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot set up the HTTP client")
}

/// Where a server is and how it is called in messages.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// `ollama` or `openai`.
    pub(crate) adapter: &'static str,
    /// Base URL without a slash at the end.
    pub(crate) url: String,
    /// Longest silence before the next piece of an answer.
    pub(crate) silence: Duration,
}

impl Peer {
    /// Sends `request` until the server is not busy; the answer's head must come within `silence`.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, ModelError> {
        let mut tried = 0;
        loop {
            let again = request.try_clone();
            let request = again.context("the request cannot be repeated")?;
            let response = tokio::time::timeout(self.silence, request.send())
                .await
                .map_err(|_| self.silent())?
                .map_err(|error| self.unreachable(&error))?;
            let busy = matches!(response.status().as_u16(), 429 | 502 | 503);
            if !busy || tried >= BUSY_TRIES {
                return Ok(response);
            }
            let asked =
                response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
            tokio::time::sleep(
                asked.map_or(Duration::from_millis(500), Duration::from_secs).min(BUSY_WAIT),
            )
            .await;
            tried += 1;
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ModelError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        ModelError::Unavailable(format!(
            "cannot reach the {} server at {}: {cause}; start it or correct `url` in its configuration",
            self.adapter, self.url
        ))
    }

    fn silent(&self) -> ModelError {
        ModelError::Unavailable(format!(
            "the {} server at {} sent nothing for {} s; it may still be loading the model, or be overloaded",
            self.adapter,
            self.url,
            self.silence.as_secs()
        ))
    }

    /// The error for a status that means the same on every server; `body` is what it said.
    pub(crate) fn refused(&self, status: StatusCode, body: &str) -> ModelError {
        let said = said(body);
        let place = format!("the {} server at {}", self.adapter, self.url);
        match status.as_u16() {
            401 | 403 => ModelError::Unavailable(format!(
                "{place} refused the key ({status}); set `key` in its configuration"
            )),
            429 => {
                ModelError::Unavailable(format!("{place} is over its rate limit; try again later"))
            }
            500.. => ModelError::Unavailable(format!("{place} failed with {status}: {said}")),
            _ => ModelError::Other(anyhow::anyhow!(
                "{place} refused the request with {status}: {said}"
            )),
        }
    }

    /// The lines of a streamed body, bounded in size and in silence.
    pub(crate) fn lines(&self, response: reqwest::Response) -> Lines {
        Lines {
            peer: self.clone(),
            stream: response.bytes_stream().boxed(),
            buffer: Vec::new(),
            total: 0,
            done: false,
        }
    }
}

/// Lines of a body as they arrive.
pub(crate) struct Lines {
    peer: Peer,
    stream: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: Vec<u8>,
    total: usize,
    done: bool,
}

impl Lines {
    /// The next line without its end, or `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, ModelError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.done {
                let rest = std::mem::take(&mut self.buffer);
                return Ok((!rest.is_empty())
                    .then(|| String::from_utf8_lossy(&rest).trim_end().to_owned()));
            }
            let next = tokio::time::timeout(self.peer.silence, self.stream.next()).await;
            match next.map_err(|_| self.peer.silent())? {
                Some(Ok(bytes)) => self.take(&bytes)?,
                Some(Err(error)) => return Err(self.broken(&error)),
                None => self.done = true,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        self.total += bytes.len();
        self.buffer.extend_from_slice(bytes);
        // the envelope around each piece is many times the piece, so the body may be longer than the answer
        if self.buffer.len() > LINE_BYTES || self.total > ANSWER_BYTES * 64 {
            return Err(ModelError::Other(anyhow::anyhow!(
                "the {} server at {} sent more than an answer can hold",
                self.peer.adapter,
                self.peer.url
            )));
        }
        Ok(())
    }

    fn broken(&self, error: &reqwest::Error) -> ModelError {
        ModelError::Unavailable(format!(
            "the {} server at {} broke off in the middle of its answer: {error}; look at its log and ask again",
            self.peer.adapter, self.peer.url
        ))
    }
}

/// Collects the pieces of an answer and hands pieces of text on.
pub(crate) struct Answer {
    /// Everything so far.
    pub(crate) text: String,
    listener: Option<mpsc::Sender<String>>,
}

impl Answer {
    /// Pieces go to `tokens` when text was asked for.
    pub(crate) fn new(tokens: Option<mpsc::Sender<String>>, output: Output) -> Self {
        Self { text: String::new(), listener: tokens.filter(|_| output == Output::Text) }
    }

    /// Adds a piece. `false` when the answer is longer than any answer should be.
    pub(crate) async fn push(&mut self, piece: &str) -> bool {
        self.text.push_str(piece);
        if let Some(listener) = &self.listener
            && !piece.is_empty()
            && listener.send(piece.to_owned()).await.is_err()
        {
            self.listener = None; // nobody listens any more; the answer is still wanted
        }
        self.text.len() <= ANSWER_BYTES
    }
}

/// What the body of an error says, in the forms servers say it, shortened.
pub(super) fn said(body: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let inner = json["error"].as_str().or_else(|| json["error"]["message"].as_str());
    inner.unwrap_or(body).trim().chars().take(300).collect()
}

/// Whether a server's error text says that the prompt does not fit.
pub(crate) fn says_too_long(body: &str) -> bool {
    let body = body.to_lowercase();
    [
        "context length",
        "context_length",
        "context size",
        "context window",
        "maximum context",
        "too many tokens",
    ]
    .iter()
    .any(|phrase| body.contains(phrase))
}

/// About how many tokens `text` has, for messages: a Han character is about one, four other characters are.
pub(crate) fn estimate_tokens(text: &str) -> usize {
    let wide = text.chars().filter(|c| *c >= '\u{2e80}').count();
    wide + (text.chars().count() - wide).div_ceil(4)
}
