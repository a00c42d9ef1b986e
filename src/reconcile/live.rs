//! What applying would do to the live cluster, told by server-side dry runs.

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Patch, PatchParams};
use serde_json::Value;

use super::{FIELD_MANAGER, ReconcileError, Reconciler, failed};
use crate::{
    domain::ObjectRef,
    gitops::{
        diff::{self, FieldChange},
        plan::{Live, LiveChange, ObjectChange, is_applied},
        render::Rendered,
    },
};

/// Dry runs in flight at once.
const CONCURRENCY: usize = 8;

/// A live object that is not what git says.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// Which object.
    pub object: ObjectRef,
    /// Whether it is gone altogether.
    pub missing: bool,
    /// Fields as they are live (before) and as git has them (after).
    pub fields: Vec<FieldChange>,
}

impl Reconciler {
    /// What applying `changes` would do.
    ///
    /// # Errors
    /// When the cluster refuses one of the objects or cannot be reached.
    pub async fn live(&self, changes: &[ObjectChange]) -> Result<Live, ReconcileError> {
        let created: Vec<&str> = changes
            .iter()
            .filter(|change| change.after.is_some() && change.object.kind == "Namespace")
            .map(|change| change.object.name.as_str())
            .collect();
        let asked: Vec<_> =
            changes.iter().map(|change| self.live_of(change, changes, &created).boxed()).collect();
        stream::iter(asked).buffered(CONCURRENCY).try_collect().await
    }

    async fn live_of(
        &self,
        change: &ObjectChange,
        changes: &[ObjectChange],
        created: &[&str],
    ) -> Result<(ObjectRef, LiveChange), ReconcileError> {
        let object = &change.object;
        let live = match &change.after {
            Some(manifest) => self.dry_run(object, manifest).await,
            None => {
                self.get(object).await.map(|before| LiveChange { before, ..LiveChange::default() })
            }
        };
        let home = object.namespace.as_deref();
        let unborn = || LiveChange { after: change.after.clone(), ..LiveChange::default() };
        let live = match live {
            // it comes with its namespace or definition: nothing is there to ask yet
            Err(ReconcileError::Refused { .. }) if home.is_some_and(|ns| created.contains(&ns)) => {
                unborn()
            }
            Err(ReconcileError::UnknownKind(_)) if defines(changes, object) => unborn(),
            other => other?,
        };
        Ok((object.clone(), live))
    }

    /// The live object; `None` when there is none.
    pub(super) async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ReconcileError> {
        let found = self.kinds.api(object).await?.get_opt(&object.name).await;
        found
            .map_err(|error| failed(object, &error))?
            .map(|found| value(object, &found))
            .transpose()
    }

    /// Asks the API server what applying `manifest` would make of the live object.
    async fn dry_run(
        &self,
        object: &ObjectRef,
        manifest: &Value,
    ) -> Result<LiveChange, ReconcileError> {
        match self.get(object).await? {
            Some(before) => self.dry_run_on(object, manifest, before).await,
            None => {
                let after = Some(self.patch(object, manifest, Mode::DryRun).await?);
                Ok(LiveChange { after, ..LiveChange::default() })
            }
        }
    }

    /// The same for an object that was read already.
    pub(super) async fn dry_run_on(
        &self,
        object: &ObjectRef,
        manifest: &Value,
        before: Value,
    ) -> Result<LiveChange, ReconcileError> {
        let (after, takeovers) = match self.patch(object, manifest, Mode::DryRun).await {
            Ok(after) => (after, Vec::new()),
            Err(ReconcileError::FieldsTaken { holders, .. }) => {
                (self.patch(object, manifest, Mode::ForcedDryRun).await?, holders)
            }
            Err(error) => return Err(error),
        };
        Ok(LiveChange { before: Some(before), after: Some(after), takeovers })
    }

    /// Server-side apply; [`ReconcileError::FieldsTaken`] tells of conflicts.
    pub(super) async fn patch(
        &self,
        object: &ObjectRef,
        manifest: &Value,
        mode: Mode,
    ) -> Result<Value, ReconcileError> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: matches!(mode, Mode::DryRun | Mode::ForcedDryRun),
            force: matches!(mode, Mode::Forced | Mode::ForcedDryRun),
            field_validation: None,
        };
        let api = self.kinds.api(object).await?;
        let result = api.patch(&object.name, &params, &Patch::Apply(declared(manifest))).await;
        match result {
            Ok(patched) => value(object, &patched),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let causes = status.details.map(|details| details.causes).unwrap_or_default();
                let mut holders: Vec<_> = causes
                    .iter()
                    .filter(|cause| cause.reason == "FieldManagerConflict")
                    .map(|cause| format!("{}: {}", holder(&cause.message), cause.field))
                    .collect();
                holders.sort();
                if holders.is_empty() {
                    return Err(ReconcileError::Refused {
                        object: object.clone(),
                        message: status.message,
                    });
                }
                Err(ReconcileError::FieldsTaken { object: object.clone(), holders })
            }
            Err(error) => Err(failed(object, &error)),
        }
    }

    /// Where the live cluster is not what `objects` say.
    ///
    /// # Errors
    /// When the cluster refuses one of the objects or cannot be reached.
    pub async fn drift(&self, objects: &[Rendered]) -> Result<Vec<Drift>, ReconcileError> {
        let asked: Vec<_> = objects
            .iter()
            .map(|rendered| {
                async move { Ok((rendered, self.dry_run(&rendered.object, &rendered.value).await?)) }
                    .boxed()
            })
            .collect();
        let found: Vec<(&Rendered, LiveChange)> =
            stream::iter(asked).buffered(CONCURRENCY).try_collect().await?;
        Ok(found
            .into_iter()
            .filter(|(_, live)| !is_applied(live))
            .map(|(rendered, live)| Drift {
                object: rendered.object.clone(),
                missing: live.before.is_none(),
                fields: match (&live.before, &live.after) {
                    (Some(before), Some(after)) => {
                        diff::fields(&diff::without_noise(before), &diff::without_noise(after))
                    }
                    _ => Vec::new(),
                },
            })
            .collect())
    }
}

/// How an apply is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    ForcedDryRun,
    Plain,
    Forced,
}

/// The manifest without what must never be sent: status and what the API server assigns.
fn declared(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    if let Some(root) = manifest.as_object_mut() {
        root.shift_remove("status");
    }
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
            metadata.shift_remove(key);
        }
    }
    manifest
}

/// `conflict with "kubectl-edit" using apps/v1` names the holder.
fn holder(message: &str) -> &str {
    message.split('"').nth(1).unwrap_or("another manager")
}

/// Whether one of the changes defines the kind of `object`.
fn defines(changes: &[ObjectChange], object: &ObjectRef) -> bool {
    changes.iter().filter_map(|change| change.after.as_ref()).any(|after| {
        after["kind"] == "CustomResourceDefinition"
            && after.pointer("/spec/names/kind").and_then(Value::as_str) == Some(&object.kind)
    })
}

fn value(object: &ObjectRef, found: &kube::core::DynamicObject) -> Result<Value, ReconcileError> {
    serde_json::to_value(found).map_err(|error| ReconcileError::Refused {
        object: object.clone(),
        message: format!("the answer cannot be read: {error}"),
    })
}
