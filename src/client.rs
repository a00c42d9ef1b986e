//! A client of kubemate's own HTTP API, for the command line and the evaluation.

use anyhow::{Context, bail};
use futures::StreamExt;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::domain::{Change, Message, ThreadId, TurnEvent};

/// Talks to one server as one operator.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// The server cannot be reached or turned the request down.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing answers there.
    #[error(
        "nothing answers at {url} ({reason}); start it with `kubemate up`, or name another one with --server"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server said no.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
}

impl Client {
    /// A client of the server at `base` (`http://127.0.0.1:8080`) with an operator's token.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(base: &str, token: &str) -> anyhow::Result<Self> {
        // one provider per process; another part may have been first
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(std::time::Duration::from_secs(5))
            .build()
            .context("setting up the HTTP client")?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: token.to_owned() })
    }

    /// `GET` of a JSON document below `/api/v1`.
    ///
    /// # Errors
    /// [`ClientError`], or a body that is not the expected JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.send(self.request(Method::GET, path)).await?;
        response.json().await.with_context(|| format!("reading the answer to GET {path}"))
    }

    /// `POST` of a JSON document below `/api/v1`.
    ///
    /// # Errors
    /// [`ClientError`], or a body that is not the expected JSON.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        let response = self.send(self.request(Method::POST, path).json(body)).await?;
        response.json().await.with_context(|| format!("reading the answer to POST {path}"))
    }

    /// Says something in a thread (a new one when `None`) and gives each event to `on_event` until the turn is over.
    /// Returns the thread.
    ///
    /// # Errors
    /// [`ClientError`], or a broken event stream.
    pub async fn say(
        &self,
        thread: Option<ThreadId>,
        text: &str,
        mut on_event: impl FnMut(&TurnEvent),
    ) -> anyhow::Result<ThreadId> {
        let thread = match thread {
            Some(thread) => thread,
            None => {
                let opened: Value = self.post("/threads", &json!({})).await?;
                let id = opened.pointer("/id").and_then(Value::as_str);
                ThreadId(id.context("opening a thread: the answer has no id")?.to_owned())
            }
        };
        let events = format!("/threads/{thread}/events");
        let stream = self.send(self.request(Method::GET, &events)).await?;
        let message: Message =
            self.post(&format!("/threads/{thread}/messages"), &json!({"text": text})).await?;
        let mut stream = Box::pin(server_sent(stream));
        while let Some(event) = stream.next().await {
            let event = event?;
            // replies of earlier turns may still be in the stream
            let old = matches!(&event, TurnEvent::Message { message: m } if m.id <= message.id);
            if !old {
                on_event(&event);
            }
            if matches!(event, TurnEvent::Done) {
                return Ok(thread);
            }
        }
        bail!(
            "the event stream of thread {thread} ended before the turn did; read it with `kubemate ask --thread {thread}`"
        )
    }

    /// One change.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change(&self, id: &str) -> anyhow::Result<Change> {
        self.get(&format!("/changes/{id}")).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| ClientError::Unreachable {
            url: self.base.clone(),
            reason: if error.is_timeout() { "timed out" } else { "connection failed" }.to_owned(),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body: Value = response.json().await.unwrap_or_default();
        let said = body.pointer("/error").and_then(Value::as_str).unwrap_or("no reason given");
        let hint = body.pointer("/hint").and_then(Value::as_str).unwrap_or_default();
        let told = if hint.is_empty() {
            said.to_owned()
        } else {
            format!("{}; {hint}", said.trim_end_matches('.'))
        };
        let message = match status {
            StatusCode::UNAUTHORIZED => format!("the server does not know this token: {told}"),
            _ => told,
        };
        Err(ClientError::Refused { status: status.as_u16(), message })
    }
}

/// The `data:` lines of a server-sent event stream (WHATWG HTML, section 9.2) as events; comments and other fields are skipped.
fn server_sent(response: Response) -> impl futures::Stream<Item = anyhow::Result<TurnEvent>> {
    let lines = response.bytes_stream().map(|chunk| chunk.map_err(std::io::Error::other));
    let reader = tokio_util::io::StreamReader::new(Box::pin(lines));
    let lines = tokio::io::AsyncBufReadExt::lines(reader);
    let lines = tokio_stream::wrappers::LinesStream::new(lines);
    lines.filter_map(|line| async move {
        match line {
            Ok(line) => line.strip_prefix("data:").map(|data| {
                serde_json::from_str(data.trim_start()).context("reading an event of the thread")
            }),
            Err(error) => Some(Err(error).context("reading the event stream")),
        }
    })
}
