//! The names git declares, as an operator can mean them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{Inventory, ObjectRef, Workload},
    gitops::{render::Rendered, source::Source, unit::Unit},
};

pub(super) fn inventory(source: &Source) -> Inventory {
    let mut namespaces = BTreeSet::new();
    let mut workloads = Vec::new();
    let mut others: BTreeMap<ObjectRef, ()> = BTreeMap::new();
    for unit in &source.units {
        for rendered in source.rendered.get(&unit.name).into_iter().flatten() {
            let object = &rendered.object;
            namespaces.extend(object.namespace.clone());
            if object.kind == "Namespace" {
                namespaces.insert(object.name.clone());
            }
            match workload(unit, rendered) {
                Some(workload) => workloads.push(workload),
                None => drop(others.insert(object.clone(), ())),
            }
        }
    }
    let environments: BTreeSet<_> =
        source.units.iter().filter_map(|unit| unit.environment.clone()).collect();
    Inventory {
        namespaces: namespaces.into_iter().collect(),
        environments: environments.into_iter().collect(),
        workloads,
        others: others.into_keys().collect(),
    }
}

fn workload(unit: &Unit, rendered: &Rendered) -> Option<Workload> {
    let workload = Workload::of(&rendered.value)?;
    Some(Workload {
        environment: unit.environment.clone(),
        unit: Some(unit.name.clone()),
        ..workload
    })
}
