//! What kind of message this is. Decided by code alone, so that a question can never reach a change tool.

use super::{
    clause::{Clause, Mood, is_topic, is_value, is_verb},
    correct::{Standing, standing},
    cue,
    draft::{Draft, Verb},
    forbid::forbids_the_same,
    lexicon::{self, Sense},
    names::Names,
    read, resolve,
    scan::{Item, What},
    values,
};

/// What kind of message this is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Intent {
    /// Commands, as far as they were understood.
    Command(Vec<Draft>),
    /// Commands only if the operator confirms, and why.
    Confirm(Vec<Draft>, Doubt),
    /// Perhaps a command with words nobody knows: only a model can suggest what is meant.
    Unclear,
    /// A question, or a report of something that is to be looked at.
    Question,
    /// Says not to do something.
    Negated,
    /// A change no tool can make, by the operator's word.
    Unsupported(String),
    /// Stop a workload, which would be scaling to zero.
    Stop(Vec<Draft>),
    /// Wants to go around the review.
    SkipReview,
    /// Wants to change the rules.
    Override,
    /// Wants to see a secret.
    Secret,
    /// Approves something, in words.
    Approval,
    /// Yes, with nothing to say yes to.
    Nothing,
    /// How to change something.
    HowTo,
    /// Hello and thanks.
    Greeting,
    /// What can you do.
    Help,
    /// Nothing to do with the cluster.
    Irrelevant,
}

impl Intent {
    /// For people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Confirm(..) => "command to be confirmed",
            Self::Unclear => "perhaps a command",
            Self::Question => "question",
            Self::Negated => "negated",
            Self::Unsupported(_) => "unsupported",
            Self::Stop(_) => "stop",
            Self::SkipReview => "skip the review",
            Self::Override => "override the rules",
            Self::Secret => "secret",
            Self::Approval => "approval",
            Self::Nothing => "nothing to confirm",
            Self::HowTo => "how to",
            Self::Greeting => "greeting",
            Self::Help => "help",
            Self::Irrelevant => "irrelevant",
        }
    }
}

/// Why a command needs a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It may have been a question.
    Question,
    /// It depends on something.
    Conditional,
    /// It is to happen later.
    Later,
}

/// Decides.
pub(super) fn gate(items: &[Item], clauses: &[Clause], names: &Names) -> Intent {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    if has(Sense::SkipReview) || goes_around_review(items, clauses) {
        return Intent::SkipReview;
    }
    if has(Sense::Override) || plays_a_role(items) {
        return Intent::Override;
    }
    if wants_secret(items) {
        return Intent::Secret;
    }
    if is_only(
        items,
        &[Sense::Approve, Sense::Yes, Sense::It, Sense::Please, Sense::Filler, Sense::ThatChange],
        Sense::Approve,
    ) {
        return Intent::Approval;
    }
    if has(Sense::Writing) {
        return Intent::Irrelevant;
    }
    if let Some(intent) = of_clauses(items, clauses, names) {
        return intent;
    }
    if is_only(
        items,
        &[Sense::Greeting, Sense::Filler, Sense::Yes, Sense::Please, Sense::AskEnd],
        Sense::Greeting,
    ) {
        return Intent::Greeting;
    }
    if is_only(items, &[Sense::Yes, Sense::No, Sense::Filler, Sense::Please], Sense::Yes) {
        return Intent::Nothing;
    }
    if items.iter().any(|i| i.is(Sense::What) && is_how(&i.text)) && has_verb(items) {
        return Intent::HowTo;
    }
    without_command(items, clauses)
}

/// `<system>`, `[assistant]`: words put into the mouth of somebody who is not the operator.
fn plays_a_role(items: &[Item]) -> bool {
    items.windows(3).any(|w| {
        let marked = matches!(w[0].what, What::Mark('<' | '[' | '|'))
            && matches!(w[2].what, What::Mark('>' | ']' | '|'));
        let role = w[1].text.to_lowercase();
        marked
            && matches!(role.as_str(), "system" | "assistant" | "tool" | "developer" | "im_start")
    })
}

/// "no need for an approval", 不用走审批: a word for the review with a word against it shortly before.
fn goes_around_review(items: &[Item], clauses: &[Clause]) -> bool {
    const AGAINST: [&str; 16] = [
        "不用",
        "不必",
        "不要",
        "别",
        "无需",
        "不需要",
        "跳过",
        "绕过",
        "绕开",
        "省",
        "不走",
        "不经",
        "免",
        "无须",
        "先不",
        "不等",
    ];
    const REVIEWS: [&str; 4] = ["审批", "审核", "评审", "复核"];
    if clauses.iter().all(|c| c.mood == Mood::Question) {
        return false;
    }
    let text: String = items.iter().map(|i| i.text.to_lowercase()).collect();
    let han = REVIEWS.iter().flat_map(|noun| text.match_indices(noun)).any(|(at, _)| {
        let before: Vec<char> = text[..at].chars().rev().take(5).collect();
        let before: String = before.into_iter().rev().collect();
        AGAINST.iter().any(|word| before.contains(word))
    });
    let words: Vec<String> = items
        .iter()
        .flat_map(|i| i.text.to_lowercase().split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    han || words.iter().enumerate().any(|(at, word)| {
        let noun = ["review", "approv", "sign-off", "signoff", "signing off"];
        let noun = noun.iter().any(|noun| word.starts_with(noun));
        let against = |word: &String| {
            matches!(
                word.as_str(),
                "skip"
                    | "skipping"
                    | "bypass"
                    | "bypassing"
                    | "without"
                    | "nobody"
                    | "no"
                    | "ignore"
                    | "circumvent"
            )
        };
        noun && words[at.saturating_sub(4)..at].iter().any(against)
    })
}

fn has_verb(items: &[Item]) -> bool {
    items.iter().any(|i| i.sense().is_some_and(is_verb))
}

/// "how to", 怎么把; not "what happens if".
fn is_how(text: &str) -> bool {
    let text = text.to_lowercase();
    ["how", "怎么", "如何", "怎样", "steps"].iter().any(|how| text.starts_with(how))
        && text != "怎么办"
}

/// The intent of a message with verbs of change.
fn of_clauses(items: &[Item], clauses: &[Clause], names: &Names) -> Option<Intent> {
    let with = |mood: Mood| clauses.iter().filter(move |c| c.mood == mood);
    let verb = |c: &&Clause| c.items.iter().any(|i| i.sense().is_some_and(is_verb));
    let commanding: Vec<&Clause> = with(Mood::Command).chain(with(Mood::Perhaps)).collect();
    let sets = items.iter().any(|i| matches!(i.what, What::KeyValue(..)));
    let unsets = read::drafts(clauses, names).iter().any(|draft| !draft.unset.is_empty());
    if let Some(what) = commanding.iter().find_map(|c| unsupported(&c.items, names, sets))
        && !unsets
    {
        return Some(Intent::Unsupported(what));
    }
    match standing(clauses, names) {
        Standing::Said => {}
        Standing::TakenBack => return Some(Intent::Negated),
        Standing::Instead(drafts) => return Some(Intent::Command(drafts)),
    }
    let drafts: Vec<Draft> = read::drafts(clauses, names);
    let drafts: Vec<Draft> = drafts.into_iter().filter(|d| !d.verbs.is_empty()).collect();
    if !commanding.is_empty() && with(Mood::Negated).any(|c| forbids_the_same(c, &drafts, names)) {
        return Some(Intent::Negated);
    }
    let conditional = with(Mood::Conditional).next().is_some();
    // 今晚没人用 only tells why
    let later = with(Mood::Later).any(|c| {
        let nobody = c.items.windows(2).any(|w| w[0].text == "没" && w[1].text.starts_with('人'));
        // 他们说周一会很忙: a forecast
        let told = c.items.iter().any(|i| i.is(Sense::Reported) || i.text == "会");
        let nobody = nobody || told && !verb(&c);
        !nobody && verb(&c)
            || c.items.iter().any(is_value)
            || !told && c.items.iter().all(|i| !matches!(i.what, What::Name(_) | What::Unknown))
    });
    // 隔一会儿就重启，咋回事: when it happens, and a question about it
    let wonders = |c: &Clause| {
        c.items.iter().any(|i| i.is(Sense::Ask) || i.is(Sense::Why) || i.is(Sense::Problem))
    };
    if later && !conditional && commanding.is_empty() && with(Mood::Question).any(wonders) {
        return None;
    }
    if conditional || later {
        let all: Vec<Clause> = clauses
            .iter()
            .map(|c| {
                let command =
                    verb(&c) && matches!(c.mood, Mood::Conditional | Mood::Later | Mood::Command);
                Clause { mood: if command { Mood::Command } else { c.mood }, ..c.clone() }
            })
            .collect();
        let drafts = read::drafts(&all, names);
        let drafts: Vec<Draft> = drafts.into_iter().filter(|d| !d.verbs.is_empty()).collect();
        let doubt = if conditional { Doubt::Conditional } else { Doubt::Later };
        return (!drafts.is_empty()).then_some(Intent::Confirm(drafts, doubt));
    }
    // "x answers 401, look at its logs": what is looked at settles it
    let looks =
        with(Mood::Question).any(|c| c.items.iter().any(|i| i.sense().is_some_and(is_topic)));
    if looks && !drafts.is_empty() && drafts.iter().all(|d| d.verbs.len() > 1) {
        return None;
    }
    if !drafts.is_empty() {
        let stop =
            items.iter().any(|i| i.is(Sense::Stop)) && drafts.iter().any(|d| d.amounts.is_empty());
        if stop && drafts.iter().all(|d| d.verbs == [Verb::Scale]) {
            return Some(Intent::Stop(drafts));
        }
        let sure = with(Mood::Command).next().is_some();
        return Some(if sure {
            Intent::Command(drafts)
        } else {
            Intent::Confirm(drafts, Doubt::Question)
        });
    }
    let asks = with(Mood::Question).next().is_some();
    with(Mood::Negated).find(|c| verb(c) && !asks).map(|_| Intent::Negated)
}

/// A verb no tool has: the word itself, for the reply. What is turned on by a variable that is set (`sets`) is that variable.
fn unsupported(items: &[Item], names: &Names, sets: bool) -> Option<String> {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let draft = read::draft(items, names);
    let first = items.iter().find(|i| i.sense().is_some_and(is_verb));
    if let Some(item) = first.filter(|i| i.is(Sense::Unsupported)) {
        return Some(item.text.clone());
    }
    if let Some(item) = items.iter().find(|i| i.is(Sense::Unsupported)) {
        return draft.verbs.is_empty().then(|| item.text.clone());
    }
    let unfit = draft.verbs.is_empty() && (has(Sense::Remove) || has(Sense::Start) && !sets);
    let removes = has(Sense::Remove)
        && matches!(draft.verbs.as_slice(), [Verb::Scale | Verb::SetImage])
        && draft.amounts.is_empty()
        && draft.images.is_empty();
    (unfit || removes)
        .then(|| items.iter().find(|i| i.is(Sense::Remove) || i.is(Sense::Start)))
        .flatten()
        .map(|i| i.text.clone())
}

fn wants_secret(items: &[Item]) -> bool {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let noun = has(Sense::Secret);
    let object =
        items.iter().any(|i| i.is(Sense::Domain) && i.text.to_lowercase().contains("secret"));
    let failing =
        has(Sense::AuthFailure) || has(Sense::Problem) || has(Sense::Why) || has(Sense::Told);
    let reveals =
        has(Sense::Reveal) || items.iter().any(|i| i.text == "value" || i.text == "values");
    let asks = has(Sense::Look)
        || has(Sense::Ask)
        || has(Sense::Please)
        || has(Sense::CanYou)
        || items.iter().any(|i| {
            matches!(i.text.to_lowercase().as_str(), "send" | "give" | "发" | "把" | "要" | "是")
        })
        || items.first().is_some_and(|i| i.is(Sense::Set));
    let variable = items.iter().any(|i| {
        i.what == What::Unknown && values::is_env_key(&i.text) && resolve::is_secret_key(&i.text)
    });
    if variable && (has(Sense::Look) || has(Sense::Ask)) && !failing {
        return true;
    }
    let command = items.iter().any(|i| matches!(i.what, What::KeyValue(..)));
    let short = noun
        && items.len() <= 4
        && items.iter().all(|i| {
            i.is(Sense::Secret) || i.name().is_some() || i.is(Sense::Of) || i.is(Sense::AskEnd)
        });
    !failing && !command && ((noun && (asks || reveals)) || (object && reveals) || short)
}

/// Whether the message consists of these senses alone, one of them being `needed`.
fn is_only(items: &[Item], senses: &[Sense], needed: Sense) -> bool {
    let mut found = false;
    for item in items {
        if matches!(item.what, What::Mark(_) | What::ChangeId) {
            continue;
        }
        let text = item.text.to_lowercase();
        let needs = lexicon::can_mean(&text, needed);
        if !needs && !senses.iter().any(|s| lexicon::can_mean(&text, *s)) {
            return false;
        }
        found |= needs;
    }
    found
}

/// A message without a verb of change.
fn without_command(items: &[Item], clauses: &[Clause]) -> Intent {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let named = items.iter().any(|i| i.name().is_some_and(|n| !n.workloads.is_empty()));
    let any_name = items.iter().any(|i| i.name().is_some());
    let topic = items.iter().any(|i| i.sense().is_some_and(is_topic));
    let place = items
        .iter()
        .any(|i| matches!(i.sense(), Some(Sense::Env(_) | Sense::Namespace | Sense::Kind(_))));
    let objects = cue::kind(items).is_some()
        || has(Sense::Domain)
        || has(Sense::Replicas)
        || has(Sense::Image)
        || has(Sense::Cpu)
        || has(Sense::Memory)
        || has(Sense::Told)
        || has(Sense::EnvVar)
        || has(Sense::Container)
        || items.iter().any(|i| {
            i.sense().is_some_and(is_verb)
                && !i.is(Sense::Set)
                && !i.is(Sense::Up)
                && !i.is(Sense::Down)
        });
    let asking = clauses.iter().any(|c| c.mood == Mood::Question);
    if has(Sense::Help) && !any_name {
        return Intent::Help;
    }
    // "please freshen up x"; "pods of x, please" asks to see them
    let unknown = items.iter().any(|i| matches!(i.what, What::Unknown | What::Han));
    let wanting = has(Sense::Object)
        || has(Sense::Please) && unknown
        || has(Sense::CanYou)
        || has(Sense::Need)
        || items.iter().any(|i| matches!(i.what, What::Number(_) | What::Tag | What::Quantity(_)));
    let commanded = clauses.iter().any(|c| c.mood == Mood::Command);
    if named && !asking && commanded && !has(Sense::Told) {
        return Intent::Unclear;
    }
    let telling = items.iter().any(|i| i.sense().is_some_and(is_topic) && !i.is(Sense::Status));
    if named && !telling && !asking && wanting && !has(Sense::Told) {
        return Intent::Unclear;
    }
    // "is it fine now?"
    let points = |i: &Item| i.is(Sense::It) || i.text.to_lowercase().starts_with("is it");
    let has_it = items.iter().any(points) && asking && items.len() <= 6;
    // "the last three changes"
    let listed =
        items.windows(2).any(|w| matches!(w[0].what, What::Number(_)) && w[1].is(Sense::History));
    let variable = |i: &Item| i.what == What::Unknown && values::is_env_key(&i.text);
    if any_name
        || listed
        || (asking && items.iter().any(variable))
        || (topic && (asking || objects || place || strong_topic(items)))
        || has(Sense::LastChange)
        || (asking && (objects || place))
        || has_it
    {
        return Intent::Question;
    }
    if topic && !asking && items.len() <= 4 {
        return Intent::Question;
    }
    Intent::Irrelevant
}

/// Topics that are about a cluster by themselves; `status`, `list` or `history` alone may be about anything.
fn strong_topic(items: &[Item]) -> bool {
    items.iter().any(|i| matches!(i.sense(), Some(Sense::Logs | Sense::Events)))
}
