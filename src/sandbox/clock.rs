//! The sandbox's own time: every timestamp, probe, deadline and schedule in the cluster reads it.
//!
//! It starts where the scenario says, runs at a factor of real time (0 stands still) and can be moved forward. It never
//! goes back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch, time::Instant};

/// A shared handle on the sandbox's time.
#[derive(Debug, Clone)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    base: Mutex<Base>,
    speed: f64,
    moved: watch::Sender<()>,
}

/// Virtual time is `at` plus what has passed since `real`, times the speed.
#[derive(Debug, Clone, Copy)]
struct Base {
    at: Timestamp,
    real: Instant,
}

impl Clock {
    /// A clock that starts now and runs in real time.
    #[must_use]
    pub fn real() -> Self {
        Self::starting_at(Timestamp::now(), 1.0)
    }

    /// A clock that starts at `start` and runs `speed` times as fast as real time; 0 moves by [`Self::advance`] only.
    #[must_use]
    pub fn starting_at(start: Timestamp, speed: f64) -> Self {
        let base = Mutex::new(Base { at: start, real: Instant::now() });
        Self {
            inner: Arc::new(Inner { base, speed: speed.max(0.0), moved: watch::Sender::new(()) }),
        }
    }

    /// The sandbox's present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let base = *self.inner.base.lock().unwrap_or_else(PoisonError::into_inner);
        self.at(base, Instant::now())
    }

    /// How many seconds of sandbox time pass in one real second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.inner.speed
    }

    /// Moves time forward by `by` and wakes everybody who waits for a moment that has come.
    ///
    /// The controllers see one jump; [`crate::sandbox::Sandbox::advance`] lets them act at every moment in between.
    pub fn advance(&self, by: Duration) {
        self.advance_to(saturating_add(self.now(), by));
    }

    /// Moves time forward to `to`; does nothing when that moment has passed.
    pub fn advance_to(&self, to: Timestamp) {
        {
            let mut base = self.inner.base.lock().unwrap_or_else(PoisonError::into_inner);
            let real = Instant::now();
            if to <= self.at(*base, real) {
                return;
            }
            *base = Base { at: to, real };
        }
        self.inner.moved.send_replace(());
    }

    /// Returns once `until` has come, whether by the passing of time or by a jump.
    pub async fn sleep_until(&self, until: Timestamp) {
        let mut moved = self.inner.moved.subscribe();
        loop {
            let left = until.duration_since(self.now());
            if left <= SignedDuration::ZERO {
                return;
            }
            let speed = self.inner.speed;
            let jumped = moved.changed();
            if speed == 0.0 {
                // the sender lives in self, so it cannot be gone
                let _ = jumped.await;
                continue;
            }
            let real = (left.as_secs_f64() / speed).clamp(0.000_1, 86_400.0);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs_f64(real)) => {}
                _ = jumped => {}
            }
        }
    }

    fn at(&self, base: Base, real: Instant) -> Timestamp {
        let passed = real.saturating_duration_since(base.real);
        saturating_add(base.at, passed.mul_f64(self.inner.speed))
    }
}

/// `at` plus `by`, held at the end of representable time.
fn saturating_add(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().expect("a valid timestamp")
    }

    #[tokio::test]
    async fn stands_still_at_speed_zero_and_jumps() {
        let clock = Clock::starting_at(start(), 0.0);
        assert_eq!(clock.now(), start());
        let sleeper = clock.sleep_until(start() + SignedDuration::from_secs(30));
        tokio::pin!(sleeper);
        assert!(futures::poll!(&mut sleeper).is_pending());
        clock.advance(Duration::from_secs(29));
        assert!(futures::poll!(&mut sleeper).is_pending());
        clock.advance(Duration::from_secs(1));
        sleeper.await;
    }

    #[tokio::test]
    async fn runs_at_its_speed_and_never_back() {
        let clock = Clock::starting_at(start(), 10_000.0);
        clock.sleep_until(start() + SignedDuration::from_secs(100)).await;
        assert!(clock.now() >= start() + SignedDuration::from_secs(100));
        let before = clock.now();
        clock.advance_to(start());
        assert!(clock.now() >= before);
    }
}
