//! Orders without a verb: only what, where and how many ("6 gateways in prod", 预发 3 个), or a value right behind its name.

use super::{
    clause::is_value,
    lexicon::Sense,
    number::Number,
    scan::{Item, What},
};

/// Whether a clause holds one whole number or version, and besides it only names, places and words that say nothing.
pub(super) fn is_amount(items: &[Item]) -> bool {
    let numbers = items.iter().filter(|i| is_whole(i)).count();
    numbers == 1 && items.iter().all(|i| is_whole(i) || says_nothing_else(i))
}

fn is_whole(item: &Item) -> bool {
    matches!(item.what, What::Number(Number::Whole(_)) | What::Tag)
}

fn says_nothing_else(item: &Item) -> bool {
    use Sense::{
        And, Because, Both, CanYou, Correction, Counter, Domain, Env, EnvWord, Everywhere, Filler,
        For, Greeting, In, It, Namespace, Of, On, Please, Replicas, Same, Then, To,
    };
    let named = item.name().is_some_and(|name| {
        let place = name.namespace.is_some() || name.environment.is_some();
        name.others.is_empty() || !name.workloads.is_empty() || place
    });
    named
        || matches!(item.what, What::Mark(_))
        // "that is three"
        || item.is(Sense::Ask) && item.text.eq_ignore_ascii_case("is")
        || matches!(
            item.sense(),
            Some(
                And | Because
                    | Both
                    | CanYou
                    | Correction
                    | Counter
                    | Domain
                    | Env(_)
                    | EnvWord
                    | Everywhere
                    | Filler
                    | For
                    | Greeting
                    | In
                    | It
                    | Namespace
                    | Of
                    | On
                    | Please
                    | Replicas
                    | Same
                    | Then
                    | To
            )
        )
}

/// The value right behind a word, with nothing but a verb or small words between: `LIMIT 500`, LIMIT 都改 500.
pub(super) fn after(items: &[Item], at: usize) -> Option<&Item> {
    let small = |item: &&Item| {
        matches!(
            item.sense(),
            Some(
                Sense::Filler
                    | Sense::Both
                    | Sense::Set
                    | Sense::Up
                    | Sense::Down
                    | Sense::Need
                    | Sense::Same
                    | Sense::Then
                    | Sense::In
                    | Sense::On
                    | Sense::Of
                    | Sense::Object
                    | Sense::Domain
            )
        ) || item.what == What::Han
    };
    // 上了 5.1.0 之后: that was before
    let value_at = items[at + 1..].iter().position(is_value).map_or(0, |n| at + 1 + n);
    if value_at > 0 && items[value_at - 1].text == "了" {
        return None;
    }
    let mut rest = items.get(at + 1..)?.iter().filter(|i| !small(i) || i.is(Sense::On));
    let next = rest.find(|i| !i.is(Sense::On) || is_value(i))?;
    // "LEVEL debug on x"
    let word = items[at].what == What::Unknown
        && (next.what == What::Unknown || next.text.eq_ignore_ascii_case("debug"))
        && rest.next().is_none_or(|i| i.is(Sense::On) || i.is(Sense::For) || i.name().is_some());
    let value = word || is_value(next) || matches!(next.what, What::Quoted | What::Measure);
    (value && !matches!(next.what, What::KeyValue(..))).then_some(next)
}
