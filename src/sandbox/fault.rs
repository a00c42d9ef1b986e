//! Faults: what can go wrong in the sandbox, as data. Controllers ask which faults hold for a pod or node.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use jiff::Timestamp;
use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::sync::watch;

/// One thing that goes wrong for everything it selects, until it is cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Where it happens; everywhere when empty.
    #[serde(default)]
    pub select: Selector,
    /// What happens.
    pub effect: Effect,
}

/// What a fault is about; every given field must match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// The namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The kind that `name` names: `Pod`, `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, `CronJob`, `Node`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name of the pod, of one of its owners, or of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels the pod or node has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// A regular expression that the container's image matches somewhere: a fault of one version only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Pattern>,
    /// Environment variables of the container and regular expressions that their values match: a fault of one setting.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Pattern>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// The image cannot be pulled.
    BadImage,
    /// The container ends soon after each start.
    CrashLoop {
        /// How the process ends.
        #[serde(default = "one")]
        exit_code: i64,
        /// How long it lives.
        #[serde(default = "one")]
        after_seconds: i64,
        /// The last lines it writes.
        #[serde(default)]
        log: Vec<String>,
    },
    /// Memory use grows until it reaches `peak`; a container whose limit is lower is killed.
    OutOfMemory {
        /// Where it levels off (`300Mi`); never, when absent: a leak.
        #[serde(default)]
        peak: Option<String>,
        /// How long it takes to get there; a leak grows by its limit in that time.
        #[serde(default = "half_minute")]
        seconds: i64,
    },
    /// Readiness probes fail (containers without one do not notice).
    FailReadiness {
        /// What an HTTP probe is answered.
        #[serde(default = "unavailable")]
        status: i64,
    },
    /// Liveness probes fail, so the container is restarted again and again (not where there is no such probe).
    FailLiveness {
        /// What an HTTP probe is answered.
        #[serde(default = "unavailable")]
        status: i64,
    },
    /// The program takes this long from its start until its probes succeed.
    SlowStart {
        /// From the container's start.
        seconds: i64,
    },
    /// No node is found for new pods.
    Unschedulable {
        /// What the scheduler says of every node.
        #[serde(default = "insufficient")]
        reason: String,
    },
    /// The node's kubelet is not heard of any more.
    NodeNotReady,
    /// The node reports pressure and takes no new pods.
    NodePressure {
        /// Of what.
        of: Pressure,
    },
    /// Pods that are being deleted never end.
    StuckTermination,
    /// What all selected pods together use, shared evenly among those that are ready.
    Load {
        /// `1500m`.
        #[serde(default)]
        cpu: Option<String>,
        /// `2Gi`.
        #[serde(default)]
        memory: Option<String>,
    },
}

/// What a node runs short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pressure {
    /// `MemoryPressure`.
    Memory,
    /// `DiskPressure`.
    Disk,
    /// `PIDPressure`.
    Pid,
}

/// A regular expression that (de)serialises as its text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When it is not a regular expression.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(text).map(Self)
    }

    /// Whether it matches anywhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

fn one() -> i64 {
    1
}

fn half_minute() -> i64 {
    30
}

fn unavailable() -> i64 {
    503
}

fn insufficient() -> String {
    "Insufficient cpu".to_owned()
}

/// What a selector is held against: one pod (with its owners) or one node.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// Empty for nodes.
    pub namespace: String,
    /// Kind and name of the object and of everything that owns it.
    pub names: Vec<(String, String)>,
    /// The object's labels.
    pub labels: BTreeMap<String, String>,
}

/// The part of a subject that `image` and `env` speak of; without one, only selectors that name neither match.
#[derive(Debug, Clone, Default)]
pub struct ContainerFacts {
    /// The image as the pod names it.
    pub image: String,
    /// Its literal environment variables.
    pub env: BTreeMap<String, String>,
}

impl Selector {
    /// Whether the selector is about this subject, and this container of it.
    #[must_use]
    pub fn matches(&self, subject: &Subject, container: Option<&ContainerFacts>) -> bool {
        let named = |(kind, name): &(String, String)| {
            self.kind.as_ref().is_none_or(|wanted| wanted == kind)
                && self.name.as_ref().is_none_or(|wanted| wanted == name)
        };
        let image = |pattern: &Pattern| container.is_some_and(|c| pattern.is_match(&c.image));
        let env = |(variable, pattern): (&String, &Pattern)| {
            container.and_then(|c| c.env.get(variable)).is_some_and(|value| pattern.is_match(value))
        };
        self.namespace.as_ref().is_none_or(|wanted| *wanted == subject.namespace)
            && subject.names.iter().any(named)
            && self.labels.iter().all(|(key, value)| subject.labels.get(key) == Some(value))
            && self.image.as_ref().is_none_or(image)
            && self.env.iter().all(env)
    }
}

/// A fault and the moment it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Injected {
    /// What goes wrong.
    pub fault: Fault,
    /// Since when.
    pub since: Timestamp,
}

/// The faults that hold now; clones share them.
#[derive(Debug, Clone)]
pub struct Faults {
    all: Arc<RwLock<Arc<Vec<Injected>>>>,
    changed: watch::Sender<()>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { all: Arc::default(), changed: watch::Sender::new(()) }
    }
}

impl Faults {
    /// Adds a fault that holds from `since` on.
    pub fn inject(&self, fault: Fault, since: Timestamp) {
        self.change(|all| all.push(Injected { fault, since }));
    }

    /// Replaces all faults, as when a saved cluster is restored.
    pub fn restore(&self, saved: Vec<Injected>) {
        self.change(|all| *all = saved);
    }

    /// Removes the faults that `gone` says yes to.
    pub fn clear(&self, gone: impl Fn(&Fault) -> bool) {
        self.change(|all| all.retain(|one| !gone(&one.fault)));
    }

    /// The faults that hold, in the order they were injected.
    #[must_use]
    pub fn all(&self) -> Arc<Vec<Injected>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows changes of the faults.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Injected>)) {
        {
            let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
            change(Arc::make_mut(&mut all));
        }
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_narrow() {
        let pair = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        let subject = Subject {
            namespace: "a".into(),
            names: vec![
                pair("Pod", "web-1-x"),
                pair("ReplicaSet", "web-1"),
                pair("Deployment", "web"),
            ],
            labels: BTreeMap::from([("app".into(), "web".into())]),
        };
        let container = ContainerFacts {
            image: "registry.local/web:2.0".into(),
            env: BTreeMap::from([("DB".into(), "old".into())]),
        };
        for (selector, matches) in [
            ("{}", true),
            ("{namespace: a}", true),
            ("{namespace: b}", false),
            ("{kind: Deployment, name: web}", true),
            ("{kind: StatefulSet, name: web}", false),
            ("{name: web-1}", true),
            ("{labels: {app: web}}", true),
            ("{labels: {app: db}}", false),
            ("{image: ':2\\.'}", true),
            ("{image: ':3\\.'}", false),
            ("{env: {DB: ^old$}}", true),
            ("{env: {DB: new}}", false),
        ] {
            let parsed: Selector = serde_saphyr::from_str(selector).expect(selector);
            assert_eq!(parsed.matches(&subject, Some(&container)), matches, "{selector}");
        }
    }

    #[test]
    fn faults_are_strict_data() {
        for (text, good) in [
            ("{effect: badImage}", true),
            ("{effect: {crashLoop: {exitCode: 2, log: [boom]}}}", true),
            ("{effect: {crashLoop: {}}}", true),
            ("{effect: {crashLoop: {exitcode: 2}}}", false),
            ("{effect: nonsense}", false),
            ("{select: {nam: x}, effect: badImage}", false),
            ("{select: {image: '('}, effect: badImage}", false),
            ("{effect: {nodePressure: {of: disk}}}", true),
        ] {
            assert_eq!(serde_saphyr::from_str::<Fault>(text).is_ok(), good, "{text}");
        }
    }
}
