//! What an answer says: its own words and its evidence, texts that must or must not occur, numbers, the cause.

use std::collections::BTreeSet;

use kubemate::domain::{Block, Message, ObjectRef};
use serde_json::{Value, json};

use super::{Failure, Observed};
use crate::case::{AnswerExpect, CauseExpect};

/// What a reply tells, in lower case.
pub(super) struct Told {
    /// Its own words.
    spoken: String,
    /// Its words and everything in its evidence.
    whole: String,
}

impl Told {
    pub(super) fn of(messages: &[Message]) -> Self {
        let spoken = spoken(messages).to_ascii_lowercase();
        let mut whole = spoken.clone();
        for block in messages.iter().flat_map(|message| &message.blocks) {
            if let Block::Evidence { evidence } = block {
                // texts as a person reads them: no JSON escapes
                let shown =
                    json!([evidence.title, evidence.query, evidence.columns, evidence.rows]);
                leaves(&shown, &mut whole);
                leaves(&json!([evidence.text, evidence.data, evidence.truncated]), &mut whole);
            }
        }
        whole.make_ascii_lowercase();
        Self { spoken, whole }
    }
}

pub(super) fn answer(
    wanted: &AnswerExpect,
    told: &Told,
    observed: &Observed,
    failures: &mut Vec<Failure>,
) {
    let mut fail = |text: String| failures.push(Failure::expectation(text));
    let shown = || shown(&observed.messages);
    for text in wanted.contains.iter().filter(|text| !has(&told.whole, text)) {
        fail(format!("the answer does not contain '{text}': {}", shown()));
    }
    for text in wanted.not_contains.iter().filter(|text| has(&told.whole, text)) {
        fail(format!("the answer contains '{text}'"));
    }
    if !wanted.any.is_empty() && !wanted.any.iter().any(|text| has(&told.whole, text)) {
        fail(format!("the answer contains none of {:?}: {}", wanted.any, shown()));
    }
    for text in wanted.says.iter().filter(|text| !has(&told.spoken, text)) {
        fail(format!("the reply does not say '{text}': {}", shown()));
    }
    for text in wanted.says_not.iter().filter(|text| has(&told.spoken, text)) {
        fail(format!("the reply says '{text}': {}", shown()));
    }
    if wanted.grounded {
        for number in ungrounded(observed) {
            fail(format!("the number {number} is in no evidence: {}", shown()));
        }
    }
}

pub(super) fn cause(wanted: &CauseExpect, told: &Told, failures: &mut Vec<Failure>) {
    let name = match wanted.object.parse::<ObjectRef>() {
        Ok(object) => object.name,
        Err(_) => wanted.object.clone(),
    };
    if !has(&told.whole, &name) {
        failures.push(Failure::expectation(format!("the answer does not name the cause, {name}")));
    }
    if !wanted.any.iter().any(|text| has(&told.whole, text)) {
        let text = format!("the answer names none of {:?} as the cause", wanted.any);
        failures.push(Failure::expectation(text));
    }
}

fn has(lower: &str, text: &str) -> bool {
    lower.contains(&text.to_ascii_lowercase())
}

/// Every text of a JSON value, keys too, one a line and without escapes.
pub(crate) fn leaves(value: &Value, into: &mut String) {
    match value {
        Value::Null => {}
        Value::String(text) => {
            into.push('\n');
            into.push_str(text);
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.push('\n');
            into.push_str(key);
            leaves(value, into);
        }),
        other => {
            into.push('\n');
            into.push_str(&other.to_string());
        }
    }
}

/// Numbers of the text that are neither in the evidence nor in the question.
fn ungrounded(observed: &Observed) -> BTreeSet<String> {
    let mut evidence = observed.said.clone();
    let mut text = String::new();
    for block in observed.messages.iter().flat_map(|message| &message.blocks) {
        match block {
            Block::Evidence { evidence: found } => {
                evidence += &serde_json::to_string(found).unwrap_or_default();
            }
            Block::Text { text: said } => text += said,
            _ => {}
        }
    }
    let known = numbers(&evidence);
    numbers(&text).difference(&known).cloned().collect()
}

/// Numbers of a text, without separators and trailing zeros of decimals.
fn numbers(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut current = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() || (c == '.' && !current.is_empty()) {
            current.push(c);
        } else if !current.is_empty() {
            let number = current.trim_end_matches('.');
            let number = match number.contains('.') {
                true => number.trim_end_matches('0').trim_end_matches('.'),
                false => number,
            };
            found.insert(number.to_owned());
            current.clear();
        }
    }
    found
}

/// The reply's own words: everything but its evidence.
pub(crate) fn spoken(messages: &[Message]) -> String {
    let mut text = String::new();
    for block in messages.iter().flat_map(|message| &message.blocks) {
        match block {
            Block::Text { text: said } => text += said,
            Block::Choices { question, choices } => {
                text += question;
                choices.iter().for_each(|choice| text = format!("{text}\n{}", choice.label));
            }
            Block::Refusal { reason, .. } => text += reason,
            Block::Error { message } => text += message,
            Block::Change { summary, .. } => text += summary,
            Block::Evidence { .. } => {}
        }
        text.push('\n');
    }
    text
}

/// The beginning of a reply, on one line.
pub(crate) fn shown(messages: &[Message]) -> String {
    let text = spoken(messages);
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(240).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_without_trailing_zeros() {
        let found = numbers("3 pods, 12.50% and v1.4.2.");
        assert_eq!(found, ["1.4.2", "12.5", "3"].map(str::to_owned).into());
    }

    #[test]
    fn the_cause_is_an_object_and_a_word() {
        let told =
            Told { spoken: String::new(), whole: "node-2 is not ready: memorypressure".to_owned() };
        let failures = |object: &str, any: &str| {
            let mut failures = Vec::new();
            let wanted = CauseExpect { object: object.to_owned(), any: vec![any.to_owned()] };
            cause(&wanted, &told, &mut failures);
            failures.len()
        };
        assert_eq!(failures("v1/Node/node-2", "MemoryPressure"), 0);
        assert_eq!(failures("Node", "not ready"), 0);
        assert_eq!(failures("v1/Node/node-3", "disk"), 2);
    }
}
