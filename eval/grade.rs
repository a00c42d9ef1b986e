//! Deterministic graders: each says what is missing, or nothing.

use std::collections::BTreeSet;

use kubemate::domain::{Block, Change, Message};
use serde_json::{Map, Value};

use crate::case::{AnswerExpect, CallExpect, Expect, ObjectExpect};

/// What came out of one step.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// kubemate's messages of this step.
    pub(crate) messages: Vec<Message>,
    /// The change proposed, as it stands.
    pub(crate) change: Option<Change>,
    /// Tool calls, as name and arguments.
    pub(crate) calls: Vec<(String, Map<String, Value>)>,
    /// What the operator said.
    pub(crate) said: String,
}

/// What kind of reply it was.
pub(crate) fn kind(messages: &[Message]) -> &'static str {
    let blocks = || messages.iter().flat_map(|message| &message.blocks);
    if blocks().any(|b| matches!(b, Block::Error { .. })) {
        "error"
    } else if blocks().any(|b| matches!(b, Block::Change { .. })) {
        "change"
    } else if blocks().any(|b| matches!(b, Block::Refusal { .. })) {
        "refuse"
    } else if blocks().any(|b| matches!(b, Block::Choices { .. })) {
        "clarify"
    } else if blocks().next().is_some() {
        "answer"
    } else {
        "nothing"
    }
}

/// Everything `expect` asks for that can be told from what was observed.
pub(crate) fn grade(expect: &Expect, observed: &Observed) -> Vec<String> {
    let mut failures = Vec::new();
    if let Some(wanted) = &expect.kind {
        let got = kind(&observed.messages);
        if got != wanted {
            failures
                .push(format!("kind is {got}, expected {wanted}: {}", shown(&observed.messages)));
        }
        if got == "change" && wanted != "change" {
            failures.push("WRONG WRITE: a change was proposed".to_owned());
        }
    }
    objects(&expect.objects, expect.only, observed.change.as_ref(), &mut failures);
    for wanted in &expect.calls {
        if !observed.calls.iter().any(|call| called(wanted, call)) {
            failures.push(format!(
                "no call of {} with {:?}; calls: {:?}",
                wanted.tool, wanted.args, observed.calls
            ));
        }
    }
    if let Some(wanted) = &expect.answer {
        answer(wanted, observed, &mut failures);
    }
    failures
}

fn objects(
    wanted: &[ObjectExpect],
    only: bool,
    change: Option<&Change>,
    failures: &mut Vec<String>,
) {
    if wanted.is_empty() && !only {
        return;
    }
    let Some(plan) = change.and_then(|change| change.plan.as_ref()) else {
        failures.push("there is no plan".to_owned());
        return;
    };
    for field in wanted {
        let Some(diff) = plan.objects.iter().find(|diff| diff.object == field.object) else {
            failures.push(format!("{} is not changed", field.object));
            continue;
        };
        let got = diff.after.as_ref().and_then(|after| after.pointer(&field.path));
        if got.unwrap_or(&Value::Null) != &field.equals {
            failures.push(format!(
                "{} {} is {got:?}, expected {}",
                field.object, field.path, field.equals
            ));
        }
    }
    if only {
        let named: BTreeSet<_> = wanted.iter().map(|field| &field.object).collect();
        for diff in plan.objects.iter().filter(|diff| !named.contains(&diff.object)) {
            failures.push(format!("WRONG WRITE: {} is changed too", diff.object));
        }
    }
}

fn called(wanted: &CallExpect, (name, arguments): &(String, Map<String, Value>)) -> bool {
    wanted.tool.split('|').any(|tool| tool.trim() == name)
        && wanted.args.iter().all(|(key, value)| arguments.get(key) == Some(value))
}

fn answer(wanted: &AnswerExpect, observed: &Observed, failures: &mut Vec<String>) {
    let whole = serde_json::to_string(&observed.messages).unwrap_or_default();
    for text in wanted.contains.iter().filter(|text| !whole.contains(text.as_str())) {
        failures
            .push(format!("the answer does not contain '{text}': {}", shown(&observed.messages)));
    }
    for text in wanted.not_contains.iter().filter(|text| whole.contains(text.as_str())) {
        failures.push(format!("the answer contains '{text}'"));
    }
    if wanted.grounded {
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
        for number in numbers(&text).difference(&known) {
            failures.push(format!("the number {number} is in no evidence"));
        }
    }
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

fn shown(messages: &[Message]) -> String {
    let mut text = String::new();
    for block in messages.iter().flat_map(|message| &message.blocks) {
        match block {
            Block::Text { text: said } => text += said,
            Block::Choices { question, .. } => text += question,
            Block::Refusal { reason, .. } => text += reason,
            Block::Error { message } => text += message,
            Block::Change { summary, .. } => text += summary,
            Block::Evidence { evidence } => text += &evidence.title,
        }
        text.push(' ');
    }
    text.chars().take(240).collect()
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
    fn a_call_matches_on_a_subset_of_its_arguments() {
        let arguments = serde_json::json!({"a": 1, "b": "x"}).as_object().cloned().unwrap();
        let wanted = |tool: &str, args: Value| CallExpect {
            tool: tool.to_owned(),
            args: args.as_object().cloned().unwrap(),
        };
        let call = ("events".to_owned(), arguments);
        assert!(called(&wanted("problems|events", serde_json::json!({"b": "x"})), &call));
        assert!(!called(&wanted("events", serde_json::json!({"b": "y"})), &call));
        assert!(!called(&wanted("logs", serde_json::json!({})), &call));
    }
}
