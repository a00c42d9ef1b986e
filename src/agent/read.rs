//! From the clauses of a command to drafts: which verb, which workloads, where, and which values were said.

use super::{
    bare,
    clause::{Clause, Mood, is_value, is_verb},
    draft::{Draft, Place, Verb},
    lexicon::Sense,
    names::Names,
    number::Number,
    scan::{Item, What},
    strange, values,
    verbs::{unclear, value_kinds, verbs},
    whom::{container, container_of_target, targets},
};

/// Reads the commanding clauses of a message.
pub(super) fn drafts(clauses: &[Clause], names: &Names) -> Vec<Draft> {
    let mut found: Vec<Draft> = Vec::new();
    // what was named before the verb came: "ledger-api, scale it to 5"
    let mut waiting = Draft::default();
    // the last clause that says an order whole
    let whole = clauses.iter().rposition(|c| is_whole(c, names)).unwrap_or(0);
    for (at, clause) in clauses.iter().enumerate() {
        let before = found.last().map_or(&[][..], |d: &Draft| d.verbs.as_slice()).to_vec();
        let parts = drafts_of(&clause.items, names, &before);
        let part = parts.first().cloned().unwrap_or_default();
        if says_nothing(clause, &part, at < whole)
            || found.last_mut().is_some_and(|last| takes_value(last, &clause.items))
        {
            continue;
        }
        // "the LIMIT of x is obsolete, delete it"
        if clause.mood == Mood::Command && drops_what_was_named(&clause.items, &part, &waiting) {
            let unset = std::mem::take(&mut waiting.valueless);
            push(&mut found, Draft { unset, verbs: vec![Verb::SetEnv], ..part }, &waiting);
            continue;
        }
        match clause.mood {
            Mood::Command | Mood::Perhaps
                if !part.verbs.is_empty()
                    || clause.items.iter().any(is_value)
                    || !waiting.images.is_empty() && clause.items.iter().any(is_order) =>
            {
                for mut part in parts {
                    // "it got so long that it wants a limit of 384Mi"
                    if part.targets.is_empty() && clause.items.iter().any(|i| i.is(Sense::It)) {
                        part = without_mere_words(part, &clause.items);
                    }
                    push(&mut found, part, &waiting);
                }
                // "raise only its request, to 256Mi"
                if let (Some(last), Some(before)) = (found.last_mut(), at.checked_sub(1)) {
                    scope_said_later(last, &clauses[before].items);
                }
            }
            // "show me the logs of x, then restart it"
            Mood::Question if found.is_empty() && part.targets.len() == 1 => {
                waiting.targets.clone_from(&part.targets);
                waiting.place.clone_from(&part.place);
            }
            // "x: don't restart it, only scale it"
            Mood::Negated if found.is_empty() && waiting.targets.is_empty() => {
                waiting.targets.clone_from(&part.targets);
                waiting.place.clone_from(&part.place);
                waiting.valueless.clone_from(&part.valueless);
            }
            // 今晚没人用 x，先缩到 0
            Mood::Later if found.is_empty() && !clause.items.iter().any(is_value) => {
                add(&mut waiting, part);
            }
            Mood::Negated | Mood::Question | Mood::Conditional | Mood::Later => {}
            // a clause without a verb: more targets or the place of the command before it, or of the one to come
            _ => match found.last_mut() {
                Some(last) => tell_more(last, clause, part),
                // "1.4 of x is final, bring it to prod"
                None => {
                    waiting.images.extend(values::images(&clause.items, names));
                    waiting.requests.extend(part.requests.clone());
                    waiting.limits.extend(part.limits.clone());
                    add(&mut waiting, without_mere_words(part, &clause.items));
                }
            },
        }
    }
    let place = only_place(&found);
    for draft in &mut found {
        if draft.place.is_empty() {
            draft.place.clone_from(&place);
        }
        container_of_target(draft, names);
        // "the plan is late, so two more planners": half the name of what is meant
        let targets: Vec<&String> = draft.targets.iter().flat_map(|t| &t.names).collect();
        draft.unknown.retain(|(_, near)| !near.iter().any(|name| targets.contains(&name)));
    }
    found
}

/// Whether a clause removes the variable that was named before it.
fn drops_what_was_named(items: &[Item], part: &Draft, waiting: &Draft) -> bool {
    let removes = items.iter().any(|i| i.is(Sense::Remove));
    removes && !part.has_value() && !waiting.valueless.is_empty()
}

/// Whether a clause says nothing of an order: how it stays elsewhere, what somebody else says, why (where the order itself
/// comes `later`).
fn says_nothing(clause: &Clause, part: &Draft, later: bool) -> bool {
    let has = |test: &dyn Fn(&Item) -> bool| clause.items.iter().any(test);
    // "live keeps its 15m"
    let assigns = has(&|i| matches!(i.what, What::KeyValue(..)));
    if !assigns && !has(&is_change_verb) && has(&is_kept) {
        return true;
    }
    // "derby kicks off and every banner sells twice; ads up to 9"
    let mere_words = part.unknown.iter().any(|(word, near)| near.is_empty() && !word.contains('-'));
    if later && part.targets.is_empty() && (mere_words || is_passive(&clause.items)) {
        return true;
    }
    // "marketing wants eight of them a month: LIMIT=8 on x"
    let need = clause.items.iter().position(|i| i.is(Sense::Need));
    let others = need.is_some_and(|at| {
        let subject = |i: &Item| matches!(i.what, What::Unknown | What::Han);
        clause.items[..at].iter().any(subject) && !has(&is_change_verb)
    });
    if later && others {
        return true;
    }
    let reported = has(&|i| i.is(Sense::Reported));
    clause.mood == Mood::Perhaps && reported && part.targets.is_empty()
}

/// A clause without a verb behind an order: more targets, its place, or a value that belongs to nothing.
fn tell_more(last: &mut Draft, clause: &Clause, part: Draft) {
    let items = &clause.items;
    // "to 4, no wait, 5" is asked about
    let tells = items.iter().any(|i| {
        matches!(
            i.text.to_lowercase().as_str(),
            "has" | "have" | "有" | "trailing" | "末尾" | "结尾"
        )
    });
    let words = |i: &Item| i.text.chars().all(|c| c.is_ascii_alphabetic());
    let values = items.iter().filter(|i| is_value(i) && !tells && !words(i));
    let mut new: Vec<String> = values.map(|i| i.text.clone()).collect();
    new.retain(|text| !says(last, text));
    last.unclear.append(&mut new);
    // a sentence about something else names no further workload
    let named = !part.targets.is_empty();
    let listing = items.iter().all(goes_on_listing);
    let part = if last.targets.is_empty() {
        let tells = items.len() > 3 && !named;
        if tells { Draft { unknown: Vec::new(), ..part } } else { part }
    } else if listing {
        part
    } else if named {
        // "the machine goes to x then"
        Draft { container: part.container, ..Draft::default() }
    } else {
        Draft { unknown: Vec::new(), ..part }
    };
    add(last, without_mere_words(part, items));
    scope_said_later(last, items);
}

/// Words of a clause that only goes on with a list: ", y and z too, in prod".
fn goes_on_listing(item: &Item) -> bool {
    use Sense::{
        And, Both, Domain, Env, EnvWord, Filler, In, It, Kind, Namespace, Need, Of, On, Please,
        Same,
    };
    item.name().is_some()
        || matches!(item.what, What::Unknown | What::Mark(_))
        || matches!(
            item.sense(),
            Some(
                And | Both
                    | Domain
                    | Env(_)
                    | EnvWord
                    | Filler
                    | In
                    | It
                    | Kind(_)
                    | Namespace
                    | Need
                    | Of
                    | On
                    | Please
                    | Same
            )
        )
}

/// Whether a clause commands something of a workload it names.
fn is_whole(clause: &Clause, names: &Names) -> bool {
    let part = draft(&clause.items, names);
    clause.mood == Mood::Command
        && !part.targets.is_empty()
        && (!part.verbs.is_empty() || part.has_value())
}

/// 一半评论都被扣了: what was done, by whomever.
fn is_passive(items: &[Item]) -> bool {
    items.iter().any(|i| i.text == "被") && items.last().is_some_and(|i| i.text == "了")
}

/// "a tenth of a core, 100m that is": an amount that was said before, in other words.
fn says(draft: &Draft, amount: &str) -> bool {
    [&draft.requests, &draft.limits, &draft.unscoped]
        .iter()
        .any(|t| t.values().any(|v| v == amount))
}

/// "its LIMIT needs a change, 500": the value of the variable that was named without one.
fn takes_value(last: &mut Draft, items: &[Item]) -> bool {
    let mut said = items.iter().filter(|i| !i.is(Sense::Filler) && !i.is(Sense::To));
    let (Some(value), None, [key]) = (said.next(), said.next(), last.valueless.as_slice()) else {
        return false;
    };
    let fits = is_value(value) || value.what == What::Quoted;
    if fits && last.set.is_empty() && !matches!(value.what, What::KeyValue(..)) {
        last.set.insert(key.clone(), value.text.clone());
        last.valueless.clear();
        return true;
    }
    false
}

/// What a clause that only tells names: a word that is like no name, or beside a name that is known, is only a word.
fn without_mere_words(mut part: Draft, items: &[Item]) -> Draft {
    let rows = strange::in_a_row(items);
    let named = !part.targets.is_empty();
    part.unknown.retain(|(word, near)| {
        word.contains(['-', '_']) || !near.is_empty() && (!named || rows.contains(&word.as_str()))
    });
    part
}

/// "x may use two gigs, set the limit accordingly".
fn scope_said_later(draft: &mut Draft, items: &[Item]) {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let amounts = match (has(Sense::Request), has(Sense::Limit)) {
        (true, false) => &mut draft.requests,
        (false, true) => &mut draft.limits,
        _ => return,
    };
    amounts.append(&mut draft.unscoped);
}

fn is_kept(item: &Item) -> bool {
    matches!(
        item.text.to_lowercase().as_str(),
        "keeps" | "keep" | "stays" | "stay" | "remains" | "remain" | "保持" | "维持" | "仍是"
    )
}

fn is_change_verb(item: &Item) -> bool {
    item.sense().is_some_and(is_verb)
}

fn is_order(item: &Item) -> bool {
    is_value(item) || item.sense().is_some_and(is_verb)
}

/// A clause that leaves something out takes it from the clause before it.
fn push(found: &mut Vec<Draft>, mut part: Draft, waiting: &Draft) {
    let before = found.last().unwrap_or(waiting);
    let own = !part.targets.is_empty();
    if found.is_empty() && own && before.targets.iter().any(|t| !part.targets.contains(t)) {
        // a value said of another workload is not dropped in silence
        part.unclear.extend(before.images.iter().cloned());
    }
    // "x, except in prod: 2 everywhere"
    part.place.without.extend(before.place.without.iter().cloned());
    if part.targets.is_empty() && part.unknown.is_empty() && !part.all && part.change.is_none() {
        if found.is_empty() && part.container.is_none() {
            part.container.clone_from(&before.container);
        }
        part.targets.clone_from(&before.targets);
        part.unknown.clone_from(&before.unknown);
        part.all = before.all;
    }
    if part.place.is_empty() {
        part.place.clone_from(&before.place);
    }
    if !part.has_value() && found.is_empty() && !waiting.images.is_empty() {
        let takes = part.verbs.is_empty() || part.verbs.contains(&Verb::SetImage);
        if takes {
            part.verbs = vec![Verb::SetImage];
            part.images.clone_from(&waiting.images);
        }
    }
    // "its limit of 96Mi is too small, give it 160Mi"
    for (resource, amount) in std::mem::take(&mut part.unscoped) {
        let (request, limit) =
            (waiting.requests.contains_key(&resource), waiting.limits.contains_key(&resource));
        match (request, limit) {
            (true, false) => part.requests.insert(resource, amount),
            (false, true) => part.limits.insert(resource, amount),
            _ => part.unscoped.insert(resource, amount),
        };
    }
    if part.verbs.is_empty() {
        part.verbs.clone_from(&before.verbs);
    }
    // "x has to run 1.4, please change the tag": no value of its own, and nothing new
    let repeats = |last: &Draft| {
        let amounts = |d: &Draft| (d.requests.clone(), d.limits.clone(), d.unscoped.clone());
        let same_value = last.images == part.images
            && last.amounts == part.amounts
            && (&last.set, &last.unset) == (&part.set, &part.unset)
            && amounts(last) == amounts(&part)
            && part.misfits.is_empty();
        let same_verb = last.verbs.iter().all(|verb| part.verbs.contains(verb));
        let same_place = last.place == part.place && last.targets == part.targets;
        let new = part.has_value() && !same_value;
        last.has_value() && !own && !new && same_verb && same_place
    };
    // "upgrade x, the one in front, to 1.4": the value of the verb before it
    match found.last_mut() {
        Some(last) if repeats(last) => {}
        Some(last) if !last.has_value() && part.has_value() && goes_on(last, &part) => {
            let container = last.container.take().or(part.container);
            let unknown = std::mem::take(&mut last.unknown);
            *last = Draft { container, unknown, ..part };
        }
        _ => found.push(part),
    }
}

/// Whether a clause says only the value of the order before it.
fn goes_on(last: &Draft, part: &Draft) -> bool {
    let takes_a_value = |verb: &Verb| !matches!(verb, Verb::Restart | Verb::Rollback | Verb::Undo);
    last.targets == part.targets
        && last.place == part.place
        && part.verbs == last.verbs
        && part.verbs.iter().all(takes_a_value)
}

fn add(draft: &mut Draft, part: Draft) {
    for target in part.targets {
        if !draft.targets.contains(&target) {
            draft.targets.push(target);
        }
    }
    draft.unknown.extend(part.unknown);
    draft.place.namespaces.extend(part.place.namespaces);
    draft.place.environments.extend(part.place.environments);
    draft.place.groups.extend(part.place.groups);
    draft.place.unknown.extend(part.place.unknown);
    draft.place.everywhere |= part.place.everywhere;
    draft.unclear.extend(part.unclear);
    draft.valueless.extend(part.valueless);
    draft.container = draft.container.take().or(part.container);
    draft.place.without.extend(part.place.without);
    // "x to 4, all ships come tomorrow"
    draft.all |= part.all && draft.targets.is_empty();
}

/// The place all drafts of a message share when only one was said ("scale a to 2 and b to 3 in prod").
fn only_place(drafts: &[Draft]) -> Place {
    let mut said = drafts.iter().map(|d| &d.place).filter(|p| !p.is_empty());
    match (said.next(), said.next()) {
        (Some(one), None) => one.clone(),
        _ => Place::default(),
    }
}

/// Reads one clause that may say several values of different kinds: `upgrade x to 1.2 with 5 replicas`.
fn drafts_of(items: &[Item], names: &Names, before: &[Verb]) -> Vec<Draft> {
    let whole = draft_as(items, names, before);
    let kinds = value_kinds(items, &whole);
    match whole.verbs.as_slice() {
        [Verb::Scale | Verb::SetImage | Verb::SetEnv | Verb::SetResources] if kinds.len() > 1 => {
            kinds
                .into_iter()
                .map(|verb| Draft { verbs: vec![verb], ..only(&whole, items, names, verb) })
                .collect()
        }
        _ => vec![whole],
    }
}

/// The draft with the values of one verb alone.
fn only(whole: &Draft, items: &[Item], names: &Names, verb: Verb) -> Draft {
    let mut draft = Draft {
        targets: whole.targets.clone(),
        all: whole.all,
        unknown: whole.unknown.clone(),
        place: whole.place.clone(),
        container: whole.container.clone(),
        ..Draft::default()
    };
    match verb {
        Verb::Scale => draft.amounts = values::counted_amounts(items),
        Verb::SetImage => draft.images = values::images(items, names),
        Verb::SetEnv => (draft.set, draft.unset) = (whole.set.clone(), whole.unset.clone()),
        Verb::SetResources => {
            draft.requests.clone_from(&whole.requests);
            draft.limits.clone_from(&whole.limits);
            draft.unscoped.clone_from(&whole.unscoped);
        }
        Verb::Restart | Verb::Rollback | Verb::Undo => {}
    }
    draft
}

/// Reads one clause whose values are those of `verb`.
pub(super) fn draft_for(items: &[Item], names: &Names, verb: Verb) -> Draft {
    draft_as(items, names, &[verb])
}

/// Reads one clause.
pub(super) fn draft(items: &[Item], names: &Names) -> Draft {
    draft_as(items, names, &[])
}

/// Reads one clause; without a verb of its own its values are those of the verbs before it.
fn draft_as(items: &[Item], names: &Names, before: &[Verb]) -> Draft {
    let mut draft = Draft::default();
    targets(items, names, &mut draft);
    container(items, &mut draft);
    values::env(items, &mut draft);
    if draft.set.is_empty() && draft.unset.is_empty() && draft.valueless.is_empty() {
        values::resources(items, &mut draft);
    }
    let resources = !draft.unscoped.is_empty()
        || !draft.requests.is_empty()
        || !draft.limits.is_empty()
        || !draft.misfits.is_empty();
    draft.verbs = verbs(items, &draft, resources);
    if draft.verbs.is_empty() && items.iter().any(is_value) {
        draft.verbs = before.to_vec();
    }
    // "x 1.6.1", "x -> 25.01"
    let version = |i: &Item| matches!(i.what, What::Tag | What::Number(Number::Other(_)));
    if draft.verbs.is_empty() && items.iter().any(version) && !draft.targets.is_empty() {
        draft.verbs = vec![Verb::SetImage];
    }
    // "6 x in prod", "x to 4": the number says what is wanted
    if draft.verbs.is_empty() && bare::is_amount(items) {
        draft.verbs = vec![Verb::Scale, Verb::SetImage];
    }
    let whole = items.iter().any(|i| matches!(i.what, What::Number(Number::Whole(_))));
    let to = items.iter().any(|i| i.is(Sense::To));
    if draft.verbs.is_empty() && whole && to && !draft.targets.is_empty() {
        draft.verbs = vec![Verb::Scale, Verb::SetImage];
    }
    if draft.verbs.contains(&Verb::SetImage) || draft.verbs.contains(&Verb::Rollback) {
        draft.images = values::images(items, names);
    }
    if draft.verbs.contains(&Verb::Scale) {
        draft.amounts = values::amounts(items);
    }
    let text_of = |what: &What| items.iter().find(|i| i.what == *what).map(|i| i.text.clone());
    draft.revision = text_of(&What::Commit).filter(|_| draft.verbs.contains(&Verb::Rollback));
    draft.change = text_of(&What::ChangeId);
    let unclear = unclear(items, &draft);
    draft.unclear.extend(unclear);
    // "roll back to 1.4.1" names a version to run, not a commit
    if draft.verbs == [Verb::Rollback] && draft.revision.is_none() {
        if draft.images.iter().any(|image| image.contains('.')) {
            draft.verbs = vec![Verb::SetImage];
        } else {
            draft.images.clear();
        }
    }
    draft
}
