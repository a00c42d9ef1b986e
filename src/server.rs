//! The HTTP server: the API under `/api/v1`, event streams, the embedded web console, health and metrics.
//!
//! Handlers decode, call [`ChatOps`] or its parts, and encode; what they may do is decided by the caller's
//! [`auth`] and by policy below them. Every route stands in [`routes`].

pub mod auth;
pub mod error;

mod audit;
mod changes;
mod cluster;
mod commands;
mod console;
mod events;
mod guard;
mod limits;
mod metrics;
mod session;
mod status;
mod threads;

use std::{net::IpAddr, sync::Arc};

use anyhow::Context;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{MethodRouter, get, post},
    serve::ListenerExt,
};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::{chatops::ChatOps, model::SharedModel};
use auth::Operators;
use limits::RateLimit;
pub use metrics::Metrics;

/// Longest request body, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Limits of the server and the names it is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names browsers may reach the console by, besides `localhost` and addresses: `ops.example.org`.
    pub hosts: Vec<String>,
    /// Whether a proxy in front speaks TLS; the session cookie is then sent over TLS only.
    pub tls_in_front: bool,
    /// Messages and decisions one operator may send in a minute.
    pub requests_per_minute: u32,
    /// Event streams one server keeps open at once.
    pub max_streams: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { hosts: Vec::new(), tls_in_front: false, requests_per_minute: 60, max_streams: 256 }
    }
}

impl Config {
    /// Whether `host` (a `Host` header) is ours. Addresses always are: only names can be rebound.
    fn serves(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

/// What the server needs.
pub struct ServerParts {
    /// Conversations, and through them changes and the store.
    pub chatops: Arc<ChatOps>,
    /// Who may call.
    pub operators: Operators,
    /// The model, for its state; `None` where kubemate runs on typed commands only.
    pub model: Option<SharedModel>,
    /// The server's own counters ([`Metrics::register`]).
    pub metrics: Metrics,
    /// Everybody's counters.
    pub registry: Arc<Registry>,
    /// Limits.
    pub config: Config,
    /// Ends event streams, so that open ones do not keep the server from stopping.
    pub cancel: CancellationToken,
}

/// What handlers share.
pub struct ServerState {
    chatops: Arc<ChatOps>,
    operators: Operators,
    model: Option<SharedModel>,
    metrics: Metrics,
    registry: Arc<Registry>,
    config: Config,
    limit: RateLimit,
    streams: Arc<tokio::sync::Semaphore>,
    cancel: CancellationToken,
}

type Shared = Arc<ServerState>;

impl ServerState {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: ServerParts) -> Arc<Self> {
        let ServerParts { chatops, operators, model, metrics, registry, config, cancel } = parts;
        let limit = RateLimit::new(config.requests_per_minute.max(1));
        let streams = Arc::new(tokio::sync::Semaphore::new(config.max_streams));
        let state =
            Self { chatops, operators, model, metrics, registry, config, limit, streams, cancel };
        Arc::new(state)
    }

    /// Counts a request that acts against its caller's limit.
    fn limit(&self, caller: &auth::Caller) -> Result<(), error::ApiError> {
        self.limit.take(&caller.actor.name, tokio::time::Instant::now())
    }
}

/// Every route: method, path, handler. `openapi.json` describes the same list, and a test holds them together.
fn routes() -> Vec<(&'static str, &'static str, MethodRouter<Shared>)> {
    vec![
        ("post", "/api/v1/login", post(session::login)),
        ("post", "/api/v1/logout", post(session::logout)),
        ("get", "/api/v1/session", get(session::session)),
        ("get", "/api/v1/threads", get(threads::list)),
        ("post", "/api/v1/threads", post(threads::open)),
        ("get", "/api/v1/threads/{id}", get(threads::one)),
        ("post", "/api/v1/threads/{id}/messages", post(threads::say)),
        ("get", "/api/v1/threads/{id}/events", get(events::thread)),
        ("get", "/api/v1/changes", get(changes::list)),
        ("get", "/api/v1/changes/{id}", get(changes::one)),
        ("post", "/api/v1/changes/{id}/approve", post(changes::approve)),
        ("post", "/api/v1/changes/{id}/reject", post(changes::reject)),
        ("get", "/api/v1/changes/{id}/events", get(events::change)),
        ("get", "/api/v1/cluster", get(cluster::overview)),
        ("get", "/api/v1/commands", get(commands::complete)),
        ("get", "/api/v1/audit", get(audit::list)),
        ("get", "/api/openapi.json", get(status::openapi)),
        ("get", "/healthz", get(status::alive)),
        ("get", "/readyz", get(status::ready)),
        ("get", "/metrics", get(metrics::page)),
    ]
}

/// Method and path of every route.
#[must_use]
pub fn route_names() -> Vec<(&'static str, &'static str)> {
    routes().into_iter().map(|(method, path, _)| (method, path)).collect()
}

/// The whole server.
pub fn router(state: Arc<ServerState>) -> Router {
    let mut router = Router::new();
    for (_, path, handler) in routes() {
        router = router.route(path, handler);
    }
    router
        .fallback(get(console::serve))
        .method_not_allowed_fallback(status::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), metrics::count))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(guard::headers))
        .with_state(state)
}

/// Serves until `cancel` fires, then lets requests in flight end. Give [`ServerParts::cancel`] the same token.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    cancel: CancellationToken,
) -> anyhow::Result<()> {
    // small event-stream frames must not wait for Nagle's algorithm
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router)
        .with_graceful_shutdown(cancel.cancelled_owned())
        .await
        .context("serving HTTP")
}
