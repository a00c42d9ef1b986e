//! The agent's own words in both languages. What tools and models say is not here.

use std::collections::BTreeMap;

use super::draft::Verb;
use crate::domain::{Lang, Workload};

/// Picks the text of the reader's language.
pub(super) fn pick(lang: Lang, zh: &str, en: &str) -> String {
    match lang {
        Lang::Zh => zh.to_owned(),
        Lang::En => en.to_owned(),
    }
}

fn list(lang: Lang, names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(12).map(AsRef::as_ref).collect();
    let joined = shown.join(match lang {
        Lang::Zh => "、",
        Lang::En => ", ",
    });
    let more = names.len().saturating_sub(12);
    if more == 0 { joined } else { format!("{joined} (+{more})") }
}

/// What a verb does, in two or three words.
pub(super) fn verb(lang: Lang, verb: Verb) -> String {
    let (zh, en) = match verb {
        Verb::Scale => ("调整副本数", "change the number of replicas"),
        Verb::SetImage => ("更换镜像版本", "change the image version"),
        Verb::SetEnv => ("修改环境变量", "change environment variables"),
        Verb::SetResources => ("调整 CPU/内存", "change CPU or memory"),
        Verb::Restart => ("重启", "restart"),
        Verb::Rollback => ("回滚", "roll back"),
        Verb::Undo => ("撤销变更", "undo a change"),
    };
    pick(lang, zh, en)
}

pub(super) fn whose_logs(lang: Lang) -> String {
    pick(lang, "要看哪个工作负载的日志？", "Whose logs? Name a workload.")
}

pub(super) fn logs_of(lang: Lang, name: &str, namespaces: &[String]) -> String {
    let place = namespaces.join(" ");
    pick(lang, &format!("{place} 的 {name} 日志"), &format!("logs of {name} in {place}"))
}

pub(super) fn which_verb(lang: Lang) -> String {
    pick(lang, "要做哪一种变更？", "Which change do you mean?")
}

pub(super) fn which_change(lang: Lang) -> String {
    pick(
        lang,
        "要撤销哪个变更？请给出变更编号（形如 c-xxxxxxxx），用 /changes 可以列出。",
        "Which change should be undone? Give its id (like c-xxxxxxxx); /changes lists them.",
    )
}

pub(super) fn which_workload(lang: Lang, of: Verb) -> String {
    let what = verb(lang, of);
    match lang {
        Lang::Zh => format!("要对哪个工作负载{what}？"),
        Lang::En => format!("Which workload do you mean ({what})?"),
    }
}

pub(super) fn which_of(lang: Lang, names: &[String]) -> String {
    let names = list(lang, names);
    match lang {
        Lang::Zh => format!("您指的是哪一个：{names}？"),
        Lang::En => format!("Which one do you mean: {names}?"),
    }
}

pub(super) fn unknown_workload(
    lang: Lang,
    word: &str,
    near: &[String],
    known: &[String],
) -> String {
    match (lang, near.is_empty()) {
        (Lang::Zh, false) => {
            format!("没有名为“{word}”的工作负载。您是不是指 {}？", list(lang, near))
        }
        (Lang::Zh, true) => format!("没有名为“{word}”的工作负载。现有：{}。", list(lang, known)),
        (Lang::En, false) => {
            format!("There is no workload named \"{word}\". Did you mean {}?", list(lang, near))
        }
        (Lang::En, true) => {
            format!("There is no workload named \"{word}\". There are: {}.", list(lang, known))
        }
    }
}

pub(super) fn unknown_place(lang: Lang, word: &str, known: &[String]) -> String {
    let known = list(lang, known);
    match lang {
        Lang::Zh => format!("没有名为“{word}”的命名空间或环境。可选：{known}。"),
        Lang::En => format!("There is no namespace or environment \"{word}\". There are: {known}."),
    }
}

pub(super) fn not_there(lang: Lang, name: &str, said: &str, places: &[String]) -> String {
    let places = list(lang, places);
    match lang {
        Lang::Zh => format!("{name} 不在 {said} 里；它在：{places}。要改哪一个？"),
        Lang::En => format!("{name} is not in {said}; it is in {places}. Which one do you mean?"),
    }
}

pub(super) fn which_place(lang: Lang, name: &str, places: &[String]) -> String {
    let places = list(lang, places);
    match lang {
        Lang::Zh => format!("{name} 不止一个：{places}。要改哪一个？"),
        Lang::En => format!("{name} exists in {places}. Which one do you mean?"),
    }
}

pub(super) fn which_kind(lang: Lang, name: &str) -> String {
    match lang {
        Lang::Zh => format!("有几种对象都叫 {name}。您指的是哪一种？"),
        Lang::En => format!("Several kinds of objects are named {name}. Which one do you mean?"),
    }
}

pub(super) fn too_many(lang: Lang, count: usize) -> String {
    match lang {
        Lang::Zh => format!("这涉及 {count} 个工作负载，不能一次处理。请说出它们的名字。"),
        Lang::En => format!(
            "That is {count} workloads, which cannot be done at once. Name the ones you mean."
        ),
    }
}

pub(super) fn confirm_all(lang: Lang, of: Verb, names: &[String]) -> String {
    let (what, count) = (verb(lang, of), names.len());
    let names = names.join(", ");
    match lang {
        Lang::Zh => format!("这会对 {count} 个工作负载{what}：{names}。确定吗？"),
        Lang::En => {
            format!("That means {count} workloads ({what}): {names}. Is that what you want?")
        }
    }
}

pub(super) fn how_many(lang: Lang, name: &str, now: i64) -> String {
    match lang {
        Lang::Zh => format!("{name} 要多少个副本？目前是 {now} 个。"),
        Lang::En => format!("How many replicas should {name} have? It has {now} now."),
    }
}

pub(super) fn to_or_by(lang: Lang, name: &str, now: i64, said: i64) -> String {
    match lang {
        Lang::Zh => format!("{name} 目前有 {now} 个副本：是调整到 {said} 个，还是增减 {said} 个？"),
        Lang::En => format!("{name} has {now} replicas now: to {said}, or by {said}?"),
    }
}

pub(super) fn odd_half(lang: Lang, name: &str, now: i64) -> String {
    match lang {
        Lang::Zh => format!("{name} 目前有 {now} 个副本，不能正好减半。要多少个？"),
        Lang::En => {
            format!("{name} has {now} replicas, which cannot be halved. How many should it have?")
        }
    }
}

pub(super) fn contradiction(lang: Lang, name: &str) -> String {
    match lang {
        Lang::Zh => format!("对 {name} 说了两个不同的值。要哪一个？"),
        Lang::En => format!("Two different values were said for {name}. Which one should it be?"),
    }
}

pub(super) fn replicas_range(lang: Lang, said: &str, max: u32) -> String {
    match lang {
        Lang::Zh => {
            format!("副本数必须是 0 到 {max} 之间的整数（得到的是 {said}），没有做任何改动。")
        }
        Lang::En => format!(
            "The number of replicas must be a whole number from 0 to {max} (got {said}); nothing was changed."
        ),
    }
}

pub(super) fn no_replicas(lang: Lang, name: &str, kind: &str) -> String {
    match lang {
        Lang::Zh => format!("{name} 是 {kind}，没有副本数可以调整。"),
        Lang::En => format!("{name} is a {kind}, which has no number of replicas to change."),
    }
}

pub(super) fn which_image(lang: Lang, workloads: &[&Workload]) -> String {
    let now: Vec<&str> =
        workloads.iter().flat_map(|w| &w.containers).map(|c| c.image.as_str()).take(4).collect();
    let now = list(lang, &now);
    match lang {
        Lang::Zh => format!("要用哪个镜像版本？目前是 {now}。"),
        Lang::En => format!("Which image version should it run? It runs {now} now."),
    }
}

pub(super) fn bad_image(lang: Lang, said: &str) -> String {
    match lang {
        Lang::Zh => format!(
            "“{said}”不是有效的镜像标签或引用（只能有字母、数字和 . _ - : / @，不能有空格），没有做任何改动。"
        ),
        Lang::En => format!(
            "\"{said}\" is not a valid image tag or reference (letters, digits and . _ - : / @, no spaces); nothing was changed."
        ),
    }
}

pub(super) fn which_variable(lang: Lang) -> String {
    pick(
        lang,
        "要设置或删除哪个环境变量？请写成 名字=值。",
        "Which environment variable, and to what value? Write NAME=VALUE.",
    )
}

pub(super) fn which_value(lang: Lang, key: &str) -> String {
    match lang {
        Lang::Zh => format!("{key} 要设成什么值？含空格的值请加引号。"),
        Lang::En => format!("What should {key} be set to? Quote a value with spaces."),
    }
}

pub(super) fn secret_in_env(lang: Lang, key: &str) -> String {
    match lang {
        Lang::Zh => format!("{key} 看起来是机密。机密不会以明文写进 git；请用 Secret 引用它。"),
        Lang::En => format!(
            "{key} looks like a secret, and secrets are not written to git in the clear; reference a Secret instead."
        ),
    }
}

pub(super) fn bad_amount(lang: Lang, said: &str) -> String {
    match lang {
        Lang::Zh => format!("“{said}”作为 CPU 或内存的量不清楚。请写成例如 cpu 500m、内存 1Gi。"),
        Lang::En => format!(
            "\"{said}\" is not clear as an amount of CPU or memory. Write for example cpu 500m or memory 1Gi."
        ),
    }
}

pub(super) fn unclear_value(lang: Lang, said: &str) -> String {
    match lang {
        Lang::Zh => format!("不清楚“{said}”指的是什么。请把每个变更分开说。"),
        Lang::En => {
            format!("It is not clear what \"{said}\" stands for. Say each change on its own.")
        }
    }
}

pub(super) fn which_amount(lang: Lang) -> String {
    pick(
        lang,
        "要改成多少？例如：内存限制 1Gi，CPU 请求 500m。",
        "How much? For example: memory limit 1Gi, CPU request 500m.",
    )
}

pub(super) fn which_scope(lang: Lang, amounts: &BTreeMap<String, String>) -> String {
    let said: Vec<String> = amounts.iter().map(|(k, v)| format!("{k} {v}")).collect();
    let said = list(lang, &said);
    match lang {
        Lang::Zh => format!("{said}：是请求值（requests）还是限制值（limits）？"),
        Lang::En => format!("{said}: as the request or as the limit?"),
    }
}

pub(super) fn requests(lang: Lang) -> String {
    pick(lang, "请求值", "request")
}

pub(super) fn limits(lang: Lang) -> String {
    pick(lang, "限制值", "limit")
}

pub(super) fn both(lang: Lang) -> String {
    pick(lang, "两者都改", "both")
}

pub(super) fn yes(lang: Lang) -> String {
    pick(lang, "确定", "yes")
}

pub(super) fn no(lang: Lang) -> String {
    pick(lang, "取消", "no")
}

pub(super) fn which_container(
    lang: Lang,
    name: &str,
    said: Option<&str>,
    names: &[&str],
) -> String {
    let all = list(lang, names);
    match (lang, said) {
        (Lang::Zh, Some(said)) => {
            format!("{name} 没有名为 {said} 的容器；它的容器有：{all}。要改哪一个？")
        }
        (Lang::Zh, None) => format!("{name} 有几个容器：{all}。要改哪一个？"),
        (Lang::En, Some(said)) => {
            format!("{name} has no container {said}; it has {all}. Which one do you mean?")
        }
        (Lang::En, None) => format!("{name} has several containers: {all}. Which one do you mean?"),
    }
}

pub(super) fn not_permitted(lang: Lang) -> String {
    pick(
        lang,
        "您的角色只能查看，不能提出变更；请联系有 operator 角色的同事或管理员。",
        "Your role may only look; it may not request changes. Ask somebody with the operator role, or an administrator.",
    )
}

pub(super) fn review_required(lang: Lang) -> String {
    pick(
        lang,
        "每个变更都要由另一个人审批后才会生效，不能跳过，也不能由我批准。去掉这一条再说一次，我就把变更提交评审。",
        "Every change takes effect only after another person has approved it; that cannot be skipped, and I cannot approve. Ask again without that and I will propose the change for review.",
    )
}

pub(super) fn secret(lang: Lang) -> String {
    pick(
        lang,
        "密码、令牌和 Secret 的内容不会在聊天里显示。我可以告诉您有哪些 Secret 以及谁在用它们。",
        "Passwords, tokens and the contents of Secrets are not shown in chat. I can tell which Secrets exist and what uses them.",
    )
}

pub(super) fn overridden(lang: Lang) -> String {
    pick(
        lang,
        "我的规则不能被消息改变。请直接说要查什么，或要提出什么变更。",
        "A message cannot change my rules. Say what you want to know, or which change to propose.",
    )
}

/// What can be done, in one line.
pub(super) fn abilities(lang: Lang) -> String {
    pick(
        lang,
        "我可以查看工作负载的状态、日志、事件和资源用量，也可以提出变更（扩缩容、镜像、环境变量、CPU/内存、重启、回滚、撤销），经他人审批后生效。输入 /help 查看命令。",
        "I can look at workloads (status, logs, events, usage, history) and propose changes (scale, image, environment variables, CPU and memory, restart, roll back, undo) that somebody else approves. /help lists the commands.",
    )
}

pub(super) fn nothing_pending(lang: Lang) -> String {
    format!(
        "{}{}",
        pick(lang, "现在没有等待确认的问题。", "Nothing is waiting for an answer. "),
        abilities(lang)
    )
}

pub(super) fn how_to(lang: Lang) -> String {
    pick(
        lang,
        "直接说出来就可以，例如“把 名字 扩到 5 个副本”或“重启 名字”；我会把它做成一次提交，由另一个人审批后生效。/help 列出等价的命令。",
        "Just say it, for example \"scale NAME to 5\" or \"restart NAME\": I turn it into a commit that takes effect once somebody else approves it. /help lists the commands that do the same.",
    )
}

pub(super) fn greeting(lang: Lang) -> String {
    format!("{}{}", pick(lang, "您好！", "Hello! "), abilities(lang))
}

pub(super) fn irrelevant(lang: Lang) -> String {
    format!(
        "{}{}",
        pick(lang, "这超出了我的工作范围。", "That is outside what I do. "),
        abilities(lang)
    )
}

pub(super) fn unsupported(lang: Lang, what: &str) -> String {
    match lang {
        Lang::Zh => format!("没有工具可以做“{what}”。{}", abilities(lang)),
        Lang::En => format!("No tool can do \"{what}\". {}", abilities(lang)),
    }
}

pub(super) fn negated(lang: Lang) -> String {
    pick(
        lang,
        "明白，什么都不会改。如果要做变更，请直接说要做什么。",
        "Understood, nothing is changed. Say what to do when you want a change.",
    )
}

pub(super) fn conditional(lang: Lang) -> String {
    pick(
        lang,
        "我不能等待条件发生后自动变更。要现在就提出这个变更吗？",
        "I cannot wait for a condition and then act. Should I propose the change now?",
    )
}

pub(super) fn later(lang: Lang) -> String {
    pick(
        lang,
        "我不能定时执行变更。要现在就提出这个变更吗？（何时合并由审批人决定）",
        "I cannot schedule changes. Should I propose it now? (The approver decides when to merge.)",
    )
}

pub(super) fn confirm(lang: Lang, what: &str) -> String {
    match lang {
        Lang::Zh => format!("要我提出这个变更吗：{what}？"),
        Lang::En => format!("Should I propose this change: {what}?"),
    }
}

pub(super) fn abandoned(lang: Lang) -> String {
    pick(lang, "好的，什么都没有改。", "All right, nothing was changed.")
}

pub(super) fn approve_how(lang: Lang, change: Option<&str>) -> String {
    match (lang, change) {
        (Lang::Zh, Some(id)) => format!("审批要指明变更：输入 /approve {id}，或点击变更卡片上的按钮（不能批准自己提出的变更）。"),
        (Lang::Zh, None) => "这里没有等待审批的变更。用 /changes 查看，用 /approve 变更编号 批准。".to_owned(),
        (Lang::En, Some(id)) => format!("An approval names its change: /approve {id}, or the button on its card (not for your own requests)."),
        (Lang::En, None) => "No change is waiting in this thread. /changes lists them, /approve CHANGE approves one.".to_owned(),
    }
}

pub(super) fn not_understood(lang: Lang) -> String {
    pick(
        lang,
        "没有看懂要做什么变更。请说明动作、工作负载和数值，或用 /help 里的命令。",
        "I did not understand which change you want. Name the action, the workload and the value, or use a command from /help.",
    )
}

pub(super) fn stop_means(lang: Lang, name: &str) -> String {
    match lang {
        Lang::Zh => format!("停掉 {name} 的意思是把副本数改为 0 吗？"),
        Lang::En => format!("Does stopping {name} mean scaling it to 0 replicas?"),
    }
}

pub(super) fn too_long(lang: Lang, chars: usize, limit: usize) -> String {
    match lang {
        Lang::Zh => format!("消息太长（{chars} 个字符，上限 {limit}），请缩短。"),
        Lang::En => {
            format!("The message has {chars} characters and the limit is {limit}; shorten it.")
        }
    }
}

pub(super) fn no_model(lang: Lang) -> String {
    pick(
        lang,
        "没有可用的模型，这个问题需要它。可以用命令代替，例如 /problems、/rollout、/logs；/help 列出全部。",
        "No model is available and this needs one. Use a command instead, for example /problems, /rollout or /logs; /help lists them all.",
    )
}

pub(super) fn model_failed(lang: Lang, error: &str) -> String {
    match lang {
        Lang::Zh => format!(
            "模型没有给出可用的结果（{error}）。请换个说法再试，或用 /help 里的命令；kubemate doctor 会检查模型。"
        ),
        Lang::En => format!(
            "The model gave nothing usable ({error}). Say it differently, or use a command from /help; kubemate doctor checks the model."
        ),
    }
}

pub(super) fn out_of_time(lang: Lang, seconds: u64) -> String {
    match lang {
        Lang::Zh => format!("这一轮超过了 {seconds} 秒的时限，已停止，没有做任何改动。"),
        Lang::En => format!(
            "This took longer than the limit of {seconds} s and was stopped; nothing was changed."
        ),
    }
}

/// No call brought anything back.
pub(super) fn nothing_read(lang: Lang) -> String {
    pick(
        lang,
        "这次没有查到任何数据；请换个说法，或用 /help 看看能查什么。",
        "nothing was read this time; say it in other words, or see /help for what can be read",
    )
}
