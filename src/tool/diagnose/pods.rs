//! What is wrong with a pod, container by container.

use serde_json::Value;

use super::{Problem, Teller, belongs_to, warning};
use crate::domain::Severity;
use crate::tool::read::{age, list, number, text, time};

/// Restarts after which a container that runs again is still mentioned.
const RESTARTS: u64 = 3;
/// Seconds a pod may take to become ready before it is mentioned.
const GRACE: i64 = 60;
/// Seconds a pod may take to go away.
const TERMINATION: i64 = 600;
/// Seconds for which a kill by memory pressure is worth telling after the container runs again.
const RECENT: i64 = 3_600;

/// The problems of one pod, named after the workload it belongs to.
pub(super) fn problems(pod: &Value, events: &[Value], teller: Teller) -> Vec<Problem> {
    let (kind, name) = belongs_to(pod);
    let namespace = text(pod, "/metadata/namespace").to_owned();
    let told = |tale: Tale| Problem {
        severity: tale.severity,
        kind: kind.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
        reason: tale.reason,
        cause: tale.cause,
        detail: format!("{}: {}", text(pod, "/metadata/name"), tale.detail),
        advice: tale.advice,
        count: 1,
    };
    if text(pod, "/status/phase") == "Succeeded" {
        return Vec::new();
    }
    if let Some(tale) = whole_pod(pod, teller) {
        return vec![told(tale)];
    }
    let mut tales = Vec::new();
    for statuses in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        tales
            .extend(list(pod, statuses).iter().filter_map(|status| container(pod, status, teller)));
    }
    if tales.is_empty() {
        tales.extend(not_ready(pod, events, teller));
    }
    tales.into_iter().map(told).collect()
}

/// A problem, whosever it is.
struct Tale {
    severity: Severity,
    reason: String,
    cause: String,
    detail: String,
    advice: String,
}

fn whole_pod(pod: &Value, teller: Teller) -> Option<Tale> {
    let passed =
        |pointer: &str| time(pod, pointer).map(|then| teller.now.as_second() - then.as_second());
    if passed("/metadata/deletionTimestamp").is_some_and(|seconds| seconds > TERMINATION) {
        return Some(Tale {
            severity: Severity::Warning,
            reason: "Terminating".to_owned(),
            cause: teller.say("pod 一直没有删除干净", "the pod does not go away"),
            detail: age(teller.now, time(pod, "/metadata/deletionTimestamp")),
            advice: teller.say("检查节点和 finalizers", "check its node and its finalizers"),
        });
    }
    if text(pod, "/status/phase") == "Failed" {
        return Some(Tale {
            severity: Severity::Warning,
            reason: match text(pod, "/status/reason") {
                "" => "Failed".to_owned(),
                reason => reason.to_owned(),
            },
            cause: teller.say("pod 已失败", "the pod failed"),
            detail: text(pod, "/status/message").to_owned(),
            advice: teller.say("查看它的日志和事件", "read its logs and events"),
        });
    }
    let scheduled = list(pod, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == "PodScheduled")?;
    if text(scheduled, "/status") != "False" {
        return None;
    }
    let message = text(scheduled, "/message");
    let (cause, advice) = unschedulable(message, teller);
    Some(Tale {
        severity: Severity::Error,
        reason: "Unschedulable".to_owned(),
        cause,
        detail: message.to_owned(),
        advice,
    })
}

/// Why no node takes a pod, from the scheduler's message.
fn unschedulable(message: &str, teller: Teller) -> (String, String) {
    let has = |part: &str| message.contains(part);
    if has("Insufficient memory") || has("Insufficient cpu") {
        let (zh, en) = match (has("Insufficient cpu"), has("Insufficient memory")) {
            (true, true) => ("CPU 和内存", "CPU and memory"),
            (true, false) => ("CPU", "CPU"),
            _ => ("内存", "memory"),
        };
        return (
            teller.say(format!("没有节点有足够的{zh}"), format!("no node has enough {en} left")),
            teller.say(
                "减小 requests 或副本数，或增加节点",
                "lower its requests or replicas, or add a node",
            ),
        );
    }
    if has("PersistentVolumeClaim") || has("persistentvolumeclaim") || has("volume") {
        return (
            teller.say("它的存储卷还不能用", "its volume is not available"),
            teller.say("检查 PVC 和存储类", "check its claims and the storage class"),
        );
    }
    if has("taint") {
        return (
            teller.say("节点有它不容忍的污点", "the nodes have taints it does not tolerate"),
            teller.say("加 tolerations，或去掉节点的污点", "add tolerations, or remove the taints"),
        );
    }
    if has("affinity") || has("selector") || has("topology") {
        return (
            teller.say("没有节点满足它的选择条件", "no node matches its selector or affinity"),
            teller.say(
                "检查 nodeSelector、亲和性和节点标签",
                "check nodeSelector, affinity and node labels",
            ),
        );
    }
    (
        teller.say("没有节点可以调度", "no node takes it"),
        teller.say("查看调度器的消息", "read the scheduler's message"),
    )
}

fn container(pod: &Value, status: &Value, teller: Teller) -> Option<Tale> {
    let name = text(status, "/name");
    let reason = text(status, "/state/waiting/reason");
    let message = text(status, "/state/waiting/message");
    let image = text(status, "/image");
    let image = if image.is_empty() { image_of(pod, name) } else { image };
    match reason {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            Some(Tale {
                severity: Severity::Error,
                reason: "ImagePullBackOff".to_owned(),
                cause: teller.say(
                    format!("容器 {name} 的镜像 {image} 拉取失败"),
                    format!("the image {image} of container {name} cannot be pulled"),
                ),
                detail: message.to_owned(),
                advice: teller.say(
                    "检查镜像名和标签是否存在、拉取凭据是否有效；或回滚",
                    "check that the image and tag exist and may be pulled, or roll back",
                ),
            })
        }
        "CreateContainerConfigError" | "CreateContainerError" => Some(Tale {
            severity: Severity::Error,
            reason: reason.to_owned(),
            cause: teller.say(
                format!("容器 {name} 引用的配置不存在"),
                format!("container {name} refers to configuration that is not there"),
            ),
            detail: message.to_owned(),
            advice: teller.say(
                "检查 ConfigMap、Secret 及其键名",
                "check the config map or secret and its keys",
            ),
        }),
        _ => crashed(pod, status, teller),
    }
}

fn image_of<'a>(pod: &'a Value, container: &str) -> &'a str {
    let containers = list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers"));
    containers
        .filter(|c| text(c, "/name") == container)
        .map(|c| text(c, "/image"))
        .next()
        .unwrap_or_default()
}

/// A container that ended badly: now, or again and again.
fn crashed(pod: &Value, status: &Value, teller: Teller) -> Option<Tale> {
    let name = text(status, "/name");
    let restarts = number(status, "/restartCount").unwrap_or(0);
    let last = ["/state/terminated", "/lastState/terminated"]
        .iter()
        .filter_map(|state| status.pointer(state))
        .find(|ended| number(ended, "/exitCode").unwrap_or(0) != 0);
    let looping = text(status, "/state/waiting/reason") == "CrashLoopBackOff"
        || status.pointer("/state/terminated").is_some();
    let ended = last?;
    let code = number(ended, "/exitCode").unwrap_or(0);
    let since = time(ended, "/finishedAt");
    let recent = since.is_none_or(|then| teller.now.as_second() - then.as_second() < RECENT);
    if text(ended, "/reason") == "OOMKilled" && (looping || recent) {
        let spec = list(pod, "/spec/containers").iter().find(|c| text(c, "/name") == name);
        let limit = spec.map_or("", |spec| text(spec, "/resources/limits/memory"));
        let limit = if limit.is_empty() { "-" } else { limit };
        return Some(Tale {
            severity: if looping { Severity::Error } else { Severity::Warning },
            reason: "OOMKilled".to_owned(),
            cause: teller.say(
                format!("容器 {name} 超出内存上限 {limit} 被杀掉"),
                format!("container {name} was killed for using more than its memory limit {limit}"),
            ),
            detail: teller.say(
                format!("重启 {restarts} 次，最近一次在 {} 前", age(teller.now, since)),
                format!("{restarts} restarts, the last kill {} ago", age(teller.now, since)),
            ),
            advice: teller
                .say("提高内存上限，或查找内存泄漏", "raise its memory limit, or look for a leak"),
        });
    }
    if !(looping && restarts > 0 || restarts >= RESTARTS && recent) {
        return None;
    }
    let why = match code {
        126 | 127 => {
            teller.say("命令不存在或不能执行", "the command does not exist or cannot be run")
        }
        137 => teller.say(
            "被强制终止（SIGKILL），常见于存活探针失败",
            "it was killed (SIGKILL), often by a failing liveness probe",
        ),
        143 => teller.say("收到终止信号（SIGTERM）", "it was told to stop (SIGTERM)"),
        139 => teller.say("段错误", "segmentation fault"),
        _ => teller.say("程序自己报错退出", "the program ended with an error"),
    };
    Some(Tale {
        severity: if looping { Severity::Error } else { Severity::Warning },
        reason: "CrashLoopBackOff".to_owned(),
        cause: teller.say(
            format!("容器 {name} 反复崩溃：{why}"),
            format!("container {name} keeps crashing: {why}"),
        ),
        detail: teller.say(
            format!("退出码 {code}，重启 {restarts} 次 {}", text(ended, "/message")),
            format!("exit code {code}, {restarts} restarts {}", text(ended, "/message")),
        ),
        advice: teller.say(
            "查看崩溃前的日志，检查最近的改动；或回滚",
            "read its previous logs and the latest change, or roll back",
        ),
    })
}

fn not_ready(pod: &Value, events: &[Value], teller: Teller) -> Option<Tale> {
    let ready = list(pod, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == "Ready")?;
    let since = time(ready, "/lastTransitionTime");
    let waited = since.map_or(GRACE + 1, |then| teller.now.as_second() - then.as_second());
    if text(ready, "/status") == "True" || waited <= GRACE {
        return None;
    }
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let event = warning(events, "Pod", namespace, name);
    let message = event.map_or(text(ready, "/message"), |event| text(event, "/message"));
    Some(Tale {
        severity: Severity::Error,
        reason: "NotReady".to_owned(),
        cause: teller.say("pod 在运行但没有就绪", "the pod runs but is not ready"),
        detail: format!("{} {message}", age(teller.now, since)),
        advice: teller
            .say("检查就绪探针和它依赖的服务", "check its readiness probe and what it depends on"),
    })
}
