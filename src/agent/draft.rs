//! A change as far as it was understood: which verb, on what, with which values. Kept between turns while something is
//! missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::model::ToolCall;

/// The verbs of changes; each is a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verb {
    Scale,
    SetImage,
    SetEnv,
    SetResources,
    Restart,
    Rollback,
    Undo,
}

impl Verb {
    /// All verbs.
    pub(super) const ALL: [Self; 7] = [
        Self::Scale,
        Self::SetImage,
        Self::SetEnv,
        Self::SetResources,
        Self::Restart,
        Self::Rollback,
        Self::Undo,
    ];

    /// The tool's name.
    pub(super) fn tool(self) -> &'static str {
        match self {
            Self::Scale => "scale",
            Self::SetImage => "set_image",
            Self::SetEnv => "set_env",
            Self::SetResources => "set_resources",
            Self::Restart => "restart",
            Self::Rollback => "rollback",
            Self::Undo => "undo",
        }
    }

    /// The verb of a tool.
    pub(super) fn of_tool(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.tool() == name)
    }
}

/// A number of replicas as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Amount {
    /// To this many.
    To(i64),
    /// By this many more (or fewer).
    By(i64),
    /// Times numerator / denominator.
    Times(i64, i64),
    /// `扩 2 个`: to two or by two.
    Unclear {
        /// The number said.
        number: i64,
        /// 1 for more, -1 for fewer.
        sign: i64,
    },
    /// Not a number of replicas: 2.5.
    Absurd,
}

/// One workload that is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Target {
    /// The names it may be; more than one is a question.
    pub(super) names: Vec<String>,
    /// Its namespace, once that is settled.
    pub(super) namespace: Option<String>,
    /// Its kind, once that is settled.
    pub(super) kind: Option<String>,
    /// The place said with it alone.
    pub(super) place: Place,
}

impl Target {
    /// One name anywhere.
    pub(super) fn named(name: &str) -> Self {
        Self { names: vec![name.to_owned()], ..Self::default() }
    }
}

/// Where to look: what was said about environments and namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    /// Namespaces said.
    pub(super) namespaces: Vec<String>,
    /// Environments said by their own name.
    pub(super) environments: Vec<String>,
    /// Environments said by a common word: `prod`.
    pub(super) groups: Vec<String>,
    /// Every place where the workload is.
    pub(super) everywhere: bool,
    /// Places left out: names of namespaces and environments, and common words for them.
    pub(super) without: Vec<String>,
    /// Words that name no place that exists.
    pub(super) unknown: Vec<String>,
}

impl Place {
    /// Whether nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One change as far as it was understood.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Draft {
    /// The verbs it may be; one when it is clear.
    pub(super) verbs: Vec<Verb>,
    /// The workloads.
    pub(super) targets: Vec<Target>,
    /// Every workload of the place.
    pub(super) all: bool,
    /// Those that "all" leaves out.
    pub(super) except: Vec<String>,
    /// Words in the place of a workload that name none, with what they may have meant.
    pub(super) unknown: Vec<(String, Vec<String>)>,
    /// Where.
    pub(super) place: Place,
    /// Which container.
    pub(super) container: Option<String>,
    /// How many replicas; several are a question.
    pub(super) amounts: Vec<Amount>,
    /// Images or tags; several are a question.
    pub(super) images: Vec<String>,
    /// Environment variables to set.
    pub(super) set: BTreeMap<String, String>,
    /// Environment variables to remove.
    pub(super) unset: Vec<String>,
    /// Variables that were named without a (clear) value.
    pub(super) valueless: Vec<String>,
    /// Requests by resource.
    pub(super) requests: BTreeMap<String, String>,
    /// Limits by resource.
    pub(super) limits: BTreeMap<String, String>,
    /// Amounts of which it was not said whether request or limit.
    pub(super) unscoped: BTreeMap<String, String>,
    /// Amounts that do not fit (`-1 cpu`, `2Gi cpu`).
    pub(super) misfits: Vec<String>,
    /// Values that the verb has no use for.
    pub(super) unclear: Vec<String>,
    /// Commit to roll back to.
    pub(super) revision: Option<String>,
    /// Change to undo.
    pub(super) change: Option<String>,
}

impl Draft {
    /// The verb, when it is clear.
    pub(super) fn verb(&self) -> Option<Verb> {
        match self.verbs.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Whether any value (number, image, variable, amount) was said.
    pub(super) fn has_value(&self) -> bool {
        !self.amounts.is_empty()
            || !self.images.is_empty()
            || !self.set.is_empty()
            || !self.unset.is_empty()
            || !self.valueless.is_empty()
            || !self.requests.is_empty()
            || !self.limits.is_empty()
            || !self.unscoped.is_empty()
            || !self.misfits.is_empty()
    }

    /// What a tool call (a typed command, a model's choice) asks for; what it leaves out is looked for or asked.
    pub(super) fn of_call(call: &ToolCall) -> Option<Self> {
        let verb = Verb::of_tool(&call.name)?;
        let text = |key: &str| call.arguments.get(key).and_then(Value::as_str).map(str::to_owned);
        let table = |key: &str| -> BTreeMap<String, String> {
            let pairs = call.arguments.get(key).and_then(Value::as_object).into_iter().flatten();
            pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
        };
        let list = call.arguments.get("unset").and_then(Value::as_array);
        let amount = match call.arguments.get("replicas") {
            None | Some(Value::Null) => None,
            Some(number) => Some(number.as_i64().map_or(Amount::Absurd, Amount::To)),
        };
        Some(Self {
            verbs: vec![verb],
            targets: text("workload")
                .map(|name| Target { names: vec![name], kind: text("kind"), ..Target::default() })
                .into_iter()
                .collect(),
            place: Place {
                namespaces: text("namespace").into_iter().collect(),
                ..Place::default()
            },
            container: text("container"),
            amounts: amount.into_iter().collect(),
            images: text("image").into_iter().collect(),
            set: table("set"),
            unset: list
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            requests: table("requests"),
            limits: table("limits"),
            revision: text("revision"),
            change: text("change"),
            ..Self::default()
        })
    }

    /// The arguments besides the workload.
    pub(super) fn values(&self, verb: Verb, replicas: Option<i64>) -> Map<String, Value> {
        let mut values = Map::new();
        let mut put = |key: &str, value: Value| {
            values.insert(key.to_owned(), value);
        };
        match verb {
            Verb::Scale => put("replicas", json!(replicas)),
            Verb::SetImage => put("image", json!(self.images.first())),
            Verb::SetEnv => {
                if !self.set.is_empty() {
                    put("set", json!(self.set));
                }
                if !self.unset.is_empty() {
                    put("unset", json!(self.unset));
                }
            }
            Verb::SetResources => {
                if !self.requests.is_empty() {
                    put("requests", json!(self.requests));
                }
                if !self.limits.is_empty() {
                    put("limits", json!(self.limits));
                }
            }
            Verb::Rollback => {
                if let Some(revision) = &self.revision {
                    put("revision", json!(revision));
                }
            }
            Verb::Restart | Verb::Undo => {}
        }
        let in_container = matches!(verb, Verb::SetImage | Verb::SetEnv | Verb::SetResources);
        if let (true, Some(container)) = (in_container, &self.container) {
            put("container", json!(container));
        }
        values
    }
}
