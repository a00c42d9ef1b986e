//! The keys and values of the last conversations, so that a further message of one of them is answered from where it
//! stands. Bounded in number and in tokens; what was used least recently goes first.

use super::gguf::Dimensions;
use super::network::KvCache;
use super::prefix::{WORTH, common};

/// Sequences that are remembered beside those in use.
const MOST: usize = 4;

/// Sequences that nobody is using.
pub(super) struct Sequences {
    /// Least recently used first.
    free: Vec<KvCache>,
    dims: Dimensions,
    /// Most tokens of all of them.
    tokens: usize,
}

impl Sequences {
    /// None yet; at most `tokens` in all.
    pub(super) fn new(dims: &Dimensions, tokens: usize) -> Self {
        Self { free: Vec::new(), dims: dims.clone(), tokens }
    }

    /// The sequence to continue with `tokens`, of which the first `fixed` are nothing special: one that has more in common
    /// with them, or else the one that is missed least.
    pub(super) fn take(&mut self, tokens: &[u32], fixed: usize) -> candle_core::Result<KvCache> {
        let shared = |kv: &KvCache| common(kv.tokens(), tokens);
        let best = self.free.iter().enumerate().max_by_key(|(_, kv)| shared(kv));
        if let Some((at, kv)) = best
            && shared(kv) >= fixed + WORTH
        {
            return Ok(self.free.remove(at));
        }
        if self.free.len() < MOST { KvCache::new(&self.dims) } else { Ok(self.free.remove(0)) }
    }

    /// Remembers the sequence.
    pub(super) fn give_back(&mut self, kv: KvCache) {
        self.free.push(kv);
        let held = |free: &[KvCache]| free.iter().map(KvCache::capacity).sum::<usize>();
        while self.free.len() > MOST || (self.free.len() > 1 && held(&self.free) > self.tokens) {
            self.free.remove(0);
        }
    }
}
