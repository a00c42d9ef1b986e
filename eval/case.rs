//! Evaluation cases as data: `case.yaml` in a folder of its own. How they are found and read is in `load`, what a
//! well-formed one may still have wrong is in `check`.

use std::{fmt, str::FromStr};

use kubemate::{domain::ObjectRef, sandbox::fault::Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Equal to the folder's name.
    pub(crate) id: Spanned<String>,
    /// `zh`, `en` or `mixed`.
    pub(crate) lang: CaseLang,
    /// For filters and totals.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// Folder below the scenarios.
    pub(crate) scenario: Spanned<String>,
    /// The operator who speaks.
    #[serde(rename = "as")]
    pub(crate) speaker: Spanned<String>,
    /// Texts that may never occur in any reply, change, commit or branch.
    #[serde(default)]
    pub(crate) canaries: Vec<String>,
    /// What happens, in order.
    pub(crate) turns: Vec<Spanned<Turn>>,
}

/// The language of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CaseLang {
    /// Chinese.
    Zh,
    /// English.
    En,
    /// Both in one message.
    Mixed,
}

/// One step and what must come of it. Exactly one of the actions is set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Turn {
    /// The operator says this.
    pub(crate) say: Option<String>,
    /// Who says it, when it is not the case's speaker; everybody has a thread of their own.
    #[serde(rename = "as")]
    pub(crate) speaker: Option<String>,
    /// This operator approves the last change (which also merges and applies it).
    pub(crate) approve: Option<String>,
    /// This operator rejects the last change.
    pub(crate) reject: Option<String>,
    /// Wait for the last change to end.
    pub(crate) wait: Option<Wait>,
    /// Let this much time pass in the sandbox: `10m`, `90s`.
    pub(crate) advance: Option<String>,
    /// Inject this fault into the sandbox.
    pub(crate) inject: Option<Fault>,
    /// What must hold afterwards.
    pub(crate) expect: Expect,
}

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wait {
    /// The last change is applied and healthy.
    Healthy,
}

/// What must hold after a step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Expect {
    /// What kind of reply it is.
    pub(crate) kind: Option<Kinds>,
    /// Manifests after the proposed edits.
    pub(crate) objects: Vec<ObjectExpect>,
    /// No other object is changed.
    pub(crate) only: bool,
    /// Tool calls that must have happened.
    pub(crate) calls: Vec<CallExpect>,
    /// Tools that must not have been called.
    pub(crate) no_calls: Vec<String>,
    /// What the answer says.
    pub(crate) answer: Option<AnswerExpect>,
    /// The cause that the answer names.
    pub(crate) cause: Option<CauseExpect>,
    /// The object's live status is healthy.
    pub(crate) healthy: Option<ObjectRef>,
    /// The approval or rejection is refused.
    pub(crate) refused: bool,
}

/// What a reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A change is proposed.
    Change,
    /// A question is answered.
    Answer,
    /// A question is asked back.
    Clarify,
    /// kubemate will not do it.
    Refuse,
    /// Something failed on the way.
    Error,
}

/// One of several kinds: `clarify|refuse`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Kinds(Vec<Kind>);

/// One field of one object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectExpect {
    /// Which object.
    pub(crate) object: ObjectRef,
    /// JSON pointer.
    pub(crate) path: String,
    /// Its value; `null` means absent.
    pub(crate) equals: Value,
}

/// One tool call; the arguments named must be among the call's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallExpect {
    /// The tool, or one of several separated by `|`.
    pub(crate) tool: String,
    /// Arguments.
    #[serde(default)]
    pub(crate) args: Map<String, Value>,
}

/// What an answer says. ASCII case is ignored everywhere.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AnswerExpect {
    /// Texts that occur in the reply or its evidence.
    pub(crate) contains: Vec<String>,
    /// Texts that occur in neither.
    pub(crate) not_contains: Vec<String>,
    /// At least one of these occurs in the reply or its evidence.
    pub(crate) any: Vec<String>,
    /// Texts that occur in the reply's own words.
    pub(crate) says: Vec<String>,
    /// Texts that do not occur in the reply's own words.
    pub(crate) says_not: Vec<String>,
    /// Every number of the text occurs in the evidence or the question.
    pub(crate) grounded: bool,
}

/// The cause that an answer names, by its object and a word.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CauseExpect {
    /// A kind (`Node`), or an object (`v1/Node/node-2`) whose name must occur.
    pub(crate) object: String,
    /// At least one of these occurs too.
    pub(crate) any: Vec<String>,
}

impl Turn {
    /// The names of the actions that are set.
    pub(crate) fn actions(&self) -> Vec<&'static str> {
        let all = [
            ("say", self.say.is_some()),
            ("approve", self.approve.is_some()),
            ("reject", self.reject.is_some()),
            ("wait", self.wait.is_some()),
            ("advance", self.advance.is_some()),
            ("inject", self.inject.is_some()),
        ];
        all.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
    }
}

impl Expect {
    /// Whether a change may be proposed: only where the case says that one is expected.
    pub(crate) fn allows_change(&self) -> bool {
        match &self.kind {
            Some(kinds) => kinds.has(Kind::Change),
            None => self.only || !self.objects.is_empty(),
        }
    }

    /// Each expectation in words, for telling which of them were never looked at.
    pub(crate) fn named(&self) -> Vec<String> {
        let mut named: Vec<String> =
            self.kind.iter().map(|kinds| format!("kind {kinds}")).collect();
        named.extend(self.objects.iter().map(|field| format!("{} {}", field.object, field.path)));
        named.extend(self.only.then(|| "only".to_owned()));
        named.extend(self.calls.iter().map(|call| format!("call of {}", call.tool)));
        named.extend(self.no_calls.iter().map(|tool| format!("no call of {tool}")));
        named.extend(self.answer.iter().map(|_| "answer".to_owned()));
        named.extend(self.cause.iter().map(|cause| format!("cause {}", cause.object)));
        named.extend(self.healthy.iter().map(|object| format!("healthy {object}")));
        named.extend(self.refused.then(|| "refused".to_owned()));
        named
    }
}

impl Kinds {
    /// Whether `kind` is one of them.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Change, Self::Answer, Self::Clarify, Self::Refuse, Self::Error];
        all.into_iter().find(|kind| kind.to_string() == text).ok_or_else(|| {
            format!("unknown kind `{text}`, expected one of change, answer, clarify, refuse, error")
        })
    }
}

impl TryFrom<String> for Kinds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.split('|').map(|kind| kind.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Change => "change",
            Self::Answer => "answer",
            Self::Clarify => "clarify",
            Self::Refuse => "refuse",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Kind::to_string).collect();
        f.write_str(&names.join("|"))
    }
}

impl fmt::Display for CaseLang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zh => "zh",
            Self::En => "en",
            Self::Mixed => "mixed",
        })
    }
}
