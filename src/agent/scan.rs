//! From tokens to items: names of the inventory, values, and words with their senses, in the order they were said.

use super::{
    amount::{halves, value, with_unit},
    lexicon::{self, LONGEST_CHINESE, LONGEST_ENGLISH, Sense},
    names::{Name, Names},
    number::{self, Number},
    quantity::Quantity,
    spoken,
    text::{Token, TokenKind, tokens},
};

/// One thing that was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    /// What it is.
    pub(super) what: What,
    /// As written.
    pub(super) text: String,
    /// Whether white space stands before it.
    pub(super) spaced: bool,
}

/// The kinds of items.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// A name of the inventory.
    Name(Name),
    /// A known word or phrase.
    Word(Sense),
    /// A number.
    Number(Number),
    /// A number with a unit of CPU or memory.
    Quantity(Quantity),
    /// A number with a unit of time, or a percentage: `30m ago`, `5 分钟`, `50%`.
    Measure,
    /// An image version, digest or reference.
    Tag,
    /// `KEY=VALUE`.
    KeyValue(String, String),
    /// The id of a change.
    ChangeId,
    /// A commit hash.
    Commit,
    /// What stood between quotes.
    Quoted,
    /// A Latin word nobody knows.
    Unknown,
    /// A Han character nobody knows.
    Han,
    /// Punctuation.
    Mark(char),
}

impl Item {
    /// Whether it is a word of this sense.
    pub(super) fn is(&self, sense: Sense) -> bool {
        self.what == What::Word(sense)
    }

    /// The sense of a word.
    pub(super) fn sense(&self) -> Option<Sense> {
        match self.what {
            What::Word(sense) => Some(sense),
            _ => None,
        }
    }

    /// The name it is.
    pub(super) fn name(&self) -> Option<&Name> {
        match &self.what {
            What::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// Reads a message.
pub(super) fn scan(text: &str, names: &Names) -> Vec<Item> {
    let tokens = tokens(&spoken::versions_in_figures(text));
    let mut items = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let (what, used) = match tokens[at].kind {
            TokenKind::Quoted => (quoted(&tokens[at], names), 1),
            TokenKind::Punct => punct(&tokens[at..]),
            TokenKind::Latin => latin(&tokens[at..], names, &mut items),
            TokenKind::Han => han(&tokens[at..], names),
        };
        let (what, used) = whole_value(what, used, &tokens[at..]);
        if used > 0 {
            let text = joined(&tokens[at..at + used]);
            let what = counted(what, &text, items.last(), names);
            items.push(Item { what, text, spaced: tokens[at].spaced });
        }
        at += used.max(1);
    }
    separable(&mut items);
    // "everywhere but in prod", "all but x"
    for at in 1..items.len() {
        let all = matches!(items[at - 1].sense(), Some(Sense::Everywhere | Sense::All));
        if items[at].text.eq_ignore_ascii_case("but") && all {
            items[at].what = What::Word(Sense::Except);
        }
    }
    items
}

/// 3 次变更 are entries of the history, 7 行 lines of a log, 4 gateways so many of that name.
fn counted(what: What, text: &str, before: Option<&Item>, names: &Names) -> What {
    match before.map(|b| &b.what) {
        Some(What::Measure) if matches!(text, "变更" | "改动" | "修改" | "提交" | "更新") => {
            What::Word(Sense::History)
        }
        Some(What::Number(_)) if text == "行" => What::Word(Sense::Logs),
        Some(What::Number(_)) if what == What::Unknown => {
            names.find_plural(text).map_or(what, What::Name)
        }
        _ => what,
    }
}

/// `KEY=忽略规则`: what stands right behind the sign is the value, whatever it says.
fn whole_value(what: What, used: usize, tokens: &[Token]) -> (What, usize) {
    let What::KeyValue(key, value) = &what else { return (what, used) };
    // KEY="a b"
    if let Some(quoted) = tokens.get(used)
        && value.is_empty()
        && !quoted.spaced
        && quoted.kind == TokenKind::Quoted
    {
        return (What::KeyValue(key.clone(), quoted.text.clone()), used + 1);
    }
    let quote = |at: usize| tokens.get(at).is_some_and(|t| !t.spaced && t.text == "\"");
    if value.is_empty() && quote(used) && quote(used + 1) {
        return (What::KeyValue(key.clone(), "\"\"".to_owned()), used + 2);
    }
    let glued = |t: &&Token| !t.spaced && matches!(t.kind, TokenKind::Han | TokenKind::Latin);
    let more = tokens[used..].iter().take_while(glued).count();
    let goes_on = more > 0 && (value.is_empty() || tokens[used].kind == TokenKind::Latin);
    if !goes_on {
        return (what, used);
    }
    let value = format!("{value}{}", joined(&tokens[used..used + more]));
    (What::KeyValue(key.clone(), value), used + more)
}

fn joined(tokens: &[Token]) -> String {
    let mut text = String::new();
    for (i, token) in tokens.iter().enumerate() {
        if i > 0 && token.spaced {
            text.push(' ');
        }
        text.push_str(&token.text);
    }
    text
}

fn quoted(token: &Token, names: &Names) -> What {
    names.find(&token.text).map_or(What::Quoted, What::Name)
}

fn punct(tokens: &[Token]) -> (What, usize) {
    let c = tokens[0].text.chars().next().unwrap_or(' ');
    match c {
        '、' | '&' => (What::Word(Sense::And), 1),
        '=' | '→' | '⇒' | '➜' => (What::Word(Sense::To), 1),
        '-' if tokens.get(1).is_some_and(|t| t.text == ">") => (What::Word(Sense::To), 2),
        '-' if tokens.get(1).is_some_and(|t| t.lower == "n" || t.lower == "c") => {
            let sense = if tokens[1].lower == "n" { Sense::Namespace } else { Sense::Container };
            (What::Word(sense), 2)
        }
        _ => (What::Mark(c), 1),
    }
}

/// Reads one or more Latin tokens. A compound (`deploy/x`, `x:1.2`, `replicas=5`) puts its parts into `items` itself.
fn latin(tokens: &[Token], names: &Names, items: &mut Vec<Item>) -> (What, usize) {
    let token = &tokens[0];
    if let Some((name, used)) = name_at(tokens, names, items.is_empty()) {
        return (What::Name(name), used);
    }
    if let Some(found) = halves(tokens) {
        return found;
    }
    if is_pronoun(&token.lower, items) {
        return (What::Word(Sense::It), 1);
    }
    if let Some((sense, used)) = english_at(tokens) {
        return (What::Word(sense), used);
    }
    if let Some(found) = value(tokens) {
        return found;
    }
    if split_compound(token, names, items) {
        return (What::Unknown, 0);
    }
    match pattern(&token.text) {
        What::Unknown => (misspelt_verb(&token.lower).map_or(What::Unknown, What::Word), 1),
        what => (what, 1),
    }
}

/// "the one", "the trial one": points at something and counts nothing.
fn is_pronoun(word: &str, before: &[Item]) -> bool {
    let said = |n: usize| before.len().checked_sub(n).and_then(|at| before.get(at));
    let is = |n: usize, words: &[&str]| {
        said(n).is_some_and(|i| words.contains(&i.text.to_lowercase().as_str()))
    };
    const POINTING: [&str; 6] = ["the", "that", "this", "which", "other", "same"];
    let named = said(1).is_some_and(|i| {
        i.name().is_some() || i.what == What::Unknown || matches!(i.sense(), Some(Sense::Env(_)))
    });
    matches!(word, "one" | "ones") && (is(1, &POINTING) || named && is(2, &POINTING[..3]))
}

/// "switch the log off", "turn it on": the two words of a verb with its object between them.
fn separable(items: &mut [Item]) {
    for at in 0..items.len() {
        let opens = matches!(items[at].text.to_lowercase().as_str(), "switch" | "turn" | "shut");
        let Some(end) = items[at + 1..].iter().take(6).position(|i| {
            matches!(i.text.to_lowercase().as_str(), "off" | "on" | "down")
                || matches!(i.what, What::Mark(_))
        }) else {
            continue;
        };
        let closes = at + 1 + end;
        let valued =
            items[at..].iter().any(|i| matches!(i.what, What::Number(_) | What::KeyValue(..)));
        let last = items
            .get(closes + 1)
            .is_none_or(|i| matches!(i.what, What::Mark(_)) || i.is(Sense::For) || i.is(Sense::In));
        if opens && end > 0 && last && !valued && !matches!(items[closes].what, What::Mark(_)) {
            let on = items[closes].text.eq_ignore_ascii_case("on");
            items[at].what = What::Word(if on { Sense::Start } else { Sense::Stop });
            items[closes].what = What::Word(Sense::Filler);
        }
    }
}

/// A verb with one slip (`scael`, `restrat`); names are never read that way.
fn misspelt_verb(word: &str) -> Option<Sense> {
    const VERBS: [&str; 12] = [
        "scale",
        "restart",
        "rollback",
        "upgrade",
        "downgrade",
        "deploy",
        "revert",
        "increase",
        "decrease",
        "reduce",
        "update",
        "double",
    ];
    let near = |verb: &&str| strsim::damerau_levenshtein(verb, word) == 1;
    let is_word = word.len() >= 5 && word.chars().all(|c| c.is_ascii_lowercase());
    VERBS.iter().find(|verb| is_word && near(verb)).and_then(|verb| lexicon::english(verb))
}

/// A name of one word, or of up to four words written apart.
fn name_at(tokens: &[Token], names: &Names, first: bool) -> Option<(Name, usize)> {
    let run = tokens.iter().take(4).take_while(|t| t.kind == TokenKind::Latin).count();
    let sense = lexicon::english(&tokens[0].lower);
    let may_begin = |s: Sense| matches!(s, Sense::Domain | Sense::Env(_) | Sense::Kind(_));
    if sense.is_none_or(may_begin) {
        for used in (2..=run).rev() {
            let words: Vec<&str> = tokens[..used].iter().map(|t| t.lower.as_str()).collect();
            if let Some(name) = names.find_spaced(&words) {
                return Some((name, used));
            }
        }
    }
    // a name that is also a word of grammar or a verb is that word; but what looks for something ("search", "monitor",
    // "watch") begins the sentence, and further on is the workload of that name
    let is_grammar = sense.is_some_and(|s| {
        if s == Sense::Look {
            // "search in prod: ..." is about a workload of that name, "search for ..." looks
            const AFTER_NAME: [&str; 7] = ["in", "to", "on", "at", "should", "needs", "must"];
            // search 是什么镜像
            const AFTER_NAME_HAN: &str = "是在的要现为有也还最应挂起报跑";
            let named = tokens.get(1).is_some_and(|t| {
                t.text == ":"
                    || AFTER_NAME.contains(&t.lower.as_str())
                    || AFTER_NAME_HAN.contains(t.text.as_str())
            });
            return first && !named;
        }
        !matches!(s, Sense::Env(_) | Sense::Domain | Sense::Kind(_) | Sense::Image | Sense::Secret)
    });
    let word = tokens[0].lower.strip_suffix("'s").unwrap_or(&tokens[0].lower);
    if is_grammar { None } else { names.find(word).map(|name| (name, 1)) }
}

fn english_at(tokens: &[Token]) -> Option<(Sense, usize)> {
    let run =
        tokens.iter().take(LONGEST_ENGLISH).take_while(|t| t.kind == TokenKind::Latin).count();
    for used in (1..=run).rev() {
        let phrase: Vec<&str> = tokens[..used].iter().map(|t| t.lower.as_str()).collect();
        if let Some(sense) = lexicon::english(&phrase.join(" ")) {
            return Some((sense, used));
        }
    }
    // a possessive of a known word: service's
    let word = tokens[0].lower.strip_suffix("'s")?;
    lexicon::english(word).map(|sense| (sense, 1))
}

/// `deployment/NAME`, `NAMESPACE/NAME`, `NAME:TAG`, `replicas=5`, `NAME=5`.
fn split_compound(token: &Token, names: &Names, items: &mut Vec<Item>) -> bool {
    for (mark, between) in
        [('/', None), (':', Some(Sense::To)), ('=', Some(Sense::To)), ('@', Some(Sense::To))]
    {
        let Some((left, right)) = token.text.split_once(mark) else { continue };
        let sense = lexicon::english(&left.to_lowercase());
        let is_noun = matches!(
            sense,
            Some(
                Sense::Replicas
                    | Sense::Image
                    | Sense::Cpu
                    | Sense::Memory
                    | Sense::Kind(_)
                    | Sense::Namespace
            )
        ) || (mark == '/' && matches!(sense, Some(Sense::Upgrade)));
        let first = match (names.find(left), sense) {
            (Some(name), _) => What::Name(name),
            (None, Some(sense)) if is_noun => What::Word(sense),
            _ => continue,
        };
        // an image reference is not a name and a tag
        if mark == ':' && left.contains('/') {
            continue;
        }
        let kind_prefix = mark == '/' && !matches!(first, What::Name(_));
        if !kind_prefix
            || names.find(right).is_some()
            || !matches!(first, What::Word(Sense::Upgrade))
        {
            let is_verb = first == What::Word(Sense::Upgrade);
            if !is_verb {
                items.push(Item { what: first, text: left.to_owned(), spaced: token.spaced });
            }
            if let Some(sense) = between {
                items.push(Item { what: What::Word(sense), text: mark.to_string(), spaced: false });
            }
            for item in scan(right, names) {
                items.push(Item { spaced: false, ..item });
            }
            return true;
        }
    }
    false
}

/// What the shape of a word says it is.
fn pattern(word: &str) -> What {
    if let Some((key, value)) = word.split_once('=') {
        let is_key = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if is_key {
            return What::KeyValue(key.to_owned(), value.to_owned());
        }
    }
    let is_change = word
        .strip_prefix("c-")
        .is_some_and(|id| id.len() == 8 && id.chars().all(|c| matches!(c, 'a'..='z' | '2'..='7')));
    if is_change {
        return What::ChangeId;
    }
    let is_hex = word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    if is_hex && (7..=40).contains(&word.len()) && word.contains(|c: char| c.is_ascii_digit()) {
        return What::Commit;
    }
    if is_version(word) || word.contains("sha256:") || is_image_reference(word) {
        return What::Tag;
    }
    What::Unknown
}

/// `1.4.2`, `v2`, `2024.10-rc1`, `release-1.4`; a number alone is not one.
fn is_version(word: &str) -> bool {
    let plain = word.strip_prefix(['v', 'V']).unwrap_or(word);
    let starts = plain.starts_with(|c: char| c.is_ascii_digit());
    let legal =
        word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'));
    starts && legal && (word.len() > plain.len() || plain.contains(['.', '-']))
}

fn is_image_reference(word: &str) -> bool {
    let last = word.rsplit('/').next().unwrap_or(word);
    let Some((name, tag)) = last.split_once([':', '@']) else { return false };
    // 10:30 is a time
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && !tag.is_empty()
}

fn han(tokens: &[Token], names: &Names) -> (What, usize) {
    let run = tokens
        .iter()
        .take(LONGEST_CHINESE)
        .take_while(|t| matches!(t.kind, TokenKind::Han | TokenKind::Latin))
        .count();
    let text: String = tokens[..run].iter().map(|t| t.lower.as_str()).collect();
    for (fraction, part) in [("四分之一", 0.25), ("四分之三", 0.75), ("二分之一", 0.5)]
    {
        let used = fraction.chars().count();
        if text.starts_with(fraction)
            && let Some((what, more)) = with_unit(Number::Other(part), &tokens[used..])
        {
            return (what, used + more);
        }
    }
    if let Some((name, length)) = names.find_han(&text)
        && let Some(used) = tokens_of(&tokens[..run], length)
    {
        return (What::Name(name), used);
    }
    let chars: Vec<char> = tokens
        .iter()
        .take_while(|t| t.kind == TokenKind::Han)
        .take(12)
        .flat_map(|t| t.text.chars())
        .collect();
    let number = number::han(&chars);
    let phrase = (1..=run).rev().find_map(|used| {
        let phrase: String = tokens[..used].iter().map(|t| t.lower.as_str()).collect();
        lexicon::chinese(&phrase).map(|sense| (sense, used))
    });
    match (number, phrase) {
        (Some((value, digits)), phrase) if phrase.is_none_or(|(_, used)| used <= digits) => {
            let number = Number::Whole(value);
            with_unit(number, &tokens[digits..])
                .map_or((What::Number(number), digits), |(what, used)| (what, used + digits))
        }
        (_, Some((sense, used))) => (What::Word(sense), used),
        _ if let Some(used) =
            names.part_of_han(&text).and_then(|n| tokens_of(&tokens[..run], n)) =>
        {
            (What::Unknown, used)
        }
        _ if tokens[0].text == "半" => with_unit(Number::Other(0.5), &tokens[1..])
            .map_or((What::Han, 1), |(what, used)| (what, used + 1)),
        _ => (What::Han, 1),
    }
}

/// How many tokens the first `length` characters are; `None` when that is not at a token's end.
fn tokens_of(tokens: &[Token], length: usize) -> Option<usize> {
    let mut sum = 0;
    for (i, token) in tokens.iter().enumerate() {
        sum += token.text.chars().count();
        if sum == length {
            return Some(i + 1);
        }
    }
    None
}
