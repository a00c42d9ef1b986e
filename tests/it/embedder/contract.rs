//! What every adapter must do, run against each of them.

use kubemate::embedder::{SharedEmbedder, cosine};

/// An embedder that is there.
pub(super) async fn holds(embedder: SharedEmbedder) {
    embedder.health().await.expect("healthy");
    assert!(!embedder.id().is_empty());
    assert!(embedder.embed(&[]).await.expect("no text, no vector").is_empty());

    let texts: Vec<String> = ["ab abc", "", "ab abc", "副本 ab"].map(str::to_owned).into();
    let vectors = embedder.embed(&texts).await.expect("vectors");
    assert_eq!(vectors.len(), texts.len());
    for vector in &vectors {
        assert_eq!(Some(vector.len()), embedder.dimensions());
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-5, "the length is 1");
    }
    assert_eq!(vectors[0], vectors[2], "the same text has the same vector");

    // a text's vector does not depend on its company
    let alone = embedder.embed(&texts[3..]).await.expect("a vector");
    assert!(cosine(&alone[0], &vectors[3]) > 0.99999);
}
