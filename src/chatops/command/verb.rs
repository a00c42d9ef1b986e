//! The verbs of typed commands.

use crate::domain::Lang;

/// The verbs of typed commands. Everything about a verb is an exhaustive match, which keeps `/help` honest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Scale,
    Image,
    Env,
    Resources,
    Restart,
    Rollback,
    Undo,
    Approve,
    Reject,
    Changes,
    List,
    Describe,
    Logs,
    Events,
    Rollout,
    Top,
    History,
    Problems,
    Help,
}

impl Verb {
    pub(super) const ALL: [Self; 19] = [
        Self::Scale,
        Self::Image,
        Self::Env,
        Self::Resources,
        Self::Restart,
        Self::Rollback,
        Self::Undo,
        Self::Approve,
        Self::Reject,
        Self::Changes,
        Self::List,
        Self::Describe,
        Self::Logs,
        Self::Events,
        Self::Rollout,
        Self::Top,
        Self::History,
        Self::Problems,
        Self::Help,
    ];

    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.word() == word)
    }

    pub(super) fn word(self) -> &'static str {
        let usage = self.usage();
        let end = usage.find(' ').unwrap_or(usage.len());
        &usage[1..end]
    }

    pub(super) fn usage(self) -> &'static str {
        match self {
            Self::Scale => "/scale NAME REPLICAS [-n NAMESPACE]",
            Self::Image => "/image NAME TAG|IMAGE [-c CONTAINER] [-n NAMESPACE]",
            Self::Env => "/env NAME KEY=VALUE... KEY-... [-c CONTAINER] [-n NAMESPACE]",
            Self::Resources => {
                "/resources NAME [requests.|limits.]cpu=500m [requests.|limits.]memory=1Gi [-c CONTAINER] [-n NAMESPACE]"
            }
            Self::Restart => "/restart NAME [-n NAMESPACE]",
            Self::Rollback => "/rollback NAME [COMMIT] [-n NAMESPACE]",
            Self::Undo => "/undo [CHANGE]",
            Self::Approve => "/approve CHANGE [COMMENT]",
            Self::Reject => "/reject CHANGE [COMMENT]",
            Self::Changes => "/changes",
            Self::List => "/list [KIND] [-n NAMESPACE]",
            Self::Describe => "/describe [KIND/]NAME [-n NAMESPACE]",
            Self::Logs => "/logs NAME [-c CONTAINER] [--previous] [-n NAMESPACE]",
            Self::Events => "/events [NAME] [-n NAMESPACE]",
            Self::Rollout => "/rollout NAME [-n NAMESPACE]",
            Self::Top => "/top [NAME] [-n NAMESPACE]",
            Self::History => "/history NAME [-n NAMESPACE]",
            Self::Problems => "/problems [-n NAMESPACE]",
            Self::Help => "/help",
        }
    }

    pub(super) fn about(self, lang: Lang) -> &'static str {
        let (zh, en) = match self {
            Self::Scale => ("调整副本数", "set the number of replicas"),
            Self::Image => ("更换镜像或标签", "set the image or its tag"),
            Self::Env => ("设置或删除环境变量", "set or remove environment variables"),
            Self::Resources => (
                "调整 CPU 和内存（默认是请求值）",
                "set CPU and memory (requests unless said otherwise)",
            ),
            Self::Restart => ("重启", "restart the pods"),
            Self::Rollback => ("回到更早的提交", "go back to an earlier commit"),
            Self::Undo => (
                "撤销一个变更（默认是本对话的上一个）",
                "undo a change (the last one here unless named)",
            ),
            Self::Approve => ("批准变更", "approve a change"),
            Self::Reject => ("拒绝变更", "turn a change down"),
            Self::Changes => ("列出变更", "list the changes"),
            Self::List => ("列出对象", "list objects"),
            Self::Describe => ("查看一个对象", "show one object"),
            Self::Logs => ("查看日志", "show logs"),
            Self::Events => ("查看事件", "show events"),
            Self::Rollout => ("查看副本和发布进度", "show replicas and the progress of a rollout"),
            Self::Top => ("查看资源用量", "show resource usage"),
            Self::History => ("查看变更历史", "show the commits that changed it"),
            Self::Problems => ("现在有什么问题", "show what is wrong right now"),
            Self::Help => ("本帮助", "this help"),
        };
        match lang {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }

    /// Whether its first word is a workload.
    pub(super) fn takes_workload(self) -> bool {
        match self {
            Self::Scale
            | Self::Image
            | Self::Env
            | Self::Resources
            | Self::Restart
            | Self::Rollback
            | Self::Describe
            | Self::Logs
            | Self::Events
            | Self::Rollout
            | Self::Top
            | Self::History => true,
            Self::Undo
            | Self::Approve
            | Self::Reject
            | Self::Changes
            | Self::List
            | Self::Problems
            | Self::Help => false,
        }
    }
}
