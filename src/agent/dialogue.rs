//! What is kept between turns: the question that waits for an answer, the last change, what was talked about.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    clause::{Clause, Mood, is_verb},
    draft::{Draft, Place, Target, Verb},
    lexicon::{self, Sense},
    names::Names,
    read,
    resolve::{self, Ask, Fill, Slot},
    scan::{Item, What},
    values,
};
use crate::{
    domain::{Block, Inventory, Message},
    model::ToolCall,
};

/// The state between turns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The question that waits for an answer.
    pub(super) pending: Option<Pending>,
    /// The calls of the last change in this conversation.
    pub(super) changed: Vec<ToolCall>,
    /// The read calls of the last question in this conversation.
    pub(super) asked: Vec<ToolCall>,
    /// Whether the last turn with a result was a question.
    pub(super) last_was_question: bool,
    /// The workloads the last turn was about.
    pub(super) focus: Vec<Target>,
    /// How the last message was understood, step by step, for people.
    pub(super) why: Vec<String>,
}

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The changes it is about.
    pub(super) drafts: Vec<Draft>,
    /// What was asked.
    pub(super) ask: Ask,
}

/// What a message does to a waiting question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answered {
    /// It settles something.
    Filled(Vec<Draft>),
    /// The operator does not want it any more.
    Dropped,
    /// It is about something else.
    Not,
}

impl State {
    /// Reads the state; one that cannot be read is forgotten.
    pub(super) fn read(value: &Value) -> Self {
        serde_json::from_value(value.clone()).unwrap_or_default()
    }

    /// Writes the state.
    pub(super) fn write(&self) -> Value {
        serde_json::to_value(self).expect("invariant: the state is plain data")
    }
}

/// The last change told in this conversation.
pub(super) fn last_change(history: &[Message]) -> Option<String> {
    history.iter().rev().flat_map(|m| m.blocks.iter().rev()).find_map(|block| match block {
        Block::Change { change, .. } => Some(change.0.clone()),
        _ => None,
    })
}

/// Reads a message as the answer to a waiting question.
pub(super) fn answer(
    pending: &Pending,
    text: &str,
    items: &[Item],
    clauses: &[Clause],
    world: (&Inventory, &Names),
) -> Answered {
    let (inventory, names) = world;
    let ask = &pending.ask;
    if let Some(fill) = option(ask, text, items) {
        return filled(pending, inventory, |draft, inventory| apply(draft, &fill, inventory));
    }
    if all_mean(items, Sense::No) {
        return Answered::Dropped;
    }
    if ask.slot == Slot::Confirm {
        return if all_mean(items, Sense::Yes) {
            filled(pending, inventory, |draft, inventory| apply(draft, &Fill::Go, inventory))
        } else {
            Answered::Not
        };
    }
    let part = read::draft(items, names);
    if all_mean(items, Sense::Yes) && ask.options.len() == 1 {
        let fill = ask.options[0].fill.clone();
        return filled(pending, inventory, |draft, inventory| apply(draft, &fill, inventory));
    }
    // whatever a single word means elsewhere, here it is the value that was asked for
    let one_word =
        items.len() == 1 && matches!(ask.slot, Slot::Variable | Slot::Image | Slot::Container);
    if !one_word && is_new_request(&part, &pending.drafts[ask.draft], clauses, ask.slot) {
        return Answered::Not;
    }
    let mut drafts = pending.drafts.clone();
    let settled = free(&mut drafts[ask.draft], ask.slot, items, part);
    if settled { Answered::Filled(drafts) } else { Answered::Not }
}

fn filled(
    pending: &Pending,
    inventory: &Inventory,
    apply: impl Fn(&mut Draft, &Inventory),
) -> Answered {
    let mut drafts = pending.drafts.clone();
    if let Some(draft) = drafts.get_mut(pending.ask.draft) {
        apply(draft, inventory);
    }
    Answered::Filled(drafts)
}

/// A message with a verb of its own and a target of its own, or a question, answers nothing.
fn is_new_request(part: &Draft, draft: &Draft, clauses: &[Clause], slot: Slot) -> bool {
    let asks = clauses.iter().any(|c| c.mood == Mood::Question);
    let verb = clauses.iter().any(|c| c.items.iter().any(|i| i.sense().is_some_and(is_verb)));
    let other = !part.verbs.is_empty() && !part.verbs.iter().any(|v| draft.verbs.contains(v));
    let whole = verb && !part.targets.is_empty() && slot != Slot::Workload;
    asks || (verb && other && slot != Slot::Variable)
        || whole
        || (verb && slot == Slot::Workload && part.has_value() && !part.targets.is_empty())
}

/// Which of the offered answers a message picks.
fn option(ask: &Ask, text: &str, items: &[Item]) -> Option<Fill> {
    let said =
        text.trim().trim_end_matches(['。', '.', '!', '！', '吧', '的']).trim().to_lowercase();
    let place_of = |label: &str| label.split(" (").next().unwrap_or(label).to_lowercase();
    let exact = |label: &str| label.to_lowercase() == said || place_of(label) == said;
    if let Some(found) = ask.options.iter().find(|o| exact(&o.label)) {
        return Some(found.fill.clone());
    }
    // "the archive" of x-archive and x-gateway
    let word = said.trim_start_matches("the ").trim_end_matches(" one");
    let parted = |label: &str| label.to_lowercase().split(['-', '_', '.']).any(|part| part == word);
    let mut meant = ask.options.iter().filter(|o| ask.slot == Slot::Workload && parted(&o.label));
    if let (Some(one), None) = (meant.next(), meant.next()) {
        return Some(one.fill.clone());
    }
    let everywhere = ask.slot == Slot::Place
        && items.iter().all(|i| {
            matches!(i.sense(), Some(Sense::Both | Sense::All | Sense::Filler | Sense::Env(_)))
                || i.text == "都"
        })
        && items.iter().any(|i| matches!(i.sense(), Some(Sense::Both | Sense::All)));
    if everywhere {
        return Some(Fill::Everywhere(0));
    }
    let counted = matches!(ask.slot, Slot::Number | Slot::Image | Slot::Amount);
    let position = match said.as_str() {
        "第一个" | "第一" | "the first" | "first" | "the first one" | "first one" => 0,
        "第二个" | "第二" | "the second" | "second" | "the second one" | "second one" => 1,
        "第三个" | "第三" | "the third" | "third" | "the third one" | "third one" => 2,
        "最后一个" | "the last one" | "last one" | "the last" => {
            ask.options.len().checked_sub(1)?
        }
        digit if !counted => digit.parse::<usize>().ok()?.checked_sub(1)?,
        _ => return None,
    };
    ask.options.get(position).map(|o| o.fill.clone())
}

fn apply(draft: &mut Draft, fill: &Fill, inventory: &Inventory) {
    match fill {
        Fill::Verb(verb) => {
            draft.verbs = vec![*verb];
            match verb {
                Verb::Scale => draft.images.clear(),
                _ => draft.amounts.clear(),
            }
        }
        Fill::Name(at, name) => name_target(draft, *at, name),
        Fill::Place(at, namespace) => {
            draft.place = Place::default();
            if let Some(target) = draft.targets.get_mut(*at) {
                target.place = Place::default();
                target.namespace = Some(namespace.clone());
            } else {
                draft.place.namespaces.push(namespace.clone());
            }
        }
        Fill::Everywhere(at) => {
            let named = draft.targets.get(*at).and_then(|t| t.names.first().cloned());
            draft.place = Place {
                namespaces: inventory
                    .workloads
                    .iter()
                    .filter(|w| w.unit.is_some() && Some(&w.object.name) == named.as_ref())
                    .filter_map(|w| w.object.namespace.clone())
                    .collect(),
                ..Place::default()
            };
        }
        Fill::Kind(at, kind) => {
            if let Some(target) = draft.targets.get_mut(*at) {
                target.kind = Some(kind.clone());
            }
        }
        Fill::Amount(amount) => draft.amounts = vec![*amount],
        Fill::Image(image) => draft.images = vec![image.clone()],
        Fill::Container(container) => draft.container = Some(container.clone()),
        Fill::Scope(request, limit) => scope(draft, *request, *limit),
        Fill::Change(change) => draft.change = Some(change.clone()),
        Fill::Go if draft.all => {
            let listed = resolve::everything(draft, inventory).into_iter();
            draft.targets = listed
                .map(|w| Target {
                    names: vec![w.object.name.clone()],
                    namespace: w.object.namespace.clone(),
                    kind: Some(w.object.kind.clone()),
                    ..Target::default()
                })
                .collect();
            draft.all = false;
            draft.place = Place::default();
        }
        Fill::Go => {}
    }
}

fn name_target(draft: &mut Draft, at: usize, name: &str) {
    let target = Target::named(name);
    match draft.targets.get_mut(at) {
        Some(old) => *old = target,
        None => draft.targets.push(target),
    }
    if !draft.unknown.is_empty() {
        draft.unknown.remove(0);
    }
}

fn scope(draft: &mut Draft, request: bool, limit: bool) {
    let amounts = std::mem::take(&mut draft.unscoped);
    if request {
        draft.requests.extend(amounts.clone());
    }
    if limit {
        draft.limits.extend(amounts);
    }
}

/// An answer in the operator's own words.
fn free(draft: &mut Draft, slot: Slot, items: &[Item], part: Draft) -> bool {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    match slot {
        Slot::Number => {
            draft.amounts = values::amounts(items);
            !draft.amounts.is_empty()
        }
        Slot::Workload => workload(draft, items, part),
        Slot::Place => place(draft, items, part),
        Slot::Image => {
            let word = |i: &&Item| {
                matches!(
                    i.what,
                    What::Tag | What::Unknown | What::Number(_) | What::Commit | What::Quoted
                )
            };
            let found: Vec<&Item> = items.iter().filter(word).collect();
            draft.images = found.iter().map(|i| image(&i.text)).collect();
            !draft.images.is_empty()
        }
        Slot::Container => {
            let word = |i: &&Item| {
                !matches!(i.what, What::Mark(_) | What::Han)
                    && !i.is(Sense::Container)
                    && !i.is(Sense::Filler)
                    && !i.is(Sense::Of)
                    && !i.is(Sense::It)
            };
            let mut words = items.iter().filter(word);
            draft.container = words.next().map(|i| i.text.clone());
            draft.container.is_some() && words.next().is_none()
        }
        Slot::Variable => variable(draft, items, part),
        Slot::Amount => {
            draft.misfits.clear();
            values::resources(items, draft);
            !draft.requests.is_empty() || !draft.limits.is_empty() || !draft.unscoped.is_empty()
        }
        Slot::Scope => {
            let both = has(Sense::Both) || has(Sense::All);
            let (request, limit) = (has(Sense::Request) || both, has(Sense::Limit) || both);
            if request || limit {
                scope(draft, request, limit);
            }
            request || limit
        }
        Slot::Change => {
            draft.change = items.iter().find(|i| i.what == What::ChangeId).map(|i| i.text.clone());
            draft.change.is_some()
        }
        Slot::Verb => match part.verbs.as_slice() {
            [one] if draft.verbs.contains(one) => {
                draft.verbs = vec![*one];
                true
            }
            _ => false,
        },
        Slot::Confirm => false,
    }
}

fn image(said: &str) -> String {
    let bare = !said.contains(['/', ':', '@']);
    if bare { format!(":{said}") } else { said.to_owned() }
}

fn workload(draft: &mut Draft, items: &[Item], part: Draft) -> bool {
    if part.targets.is_empty() && part.unknown.is_empty() {
        return false;
    }
    let mut part = part;
    let mut offered = draft.unknown.first().map_or_else(Vec::new, |(_, near)| near.clone());
    if let Some(ambiguous) = draft.targets.iter().position(|t| t.names.len() > 1) {
        offered = draft.targets.remove(ambiguous).names;
    }
    // half a name is enough among those that were offered
    if let [(_, near)] = part.unknown.as_slice() {
        let mut meant = near.iter().filter(|name| offered.contains(name));
        if let (Some(one), None) = (meant.next(), meant.next()) {
            part.targets = vec![Target::named(one)];
            part.unknown.clear();
        }
    }
    draft.unknown = part.unknown;
    draft.targets.extend(part.targets);
    if draft.place.is_empty() {
        draft.place = part.place;
    }
    if draft.verbs == [Verb::Scale] && draft.amounts.is_empty() {
        draft.amounts = values::amounts(items);
    }
    true
}

fn place(draft: &mut Draft, items: &[Item], part: Draft) -> bool {
    let mut place = part.place;
    // a namespace that is also a workload's name, and environments by any of their words
    for item in items {
        if let Some(namespace) = item.name().and_then(|n| n.namespace.clone())
            && !place.namespaces.contains(&namespace)
        {
            place.namespaces.push(namespace);
        }
        if let Some(Sense::Env(group)) = item.sense()
            && !place.groups.iter().any(|g| g == group)
        {
            place.groups.push(group.to_owned());
        }
    }
    if let (true, [word]) = (place.is_empty(), items)
        && word.what == What::Unknown
    {
        place.unknown.push(word.text.clone());
    }
    if place.is_empty() {
        return false;
    }
    for target in &mut draft.targets {
        target.namespace = None;
        target.place = Place::default();
    }
    draft.place = place;
    true
}

fn variable(draft: &mut Draft, items: &[Item], part: Draft) -> bool {
    if !part.set.is_empty() || !part.unset.is_empty() {
        draft.valueless.retain(|key| !part.set.contains_key(key));
        draft.set.extend(part.set);
        draft.unset.extend(part.unset);
        return true;
    }
    let words: Vec<&Item> = items
        .iter()
        .filter(|i| !matches!(i.what, What::Mark(_)) && !i.is(Sense::To) && !i.is(Sense::Set))
        .collect();
    if let (Some(key), [one]) = (draft.valueless.first().cloned(), words.as_slice()) {
        draft.valueless.remove(0);
        draft.set.insert(key, one.text.clone());
        return true;
    }
    false
}

/// Whether a short message says nothing but this.
fn all_mean(items: &[Item], sense: Sense) -> bool {
    let mut found = false;
    for item in items.iter().filter(|i| !matches!(i.what, What::Mark(_))) {
        let text = item.text.to_lowercase();
        if lexicon::can_mean(&text, sense) {
            found = true;
        } else if !matches!(
            item.sense(),
            Some(Sense::Filler | Sense::Please | Sense::It | Sense::Greeting)
        ) {
            return false;
        }
    }
    found
}
