//! Messages that go on with what was said before: about something else, somewhere else, at another time, or the same again.

use super::{
    TurnResult,
    clause::{self, Mood},
    correct,
    dialogue::State,
    draft::Draft,
    gate::Intent,
    lexicon::Sense,
    names::Names,
    read, reply, route,
    scan::{Item, What},
    session::Session,
};

impl Session<'_> {
    /// "now the same in staging", "那 cart 呢".
    pub(super) async fn follow_up(
        &mut self,
        items: &[Item],
        names: &Names<'_>,
        intent: &Intent,
    ) -> Option<TurnResult> {
        let has = |sense| items.iter().any(|i: &Item| i.is(sense));
        let asks = has(Sense::AskEnd) || items.iter().any(|i| i.text == "?") || has(Sense::Ask);
        if has(Sense::Same) && !asks && !self.state.last_was_question {
            let drafts = again(items, names, &self.state)?;
            self.because("the last change again");
            return Some(self.propose(drafts, None).await);
        }
        // "only the lines with x", 最后 20 行
        let narrows = route::narrows_lines(items) && items.iter().all(|i| i.name().is_none());
        let logs = self.state.asked.iter().any(|call| call.name == "pod_logs");
        if narrows && logs && self.state.last_was_question {
            return self.ask_again(items, names).await;
        }
        let timed = items.iter().any(|i| i.is(Sense::Happened) || i.what == What::Measure);
        let placed =
            items.iter().any(|i| i.name().is_some() || matches!(i.sense(), Some(Sense::Env(_))));
        // x 的也看一下
        let looks = |i: &Item| i.is(Sense::Look) && has(Sense::Same);
        let bare = items.len() <= 9
            && (placed || timed)
            && items.iter().all(|i| is_pointer(i) || looks(i));
        if !bare || (*intent == Intent::Unclear) {
            return None;
        }
        if self.state.last_was_question {
            return self.ask_again(items, names).await;
        }
        // "how many are there now" asks, whatever was changed before
        let counts = items.iter().any(|i| {
            ["几", "多少", "how many", "what", "which"]
                .iter()
                .any(|word| i.text.to_lowercase().starts_with(word))
        });
        if !placed || counts {
            return None;
        }
        let drafts = again(items, names, &self.state)?;
        // 那先在 x 改
        if has(Sense::Set) {
            self.because("the last change somewhere else");
            return Some(self.propose(drafts, None).await);
        }
        let lang = self.turn.lang;
        self.because("the last change for something else, to be confirmed");
        Some(self.confirm(drafts, |what| reply::confirm(lang, what)))
    }
}

/// "sorry, I meant the other one, and 3": the last change with what was meant instead.
pub(super) fn corrected(
    clauses: &[clause::Clause],
    names: &Names,
    state: &State,
) -> Option<Vec<Draft>> {
    let mut drafts: Vec<Draft> = state.changed.iter().filter_map(Draft::of_call).collect();
    let settled = !drafts.is_empty() && drafts.len() == state.changed.len();
    let corrects = settled && !state.last_was_question;
    (corrects && correct::correct_last(&mut drafts, clauses, names)).then_some(drafts)
}

/// "now the same in staging", "cart 也一样": the last change again with what this message says otherwise.
pub(super) fn again(items: &[Item], names: &Names, state: &State) -> Option<Vec<Draft>> {
    if state.changed.is_empty() {
        return None;
    }
    let part = read::draft(items, names);
    if part.targets.is_empty() && part.unknown.is_empty() && part.place.is_empty() {
        return None;
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for call in &state.changed {
        let mut draft = Draft::of_call(call)?;
        if !part.targets.is_empty() || !part.unknown.is_empty() {
            draft.targets.clone_from(&part.targets);
            draft.unknown.clone_from(&part.unknown);
            draft.container = None;
        }
        if !part.place.is_empty() {
            draft.place.clone_from(&part.place);
        }
        if part.has_value() && part.verb() == draft.verb() {
            draft = Draft {
                targets: draft.targets,
                place: draft.place,
                unknown: draft.unknown,
                verbs: draft.verbs,
                ..part.clone()
            };
        }
        if !drafts.contains(&draft) {
            drafts.push(draft);
        }
    }
    Some(drafts)
}

/// Words of a message that only says about what else, where else or when else: "and in staging?", 那昨天呢.
fn is_pointer(item: &Item) -> bool {
    use Sense::{
        And, Ask, AskEnd, But, Domain, Env, EnvWord, Filler, For, From, Happened, In, It,
        Namespace, Of, On, Please, Same, Set, Then,
    };
    item.name().is_some()
        || matches!(item.what, What::Measure | What::Number(_))
        || matches!(item.text.as_str(), "?" | "about" | "," | "，")
        || item.sense().is_some_and(|sense| {
            matches!(
                sense,
                And | Ask
                    | AskEnd
                    | But
                    | Domain
                    | Env(_)
                    | EnvWord
                    | Filler
                    | For
                    | From
                    | Happened
                    | In
                    | It
                    | Namespace
                    | Of
                    | On
                    | Please
                    | Same
                    | Set
                    | Then
            )
        })
}

/// The words of a question without the clauses that forbid something.
pub(super) fn asked(items: &[Item]) -> Vec<Item> {
    let clauses = clause::clauses(items);
    if clauses.iter().all(|c| c.mood == Mood::Negated) {
        return items.to_vec();
    }
    // what somebody else said, before a question that names what it is about
    let reported = |c: &clause::Clause| {
        c.mood != Mood::Question
            && c.items.iter().any(|i| i.is(Sense::Reported) || i.what == What::Quoted)
    };
    let whole = |c: &clause::Clause| {
        let asks = c.mood == Mood::Question
            || c.items.iter().any(|i| i.sense().is_some_and(clause::is_topic));
        asks && !reported(c)
            && c.items.iter().any(|i| i.name().is_some_and(|n| !n.workloads.is_empty()))
    };
    if let Some(at) = clauses.iter().position(reported)
        && let Some(asking) = clauses[at..].iter().find(|c| whole(c))
    {
        return asking.items.clone();
    }
    // what they name is still what the question is about
    let names =
        |i: &Item| i.name().is_some() || matches!(i.sense(), Some(Sense::Env(_) | Sense::In));
    let kept = |c: clause::Clause| -> Vec<Item> {
        let forbids = c.mood == Mood::Negated;
        c.items.into_iter().filter(|i| !forbids || names(i)).collect()
    };
    clauses.into_iter().flat_map(kept).collect()
}
