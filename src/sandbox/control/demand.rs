//! What pods ask for: requests and limits summed over containers.

use serde_json::Value;

use super::{
    object::{items, text},
    quantity::Quantity,
};

/// What one pod asks a node for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) cpu: Quantity,
    pub(crate) memory: Quantity,
    pub(crate) storage: Quantity,
}

impl Demand {
    /// The requests of a pod: containers together, or its largest init container.
    pub(crate) fn of(pod: &Value) -> Self {
        Self {
            cpu: requested(pod, "cpu"),
            memory: requested(pod, "memory"),
            storage: requested(pod, "ephemeral-storage"),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
            storage: self.storage + other.storage,
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory.saturating_sub(other.memory),
            storage: self.storage.saturating_sub(other.storage),
        }
    }
}

/// How much of `resource` a pod requests.
pub(crate) fn requested(pod: &Value, resource: &str) -> Quantity {
    total(pod, |container| request(container, resource))
}

/// The sum of a pod's limits of `resource`; `None` when a container has none.
pub(crate) fn limited(pod: &Value, resource: &str) -> Option<Quantity> {
    items(pod, "/spec/containers").iter().map(|container| limit(container, resource)).sum()
}

/// A container's request, its limit where it only has that.
pub(crate) fn request(container: &Value, resource: &str) -> Option<Quantity> {
    quantity(container, "requests", resource).or_else(|| limit(container, resource))
}

/// A container's limit.
pub(crate) fn limit(container: &Value, resource: &str) -> Option<Quantity> {
    quantity(container, "limits", resource)
}

fn quantity(container: &Value, side: &str, resource: &str) -> Option<Quantity> {
    Quantity::read(container.get("resources")?.get(side)?.get(resource)?)
}

fn total(pod: &Value, of: impl Fn(&Value) -> Option<Quantity>) -> Quantity {
    let sum = |pointer: &str, wanted: &dyn Fn(&Value) -> bool| -> Quantity {
        items(pod, pointer).iter().filter(|c| wanted(c)).filter_map(&of).sum()
    };
    let sidecar = |container: &Value| text(container, "/restartPolicy") == "Always";
    let running = sum("/spec/containers", &|_| true) + sum("/spec/initContainers", &sidecar);
    let starting = items(pod, "/spec/initContainers").iter().filter_map(&of).max();
    running.max(starting.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sums_containers_and_takes_the_largest_init_container() {
        let with = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let limit_only = json!({"resources": {"limits": {"cpu": "200m"}}});
        for (init, containers, milli) in [
            (vec![], vec![with("100m"), with("200m")], 300),
            (vec![with("1")], vec![with("100m")], 1000),
            (vec![], vec![limit_only, json!({})], 200),
            (vec![], vec![], 0),
        ] {
            let pod = json!({"spec": {"initContainers": init, "containers": containers}});
            assert_eq!(requested(&pod, "cpu").as_milli(), milli, "{pod}");
        }
    }
}
