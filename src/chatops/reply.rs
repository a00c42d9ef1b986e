//! The bot's own words, in both languages, in one place. What tools and models say is not here.

use super::summary::summary;
use crate::{
    delivery::DeliveryError,
    domain::{Block, Change, ChangeState, Choice, Lang},
};

/// Picks the text of the reader's language.
#[must_use]
pub fn pick<'a>(lang: Lang, zh: &'a str, en: &'a str) -> &'a str {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// A text block.
#[must_use]
pub fn text(text: impl Into<String>) -> Vec<Block> {
    vec![Block::Text { text: text.into() }]
}

/// Something failed; says what to do.
#[must_use]
pub fn error(message: impl Into<String>) -> Vec<Block> {
    vec![Block::Error { message: message.into() }]
}

/// A refusal with its reason.
#[must_use]
pub fn refusal(code: impl Into<String>, reason: impl Into<String>) -> Vec<Block> {
    vec![Block::Refusal { code: code.into(), reason: reason.into() }]
}

/// A question back.
#[must_use]
pub fn question(question: impl Into<String>, choices: Vec<Choice>) -> Vec<Block> {
    vec![Block::Choices { question: question.into(), choices }]
}

/// The card of a change with one line about where it stands.
#[must_use]
pub fn change(lang: Lang, change: &Change) -> Vec<Block> {
    let card = Block::Change {
        change: change.id.clone(),
        state: change.state,
        summary: summary(lang, change),
    };
    vec![Block::Text { text: state_line(lang, change) }, card]
}

/// What the thread is told when a change reaches `change.state`.
#[must_use]
pub fn state_line(lang: Lang, change: &Change) -> String {
    let id = &change.id;
    let why = change.message.as_deref().unwrap_or_default();
    match (change.state, lang) {
        (ChangeState::Planning, Lang::Zh) => format!("正在准备变更 {id}。"),
        (ChangeState::Planning, Lang::En) => format!("Preparing change {id}."),
        (ChangeState::Proposed, Lang::Zh) => {
            format!(
                "已提出变更 {id}，需要另一位有审批权限的人批准：控制台的“变更”页，或 `/approve {id}`。"
            )
        }
        (ChangeState::Proposed, Lang::En) => format!(
            "Proposed change {id}. Someone else with the approver role has to approve it: on the Changes page, or `/approve {id}`."
        ),
        (ChangeState::Approved, Lang::Zh) => format!("变更 {id} 已获批准，正在合并。"),
        (ChangeState::Approved, Lang::En) => format!("Change {id} is approved and being merged."),
        (ChangeState::Merged, Lang::Zh) => {
            format!("变更 {id} 已合并（{}），即将应用。", commit(change))
        }
        (ChangeState::Merged, Lang::En) => {
            format!("Change {id} is merged ({}) and about to be applied.", commit(change))
        }
        (ChangeState::Applying, Lang::Zh) => format!("正在应用变更 {id}。"),
        (ChangeState::Applying, Lang::En) => format!("Applying change {id}."),
        (ChangeState::Healthy, Lang::Zh) => format!(
            "变更 {id} 已生效且健康：{}（提交 {}，用时 {}）。要撤销请用 `/undo {id}`。",
            objects(change),
            commit(change),
            took(change)
        ),
        (ChangeState::Healthy, Lang::En) => format!(
            "Change {id} is applied and healthy: {} (commit {}, took {}). To undo it: `/undo {id}`.",
            objects(change),
            commit(change),
            took(change)
        ),
        (ChangeState::Degraded, Lang::Zh) => {
            format!("变更 {id} 已应用但不健康：{why} 要撤销请用 `/undo {id}`。")
        }
        (ChangeState::Degraded, Lang::En) => {
            format!("Change {id} is applied but not healthy: {why} To revert it: `/undo {id}`.")
        }
        (ChangeState::Rejected, Lang::Zh) => format!("变更 {id} 被拒绝。{why}"),
        (ChangeState::Rejected, Lang::En) => format!("Change {id} was rejected. {why}"),
        (ChangeState::Stale, Lang::Zh) => {
            format!("变更 {id} 的计划已失效，未做任何改动：{why} 请重新提出请求。")
        }
        (ChangeState::Stale, Lang::En) => format!(
            "The plan of change {id} no longer holds and nothing was applied: {why} Please ask again."
        ),
        (ChangeState::Failed, Lang::Zh) if change.merged.is_some() => format!(
            "变更 {id} 已合并（提交 {}），但没有全部应用：{why} 要撤销请用 `/undo {id}`。",
            commit(change)
        ),
        (ChangeState::Failed, Lang::En) if change.merged.is_some() => format!(
            "Change {id} is merged (commit {}) but was not applied as a whole: {why} To revert it: `/undo {id}`.",
            commit(change)
        ),
        (ChangeState::Failed, Lang::Zh) => format!("变更 {id} 失败：{why}"),
        (ChangeState::Failed, Lang::En) => format!("Change {id} failed: {why}"),
    }
}

/// The process was stopped while it worked on the message.
#[must_use]
pub fn interrupted(lang: Lang) -> Vec<Block> {
    error(pick(
        lang,
        "处理这条消息时 kubemate 重启了，没有做任何改动。请再发一次。",
        "kubemate was restarted while working on this message; nothing was changed. Please send it again.",
    ))
}

/// Why a change was not proposed or decided.
#[must_use]
pub fn delivery_error(failed: &DeliveryError) -> Vec<Block> {
    match failed {
        DeliveryError::NotPermitted(why) => refusal(&why.code, &why.reason),
        DeliveryError::Invalid(reason) => refusal("invalid", reason),
        DeliveryError::NotFound(_) => refusal("unknown-change", failed.to_string()),
        DeliveryError::Stale(reason) => refusal("stale", reason),
        DeliveryError::Conflict(reason) => refusal("conflict", reason),
        DeliveryError::Unavailable(_) | DeliveryError::Store(_) | DeliveryError::Other(_) => {
            error(format!("{failed:#}"))
        }
    }
}

/// The list of changes, newest first.
#[must_use]
pub fn changes(lang: Lang, changes: &[Change]) -> Vec<Block> {
    if changes.is_empty() {
        return text(pick(lang, "还没有变更。", "There are no changes yet."));
    }
    changes
        .iter()
        .map(|change| Block::Change {
            change: change.id.clone(),
            state: change.state,
            summary: summary(lang, change),
        })
        .collect()
}

fn commit(change: &Change) -> String {
    change.merged.as_deref().map_or_else(|| "-".to_owned(), |sha| sha.chars().take(8).collect())
}

fn objects(change: &Change) -> String {
    let names: Vec<String> = change
        .plan
        .iter()
        .flat_map(|plan| &plan.objects)
        .map(|diff| format!("`{}`", diff.object))
        .collect();
    names.join(", ")
}

/// Time from the beginning of the apply to health.
fn took(change: &Change) -> String {
    match (change.applied, change.finished) {
        (Some(from), Some(to)) => format!("{:.1} s", to.duration_since(from).as_secs_f64()),
        _ => "-".to_owned(),
    }
}
