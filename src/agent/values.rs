//! The values of a command: numbers of replicas, images, environment variables, CPU and memory.

use std::collections::BTreeMap;

use super::{
    bare,
    clause::is_verb,
    draft::{Amount, Draft},
    lexicon::Sense,
    names::Names,
    number::Number,
    quantity::{Quantity, Resource},
    scan::{Item, What},
};

/// How many replicas: every number of the clause that can be one.
pub(super) fn amounts(items: &[Item]) -> Vec<Amount> {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let mut found = Vec::new();
    let factor = |sense| match sense {
        Sense::Double => Some(Amount::Times(2, 1)),
        Sense::Triple => Some(Amount::Times(3, 1)),
        Sense::Half => Some(Amount::Times(1, 2)),
        _ => None,
    };
    let numbers: Vec<usize> =
        (0..items.len()).filter(|i| matches!(items[*i].what, What::Number(_))).collect();
    for at in &numbers {
        let before: Vec<&Item> =
            items[..*at].iter().rev().filter(|i| !i.is(Sense::Filler)).take(2).collect();
        if before.first().is_some_and(|b| b.is(Sense::From)) {
            continue;
        }
        found.push(amount(items, *at, &before));
    }
    if numbers.is_empty() {
        found.extend(items.iter().filter_map(|i| i.sense().and_then(factor)).take(1));
        // "one more" may have been said without a number: 再加几个 is a question
    }
    // "from 3 to 5": the one that says "to" is meant
    let to = |items: &[Item], at: usize| {
        items[..at].iter().rev().find(|i| !i.is(Sense::Filler)).is_some_and(|b| b.is(Sense::To))
    };
    if found.len() > 1
        && has(Sense::From)
        && let Some(position) = numbers.iter().position(|at| to(items, *at))
    {
        found = vec![amount(items, numbers[position], &[&items[numbers[position] - 1]])];
    }
    found.dedup();
    found
}

/// Only the numbers that count replicas: `with 5 replicas`.
pub(super) fn counted_amounts(items: &[Item]) -> Vec<Amount> {
    let number = |at: &usize| matches!(items[*at].what, What::Number(_)) && counted(items, *at);
    let said = (0..items.len()).filter(number);
    said.map(|at| match items[at].what {
        What::Number(Number::Whole(number)) => Amount::To(number),
        _ => Amount::Absurd,
    })
    .collect()
}

fn amount(items: &[Item], at: usize, before: &[&Item]) -> Amount {
    let What::Number(Number::Whole(number)) = items[at].what else { return Amount::Absurd };
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    let said = |word: &str| items.iter().any(|i| i.text.eq_ignore_ascii_case(word));
    let near = |sense| {
        before.iter().any(|b| b.is(sense)) || items.iter().skip(at + 1).take(2).any(|a| a.is(sense))
    };
    let down = has(Sense::Down)
        || has(Sense::Remove)
        || has(Sense::Fewer)
        || has(Sense::Undo)
        || said("down");
    let sign = if down { -1 } else { 1 };
    // 提到 5 says to how many
    let to = before.first().is_some_and(|b| {
        b.is(Sense::To)
            || b.sense().is_some_and(is_verb) && b.text.ends_with(['到', '至', '成', '为', '回'])
    });
    if items[at].text.starts_with('+') {
        return Amount::By(number);
    }
    if to {
        return Amount::To(number);
    }
    if before.first().is_some_and(|b| b.is(Sense::By)) || near(Sense::More) || near(Sense::Fewer) {
        let sign = match (near(Sense::Fewer), near(Sense::More)) {
            (true, _) => -1,
            (false, true) => 1,
            (false, false) => sign,
        };
        return Amount::By(sign * number);
    }
    // add 2, 加两个, remove one; but "raise X 2" and 扩 2 个 could be either
    const ADDING: [&str; 20] = [
        "add",
        "remove",
        "drop",
        "take off",
        "加",
        "增加",
        "添加",
        "追加",
        "增",
        "加上",
        "减",
        "减少",
        "砍",
        "去掉",
        "删掉",
        "删",
        "添",
        "去掉几个",
        "撤",
        "撤掉",
    ];
    if ADDING.iter().any(|word| said(word)) {
        return Amount::By(sign * number);
    }
    // "take two replicas from x"
    if number > 0 && said("take") {
        return Amount::Unclear { number, sign: -1 };
    }
    let scaling =
        before.iter().any(|b| b.is(Sense::Scale) && b.text.chars().any(super::text::is_han));
    let moving = has(Sense::Up) || has(Sense::Down) || said("up") || said("down");
    if number > 0 && (scaling || moving) {
        let sign = if before.iter().any(|b| b.text.starts_with('缩')) { -1 } else { sign };
        return Amount::Unclear { number, sign };
    }
    Amount::To(number)
}

/// Images and tags: those that look like one, or what stands after "to" where a tag would.
pub(super) fn images(items: &[Item], names: &Names) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let from = |at: usize| at > 0 && items[at - 1].is(Sense::From);
    for (at, item) in items.iter().enumerate() {
        let after_to = at > 0 && items[at - 1].is(Sense::To);
        let after_noun = at > 0 && items[at - 1].is(Sense::Image);
        // 10.4 版
        let before_noun =
            items.get(at + 1).is_some_and(|i| i.is(Sense::Image) && is_han_text(&i.text));
        let taken = match item.what {
            What::Tag => !from(at),
            // 升 15.0
            What::Number(_)
                if item.text.contains('.') && at > 0 && items[at - 1].is(Sense::Upgrade) =>
            {
                true
            }
            What::Number(_) => after_to || after_noun || before_noun,
            What::Commit | What::Quoted => after_to || after_noun,
            What::Unknown => {
                let plain = item.text.chars().all(|c| c.is_ascii_alphabetic());
                let named = ["tag", "标签", ":"].iter().any(|w| at > 0 && items[at - 1].text == *w);
                let said_tag = items.iter().any(|i| i.text == "tag" || i.text == "标签");
                (after_to || after_noun) && (!plain || named || (said_tag && after_to))
            }
            _ => false,
        };
        if taken && !found.contains(&item.text) {
            found.push(item.text.clone());
        }
    }
    // a wrongly spelled workload is not a tag
    found.retain(|image| image.contains([':', '/', '.']) || names.near(image).is_empty());
    found.into_iter().map(|image| reference(&image)).collect()
}

fn is_han_text(text: &str) -> bool {
    text.chars().any(super::text::is_han)
}

/// A tag on its own is written `:tag`, a digest `@sha256:...`.
fn reference(said: &str) -> String {
    if said.starts_with("sha256:") {
        format!("@{said}")
    } else if said.contains(['/', ':', '@']) {
        said.to_owned()
    } else {
        format!(":{said}")
    }
}

/// Whether a word is written like the name of an environment variable.
pub(super) fn is_env_key(word: &str) -> bool {
    word.len() >= 3
        && word.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Environment variables to set and to remove.
pub(super) fn env(items: &[Item], draft: &mut Draft) {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    for item in items {
        if let What::KeyValue(key, value) = &item.what {
            // app=hub/app:2 is not a variable
            if !is_env_key(key) && !has(Sense::EnvVar) {
                draft.unclear.push(item.text.clone());
                continue;
            }
            // KEY="" says so, KEY= has been forgotten
            if value.is_empty() {
                draft.valueless.push(key.clone());
                continue;
            }
            let value = value.trim_matches(|c| c == '"' || c == '\'').to_owned();
            draft.set.insert(key.clone(), value);
        }
    }
    let removing = has(Sense::Remove) || items.iter().any(|i| i.text.eq_ignore_ascii_case("drop"));
    for (at, item) in items.iter().enumerate() {
        let after_noun = at > 0 && items[at - 1].is(Sense::EnvVar);
        let spelled = matches!(item.what, What::Unknown | What::Quoted) && is_env_key(&item.text);
        let loose = item.what == What::Unknown && after_noun && item.text.contains('_');
        let is_secret_word =
            item.is(Sense::Secret) && is_env_key(&item.text) && item.text.contains('_');
        if !spelled && !loose && !is_secret_word {
            continue;
        }
        // put "a b" into KEY
        let into =
            |i: &Item| i.is(Sense::To) && matches!(i.text.as_str(), "into" | "to" | "到" | "in");
        if let [.., value, to] = &items[..at]
            && value.what == What::Quoted
            && into(to)
        {
            draft.set.insert(item.text.clone(), value.text.clone());
            continue;
        }
        // a word in capitals is a variable when it has an underscore, or the clause speaks of variables or gives a value
        let speaks = has(Sense::EnvVar) || item.text.contains('_');
        match value_after(items, at) {
            Value::One(value) if speaks || !removing => {
                draft.set.insert(item.text.clone(), value);
            }
            Value::Unclear if speaks => draft.valueless.push(item.text.clone()),
            Value::None if removing => draft.unset.push(item.text.clone()),
            Value::None if speaks && !value_of_another(items, at) => {
                draft.valueless.push(item.text.clone());
            }
            _ => {}
        }
    }
}

enum Value {
    None,
    One(String),
    Unclear,
}

/// The one value that follows "to" after a key.
fn value_after(items: &[Item], key: usize) -> Value {
    let next_key = items[key + 1..]
        .iter()
        .enumerate()
        .position(|(n, i)| {
            let assigned = |at: usize| items.get(at + 1).is_some_and(|next| next.is(Sense::To));
            let at = key + 1 + n;
            matches!(i.what, What::Unknown)
                && is_env_key(&i.text)
                && (i.text.contains('_') || assigned(at))
        })
        .map_or(items.len(), |n| key + 1 + n);
    let is_to = |at: &usize| {
        let text = items[*at].text.as_str();
        items[*at].is(Sense::To)
            || text.ends_with(" be")
            || text.ends_with(['到', '为', '成', '至'])
    };
    let to = (key + 1..next_key).rev().find(is_to);
    let Some(mut to) = to else {
        // MAX_CONNECTIONS 500, MAX_CONNECTIONS 改 500
        return bare::after(&items[..next_key], key)
            .map_or(Value::None, |next| Value::One(written(next)));
    };
    // 改成只有 a: small words before the value
    while items.get(to + 1).is_some_and(|i| i.is(Sense::Filler) && is_han_text(&i.text)) {
        to += 1;
    }
    let mut end = to + 1;
    let ends = |item: &Item, first: bool| {
        matches!(item.what, What::Han | What::Mark(_))
            || (!first
                && matches!(
                    item.sense(),
                    Some(
                        Sense::On
                            | Sense::In
                            | Sense::For
                            | Sense::Of
                            | Sense::And
                            | Sense::Please
                            | Sense::Filler
                            | Sense::Object
                            | Sense::Env(_)
                            | Sense::Look
                            | Sense::Then
                            | Sense::Because
                    )
                ))
    };
    while end < next_key.max(to + 2).min(items.len()) && !ends(&items[end], end == to + 1) {
        end += 1;
    }
    match &items[to + 1..end] {
        [] => Value::None,
        [one] => Value::One(written(one)),
        [one, rest @ ..] if rest.iter().all(|i| i.name().is_some()) => Value::One(written(one)),
        _ => Value::Unclear,
    }
}

/// A value as it is written into a manifest: a number said in words in figures, everything else as it stands.
fn written(item: &Item) -> String {
    match item.what {
        What::Number(Number::Whole(number))
            if !item.text.contains(|c: char| c.is_ascii_digit()) =>
        {
            number.to_string()
        }
        _ => item.text.clone(),
    }
}

/// Whether this word in capitals is itself the value of a variable before it.
fn value_of_another(items: &[Item], at: usize) -> bool {
    at > 0 && items[at - 1].is(Sense::To)
}

/// Amounts of CPU and memory with their scope.
pub(super) fn resources(items: &[Item], draft: &mut Draft) {
    let speaks = items.iter().any(|i| i.is(Sense::Cpu) || i.is(Sense::Memory));
    let values: Vec<usize> = (0..items.len())
        .filter(|at| match items[*at].what {
            What::Quantity(_) => true,
            What::Number(_) => speaks && !counted(items, *at),
            _ => false,
        })
        .filter(|at| *at == 0 || !items[at - 1].is(Sense::From))
        .collect();
    if values.is_empty() && speaks {
        relative(items, draft);
    }
    let mut taken = 0;
    let (mut last_resource, mut last_scope) = (None, (false, false));
    for (n, at) in values.iter().enumerate() {
        let start = taken;
        taken = at + 1;
        let end = values.get(n + 1).copied().unwrap_or(items.len());
        let (before, after) = (&items[start..*at], &items[at + 1..end]);
        let quantity = match &items[*at].what {
            What::Quantity(quantity) => quantity.clone(),
            What::Number(Number::Whole(number)) => Quantity::plain(*number as f64),
            What::Number(Number::Other(number)) => Quantity::plain(*number),
            _ => continue,
        };
        // after an "and" a noun belongs to the next value
        let own_after = after.split(|i| i.is(Sense::And)).next().unwrap_or(&[]);
        let noun = resource_in(before).or_else(|| {
            // "1 cpu and 512Mi memory": the noun after a value is used up
            taken += own_after.len();
            resource_in(own_after)
        });
        let resource = noun.or_else(|| quantity.resource()).or(last_resource);
        let scope = Some(scope_in(before))
            .filter(|s| *s != (false, false))
            .unwrap_or_else(|| scope_in(own_after));
        let scope = if scope == (false, false) { last_scope } else { scope };
        let Some(resource) = resource else {
            draft.misfits.push(items[*at].text.clone());
            continue;
        };
        match quantity.render(resource) {
            Some(amount) => put(draft, resource, scope, &amount),
            None => draft.misfits.push(items[*at].text.clone()),
        }
        (last_resource, last_scope) = (Some(resource), scope);
    }
}

/// A larger share than this is no amount that anybody means.
const MOST_PERCENT: u32 = 1000;

/// "double the memory limit": written as `×2`, and worked out once the workload is known.
fn relative(items: &[Item], draft: &mut Draft) {
    let more = items.iter().any(|i| i.is(Sense::More) || i.is(Sense::Up));
    let fewer = items.iter().any(|i| i.is(Sense::Fewer) || i.is(Sense::Down));
    let percent = items.iter().find_map(|i| i.text.strip_suffix('%')?.trim().parse::<u32>().ok());
    let percent = percent.filter(|percent| *percent <= MOST_PERCENT);
    let factor = items.iter().find_map(|i| match i.sense() {
        Some(Sense::Double) => Some("×2".to_owned()),
        Some(Sense::Triple) => Some("×3".to_owned()),
        Some(Sense::Half) if more && !fewer => Some("×3/2".to_owned()),
        Some(Sense::Half) => Some("×1/2".to_owned()),
        _ => None,
    });
    // "50% more", 增加 50%
    let factor = factor.or_else(|| match (percent, more, fewer) {
        (Some(percent), true, false) => Some(format!("×{}/100", 100 + percent)),
        (Some(percent), false, true) => Some(format!("×{}/100", 100u32.checked_sub(percent)?)),
        _ => None,
    });
    let Some(factor) = factor else { return };
    for (sense, resource) in [(Sense::Cpu, Resource::Cpu), (Sense::Memory, Resource::Memory)] {
        if items.iter().any(|i| i.is(sense)) {
            put(draft, resource, scope_in(items), &factor);
        }
    }
}

fn put(draft: &mut Draft, resource: Resource, (request, limit): (bool, bool), amount: &str) {
    let insert = |map: &mut BTreeMap<String, String>| {
        map.insert(resource.key().to_owned(), amount.to_owned());
    };
    if request {
        insert(&mut draft.requests);
    }
    if limit {
        insert(&mut draft.limits);
    }
    if !request && !limit {
        insert(&mut draft.unscoped);
    }
}

/// `5 replicas` in a clause about memory is still a number of replicas.
fn counted(items: &[Item], at: usize) -> bool {
    items.get(at + 1).is_some_and(|i| i.is(Sense::Replicas) || i.is(Sense::Counter))
}

fn resource_in(items: &[Item]) -> Option<Resource> {
    items.iter().rev().find_map(|i| match i.sense() {
        Some(Sense::Cpu) => Some(Resource::Cpu),
        Some(Sense::Memory) => Some(Resource::Memory),
        _ => None,
    })
}

fn scope_in(items: &[Item]) -> (bool, bool) {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    (has(Sense::Request), has(Sense::Limit))
}
