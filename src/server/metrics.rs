//! What the server counts about itself, and the page Prometheus reads.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::header;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio::time::Instant;

use super::{Shared, error::ApiError};

/// Counters of the HTTP server; label values are route templates, methods and status codes, so they are bounded.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    /// Event streams open now.
    pub(super) streams: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

impl Metrics {
    /// Registers the counters under `http_`.
    pub fn register(registry: &mut Registry) -> Self {
        let latency: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 4.0, 8));
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(latency),
            streams: Gauge::default(),
        };
        let http = registry.sub_registry_with_prefix("http");
        http.register("requests", "Requests served", metrics.requests.clone());
        http.register("request_seconds", "Time until the response began", metrics.seconds.clone());
        http.register("event_streams", "Event streams open now", metrics.streams.clone());
        metrics
    }
}

/// Counts one request.
pub(super) async fn count(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("other", MatchedPath::as_str).to_owned();
    // methods are free text on the wire
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let start = Instant::now();
    let response = next.run(request).await;
    let metrics = &state.metrics;
    let labels = RouteLabels { route: route.clone() };
    metrics.seconds.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
    let status = response.status().as_u16();
    metrics.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    response
}

/// `GET /metrics`.
///
/// # Errors
/// When a collector fails to write itself.
pub(super) async fn page(State(state): State<Shared>) -> Result<Response, ApiError> {
    let mut text = String::new();
    encode(&mut text, &state.registry)
        .map_err(|error| anyhow::anyhow!("writing metrics: {error}"))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
