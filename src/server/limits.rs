//! How fast one operator may act: a token bucket per name.

use std::{collections::HashMap, sync::Mutex};

use tokio::time::Instant;

use super::error::ApiError;

/// Buckets of as many tokens as a minute allows, refilled steadily. Names are those of known operators, so the map is bounded.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_minute: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    /// A limit of `per_minute` requests, which may also come all at once.
    #[must_use]
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, buckets: Mutex::default() }
    }

    /// Takes one token of `name`'s bucket.
    ///
    /// # Errors
    /// 429 with the seconds to wait, when the bucket is empty.
    pub(super) fn take(&self, name: &str, now: Instant) -> Result<(), ApiError> {
        let full = f64::from(self.per_minute);
        let mut buckets = self.buckets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bucket = buckets.entry(name.to_owned()).or_insert(Bucket { tokens: full, filled: now });
        let elapsed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * full / 60.0).min(full);
        bucket.filled = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 60 by the line itself"
        )]
        let wait = ((1.0 - bucket.tokens) * 60.0 / full).ceil().clamp(1.0, 60.0) as u64;
        Err(ApiError::too_many(wait))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_refills_per_name() {
        let limit = RateLimit::new(6);
        let start = Instant::now();
        assert!((0..6).all(|_| limit.take("li", start).is_ok()));
        let refused = limit.take("li", start).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.retry_after), (429, Some(10)));
        assert!(limit.take("wang", start).is_ok(), "another operator's bucket is full");
        let later = start + Duration::from_secs(10);
        assert!(limit.take("li", later).is_ok());
        assert!(limit.take("li", later).is_err());
    }
}
