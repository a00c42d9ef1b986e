//! What a command leaves out, from the conversation: "it", "two more", "there", and the thing that was just asked about.

use serde_json::Value;

use super::{
    dialogue::State,
    draft::{Amount, Draft, Target, Verb},
    lexicon::Sense,
    scan::Item,
};
use crate::model::ToolCall;

/// Fills what a command leaves out from the conversation, where its words point there.
pub(super) fn refer(drafts: &mut [Draft], items: &[Item], state: &State, change: Option<&str>) {
    let has = |sense| items.iter().any(|i: &Item| i.is(sense));
    for draft in drafts {
        let nameless = draft.targets.is_empty() && draft.unknown.is_empty() && !draft.all;
        if nameless
            && draft.verbs == [Verb::Rollback]
            && (has(Sense::It) || !state.last_was_question)
            && !state.changed.is_empty()
        {
            draft.verbs = vec![Verb::Undo];
        }
        if draft.verbs == [Verb::Undo] && draft.change.is_none() {
            draft.change = change.map(str::to_owned);
            continue;
        }
        let relative = draft.amounts.iter().any(|a| matches!(a, Amount::By(_) | Amount::Times(..)));
        let last: Vec<Verb> = state.changed.iter().filter_map(|c| Verb::of_tool(&c.name)).collect();
        let continues =
            !last.is_empty() && last.iter().all(|v| draft.verbs.contains(v)) && draft.has_value();
        let points =
            has(Sense::It) || has(Sense::Again) || has(Sense::Same) || has(Sense::ThatChange);
        // right after a question about one workload, what is wanted is wanted of that one
        let needs_none = matches!(draft.verbs.as_slice(), [Verb::Rollback | Verb::Restart]);
        let asked_about =
            state.last_was_question && state.focus.len() == 1 && (draft.has_value() || needs_none);
        if nameless && (relative || continues || points || asked_about) {
            draft.targets.clone_from(&state.focus);
            if !draft.place.is_empty() {
                for target in &mut draft.targets {
                    target.namespace = None;
                }
            }
            if draft.verbs.len() > 1 && last.len() == 1 && draft.verbs.contains(&last[0]) {
                draft.verbs = last;
            }
        }
        // "and x there": the place of the last change
        let there = items.iter().any(|i| {
            matches!(
                i.text.to_lowercase().as_str(),
                "there"
                    | "那边"
                    | "那里"
                    | "也在那"
                    | "同环境"
                    | "同一环境"
                    | "同一个环境"
                    | "same environment"
                    | "the same environment"
                    | "in the same environment"
            )
        });
        if there && !draft.targets.is_empty() && draft.place.is_empty() {
            draft.place.namespaces =
                state.focus.iter().filter_map(|t| t.namespace.clone()).collect();
        }
    }
}

/// The workloads that calls are about.
pub(super) fn focus_of(calls: &[ToolCall]) -> Vec<Target> {
    let text = |call: &ToolCall, key: &str| {
        call.arguments.get(key).and_then(Value::as_str).map(str::to_owned)
    };
    let mut found = Vec::new();
    for call in calls {
        let Some(name) = text(call, "workload").or_else(|| text(call, "name")) else { continue };
        let target = Target {
            names: vec![name],
            namespace: text(call, "namespace"),
            kind: text(call, "kind"),
            ..Target::default()
        };
        let same = |other: &&mut Target| {
            other.names == target.names && other.namespace == target.namespace
        };
        match found.iter_mut().find(same) {
            Some(known) if known.kind.is_none() => known.kind = target.kind,
            Some(known) if target.kind.is_none() || known.kind == target.kind => {}
            _ => found.push(target),
        }
    }
    found
}
