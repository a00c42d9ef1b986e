//! The one gate, pure: may this actor request this change, approve this plan?

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::{Actor, Change, Lang, PlanHash, Role, Severity};

/// Who may do what, from the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Approval rules; every rule that matches a change must be met. A change that no rule matches needs one approval.
    pub approvals: Vec<ApprovalRule>,
    /// Namespaces no change may touch; `*` stands for any characters.
    pub protected_namespaces: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let protected = ["kube-system", "kube-public", "kube-node-lease", "kubemate"];
        Self { approvals: Vec::new(), protected_namespaces: protected.map(str::to_owned).to_vec() }
    }
}

/// What some changes need. A list left empty matches everything; patterns may use `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalRule {
    /// Matches when one of the change's namespaces does.
    pub namespaces: Vec<String>,
    /// Matches when one of the change's environments does.
    pub environments: Vec<String>,
    /// Matches from this risk on.
    pub risk: Risk,
    /// How many people must approve, at least one.
    pub count: Option<u32>,
    /// Names or groups whose approval counts; empty means every approver.
    pub approvers: Vec<String>,
}

/// How much can go wrong, from the findings of the checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// No remarks worth a thought.
    #[default]
    Low,
    /// Warnings.
    Medium,
    /// Errors.
    High,
}

/// What a change touches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Namespaces of its objects; `""` for cluster-scoped ones.
    pub namespaces: BTreeSet<String>,
    /// Environments of its units.
    pub environments: BTreeSet<String>,
    /// From its findings.
    pub risk: Risk,
}

/// Why something may not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Machine-readable: `requester-approves`, `no-approver-role`, `protected-namespace`, ...
    pub code: String,
    /// For the operator, in their language.
    pub reason: String,
}

/// The gate.
#[derive(Debug, Clone)]
pub struct Policy {
    config: Config,
}

impl Policy {
    /// With these rules.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// May the actor request a change of this scope?
    ///
    /// # Errors
    /// The refusal.
    pub fn may_request(&self, actor: &Actor, scope: &Scope, lang: Lang) -> Result<(), Refusal> {
        if !actor.has(Role::Operator) {
            return Err(refuse(
                lang,
                "no-operator-role",
                &format!("{} 没有提出变更的权限（需要 operator 角色）；请联系管理员。", actor.name),
                &format!(
                    "{} may not request changes (the operator role is needed); ask an administrator.",
                    actor.name
                ),
            ));
        }
        let protected = scope
            .namespaces
            .iter()
            .find(|ns| self.config.protected_namespaces.iter().any(|pattern| matches(pattern, ns)));
        match protected {
            None => Ok(()),
            Some(ns) => Err(refuse(
                lang,
                "protected-namespace",
                &format!(
                    "命名空间 {ns} 受保护，不能通过 kubemate 变更；请直接修改仓库并走其评审流程。"
                ),
                &format!(
                    "namespace {ns} is protected and cannot be changed through kubemate; change the repository \
                     directly, under its own review."
                ),
            )),
        }
    }

    /// May the actor approve this plan of this change?
    ///
    /// # Errors
    /// The refusal.
    pub fn may_approve(
        &self,
        actor: &Actor,
        change: &Change,
        scope: &Scope,
        plan: Option<&PlanHash>,
    ) -> Result<(), Refusal> {
        let (lang, id, name) = (change.lang, &change.id, &actor.name);
        let no = |code: &str, zh: &str, en: &str| Err(refuse(lang, code, zh, en));
        if change.requested_by == *name {
            return no(
                "requester-approves",
                &format!("变更 {id} 是 {name} 提出的，必须由另一个人批准。"),
                &format!("{name} requested {id}, so another person must approve it."),
            );
        }
        if !actor.has(Role::Approver) {
            return no(
                "no-approver-role",
                &format!("{name} 没有批准权限（需要 approver 角色）；请找一位审批人。"),
                &format!("{name} may not approve (the approver role is needed); ask an approver."),
            );
        }
        if let Some(rule) = self.rules(scope).find(|rule| !rule.names(actor)) {
            let who = rule.approvers.join(", ");
            return no(
                "not-an-approver-here",
                &format!("这个变更只能由以下人员或组批准：{who}。"),
                &format!("only these people or groups may approve this change: {who}."),
            );
        }
        if change.approvals.iter().any(|approval| approval.by == *name) {
            return no(
                "approved-already",
                &format!("{name} 已经批准过 {id}；还需要另一个人批准。"),
                &format!("{name} approved {id} already; another person's approval is missing."),
            );
        }
        if scope.risk == Risk::High {
            return no(
                "blocking-findings",
                &format!("{id} 有必须先解决的检查错误；请修改后重新提出。"),
                &format!(
                    "{id} has check errors that must be resolved first; request it again without them."
                ),
            );
        }
        if plan.is_some() && plan != change.plan.as_ref().map(|plan| &plan.hash) {
            return no(
                "another-plan",
                &format!("批准的不是 {id} 当前的计划；请重新查看后再批准。"),
                &format!("the plan approved is not the current one of {id}; look at it again."),
            );
        }
        Ok(())
    }

    /// May the actor turn the change down? The requester may withdraw it; approvers may reject it.
    ///
    /// # Errors
    /// The refusal.
    pub fn may_reject(&self, actor: &Actor, change: &Change) -> Result<(), Refusal> {
        if actor.has(Role::Approver) || change.requested_by == actor.name {
            return Ok(());
        }
        let name = &actor.name;
        Err(refuse(
            change.lang,
            "no-approver-role",
            &format!("{name} 不能拒绝别人的变更（需要 approver 角色）。"),
            &format!(
                "{name} may not reject another person's change (the approver role is needed)."
            ),
        ))
    }

    /// How many people must approve a change of this scope.
    #[must_use]
    pub fn approvals_needed(&self, scope: &Scope) -> usize {
        let needed = self.rules(scope).map(|rule| rule.count.unwrap_or(1)).max().unwrap_or(1);
        usize::try_from(needed.max(1)).unwrap_or(usize::MAX)
    }

    fn rules<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a ApprovalRule> {
        self.config.approvals.iter().filter(move |rule| rule.covers(scope))
    }
}

impl ApprovalRule {
    fn covers(&self, scope: &Scope) -> bool {
        let any = |patterns: &[String], values: &BTreeSet<String>| {
            patterns.is_empty() || patterns.iter().any(|p| values.iter().any(|v| matches(p, v)))
        };
        any(&self.namespaces, &scope.namespaces)
            && any(&self.environments, &scope.environments)
            && scope.risk >= self.risk
    }

    fn names(&self, actor: &Actor) -> bool {
        self.approvers.is_empty()
            || self.approvers.iter().any(|who| *who == actor.name || actor.groups.contains(who))
    }
}

impl From<Severity> for Risk {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Low,
            Severity::Warning => Self::Medium,
            Severity::Error => Self::High,
        }
    }
}

fn refuse(lang: Lang, code: &str, zh: &str, en: &str) -> Refusal {
    let reason = if lang == Lang::Zh { zh } else { en };
    Refusal { code: code.to_owned(), reason: reason.to_owned() }
}

/// Whether `text` matches `pattern`, where `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((prefix, rest)) => text.strip_prefix(prefix).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|at| tail.is_char_boundary(*at))
                .any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests;
