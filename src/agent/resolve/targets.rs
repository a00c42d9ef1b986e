//! Which workloads a draft means: a name must be exact and, with the place said, unique; else the operator is asked.

use super::{
    super::{
        draft::{Draft, Place, Target, Verb},
        lexicon::environment_group,
        names::Names,
        reply,
    },
    Answer, Fill, Slot, Stop, World, answer, ask,
};
use crate::domain::{Inventory, Workload};

/// The workloads a draft means.
pub(super) fn workloads<'a>(
    draft: &Draft,
    verb: Verb,
    world: &World<'a>,
) -> Result<Vec<&'a Workload>, Stop> {
    let lang = world.lang;
    if let Some(word) = draft.place.unknown.first() {
        return Err(unknown_place(draft, word, world));
    }
    if let Some((word, near)) = draft.unknown.first() {
        let at = draft.targets.len();
        let options: Vec<Answer> =
            near.iter().map(|n| answer(n.clone(), Fill::Name(at, n.clone()))).collect();
        let known = known_names(draft, verb, world);
        return Err(ask(
            Slot::Workload,
            reply::unknown_workload(lang, word, near, &known),
            options,
        ));
    }
    if draft.all {
        return confirm_everything(draft, verb, world);
    }
    if draft.targets.is_empty() {
        let known = known_names(draft, verb, world);
        let options = if known.len() <= 8 {
            known.iter().map(|n| answer(n.clone(), Fill::Name(0, n.clone()))).collect()
        } else {
            Vec::new()
        };
        return Err(ask(Slot::Workload, reply::which_workload(lang, verb), options));
    }
    let mut found = Vec::new();
    for (at, target) in draft.targets.iter().enumerate() {
        found.extend(of_target(draft, at, target, verb, world)?);
    }
    Ok(found)
}

fn unknown_place(draft: &Draft, word: &str, world: &World) -> Stop {
    let first = draft.targets.first();
    let places: Vec<&Workload> = first.map_or_else(Vec::new, |t| {
        world.inventory.workloads.iter().filter(|w| t.names.contains(&w.object.name)).collect()
    });
    let options = places.iter().filter_map(|w| place_answer(0, w)).collect();
    let list: Vec<String> = if places.is_empty() {
        world.inventory.environments.iter().chain(&world.inventory.namespaces).cloned().collect()
    } else {
        places.iter().filter_map(|w| w.object.namespace.clone()).collect()
    };
    ask(Slot::Place, reply::unknown_place(world.lang, word, &list), options)
}

/// Names of workloads that git declares in the place said and that fit the verb.
fn known_names(draft: &Draft, verb: Verb, world: &World) -> Vec<String> {
    let mut names: Vec<String> = world
        .inventory
        .workloads
        .iter()
        .filter(|w| w.unit.is_some() && fits(verb, w) && in_place(&draft.place, w, world.inventory))
        .map(|w| w.object.name.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn fits(verb: Verb, workload: &Workload) -> bool {
    verb != Verb::Scale || workload.replicas.is_some()
}

/// Every workload that git declares in the place said and that fits the verb.
pub(in crate::agent) fn everything<'a>(
    draft: &Draft,
    inventory: &'a Inventory,
) -> Vec<&'a Workload> {
    let fits = |w: &Workload| draft.verbs.iter().all(|verb| fits(*verb, w));
    let all = inventory.workloads.iter().filter(|w| !draft.except.contains(&w.object.name));
    all.filter(|w| w.unit.is_some() && fits(w) && in_place(&draft.place, w, inventory)).collect()
}

/// "all workloads of staging": only after the list was shown and confirmed.
fn confirm_everything<'a>(
    draft: &Draft,
    verb: Verb,
    world: &World<'a>,
) -> Result<Vec<&'a Workload>, Stop> {
    let found = everything(draft, world.inventory);
    let names: Vec<String> = found.iter().map(|w| display(w)).collect();
    if found.is_empty() || found.len() > 20 {
        return Err(ask(Slot::Workload, reply::too_many(world.lang, found.len()), Vec::new()));
    }
    let question = reply::confirm_all(world.lang, verb, &names);
    Err(ask(Slot::Confirm, question, vec![answer(reply::yes(world.lang), Fill::Go)]))
}

fn of_target<'a>(
    draft: &Draft,
    at: usize,
    target: &Target,
    verb: Verb,
    world: &World<'a>,
) -> Result<Vec<&'a Workload>, Stop> {
    let lang = world.lang;
    let all = &world.inventory.workloads;
    if let [_, _, ..] = target.names.as_slice() {
        let options =
            target.names.iter().map(|n| answer(n.clone(), Fill::Name(at, n.clone()))).collect();
        return Err(ask(Slot::Workload, reply::which_of(lang, &target.names), options));
    }
    let Some(name) = target.names.first() else {
        return Err(ask(Slot::Workload, reply::which_workload(lang, verb), Vec::new()));
    };
    let mut named: Vec<&Workload> = all.iter().filter(|w| w.object.name == *name).collect();
    let of_kind = |w: &&Workload| target.kind.as_ref().is_none_or(|k| *k == w.object.kind);
    // 扩到 5 个节点: a kind that nothing of this name is counts its copies
    if named.iter().any(of_kind) {
        named.retain(of_kind);
    }
    if named.is_empty() {
        let near = Names::of(world.inventory).near(name);
        let options = near.iter().map(|n| answer(n.clone(), Fill::Name(at, n.clone()))).collect();
        let known = known_names(draft, verb, world);
        return Err(ask(
            Slot::Workload,
            reply::unknown_workload(lang, name, &near, &known),
            options,
        ));
    }
    let place = if target.place.is_empty() { &draft.place } else { &target.place };
    let placed: Vec<&Workload> = named
        .iter()
        .copied()
        .filter(|w| match &target.namespace {
            Some(namespace) => w.object.namespace.as_ref() == Some(namespace),
            None => in_place(place, w, world.inventory),
        })
        .collect();
    if placed.is_empty() {
        let options = named.iter().filter_map(|w| place_answer(at, w)).collect();
        let places: Vec<String> = named.iter().map(|w| place_of(w)).collect();
        let said = said_place(place, target);
        return Err(ask(Slot::Place, reply::not_there(lang, name, &said, &places), options));
    }
    settle(place, at, placed, verb, world)
}

/// Of the workloads in question: those git declares and that fit the verb; one per place said, else a question.
fn settle<'a>(
    place: &Place,
    at: usize,
    placed: Vec<&'a Workload>,
    verb: Verb,
    world: &World,
) -> Result<Vec<&'a Workload>, Stop> {
    let keep = |list: Vec<&'a Workload>, test: &dyn Fn(&Workload) -> bool| {
        let kept: Vec<&Workload> = list.iter().copied().filter(|w| test(w)).collect();
        if kept.is_empty() { list } else { kept }
    };
    let found = keep(placed, &|w| w.unit.is_some());
    let found = keep(found, &|w| fits(verb, w));
    // several places were named: all of them are meant
    let several = place.everywhere
        || place.namespaces.len() + place.environments.len() + place.groups.len() > 1;
    if found.len() == 1 || several {
        return Ok(found);
    }
    let name = &found[0].object.name;
    let same_place = found.iter().all(|w| w.object.namespace == found[0].object.namespace);
    if same_place {
        let options = found
            .iter()
            .map(|w| answer(w.object.kind.clone(), Fill::Kind(at, w.object.kind.clone())))
            .collect();
        return Err(ask(Slot::Place, reply::which_kind(world.lang, name), options));
    }
    let options = found.iter().filter_map(|w| place_answer(at, w)).collect();
    let places: Vec<String> = found.iter().map(|w| place_of(w)).collect();
    Err(ask(Slot::Place, reply::which_place(world.lang, name, &places), options))
}

fn place_answer(at: usize, workload: &Workload) -> Option<Answer> {
    let namespace = workload.object.namespace.clone()?;
    Some(answer(place_of(workload), Fill::Place(at, namespace)))
}

/// `shop-prod (prod)`, or only the namespace where that says it all.
fn place_of(workload: &Workload) -> String {
    let namespace = workload.object.namespace.as_deref().unwrap_or("-");
    match &workload.environment {
        Some(environment) if environment != namespace => format!("{namespace} ({environment})"),
        _ => namespace.to_owned(),
    }
}

fn said_place(place: &Place, target: &Target) -> String {
    let mut said: Vec<&str> = target.namespace.iter().map(String::as_str).collect();
    said.extend(
        place.namespaces.iter().chain(&place.environments).chain(&place.groups).map(String::as_str),
    );
    said.join(", ")
}

fn display(workload: &Workload) -> String {
    match &workload.object.namespace {
        Some(namespace) => format!("{namespace}/{}", workload.object.name),
        None => workload.object.name.clone(),
    }
}

/// Whether a workload is in one of the places said. A place that is an exact name wins over what a common word may mean.
pub(in crate::agent) fn in_place(
    place: &Place,
    workload: &Workload,
    inventory: &Inventory,
) -> bool {
    let namespace = workload.object.namespace.as_deref().unwrap_or_default();
    let environment = workload.environment.as_deref();
    let is_place = |word: &String| {
        word == namespace
            || Some(word.as_str()) == environment
            || environment.and_then(environment_group) == Some(word.as_str())
    };
    if place.without.iter().any(is_place) {
        return false;
    }
    let by_name = place.namespaces.iter().any(|n| n == namespace)
        || place.environments.iter().any(|e| Some(e.as_str()) == environment);
    let by_word = place.groups.iter().any(|group| {
        if let Some(exact) = inventory.environments.iter().find(|e| e == &group) {
            return environment == Some(exact.as_str());
        }
        match environment {
            Some(environment) => environment_group(environment) == Some(group.as_str()),
            None => environment_group(namespace) == Some(group.as_str()),
        }
    });
    // "the shop namespace in prod" narrows; "in prod and staging" widens
    if place.everywhere {
        return true;
    }
    match (place.namespaces.is_empty() && place.environments.is_empty(), place.groups.is_empty()) {
        (true, true) => true,
        (false, true) => by_name,
        (true, false) => by_word,
        (false, false) => by_name && (by_word || environment.is_none()),
    }
}
