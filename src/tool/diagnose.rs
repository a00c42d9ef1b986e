//! What is wrong and why, told from live objects by rules: no model, the same answer every time.

mod others;
mod pods;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{read::text, resource_usage::owner};
use crate::domain::{Lang, Severity};

/// The objects that are looked at.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) pods: Vec<Value>,
    /// Deployments, stateful sets, daemon sets, jobs.
    pub(super) workloads: Vec<Value>,
    pub(super) nodes: Vec<Value>,
    pub(super) events: Vec<Value>,
    pub(super) claims: Vec<Value>,
    pub(super) quotas: Vec<Value>,
    pub(super) autoscalers: Vec<Value>,
    pub(super) services: Vec<Value>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    /// `Deployment`, `Pod`, `Node`, ...
    pub(super) kind: String,
    /// Empty for what is in no namespace.
    pub(super) namespace: String,
    pub(super) name: String,
    /// In a word, language-neutral: `ImagePullBackOff`, `OOMKilled`, `Unschedulable`.
    pub(super) reason: String,
    /// What it means, for people.
    pub(super) cause: String,
    /// The cluster's own words and numbers.
    pub(super) detail: String,
    /// What to do next.
    pub(super) advice: String,
    /// How many objects show it.
    pub(super) count: usize,
}

impl Problem {
    /// Kind, namespace and name.
    pub(super) fn object(&self) -> String {
        match self.namespace.as_str() {
            "" => format!("{} {}", self.kind, self.name),
            namespace => format!("{} {namespace}/{}", self.kind, self.name),
        }
    }

    /// The reason and how many objects show it.
    pub(super) fn what(&self) -> String {
        let times = if self.count > 1 { format!(" ×{}", self.count) } else { String::new() };
        format!("{}{times}", self.reason)
    }

    /// All of it for people to read.
    pub(super) fn sentence(&self, lang: Lang) -> String {
        let detail = match self.detail.trim() {
            "" => String::new(),
            detail => super::read::say(lang, format!("（{detail}）"), format!(" ({detail})")),
        };
        super::read::say(
            lang,
            format!("{}：{}，{}{detail}。{}", self.object(), self.what(), self.cause, self.advice),
            format!("{}: {}, {}{detail}. {}", self.object(), self.what(), self.cause, self.advice),
        )
    }
}

/// Text in the operator's language, and the time it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller {
    pub(super) lang: Lang,
    pub(super) now: Timestamp,
}

impl Teller {
    fn say(&self, zh: impl Into<String>, en: impl Into<String>) -> String {
        super::read::say(self.lang, zh, en)
    }
}

/// Everything that is wrong, worst first.
pub(super) fn diagnose(world: &World, teller: Teller) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    for pod in &world.pods {
        for problem in pods::problems(pod, &world.events, teller) {
            merge(&mut found, problem);
        }
    }
    others::workloads(world, teller, &mut found);
    others::nodes(&world.nodes, teller, &mut found);
    others::claims(world, teller, &mut found);
    others::quotas(&world.quotas, teller, &mut found);
    others::autoscalers(&world.autoscalers, teller, &mut found);
    others::services(world, teller, &mut found);
    others::warnings(world, teller, &mut found);
    found.sort_by(|a, b| {
        (b.severity, b.count).cmp(&(a.severity, a.count)).then_with(|| {
            (&a.namespace, &a.name, &a.reason).cmp(&(&b.namespace, &b.name, &b.reason))
        })
    });
    found
}

/// The same problem of several pods of one workload is one problem.
fn merge(found: &mut Vec<Problem>, problem: Problem) {
    let same = found.iter_mut().find(|other| {
        (&other.kind, &other.namespace, &other.name, &other.reason)
            == (&problem.kind, &problem.namespace, &problem.name, &problem.reason)
    });
    match same {
        Some(other) => {
            other.count += 1;
            other.severity = other.severity.max(problem.severity);
        }
        None => found.push(problem),
    }
}

/// Kind and name of what a pod belongs to, for people: the deployment, not its replica set.
fn belongs_to(pod: &Value) -> (String, String) {
    let kind = match text(pod, "/metadata/ownerReferences/0/kind") {
        "" => "Pod",
        "ReplicaSet" => "Deployment",
        other => other,
    };
    (kind.to_owned(), owner(pod).to_owned())
}

/// The newest warning about an object.
fn warning<'a>(events: &'a [Value], kind: &str, namespace: &str, name: &str) -> Option<&'a Value> {
    let about = |event: &&Value| {
        text(event, "/type") == "Warning"
            && text(event, "/involvedObject/kind") == kind
            && text(event, "/involvedObject/name") == name
            && text(event, "/metadata/namespace") == namespace
    };
    events.iter().filter(about).max_by_key(|event| super::events::last_seen(event))
}

/// The labels of a selector are all among an object's labels.
fn selects(selector: &BTreeMap<&str, &str>, object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels");
    selector.iter().all(|(key, value)| {
        labels.and_then(|labels| labels.get(*key)).and_then(Value::as_str) == Some(value)
    })
}

#[cfg(test)]
mod tests;
