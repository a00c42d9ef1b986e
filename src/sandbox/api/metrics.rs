//! `metrics.k8s.io`: what `kubectl top` and autoscalers read.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    ApiError, ApiState,
    dispatch::Call,
    read,
    request::{Form, Query},
    respond::{self, Reply},
    selector::Selector,
};
use crate::sandbox::storage::time_text;

/// Resources in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// CPU in billionths of a core.
    pub cpu_nanocores: u64,
    /// Working set in bytes.
    pub memory_bytes: u64,
}

/// Where measurements come from.
pub trait MetricsSource: Send + Sync {
    /// What each container of a pod uses (container name, usage); `None` when nothing was measured yet.
    fn pod(&self, pod: &Value) -> Option<Vec<(String, Usage)>>;

    /// What a node uses.
    fn node(&self, node: &Value) -> Option<Usage>;
}

/// Without a source nothing is measured.
pub(super) struct Unmeasured;

impl MetricsSource for Unmeasured {
    fn pod(&self, _: &Value) -> Option<Vec<(String, Usage)>> {
        None
    }
    fn node(&self, _: &Value) -> Option<Usage> {
        None
    }
}

impl ApiState {
    /// Takes measurements from `metrics`.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<dyn MetricsSource>) -> Self {
        self.configured(|inner| inner.metrics = metrics)
    }
}

impl Usage {
    fn to_value(self) -> Value {
        json!({"cpu": format!("{}n", self.cpu_nanocores), "memory": format!("{}Ki", self.memory_bytes / 1024)})
    }
}

/// Answers for `nodes` and `pods` of `metrics.k8s.io`.
pub(super) fn answer(call: &Call<'_>, form: Form) -> Result<Reply, ApiError> {
    let plural = call.resource.plural.as_str();
    let storage = call.state.storage();
    match call.info.verb {
        "get" => {
            let object = storage.get(plural, call.namespace(), call.name());
            let measured = object.and_then(|object| measure(call, &object));
            let measured = measured
                .ok_or_else(|| ApiError::not_found(&call.resource.qualified(), call.name()))?;
            Ok(respond::json(200, &read::in_form(call, &measured, form)))
        }
        "list" => {
            let query: &Query = &call.info.query;
            let selector =
                Selector::parse(query.get("labelSelector"), query.get("fieldSelector"), plural)?;
            let (objects, _) = storage.list(plural, call.namespace());
            let items: Vec<Value> = objects
                .iter()
                .filter(|object| selector.matches(object))
                .filter_map(|object| measure(call, object))
                .collect();
            let list = json!({"kind": format!("{}List", call.resource.kind),
                "apiVersion": call.resource.api_version(), "metadata": {}, "items": items});
            Ok(respond::json(200, &list))
        }
        _ => Err(super::dispatch::method_not_allowed(call)),
    }
}

fn measure(call: &Call<'_>, object: &Value) -> Option<Value> {
    let source = &call.state.inner.metrics;
    let mut metadata = object["metadata"].clone();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|key, _| {
            matches!(key.as_str(), "name" | "namespace" | "labels" | "creationTimestamp")
        });
    }
    let now = time_text(call.state.storage().clock().now());
    let mut made = json!({"kind": call.resource.kind, "apiVersion": call.resource.api_version(),
        "metadata": metadata, "timestamp": now, "window": "15s"});
    if call.resource.plural == "nodes" {
        made["usage"] = source.node(object)?.to_value();
    } else {
        let containers = source.pod(object)?;
        made["containers"] = containers
            .into_iter()
            .map(|(name, usage)| json!({"name": name, "usage": usage.to_value()}))
            .collect();
    }
    Some(made)
}
