//! The seam to embeddings: one contract for every adapter, and what each does when its peer or file is wrong.

mod contract;
mod servers;
mod use_multilingual;

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use kubemate::embedder::{EmbedError, Embedder};

/// An embedder that goes by pairs of letters: texts that look alike are alike. It may fail from some call on.
#[derive(Default)]
pub(crate) struct LetterPairs {
    pub(crate) calls: AtomicU32,
    /// Calls that work; 0 is all.
    pub(crate) works: u32,
}

#[async_trait]
impl Embedder for LetterPairs {
    fn id(&self) -> String {
        "letter-pairs".to_owned()
    }

    fn dimensions(&self) -> Option<usize> {
        Some(512)
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.works > 0 && calls >= self.works {
            return Err(EmbedError::Unavailable("it went away".to_owned()));
        }
        Ok(texts.iter().map(|text| letter_pairs(text)).collect())
    }

    async fn health(&self) -> Result<(), EmbedError> {
        Ok(())
    }
}

fn letter_pairs(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; 512];
    let letters: Vec<char> = format!(" {} ", text.to_lowercase()).chars().collect();
    for pair in letters.windows(2) {
        vector[(pair[0] as usize * 31 + pair[1] as usize * 7) % 512] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

#[tokio::test]
async fn the_fake_keeps_the_contract_too() {
    contract::holds(std::sync::Arc::new(LetterPairs::default())).await;
}
