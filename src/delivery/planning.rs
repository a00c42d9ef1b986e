//! What a change would do: rendered, live, checked and hashed; and whether that still holds.

use std::sync::Arc;

use super::{
    Delivery, DeliveryError,
    text::{Stale, say},
};
use crate::{
    domain::{Change, ChangeId, Finding, Lang, ObjectDiff, Plan, Severity},
    forge::ReviewState,
    gitops::{
        plan::{self, Live, ObjectChange, object_changes},
        source::Source,
        tree::{FileChange, Tree},
    },
    policy::{Risk, Scope},
    reconcile::ReconcileError,
    review::{self, Proposed},
    store::ChangeFilter,
    worktree::WorktreeError,
};

/// What a change would do, before people and checks have looked at it.
pub(super) struct Effect {
    /// To the files of the repository.
    pub(super) files: Vec<FileChange>,
    /// To the rendered objects.
    pub(super) objects: Vec<ObjectChange>,
    /// To the live objects.
    pub(super) live: Live,
}

/// Whether a plan still holds.
pub(super) enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Stale(Stale),
}

impl Delivery {
    /// The objects that differ once `files` are changed on top of `before`.
    pub(super) async fn rendered(
        &self,
        before: &Arc<Source>,
        files: &[FileChange],
    ) -> Result<Vec<ObjectChange>, DeliveryError> {
        let changes = compare(Arc::clone(before), before.tree.with(files)).await?;
        if changes.is_empty() {
            return Err(DeliveryError::Invalid(
                "the edit changes no object that is applied; nothing to review".to_owned(),
            ));
        }
        Ok(changes)
    }

    /// The plan for people to read: the checks' findings and what else there is to know.
    pub(super) async fn plan(
        &self,
        id: &ChangeId,
        lang: Lang,
        effect: &Effect,
    ) -> Result<Plan, DeliveryError> {
        let Effect { files, objects, live } = effect;
        let mut findings = review::review(&Proposed { objects, lang });
        findings.extend(takeover_findings(lang, live));
        findings.extend(self.concurrent(id, lang, objects).await?);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(plan::build(files, objects, live, findings))
    }

    /// Other open changes of the same objects.
    async fn concurrent(
        &self,
        id: &ChangeId,
        lang: Lang,
        changes: &[ObjectChange],
    ) -> Result<Vec<Finding>, DeliveryError> {
        let open = self.changes(&ChangeFilter { open: true, ..ChangeFilter::default() }).await?;
        let others = open.iter().filter(|other| other.id != *id);
        let touched = others.flat_map(|other| {
            let objects = other.plan.iter().flat_map(|plan| &plan.objects);
            objects.map(move |diff: &ObjectDiff| (other, &diff.object))
        });
        Ok(touched
            .filter(|(_, object)| changes.iter().any(|change| change.object == **object))
            .map(|(other, object)| Finding {
                check: "concurrent-change".to_owned(),
                severity: Severity::Warning,
                object: Some(object.clone()),
                location: None,
                message: say(
                    lang,
                    &format!("另一个未完成的变更 {}（{}）也改动这个对象", other.id, other.summary),
                    &format!(
                        "another open change, {} ({}), touches this object too",
                        other.id, other.summary
                    ),
                ),
                fix: None,
            })
            .collect())
    }

    /// Whether what was reviewed is still what would happen: same head, same effect on git and on the live cluster.
    pub(super) async fn verify(&self, change: &Change) -> Result<Verdict, DeliveryError> {
        let (Some(branch), Some(head), Some(plan)) = (&change.branch, &change.head, &change.plan)
        else {
            return Err(DeliveryError::Conflict(format!("{} has no plan yet", change.id)));
        };
        let review = match self.forge.review(branch).await {
            Ok(review) => review,
            Err(crate::forge::ForgeError::NotFound(_)) => return Ok(Verdict::Stale(Stale::Gone)),
            Err(error) => return Err(error.into()),
        };
        if review.head != *head {
            return Ok(Verdict::Stale(Stale::Pushed));
        }
        match review.state {
            ReviewState::Open => {}
            ReviewState::Merged { .. } => return Ok(Verdict::Stale(Stale::MergedElsewhere)),
            ReviewState::Closed { .. } => return Ok(Verdict::Stale(Stale::Gone)),
        }
        let before = self.source().await?;
        let main = before.tree.revision.clone();
        let moved = change.base.as_deref() != Some(&main);
        let reviewed = head.clone();
        let merged = self.git(move |repository| {
            Ok(match repository.merged_tree(&main, &reviewed) {
                Ok(tree) => Ok(tree),
                Err(WorktreeError::Conflicts(paths)) => Err(paths),
                Err(error) => return Err(error),
            })
        });
        let merged = match merged.await? {
            Ok(tree) => tree,
            Err(paths) => return Ok(Verdict::Stale(Stale::Conflicts(paths))),
        };
        let changes = compare(before, merged).await?;
        let live = match self.reconciler.live(&changes).await {
            Ok(live) => live,
            Err(error @ ReconcileError::Unreachable(_)) => return Err(error.into()),
            Err(error) => return Ok(Verdict::Stale(Stale::Refused(error.to_string()))),
        };
        if plan::hash(&changes, &live) == plan.hash {
            return Ok(Verdict::Holds);
        }
        let now = plan::build(&[], &changes, &live, Vec::new());
        Ok(Verdict::Stale(Stale::Drifted {
            main: moved && !same_rendered(plan, &now),
            objects: differing(plan, &now),
        }))
    }
}

/// The objects that differ between `before` and the files of `after`.
async fn compare(before: Arc<Source>, after: Tree) -> Result<Vec<ObjectChange>, DeliveryError> {
    let compared = tokio::task::spawn_blocking(move || {
        let after = Source::read(after).map_err(|error| error.to_string())?;
        let broken = after.broken.iter().find(|(unit, _)| !before.broken.contains_key(*unit));
        match broken {
            Some((unit, error)) => Err(format!("unit {unit} would not render any more: {error}")),
            None => Ok(object_changes(&before, &after)),
        }
    });
    compared
        .await
        .map_err(|error| DeliveryError::Other(error.into()))?
        .map_err(DeliveryError::Invalid)
}

fn takeover_findings(lang: Lang, live: &Live) -> Vec<Finding> {
    let takeovers = live.iter().filter(|(_, live)| !live.takeovers.is_empty());
    takeovers
        .map(|(object, live)| {
            let fields = live.takeovers.join(", ");
            Finding {
                check: "field-takeover".to_owned(),
                severity: Severity::Warning,
                object: Some(object.clone()),
                location: None,
                message: say(
                    lang,
                    &format!("应用时会从其他管理者手中接管字段：{fields}"),
                    &format!("applying takes fields over from other managers: {fields}"),
                ),
                fix: Some(say(
                    lang,
                    "如果该字段应由对方管理（例如 HPA），请从清单中删除它",
                    "when the other one should keep the field (an HPA, for example), remove it from the manifest",
                )),
            }
        })
        .collect()
}

fn same_rendered(reviewed: &Plan, now: &Plan) -> bool {
    let rendered = |plan: &Plan| -> Vec<_> {
        plan.objects.iter().map(|diff| (diff.object.clone(), diff.rendered_diff.clone())).collect()
    };
    rendered(reviewed) == rendered(now)
}

/// Objects whose effect is another now.
fn differing(reviewed: &Plan, now: &Plan) -> Vec<String> {
    let find = |plan: &Plan, diff: &ObjectDiff| {
        plan.objects.iter().any(|other| {
            other.object == diff.object
                && other.rendered_diff == diff.rendered_diff
                && other.live_diff == diff.live_diff
                && other.takeovers == diff.takeovers
        })
    };
    let gone = reviewed.objects.iter().filter(|diff| !find(now, diff));
    let new = now.objects.iter().filter(|diff| !find(reviewed, diff));
    let mut names: Vec<_> = gone.chain(new).map(|diff| diff.object.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

/// What a plan touches, for the gate.
pub(super) fn scope(source: &Source, plan: &Plan) -> Scope {
    let mut scope = Scope::default();
    for diff in &plan.objects {
        let object = &diff.object;
        let namespace =
            if object.kind == "Namespace" { Some(&object.name) } else { object.namespace.as_ref() };
        scope.namespaces.insert(namespace.cloned().unwrap_or_default());
        scope
            .environments
            .extend(source.unit(&diff.unit).and_then(|unit| unit.environment.clone()));
    }
    let worst = plan.findings.iter().map(|finding| finding.severity).max();
    scope.risk = worst.map(Risk::from).unwrap_or_default();
    scope
}
