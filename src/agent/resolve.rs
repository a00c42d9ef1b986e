//! From drafts to tool calls, or to the question or refusal that stands in the way. Nothing is guessed here: a name must
//! be exact and unique, every value said.

mod targets;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Config,
    draft::{Amount, Draft, Verb},
    quantity, reply,
};
use crate::{
    domain::{ContainerInfo, Inventory, Lang, Workload},
    model::ToolCall,
};
pub(super) use targets::{everything, in_place};

/// What stands between drafts and calls.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stop {
    /// Something is missing or ambiguous.
    Ask(Ask),
    /// It cannot or may not be done.
    Refuse {
        /// Machine-readable reason.
        code: &'static str,
        /// For the operator.
        reason: String,
    },
}

/// A question back about one draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ask {
    /// Which of the drafts.
    pub(super) draft: usize,
    /// What is asked for.
    pub(super) slot: Slot,
    /// The question.
    pub(super) question: String,
    /// The answers offered.
    pub(super) options: Vec<Answer>,
}

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Slot {
    Verb,
    Workload,
    Place,
    Number,
    Image,
    Container,
    Variable,
    Amount,
    Scope,
    Change,
    Confirm,
}

/// One answer offered, and what it settles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Shown and said.
    pub(super) label: String,
    /// What it settles.
    pub(super) fill: Fill,
}

/// What an answer settles in the draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fill {
    Verb(Verb),
    /// The n-th target is this workload.
    Name(usize, String),
    /// Forget what was said about the place and take this namespace for the n-th target.
    Place(usize, String),
    /// Every place the n-th target is in.
    Everywhere(usize),
    Kind(usize, String),
    Amount(Amount),
    Image(String),
    Container(String),
    /// Requests, limits.
    Scope(bool, bool),
    /// The change to undo.
    Change(String),
    /// Go ahead as it is.
    Go,
}

/// Everything resolving looks at.
pub(super) struct World<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) config: &'a Config,
    pub(super) lang: Lang,
}

/// Turns drafts into calls.
///
/// # Errors
/// The first thing that stands in the way.
pub(super) fn calls(drafts: &[Draft], world: &World) -> Result<Vec<ToolCall>, Stop> {
    let mut found: Vec<ToolCall> = Vec::new();
    for (index, draft) in drafts.iter().enumerate() {
        let made = one(draft, world).map_err(|mut stop| {
            if let Stop::Ask(ask) = &mut stop {
                ask.draft = index;
            }
            stop
        })?;
        for call in made {
            if !found.contains(&call) {
                found.push(call);
            }
        }
    }
    contradiction(&found, world)?;
    Ok(found)
}

/// Two different values for the same thing of the same workload are a question, not two changes.
fn contradiction(calls: &[ToolCall], world: &World) -> Result<(), Stop> {
    for (at, call) in calls.iter().enumerate() {
        let same = |other: &&ToolCall| {
            other.name == call.name
                && matches!(call.name.as_str(), "scale" | "set_image")
                && ["workload", "namespace", "container"]
                    .iter()
                    .all(|key| other.arguments.get(key) == call.arguments.get(key))
        };
        if calls[at + 1..].iter().any(|other| same(&other)) {
            let question = reply::contradiction(
                world.lang,
                call.arguments["workload"].as_str().unwrap_or_default(),
            );
            return Err(ask(Slot::Number, question, Vec::new()));
        }
    }
    Ok(())
}

fn ask(slot: Slot, question: String, options: Vec<Answer>) -> Stop {
    Stop::Ask(Ask { draft: 0, slot, question, options })
}

fn refuse(code: &'static str, reason: String) -> Stop {
    Stop::Refuse { code, reason }
}

/// "x to 5" is a number of replicas, unless one of the images it may be about has a tag that is a plain number.
fn settled(draft: &Draft, inventory: &Inventory) -> Draft {
    let numbered =
        |image: &str| {
            image.rsplit('/').next().and_then(|last| last.split_once(':')).is_some_and(
                |(_, tag)| tag.trim_start_matches('v').chars().all(|c| c.is_ascii_digit()),
            )
        };
    let named = |w: &&Workload| draft.targets.iter().any(|t| t.names.contains(&w.object.name));
    let mut workloads = inventory.workloads.iter().filter(named);
    let unsure = draft.verbs == [Verb::Scale, Verb::SetImage] && !draft.targets.is_empty();
    let mut draft = draft.clone();
    if unsure && !workloads.any(|w| w.containers.iter().any(|c| numbered(&c.image))) {
        draft.verbs = vec![Verb::Scale];
        draft.images.clear();
    }
    draft
}

fn one(draft: &Draft, world: &World) -> Result<Vec<ToolCall>, Stop> {
    let lang = world.lang;
    let draft = &settled(draft, world.inventory);
    absurd(draft, world)?;
    let Some(verb) = draft.verb() else {
        let options = draft.verbs.iter().map(|v| answer(reply::verb(lang, *v), Fill::Verb(*v)));
        return Err(ask(Slot::Verb, reply::which_verb(lang), options.collect()));
    };
    if verb == Verb::Undo {
        let Some(change) = &draft.change else {
            return Err(ask(Slot::Change, reply::which_change(lang), Vec::new()));
        };
        return Ok(vec![call(verb, json!({ "change": change }))]);
    }
    let workloads = targets::workloads(draft, verb, world)?;
    values(draft, verb, world, &workloads)?;
    workloads
        .iter()
        .map(|workload| {
            let replicas = replicas(draft, verb, workload, world)?;
            let mut arguments = Map::new();
            arguments.insert("workload".to_owned(), json!(workload.object.name));
            if let Some(namespace) = &workload.object.namespace {
                arguments.insert("namespace".to_owned(), json!(namespace));
            }
            if is_ambiguous(workload, world.inventory) {
                arguments.insert("kind".to_owned(), json!(workload.object.kind));
            }
            let mut said = draft.clone();
            said.container = container(draft, verb, workload, lang)?;
            work_out(&mut said, workload, lang)?;
            arguments.extend(said.values(verb, replicas));
            Ok(call(verb, Value::Object(arguments)))
        })
        .collect()
}

fn call(verb: Verb, arguments: Value) -> ToolCall {
    ToolCall { name: verb.tool().to_owned(), arguments }
}

fn answer(label: String, fill: Fill) -> Answer {
    Answer { label, fill }
}

/// Whether another object shares the name and the namespace.
fn is_ambiguous(workload: &Workload, inventory: &Inventory) -> bool {
    let same = |w: &&Workload| {
        w.object.name == workload.object.name && w.object.namespace == workload.object.namespace
    };
    inventory.workloads.iter().filter(same).count() > 1
}

/// Values that no workload could take are told at once.
fn absurd(draft: &Draft, world: &World) -> Result<(), Stop> {
    let max = world.config.max_replicas;
    for amount in &draft.amounts {
        match amount {
            Amount::To(n) if *n < 0 || *n > i64::from(max) => {
                return Err(refuse(
                    "out-of-range",
                    reply::replicas_range(world.lang, &n.to_string(), max),
                ));
            }
            Amount::Absurd => {
                return Err(refuse("out-of-range", reply::replicas_range(world.lang, "?", max)));
            }
            _ => {}
        }
    }
    if let Some(image) = draft.images.iter().find(|image| !is_image(image)) {
        return Err(refuse("invalid-image", reply::bad_image(world.lang, image)));
    }
    if let Some(word) = draft.unclear.first() {
        return Err(ask(Slot::Verb, reply::unclear_value(world.lang, word), Vec::new()));
    }
    if let Some(misfit) = draft.misfits.first() {
        return Err(ask(Slot::Amount, reply::bad_amount(world.lang, misfit), Vec::new()));
    }
    for key in draft.set.keys() {
        if is_secret_key(key) {
            return Err(refuse("secret", reply::secret_in_env(world.lang, key)));
        }
    }
    Ok(())
}

/// An image reference or `:tag` by the grammar of the distribution specification.
fn is_image(image: &str) -> bool {
    let legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/' | '@');
    let tag =
        image.rsplit('/').next().and_then(|last| last.split(['@', ':']).nth(1)).unwrap_or("x");
    let digest_ok = image
        .split_once("@sha256:")
        .is_none_or(|(_, hex)| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()));
    !image.is_empty()
        && image.chars().all(legal)
        && (1..=128).contains(&tag.len())
        && !tag.starts_with(['-', '.'])
        && digest_ok
}

/// Names of variables whose values never belong into git in the clear.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    const ENDS: [&str; 12] = [
        "PASSWORD",
        "PASSWD",
        "PWD",
        "SECRET",
        "TOKEN",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
        "ACCESS_KEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "SECRET_KEY",
    ];
    ENDS.iter().any(|end| key.ends_with(end))
}

/// Whether the values the verb needs were said, and only once.
fn values(draft: &Draft, verb: Verb, world: &World, workloads: &[&Workload]) -> Result<(), Stop> {
    let lang = world.lang;
    match verb {
        Verb::SetImage if draft.images.len() != 1 => {
            let options =
                draft.images.iter().map(|i| answer(i.clone(), Fill::Image(i.clone()))).collect();
            Err(ask(Slot::Image, reply::which_image(lang, workloads), options))
        }
        Verb::SetEnv if !draft.valueless.is_empty() => {
            Err(ask(Slot::Variable, reply::which_value(lang, &draft.valueless[0]), Vec::new()))
        }
        Verb::SetEnv if draft.set.is_empty() && draft.unset.is_empty() => {
            Err(ask(Slot::Variable, reply::which_variable(lang), Vec::new()))
        }
        Verb::SetResources if !draft.unscoped.is_empty() => {
            let options = vec![
                answer(reply::requests(lang), Fill::Scope(true, false)),
                answer(reply::limits(lang), Fill::Scope(false, true)),
                answer(reply::both(lang), Fill::Scope(true, true)),
            ];
            Err(ask(Slot::Scope, reply::which_scope(lang, &draft.unscoped), options))
        }
        Verb::SetResources if draft.requests.is_empty() && draft.limits.is_empty() => {
            Err(ask(Slot::Amount, reply::which_amount(lang), Vec::new()))
        }
        _ => Ok(()),
    }
}

/// Amounts relative to what is declared now.
fn work_out(draft: &mut Draft, workload: &Workload, lang: crate::domain::Lang) -> Result<(), Stop> {
    let wanted = draft.container.as_deref();
    let declared = workload.containers.iter().find(|c| wanted.is_none_or(|name| name == c.name));
    let parts = [
        (&mut draft.requests, declared.map(|c| &c.requests)),
        (&mut draft.limits, declared.map(|c| &c.limits)),
    ];
    for (amounts, now) in parts {
        for (resource, amount) in amounts.iter_mut() {
            let Some(factor) = amount.strip_prefix('×') else { continue };
            let scaled = now.and_then(|now| quantity::times(now.get(resource)?, factor));
            let Some(scaled) = scaled else {
                return Err(ask(Slot::Amount, reply::which_amount(lang), Vec::new()));
            };
            *amount = scaled;
        }
    }
    Ok(())
}

/// The number of replicas a workload gets.
fn replicas(
    draft: &Draft,
    verb: Verb,
    workload: &Workload,
    world: &World,
) -> Result<Option<i64>, Stop> {
    if verb != Verb::Scale {
        return Ok(None);
    }
    let lang = world.lang;
    let name = &workload.object.name;
    let Some(now) = workload.replicas.map(i64::from) else {
        let reason = reply::no_replicas(lang, name, &workload.object.kind);
        return Err(refuse("unsupported", reason));
    };
    let number = |n: i64| answer(n.to_string(), Fill::Amount(Amount::To(n)));
    let wanted = match draft.amounts.as_slice() {
        [] => return Err(ask(Slot::Number, reply::how_many(lang, name, now), Vec::new())),
        [Amount::To(n)] => *n,
        [Amount::By(n)] => now + n,
        [Amount::Times(by, of)] if now * by % of == 0 => now * by / of,
        [Amount::Times(..)] => {
            let options = vec![number(now / 2), number(now / 2 + 1)];
            return Err(ask(Slot::Number, reply::odd_half(lang, name, now), options));
        }
        [Amount::Unclear { number: n, sign }] => {
            let options = vec![number(*n), number((now + sign * n).max(0))];
            return Err(ask(Slot::Number, reply::to_or_by(lang, name, now, *n), options));
        }
        several => {
            let options = several.iter().filter_map(|a| match a {
                Amount::To(n) => Some(number(*n)),
                _ => None,
            });
            return Err(ask(Slot::Number, reply::how_many(lang, name, now), options.collect()));
        }
    };
    if !(0..=i64::from(world.config.max_replicas)).contains(&wanted) {
        let reason = reply::replicas_range(lang, &wanted.to_string(), world.config.max_replicas);
        return Err(refuse("out-of-range", reason));
    }
    Ok(Some(wanted))
}

/// The only container that declares the variables said, or whose image has the repository said.
fn by_value(draft: &Draft, workload: &Workload) -> Option<String> {
    let keys: Vec<&String> = draft.set.keys().chain(&draft.unset).collect();
    let repository = |image: &str| {
        let last = image.rsplit('/').next().unwrap_or(image);
        last.split([':', '@']).next().unwrap_or(last).to_owned()
    };
    let image = draft.images.first().map(|image| repository(image)).filter(|name| !name.is_empty());
    let fits = |container: &&ContainerInfo| match &image {
        Some(name) => repository(&container.image) == *name,
        None => !keys.is_empty() && keys.iter().all(|key| container.env.contains(key)),
    };
    let mut found = workload.containers.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one.name.clone()),
        _ => None,
    }
}

/// The container, where the workload has several.
fn container(
    draft: &Draft,
    verb: Verb,
    workload: &Workload,
    lang: Lang,
) -> Result<Option<String>, Stop> {
    let needs = matches!(verb, Verb::SetImage | Verb::SetEnv | Verb::SetResources);
    let names: Vec<&str> = workload.containers.iter().map(|c| c.name.as_str()).collect();
    let said = draft.container.as_deref();
    let known = said.is_none_or(|said| names.contains(&said));
    if !needs || (known && (said.is_some() || names.len() < 2)) {
        return Ok(draft.container.clone());
    }
    // the one that has the variable, or that runs the image
    if let (None, Some(one)) = (said, by_value(draft, workload)) {
        return Ok(Some(one));
    }
    // the one called like the workload is the main one, the others stand beside it
    if said.is_none() && names.contains(&workload.object.name.as_str()) {
        return Ok(Some(workload.object.name.clone()));
    }
    let options =
        names.iter().map(|n| answer((*n).to_owned(), Fill::Container((*n).to_owned()))).collect();
    Err(ask(
        Slot::Container,
        reply::which_container(lang, &workload.object.name, said, &names),
        options,
    ))
}
