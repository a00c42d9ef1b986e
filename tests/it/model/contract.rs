//! What every adapter must do, run against each of them.

use std::sync::Arc;

use kubemate::model::{ModelError, SharedModel};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{wants_call, wants_text};

/// A model that will call `scale` on `api` with 5 replicas, then say "hello", then never end.
pub(super) async fn holds(model: SharedModel) {
    let none = CancellationToken::new();
    model.health().await.expect("healthy");
    assert!(model.id().contains(':') || model.id() == "scripted", "{}", model.id());

    let response =
        model.chat(wants_call("scale api to 5"), None, none.clone()).await.expect("a call");
    let call = response.call.expect("a call was asked for");
    assert_eq!(
        (call.name.as_str(), call.arguments),
        ("scale", json!({"workload": "api", "replicas": 5}))
    );
    assert_eq!(response.text, "");
    assert_eq!(response.model, model.id());

    let (tokens, mut heard) = mpsc::channel(64);
    let response =
        model.chat(wants_text("greet me"), Some(tokens), none.clone()).await.expect("text");
    let mut pieces = String::new();
    while let Some(piece) = heard.recv().await {
        pieces.push_str(&piece);
    }
    assert_eq!((response.text.as_str(), pieces.as_str(), response.call), ("hello", "hello", None));
    assert!(response.usage.output_tokens > 0 && response.usage.input_tokens > 0);

    is_cancelled(model).await;
}

/// A model that never ends stops soon after it is cancelled, also when nobody reads its pieces.
pub(super) async fn is_cancelled(model: SharedModel) {
    let cancel = CancellationToken::new();
    let (tokens, mut heard) = mpsc::channel(1);
    let stop = cancel.clone();
    let chat = model.chat(wants_text("never end"), Some(tokens), cancel);
    let cancelling = async move {
        let _first = heard.recv().await;
        stop.cancel();
        heard // kept open and unread
    };
    let (result, _heard) = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        tokio::join!(chat, cancelling)
    })
    .await
    .expect("stops after cancel");
    assert!(matches!(result, Err(ModelError::Cancelled)), "{result:?}");

    let already = CancellationToken::new();
    already.cancel();
    let result = Arc::clone(&model).chat(wants_text("never end"), None, already).await;
    assert!(matches!(result, Err(ModelError::Cancelled)), "{result:?}");
}
