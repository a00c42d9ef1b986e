//! What the change loop says to people about a change, in both languages, in one place.

use crate::{
    domain::{Health, Lang},
    policy::Refusal,
    reconcile::{Denied, Progress, Step},
};

/// Why a plan no longer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stale {
    /// Somebody pushed to the review branch.
    Pushed,
    /// The review branch is gone.
    Gone,
    /// The review was merged by somebody else than kubemate.
    MergedElsewhere,
    /// The main branch changed the same lines.
    Conflicts(Vec<String>),
    /// The same request would do something else now: the main branch or the live objects changed.
    Drifted {
        /// Whether the main branch moved; otherwise the live objects drifted.
        main: bool,
        /// What differs, as far as it can be told.
        objects: Vec<String>,
    },
    /// The cluster would refuse it now.
    Refused(String),
}

impl Stale {
    pub(super) fn text(&self, lang: Lang) -> String {
        let (zh, en) = match self {
            Self::Pushed => (
                "提出之后有人向评审分支推送了新的提交。".to_owned(),
                "somebody pushed to its review branch after it was proposed.".to_owned(),
            ),
            Self::Gone => {
                ("评审分支已被删除。".to_owned(), "its review branch was deleted.".to_owned())
            }
            Self::MergedElsewhere => (
                "评审分支已被人在 kubemate 之外合并。".to_owned(),
                "its review branch was merged by somebody outside kubemate.".to_owned(),
            ),
            Self::Conflicts(paths) => (
                format!("主分支上也改了同样的行：{}。", paths.join("、")),
                format!("the main branch changed the same lines: {}.", paths.join(", ")),
            ),
            Self::Drifted { main: true, objects } => (
                format!("主分支有了新的提交，效果与评审时不同（{}）。", objects.join("、")),
                format!(
                    "the main branch moved and the effect is no longer the one reviewed ({}).",
                    objects.join(", ")
                ),
            ),
            Self::Drifted { main: false, objects } => (
                format!("集群中的对象在评审之后被改动了（{}）。", objects.join("、")),
                format!("live objects were changed after the review ({}).", objects.join(", ")),
            ),
            Self::Refused(why) => (
                format!("集群现在会拒绝它：{why}。"),
                format!("the cluster would refuse it now: {why}."),
            ),
        };
        say(lang, &zh, &en)
    }
}

pub(super) fn say(lang: Lang, zh: &str, en: &str) -> String {
    (if lang == Lang::Zh { zh } else { en }).to_owned()
}

pub(super) fn denied(lang: Lang, denied: &Denied) -> Refusal {
    let Denied { user, verb, object } = denied;
    Refusal {
        code: "rbac".to_owned(),
        reason: say(
            lang,
            &format!(
                "{user} 自己的集群账号没有对 {object} 执行 {verb} 的权限；请向集群管理员申请。"
            ),
            &format!(
                "{user}'s own cluster account may not {verb} {object}; ask the cluster's administrator for it."
            ),
        ),
    }
}

/// One line of progress; `None` for what needs no telling.
pub(super) fn progress(lang: Lang, progress: &Progress) -> Option<String> {
    Some(match progress {
        Progress::Applied { object, step } => {
            let (zh, en) = match step {
                Step::Created => ("已创建".to_owned(), "created".to_owned()),
                Step::Configured => ("已更新".to_owned(), "configured".to_owned()),
                Step::Unchanged => ("无变化".to_owned(), "unchanged".to_owned()),
                Step::Pruned => ("已删除".to_owned(), "deleted".to_owned()),
                Step::Kept(why) => (format!("未删除：{why}"), format!("not deleted: {why}")),
                Step::Failed(why) => (format!("失败：{why}"), format!("failed: {why}")),
            };
            format!("{object} {}", say(lang, &zh, &en))
        }
        Progress::Health { object, health, message } => {
            let (zh, en) = match health {
                Health::Healthy => ("健康", "is healthy"),
                Health::Progressing => ("进行中", "in progress"),
                Health::Degraded => ("不健康", "is degraded"),
                Health::Unknown => return None,
            };
            let why = if message.is_empty() { String::new() } else { format!(": {message}") };
            format!("{object} {}{why}", say(lang, zh, en))
        }
    })
}
