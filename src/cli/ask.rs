//! `kubemate ask`: one question, or an interactive session with history and completion.

mod explain;

use std::{io::Write, path::Path};

use anyhow::Context;
use clap::Args;
use rustyline::{
    Editor, Helper, completion::Completer, error::ReadlineError, highlight::Highlighter,
    hint::Hinter, history::FileHistory, validate::Validator,
};
use serde_json::json;

use super::{ServerArgs, changes, exit};
use crate::{
    client::Client,
    config::Config,
    domain::{Block, Change, ChangeState, Evidence, ThreadId, TurnEvent},
};

/// Arguments of `ask`.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// What to say; none starts an interactive session.
    pub text: Vec<String>,
    /// Go on in this thread.
    #[arg(long, value_name = "ID")]
    pub thread: Option<String>,
    /// Show how the message was understood: gate, names, nearest examples, candidates, guards, model calls.
    #[arg(long)]
    pub explain: bool,
    /// When a change is proposed, wait until it is healthy, rejected or failed.
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Asks once, or until the session ends.
pub(super) async fn ask(
    config: &Config,
    args: AskArgs,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let client = args.server.client(config)?;
    let mut thread = args.thread.clone().map(ThreadId);
    let shown = Shown { json: args.server.json, explain: args.explain };
    if !args.text.is_empty() {
        let said = say(&client, &mut thread, &args.text.join(" "), shown, out).await?;
        return if args.wait {
            wait(&client, said, args.server.json, out).await
        } else {
            Ok(said.code)
        };
    }
    // connection and token are checked before the first prompt
    let session: serde_json::Value = client.get("/session").await?;
    let who =
        session.pointer("/actor/name").and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    writeln!(out, "kubemate as {who}; /help lists the commands, Ctrl-D ends")?;
    std::fs::create_dir_all(&config.data)?;
    let mut editor = editor(client.clone(), &config.data.join("history"))?;
    loop {
        let (returned, line) = tokio::task::spawn_blocking(move || {
            let line = editor.readline("> ");
            (editor, line)
        })
        .await
        .context("reading the terminal")?;
        editor = returned;
        match line {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => {
                editor.add_history_entry(&line)?;
                if let Err(error) = say(&client, &mut thread, &line, shown, out).await {
                    writeln!(out, "error: {error:#}")?;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("reading the terminal"),
        }
    }
    editor.save_history(&config.data.join("history")).context("saving the history")?;
    Ok(exit::OK)
}

/// What is printed, and how.
#[derive(Debug, Clone, Copy)]
struct Shown {
    json: bool,
    explain: bool,
}

/// How a turn ended.
struct Said {
    code: u8,
    change: Option<String>,
}

async fn say(
    client: &Client,
    thread: &mut Option<ThreadId>,
    text: &str,
    shown: Shown,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Said> {
    let mut said = Said { code: exit::OK, change: None };
    let mut failed = None;
    let mut terminal = Terminal { out, streamed: String::new() };
    let id = client
        .say(thread.clone(), text, |event| {
            if let TurnEvent::Message { message } = event {
                said.code = code(&message.blocks);
                let blocks = serde_json::to_value(&message.blocks).unwrap_or_default();
                said.change = changes::change_of(&blocks).or(said.change.take());
            }
            let hidden = matches!(event, TurnEvent::Explained { .. }) && !shown.explain;
            let written = match (hidden, shown.json) {
                (true, _) => Ok(()),
                (false, true) => write_json(event, terminal.out),
                (false, false) => terminal.show(event),
            };
            if let Err(error) = written {
                failed.get_or_insert(error);
            }
        })
        .await?;
    *thread = Some(id);
    match failed {
        Some(error) => Err(error).context("writing the answer"),
        None => Ok(said),
    }
}

async fn wait(
    client: &Client,
    said: Said,
    json: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let Some(id) = said.change else { return Ok(said.code) };
    let change: Change = changes::wait(client, client.change(&id).await?).await?;
    if json {
        writeln!(out, "{}", serde_json::to_string(&json!({"event": "change", "change": change}))?)?;
    } else {
        let message = change.message.as_deref().unwrap_or_default();
        writeln!(out, "{}: {} {message}", change.id, changes::state(change.state))?;
    }
    Ok(if change.state == ChangeState::Healthy { exit::OK } else { exit::UNHEALTHY })
}

/// The exit code a reply stands for.
fn code(blocks: &[Block]) -> u8 {
    blocks
        .iter()
        .find_map(|block| match block {
            Block::Refusal { .. } => Some(exit::REFUSED),
            Block::Choices { .. } => Some(exit::CLARIFY),
            Block::Error { .. } => Some(exit::FAILED),
            _ => None,
        })
        .unwrap_or(exit::OK)
}

fn write_json(event: &TurnEvent, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
    // deltas only repeat what the message says whole
    if matches!(event, TurnEvent::Delta { .. }) {
        return Ok(());
    }
    writeln!(out, "{}", serde_json::to_string(event).map_err(std::io::Error::other)?)
}

/// Shows a turn as it happens: text as it is written, then what the message holds besides.
struct Terminal<'a> {
    out: &'a mut (dyn Write + Send),
    /// Text shown already.
    streamed: String,
}

impl Terminal<'_> {
    fn show(&mut self, event: &TurnEvent) -> std::io::Result<()> {
        match event {
            TurnEvent::Progress { text, .. } => {
                self.end_line()?;
                writeln!(self.out, "... {text}")
            }
            TurnEvent::Delta { text } => {
                self.streamed.push_str(text);
                write!(self.out, "{text}")?;
                self.out.flush()
            }
            TurnEvent::Message { message } => {
                let shown = std::mem::take(&mut self.streamed);
                if !shown.is_empty() {
                    writeln!(self.out)?;
                }
                for block in &message.blocks {
                    match block {
                        Block::Text { text } => match text.strip_prefix(shown.as_str()) {
                            Some(rest) if rest.trim().is_empty() => {}
                            Some(rest) => writeln!(self.out, "{}", rest.trim_start())?,
                            None => writeln!(self.out, "{text}")?,
                        },
                        other => write_block(other, self.out)?,
                    }
                }
                Ok(())
            }
            TurnEvent::Explained { explanation } => explain::write(explanation, self.out),
            TurnEvent::Accepted { .. } | TurnEvent::Done => Ok(()),
        }
    }

    /// Progress stands on lines of its own.
    fn end_line(&mut self) -> std::io::Result<()> {
        match self.streamed.ends_with('\n') || self.streamed.is_empty() {
            true => Ok(()),
            false => writeln!(self.out),
        }
    }
}

fn write_block(block: &Block, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
    match block {
        Block::Text { text } => writeln!(out, "{text}"),
        Block::Evidence { evidence } => write_evidence(evidence, out),
        Block::Choices { question, choices } => {
            writeln!(out, "{question}")?;
            choices.iter().try_for_each(|c| writeln!(out, "  - {}   (say: {})", c.label, c.say))
        }
        Block::Change { change, state, summary } => {
            let state = changes::state(*state);
            writeln!(out, "[{change}] {state}: {summary}   (kubemate changes {change})")
        }
        Block::Refusal { reason, .. } => writeln!(out, "refused: {reason}"),
        Block::Error { message } => writeln!(out, "error: {message}"),
    }
}

fn write_evidence(evidence: &Evidence, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
    writeln!(out, "[{}] {} ({})", evidence.id, evidence.title, evidence.query)?;
    let rows = std::iter::once(&evidence.columns).chain(&evidence.rows);
    let mut widths = vec![0; evidence.columns.len()];
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows.filter(|row| !row.is_empty()) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())?;
    }
    for line in evidence.text.iter().flat_map(|text| text.lines()) {
        writeln!(out, "  {line}")?;
    }
    evidence.truncated.iter().try_for_each(|what| writeln!(out, "  ({what})"))
}

/// Completes typed commands by asking the server, which knows the inventory.
struct Completion {
    client: Client,
    runtime: tokio::runtime::Handle,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let prefix: String = typed.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/commands?prefix={prefix}");
        // a server that does not answer completes nothing
        let found =
            self.runtime.block_on(self.client.get::<Vec<String>>(&path)).unwrap_or_default();
        // the server completes whole lines
        Ok((0, found))
    }
}

impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

fn editor(client: Client, history: &Path) -> anyhow::Result<Editor<Completion, FileHistory>> {
    let mut editor = Editor::new().context("opening the terminal")?;
    editor.set_helper(Some(Completion { client, runtime: tokio::runtime::Handle::current() }));
    if history.exists() {
        editor.load_history(history).context("reading the history")?;
    }
    Ok(editor)
}
