//! What the adapters of servers share: sending, and checking the vectors that come back.

use std::sync::OnceLock;

use serde_json::Value;

use super::{EmbedError, normalise};
use crate::model::http::Peer;

/// Sends a request and reads the answer as JSON.
pub(super) async fn ask(
    peer: &Peer,
    request: reqwest::RequestBuilder,
) -> Result<Value, EmbedError> {
    let response = peer.send(request.timeout(peer.silence)).await?;
    let status = response.status();
    let body = response.text().await.map_err(|error| {
        EmbedError::Unavailable(format!(
            "the {} server at {} broke off in the middle of its answer: {error}",
            peer.adapter, peer.url
        ))
    })?;
    if !status.is_success() {
        return Err(peer.refused(status, &body).into());
    }
    serde_json::from_str(&body).map_err(|error| {
        EmbedError::Malformed(format!(
            "the {} server at {} did not answer with JSON: {error}",
            peer.adapter, peer.url
        ))
    })
}

/// The vectors of an answer, checked: `count` of them, all of the length that the model has, given the length 1.
pub(super) fn vectors<'v>(
    found: impl Iterator<Item = &'v Value>,
    count: usize,
    dimensions: &OnceLock<usize>,
) -> Result<Vec<Vec<f32>>, EmbedError> {
    let mut vectors = Vec::with_capacity(count);
    for value in found {
        let vector: Vec<f32> = serde_json::from_value(value.clone())
            .map_err(|error| EmbedError::Malformed(format!("a vector is not numbers: {error}")))?;
        let expected = *dimensions.get_or_init(|| vector.len());
        if vector.is_empty() || vector.len() != expected || vector.iter().any(|x| !x.is_finite()) {
            return Err(EmbedError::Malformed(format!(
                "a vector has {} numbers and {expected} finite ones were expected",
                vector.len()
            )));
        }
        vectors.push(vector);
    }
    if vectors.len() != count {
        return Err(EmbedError::Malformed(format!(
            "{count} texts were sent and {} vectors came back",
            vectors.len()
        )));
    }
    vectors.iter_mut().for_each(|vector| normalise(vector));
    Ok(vectors)
}
