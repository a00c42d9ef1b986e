//! What people do with a change: request, approve, reject.

use jiff::Timestamp;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use super::{
    Delivery, DeliveryError, NewChange,
    edits::{branch, commit, summary},
    planning::{Effect, Verdict, scope},
    text::{self, say},
};
use crate::{
    domain::{Actor, Approval, Change, ChangeId, ChangeState, Operation, PlanHash, ThreadId},
    forge::NewReview,
    policy::{Refusal, Scope},
    store::AuditEntry,
};

/// Letters of change ids: base 32, lower case.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl Delivery {
    /// Builds, plans and opens a change for review.
    ///
    /// # Errors
    /// See [`DeliveryError`]; nothing is written then.
    pub async fn propose(
        &self,
        actor: &Actor,
        request: NewChange,
    ) -> Result<Change, DeliveryError> {
        let thread = Some(request.thread.clone());
        let gate = |result: Result<(), Refusal>| result.map_err(DeliveryError::NotPermitted);
        let result = async {
            gate(self.policy.may_request(actor, &Scope::default(), request.lang))?;
            let source = self.source().await?;
            let files = self.edits(&source, &request.operations).await?;
            let objects = self.rendered(&source, &files).await?;
            let mut change = record(actor, request);
            if let Some(denied) = self.reconciler.denied(actor, &objects).await? {
                return Err(DeliveryError::NotPermitted(text::denied(change.lang, &denied)));
            }
            let live = self.reconciler.live(&objects).await?;
            let effect = Effect { files, objects, live };
            let plan = self.plan(&change.id, change.lang, &effect).await?;
            gate(self.policy.may_request(actor, &scope(&source, &plan), change.lang))?;
            change.base = Some(source.tree.revision.clone());
            change.plan = Some(plan);
            Ok(change)
        };
        match result.await {
            Ok(change) => {
                let detail = json!({"request": change.request, "operations": change.operations,
                    "model": change.model, "prompt": change.prompt});
                let change = self.step(change, "request", &actor.name, detail).await?;
                self.open(change).await
            }
            Err(error) => {
                self.note_refusal(actor, thread, None, &error).await?;
                Err(error)
            }
        }
    }

    /// Commits a planned change on its branch and opens its review; also what a kill in between is mended with.
    pub(super) async fn open(&self, mut change: Change) -> Result<Change, DeliveryError> {
        let base = change.base.clone().unwrap_or_default();
        let source = self.source_at(&base).await?;
        let files = self.edits(&source, &change.operations).await?;
        let new = commit(&change, &base, files);
        let head = self.git(move |repository| repository.commit(&new)).await?;
        let review = NewReview {
            branch: branch(&change),
            head: head.clone(),
            title: change.summary.clone(),
            body: change.request.clone(),
        };
        self.forge.open_review(&review).await?;
        change.branch = Some(review.branch);
        change.head = Some(head);
        change.state = ChangeState::Proposed;
        let detail = json!({"plan": change.plan.as_ref().map(|plan| &plan.hash), "base": base, "head": change.head});
        let by = change.requested_by.clone();
        self.step(change, "propose", &by, detail).await
    }

    /// Approves the plan of a change (the one named, or the current one); merging and applying follow by themselves.
    ///
    /// # Errors
    /// See [`DeliveryError`].
    pub async fn approve(
        &self,
        actor: &Actor,
        id: &ChangeId,
        plan: Option<&PlanHash>,
        comment: Option<String>,
    ) -> Result<Change, DeliveryError> {
        let change = self.change(id).await?;
        let thread = Some(change.thread.clone());
        let result = self.approve_change(actor, change, plan, comment).await;
        if let Err(error) = &result {
            self.note_refusal(actor, thread, Some(id), error).await?;
        }
        result
    }

    /// Why the actor could not approve the change as it is now; `None` when they can. For showing it beside the button:
    /// [`Delivery::approve`] decides.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub async fn cannot_approve(
        &self,
        actor: &Actor,
        change: &Change,
    ) -> Result<Option<Refusal>, DeliveryError> {
        let Some(plan) = &change.plan else { return Ok(None) };
        let scope = scope(&*self.source().await?, plan);
        Ok(self.policy.may_approve(actor, change, &scope, Some(&plan.hash)).err())
    }

    async fn approve_change(
        &self,
        actor: &Actor,
        mut change: Change,
        plan: Option<&PlanHash>,
        comment: Option<String>,
    ) -> Result<Change, DeliveryError> {
        expect_proposed(&change)?;
        let (Some(current), Some(head)) = (change.plan.clone(), change.head.clone()) else {
            return Err(DeliveryError::Conflict(format!("{} has no plan yet", change.id)));
        };
        let scope = scope(&*self.source().await?, &current);
        let allowed = self.policy.may_approve(actor, &change, &scope, plan);
        allowed.map_err(DeliveryError::NotPermitted)?;
        if let Verdict::Stale(why) = self.verify(&change).await? {
            let message = why.text(change.lang);
            self.void(change, &message).await?;
            return Err(DeliveryError::Stale(message));
        }
        let approval = Approval {
            by: actor.name.clone(),
            plan: current.hash,
            head,
            comment,
            at: Timestamp::now(),
        };
        let detail =
            json!({"plan": approval.plan, "head": approval.head, "comment": approval.comment});
        change.approvals.push(approval);
        if change.approvals.len() >= self.policy.approvals_needed(&scope) {
            change.state = ChangeState::Approved;
        }
        let change = self.step(change, "approve", &actor.name, detail).await?;
        self.approved.notify_one();
        Ok(change)
    }

    /// Turns a change down.
    ///
    /// # Errors
    /// See [`DeliveryError`].
    pub async fn reject(
        &self,
        actor: &Actor,
        id: &ChangeId,
        comment: Option<String>,
    ) -> Result<Change, DeliveryError> {
        let mut change = self.change(id).await?;
        let thread = Some(change.thread.clone());
        let allowed = expect_proposed(&change).and_then(|()| {
            self.policy.may_reject(actor, &change).map_err(DeliveryError::NotPermitted)
        });
        if let Err(error) = allowed {
            self.note_refusal(actor, thread, Some(id), &error).await?;
            return Err(error);
        }
        let name = &actor.name;
        let why = comment.clone().unwrap_or_default();
        change.state = ChangeState::Rejected;
        change.message = Some(say(
            change.lang,
            &format!("由 {name} 拒绝。{why}"),
            &format!("Turned down by {name}. {why}"),
        ));
        let change = self.step(change, "reject", name, json!({"comment": comment})).await?;
        self.close(&change).await;
        Ok(change)
    }

    /// Marks a change whose plan no longer holds; its approvals are void with it.
    pub(super) async fn void(
        &self,
        mut change: Change,
        message: &str,
    ) -> Result<Change, DeliveryError> {
        change.state = ChangeState::Stale;
        change.message = Some(message.to_owned());
        let change = self.step(change, "stale", "kubemate", json!({"reason": message})).await?;
        self.close(&change).await;
        Ok(change)
    }

    /// Closes the review of a change that is over. A review left open harms nobody: the record decides.
    pub(super) async fn close(&self, change: &Change) {
        let Some(branch) = &change.branch else { return };
        let why = change.message.as_deref().unwrap_or_default();
        if let Err(error) = self.forge.close(branch, why).await {
            tracing::warn!(change = %change.id, %error, "closing a review");
        }
    }

    /// Refusals belong into the audit log; failures of the machinery do not.
    async fn note_refusal(
        &self,
        actor: &Actor,
        thread: Option<ThreadId>,
        change: Option<&ChangeId>,
        error: &DeliveryError,
    ) -> Result<(), DeliveryError> {
        let code: Value = match error {
            DeliveryError::NotPermitted(refusal) => refusal.code.clone().into(),
            DeliveryError::Stale(_) => "stale".into(),
            _ => return Ok(()),
        };
        let entry = AuditEntry {
            at: Timestamp::now(),
            actor: actor.name.clone(),
            action: "refuse".to_owned(),
            thread,
            change: change.cloned(),
            detail: json!({"code": code, "reason": error.to_string()}),
        };
        Ok(self.store.record(entry).await?)
    }
}

fn record(actor: &Actor, request: NewChange) -> Change {
    let now = Timestamp::now();
    let undoes = request.operations.iter().find_map(|operation| match operation {
        Operation::Undo { change } => Some(change.clone()),
        _ => None,
    });
    Change {
        id: new_id(),
        thread: request.thread,
        requested_by: actor.name.clone(),
        request: request.request,
        lang: request.lang,
        summary: summary(&request.operations),
        operations: request.operations,
        model: request.model,
        prompt: request.prompt,
        state: ChangeState::Planning,
        message: None,
        base: None,
        branch: None,
        head: None,
        plan: None,
        approvals: Vec::new(),
        merged: None,
        created: now,
        updated: now,
        applied: None,
        finished: None,
        undoes,
        version: 0,
    }
}

fn new_id() -> ChangeId {
    let mut random = rand::rng();
    let letters =
        (0..8).filter_map(|_| LETTERS.choose(&mut random)).map(|letter| char::from(*letter));
    ChangeId(format!("c-{}", letters.collect::<String>()))
}

/// Only an open proposal can be decided.
fn expect_proposed(change: &Change) -> Result<(), DeliveryError> {
    let id = &change.id;
    let (zh, en) = match change.state {
        ChangeState::Proposed => return Ok(()),
        ChangeState::Planning => {
            (format!("{id} 还在准备中。"), format!("{id} is still being prepared."))
        }
        ChangeState::Stale => {
            let why = change.message.clone().unwrap_or_default();
            return Err(DeliveryError::Stale(why));
        }
        ChangeState::Rejected => {
            (format!("{id} 已被拒绝。"), format!("{id} was turned down already."))
        }
        ChangeState::Failed => (format!("{id} 已失败。"), format!("{id} has failed already.")),
        ChangeState::Approved
        | ChangeState::Merged
        | ChangeState::Applying
        | ChangeState::Healthy
        | ChangeState::Degraded => {
            (format!("{id} 已经获批。"), format!("{id} is approved already."))
        }
    };
    Err(DeliveryError::Conflict(say(change.lang, &zh, &en)))
}
