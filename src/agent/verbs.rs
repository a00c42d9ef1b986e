//! Which verbs a clause may mean, by its values first and its words then, and the values none of them has a use for.

use super::{
    clause::is_verb,
    draft::{Draft, Verb},
    lexicon::Sense,
    number::Number,
    scan::{Item, What},
    values,
};

/// The verbs whose values are said beyond doubt.
pub(super) fn value_kinds(items: &[Item], whole: &Draft) -> Vec<Verb> {
    // 加一个 KEY=1, 加一个环境变量: one of these, not one replica
    let variable = |at: usize| {
        let next = items[at..].iter().find(|i| !i.is(Sense::Of) && !i.is(Sense::Filler));
        next.is_some_and(|i| {
            i.is(Sense::EnvVar)
                || matches!(i.what, What::KeyValue(..))
                || values::is_env_key(&i.text)
        })
    };
    let counted = (1..items.len()).any(|at| {
        matches!(items[at - 1].what, What::Number(_))
            && (items[at].is(Sense::Replicas) || items[at].is(Sense::Counter) && !variable(at + 1))
    });
    let resources =
        !whole.requests.is_empty() || !whole.limits.is_empty() || !whole.unscoped.is_empty();
    let mut found = Vec::new();
    let mut add = |said: bool, verb: Verb| {
        if said {
            found.push(verb);
        }
    };
    add(items.iter().any(|i| i.what == What::Tag), Verb::SetImage);
    add(!whole.set.is_empty() || !whole.unset.is_empty(), Verb::SetEnv);
    add(resources, Verb::SetResources);
    add(counted, Verb::Scale);
    found
}

/// Whether a number is the value of a variable, as it stands or in figures.
fn is_set(draft: &Draft, item: &Item) -> bool {
    let figures = match item.what {
        What::Number(Number::Whole(number)) => number.to_string(),
        _ => String::new(),
    };
    draft.set.values().any(|value| *value == item.text || *value == figures)
}

/// Values that the verb has no use for: nothing that was said is dropped in silence.
pub(super) fn unclear(items: &[Item], draft: &Draft) -> Vec<String> {
    let Some(verb) = draft.verb() else { return Vec::new() };
    let image =
        |text: &str| draft.images.iter().any(|i| i.trim_start_matches(':') == text || i == text);
    let from = |at: usize| at > 0 && items[at - 1].is(Sense::From);
    let trailing = |at: usize| {
        at > 0
            && matches!(items[at - 1].what, What::KeyValue(..))
            && items[at].what == What::Unknown
    };
    let unused = |at: usize| match items[at].what {
        What::Number(_) => match verb {
            Verb::Scale | Verb::SetResources => false,
            Verb::SetEnv => !is_set(draft, &items[at]),
            Verb::SetImage => {
                !image(&items[at].text)
                    && draft.container.as_ref().is_none_or(|c| *c != items[at].text)
            }
            Verb::Restart | Verb::Rollback | Verb::Undo => true,
        },
        What::Measure => matches!(verb, Verb::Restart | Verb::Rollback | Verb::Undo | Verb::Scale),
        What::Quantity(_) => !matches!(verb, Verb::SetResources | Verb::SetEnv),
        What::Tag => !matches!(verb, Verb::SetImage | Verb::SetEnv | Verb::Rollback),
        What::KeyValue(..) => verb != Verb::SetEnv,
        // "roll back to yesterday's version" names no commit
        What::Word(Sense::Happened) => verb == Verb::Rollback,
        What::Unknown => trailing(at),
        _ => false,
    };
    let number_of_targets =
        |at: usize| items.get(at + 1).is_some_and(|i| i.is(Sense::Counter) || i.is(Sense::Domain));
    (0..items.len())
        .filter(|at| unused(*at) && !from(*at) && !number_of_targets(*at))
        .map(|at| items[at].text.clone())
        .collect()
}

/// The verbs a clause may mean; values decide before words do.
pub(super) fn verbs(items: &[Item], draft: &Draft, resources: bool) -> Vec<Verb> {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let any = |senses: &[Sense]| senses.iter().any(|s| has(*s));
    let tag = items.iter().any(|i| i.what == What::Tag);
    let number = items.iter().any(|i| matches!(i.what, What::Number(_)));
    let verb = items.iter().any(|i| i.sense().is_some_and(is_verb)) || has(Sense::Need);
    // x 改回去
    let back = items.iter().any(|i| i.is(Sense::Undo) && i.text.ends_with(['去', '来']));
    if back && !draft.targets.is_empty() {
        return vec![Verb::Rollback];
    }
    // 撤掉一个
    let counted =
        items.windows(2).any(|w| matches!(w[0].what, What::Number(_)) && w[1].is(Sense::Counter));
    if has(Sense::Undo) && counted && !has(Sense::ThatChange) {
        return vec![Verb::Scale];
    }
    if any(&[Sense::Undo])
        || (has(Sense::Rollback) && (has(Sense::ThatChange) || draft.change.is_some()))
    {
        let one_workload = has(Sense::LastChange) && !draft.targets.is_empty();
        return vec![if one_workload { Verb::Rollback } else { Verb::Undo }];
    }
    if has(Sense::Rollback) && has(Sense::LastChange) && draft.targets.is_empty() {
        return vec![Verb::Undo];
    }
    if has(Sense::Rollback) {
        return vec![Verb::Rollback];
    }
    if has(Sense::Previous) && !tag && !number && (verb || has(Sense::Object)) {
        return vec![Verb::Rollback];
    }
    let env = !draft.set.is_empty() || !draft.unset.is_empty() || !draft.valueless.is_empty();
    if !draft.unclear.is_empty() && !env && verb {
        return vec![Verb::SetEnv];
    }
    let mut found = Vec::new();
    if env || (has(Sense::EnvVar) && verb) {
        found.push(Verb::SetEnv);
    } else if resources || (any(&[Sense::Cpu, Sense::Memory]) && verb && !has(Sense::Replicas)) {
        found.push(Verb::SetResources);
    } else if has(Sense::Replicas) && !tag && (number || !has(Sense::Restart)) {
        found.push(Verb::Scale);
    } else if has(Sense::Image) || tag || has(Sense::Upgrade) {
        found.push(Verb::SetImage);
    } else if any(&[Sense::Scale, Sense::Double, Sense::Triple, Sense::Half, Sense::Stop])
        || (any(&[Sense::Up, Sense::Down]) && !has(Sense::Restart))
        || number
            && (has(Sense::Counter) || any(&[Sense::More, Sense::Fewer]))
            && !has(Sense::Restart)
    {
        found.push(Verb::Scale);
    } else if number && verb && !has(Sense::Restart) {
        // "bring X up to 5" moves a number; "set X to 5" may be replicas or a tag
        let moves = items.iter().any(|i| {
            matches!(
                i.text.to_lowercase().as_str(),
                "up" | "down" | "up to" | "down to" | "back" | "out" | "in"
            )
        });
        if moves {
            return vec![Verb::Scale];
        }
        found.extend([Verb::Scale, Verb::SetImage]);
    }
    if has(Sense::Restart) {
        found.push(Verb::Restart);
    }
    found
}
