//! Deleting what git no longer declares, carefully.

use kube::api::{DeleteParams, Preconditions};

use super::{
    ReconcileError, Reconciler,
    apply::{Prune, Step, Work, ours, uid},
    failed,
    inventory::Inventory,
    order::rank,
};
use crate::domain::ObjectRef;

/// Kinds that hold data or other objects: never deleted unless a person approved exactly that.
const PRECIOUS: [&str; 4] =
    ["Namespace", "PersistentVolumeClaim", "PersistentVolume", "CustomResourceDefinition"];

impl Reconciler {
    /// Deletes what may be deleted and takes it out of the inventory.
    pub(super) async fn prune(
        &self,
        work: &Work<'_>,
        inventory: &mut Inventory,
    ) -> Result<Vec<(ObjectRef, Step)>, ReconcileError> {
        let mut gone: Vec<_> = inventory
            .objects
            .keys()
            .filter(|object| !work.declared.iter().any(|rendered| rendered.object == **object))
            .cloned()
            .collect();
        gone.sort_by_key(|object| std::cmp::Reverse(rank(object)));
        let mut steps = Vec::new();
        for object in gone.clone() {
            let step = match self.spared(&object, work, gone.len()) {
                Some(why) => Step::Kept(why),
                None => {
                    self.delete(&object, inventory.objects.get(&object).cloned().flatten()).await?
                }
            };
            if step == Step::Pruned {
                inventory.objects.remove(&object);
            }
            steps.push((object, step));
        }
        Ok(steps)
    }

    /// Why an object that is no longer declared is kept all the same.
    fn spared(&self, object: &ObjectRef, work: &Work<'_>, count: usize) -> Option<String> {
        if let Prune::Only(approved) = &work.prune {
            let why = "its deletion is not part of the plan";
            return (!approved.contains(object)).then(|| why.to_owned());
        }
        if work.declared.is_empty() {
            return Some("the unit declares nothing at all, which looks like a mistake".to_owned());
        }
        if count > self.config.prune_limit {
            let limit = self.config.prune_limit;
            return Some(format!(
                "{count} objects would be deleted, more than the limit of {limit}"
            ));
        }
        let precious = PRECIOUS.contains(&object.kind.as_str());
        precious.then(|| format!("a {} is never deleted without being asked", object.kind))
    }

    /// Deletes the very object that was applied, not one that somebody made in its place.
    async fn delete(
        &self,
        object: &ObjectRef,
        applied: Option<String>,
    ) -> Result<Step, ReconcileError> {
        let live = match self.get(object).await {
            Ok(live) => live,
            Err(ReconcileError::UnknownKind(_)) => None,
            Err(error) => return Err(error),
        };
        if live.is_none() {
            return Ok(Step::Pruned);
        }
        let found = live.as_ref().and_then(uid);
        // without a noted UID (killed between applying and noting it) our mark on the object decides
        if applied.map_or(ours(&live).is_none(), |applied| Some(applied) != found) {
            return Ok(Step::Kept("somebody else made it anew".to_owned()));
        }
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: found, resource_version: None }),
            ..DeleteParams::background()
        };
        match self.kinds.api(object).await?.delete(&object.name, &params).await {
            Ok(_) => Ok(Step::Pruned),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Step::Pruned),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Ok(Step::Kept("somebody else made it anew".to_owned()))
            }
            Err(error) => match failed(object, &error) {
                error @ ReconcileError::Unreachable(_) => Err(error),
                error => Ok(Step::Failed(error.to_string())),
            },
        }
    }
}
