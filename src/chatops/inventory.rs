//! The names an operator can mean: what git declares, joined with what is live, cached for a moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    cluster::Cluster,
    delivery::Delivery,
    domain::{Inventory, Workload},
};

/// How long an inventory serves before it is read again.
const FRESH: Duration = Duration::from_millis(300);

/// Where inventories come from.
pub struct Inventories {
    cluster: Cluster,
    delivery: Arc<Delivery>,
    last: Mutex<Option<(Instant, Arc<Inventory>)>>,
}

impl Inventories {
    /// Reads from the cluster and from the change loop's repository.
    #[must_use]
    pub fn new(cluster: Cluster, delivery: Arc<Delivery>) -> Self {
        Self { cluster, delivery, last: Mutex::default() }
    }

    /// The names that exist now, at most a moment old. A cluster that does not answer leaves the names of git.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub async fn get(&self) -> anyhow::Result<Arc<Inventory>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, inventory)) = last.filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(inventory);
        }
        let (git, live) = tokio::join!(self.delivery.inventory(), self.cluster.inventory());
        let live = live.unwrap_or_else(|error| {
            tracing::warn!(%error, "reading the live names");
            Inventory::default()
        });
        let inventory = Arc::new(joined(&*git?, live));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::clone(&inventory)));
        Ok(inventory)
    }
}

/// Git's workloads (they are what can be changed), and live ones git does not declare.
fn joined(git: &Inventory, live: Inventory) -> Inventory {
    let mut all = git.clone();
    let declared: BTreeSet<_> = git.workloads.iter().map(|w| w.object.clone()).collect();
    all.workloads.extend(live.workloads.into_iter().filter(|w| !declared.contains(&w.object)));
    let unite = |names: &mut Vec<String>, more: Vec<String>| {
        names.extend(more);
        names.sort();
        names.dedup();
    };
    unite(&mut all.namespaces, live.namespaces);
    unite(&mut all.environments, live.environments);
    by_namespace(&mut all.workloads);
    all.others.extend(live.others);
    all.others.sort();
    all.others.dedup();
    all
}

/// A workload whose unit tells no environment (a folder for several namespaces) is in the one its neighbours are in.
fn by_namespace(workloads: &mut [Workload]) {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for workload in workloads.iter() {
        if let (Some(namespace), Some(environment)) =
            (&workload.object.namespace, &workload.environment)
        {
            known.entry(namespace.clone()).or_default().insert(environment.clone());
        }
    }
    for workload in workloads.iter_mut().filter(|w| w.environment.is_none()) {
        let there = workload.object.namespace.as_ref().and_then(|n| known.get(n));
        if let Some(there) = there.filter(|there| there.len() == 1) {
            workload.environment = there.first().cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ObjectRef;

    fn workload(name: &str, unit: Option<&str>) -> Workload {
        Workload {
            object: ObjectRef::new("apps/v1", "Deployment", Some("pay"), name),
            environment: None,
            unit: unit.map(str::to_owned),
            replicas: Some(1),
            containers: Vec::new(),
            aliases: Vec::new(),
        }
    }

    #[test]
    fn what_git_declares_wins_and_what_is_only_live_is_added() {
        let git =
            Inventory { workloads: vec![workload("ledger", Some("u"))], ..Inventory::default() };
        let live = Inventory {
            namespaces: vec!["pay".to_owned()],
            workloads: vec![workload("ledger", None), workload("debug", None)],
            ..Inventory::default()
        };
        let all = joined(&git, live);
        let units: Vec<_> =
            all.workloads.iter().map(|w| (w.object.name.as_str(), w.unit.as_deref())).collect();
        assert_eq!(units, [("ledger", Some("u")), ("debug", None)]);
        assert_eq!(all.namespaces, ["pay"]);
    }
}
