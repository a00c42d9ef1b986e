//! What happens by itself: an approved change is merged, applied and watched until it is healthy; pushes from outside are
//! noticed; after a restart everything goes on where it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Delivery, DeliveryError,
    edits::trailers,
    planning::Verdict,
    takeovers,
    text::{self, Stale, say},
};
use crate::{
    domain::{Change, ChangeId, ChangeState, ObjectRef},
    forge::{ForgeError, Merge, ReviewState},
    gitops::source::Source,
    reconcile::{Applied, Outcome, Progress, Prune, Step, Work},
    store::{AuditEntry, ChangeFilter},
};

/// First pause before trying again what did not answer; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Delivery {
    /// Carries changes on until `cancel` fires; what is under way then goes on after the next start.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run(self: &Arc<Self>, cancel: CancellationToken) -> Result<(), DeliveryError> {
        self.resume(&cancel).await?;
        let mut flights: JoinSet<ChangeId> = JoinSet::new();
        let mut flying = BTreeSet::new();
        let mut tick =
            tokio::time::interval(Duration::from_secs(self.config.interval_seconds.max(1)));
        loop {
            for change in self.open_changes().await? {
                if is_moving(change.state) && flying.insert(change.id.clone()) {
                    let (delivery, cancel) = (Arc::clone(self), cancel.clone());
                    flights.spawn(async move {
                        delivery.carry(&change.id, &cancel).await;
                        change.id
                    });
                }
            }
            tokio::select! {
                () = cancel.cancelled() => break,
                () = self.approved.notified() => {}
                _ = tick.tick() => {
                    if let Err(error) = self.look_around(&cancel).await {
                        tracing::warn!(%error, "looking at the repository");
                    }
                }
                Some(landed) = flights.join_next() => match landed {
                    Ok(id) => drop(flying.remove(&id)),
                    Err(error) => tracing::error!(%error, "carrying a change"),
                },
            }
        }
        while flights.join_next().await.is_some() {}
        Ok(())
    }

    /// After a restart: proposals that were being written are opened, and what was merged or approved is applied before
    /// anything else is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(&self, cancel: &CancellationToken) -> Result<(), DeliveryError> {
        let mut open = self.open_changes().await?;
        open.sort_by_key(|change| change.updated);
        for change in open {
            let result = match change.state {
                ChangeState::Planning => self.reopen(change).await,
                state if is_moving(state) && !cancel.is_cancelled() => {
                    self.bring_in(&change.id).await.map(drop)
                }
                _ => Ok(()),
            };
            if let Err(error) = result {
                // the loop tries again what can be tried again
                tracing::warn!(%error, "resuming a change");
            }
        }
        Ok(())
    }

    async fn reopen(&self, change: Change) -> Result<(), DeliveryError> {
        let id = change.id.clone();
        match self.open(change).await {
            Err(DeliveryError::Invalid(why)) => self.fail(&id, why).await.map(drop),
            other => other.map(drop),
        }
    }

    async fn open_changes(&self) -> Result<Vec<Change>, DeliveryError> {
        self.changes(&ChangeFilter { open: true, ..ChangeFilter::default() }).await
    }

    /// Brings one change to its end, trying again while something does not answer.
    async fn carry(&self, id: &ChangeId, cancel: &CancellationToken) {
        let mut pause = PAUSE;
        loop {
            match self.carry_once(id, cancel).await {
                Ok(()) => return,
                Err(DeliveryError::Invalid(why)) => {
                    if let Err(error) = self.fail(id, why).await {
                        tracing::error!(change = %id, %error, "storing a failure");
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(change = %id, %error, "carrying a change on");
                    if let Ok(change) = self.change(id).await {
                        let seconds = pause.as_secs();
                        let text = say(
                            change.lang,
                            &format!("{error}；{seconds} 秒后重试"),
                            &format!("{error}; trying again in {seconds} s"),
                        );
                        self.progress(&change, text);
                    }
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    async fn carry_once(
        &self,
        id: &ChangeId,
        cancel: &CancellationToken,
    ) -> Result<(), DeliveryError> {
        let change = self.bring_in(id).await?;
        if change.state != ChangeState::Applying {
            return Ok(());
        }
        let objects = kept(&change);
        let report = |progress: Progress| self.report(&change, &progress);
        let outcome = self.reconciler.wait_healthy(&objects, &report, cancel).await?;
        let (state, message, action) = match outcome {
            Outcome::Cancelled => return Ok(()),
            Outcome::Healthy => (ChangeState::Healthy, None, "healthy"),
            Outcome::Degraded { object, message } => {
                (ChangeState::Degraded, Some(format!("{object}: {message}")), "degraded")
            }
        };
        let mut change = change.clone();
        change.state = state;
        change.finished = Some(Timestamp::now());
        let detail = json!({"message": message});
        change.message = message;
        self.step(change, action, "kubemate", detail).await.map(drop)
    }

    /// Waits until nothing is being merged or applied.
    pub async fn at_rest(&self) {
        drop(self.applying.lock().await);
    }

    /// Merges and applies, as far as that is still to be done; returns the change as it stands then.
    async fn bring_in(&self, id: &ChangeId) -> Result<Change, DeliveryError> {
        let _turn = self.applying.lock().await;
        let mut change = self.change(id).await?;
        if change.state == ChangeState::Approved {
            change = self.merge(change).await?;
        }
        if change.state == ChangeState::Merged {
            change.state = ChangeState::Applying;
            change.applied = Some(Timestamp::now());
            let revision = json!({"revision": change.merged});
            change = self.step(change, "apply", "kubemate", revision).await?;
        }
        if change.state == ChangeState::Applying {
            change = self.apply(change).await?;
        }
        Ok(change)
    }

    async fn merge(&self, mut change: Change) -> Result<Change, DeliveryError> {
        let (branch, head) =
            (change.branch.clone().unwrap_or_default(), change.head.clone().unwrap_or_default());
        // a kill may have come between merging and noting it
        let before = match self.forge.review(&branch).await {
            Ok(review) if review.head == head => Some(review.state),
            _ => None,
        };
        let commit = if let Some(ReviewState::Merged { commit }) = before {
            // what merging does last
            self.close(&change).await;
            commit
        } else {
            if let Verdict::Stale(why) = self.verify(&change).await? {
                let message = why.text(change.lang);
                return self.void(change, &message).await;
            }
            match self.forge.merge(&merge_of(&change, branch, head)).await {
                Ok(commit) => commit,
                Err(ForgeError::Conflicts(paths)) => {
                    let message = Stale::Conflicts(paths).text(change.lang);
                    return self.void(change, &message).await;
                }
                Err(ForgeError::HeadMoved { .. }) => {
                    let message = Stale::Pushed.text(change.lang);
                    return self.void(change, &message).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        change.state = ChangeState::Merged;
        let detail = json!({"commit": commit});
        change.merged = Some(commit);
        self.step(change, "merge", "kubemate", detail).await
    }

    /// Applies the objects of the plan as the merge commit has them; those that are so already are not sent again.
    async fn apply(&self, change: Change) -> Result<Change, DeliveryError> {
        let merged = change.merged.clone().unwrap_or_default();
        let source = self.source_at(&merged).await?;
        let takeovers = takeovers(&change);
        let mut failures = Vec::new();
        for (unit, (wanted, removed)) in by_unit(&change) {
            if let Some(error) = source.broken.get(unit) {
                failures.push(format!("unit {unit} does not render: {error}"));
                continue;
            }
            let work = Work {
                unit,
                declared: source.rendered.get(unit).map_or(&[][..], Vec::as_slice),
                only: Some(wanted),
                prune: Prune::Only(removed),
                takeovers: takeovers.clone(),
            };
            let report = |progress: Progress| self.report(&change, &progress);
            let done = self.reconciler.apply(&work, &report).await?;
            failures.extend(done.failures().map(|(object, why)| format!("{object}: {why}")));
        }
        if failures.is_empty() {
            self.note_synced(&merged).await?;
            return Ok(change);
        }
        // the cluster is not at this revision: the next look around applies what is missing
        self.fail(&change.id, failures.join("; ")).await
    }

    async fn fail(&self, id: &ChangeId, why: String) -> Result<Change, DeliveryError> {
        let mut change = self.change(id).await?;
        change.state = ChangeState::Failed;
        change.finished = Some(Timestamp::now());
        change.message = Some(why.clone());
        self.step(change, "fail", "kubemate", json!({"reason": why})).await
    }

    fn report(&self, change: &Change, progress: &Progress) {
        if let Some(text) = text::progress(change.lang, progress) {
            self.progress(change, text);
        }
    }

    /// When the cluster was at the state before this merge, it is now at this merge.
    async fn note_synced(&self, merged: &str) -> Result<(), DeliveryError> {
        let revision = merged.to_owned();
        let parent = self.git(move |repository| repository.parent(&revision)).await?;
        if self.synced.borrow().as_deref() == Some(&parent) {
            self.synced.send_replace(Some(merged.to_owned()));
        }
        Ok(())
    }

    /// Notices what happened behind our back: pushes to review branches and to the main branch.
    async fn look_around(&self, cancel: &CancellationToken) -> Result<(), DeliveryError> {
        for change in self.open_changes().await? {
            if change.state != ChangeState::Proposed {
                continue;
            }
            if let Some(why) = self.disturbed(&change).await? {
                let message = why.text(change.lang);
                self.void(change, &message).await?;
            }
        }
        let main = self.forge.main().await?;
        let synced = self.synced.borrow().clone();
        if synced.as_deref() != Some(&main) {
            self.sync_main(cancel).await?;
        }
        Ok(())
    }

    /// What somebody did to the review of an open proposal.
    async fn disturbed(&self, change: &Change) -> Result<Option<Stale>, DeliveryError> {
        let Some(branch) = &change.branch else { return Ok(None) };
        Ok(match self.forge.review(branch).await {
            Err(ForgeError::NotFound(_)) => Some(Stale::Gone),
            Err(error) => return Err(error.into()),
            Ok(review) if change.head.as_ref() != Some(&review.head) => Some(Stale::Pushed),
            Ok(review) => match review.state {
                ReviewState::Open => None,
                ReviewState::Merged { .. } => Some(Stale::MergedElsewhere),
                ReviewState::Closed { .. } => Some(Stale::Gone),
            },
        })
    }

    /// Brings the whole cluster to the main branch: at the first start and after a push from outside. Fields that others
    /// hold are left to them, and deletions are bounded.
    ///
    /// # Errors
    /// When the repository or the cluster cannot be reached.
    pub async fn sync_main(
        &self,
        cancel: &CancellationToken,
    ) -> Result<Vec<(String, Applied)>, DeliveryError> {
        let _turn = self.applying.lock().await;
        let source = self.source().await?;
        for (unit, error) in &source.broken {
            tracing::warn!(%unit, %error, "a unit does not render and is left alone");
        }
        let mut done = Vec::new();
        // units that git has dropped altogether come last, with nothing declared
        let dropped = self.reconciler.units().await?;
        let dropped = dropped.into_iter().filter(|unit| source.unit(unit).is_none());
        for unit in in_order(&source).into_iter().chain(dropped) {
            if cancel.is_cancelled() {
                return Ok(done);
            }
            let work = Work {
                unit: &unit,
                declared: source.rendered.get(&unit).map_or(&[][..], Vec::as_slice),
                only: None,
                prune: Prune::Undeclared,
                takeovers: BTreeMap::new(),
            };
            let applied = self.reconciler.apply(&work, &|_| {}).await?;
            self.note_sync(&source.tree.revision, &unit, &applied).await?;
            done.push((unit, applied));
        }
        let revision = source.tree.revision.clone();
        self.synced.send_replace(Some(revision));
        Ok(done)
    }

    /// What a sync did belongs into the log and, as nobody approved it here, into the audit log.
    async fn note_sync(
        &self,
        revision: &str,
        unit: &str,
        applied: &Applied,
    ) -> Result<(), DeliveryError> {
        let mut steps = Vec::new();
        for (object, step) in applied.steps.iter().filter(|(_, step)| *step != Step::Unchanged) {
            match step {
                Step::Failed(why) | Step::Kept(why) => {
                    tracing::warn!(%unit, %object, %why, "syncing the main branch");
                }
                _ => tracing::debug!(%unit, %object, ?step, "syncing the main branch"),
            }
            steps.push(json!({"object": object, "step": format!("{step:?}")}));
        }
        if steps.is_empty() {
            return Ok(());
        }
        tracing::debug!(%unit, revision, objects = steps.len(), "synced with the main branch");
        let entry = AuditEntry {
            at: Timestamp::now(),
            actor: "kubemate".to_owned(),
            action: "sync".to_owned(),
            thread: None,
            change: None,
            detail: json!({"revision": revision, "unit": unit, "steps": steps}),
        };
        Ok(self.store.record(entry).await?)
    }
}

/// Whether something happens to the change by itself.
fn is_moving(state: ChangeState) -> bool {
    matches!(state, ChangeState::Approved | ChangeState::Merged | ChangeState::Applying)
}

/// Units by name, those that declare what others live in first.
fn in_order(source: &Source) -> Vec<String> {
    let foundation = |unit: &String| {
        let kinds = ["Namespace", "CustomResourceDefinition"];
        !source.rendered[unit].iter().any(|rendered| kinds.contains(&rendered.object.kind.as_str()))
    };
    let mut units: Vec<_> = source.rendered.keys().cloned().collect();
    units.sort_by_key(foundation);
    units
}

/// Objects of the plan that exist afterwards.
fn kept(change: &Change) -> Vec<ObjectRef> {
    let objects = change.plan.iter().flat_map(|plan| &plan.objects);
    objects.filter(|diff| diff.after.is_some()).map(|diff| diff.object.clone()).collect()
}

/// Objects of the plan by unit: to be applied, and to be deleted.
fn by_unit(change: &Change) -> BTreeMap<&str, (BTreeSet<ObjectRef>, BTreeSet<ObjectRef>)> {
    let mut units: BTreeMap<&str, (BTreeSet<ObjectRef>, BTreeSet<ObjectRef>)> = BTreeMap::new();
    for diff in change.plan.iter().flat_map(|plan| &plan.objects) {
        let (wanted, removed) = units.entry(&diff.unit).or_default();
        let set = if diff.after.is_some() { wanted } else { removed };
        set.insert(diff.object.clone());
    }
    units
}

fn merge_of(change: &Change, branch: String, head: String) -> Merge {
    let approvals: String =
        change.approvals.iter().map(|approval| format!("Approved-by: {}\n", approval.by)).collect();
    let plan =
        change.plan.as_ref().map(|plan| format!("Plan: {}\n", plan.hash)).unwrap_or_default();
    let message =
        format!("Merge {}: {}\n\n{}{approvals}{plan}", change.id, change.summary, trailers(change));
    let by = change.approvals.last().map_or("kubemate", |approval| approval.by.as_str()).to_owned();
    Merge { branch, head, by, message }
}
