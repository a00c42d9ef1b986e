//! A message cut into clauses, each with its mood (`mood`).

use super::{
    lexicon::Sense,
    mood::{asks, mood},
    scan::{Item, What},
};

/// One clause and how it is meant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    /// What it says.
    pub(super) items: Vec<Item>,
    /// How it is meant.
    pub(super) mood: Mood,
}

/// How a clause is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Do it.
    Command,
    /// Could be a command or a question about it (`X 能扩到 5 吗`, `restart X?`): to be confirmed.
    Perhaps,
    /// Asks.
    Question,
    /// Tells how things are; also what has no verb.
    Statement,
    /// Says what not to do.
    Negated,
    /// Depends on something that may happen.
    Conditional,
    /// Is to happen later.
    Later,
}

/// Verbs that change something.
pub(super) fn is_verb(sense: Sense) -> bool {
    use Sense::{
        Double, Down, Half, Remove, Restart, Rollback, Scale, Set, Start, Stop, Triple, Undo,
        Unsupported, Up, Upgrade,
    };
    matches!(
        sense,
        Scale
            | Up
            | Down
            | Restart
            | Rollback
            | Undo
            | Upgrade
            | Set
            | Remove
            | Stop
            | Start
            | Unsupported
            | Double
            | Triple
            | Half
    )
}

/// Cuts a message into clauses and reads their moods.
pub(super) fn clauses(items: &[Item]) -> Vec<Clause> {
    let asks_at_all = asks(items);
    let mut found: Vec<Clause> = cut(items)
        .into_iter()
        .map(|(items, end)| {
            let mood = mood(&items, end == Some('?'), asks_at_all);
            Clause { items, mood }
        })
        .collect();
    // "should x have fewer than three, scale it to 6": a condition
    for at in 1..found.len() {
        let (before, after) = found.split_at_mut(at);
        let (last, next) = (&mut before[at - 1], &after[0]);
        let inverted = last.items.first().is_some_and(|i| i.text.eq_ignore_ascii_case("should"))
            && last.items.get(1).is_some_and(|i| {
                i.name().is_some() || i.is(Sense::It) || i.text.eq_ignore_ascii_case("the")
            });
        if inverted && last.mood == Mood::Question && next.mood == Mood::Command {
            last.mood = Mood::Conditional;
        }
    }
    // "restart x, what do you think?": a question about it makes the command one to be confirmed
    let mut questioned = false;
    for clause in found.iter_mut().rev() {
        if questioned && clause.mood == Mood::Command {
            clause.mood = Mood::Perhaps;
        }
        let looks = clause.items.iter().any(|i| i.is(Sense::Look) || i.name().is_some());
        let says = clause.items.iter().any(|i| !is_soft(i));
        questioned |= clause.mood == Mood::Question && !looks && says;
    }
    found
}

/// Cuts at punctuation and connectives; keeps the mark that ended each clause.
fn cut(items: &[Item]) -> Vec<(Vec<Item>, Option<char>)> {
    let mut found: Vec<(Vec<Item>, Option<char>)> = Vec::new();
    let mut current: Vec<Item> = Vec::new();
    let mut reason = false;
    let items = without_brackets(items);
    for (at, item) in items.iter().enumerate() {
        let mark = match item.what {
            What::Mark(c)
                if matches!(
                    c,
                    ',' | ';' | '.' | '。' | '…' | '?' | '!' | '\n' | ':' | '(' | ')'
                ) || c == '-' && item.spaced && items.get(at + 1).is_some_and(|i| i.spaced) =>
            {
                Some(c)
            }
            _ => None,
        };
        // 内存上限同时提到: in the middle of what is said it joins nothing
        let whole = current
            .iter()
            .any(|i| is_value(i) || i.sense().is_some_and(is_verb) || i.is(Sense::Look));
        let connective = (item.is(Sense::Then)
            && (whole || !matches!(item.text.as_str(), "同时" | "统一")))
            || item.is(Sense::But)
            || (item.is(Sense::And) && begins_clause(&current, &items[at + 1..]));
        // ", value x": 值为 x belongs to the name before it
        let value_follows = mark == Some(',')
            && items.get(at + 1).is_some_and(|i| {
                let said = i.text.to_lowercase();
                said.starts_with('值') || said == "value" || said.starts_with("with")
            })
            // "raise the limit of x, to 400m"
            || mark == Some(',')
                && !current.iter().any(is_value)
                && current.iter().any(|i| i.sense().is_some_and(is_verb))
                && items.get(at + 1).is_some_and(|i| i.is(Sense::To) && i.text.is_ascii())
                && items.get(at + 2).is_some_and(is_value);
        if value_follows {
            continue;
        }
        // "memory limit of x: two gigs": the value of what stands before
        let names = current.iter().any(|i| i.name().is_some_and(|n| !n.workloads.is_empty()));
        let value_next = items.get(at + 1).is_some_and(|i| is_value(i) || i.what == What::Quoted);
        let verbless = !current.iter().any(|i| i.sense().is_some_and(is_verb) || is_value(i));
        if mark == Some(':') && names && value_next && verbless {
            current.push(Item { what: What::Word(Sense::To), ..item.clone() });
            continue;
        }
        let because = item.is(Sense::Because);
        if mark.is_some() || connective || because {
            if !current.is_empty() && !reason {
                found.push((std::mem::take(&mut current), mark));
            } else if let (Some('?'), Some(last)) = (mark, found.last_mut()) {
                last.1 = Some('?');
            }
            current.clear();
            // what follows "because" explains and asks for nothing, until the next mark
            reason = because || (reason && mark.is_none());
        } else {
            current.push(item.clone());
        }
    }
    if !current.is_empty() && !reason {
        found.push((current, None));
    }
    found
}

/// "x (prod)": brackets around a word or two do not cut.
fn without_brackets(items: &[Item]) -> Vec<Item> {
    let is = |at: usize, mark: char| items.get(at).is_some_and(|i| i.what == What::Mark(mark));
    let opens = |at: usize| is(at, '(') && (2..=4).any(|n| is(at + n, ')'));
    let closes = |at: usize| is(at, ')') && (2..=4).any(|n| at >= n && is(at - n, '('));
    let kept = (0..items.len()).filter(|at| !opens(*at) && !closes(*at));
    kept.map(|at| items[at].clone()).collect()
}

/// Whether what follows an "and" is a clause of its own: it has a verb, or a target and a value after a clause that has
/// both.
fn begins_clause(before: &[Item], after: &[Item]) -> bool {
    let end = after.iter().position(|i| matches!(i.what, What::Mark(_)) || i.is(Sense::And));
    let after = &after[..end.unwrap_or(after.len())];
    let verb = |i: &Item| i.sense().is_some_and(is_verb) || i.is(Sense::Look) || i.is(Sense::Ask);
    let workload = |i: &Item| i.name().is_some_and(|n| !n.workloads.is_empty());
    let whole = |items: &[Item]| items.iter().any(workload) && items.iter().any(is_value);
    let starts_with_verb =
        after.iter().find(|i| !is_soft(i)).is_some_and(|i| verb(i) || i.is(Sense::Not));
    starts_with_verb || (whole(before) && after.iter().any(verb)) || (whole(before) && whole(after))
}

/// Whether an item is a value of a change.
pub(super) fn is_value(item: &Item) -> bool {
    matches!(
        item.what,
        What::Number(_) | What::Quantity(_) | What::Tag | What::KeyValue(..) | What::Commit
    ) || matches!(item.sense(), Some(Sense::Double | Sense::Triple | Sense::Half))
}

/// Words that say nothing about the mood.
pub(super) fn is_soft(item: &Item) -> bool {
    matches!(
        item.sense(),
        Some(
            Sense::Filler
                | Sense::Please
                | Sense::Then
                | Sense::Again
                | Sense::Same
                | Sense::IfPolite
                | Sense::Greeting
                | Sense::Yes
                | Sense::Object
                | Sense::Need
                | Sense::CanYou
                | Sense::Because
        )
    )
}

/// Topics of questions: with one of them, a verb without an object marker tells rather than commands.
pub(super) fn is_topic(sense: Sense) -> bool {
    use Sense::{Config, Events, History, List, Logs, Problem, Status, Usage, Why};
    matches!(sense, Logs | Events | History | Problem | Usage | Why | Status | Config | List)
}
