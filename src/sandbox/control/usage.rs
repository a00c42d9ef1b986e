//! What simulated programs use: CPU and memory that follow from requests, time and faults.
//!
//! Every figure is a function of the objects, the faults and the clock, so the same cluster always measures the same.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    demand,
    kubelet::{container_facts, subject},
    object::{condition_is_true, hash64, is_active, items, name, text, time, uid},
    quantity::Quantity,
};
use crate::sandbox::{
    api::{MetricsSource, Usage},
    fault::{ContainerFacts, Effect, Faults, Injected, Selector, Subject},
    storage::Storage,
};

const MEBIBYTE: i64 = 1 << 20;
/// What a machine uses for itself.
const SYSTEM: Usage = Usage { cpu_nanocores: 120_000_000, memory_bytes: 420 << 20 };

/// Measures the pods and nodes of one cluster.
#[derive(Clone)]
pub(crate) struct Gauge {
    storage: Storage,
    faults: Faults,
}

impl Gauge {
    pub(crate) fn new(storage: Storage, faults: Faults) -> Self {
        Self { storage, faults }
    }

    /// What each running container of the pod uses now.
    pub(crate) fn containers(&self, pod: &Value) -> Vec<(String, Usage)> {
        let all = self.faults.all();
        // owners are looked up only when a fault may be about them
        let subject = if all.is_empty() { Subject::default() } else { subject(&self.storage, pod) };
        let statuses = items(pod, "/status/containerStatuses");
        let running = |spec: &Value| {
            let status = statuses.iter().find(|one| one["name"] == spec["name"])?;
            time(status, "/state/running/startedAt")
        };
        items(pod, "/spec/containers")
            .iter()
            .filter_map(|spec| {
                let started = running(spec)?;
                let usage = self.measure(pod, spec, started, (&all, &subject));
                Some((text(spec, "/name").to_owned(), usage))
            })
            .collect()
    }

    fn measure(
        &self,
        pod: &Value,
        spec: &Value,
        started: Timestamp,
        (all, subject): (&[Injected], &Subject),
    ) -> Usage {
        let now = self.storage.clock().now();
        let wobble = |what: &str| noise(&[uid(pod), text(spec, "/name"), what], now);
        let cpu_request = demand::request(spec, "cpu").map_or(50, Quantity::as_milli);
        let memory_request =
            demand::request(spec, "memory").map_or(64 * MEBIBYTE, Quantity::as_whole);
        let mut cpu = cpu_request * 3 / 10 * wobble("cpu") / 1000;
        let mut memory = memory_request / 2 * (900 + wobble("memory") / 10) / 1000;
        let limit = demand::limit(spec, "memory").map(Quantity::as_whole);
        if !all.is_empty() {
            let facts = container_facts(&self.storage, pod, spec);
            let mine = all.iter().filter(|one| one.fault.select.matches(subject, Some(&facts)));
            for one in mine {
                match &one.fault.effect {
                    Effect::OutOfMemory { peak, seconds } => {
                        let from = started.max(one.since);
                        let grown = leaked(
                            peak.as_deref(),
                            *seconds,
                            limit,
                            now.duration_since(from).as_secs(),
                        );
                        memory = memory.max(grown);
                    }
                    Effect::Load { cpu: total_cpu, memory: total_memory } => {
                        let shares = self.sharers(&one.fault.select).max(1);
                        let share =
                            |total: &Option<String>| total.as_deref().and_then(Quantity::parse);
                        if let Some(total) = share(total_cpu) {
                            cpu = total.as_milli() / shares * wobble("cpu") / 1000;
                        }
                        if let Some(total) = share(total_memory) {
                            memory = total.as_whole() / shares;
                        }
                    }
                    _ => {}
                }
            }
        }
        // more CPU than the limit is throttled, more memory would have been killed
        cpu = cpu.min(demand::limit(spec, "cpu").map_or(i64::MAX, Quantity::as_milli));
        memory = memory.min(limit.unwrap_or(i64::MAX));
        Usage {
            cpu_nanocores: u64::try_from(cpu.max(1)).unwrap_or(1) * 1_000_000,
            memory_bytes: u64::try_from(memory.max(MEBIBYTE)).unwrap_or(0),
        }
    }

    /// How many ready pods share a load.
    fn sharers(&self, select: &Selector) -> i64 {
        let pods = self.storage.list("pods", select.namespace.as_deref()).0;
        let shares = |pod: &Value| {
            let subject = subject(&self.storage, pod);
            let specs = items(pod, "/spec/containers").iter();
            let mut facts = specs.map(|spec| container_facts(&self.storage, pod, spec));
            facts.any(|facts: ContainerFacts| select.matches(&subject, Some(&facts)))
        };
        let ready = pods.iter().filter(|pod| is_active(pod) && condition_is_true(pod, "Ready"));
        i64::try_from(ready.filter(|pod| shares(pod)).count()).unwrap_or(i64::MAX)
    }
}

/// Memory that grows until `peak`, or (a leak) by the limit in every `over` seconds.
fn leaked(peak: Option<&str>, over: i64, limit: Option<i64>, elapsed: i64) -> i64 {
    let (elapsed, over) = (elapsed.max(0), over.max(1));
    match peak.and_then(Quantity::parse).map(Quantity::as_whole) {
        Some(peak) => peak.saturating_mul(elapsed.min(over)) / over,
        None => limit.unwrap_or(256 * MEBIBYTE).saturating_mul(elapsed) / over,
    }
}

/// A smooth factor around 1000 (850 to 1150) that changes every half minute.
fn noise(seed: &[&str], now: Timestamp) -> i64 {
    const STEP: i64 = 30;
    let at = |step: i64| {
        let step = step.to_string();
        let parts: Vec<&str> = seed.iter().copied().chain([step.as_str()]).collect();
        850 + i64::try_from(hash64(&parts) % 301).unwrap_or(150)
    };
    let (step, rest) = (now.as_second().div_euclid(STEP), now.as_second().rem_euclid(STEP));
    (at(step) * (STEP - rest) + at(step + 1) * rest) / STEP
}

impl MetricsSource for Gauge {
    fn pod(&self, pod: &Value) -> Option<Vec<(String, Usage)>> {
        let containers = self.containers(pod);
        (!containers.is_empty()).then_some(containers)
    }

    fn node(&self, node: &Value) -> Option<Usage> {
        if !condition_is_true(node, "Ready") {
            return None;
        }
        let mut sum = SYSTEM;
        let pods = self.storage.list("pods", None).0;
        for pod in pods.iter().filter(|pod| text(pod, "/spec/nodeName") == name(node)) {
            for (_, usage) in self.containers(pod) {
                sum.cpu_nanocores += usage.cpu_nanocores;
                sum.memory_bytes += usage.memory_bytes;
            }
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smooth_bounded_and_repeatable() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let mut last = noise(&["a"], at(0));
        for second in 1..600 {
            let value = noise(&["a"], at(second));
            assert!((850..=1150).contains(&value));
            assert!((value - last).abs() <= 11, "a jump at {second}");
            last = value;
        }
        assert_eq!(noise(&["a"], at(100)), noise(&["a"], at(100)));
        assert_ne!(noise(&["a"], at(100)), noise(&["b"], at(100)));
    }

    #[test]
    fn leaks_grow_to_their_peak_or_for_ever() {
        for (peak, limit, elapsed, mebibytes) in [
            (Some("300Mi"), None, 15, 150),
            (Some("300Mi"), Some(256), 300, 300),
            (None, Some(128), 30, 128),
            (None, Some(128), 60, 256),
            (None, None, 30, 256),
        ] {
            let grown = leaked(peak, 30, limit.map(|limit| limit * MEBIBYTE), elapsed);
            assert_eq!(grown / MEBIBYTE, mebibytes);
        }
    }
}
