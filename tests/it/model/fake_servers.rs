//! A loopback HTTP server that answers with what the test says and keeps what it was asked.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::any;
use serde_json::Value;
use tokio::task::JoinSet;

type Answer = Box<dyn Fn(&str, &Value) -> (u16, Body) + Send + Sync>;

/// The server; it stops when dropped.
pub(crate) struct FakeServer {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    _serving: JoinSet<()>,
}

impl FakeServer {
    /// Answers every request with what `answer` says of its path and body.
    pub(crate) async fn start(
        answer: impl Fn(&str, &Value) -> (u16, Body) + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(Box::new(answer));
        let seen = Arc::clone(&asked);
        let handler = move |uri: Uri, body: Bytes| {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (status, text) = answer(uri.path(), &body);
            seen.lock().unwrap().push((uri.path().to_owned(), body));
            async move {
                let mut response = Response::new(text);
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                response
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(any(handler));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, asked, _serving: serving }
    }

    /// The bodies so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }
}

/// A body that sends `first` and then nothing, for ever.
pub(crate) fn stuck_after(first: &'static str) -> Body {
    use futures::StreamExt as _;
    let first =
        futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(first.as_bytes()))]);
    Body::from_stream(first.chain(futures::stream::pending()))
}

/// A body that repeats `piece` for ever.
pub(crate) fn endless(piece: &'static str) -> Body {
    Body::from_stream(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(piece)))
}
