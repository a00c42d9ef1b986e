//! How a workload is doing: replicas, conditions, pods, revisions, and why it is stuck when it is.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Tool, ToolContext, ToolError, ToolOutput,
    diagnose::{Teller, World, diagnose},
    events,
    read::{
        MAX_ROWS, age, clip, columns, evidence, failed, list, number, pods_of, say, text, time,
        workload,
    },
    target::arguments,
};
use crate::{
    cluster::{Cluster, ClusterError, Selection, View},
    domain::{Evidence, Health, Lang, ObjectRef},
    reconcile,
};

/// Reads the state of a roll-out.
pub(super) struct RolloutStatus {
    pub(super) cluster: Cluster,
}

#[derive(Deserialize)]
struct Arguments {
    workload: String,
    namespace: Option<String>,
    kind: Option<String>,
}

#[async_trait]
impl Tool for RolloutStatus {
    fn name(&self) -> &'static str {
        "rollout_status"
    }

    async fn call(&self, context: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        let input: Arguments = arguments(input)?;
        let fail = |error: ClusterError| failed(context.lang, error);
        let found =
            workload(context, &input.workload, input.namespace.as_deref(), input.kind.as_deref())?;
        let view = self.cluster.as_actor(&context.actor).map_err(fail)?;
        let (object, pods) = pods_of(&view, &found.object).await.map_err(fail)?;
        let namespace = found.object.namespace.as_deref();
        // events only add to what the pods tell
        let events =
            events::fetch(&view, namespace, None).await.map(|l| l.items).unwrap_or_default();
        let revisions = revisions(&view, &found.object).await;
        let world = World {
            pods: pods.clone(),
            workloads: vec![object.clone()],
            events,
            ..World::default()
        };
        let mut result = vec![summary(self.name(), context, &found.object, &world)];
        if !pods.is_empty() {
            result.push(pod_table(self.name(), context, &found.object, &pods));
        }
        if !revisions.is_empty() {
            result.push(revision_table(self.name(), context, &found.object, &revisions));
        }
        Ok(ToolOutput::Evidence(result))
    }
}

/// The replica sets of a deployment, newest revision first.
async fn revisions(view: &View, workload: &ObjectRef) -> Vec<Value> {
    if workload.kind != "Deployment" {
        return Vec::new();
    }
    let which = Selection::namespace(workload.namespace.as_deref());
    let listed = view.list_named("replicasets.apps", &which).await;
    let mut sets = listed.map(|listed| listed.items).unwrap_or_default();
    sets.retain(|set| text(set, "/metadata/ownerReferences/0/name") == workload.name);
    sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    sets
}

fn revision(set: &Value) -> u64 {
    let annotations = set.pointer("/metadata/annotations");
    let revision = annotations.and_then(|a| a.get("deployment.kubernetes.io/revision"));
    revision.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Desired, updated, ready and available pods, where the kind tells them.
fn counts(object: &Value) -> [Option<u64>; 4] {
    let fields = match text(object, "/kind") {
        "DaemonSet" => [
            "/status/desiredNumberScheduled",
            "/status/updatedNumberScheduled",
            "/status/numberReady",
            "/status/numberAvailable",
        ],
        "Job" => ["/spec/completions", "/status/active", "/status/ready", "/status/succeeded"],
        _ => [
            "/spec/replicas",
            "/status/updatedReplicas",
            "/status/readyReplicas",
            "/status/availableReplicas",
        ],
    };
    fields.map(|field| number(object, field))
}

fn summary(tool: &str, context: &ToolContext, workload: &ObjectRef, world: &World) -> Evidence {
    let lang = context.lang;
    let object = &world.workloads[0];
    let pods: Vec<&Value> = world.pods.iter().collect();
    let (health, why) = reconcile::assess(object, &pods);
    let [desired, updated, ready, available] = counts(object).map(Option::unwrap_or_default);
    let state = state(lang, health);
    let name = &workload.name;
    let place = workload.namespace.as_ref().map_or_else(String::new, |namespace| {
        say(lang, format!("（{namespace}）"), format!(" ({namespace})"))
    });
    let why_shown = if why.is_empty() { String::new() } else { format!(": {why}") };
    let title = if workload.kind == "CronJob" {
        format!("{workload}: {}", text(object, "/spec/schedule"))
    } else {
        say(
            lang,
            format!("{name}{place}：{state}，{ready}/{desired} 个副本就绪{why_shown}"),
            format!("{name}{place}: {state}, {ready} of {desired} replicas ready{why_shown}"),
        )
    };
    let query = format!("kubectl rollout status / GET {workload}");
    let mut found = evidence(tool, context, title, query);
    found.columns = columns(lang, &[("项目", "Item"), ("值", "Value")]);
    let mut row = |zh: &str, en: &str, value: String| {
        if !value.is_empty() {
            found.rows.push(vec![say(lang, zh, en), value]);
        }
    };
    row("对象", "object", workload.to_string());
    if workload.kind != "CronJob" {
        row("期望副本数", "desired replicas", desired.to_string());
        row("已更新", "updated", updated.to_string());
        row("就绪", "ready", ready.to_string());
        row("可用", "available", available.to_string());
    }
    let template = if workload.kind == "CronJob" {
        "/spec/jobTemplate/spec/template"
    } else {
        "/spec/template"
    };
    for container in list(object, &format!("{template}/spec/containers")) {
        row(
            "镜像",
            "image",
            format!("{}: {}", text(container, "/name"), text(container, "/image")),
        );
    }
    for condition in list(object, "/status/conditions") {
        let line = ["type", "status", "reason", "message"]
            .map(|field| text(condition, &format!("/{field}")))
            .join(" ");
        row("状况", "condition", line.trim().to_owned());
    }
    found.summary.push(in_short(lang, object, template, &world.pods));
    let problems = diagnose(world, Teller { lang, now: context.now });
    let causes = problems.iter().filter(|p| health != Health::Healthy && p.name == *name);
    found.summary.extend(causes.map(|problem| problem.sentence(lang)));
    for problem in problems.iter().filter(|p| p.name == *name) {
        row("原因", "cause", format!("{} ({})", problem.cause, problem.detail));
        row("建议", "advice", problem.advice.clone());
    }
    found.data = json!({
        "object": workload, "health": health, "message": why, "desired": desired, "updated": updated,
        "ready": ready, "available": available, "problems": problems,
    });
    found
}

fn state(lang: Lang, health: Health) -> String {
    match health {
        Health::Healthy => say(lang, "正常", "healthy"),
        Health::Progressing => say(lang, "进行中", "progressing"),
        Health::Degraded => say(lang, "异常", "degraded"),
        Health::Unknown => say(lang, "未知", "unknown"),
    }
}

/// Images and restarts.
fn in_short(lang: Lang, object: &Value, template: &str, pods: &[Value]) -> String {
    let images: Vec<&str> = list(object, &format!("{template}/spec/containers"))
        .iter()
        .map(|container| text(container, "/image"))
        .collect();
    let images = images.join(", ");
    let restarts: u64 = pods.iter().map(restarts).sum();
    match restarts {
        0 => say(
            lang,
            format!("镜像 {images}，没有重启过。"),
            format!("Image {images}, no restarts."),
        ),
        _ => say(
            lang,
            format!("镜像 {images}，现有 pod 共重启 {restarts} 次。"),
            format!("Image {images}, {restarts} restarts of its present pods."),
        ),
    }
}

fn restarts(pod: &Value) -> u64 {
    list(pod, "/status/containerStatuses").iter().filter_map(|s| number(s, "/restartCount")).sum()
}

fn pod_table(tool: &str, context: &ToolContext, workload: &ObjectRef, pods: &[Value]) -> Evidence {
    let lang = context.lang;
    let title = say(
        lang,
        format!("{} 的 {} 个 pod", workload.name, pods.len()),
        format!("{} pods of {}", pods.len(), workload.name),
    );
    let mut found = evidence(tool, context, title, "GET /api/v1/pods".to_owned());
    found.columns = columns(
        lang,
        &[
            ("Pod", "Pod"),
            ("状态", "Status"),
            ("就绪", "Ready"),
            ("重启", "Restarts"),
            ("节点", "Node"),
            ("时长", "Age"),
        ],
    );
    for pod in pods {
        let statuses = list(pod, "/status/containerStatuses");
        let waiting =
            statuses.iter().map(|s| text(s, "/state/waiting/reason")).find(|r| !r.is_empty());
        let ready = statuses.iter().filter(|s| s["ready"] == Value::Bool(true)).count();
        found.rows.push(vec![
            text(pod, "/metadata/name").to_owned(),
            waiting.unwrap_or_else(|| text(pod, "/status/phase")).to_owned(),
            format!("{ready}/{}", list(pod, "/spec/containers").len()),
            restarts(pod).to_string(),
            text(pod, "/spec/nodeName").to_owned(),
            age(context.now, time(pod, "/metadata/creationTimestamp")),
        ]);
    }
    clip(&mut found, lang, MAX_ROWS, 0);
    found
}

fn revision_table(
    tool: &str,
    context: &ToolContext,
    workload: &ObjectRef,
    sets: &[Value],
) -> Evidence {
    let lang = context.lang;
    let title = say(
        lang,
        format!("{} 的 {} 个版本", workload.name, sets.len()),
        format!("{} revisions of {}", sets.len(), workload.name),
    );
    let query = "kubectl rollout history / GET /apis/apps/v1/replicasets".to_owned();
    let mut found = evidence(tool, context, title, query);
    found.columns = columns(
        lang,
        &[
            ("版本", "Revision"),
            ("时长", "Age"),
            ("镜像", "Images"),
            ("副本", "Replicas"),
            ("就绪", "Ready"),
        ],
    );
    for set in sets {
        let images: Vec<&str> =
            list(set, "/spec/template/spec/containers").iter().map(|c| text(c, "/image")).collect();
        let count = |field: &str| number(set, field).unwrap_or(0).to_string();
        found.rows.push(vec![
            revision(set).to_string(),
            age(context.now, time(set, "/metadata/creationTimestamp")),
            images.join(", "),
            count("/status/replicas"),
            count("/status/readyReplicas"),
        ]);
    }
    clip(&mut found, lang, 10, 0);
    found
}
