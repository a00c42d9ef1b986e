//! Server-side apply of what one unit declares, in order, recorded in its inventory.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    FIELD_MANAGER, Progress, ReconcileError, Reconciler,
    inventory::{Inventory, digest},
    live::Mode,
    order::rank,
};
use crate::{domain::ObjectRef, gitops::plan::is_applied, gitops::render::Rendered};

/// What to apply of one unit.
#[derive(Debug, Clone)]
pub struct Work<'a> {
    /// The unit's name.
    pub unit: &'a str,
    /// Everything it declares.
    pub declared: &'a [Rendered],
    /// Apply only these; `None` applies everything declared that is not applied yet.
    pub only: Option<BTreeSet<ObjectRef>>,
    /// Objects that git no longer declares and that may be deleted.
    pub prune: Prune,
    /// Fields that may be taken from others, by object, as the plan listed them.
    pub takeovers: BTreeMap<ObjectRef, Vec<String>>,
}

/// What may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prune {
    /// Exactly these, which people approved.
    Only(BTreeSet<ObjectRef>),
    /// Whatever is in the inventory and no longer declared, up to the configured number.
    Undeclared,
}

/// What was done with one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It did not exist.
    Created,
    /// It was changed.
    Configured,
    /// It was as declared already; nothing was sent.
    Unchanged,
    /// It was deleted.
    Pruned,
    /// It should have been deleted but is kept; says why.
    Kept(String),
    /// The cluster did not take it; says why.
    Failed(String),
}

/// What was done with a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// By object, in the order it was done.
    pub steps: Vec<(ObjectRef, Step)>,
}

impl Applied {
    /// Objects that the cluster did not take, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&ObjectRef, &str)> {
        self.steps.iter().filter_map(|(object, step)| match step {
            Step::Failed(why) => Some((object, why.as_str())),
            _ => None,
        })
    }
}

impl Reconciler {
    /// Applies and prunes. Objects that are as declared already are not sent again, so doing it twice does it once. An
    /// object that the cluster refuses does not stop the others.
    ///
    /// # Errors
    /// [`ReconcileError::Unreachable`]: try again later. Everything else is a step of the result.
    pub async fn apply(
        &self,
        work: &Work<'_>,
        report: &(dyn Fn(Progress) + Sync),
    ) -> Result<Applied, ReconcileError> {
        let mut inventory = self.inventory(work.unit).await?;
        let full = digest(work.declared.iter().map(|rendered| &rendered.value));
        let mut done = Applied::default();
        if work.only.is_none() && inventory.applied.as_ref() == Some(&full) {
            return Ok(done);
        }
        self.remember(work, &mut inventory).await?;
        let note = |object: &ObjectRef, step: Step, done: &mut Applied| {
            report(Progress::Applied { object: object.clone(), step: step.clone() });
            done.steps.push((object.clone(), step));
        };

        let mut wanted: Vec<_> = work
            .declared
            .iter()
            .filter(|rendered| {
                work.only.as_ref().is_none_or(|only| only.contains(&rendered.object))
            })
            .collect();
        wanted.sort_by_key(|rendered| rank(&rendered.object));
        let mut definitions = Vec::new();
        for rendered in wanted {
            if rendered.object.kind == "CustomResourceDefinition" {
                definitions.push(rendered.object.clone());
            } else if !definitions.is_empty() {
                // what comes next may be of the kinds they define
                let never = CancellationToken::new();
                self.wait_healthy(&std::mem::take(&mut definitions), &|_| {}, &never).await?;
            }
            let allowed = work.takeovers.get(&rendered.object).map_or(&[][..], Vec::as_slice);
            match self.apply_one(rendered, allowed).await {
                Ok((step, uid)) => {
                    inventory.objects.insert(rendered.object.clone(), uid);
                    note(&rendered.object, step, &mut done);
                }
                Err(error @ ReconcileError::Unreachable(_)) => return Err(error),
                Err(error) => note(&rendered.object, Step::Failed(error.to_string()), &mut done),
            }
        }
        for (object, step) in self.prune(work, &mut inventory).await? {
            note(&object, step, &mut done);
        }
        // after a part was applied, the whole is only known to be applied if it was before
        let whole = work.only.is_none() && done.failures().next().is_none();
        inventory.applied = whole.then_some(full);
        self.write_inventory(work.unit, &inventory).await?;
        Ok(done)
    }

    /// Writes ahead: everything that was applied and everything that will be.
    async fn remember(
        &self,
        work: &Work<'_>,
        inventory: &mut Inventory,
    ) -> Result<(), ReconcileError> {
        let before = inventory.clone();
        for rendered in work.declared {
            inventory.objects.entry(rendered.object.clone()).or_insert(None);
        }
        inventory.applied = None;
        if *inventory == before {
            return Ok(());
        }
        self.write_inventory(work.unit, inventory).await
    }

    /// Applies one object unless it is as declared already; returns its UID too.
    async fn apply_one(
        &self,
        rendered: &Rendered,
        allowed: &[String],
    ) -> Result<(Step, Option<String>), ReconcileError> {
        let object = &rendered.object;
        let live = match self.get(object).await? {
            Some(before) => self.dry_run_on(object, &rendered.value, before).await?,
            None => {
                let created = self.patch(object, &rendered.value, Mode::Plain).await?;
                return Ok((Step::Created, uid(&created)));
            }
        };
        if is_applied(&live) && live.takeovers.is_empty() && ours(&live.before) == ours(&live.after)
        {
            return Ok((Step::Unchanged, live.before.as_ref().and_then(uid)));
        }
        if !live.takeovers.iter().all(|field| allowed.contains(field)) {
            return Err(ReconcileError::FieldsTaken {
                object: object.clone(),
                holders: live.takeovers,
            });
        }
        let mode = if live.takeovers.is_empty() { Mode::Plain } else { Mode::Forced };
        let patched = self.patch(object, &rendered.value, mode).await?;
        Ok((Step::Configured, uid(&patched)))
    }
}

/// The fields that kubemate has applied; `None` when it never did.
pub(super) fn ours(object: &Option<Value>) -> Option<&Value> {
    let entries = object.as_ref()?.pointer("/metadata/managedFields")?.as_array()?;
    let ours = |entry: &&Value| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply";
    entries.iter().find(ours).map(|entry| &entry["fieldsV1"])
}

pub(super) fn uid(object: &Value) -> Option<String> {
    Some(object.pointer("/metadata/uid")?.as_str()?.to_owned())
}
