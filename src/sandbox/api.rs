//! The sandbox's Kubernetes API server: plain HTTP on loopback, for an unmodified kubectl and any client library.
//!
//! One request flows `dispatch` -> authentication -> authorization (RBAC) -> discovery, read, watch or write. Writes go
//! through one pipeline (`write`): decode, check fields, default, admit, validate, record field managers, store.
//! Every failure is a `Status` object.

mod admission;
mod auth;
mod body;
mod conform;
mod crd;
mod defaults;
mod delete;
mod discovery;
mod dispatch;
mod eviction;
mod fields;
mod incoming;
mod kinds;
mod logs;
mod managed;
mod merge;
mod metrics;
mod openapi;
mod patch;
mod protobuf;
mod quantity;
mod rbac;
mod read;
mod request;
mod respond;
mod reviews;
mod roles;
mod scale;
mod schema;
mod selector;
mod strategic;
mod table;
mod validate;
mod versions;
mod watch;
mod write;

use std::sync::Arc;

use axum::{Router, serve::ListenerExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    auth::Tokens,
    kinds::{KindCache, Kinds},
};
pub use self::{
    auth::{User, kubeconfig},
    logs::{LogLine, PodLogs},
    metrics::{MetricsSource, Usage},
};
use super::storage::{ApiError, Cause, Storage};

/// What the API server serves. Clones share everything.
#[derive(Clone)]
pub struct ApiState {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Storage,
    tokens: Tokens,
    kinds: KindCache,
    logs: Arc<dyn PodLogs>,
    metrics: Arc<dyn MetricsSource>,
    /// Ends watches when the server stops.
    stopping: CancellationToken,
}

impl ApiState {
    /// Serves what is in `storage`, which gets the default roles. With an admin token, requests without a token are anonymous; without one, everybody is admin.
    #[must_use]
    pub fn new(storage: Storage, admin_token: Option<String>) -> Self {
        roles::fill(&storage);
        let inner = Inner {
            storage,
            tokens: Tokens::new(admin_token),
            kinds: KindCache::default(),
            logs: Arc::new(logs::Silent),
            metrics: Arc::new(metrics::Unmeasured),
            stopping: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Lets the holder of `token` in as `user`.
    pub fn add_token(&self, token: &str, user: User) {
        self.inner.tokens.add(token.to_owned(), user, None);
    }

    /// The objects that are served.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    /// Changes the settings, which only works before the state is shared.
    fn configured(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        match Arc::get_mut(&mut self.inner) {
            Some(inner) => change(inner),
            None => {
                tracing::warn!("the API server is running already; its sources stay as they are")
            }
        }
        self
    }

    fn kinds(&self) -> Arc<Kinds> {
        self.inner.kinds.get(&self.inner.storage)
    }
}

/// Answers requests until `stop` is cancelled; open watches end then too.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let stopping = state.inner.stopping.clone();
    let router = Router::new().fallback(dispatch::dispatch).with_state(state);
    // watch events are small and must not wait for Nagle's algorithm
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY");
        }
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            stop.cancelled().await;
            stopping.cancel();
        })
        .await
}
