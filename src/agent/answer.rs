//! Answers: evidence is gathered, code says what was found, and where something went wrong the model adds a few words,
//! every one of which is checked against the evidence.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use super::{
    TurnResult,
    consult::request,
    evidence::{Grounds, condensed, take_sentence},
    lead::{self, lead},
    refer, reply,
    scan::Item,
    session::{Session, failed, refusal},
};
use crate::{
    domain::{Block, Evidence, Lang, TurnEvent},
    model::{ModelError, Output, ToolCall},
    tool::{ToolError, ToolOutput},
};

/// What read calls brought.
#[derive(Default)]
pub(super) struct Gathered {
    /// Numbered through the thread.
    pub(super) evidence: Vec<Evidence>,
    /// What could not be read, for the operator.
    pub(super) trouble: Vec<String>,
}

impl Session<'_> {
    /// Runs read calls and answers from what they bring.
    pub(super) async fn answer_from(&mut self, calls: Vec<ToolCall>, items: &[Item]) -> TurnResult {
        let gathered = self.gather(calls).await;
        self.answer_with(gathered, items).await
    }

    /// Runs read calls, each once, within the budget.
    pub(super) async fn gather(&mut self, calls: Vec<ToolCall>) -> Gathered {
        let mut gathered = Gathered::default();
        let limit = self.agent.parts.budget.tool_calls as usize;
        for call in calls {
            if self.calls.contains(&call) || self.calls.len() >= limit {
                continue;
            }
            let spec = self.agent.parts.tools.spec(&call.name);
            let title = spec.map_or(call.name.clone(), |s| {
                super::reply::pick(self.turn.lang, &s.title_zh, &s.title)
            });
            self.progress("tool", title).await;
            self.calls.push(call.clone());
            match self.run_tool(&call).await {
                Ok(ToolOutput::Evidence(found)) => gathered.evidence.extend(found),
                Ok(ToolOutput::Change(_)) => {
                    tracing::error!(tool = call.name, "a read tool returned a change");
                    gathered.trouble.push(format!("{} is not a read tool", call.name));
                }
                Err(ToolError::Respond(text)) => gathered.trouble.push(text),
                Err(ToolError::Fatal(error)) => gathered.trouble.push(format!("{error:#}")),
            }
        }
        gathered
    }

    /// The answer: what code says was found, then the model's words, then the evidence.
    pub(super) async fn answer_with(&mut self, gathered: Gathered, items: &[Item]) -> TurnResult {
        let Gathered { mut evidence, mut trouble } = gathered;
        self.state.asked.clone_from(&self.calls);
        self.state.last_was_question = true;
        let focus = refer::focus_of(&self.calls);
        if !focus.is_empty() {
            self.state.focus = focus;
        }
        trouble.dedup();
        if evidence.is_empty() {
            return if trouble.is_empty() {
                failed(reply::nothing_read(self.turn.lang))
            } else {
                refusal("not-found", trouble.join("; "))
            };
        }
        self.number(&mut evidence);
        let mut text = lead(&evidence, items, self.turn.lang);
        self.delta(&text).await;
        if let Some(words) = self.words(&evidence, &text).await {
            text.push_str(&format!("\n\n{words}"));
        }
        if !trouble.is_empty() {
            text.push_str(&format!("\n\n{}", trouble.join("; ")));
        }
        let mut blocks = vec![Block::Text { text }];
        blocks.extend(evidence.into_iter().map(|e| Block::Evidence { evidence: Box::new(e) }));
        TurnResult::Answer(blocks)
    }

    async fn delta(&self, text: &str) {
        // nobody listening is fine: the whole answer is stored
        drop(self.events.send(TurnEvent::Delta { text: text.to_owned() }).await);
    }

    /// Evidence is numbered through the thread.
    fn number(&self, evidence: &mut [Evidence]) {
        let blocks = self.turn.history.iter().flat_map(|m| &m.blocks);
        let before = blocks.filter(|b| matches!(b, Block::Evidence { .. })).count();
        for (n, one) in evidence.iter_mut().enumerate() {
            one.id = format!("e{}", before + n + 1);
        }
    }

    /// The model's words, as far as they hold, where there is something to explain.
    async fn words(&mut self, evidence: &[Evidence], lead: &str) -> Option<String> {
        if !self.asked_in_words || self.agent.parts.model.is_none() || !lead::needs_words(evidence)
        {
            return None;
        }
        // the evidence is there: half of the turn's time is enough to wait for words about it
        let limit = Duration::from_secs(self.agent.parts.budget.turn_seconds) / 2;
        match tokio::time::timeout(limit, self.explanation(evidence, lead)).await {
            Ok(Ok(text)) if !text.trim().is_empty() => return Some(text.trim().to_owned()),
            Ok(Ok(_)) => self.because("nothing the model wrote was grounded"),
            Ok(Err(error)) => self.because(&format!("the model wrote nothing: {error}")),
            Err(_) => self.because("the model took too long to write"),
        }
        None
    }

    /// Sentences are sent on as they come, those with ungrounded numbers or names left out.
    async fn explanation(
        &mut self,
        evidence: &[Evidence],
        lead: &str,
    ) -> Result<String, ModelError> {
        let lang = self.turn.lang;
        let language = match lang {
            Lang::Zh => "Chinese (简体中文)",
            Lang::En => "English",
        };
        let prompts = std::sync::Arc::clone(&self.agent.parts.prompts);
        let prompt = prompts.render("answer", json!({ "language": language }));
        let system = prompt.map_err(|e| ModelError::Other(e.into()))?;
        // what code says of it first, then as much of the rest as there is room for
        let limit = self.agent.parts.budget.evidence_chars;
        let lead: String = lead.chars().take(limit / 4 * 3).collect();
        let facts = condensed(evidence, limit.saturating_sub(lead.chars().count()));
        let user = format!(
            "<evidence>\n{lead}\n{facts}</evidence>\n<question>{}</question>",
            self.turn.text
        );
        let max = prompts.head("answer").map_or(200, |head| head.max_tokens);
        let check = Check { grounds: Grounds::of(evidence, &self.turn.text), lang };
        self.progress("answer", reply::pick(lang, "正在写说明……", "Writing an explanation..."))
            .await;
        let (sender, mut receiver) = mpsc::channel::<String>(64);
        let events = self.events.clone();
        let checking = async move {
            let (mut open, mut said) = (String::new(), String::new());
            while let Some(piece) = receiver.recv().await {
                open.push_str(&piece);
                while let Some(sentence) = take_sentence(&mut open) {
                    check.pass(&sentence, &mut said, &events).await;
                }
            }
            check.pass(&open, &mut said, &events).await;
            (said, check)
        };
        let request = request(system, user, Vec::new(), Output::Text, max);
        let (response, (streamed, check)) =
            tokio::join!(self.chat(request, Some(sender)), checking);
        let text = response?.text;
        if !streamed.trim().is_empty() {
            return Ok(streamed);
        }
        // an adapter that does not stream
        let (mut open, mut said) = (text, String::new());
        while let Some(sentence) = take_sentence(&mut open) {
            check.pass(&sentence, &mut said, self.events).await;
        }
        check.pass(&open, &mut said, self.events).await;
        Ok(said)
    }
}

/// What a sentence of the model must hold against.
struct Check {
    grounds: Grounds,
    lang: Lang,
}

impl Check {
    /// Sends a sentence on that holds.
    async fn pass(&self, sentence: &str, said: &mut String, events: &mpsc::Sender<TurnEvent>) {
        let trimmed = sentence.trim();
        let repeated = trimmed.len() > 12 && said.contains(trimmed);
        if trimmed.is_empty() || repeated || !self.speaks(trimmed) || !self.grounds.hold(sentence) {
            return;
        }
        let sentence =
            if said.is_empty() { format!("\n\n{sentence}") } else { sentence.to_owned() };
        said.push_str(&sentence);
        // nobody listening is fine: the whole answer is stored
        drop(events.send(TurnEvent::Delta { text: sentence }).await);
    }

    /// Whether a sentence is in the operator's language.
    fn speaks(&self, sentence: &str) -> bool {
        let han = sentence.chars().filter(|c| super::text::is_han(*c)).count();
        match self.lang {
            Lang::Zh => han > 0,
            Lang::En => han * 4 < sentence.chars().count(),
        }
    }
}
