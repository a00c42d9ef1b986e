//! `make eval-router`: how well requests are understood without a model, by the words alone and with the second signal of
//! the examples; and what the embedder costs. Prints Markdown tables.

#[path = "../../tests/it/agent/fake.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
#[expect(clippy::unwrap_used, clippy::panic, reason = "shared with the tests")]
mod fake;

use std::{sync::Arc, time::Instant};

use anyhow::Context as _;
use kubemate::{
    agent::{Agent, AgentParts, Nearest, Neighbours, TurnResult},
    config::Config,
    embedder::{self, SharedEmbedder},
    prompt::{Examples, Prompts, Wish},
};
use serde::Deserialize;

/// A message of `eval/router/unseen.yaml` or of the tables of the agent's tests.
#[derive(Debug, Clone, Deserialize)]
struct Message {
    world: String,
    say: String,
    /// Any of these answers it.
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    irrelevant: bool,
    #[serde(default)]
    secret: bool,
    /// Of the tests: calls with their arguments.
    #[serde(default)]
    calls: Vec<String>,
    #[serde(default)]
    ops: Vec<String>,
    #[serde(default)]
    code: Option<String>,
}

impl Message {
    fn tools(&self) -> Vec<&str> {
        let called = self.calls.iter().filter_map(|call| call.split(' ').next());
        let called = called.flat_map(|tools| tools.split('|'));
        self.tools.iter().map(String::as_str).chain(called).collect()
    }

    /// What it wants, where the table says so.
    fn wish(&self) -> Option<Wish> {
        match self.code.as_deref() {
            _ if !self.tools().is_empty() => Some(Wish::Question),
            _ if !self.ops.is_empty() => Some(Wish::Change),
            _ if self.irrelevant => Some(Wish::Irrelevant),
            _ if self.secret => Some(Wish::Secret),
            Some("irrelevant") => Some(Wish::Irrelevant),
            Some("secret") => Some(Wish::Secret),
            _ => None,
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is the program's output")]
fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    println!("{}", runtime.block_on(report())?);
    Ok(())
}

async fn report() -> anyhow::Result<String> {
    let config = Config::read(None)?;
    let begun = Instant::now();
    let before = resident()?;
    let embedder = embedder::build(&config.embedder, &config.cache)?.context("no embedder")?;
    embedder.embed(&["load".to_owned()]).await?;
    let (loaded, memory) = (begun.elapsed().as_millis(), resident()? - before);
    let folder = tempfile::tempdir()?;
    let nearest = Nearest::new(Arc::clone(&embedder), Some(folder.path().to_owned()))?;
    let begun = Instant::now();
    nearest.prepare().await?;
    let prepared = begun.elapsed().as_millis();
    let nearest = Arc::new(nearest);

    let mut text = format!("| {} | |\n|---|---|\n| load | {loaded} ms |\n", embedder.id());
    text.push_str(&format!("| resident memory | {memory:.0} MiB |\n"));
    text.push_str(&format!("| all examples, first start | {prepared} ms |\n"));
    text.push_str(&speed(&embedder).await?);
    text.push_str("\n| examples alone | intent | tool | tool among 4 |\n|---|---|---|---|\n");
    text.push_str(&leave_one_out(&embedder).await?);
    let tables: Vec<Message> = ["questions", "unseen", "others", "commands"]
        .iter()
        .flat_map(|name| fake::data::<Vec<Message>>(&format!("{name}.yaml")))
        .collect();
    let unseen = std::fs::read_to_string("eval/router/unseen.yaml")?;
    let unseen: Vec<Message> = serde_saphyr::from_str(&unseen)?;
    let sets = [("tables of the tests", &tables), ("new wordings", &unseen)];
    for (name, messages) in sets {
        text.push_str(&held_out(name, messages, &nearest).await?);
    }
    text.push_str("\n| whole agent, no model | questions answered by a right tool | irrelevant and secret refused | changes proposed as wanted | wrong changes |\n|---|---|---|---|---|\n");
    for (name, messages) in sets {
        for (how, nearest) in [("words", None), ("words and examples", Some(&nearest))] {
            text.push_str(&agent(&format!("{name}: {how}"), messages, nearest).await?);
        }
    }
    Ok(text)
}

/// Resident memory, in MiB.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("finding VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("reading VmRSS")?.parse()?;
    Ok(kib / 1024.0)
}

async fn speed(embedder: &SharedEmbedder) -> anyhow::Result<String> {
    let said: Vec<String> = Examples::load()?.all.into_iter().map(|e| e.say).collect();
    let mut single: Vec<f64> = Vec::new();
    for text in &said {
        let begun = Instant::now();
        embedder.embed(std::slice::from_ref(text)).await?;
        single.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    single.sort_by(f64::total_cmp);
    let begun = Instant::now();
    embedder.embed(&said).await?;
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let rate = said.len() as f64 / begun.elapsed().as_secs_f64();
    let (median, high) = (single[single.len() / 2], single[single.len() * 95 / 100]);
    Ok(format!(
        "| one request | {median:.1} ms (p95 {high:.1}) |\n| many at once | {rate:.0} texts/s |\n"
    ))
}

/// Every example by all others.
async fn leave_one_out(embedder: &SharedEmbedder) -> anyhow::Result<String> {
    let examples = Examples::load()?.all;
    let said: Vec<String> = examples.iter().map(|e| e.say.clone()).collect();
    let vectors = embedder.embed(&said).await?;
    let mut score = Score::default();
    for (at, example) in examples.iter().enumerate() {
        let others = examples.iter().zip(&vectors).enumerate().filter(|(other, _)| *other != at);
        let others = others.map(|(_, (e, v))| (e, embedder::cosine(v, &vectors[at])));
        let tool: Vec<&str> = example.tool.as_deref().into_iter().collect();
        score.add(&Neighbours::of(others), Some(example.wish), &tool);
    }
    Ok(score.row("leave one out"))
}

async fn held_out(name: &str, all: &[Message], nearest: &Nearest) -> anyhow::Result<String> {
    let worlds = fake::worlds();
    let mut score = Score::default();
    for message in all {
        let found = nearest.of_message(&message.say, &worlds[&message.world]).await;
        score.add(&found.context("not prepared")?, message.wish(), &message.tools());
    }
    Ok(score.row(name))
}

#[derive(Default)]
struct Score {
    wishes: (usize, usize),
    tools: (usize, usize),
    offered: (usize, usize),
}

impl Score {
    fn add(&mut self, found: &Neighbours, wish: Option<Wish>, tools: &[&str]) {
        let count = |of: &mut (usize, usize), right: bool| {
            of.0 += usize::from(right);
            of.1 += 1;
        };
        if let Some(wish) = wish {
            count(&mut self.wishes, found.wish().is_some_and(|(found, _)| found == wish));
        }
        if wish == Some(Wish::Question) {
            let ranked = found.tools();
            let right = |n: usize| ranked.iter().take(n).any(|c| tools.contains(&c.tool.as_str()));
            count(&mut self.tools, right(1));
            count(&mut self.offered, right(4));
        }
    }

    fn row(&self, name: &str) -> String {
        let [intent, tool, offered] =
            [self.wishes, self.tools, self.offered].map(|(right, all)| format!("{right}/{all}"));
        format!("| {name} | {intent} | {tool} | {offered} |\n")
    }
}

/// The whole agent on every message.
async fn agent(
    name: &str,
    all: &[Message],
    nearest: Option<&Arc<Nearest>>,
) -> anyhow::Result<String> {
    let worlds = fake::worlds();
    let (mut questions, mut refused, mut changed) = ((0, 0), (0, 0), (0, 0));
    let mut wrong = 0;
    for message in all {
        let parts = AgentParts {
            model: None,
            tools: Arc::new(fake::registry()),
            prompts: Arc::new(Prompts::load()?),
            nearest: nearest.cloned(),
            budget: kubemate::agent::Config::default(),
        };
        let mut talk = fake::Talk::new(Agent::new(parts), worlds[&message.world].clone());
        let outcome = talk.say(&message.say).await;
        let operations: Vec<String> = match &outcome.result {
            TurnResult::Change(operations) => operations.iter().map(fake::line).collect(),
            _ => Vec::new(),
        };
        wrong += usize::from(!operations.is_empty() && operations != message.ops);
        match message.wish() {
            Some(Wish::Question) => {
                let tools = message.tools();
                let right = outcome.calls.iter().any(|call| tools.contains(&call.name.as_str()));
                questions = (questions.0 + usize::from(right), questions.1 + 1);
            }
            Some(Wish::Irrelevant | Wish::Secret) => {
                let right = matches!(outcome.result, TurnResult::Refuse { .. });
                refused = (refused.0 + usize::from(right), refused.1 + 1);
            }
            Some(Wish::Change) => {
                changed = (changed.0 + usize::from(operations == message.ops), changed.1 + 1);
            }
            _ => {}
        }
    }
    let [questions, refused, changed] =
        [questions, refused, changed].map(|(right, all)| format!("{right}/{all}"));
    Ok(format!("| {name} | {questions} | {refused} | {changed} | {wrong} |\n"))
}
