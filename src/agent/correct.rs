//! Orders taken back or corrected, in the same message ("scale x to 9, no, 8", 算了不用了) or in the next: what still stands.

use super::{
    bare,
    clause::{Clause, Mood, is_value},
    draft::{Draft, Verb},
    lexicon::{self, Sense},
    names::Names,
    read,
    scan::{Item, What},
    values,
};

/// What stands of the orders of a message.
#[derive(Debug, PartialEq)]
pub(super) enum Standing {
    /// All that was said.
    Said,
    /// Nothing.
    TakenBack,
    /// These orders, with what was said instead.
    Instead(Vec<Draft>),
}

/// Reads whether a later clause takes an order back.
pub(super) fn standing(clauses: &[Clause], names: &Names) -> Standing {
    let points: Vec<usize> = (1..clauses.len())
        .filter(|at| takes_back(&clauses[*at]) || apologises(&clauses[*at..]))
        .collect();
    let ordered = |until: usize| {
        let mut drafts = read::drafts(&clauses[..until], names);
        drafts.retain(|draft| !draft.verbs.is_empty());
        drafts
    };
    let Some(first) = points.iter().find(|at| !ordered(**at).is_empty()) else {
        return Standing::Said;
    };
    if points.last().is_some_and(|last| rest(&clauses[*last..]).is_empty()) {
        return Standing::TakenBack;
    }
    let mut before = ordered(*first);
    if let Some(left) = without_dropped(&before, &clauses[*first..], names) {
        return if left.is_empty() { Standing::TakenBack } else { Standing::Instead(left) };
    }
    correct(&mut before, &rest(&clauses[*first..]), names);
    Standing::Instead(before)
}

/// "skip x", x 算了: the orders without those for what is named to be dropped, where others stay.
fn without_dropped(drafts: &[Draft], clauses: &[Clause], names: &Names) -> Option<Vec<Draft>> {
    let drops = |item: &Item| {
        let text = item.text.to_lowercase();
        matches!(text.as_str(), "skip" | "forget about" | "forget") || text.ends_with("算了")
    };
    let clause = clauses.first().filter(|c| c.items.iter().any(drops))?;
    let part = read::draft(&clause.items, names);
    // half a name is enough among what was just named
    let near = part.unknown.into_iter().flat_map(|(_, near)| near);
    let dropped: Vec<String> = part.targets.into_iter().flat_map(|t| t.names).chain(near).collect();
    let is_dropped = |draft: &Draft| {
        let mut named = draft.targets.iter().flat_map(|t| &t.names);
        named.any(|name| dropped.contains(name))
    };
    if dropped.is_empty()
        || clause.items.iter().any(is_value)
        || drafts.iter().any(|d| d.targets.len() > 1)
    {
        return None;
    }
    Some(drafts.iter().filter(|d| !is_dropped(d)).cloned().collect())
}

/// Puts what a message that begins with a correction means in place of what was said before it; false when it is none.
pub(super) fn correct_last(drafts: &mut [Draft], clauses: &[Clause], names: &Names) -> bool {
    let corrects = |i: &Item| lexicon::can_mean(&i.text.to_lowercase(), Sense::Correction);
    let begins = clauses.iter().find(|c| !c.items.iter().all(|i| i.is(Sense::Filler)));
    let begins = begins.is_some_and(|c| takes_back(c) && c.items.iter().any(corrects));
    let rest = rest(clauses);
    // "no, make that 4", "no, 4"
    let refused = clauses.first().is_some_and(takes_back)
        && rest.iter().all(|c| bare::is_amount(&c.items) || c.items.iter().any(corrects));
    if !(begins || refused) || rest.is_empty() {
        return false;
    }
    correct(drafts, &rest, names);
    true
}

/// A clause that begins with "no", "wait", "I meant" and the like, and then says nothing, or what was meant.
fn takes_back(clause: &Clause) -> bool {
    // x 算了
    let drops = clause.items.last().is_some_and(|i| i.text.ends_with("算了"))
        || clause.items.iter().any(|i| i.text.eq_ignore_ascii_case("skip"));
    let named = |i: &Item| i.name().is_some() || i.what == What::Unknown;
    if drops && clause.items.iter().all(|i| named(i) || is_empty_talk(i)) {
        return true;
    }
    let mut said = clause.items.iter().skip_while(|i| i.is(Sense::Filler) && !says_no(i));
    if !said.next().is_some_and(says_no)
        || matches!(clause.mood, Mood::Conditional | Mood::Later | Mood::Question)
    {
        return false;
    }
    let rest: Vec<&Item> = said.filter(|i| !is_empty_talk(i)).collect();
    // "not x" only says which is not meant
    let excludes = clause.items.iter().any(|i| matches!(i.text.as_str(), "不是" | "not"));
    if excludes && !rest.is_empty() {
        return false;
    }
    rest.is_empty() || rest.iter().any(|i| is_value(i) || is_meant(i))
}

/// "x to 15 ... sorry, on y": nothing but an apology, and then only what was meant.
fn apologises(clauses: &[Clause]) -> bool {
    const SORRY: [&str; 5] = ["sorry", "so sorry", "抱歉", "不好意思", "对不起"];
    let [first, next, ..] = clauses else { return false };
    let only = first.items.iter().all(|i| SORRY.contains(&i.text.to_lowercase().as_str()));
    let meant = next.items.iter().any(is_meant)
        && next
            .items
            .iter()
            .all(|i| is_meant(i) || is_empty_talk(i) || i.is(Sense::On) || i.is(Sense::Domain));
    only && meant
}

fn says_no(item: &Item) -> bool {
    let text = item.text.to_lowercase();
    let means = |sense| lexicon::can_mean(&text, sense);
    item.sense().is_some() && (means(Sense::Correction) || means(Sense::No) && text != "不要")
}

/// "no, sorry, leave it": more of the same, or nothing at all.
fn is_empty_talk(item: &Item) -> bool {
    says_no(item)
        || matches!(item.what, What::Mark(_) | What::Han)
        || matches!(
            item.sense(),
            Some(
                Sense::Filler
                    | Sense::Please
                    | Sense::It
                    | Sense::All
                    | Sense::In
                    | Sense::Not
                    | Sense::Need
                    | Sense::Greeting
                    | Sense::Because
            )
        )
}

/// A place or a workload.
fn is_meant(item: &Item) -> bool {
    item.name().is_some() || matches!(item.sense(), Some(Sense::Env(_)))
}

/// What is said from there on, without the words that only take back.
fn rest(clauses: &[Clause]) -> Vec<Clause> {
    let mut rest = Vec::new();
    for clause in clauses {
        let begins = clause.items.iter().position(|i| !is_empty_talk(i));
        let orders = !matches!(clause.mood, Mood::Question | Mood::Negated);
        let Some(begins) = begins.filter(|_| orders) else { continue };
        // "8 个" and "I meant the other one" command as the clause before did
        rest.push(Clause { items: clause.items[begins..].to_vec(), mood: Mood::Command });
    }
    rest
}

/// Puts what is meant in place of what was said first.
fn correct(drafts: &mut [Draft], rest: &[Clause], names: &Names) {
    let mut said_before = false;
    for clause in rest {
        let part = read::draft(&clause.items, names);
        let same = |draft: &Draft| {
            part.targets
                .iter()
                .flat_map(|t| &t.names)
                .any(|name| draft.targets.iter().any(|target| target.names.contains(name)))
        };
        let about = drafts.iter().rposition(same).unwrap_or(drafts.len() - 1);
        let draft = &mut drafts[about];
        let other =
            !part.verbs.is_empty() && !part.verbs.iter().any(|verb| draft.verbs.contains(verb));
        if other && part.targets.is_empty() {
            // "restart x, no, roll it back"
            *draft = Draft {
                targets: draft.targets.clone(),
                place: if part.place.is_empty() { draft.place.clone() } else { part.place.clone() },
                ..part
            };
            continue;
        }
        if other {
            drafts[about] = part;
            continue;
        }
        let valued = clause.items.iter().any(is_value);
        // "no, 2, or 4" is a question
        if valued && said_before && part.targets.is_empty() {
            let known = |i: &&Item| {
                draft.images.iter().any(|image| image.trim_start_matches(':') == i.text)
            };
            let values = clause.items.iter().filter(|i| is_value(i) && !known(i));
            let values: Vec<String> = values.map(|i| i.text.clone()).collect();
            draft.unclear.extend(values);
            continue;
        }
        said_before |= valued;
        if valued {
            values_instead(draft, &clause.items, names);
        }
        if !part.targets.is_empty() {
            draft.targets = part.targets;
        }
        if !part.place.is_empty() {
            draft.place = part.place;
        }
        draft.unknown.extend(part.unknown);
    }
}

/// The values of a clause in place of those the draft has.
fn values_instead(draft: &mut Draft, items: &[Item], names: &Names) {
    let spoken: Vec<String> =
        items.iter().filter(|i| is_value(i)).map(|i| i.text.clone()).collect();
    match draft.verbs.as_slice() {
        [Verb::SetResources] => {
            let scope = (!draft.requests.is_empty(), !draft.limits.is_empty());
            let resources: Vec<String> = [&draft.requests, &draft.limits, &draft.unscoped]
                .into_iter()
                .flat_map(|table| table.keys().cloned())
                .collect();
            let mut said = Draft::default();
            values::resources(items, &mut said);
            let (Some(resource), [value]) = (one(&resources), spoken.as_slice()) else {
                draft.unclear.extend(spoken);
                return;
            };
            // "512Mi, no, 1Gi": of what it was said for
            let unscoped = said.unscoped.get(resource).cloned();
            let Some(value) = unscoped.filter(|_| said.misfits.is_empty()) else {
                draft.unclear.push(value.clone());
                return;
            };
            let tables = [
                (scope.0, &mut draft.requests),
                (scope.1, &mut draft.limits),
                (!scope.0 && !scope.1, &mut draft.unscoped),
            ];
            for (said, table) in tables {
                if said {
                    table.insert(resource.to_owned(), value.clone());
                }
            }
        }
        // "no, KEY=x": another variable instead
        [Verb::SetEnv] if items.iter().any(|i| matches!(i.what, What::KeyValue(..))) => {
            (draft.set, draft.unset) = Default::default();
            values::env(items, draft);
        }
        [Verb::SetEnv] => match (draft.set.len(), spoken.as_slice()) {
            (1, [value]) if !value.contains('=') => {
                for old in draft.set.values_mut() {
                    old.clone_from(value);
                }
            }
            _ => draft.unclear.extend(spoken),
        },
        [Verb::SetImage] => draft.images = values::images(&as_value(items), names),
        verbs if verbs.contains(&Verb::Scale) => {
            if verbs.contains(&Verb::SetImage) {
                draft.images = values::images(&as_value(items), names);
            }
            draft.amounts = values::amounts(items);
        }
        _ => draft.unclear.extend(spoken),
    }
}

/// The one resource that was spoken of.
fn one(resources: &[String]) -> Option<&str> {
    let first = resources.first()?;
    resources.iter().all(|other| other == first).then_some(first)
}

/// A bare "25" after an image is a tag as it is after "to".
fn as_value(items: &[Item]) -> Vec<Item> {
    let to = Item { what: What::Word(Sense::To), text: "to".to_owned(), spaced: true };
    let mut said = items.to_vec();
    if let Some(at) = said.iter().position(is_value) {
        said.insert(at, to);
    }
    said
}
