//! Whom and where a clause is about: workloads, places, containers, and what it leaves out.

use super::{
    clause::is_value,
    draft::{Draft, Place, Target},
    lexicon::Sense,
    names::Names,
    scan::{Item, What},
    strange,
};

/// "cache, the sidecar of x": a word that names no workload may name a container of the one that is meant.
pub(super) fn container_of_target(draft: &mut Draft, names: &Names) {
    let targets: Vec<String> = draft.targets.iter().flat_map(|t| t.names.clone()).collect();
    let is_container = |(word, _): &(String, Vec<String>)| names.has_container(&targets, word);
    if let Some(at) = draft.unknown.iter().position(is_container) {
        let (word, _) = draft.unknown.remove(at);
        draft.container.get_or_insert(word);
    }
}

/// Workloads, places and the words that stand where one of them should.
pub(super) fn targets(items: &[Item], names: &Names, draft: &mut Draft) {
    for (at, item) in items.iter().enumerate() {
        let before = at.checked_sub(1).map(|i| &items[i]);
        let after = items.get(at + 1);
        // "not in prod", "not the database"
        let excluder = items[..at].iter().rev().find(|i| !is_small(i));
        if excluder.is_some_and(is_excluding) || is_compared(items, at) {
            continue;
        }
        match &item.what {
            What::Name(name) => {
                let says_place = before.is_some_and(|b| {
                    let inside = b.is(Sense::In) && !strange::is_behind_its_place(b);
                    b.is(Sense::Namespace) || inside || b.is(Sense::EnvWord)
                }) || after
                    .is_some_and(|a| a.is(Sense::Namespace) || a.is(Sense::EnvWord));
                let place = name.namespace.is_some() || name.environment.is_some();
                if place && (says_place || name.workloads.is_empty()) {
                    draft.place.namespaces.extend(name.namespace.clone());
                    if name.namespace.is_none() {
                        draft.place.environments.extend(name.environment.clone());
                    }
                } else if !name.workloads.is_empty() {
                    let target = Target { names: name.workloads.clone(), ..Target::default() };
                    if !draft.targets.contains(&target) {
                        draft.targets.push(target);
                    }
                }
            }
            What::Word(Sense::Env(group)) => {
                let sure = *group == "prod" || *group == "staging";
                let says_place = before
                    .is_some_and(|b| b.is(Sense::In) || b.is(Sense::Same) || b.is(Sense::On))
                    || after.is_some_and(|a| {
                        a.is(Sense::EnvWord) || a.name().is_some() || a.text == "的"
                    })
                    || item.text.contains("环境");
                if sure || says_place {
                    draft.place.groups.push((*group).to_owned());
                }
            }
            What::Word(Sense::All) => draft.all = true,
            What::Word(Sense::Everywhere) => draft.place.everywhere = true,
            What::Unknown | What::Commit => strange::unknown(items, at, names, draft),
            _ => {}
        }
    }
    drop_mere_words(items, names, draft);
    kinds(items, draft);
    places_of_their_own(items, names, draft);
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    if let Some(at) = items.iter().position(|i| i.is(Sense::Except))
        && !has(Sense::All)
        && items[..at].iter().any(|i| i.name().is_some_and(|n| !n.workloads.is_empty()))
    {
        named_with_exceptions(items, at, names, draft);
    } else if let Some(at) = items.iter().position(|i| i.is(Sense::Except))
        && let places = left_out(&items[at + 1..], names)
        && !places.is_empty()
    {
        // 除 x 环境外
        draft.place = Place { without: places, ..Place::default() };
    } else if has(Sense::Except) {
        // what is left out is no target
        let named = std::mem::take(&mut draft.targets).into_iter().flat_map(|t| t.names);
        draft.except = named.collect();
        draft.all = true;
    } else if !draft.targets.is_empty() {
        draft.all = false;
    }
    if has(Sense::Or) && draft.targets.len() > 1 {
        let names = draft.targets.iter().flat_map(|t| t.names.clone()).collect();
        draft.targets = vec![Target { names, ..Target::default() }];
    }
}

/// Beside a workload that is known, a word that is not in one row with it and like no name is only a word.
fn drop_mere_words(items: &[Item], names: &Names, draft: &mut Draft) {
    if !draft.targets.is_empty() {
        let rows = strange::in_a_row(items);
        let targets: Vec<String> = draft.targets.iter().flat_map(|t| t.names.clone()).collect();
        draft.unknown.retain(|(word, near)| {
            // half the name of the one that is named
            !near.is_empty() && !near.iter().any(|name| targets.contains(name))
                || rows.contains(&word.as_str())
                || names.has_container(&targets, word)
        });
    }
}

/// "a and b, but not c", "a everywhere except prod": what stands before is meant, without the places behind.
fn named_with_exceptions(items: &[Item], at: usize, names: &Names, draft: &mut Draft) {
    let mut meant = Draft::default();
    targets(&items[..at], names, &mut meant);
    draft.targets = meant.targets;
    draft.place = meant.place;
    draft.all = false;
    draft.place.everywhere |= items.iter().any(|i| i.is(Sense::Everywhere));
    draft.place.without = left_out(&items[at + 1..], names);
}

/// The places that are named behind "except", where no workload is.
fn left_out(items: &[Item], names: &Names) -> Vec<String> {
    let mut draft = Draft::default();
    targets(items, names, &mut draft);
    let place = draft.place;
    [place.namespaces, place.environments, place.groups].into_iter().flatten().collect()
}

/// "in the": words between what excludes or compares and the place.
fn is_small(item: &Item) -> bool {
    item.is(Sense::In) && item.text.is_ascii() || item.text.eq_ignore_ascii_case("the")
}

/// "not prod", 不是生产: what follows is not meant.
fn is_excluding(item: &Item) -> bool {
    matches!(
        item.text.to_lowercase().as_str(),
        "not" | "isn't" | "instead of" | "rather than" | "不是" | "而不是" | "并非" | "而非"
    )
}

/// "the same count as live", 跟生产一样: a place that only says how it is elsewhere.
fn is_compared(items: &[Item], at: usize) -> bool {
    let said = |at: Option<usize>, words: &[&str]| {
        at.and_then(|at| items.get(at))
            .is_some_and(|i| words.contains(&i.text.to_lowercase().as_str()))
    };
    let place = matches!(items[at].sense(), Some(Sense::Env(_)))
        || items[at].name().is_some_and(|n| n.workloads.is_empty());
    let before = (0..at).rev().find(|at| !is_small(&items[*at]));
    let same_before =
        items[..at].iter().rev().take(4).any(|i| i.is(Sense::Same) && i.text != "as well");
    let like = said(before, &["as", "like"]) && (same_before || said(before, &["like"]));
    let like_han = said(before, &["跟", "和", "与"])
        && items[at + 1..].iter().take(4).any(|i| i.is(Sense::Same) && i.text.contains('样'));
    place && (like || like_han)
}

/// "x in prod and y in staging": each target keeps the place said with it.
fn places_of_their_own(items: &[Item], names: &Names, draft: &mut Draft) {
    let parts: Vec<&[Item]> = items.split(|i| i.is(Sense::And)).collect();
    if parts.len() < 2 || draft.targets.len() < 2 {
        return;
    }
    let mut own: Vec<Target> = Vec::new();
    let mut placed = 0;
    for part in parts {
        let mut alone = Draft::default();
        targets(part, names, &mut alone);
        placed += usize::from(!alone.place.is_empty() && !alone.targets.is_empty());
        own.extend(alone.targets.into_iter().map(|t| Target { place: alone.place.clone(), ..t }));
    }
    if placed > 1 {
        draft.targets = own;
        draft.place = Place::default();
    }
}

/// The kind said beside a name settles which object is meant.
fn kinds(items: &[Item], draft: &mut Draft) {
    let mut said = items.iter().filter_map(|i| match i.sense() {
        Some(Sense::Kind(kind)) => Some(kind),
        _ => None,
    });
    if let (Some(kind), None) = (said.next(), said.next()) {
        for target in &mut draft.targets {
            target.kind = Some(kind.to_owned());
        }
    }
}

/// A container is named beside the word container; other mentions are looked for once the workload is known.
pub(super) fn container(items: &[Item], draft: &mut Draft) {
    let Some(at) = items.iter().position(|i| i.is(Sense::Container)) else { return };
    let is_name = |item: &&Item| {
        !is_value(item)
            && (matches!(item.what, What::Unknown | What::Quoted | What::Name(_) | What::Commit)
                || item.sense().is_some_and(|s| matches!(s, Sense::Domain)))
    };
    let after = items.get(at + 1).filter(is_name);
    // hl7 这个容器
    let points = |i: &&Item| i.is(Sense::It) || i.is(Sense::Filler) || i.is(Sense::Of);
    let before = items[..at].iter().rev().find(|i| !points(i)).filter(is_name);
    // 容器 comes after the name in both languages; -c comes before it
    let chosen = if items[at].text == "-c" { after } else { before.or(after) };
    if let Some(item) = chosen {
        draft.container = Some(item.text.clone());
        let said = &item.text;
        draft.unknown.retain(|(word, _)| word != said);
        if draft.targets.len() > 1 {
            draft.targets.retain(|t| !t.names.contains(said));
        }
    }
}
