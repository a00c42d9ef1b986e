//! What is wrong with everything that is not a pod.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Problem, Teller, World, belongs_to, merge, selects, warning};
use crate::{
    domain::{Health, ObjectRef, Severity},
    reconcile,
    tool::{
        events::last_seen,
        quantity,
        read::{list, number, text},
    },
};

/// Share of a quota at which it is mentioned.
const QUOTA_NEAR: f64 = 0.9;
/// Seconds for which a warning event is worth telling.
const RECENT: i64 = 1_800;
/// Warning events told at most.
const MAX_WARNINGS: usize = 10;

fn problem(object: &Value, severity: Severity, reason: &str) -> Problem {
    Problem {
        severity,
        kind: text(object, "/kind").to_owned(),
        namespace: text(object, "/metadata/namespace").to_owned(),
        name: text(object, "/metadata/name").to_owned(),
        reason: reason.to_owned(),
        cause: String::new(),
        detail: String::new(),
        advice: String::new(),
        count: 1,
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|condition| text(condition, "/type") == kind)
}

/// Workloads that are not as desired, where no pod told why.
pub(super) fn workloads(world: &World, teller: Teller, found: &mut Vec<Problem>) {
    for object in &world.workloads {
        let (namespace, name) =
            (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        let known = found.iter().any(|p| p.namespace == namespace && p.name == name);
        if let Some(failure) = condition(object, "ReplicaFailure")
            .filter(|condition| text(condition, "/status") == "True")
        {
            let message = text(failure, "/message");
            let quota = message.contains("exceeded quota");
            found.push(Problem {
                cause: if quota {
                    teller.say(
                        "超出命名空间的资源配额，pod 建不出来",
                        "the namespace's quota is exceeded, so pods cannot be created",
                    )
                } else {
                    teller.say("pod 建不出来", "its pods cannot be created")
                },
                detail: message.to_owned(),
                advice: teller.say(
                    "减少副本数或 requests，或提高配额",
                    "lower replicas or requests, or raise the quota",
                ),
                ..problem(
                    object,
                    Severity::Error,
                    if quota { "QuotaExceeded" } else { "ReplicaFailure" },
                )
            });
            continue;
        }
        let (health, why) = reconcile::assess(object, &[]);
        if known || health == Health::Healthy {
            continue;
        }
        let severity = match health {
            Health::Degraded => Severity::Error,
            _ => Severity::Info,
        };
        let event = warning(&world.events, text(object, "/kind"), namespace, name);
        let detail = event.map_or_else(String::new, |event| text(event, "/message").to_owned());
        found.push(Problem {
            cause: why,
            detail,
            advice: teller.say("查看它的事件和 pod", "look at its events and pods"),
            ..problem(
                object,
                severity,
                if severity == Severity::Error { "Degraded" } else { "Progressing" },
            )
        });
    }
}

/// Nodes that are away, under pressure or closed.
pub(super) fn nodes(nodes: &[Value], teller: Teller, found: &mut Vec<Problem>) {
    for node in nodes {
        if let Some(ready) =
            condition(node, "Ready").filter(|condition| text(condition, "/status") != "True")
        {
            found.push(Problem {
                cause: teller.say("节点不可用", "the node is not ready"),
                detail: format!("{} {}", text(ready, "/reason"), text(ready, "/message")),
                advice: teller.say(
                    "检查 kubelet 和网络；必要时排空节点",
                    "check its kubelet and network; drain it if it stays away",
                ),
                ..problem(node, Severity::Error, "NodeNotReady")
            });
        }
        for (kind, zh, en) in [
            ("MemoryPressure", "内存紧张", "runs out of memory"),
            ("DiskPressure", "磁盘紧张", "runs out of disk"),
            ("PIDPressure", "进程数过多", "runs out of process ids"),
        ] {
            if let Some(pressure) =
                condition(node, kind).filter(|condition| text(condition, "/status") == "True")
            {
                found.push(Problem {
                    cause: teller.say(format!("节点{zh}"), format!("the node {en}")),
                    detail: text(pressure, "/message").to_owned(),
                    advice: teller.say("看哪些 pod 用得最多", "see which of its pods use most"),
                    ..problem(node, Severity::Error, kind)
                });
            }
        }
        if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
            found.push(Problem {
                cause: teller.say("节点已停止调度（cordon）", "the node is cordoned"),
                advice: teller.say("维护结束后恢复调度", "uncordon it when the work is done"),
                ..problem(node, Severity::Info, "Cordoned")
            });
        }
    }
}

/// Claims without a volume.
pub(super) fn claims(world: &World, teller: Teller, found: &mut Vec<Problem>) {
    for claim in &world.claims {
        let (namespace, name) = (text(claim, "/metadata/namespace"), text(claim, "/metadata/name"));
        let severity = match text(claim, "/status/phase") {
            "Lost" => Severity::Error,
            "Pending" => Severity::Warning,
            _ => continue,
        };
        let event = warning(&world.events, "PersistentVolumeClaim", namespace, name);
        let class = text(claim, "/spec/storageClassName");
        found.push(Problem {
            cause: if severity == Severity::Error {
                teller.say("存储卷丢失", "its volume is lost")
            } else {
                teller.say("还没有绑定存储卷", "it has no volume yet")
            },
            detail: event.map_or_else(
                || format!("storageClass={class}"),
                |e| text(e, "/message").to_owned(),
            ),
            advice: teller.say("检查存储类和容量", "check the storage class and its capacity"),
            ..problem(claim, severity, "VolumePending")
        });
    }
}

/// Quotas that are used up, or nearly.
pub(super) fn quotas(quotas: &[Value], teller: Teller, found: &mut Vec<Problem>) {
    for quota in quotas {
        let hard = quota.pointer("/status/hard").and_then(Value::as_object);
        for (resource, hard) in hard.into_iter().flatten() {
            let parse = |value: &Value| value.as_str().and_then(quantity::parse);
            let used = quota.pointer("/status/used").and_then(|used| used.get(resource));
            let (Some(limit), Some(used_number)) = (parse(hard), used.and_then(parse)) else {
                continue;
            };
            if limit <= 0.0 || used_number / limit < QUOTA_NEAR {
                continue;
            }
            let full = used_number >= limit;
            let percent = used_number / limit * 100.0;
            merge(
                found,
                Problem {
                    cause: teller.say(
                        format!("配额 {resource} 已用 {percent:.0}%"),
                        format!("{percent:.0}% of the quota for {resource} is used"),
                    ),
                    detail: format!(
                        "{resource}: {} / {}",
                        used.and_then(Value::as_str).unwrap_or_default(),
                        hard.as_str().unwrap_or_default()
                    ),
                    advice: teller.say(
                        "清理不用的资源，或提高配额",
                        "free what is not needed, or raise the quota",
                    ),
                    ..problem(
                        quota,
                        if full { Severity::Warning } else { Severity::Info },
                        &format!("Quota:{resource}"),
                    )
                },
            );
        }
    }
}

/// Autoscalers at their end or blind.
pub(super) fn autoscalers(autoscalers: &[Value], teller: Teller, found: &mut Vec<Problem>) {
    for scaler in autoscalers {
        let max = number(scaler, "/spec/maxReplicas");
        let limited = condition(scaler, "ScalingLimited").is_some_and(|condition| {
            text(condition, "/status") == "True" && text(condition, "/reason") == "TooManyReplicas"
        });
        if limited && number(scaler, "/status/currentReplicas") == max {
            let max = max.unwrap_or_default();
            found.push(Problem {
                cause: teller.say(
                    format!("自动扩缩已到上限 {max}"),
                    format!("autoscaling is at its maximum of {max}"),
                ),
                advice: teller.say(
                    "确认负载是否正常，必要时提高上限",
                    "see whether the load is expected; raise the maximum if so",
                ),
                ..problem(scaler, Severity::Warning, "ScalingLimited")
            });
        }
        if let Some(blind) = condition(scaler, "ScalingActive").filter(|condition| {
            text(condition, "/status") == "False" && text(condition, "/reason") != "ScalingDisabled"
        }) {
            found.push(Problem {
                cause: teller.say("自动扩缩取不到指标", "autoscaling cannot read its metrics"),
                detail: text(blind, "/message").to_owned(),
                advice: teller.say(
                    "检查 metrics-server 和 requests 是否设置",
                    "check the metrics server and that requests are set",
                ),
                ..problem(scaler, Severity::Warning, "ScalingInactive")
            });
        }
    }
}

/// Services that lead to no ready pod.
pub(super) fn services(world: &World, teller: Teller, found: &mut Vec<Problem>) {
    for service in &world.services {
        let selector: BTreeMap<&str, &str> = service
            .pointer("/spec/selector")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect();
        if selector.is_empty() {
            continue;
        }
        let namespace = text(service, "/metadata/namespace");
        let pods: Vec<&Value> = world
            .pods
            .iter()
            .filter(|pod| text(pod, "/metadata/namespace") == namespace && selects(&selector, pod))
            .collect();
        let ready = |pod: &&Value| {
            condition(pod, "Ready").is_some_and(|condition| text(condition, "/status") == "True")
        };
        if pods.iter().any(ready) {
            continue;
        }
        let owners: BTreeSet<String> = pods.iter().map(|pod| belongs_to(pod).1).collect();
        let owners: Vec<String> = owners.into_iter().collect();
        found.push(Problem {
            cause: if pods.is_empty() {
                teller.say("没有 pod 匹配它的选择器", "no pod matches its selector")
            } else {
                teller.say(
                    "后面没有就绪的 pod，请求会失败",
                    "none of its pods is ready, so requests fail",
                )
            },
            detail: owners.join(", "),
            advice: teller.say(
                "检查选择器和它后面的工作负载",
                "check its selector and the workload behind it",
            ),
            ..problem(
                service,
                if pods.is_empty() { Severity::Warning } else { Severity::Error },
                "NoEndpoints",
            )
        });
    }
}

/// Recent warnings about what nothing else was said about.
pub(super) fn warnings(world: &World, teller: Teller, found: &mut Vec<Problem>) {
    let mut told = Vec::new();
    for event in &world.events {
        let recent =
            last_seen(event).is_none_or(|seen| teller.now.as_second() - seen.as_second() < RECENT);
        if text(event, "/type") != "Warning" || !recent {
            continue;
        }
        let about = &event["involvedObject"];
        let name = text(about, "/name");
        let namespace = text(event, "/metadata/namespace");
        // the name of a pod begins with the name of its workload
        let known = found.iter().any(|p| {
            let below = name.strip_prefix(&p.name).is_some_and(|rest| rest.starts_with('-'));
            (p.namespace == namespace || p.namespace.is_empty()) && (p.name == name || below)
        });
        if known || gone(world, about, namespace) {
            continue;
        }
        merge(
            &mut told,
            Problem {
                severity: Severity::Info,
                kind: text(about, "/kind").to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                reason: text(event, "/reason").to_owned(),
                cause: teller.say("最近的警告事件", "a recent warning"),
                detail: text(event, "/message").to_owned(),
                advice: String::new(),
                count: 1,
            },
        );
    }
    told.truncate(MAX_WARNINGS);
    found.extend(told);
}

/// Warnings about pods that are no more are history.
fn gone(world: &World, about: &Value, namespace: &str) -> bool {
    text(about, "/kind") == "Pod"
        && !world.pods.iter().any(|pod| {
            ObjectRef::of(pod).is_some_and(|pod| {
                pod.name == text(about, "/name") && pod.namespace.as_deref() == Some(namespace)
            })
        })
}
