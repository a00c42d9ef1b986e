//! Words of a command that nobody knows: which of them stand where a workload or a place should.

use super::{
    clause::is_verb,
    draft::Draft,
    lexicon::Sense,
    names::Names,
    scan::{Item, What},
    values,
};

/// An unknown word matters when it stands where a workload or a place would, or looks like a name.
pub(super) fn unknown(items: &[Item], at: usize, names: &Names, draft: &mut Draft) {
    let word = &items[at].text;
    let before = at.checked_sub(1).map(|i| &items[i]);
    let after = items.get(at + 1);
    let before_is = |sense| before.is_some_and(|b: &Item| b.is(sense));
    let after_is = |sense| after.is_some_and(|a: &Item| a.is(sense));
    let is_key = values::is_env_key(word);
    // plc 那个容器
    let behind = items[at + 1..].iter().find(|i| !i.is(Sense::It) && !i.is(Sense::Filler));
    if behind.is_some_and(|i| i.is(Sense::Container)) {
        return;
    }
    // x 里 stands behind its place
    let inside = before.is_some_and(|b| b.is(Sense::In) && !is_behind_its_place(b));
    if before_is(Sense::Namespace)
        || after_is(Sense::Namespace)
        || after_is(Sense::EnvWord)
        || inside
    {
        draft.place.unknown.push(word.clone());
        return;
    }
    if before_is(Sense::To) || before_is(Sense::Container) || after_is(Sense::Container) || is_key {
        return;
    }
    let near = names.near(word);
    let listed = before_is(Sense::And) || after_is(Sense::And);
    if before_is(Sense::Image) || before_is(Sense::From) || before_is(Sense::EnvVar) {
        return;
    }
    let workload_place = listed
        || before_is(Sense::Of)
        || before_is(Sense::Object)
        || before_is(Sense::All)
        || after_is(Sense::Of)
        || after_is(Sense::Domain)
        || before.is_some_and(|b| matches!(b.sense(), Some(Sense::Kind(_) | Sense::Domain)))
        || before.is_none_or(|b| b.sense().is_some_and(is_verb) || b.is(Sense::Please))
        || (before.is_some_and(|b| b.text == "the")
            && at
                .checked_sub(2)
                .is_some_and(|i| items[i].sense().is_some_and(is_verb) || items[i].is(Sense::Of)));
    let looks_like_name = word.contains(['-', '_']) || word.len() >= 4 && !near.is_empty();
    if workload_place || looks_like_name {
        draft.unknown.push((word.clone(), near));
    }
}

/// 里 and the like stand behind what they are about, "in" and 在 before it.
pub(super) fn is_behind_its_place(item: &Item) -> bool {
    matches!(item.text.as_str(), "里" | "里面" | "中" | "的里面" | "上")
}

/// Words that stand beside an "and" or a comma.
pub(super) fn in_a_row(items: &[Item]) -> Vec<&str> {
    let joins = |item: Option<&Item>| {
        item.is_some_and(|i| i.is(Sense::And) || matches!(i.what, What::Mark(',' | '、' | '，')))
    };
    (0..items.len())
        .filter(|at| {
            joins(items.get(at + 1)) || at.checked_sub(1).is_some_and(|b| joins(items.get(b)))
        })
        .map(|at| items[at].text.as_str())
        .collect()
}
