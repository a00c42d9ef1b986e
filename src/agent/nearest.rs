//! What a request means, by its neighbours among example requests (`prompts/examples.yaml`). It decides only where the
//! words alone do not, and only in the careful direction: it narrows the read tools, picks examples for the model, turns
//! "nothing to do with the cluster" into a question, and a question into a refusal. It never makes a change of anything.
//!
//! Every number here was measured (`kubemate-eval router`, table in `eval/README.md`).

use std::{fs, path::PathBuf, sync::OnceLock, time::Duration};

use anyhow::Context as _;
use sha2::{Digest, Sha256};

use super::{
    cue,
    gate::Intent,
    names::Names,
    route::{self, Subject},
    scan::{Item, What, scan},
    session::Session,
    values,
};
use crate::{
    domain::{Candidate, Inventory, Likeness},
    embedder::{EmbedError, SharedEmbedder, cosine},
    model::ToolCall,
    prompt::{Example, Examples, Wish},
};

/// How many neighbours vote, each with the eighth power of its cosine, so that the near ones outweigh the many.
const VOTERS: usize = 8;
const SHARPNESS: i32 = 8;
/// Farther away than this, an example says nothing.
const NEAR: f32 = 0.5;
/// Share of the votes from which a wish counts.
const QUESTION: f32 = 0.8;
const IRRELEVANT: f32 = 0.6;
const SECRET: f32 = 0.5;
/// Share of a tool from which no model is asked, and from which it will do where there is no model.
const CERTAIN: f32 = 0.9;
const LIKELY: f32 = 0.7;
/// The tools a model may choose from, and the examples it sees.
const OFFERED: usize = 4;
const SHOWN: usize = 3;
/// A turn does not wait longer than this for a vector.
const PATIENCE: Duration = Duration::from_secs(1);

/// The examples with their vectors.
pub struct Nearest {
    embedder: SharedEmbedder,
    examples: Examples,
    /// Where vectors are kept between starts.
    folder: Option<PathBuf>,
    vectors: OnceLock<Vec<Vec<f32>>>,
}

/// A request's neighbours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbours {
    /// Nearest first, of all wishes.
    all: Vec<(Example, f32)>,
    /// Nearest first, questions only.
    questions: Vec<(Example, f32)>,
}

impl Nearest {
    /// Embeds nothing yet; see [`Nearest::prepare`]. Vectors of the examples are kept in `folder`.
    ///
    /// # Errors
    /// When the examples are not valid.
    pub fn new(embedder: SharedEmbedder, folder: Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self { embedder, examples: Examples::load()?, folder, vectors: OnceLock::new() })
    }

    /// Loads the embedder and embeds the examples, or takes their vectors from an earlier start. Until this has ended,
    /// turns go by the words alone.
    ///
    /// # Errors
    /// When the embedder fails.
    pub async fn prepare(&self) -> Result<(), EmbedError> {
        // the embedder itself is needed for every request, so it is loaded even when the vectors are there
        self.embedder.embed(&["ready".to_owned()]).await?;
        if self.vectors.get().is_some() {
            return Ok(());
        }
        let vectors = match self.kept() {
            Some(vectors) => vectors,
            None => {
                let said: Vec<String> = self.examples.all.iter().map(|e| e.say.clone()).collect();
                let vectors = self.embedder.embed(&said).await?;
                if let Err(error) = self.keep(&vectors) {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "cannot keep the examples' vectors"
                    );
                }
                vectors
            }
        };
        // another caller may have been first
        drop(self.vectors.set(vectors));
        Ok(())
    }

    /// The neighbours of a message about these objects; see [`Nearest::of`].
    pub async fn of_message(&self, text: &str, inventory: &Inventory) -> Option<Neighbours> {
        let masked = masked(&scan(text, &Names::of(inventory)));
        self.of(&masked).await
    }

    /// The neighbours of a masked request; `None` while the examples are not embedded, or when the embedder fails or is slow.
    pub(super) async fn of(&self, masked: &str) -> Option<Neighbours> {
        let vectors = self.vectors.get()?;
        let text = [masked.to_owned()];
        let vector = match tokio::time::timeout(PATIENCE, self.embedder.embed(&text)).await {
            Ok(Ok(mut found)) => found.pop()?,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a request goes by its words alone");
                return None;
            }
            Err(_) => {
                tracing::warn!("a request goes by its words alone: the embedder is too slow");
                return None;
            }
        };
        let scores = vectors.iter().map(|example| cosine(example, &vector));
        Some(Neighbours::of(self.examples.all.iter().zip(scores)))
    }

    /// SHA-256 (hex) of the examples.
    pub(super) fn hash(&self) -> &str {
        &self.examples.hash
    }

    /// The file of the vectors: of this embedder and these examples.
    fn file(&self) -> Option<PathBuf> {
        let key = format!("{}\n{}", self.embedder.id(), self.examples.hash);
        let name = hex::encode(&Sha256::digest(key.as_bytes())[..16]);
        Some(self.folder.as_ref()?.join(format!("examples-{name}.f32")))
    }

    fn kept(&self) -> Option<Vec<Vec<f32>>> {
        let bytes = fs::read(self.file()?).ok()?;
        let numbers: Vec<f32> =
            bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
        let width = self.embedder.dimensions()?;
        let vectors: Vec<Vec<f32>> = numbers.chunks_exact(width).map(<[f32]>::to_vec).collect();
        let whole =
            vectors.len() == self.examples.all.len() && bytes.len() == vectors.len() * width * 4;
        let sound = vectors.iter().all(|v| (cosine(v, v) - 1.0).abs() < 1e-3);
        (whole && sound).then_some(vectors)
    }

    fn keep(&self, vectors: &[Vec<f32>]) -> anyhow::Result<()> {
        let (Some(file), Some(folder)) = (self.file(), &self.folder) else { return Ok(()) };
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        let new = file.with_extension("new");
        fs::write(&new, bytes).with_context(|| format!("writing {}", new.display()))?;
        fs::rename(&new, &file).with_context(|| format!("writing {}", file.display()))
    }
}

impl Neighbours {
    /// The nearest of scored examples.
    pub fn of<'e>(scored: impl Iterator<Item = (&'e Example, f32)>) -> Self {
        let mut scored: Vec<(&Example, f32)> = scored.collect();
        scored.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let first = |wish: Option<Wish>| {
            let fits = |(example, _): &&(&Example, f32)| wish.is_none_or(|w| example.wish == w);
            scored.iter().filter(fits).take(VOTERS).map(|(e, s)| ((*e).clone(), *s)).collect()
        };
        Self { all: first(None), questions: first(Some(Wish::Question)) }
    }

    /// Whether anything is near at all.
    fn is_near(&self) -> bool {
        self.all.first().is_some_and(|(_, score)| *score >= NEAR)
    }

    /// The share of a wish among the votes; 0 when nothing is near.
    fn share(&self, wish: Wish) -> f32 {
        if !self.is_near() {
            return 0.0;
        }
        let votes = |w: Option<Wish>| -> f32 {
            let fits = |(e, _): &&(Example, f32)| w.is_none_or(|w| e.wish == w);
            self.all.iter().filter(fits).map(|(_, score)| weight(*score)).sum()
        };
        votes(Some(wish)) / votes(None)
    }

    /// The wish with most votes, and its share.
    #[must_use]
    pub fn wish(&self) -> Option<(Wish, f32)> {
        let wishes = self.all.iter().map(|(example, _)| example.wish);
        wishes.map(|wish| (wish, self.share(wish))).max_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// The read tools by the votes of the nearest questions, best first.
    #[must_use]
    pub fn tools(&self) -> Vec<Candidate> {
        let all: f32 = self.questions.iter().map(|(_, score)| weight(*score)).sum();
        let mut tools: Vec<Candidate> = Vec::new();
        for (example, score) in &self.questions {
            let Some(tool) = &example.tool else { continue };
            let share = weight(*score) / all;
            match tools.iter_mut().find(|candidate| candidate.tool == *tool) {
                Some(candidate) => candidate.share += share,
                None => tools.push(Candidate { tool: tool.clone(), share }),
            }
        }
        tools.sort_by(|a, b| b.share.total_cmp(&a.share));
        tools
    }

    /// The tool that answers without a model's choice.
    fn tool(&self, from: f32) -> Option<Candidate> {
        let best = self.tools().into_iter().next()?;
        (self.is_near() && best.share >= from).then_some(best)
    }

    /// The tools a model may choose from; empty when nothing narrows them.
    pub(super) fn offered(&self) -> Vec<String> {
        if !self.is_near() {
            return Vec::new();
        }
        self.tools().into_iter().take(OFFERED).map(|candidate| candidate.tool).collect()
    }

    /// The nearest questions, for the model.
    pub(super) fn shown(&self) -> Vec<&Example> {
        let near = self.questions.iter().filter(|(_, score)| *score >= NEAR);
        near.take(SHOWN).map(|(example, _)| example).collect()
    }

    /// The neighbours, for people.
    fn likenesses(&self) -> Vec<Likeness> {
        let likeness = |(example, score): &(Example, f32)| Likeness {
            say: example.say.clone(),
            intent: example.wish.name().to_owned(),
            tool: example.tool.clone(),
            score: *score,
        };
        self.all.iter().map(likeness).collect()
    }
}

fn weight(score: f32) -> f32 {
    score.max(0.0).powi(SHARPNESS)
}

impl Session<'_> {
    /// The intent, after a look at the neighbours where words alone do not decide.
    pub(super) async fn reconsidered(&mut self, intent: Intent, items: &[Item]) -> Intent {
        let open = matches!(intent, Intent::Question | Intent::Unclear | Intent::Irrelevant);
        let Some(nearest) = self.agent.parts.nearest.as_ref().filter(|_| open) else {
            return intent;
        };
        let Some(found) = nearest.of(&masked(items)).await else { return intent };
        self.explained.examples = found.likenesses();
        self.explained.tools = found.tools();
        let changed = found.second_signal(&intent, items);
        self.near = Some(found);
        let Some(changed) = changed else { return intent };
        self.because(&format!("by its meaning: {}", changed.name()));
        changed
    }

    /// The calls of the one tool that the neighbours agree on.
    pub(super) fn nearest_calls(&mut self, items: &[Item], subject: &Subject) -> Vec<ToolCall> {
        let from = if self.agent.parts.model.is_some() { CERTAIN } else { LIKELY };
        let Some(best) = self.near.as_ref().and_then(|near| near.tool(from)) else {
            return Vec::new();
        };
        let Some(spec) = self.agent.parts.tools.spec(&best.tool) else { return Vec::new() };
        let calls = route::calls(spec, items, subject, 3);
        if !calls.is_empty() {
            self.because(&format!(
                "read by the nearest examples: {} ({:.2})",
                best.tool, best.share
            ));
        }
        calls
    }
}

impl Neighbours {
    /// What the intent becomes, when it changes.
    fn second_signal(&self, intent: &Intent, items: &[Item]) -> Option<Intent> {
        if self.share(Wish::Secret) >= SECRET {
            return Some(Intent::Secret);
        }
        match intent {
            Intent::Irrelevant | Intent::Unclear if self.share(Wish::Question) >= QUESTION => {
                Some(Intent::Question)
            }
            Intent::Question if self.share(Wish::Irrelevant) >= IRRELEVANT => {
                let named = items.iter().any(|item| item.name().is_some());
                let routed = !cue::tools(items, &Subject::default()).is_empty();
                (!named && !routed).then_some(Intent::Irrelevant)
            }
            _ => None,
        }
    }
}

/// The message with placeholders for everything that differs between two requests of the same meaning.
fn masked(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        if item.spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(match &item.what {
            What::Name(name) if name.workloads.is_empty() && name.others.is_empty() => "PLACE",
            What::Name(_) | What::Quoted => "NAME",
            What::Number(_) => "N",
            What::Quantity(_) | What::Measure => "AMOUNT",
            What::Tag | What::ChangeId | What::Commit => "VERSION",
            What::KeyValue(..) => "KEY=VALUE",
            What::Unknown if values::is_env_key(&item.text) => "KEY",
            _ => &item.text,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ObjectRef, Workload};

    fn neighbours(of: &[(Wish, &str, f32)]) -> Neighbours {
        let examples: Vec<(Example, f32)> = of
            .iter()
            .map(|(wish, tool, score)| {
                let tool = (!tool.is_empty()).then(|| (*tool).to_owned());
                (Example { say: format!("{tool:?} {score}"), wish: *wish, tool }, *score)
            })
            .collect();
        Neighbours::of(examples.iter().map(|(example, score)| (example, *score)))
    }

    #[test]
    fn what_differs_between_requests_is_masked() {
        let object = ObjectRef::new("apps/v1", "Deployment", Some("bank-prod"), "ledger-api");
        let workload = Workload {
            object,
            unit: None,
            environment: Some("prod".into()),
            replicas: Some(3),
            containers: Vec::new(),
            aliases: vec!["账本".into()],
        };
        let inventory = Inventory {
            namespaces: vec!["bank-prod".into()],
            environments: vec!["prod".into()],
            workloads: vec![workload],
            others: Vec::new(),
        };
        let names = Names::of(&inventory);
        for (said, expected) in [
            ("how is ledger-api doing in bank-prod?", "how is NAME doing in PLACE?"),
            ("账本最近30分钟的日志", "NAME最近AMOUNT的日志"),
            ("top 5 pods, ledger_api at 1.4.2", "top N pods, NAME at VERSION"),
            ("LOG_LEVEL of ledger-api", "KEY of NAME"),
        ] {
            assert_eq!(masked(&scan(said, &names)), expected);
        }
    }

    #[test]
    fn near_neighbours_outweigh_many_far_ones() {
        let found = neighbours(&[
            (Wish::Question, "events", 0.9),
            (Wish::Question, "pod_logs", 0.55),
            (Wish::Question, "pod_logs", 0.54),
            (Wish::Question, "pod_logs", 0.53),
        ]);
        assert_eq!(found.tools()[0].tool, "events");
        assert!(found.tools()[0].share > 0.9);
        assert_eq!(found.offered(), ["events", "pod_logs"]);
    }

    #[test]
    fn nothing_near_changes_nothing() {
        let found = neighbours(&[(Wish::Secret, "", 0.4), (Wish::Irrelevant, "", 0.3)]);
        for intent in [Intent::Question, Intent::Unclear, Intent::Irrelevant] {
            assert_eq!(found.second_signal(&intent, &[]), None);
        }
        assert!(found.offered().is_empty() && found.shown().is_empty());
    }

    #[test]
    fn the_second_signal_only_becomes_more_careful() {
        let question = neighbours(&[(Wish::Question, "events", 0.8)]);
        let talk = neighbours(&[(Wish::Irrelevant, "", 0.8)]);
        let secret = neighbours(&[(Wish::Secret, "", 0.7), (Wish::Question, "events", 0.6)]);
        let change = neighbours(&[(Wish::Change, "scale", 0.95)]);
        assert_eq!(question.second_signal(&Intent::Irrelevant, &[]), Some(Intent::Question));
        assert_eq!(question.second_signal(&Intent::Question, &[]), None);
        assert_eq!(talk.second_signal(&Intent::Question, &[]), Some(Intent::Irrelevant));
        assert_eq!(talk.second_signal(&Intent::Irrelevant, &[]), None);
        for intent in [Intent::Question, Intent::Unclear, Intent::Irrelevant] {
            assert_eq!(secret.second_signal(&intent, &[]), Some(Intent::Secret));
            assert_eq!(change.second_signal(&intent, &[]), None, "never a change");
        }
    }
}
