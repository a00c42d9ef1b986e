//! One turn: the message is understood by code, the model is asked where words leave something open, and everything it
//! says is checked.

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Agent, Turn, TurnResult, clause,
    dialogue::{self, Answered, Pending, State},
    draft::{Amount, Draft, Place, Verb},
    follow,
    gate::{Doubt, Intent, gate},
    guard,
    lexicon::{Sense, environment_group},
    names::{Name, Names},
    nearest::Neighbours,
    read, refer, reply,
    resolve::{self, Answer, Ask, Fill, Slot, Stop, World},
    scan::{Item, What, scan},
    strange,
};
use crate::{
    domain::{Block, Choice, Explanation, FoundName, Role, TurnEvent},
    model::ToolCall,
    tool::{ToolContext, ToolError, ToolOutput},
};

/// What one turn works with.
pub(super) struct Session<'a> {
    pub(super) agent: &'a Agent,
    pub(super) turn: &'a Turn,
    pub(super) events: &'a mpsc::Sender<TurnEvent>,
    pub(super) cancel: CancellationToken,
    pub(super) state: State,
    /// Calls made so far.
    pub(super) calls: Vec<ToolCall>,
    /// Model calls made so far.
    pub(super) model_calls: u32,
    /// Tokens generated so far.
    pub(super) output_tokens: u32,
    /// Whether the model had a part in the result.
    pub(super) used_model: bool,
    /// Whether the operator asked in words (and not by a typed command), so that the model may answer.
    pub(super) asked_in_words: bool,
    /// The neighbours in meaning, where the words left something open.
    pub(super) near: Option<Neighbours>,
    /// What was decided so far.
    pub(super) explained: Explanation,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        agent: &'a Agent,
        turn: &'a Turn,
        events: &'a mpsc::Sender<TurnEvent>,
        cancel: CancellationToken,
    ) -> Self {
        let mut state = State::read(&turn.state);
        state.why.clear();
        Self {
            agent,
            turn,
            events,
            cancel,
            state,
            calls: Vec::new(),
            model_calls: 0,
            output_tokens: 0,
            used_model: false,
            asked_in_words: true,
            near: None,
            explained: Explanation::default(),
        }
    }

    /// Handles the message.
    pub(super) async fn run(&mut self) -> TurnResult {
        let lang = self.turn.lang;
        let (chars, limit) =
            (self.turn.text.chars().count(), self.agent.parts.budget.message_chars);
        if chars > limit {
            return refusal("too-long", reply::too_long(lang, chars, limit));
        }
        let turn = self.turn;
        let names = Names::of(&turn.inventory);
        let items = scan(&turn.text, &names);
        let clauses = clause::clauses(&items);
        self.explained.names = items.iter().filter_map(found_name).collect();
        if let Some(pending) = self.state.pending.take() {
            let world = (&*turn.inventory, &names);
            match dialogue::answer(&pending, &turn.text, &items, &clauses, world) {
                Answered::Filled(drafts) => {
                    self.because("the answer to the pending question");
                    return self.propose(drafts, None).await;
                }
                Answered::Dropped => {
                    self.because("the pending question was dropped");
                    return said(reply::abandoned(lang));
                }
                Answered::Not => self.because("not an answer to the pending question"),
            }
        }
        if let Some(drafts) = follow::corrected(&clauses, &names, &self.state) {
            self.because("the last change with what was meant instead");
            return self.propose(drafts, None).await;
        }
        let intent = gate(&items, &clauses, &names);
        self.because(&format!("gate: {}", intent.name()));
        intent.name().clone_into(&mut self.explained.gate);
        let intent = self.reconsidered(intent, &items).await;
        self.follow(intent, &items, &names).await
    }

    async fn follow(&mut self, intent: Intent, items: &[Item], names: &Names<'_>) -> TurnResult {
        let lang = self.turn.lang;
        match intent {
            Intent::Command(drafts) => self.command(drafts, items, names).await,
            Intent::Confirm(mut drafts, doubt) => {
                self.refer(&mut drafts, items);
                // a condition or a time may hold words that look like something else
                if doubt != Doubt::Question && self.resolve(&drafts).is_err() {
                    let later = doubt == Doubt::Later;
                    let text = if later { reply::later(lang) } else { reply::conditional(lang) };
                    return clarify(text, Vec::new());
                }
                let question = |what: &str| match doubt {
                    Doubt::Question => reply::confirm(lang, what),
                    Doubt::Conditional => reply::conditional(lang),
                    Doubt::Later => reply::later(lang),
                };
                self.confirm(drafts, question)
            }
            Intent::Stop(mut drafts) => {
                self.refer(&mut drafts, items);
                for draft in &mut drafts {
                    draft.amounts = vec![Amount::To(0)];
                }
                self.confirm(drafts, |name| reply::stop_means(lang, name))
            }
            Intent::Unclear | Intent::Question => {
                if let Some(result) = self.follow_up(items, names, &intent).await {
                    return result;
                }
                if intent == Intent::Unclear {
                    self.suggest(items, names).await
                } else {
                    self.ask(&follow::asked(items), names).await
                }
            }
            Intent::Irrelevant | Intent::Negated | Intent::Greeting => {
                if intent == Intent::Irrelevant
                    && let Some(result) = self.follow_up(items, names, &intent).await
                {
                    return result;
                }
                match intent {
                    Intent::Greeting => said(reply::greeting(lang)),
                    Intent::Negated => clarify(reply::negated(lang), Vec::new()),
                    _ => refusal("irrelevant", reply::irrelevant(lang)),
                }
            }
            Intent::Nothing => said(reply::nothing_pending(lang)),
            Intent::HowTo => said(reply::how_to(lang)),
            Intent::Help => said(reply::abilities(lang)),
            Intent::Unsupported(what) => refusal("unsupported", reply::unsupported(lang, &what)),
            Intent::SkipReview => refusal("review-required", reply::review_required(lang)),
            Intent::Override => refusal("irrelevant", reply::overridden(lang)),
            Intent::Secret => refusal("secret", reply::secret(lang)),
            Intent::Approval => {
                let named = items.iter().find(|i| i.what == What::ChangeId).map(|i| i.text.clone());
                let change = named.or_else(|| dialogue::last_change(&self.turn.history));
                let choices = change.iter().map(|id| choice(&format!("/approve {id}"))).collect();
                clarify(reply::approve_how(lang, change.as_deref()), choices)
            }
        }
    }

    async fn command(
        &mut self,
        mut drafts: Vec<Draft>,
        items: &[Item],
        names: &Names<'_>,
    ) -> TurnResult {
        let same = items.iter().any(|i| i.is(Sense::Same));
        let nothing_of_its_own = drafts.iter().all(|d| !d.has_value());
        if same
            && nothing_of_its_own
            && let Some(drafts) = follow::again(items, names, &self.state)
        {
            self.because("the last change again");
            return self.propose(drafts, None).await;
        }
        self.refer(&mut drafts, items);
        if self.only_a_word_is_strange(&drafts, items) && guard::by_value(items).is_some() {
            self.because("a word nobody knows beside one workload and one value");
            return self.suggest(items, names).await;
        }
        self.propose(drafts, Some(items)).await
    }

    /// Whether all that keeps an order from being resolved is a word that is like no name.
    fn only_a_word_is_strange(&self, drafts: &[Draft], items: &[Item]) -> bool {
        let rows = strange::in_a_row(items);
        let mere = |(word, near): &(String, Vec<String>)| {
            near.is_empty() && !word.contains(['-', '_']) && !rows.contains(&word.as_str())
        };
        let strange = |d: &Draft| !d.unknown.is_empty() && d.unknown.iter().all(mere);
        drafts.iter().any(strange)
            && matches!(self.resolve(drafts), Err(Stop::Ask(ask)) if ask.slot == Slot::Workload)
    }

    fn refer(&mut self, drafts: &mut [Draft], items: &[Item]) {
        let change = dialogue::last_change(&self.turn.history);
        refer::refer(drafts, items, &self.state, change.as_deref());
    }

    /// Resolves drafts and runs them; `words` are given when the model is to be asked whether it agrees.
    pub(super) async fn propose(
        &mut self,
        drafts: Vec<Draft>,
        words: Option<&[Item]>,
    ) -> TurnResult {
        if !self.turn.actor.has(Role::Operator) {
            return refusal("not-permitted", reply::not_permitted(self.turn.lang));
        }
        let calls = match self.resolve(&drafts) {
            Ok(calls) => calls,
            Err(stop) => return self.stopped(drafts, stop),
        };
        if let (Some(items), [call], [draft]) = (words, calls.as_slice(), drafts.as_slice())
            && let Some(other) = guard::second_opinion(self, call, draft, items).await
        {
            self.because(&format!("the model would rather {}", other.tool()));
            let mut drafts = drafts.clone();
            drafts[0].verbs.push(other);
            return match self.resolve(&drafts) {
                Err(stop) => self.stopped(drafts, stop),
                Ok(_) => clarify(reply::not_understood(self.turn.lang), Vec::new()),
            };
        }
        self.change(calls).await
    }

    fn resolve(&self, drafts: &[Draft]) -> Result<Vec<ToolCall>, Stop> {
        let world = World {
            inventory: &self.turn.inventory,
            config: &self.agent.parts.budget,
            lang: self.turn.lang,
        };
        resolve::calls(drafts, &world)
    }

    fn stopped(&mut self, drafts: Vec<Draft>, stop: Stop) -> TurnResult {
        match stop {
            Stop::Refuse { code, reason } => refusal(code, reason),
            Stop::Ask(ask) => {
                let choices = ask.options.iter().map(|o| choice(&o.label)).collect();
                let question = ask.question.clone();
                self.because(&format!("asking for the {:?}", ask.slot));
                self.state.pending = Some(Pending { drafts, ask });
                clarify(question, choices)
            }
        }
    }

    /// Asks whether these changes are meant; what is missing in them is asked first.
    pub(super) fn confirm(
        &mut self,
        drafts: Vec<Draft>,
        question: impl Fn(&str) -> String,
    ) -> TurnResult {
        if !self.turn.actor.has(Role::Operator) {
            return refusal("not-permitted", reply::not_permitted(self.turn.lang));
        }
        let lang = self.turn.lang;
        match self.resolve(&drafts) {
            Err(stop) => self.stopped(drafts, stop),
            Ok(calls) => {
                let what: Vec<String> = calls.iter().map(|call| summary(lang, call)).collect();
                let ask = Ask {
                    draft: 0,
                    slot: Slot::Confirm,
                    question: question(&what.join("; ")),
                    options: vec![Answer { label: reply::yes(lang), fill: Fill::Go }],
                };
                let choices = vec![choice(&reply::yes(lang)), choice(&reply::no(lang))];
                let question = ask.question.clone();
                self.because("asking for a confirmation");
                self.state.pending = Some(Pending { drafts, ask });
                clarify(question, choices)
            }
        }
    }

    /// Runs the change tools.
    async fn change(&mut self, calls: Vec<ToolCall>) -> TurnResult {
        let mut operations = Vec::new();
        for call in &calls {
            self.calls.push(call.clone());
            match self.run_tool(call).await {
                Ok(ToolOutput::Change(made)) => operations.extend(made),
                Ok(ToolOutput::Evidence(_)) => {
                    return failed("a change tool returned evidence".to_owned());
                }
                Err(ToolError::Respond(reason)) => return refusal("not-possible", reason),
                Err(ToolError::Fatal(error)) => return failed(format!("{error:#}")),
            }
        }
        let focus = refer::focus_of(&calls);
        if !focus.is_empty() {
            self.state.focus = focus;
        }
        self.state.changed = calls;
        self.state.last_was_question = false;
        TurnResult::Change(operations)
    }

    /// A request in words nobody knows: the model may suggest one call, which the operator must confirm
    /// unless the kind of value that was said asks for the same.
    async fn suggest(&mut self, items: &[Item], names: &Names<'_>) -> TurnResult {
        let lang = self.turn.lang;
        if !self.turn.actor.has(Role::Operator) {
            return refusal("not-permitted", reply::not_permitted(lang));
        }
        let by_value = guard::by_value(items);
        if self.agent.parts.model.is_none() {
            return match by_value {
                Some(verb) => {
                    let draft = Draft { verbs: vec![verb], ..read::draft_for(items, names, verb) };
                    self.because("by the value alone, to be confirmed");
                    self.confirm(vec![draft], |what| reply::confirm(lang, what))
                }
                None => clarify(reply::not_understood(lang), Vec::new()),
            };
        }
        match guard::suggestion(self, items, names).await {
            // the kind of value and the model say the same
            Ok(Some(draft)) if by_value.is_some() && draft.verb() == by_value => {
                self.because("by its value, and the model agrees");
                self.propose(vec![draft], None).await
            }
            Ok(Some(draft)) => {
                self.because("suggested by the model, to be confirmed");
                self.confirm(vec![draft], |what| reply::confirm(lang, what))
            }
            Ok(None) => clarify(reply::not_understood(lang), Vec::new()),
            Err(error) => failed(reply::model_failed(lang, &error.to_string())),
        }
    }

    /// One typed call, through the same guards.
    pub(super) async fn typed(&mut self, call: ToolCall) -> TurnResult {
        self.state.pending = None;
        let Some(draft) = Draft::of_call(&call) else {
            return self.read_typed(call).await;
        };
        self.because("a typed command");
        let mut drafts = vec![draft];
        let place = &mut drafts[0].place;
        let names = Names::of(&self.turn.inventory);
        *place = typed_place(std::mem::take(place), &names);
        if drafts[0].verbs == [Verb::Undo] && drafts[0].change.is_none() {
            drafts[0].change = dialogue::last_change(&self.turn.history);
        }
        self.propose(drafts, None).await
    }

    /// Runs one tool as the actor.
    pub(super) async fn run_tool(&self, call: &ToolCall) -> Result<ToolOutput, ToolError> {
        let context = ToolContext {
            actor: self.turn.actor.clone(),
            lang: self.turn.lang,
            inventory: std::sync::Arc::clone(&self.turn.inventory),
            now: self.turn.now,
        };
        self.agent.parts.tools.call(&context, &call.name, call.arguments.clone()).await
    }

    /// Tells what is being done.
    pub(super) async fn progress(&self, phase: &str, text: String) {
        let event = TurnEvent::Progress { phase: phase.to_owned(), text };
        // nobody listening is fine: the outcome is what counts
        drop(self.events.send(event).await);
    }

    /// Remembers one step of how the message was understood.
    pub(super) fn because(&mut self, why: &str) {
        tracing::debug!(thread = %self.turn.thread, why);
        self.state.why.push(why.to_owned());
        self.explained.steps.push(why.to_owned());
    }
}

/// A call in one line: `scale ledger-api replicas=5 (bank-prod)`.
fn summary(lang: crate::domain::Lang, call: &ToolCall) -> String {
    let text = |key: &str| call.arguments.get(key).and_then(Value::as_str);
    let verb =
        Verb::of_tool(&call.name).map_or_else(|| call.name.clone(), |v| reply::verb(lang, v));
    let mut line = verb;
    if let Some(name) = text("workload").or_else(|| text("change")) {
        line.push_str(&format!(" {name}"));
    }
    let pairs = call.arguments.as_object().into_iter().flatten();
    for (key, value) in
        pairs.filter(|(k, _)| !matches!(k.as_str(), "workload" | "namespace" | "change" | "kind"))
    {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line.push_str(&format!(" {key}={value}"));
    }
    if let Some(namespace) = text("namespace") {
        line.push_str(&format!(" ({namespace})"));
    }
    line
}

/// What was typed after `-n`: a namespace, an environment, or a common word for one.
fn typed_place(typed: Place, names: &Names) -> Place {
    let mut place = Place::default();
    for word in typed.namespaces {
        match names.find(&word) {
            Some(name) if name.namespace.is_some() => place.namespaces.extend(name.namespace),
            Some(name) if name.environment.is_some() => place.environments.extend(name.environment),
            _ => match environment_group(&word) {
                Some(group) => place.groups.push(group.to_owned()),
                None => place.unknown.push(word),
            },
        }
    }
    place
}

/// A name that was said, for people.
fn found_name(item: &Item) -> Option<FoundName> {
    let Name { workloads, namespace, environment, others } = item.name()?;
    let kinds = workloads.iter().map(|name| format!("workload {name}"));
    let means = kinds
        .chain(namespace.iter().map(|name| format!("namespace {name}")))
        .chain(environment.iter().map(|name| format!("environment {name}")))
        .chain(others.iter().map(|name| format!("object {name}")));
    Some(FoundName { said: item.text.clone(), means: means.collect() })
}

fn choice(say: &str) -> Choice {
    Choice { label: say.to_owned(), say: say.to_owned() }
}

pub(super) fn said(text: String) -> TurnResult {
    TurnResult::Answer(vec![Block::Text { text }])
}

pub(super) fn clarify(question: String, choices: Vec<Choice>) -> TurnResult {
    TurnResult::Clarify { question, choices }
}

pub(super) fn refusal(code: &str, reason: String) -> TurnResult {
    TurnResult::Refuse { code: code.to_owned(), reason }
}

pub(super) fn failed(message: String) -> TurnResult {
    TurnResult::Failed(message)
}
