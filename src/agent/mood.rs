//! How a clause is meant: does it ask, tell, forbid, depend on something, or command?

use super::{
    bare,
    clause::{Mood, is_soft, is_topic, is_value, is_verb},
    lexicon::Sense,
    scan::{Item, What},
    values::is_env_key,
};

/// Whether something is asked beyond doubt: what, why.
pub(super) fn asks(items: &[Item]) -> bool {
    let has = |sense| items.iter().any(|i| i.is(sense));
    has(Sense::What) || has(Sense::Why)
}

/// Reads the mood of one clause; `asks_at_all` when the message asks beyond doubt somewhere.
pub(super) fn mood(items: &[Item], question_mark: bool, asks_at_all: bool) -> Mood {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let verb_at = items.iter().position(|i| i.sense().is_some_and(is_verb));
    let marked = has(Sense::Object) || has(Sense::Please) || has(Sense::CanYou);
    let first = items.iter().find(|i| !is_soft(i));
    // "x should have 5 replicas" is what somebody wants, "should x have 5 replicas" asks
    let wanted = items.iter().position(|i| i.is(Sense::Should)).is_some_and(|at| {
        items[at].text.eq_ignore_ascii_case("should")
            && !question_mark
            && items[..at].iter().any(|i| i.name().is_some())
    });
    let starts_asking = first.is_some_and(|i| {
        let text = i.text.to_lowercase();
        ["how ", "what ", "which "].iter().any(|word| text.starts_with(word))
            || matches!(
                i.sense(),
                Some(Sense::Ask | Sense::Why | Sense::Look | Sense::What | Sense::Should)
            )
    });
    let gets = has(Sense::CanYou)
        && first.is_some_and(|i| i.text.eq_ignore_ascii_case("get"))
        && items.iter().any(is_value)
        && says_change(items);
    if gets {
        return Mood::Command;
    }
    let unsure = has(Sense::Should) && !wanted;
    if asks_at_all || unsure || starts_asking || names_a_record(items) {
        return Mood::Question;
    }
    // "is", "any" and the like ask only at the beginning or with a question mark
    let asks_inside = items.iter().enumerate().any(|(at, i)| {
        let asks = i.is(Sense::Ask) && (question_mark || !is_weak_ask(i)) || asks_for_a_list(i);
        asks && (question_mark || !is_some_few(items, at))
    });
    let ends_asking =
        items.iter().rev().find(|i| !i.is(Sense::Filler)).is_some_and(|i| i.is(Sense::AskEnd));
    let valued = is_valued(items, wanted);
    let Some(verb_at) = verb_at else {
        return without_verb(items, question_mark || ends_asking || asks_inside, valued);
    };
    if asks_inside && (question_mark || ends_asking || !has(Sense::CanYou)) {
        return Mood::Question;
    }
    if let Some(mood) = restrained(items) {
        return mood;
    }
    if has(Sense::Done) || tells_how_it_is(items) {
        return Mood::Statement;
    }
    // what a log line, a document or somebody else says is not this operator's command
    if items[..verb_at].iter().any(|i| i.is(Sense::Reported)) {
        return Mood::Perhaps;
    }
    let polite = items[verb_at].text.to_lowercase().starts_with("would you mind");
    if has(Sense::CanYou) || polite {
        return Mood::Command;
    }
    if let Some(at) = items.iter().position(|i| i.is(Sense::Ability)) {
        return of_ability(items, at, verb_at, question_mark || ends_asking);
    }
    if ends_asking {
        return if has(Sense::Object) { Mood::Perhaps } else { Mood::Question };
    }
    if question_mark {
        return if has(Sense::Told) { Mood::Question } else { Mood::Perhaps };
    }
    if has(Sense::Told) && !marked {
        return Mood::Statement;
    }
    told_or_commanded(items, verb_at, marked)
}

/// Whether a clause says a value together with what makes an order of it.
fn is_valued(items: &[Item], wanted: bool) -> bool {
    // 多了一个实例: how it is
    let too_many = items.iter().any(|i| matches!(i.text.as_str(), "多了" | "少了"));
    let orders = sets_variable(items)
        || bare::is_amount(items)
        || percent_more(items)
        || items.iter().any(is_value) && (wanted || says_change(items));
    orders && !too_many
}

/// "50 % more memory limit": a share of what there is.
fn percent_more(items: &[Item]) -> bool {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let percent = items.iter().any(|i| i.what == What::Measure && i.text.ends_with('%'));
    percent && (has(Sense::More) || has(Sense::Fewer)) && (has(Sense::Cpu) || has(Sense::Memory))
}

/// "restart count of x", "rollout status": the verb is part of a noun.
fn names_a_record(items: &[Item]) -> bool {
    items.windows(2).any(|w| {
        let noun = w[1].sense().is_some_and(is_topic)
            || matches!(
                w[1].text.to_lowercase().as_str(),
                "count" | "counts" | "policy" | "rate" | "time" | "times" | "reason"
            );
        w[0].sense().is_some_and(is_verb)
            && !is_han_text(&w[0].text)
            && noun
            && w[1].sense() != Some(Sense::Problem)
    })
}

/// "the release candidate is bad": a verb that is a noun here.
fn tells_how_it_is(items: &[Item]) -> bool {
    let is = |i: &Item| matches!(i.text.to_lowercase().as_str(), "is" | "are" | "was" | "were");
    // "half the plates are misread" is no amount
    let valued = |i: &Item| is_value(i) && i.sense().is_none();
    items.iter().any(is)
        && !items.iter().any(valued)
        && !items.iter().any(|i| i.name().is_some() || i.is(Sense::It) || i.is(Sense::Object))
}

/// "KEY of x to 60s", "KEY on x must be 10".
fn sets_variable(items: &[Item]) -> bool {
    let key = items.iter().position(|i| i.what == What::Unknown && is_env_key(&i.text));
    if key.is_some_and(|key| items[key].text.contains('_') && bare::after(items, key).is_some()) {
        return true;
    }
    let to = |i: &Item| i.is(Sense::To) || i.text.ends_with(" be");
    key.is_some_and(|key| {
        items[key + 1..].iter().position(to).is_some_and(|at| key + at + 2 < items.len())
    })
}

/// Words that, with a value, make a command without a verb: `X 5 replicas`, `X to 5`, `再两个`, `memory limit 2Gi`.
fn says_change(items: &[Item]) -> bool {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let quantity = items.iter().any(|i| matches!(i.what, What::Quantity(_)));
    let counted =
        items.windows(2).any(|w| matches!(w[0].what, What::Number(_)) && w[1].is(Sense::Counter));
    // "x 1.6.1", x 先上 1.6.1
    let workload = |i: &Item| i.name().is_some_and(|n| !n.workloads.is_empty());
    let versioned = (0..items.len()).any(|at| {
        workload(&items[at]) && bare::after(items, at).is_some_and(|i| i.what == What::Tag)
    });
    [Sense::Replicas, Sense::Need, Sense::To, Sense::More, Sense::Fewer].into_iter().any(has)
        || counted
        || versioned
        || (quantity && has(Sense::Object))
        || (quantity && (has(Sense::Request) || has(Sense::Limit)))
        || (has(Sense::Image) && items.iter().any(|i| i.what == What::Tag))
}

/// "which pods", 哪些服务.
fn asks_for_a_list(item: &Item) -> bool {
    const ASKING: [&str; 7] = ["which", "what", "how many", "哪", "多少", "几", "有哪"];
    let text = item.text.to_lowercase();
    item.is(Sense::List) && ASKING.iter().any(|word| text.starts_with(word))
}

/// 多加几个: some more, not how many.
fn is_some_few(items: &[Item], at: usize) -> bool {
    let before = items[..at].iter().rev().find(|i| !i.is(Sense::Filler));
    matches!(items[at].text.as_str(), "几" | "几个" | "几台")
        && before.is_some_and(|b| b.sense().is_some_and(is_verb) || b.is(Sense::More))
}

fn is_weak_ask(item: &Item) -> bool {
    const WEAK: [&str; 13] = [
        "has",
        "is",
        "are",
        "was",
        "were",
        "does",
        "did",
        "any",
        "has the",
        "have the",
        "there are",
        "is there",
        "are there",
    ];
    WEAK.contains(&item.text.to_lowercase().as_str())
}

/// 要等半分钟 waits for nothing, and "before tonight's run" only says how soon.
fn is_condition(items: &[Item], at: usize) -> bool {
    let first = items[..at].iter().all(is_soft);
    match items[at].text.to_lowercase().as_str() {
        "等" => first,
        // 跑稳了以后 waits; 以后跑三份 is from now on
        "以后" | "之后" => items[..at].iter().any(|i| {
            i.sense().is_some_and(is_verb) || matches!(i.text.as_str(), "了" | "完" | "好")
        }),
        "before" if at + 1 == items.len() => false,
        // "drafts stay locked after people go home"
        "after" | "when" | "once" | "until" if !first => {
            items.iter().any(|i| is_value(i) || i.sense().is_some_and(is_verb))
        }
        "before" => items.iter().any(|i| i.name().is_some() || i.sense().is_some_and(is_verb)),
        _ => true,
    }
}

/// Clauses that say not to act, or not now.
fn restrained(items: &[Item]) -> Option<Mood> {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let refused = items.windows(2).any(|w| {
        matches!(w[0].text.to_lowercase().as_str(), "不" | "没" | "未" | "no")
            && w[1].sense().is_some_and(is_verb)
    });
    // "not the database" only says which is not meant
    let excludes = items.first().is_some_and(|i| i.text.eq_ignore_ascii_case("not"))
        && !items.iter().any(|i| is_value(i) || i.sense().is_some_and(is_verb));
    // 不是退回 2.7.3
    let refused = refused
        || items.first().is_some_and(|i| matches!(i.text.as_str(), "不是" | "并非" | "而不是"))
            && items.iter().any(is_value);
    if (has(Sense::Not) || refused) && !excludes {
        Some(Mood::Negated)
    } else if items.iter().enumerate().any(|(at, i)| i.is(Sense::If) && is_condition(items, at)) {
        Some(Mood::Conditional)
    } else if has(Sense::Later)
        || items.windows(2).any(|w| {
            // in 10 minutes
            let after = matches!(w[1].text.as_str(), "后" | "之后" | "以后" | "later" | "from now");
            (w[0].what == What::Measure && after)
                || w[0].is(Sense::In) && w[1].what == What::Measure && !w[1].text.ends_with('%')
        })
    {
        Some(Mood::Later)
    } else {
        None
    }
}

/// "0.4.9 was never pushed", "we did not need it": what was not, and no order.
pub(super) fn tells_what_was_not(items: &[Item]) -> bool {
    const PAST: [&str; 7] = ["did", "was", "were", "had", "has", "have", "hasn't"];
    let past = items.windows(2).any(|w| {
        PAST.contains(&w[0].text.to_lowercase().as_str())
            && (w[1].is(Sense::Not) || w[1].text == "not")
    });
    let joined = |i: &Item| {
        matches!(i.text.to_lowercase().as_str(), "didn't" | "wasn't" | "weren't" | "hasn't")
    };
    past || items.iter().any(joined)
}

fn without_verb(items: &[Item], asking: bool, valued: bool) -> Mood {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    // "could you make that ... 4?" asks for it
    let asks_for_it = has(Sense::CanYou) || has(Sense::Object) && has(Sense::Ability);
    // "LEVEL becomes debug" looks at nothing
    let looks = (0..items.len())
        .any(|at| items[at].is(Sense::Look) && !(at > 0 && is_given(&items[at - 1])));
    if asking && !(asks_for_it && valued) || looks {
        return Mood::Question;
    }
    if items.iter().enumerate().any(|(at, i)| i.is(Sense::If) && is_condition(items, at)) {
        return Mood::Conditional;
    }
    let excludes =
        items.first().is_some_and(|i| i.text.eq_ignore_ascii_case("not")) && items.len() > 1;
    if has(Sense::Not) && tells_what_was_not(items) {
        return Mood::Statement;
    }
    if has(Sense::Not) && !excludes {
        return Mood::Negated;
    }
    let topic = items.iter().any(|i| i.sense().is_some_and(is_topic));
    // "x has 5 replicas" tells; "make sure x has 5 replicas" commands
    let has_it = items.iter().any(|i| matches!(i.text.as_str(), "has" | "have" | "有" | "是"));
    if has_it && !has(Sense::Please) && !has(Sense::Need) {
        return Mood::Statement;
    }
    if has(Sense::Need) && has(Sense::Replicas) && (valued || has(Sense::More) || has(Sense::Fewer))
    {
        return restrained(items).unwrap_or(Mood::Command);
    }
    let assigns = items.iter().any(|i| matches!(i.what, What::KeyValue(..)));
    if (assigns || valued && !topic) && !has(Sense::Told) {
        return restrained(items).unwrap_or(Mood::Command);
    }
    Mood::Statement
}

/// What a value stands behind: "to", or the name of a variable.
fn is_given(item: &Item) -> bool {
    item.is(Sense::To) || item.what == What::Unknown && is_env_key(&item.text)
}

/// "can X be ..." asks; "能不能重启一下 X" asks for it; "X 能扩到 5 吗" could be either.
fn of_ability(items: &[Item], at: usize, verb_at: usize, asking: bool) -> Mood {
    let valued = items.iter().any(is_value);
    let han = items[at].text.chars().any(super::text::is_han);
    let named_before = items[..at].iter().any(|i| i.name().is_some());
    let direct = items[at + 1..]
        .iter()
        .find(|i| !is_soft(i))
        .is_some_and(|i| i.sense().is_some_and(is_verb));
    match (han, asking) {
        (true, _) if direct && !named_before && verb_at > at => {
            let asks_for_it = matches!(items[at].text.as_str(), "能不能" | "能否" | "可不可以");
            if asks_for_it { Mood::Command } else { Mood::Perhaps }
        }
        (true, _) => Mood::Perhaps,
        (false, true) if items[at].text.to_lowercase().contains("possible") => Mood::Perhaps,
        // "could x run as three pods?"
        (false, true) if items[at].text.eq_ignore_ascii_case("could") && valued => Mood::Perhaps,
        (false, true) => Mood::Question,
        (false, false) => Mood::Perhaps,
    }
}

fn told_or_commanded(items: &[Item], verb_at: usize, marked: bool) -> Mood {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let verb = &items[verb_at];
    let initial = items[..verb_at].iter().all(|i| is_soft(i) || i.is(Sense::Both));
    if marked || (initial && !is_han_text(&verb.text)) {
        return Mood::Command;
    }
    if has(Sense::Happened) {
        return Mood::Statement;
    }
    // 重启了 tells; 扩到 5 did not happen yet
    let completed = items.get(verb_at + 1).is_some_and(|i| matches!(i.text.as_str(), "了" | "过"));
    let valued = items.iter().any(is_value);
    if completed && !initial && !valued {
        return Mood::Statement;
    }
    if initial {
        return Mood::Command;
    }
    let before = &items[..verb_at];
    let noun = !is_han_text(&verb.text)
        && before.last().is_some_and(|i| {
            matches!(i.text.as_str(), "the" | "last" | "any" | "each" | "its" | "every")
        });
    let topic = items.iter().any(|i| i.sense().is_some_and(is_topic));
    if noun || (topic && !valued) { Mood::Statement } else { Mood::Command }
}

fn is_han_text(text: &str) -> bool {
    text.chars().any(super::text::is_han)
}
