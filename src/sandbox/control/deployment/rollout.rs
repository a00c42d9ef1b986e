//! The arithmetic of a rolling update: how far the new replica set may grow and the old ones must shrink.
//!
//! Follows `k8s.io/kubernetes/pkg/controller/deployment/rolling.go`.

use serde_json::Value;

/// The numbers of one replica set that a rolling update looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// `spec.replicas`.
    pub(crate) wanted: i64,
    /// `status.availableReplicas`.
    pub(crate) available: i64,
}

/// How many pods may exist beyond, and be missing from, the wanted count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) surge: i64,
    pub(crate) unavailable: i64,
}

impl Bounds {
    /// Resolves `maxSurge` (rounded up) and `maxUnavailable` (rounded down), both 25% when absent.
    pub(crate) fn of(replicas: i64, rolling: Option<&Value>) -> Self {
        let field = |name: &str| rolling.and_then(|rolling| rolling.get(name));
        let surge = share(field("maxSurge"), replicas, true);
        let mut unavailable = share(field("maxUnavailable"), replicas, false);
        // both zero would never move
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        Self { surge, unavailable: unavailable.min(replicas) }
    }
}

/// An int-or-percent of `total`; 25% when absent or unreadable.
pub(crate) fn share(value: Option<&Value>, total: i64, up: bool) -> i64 {
    let percent = match value {
        Some(Value::Number(number)) => return number.as_i64().unwrap_or(0).max(0),
        Some(Value::String(text)) => match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse().unwrap_or(25),
            None => return text.trim().parse().unwrap_or(0).max(0),
        },
        _ => 25_i64,
    };
    let product = total.saturating_mul(percent.max(0));
    if up { (product + 99) / 100 } else { product / 100 }
}

/// The size the new replica set may have now.
pub(crate) fn new_size(replicas: i64, bounds: Bounds, new: Counts, old: &[Counts]) -> i64 {
    if new.wanted >= replicas {
        return replicas;
    }
    let total: i64 = new.wanted + old.iter().map(|set| set.wanted).sum::<i64>();
    let room = (replicas + bounds.surge - total).max(0);
    (new.wanted + room).min(replicas)
}

/// The sizes the old replica sets (oldest first) may shrink to now.
pub(crate) fn old_sizes(replicas: i64, bounds: Bounds, new: Counts, old: &[Counts]) -> Vec<i64> {
    let mut sizes: Vec<i64> = old.iter().map(|set| set.wanted).collect();
    let total: i64 = new.wanted + sizes.iter().sum::<i64>();
    let floor = replicas - bounds.unavailable;
    let new_unavailable = (new.wanted - new.available).max(0);
    let mut budget = total - floor - new_unavailable;
    // pods that serve nobody go first: they cost no availability
    for (size, set) in sizes.iter_mut().zip(old) {
        let down = (set.wanted - set.available).clamp(0, budget.max(0));
        *size -= down;
        budget -= down;
    }
    let serving: i64 = new.available.min(new.wanted)
        + old.iter().map(|set| set.available.min(set.wanted)).sum::<i64>();
    let mut spare = (serving - floor).min(budget).max(0);
    for size in &mut sizes {
        let down = (*size).min(spare);
        *size -= down;
        spare -= down;
    }
    sizes
}

/// Spreads a change of the wanted count over replica sets in the middle of a rollout, in proportion to their sizes.
pub(crate) fn proportional(sizes: &[i64], total: i64) -> Vec<i64> {
    let now: i64 = sizes.iter().sum();
    if now == 0 {
        return sizes.to_vec();
    }
    let mut out: Vec<i64> = sizes.iter().map(|size| size * total / now).collect();
    // what rounding left over goes to the largest
    let left = total - out.iter().sum::<i64>();
    if let Some((at, _)) = sizes.iter().enumerate().max_by_key(|(_, size)| **size) {
        out[at] += left;
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bounds_round_as_documented() {
        for (replicas, rolling, surge, unavailable) in [
            (4, json!({}), 1, 1),
            (3, json!({}), 1, 0),
            (10, json!({"maxSurge": "15%", "maxUnavailable": "15%"}), 2, 1),
            (10, json!({"maxSurge": 0, "maxUnavailable": 0}), 0, 1),
            (1, json!({"maxSurge": 0, "maxUnavailable": 5}), 0, 1),
            (0, json!({}), 0, 0),
        ] {
            let want = Bounds { surge, unavailable };
            assert_eq!(Bounds::of(replicas, Some(&rolling)), want, "{replicas} {rolling}");
        }
    }

    /// Plays whole rollouts, letting pods become available one by one in every interleaving of two speeds, and checks
    /// that no step breaks the bounds and that all of them finish.
    #[test]
    fn no_step_breaks_the_bounds() {
        for replicas in 1..=9 {
            for (surge, unavailable) in [(1, 0), (0, 1), (2, 1), (3, 3), (0, 5)] {
                for ready_per_step in 1..=3 {
                    let bounds = Bounds { surge, unavailable: unavailable.min(replicas) };
                    let mut new = Counts { wanted: 0, available: 0 };
                    let mut old = vec![
                        Counts { wanted: replicas / 2, available: replicas / 2 },
                        Counts {
                            wanted: replicas - replicas / 2,
                            available: replicas - replicas / 2,
                        },
                    ];
                    for step in 0.. {
                        assert!(step < 200, "never finishes: {replicas} {bounds:?}");
                        let grown = new_size(replicas, bounds, new, &old);
                        if grown > new.wanted {
                            new.wanted = grown;
                        } else {
                            let sizes = old_sizes(replicas, bounds, new, &old);
                            for (set, size) in old.iter_mut().zip(sizes) {
                                set.wanted = size;
                                set.available = set.available.min(size);
                            }
                        }
                        let total = new.wanted + old.iter().map(|set| set.wanted).sum::<i64>();
                        let serving =
                            new.available + old.iter().map(|set| set.available).sum::<i64>();
                        assert!(total <= replicas + bounds.surge, "{replicas} {bounds:?}");
                        assert!(serving >= replicas - bounds.unavailable, "{replicas} {bounds:?}");
                        if new.available == replicas && total == replicas {
                            break;
                        }
                        new.available = (new.available + ready_per_step).min(new.wanted);
                    }
                }
            }
        }
    }

    #[test]
    fn broken_old_pods_go_first_and_a_broken_new_set_stalls() {
        let bounds = Bounds { surge: 1, unavailable: 0 };
        let broken = Counts { wanted: 1, available: 0 };
        let old = [Counts { wanted: 3, available: 3 }];
        assert_eq!(new_size(3, bounds, broken, &old), 1, "no room beyond the surge");
        assert_eq!(old_sizes(3, bounds, broken, &old), [3], "the old pods keep serving");
        let old = [Counts { wanted: 2, available: 0 }, Counts { wanted: 3, available: 3 }];
        let new = Counts { wanted: 1, available: 1 };
        assert_eq!(old_sizes(3, bounds, new, &old), [0, 2]);
    }

    #[test]
    fn scaling_in_the_middle_keeps_the_proportion() {
        assert_eq!(proportional(&[8, 2], 20), [16, 4]);
        assert_eq!(proportional(&[5, 3], 4), [3, 1]);
        assert_eq!(proportional(&[0, 0], 4), [0, 0]);
    }
}
