//! Conversations end to end: a message is stored, the agent (or a typed command) answers, a change is proposed, and
//! whatever later happens to the change is told in the same thread.

pub mod command;
mod control;
pub mod inventory;
mod overview;
pub mod reply;
mod room;
mod summary;
mod told;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    agent::{Agent, Outcome, Turn, TurnResult},
    cluster::Cluster,
    delivery::{Delivery, NewChange},
    domain::{Actor, Block, Lang, Message, Overview, Speaker, Thread, ThreadId, TurnEvent},
    store::{AuditEntry, Store, StoreError},
};
use control::Typed;
use inventory::Inventories;
use room::Room;

/// Limits of conversations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest message, in bytes of UTF-8.
    pub max_message_bytes: usize,
    /// How many earlier messages the agent sees.
    pub history_messages: usize,
    /// How many turns run at once over all threads; more wait.
    pub max_turns: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_message_bytes: 16 * 1024, history_messages: 20, max_turns: 8 }
    }
}

/// What conversations are made of.
pub struct ChatOpsParts {
    /// Threads, messages, audit.
    pub store: Arc<dyn Store>,
    /// The agent.
    pub agent: Arc<Agent>,
    /// The change loop.
    pub delivery: Arc<Delivery>,
    /// The names that exist.
    pub inventories: Inventories,
    /// The cluster, read as the operator.
    pub cluster: Cluster,
    /// Limits.
    pub config: Config,
}

/// The conversations.
pub struct ChatOps {
    parts: ChatOpsParts,
    rooms: Mutex<HashMap<ThreadId, Arc<Room>>>,
    turns: TaskTracker,
    /// When this process began to take messages.
    started: Timestamp,
    permits: tokio::sync::Semaphore,
    cancel: CancellationToken,
}

/// A message on its way to a reply.
struct Asked<'a> {
    actor: &'a Actor,
    thread: Thread,
    accepted: &'a Message,
    text: &'a str,
    lang: Lang,
}

/// Why a message or a thread is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The message is empty.
    #[error("the message is empty; write what you want to know or change")]
    Empty,
    /// The message is too long.
    #[error(
        "the message has {bytes} bytes and the limit is {limit}; shorten it, or put long text into a file in the repository"
    )]
    TooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// No such thread, or not this actor's.
    #[error("there is no thread {0} of yours; start a new one")]
    NoThread(ThreadId),
    /// kubemate is stopping.
    #[error("kubemate is shutting down; send the message again in a moment")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ChatOps {
    /// Puts the parts together; `cancel` ends running turns.
    #[must_use]
    pub fn new(parts: ChatOpsParts, cancel: CancellationToken) -> Arc<Self> {
        let permits = tokio::sync::Semaphore::new(parts.config.max_turns.max(1));
        Arc::new(Self {
            parts,
            rooms: Mutex::default(),
            turns: TaskTracker::new(),
            started: Timestamp::now(),
            permits,
            cancel,
        })
    }

    /// The change loop.
    #[must_use]
    pub fn delivery(&self) -> &Arc<Delivery> {
        &self.parts.delivery
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &Arc<Agent> {
        &self.parts.agent
    }

    /// The names that exist.
    #[must_use]
    pub fn inventories(&self) -> &Inventories {
        &self.parts.inventories
    }

    /// The store of threads, changes and audit.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.store
    }

    /// Takes a message; the turn runs in the background and its events come through the receiver, ending with `Done`.
    ///
    /// # Errors
    /// When the message is empty or too long, or the thread is not the actor's; nothing is stored then.
    pub async fn say(
        self: &Arc<Self>,
        actor: &Actor,
        thread: Option<ThreadId>,
        text: &str,
    ) -> Result<(Message, broadcast::Receiver<TurnEvent>), ChatError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ChatError::Empty);
        }
        let limit = self.parts.config.max_message_bytes;
        if text.len() > limit {
            return Err(ChatError::TooLong { bytes: text.len(), limit });
        }
        if self.cancel.is_cancelled() {
            return Err(ChatError::Stopping);
        }
        let thread = match thread {
            Some(id) => self.thread(actor, &id).await?,
            None => self.open(actor).await?,
        };
        let thread = self.titled(thread, text).await?;
        let room = self.room(&thread.id);
        let (_, receiver) = room.listen();
        let speaker = Speaker::Operator { actor: actor.clone() };
        let blocks = reply::text(text);
        let message = self.append(&thread.id, speaker, blocks).await?;
        self.emit(&thread.id, TurnEvent::Accepted { message: message.clone() });
        let this = Arc::clone(self);
        let (actor, accepted, text) = (actor.clone(), message.clone(), text.to_owned());
        self.turns.spawn(async move {
            let in_order = room.turn.lock().await;
            let permit = this.permits.acquire().await;
            this.run_turn(&actor, &accepted, &text).await;
            drop((permit, in_order));
            this.emit(&accepted.thread, TurnEvent::Done);
        });
        Ok((message, receiver))
    }

    /// Threads the actor opened (an administrator sees all), newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn threads(&self, actor: &Actor, limit: usize) -> Result<Vec<Thread>, ChatError> {
        let all = actor.has(crate::domain::Role::Admin);
        Ok(self.parts.store.threads((!all).then_some(actor.name.as_str()), limit).await?)
    }

    /// One thread of the actor's.
    ///
    /// # Errors
    /// When there is none, or it is somebody else's.
    pub async fn thread(&self, actor: &Actor, id: &ThreadId) -> Result<Thread, ChatError> {
        let thread = self.parts.store.thread(id).await?;
        thread
            .filter(|t| t.opened_by == actor.name || actor.has(crate::domain::Role::Admin))
            .ok_or_else(|| ChatError::NoThread(id.clone()))
    }

    /// What has been written of the answer that is under way in a thread, and its events from then on, those of its
    /// changes included.
    #[must_use]
    pub fn subscribe(&self, thread: &ThreadId) -> (String, broadcast::Receiver<TurnEvent>) {
        self.room(thread).listen()
    }

    /// What can follow what was typed: verbs of typed commands, then names of the inventory.
    pub async fn complete(&self, typed: &str) -> Vec<String> {
        // without names the verbs are still worth something
        let inventory = self.parts.inventories.get().await.unwrap_or_default();
        command::complete(typed, &inventory)
    }

    /// The cluster at a glance, as far as the actor may see it.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn overview(&self, actor: &Actor) -> anyhow::Result<Overview> {
        let view = self.parts.cluster.as_actor(actor)?;
        let inventory = self.parts.inventories.get().await?;
        let lists = overview::read(&view).await;
        Ok(overview::overview(&lists, &inventory, self.parts.cluster.now()))
    }

    /// Opens an empty thread; its title is the beginning of the first message.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(&self, actor: &Actor) -> Result<Thread, ChatError> {
        let now = Timestamp::now();
        let thread = Thread {
            id: ThreadId(format!("t-{:012x}", rand::random::<u64>() >> 16)),
            title: String::new(),
            opened_by: actor.name.clone(),
            created: now,
            updated: now,
            state: serde_json::Value::Null,
        };
        self.parts.store.put_thread(&thread).await?;
        Ok(thread)
    }

    async fn titled(&self, mut thread: Thread, text: &str) -> Result<Thread, ChatError> {
        if thread.title.is_empty() {
            thread.title = text.lines().next().unwrap_or_default().chars().take(60).collect();
            self.parts.store.put_thread(&thread).await?;
        }
        Ok(thread)
    }

    fn room(&self, thread: &ThreadId) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        // a room nobody speaks or listens in any more is only in this map
        rooms.retain(|_, room| Arc::strong_count(room) > 1 || room.is_listened_to());
        Arc::clone(rooms.entry(thread.clone()).or_insert_with(|| Arc::new(Room::new())))
    }

    fn emit(&self, thread: &ThreadId, event: TurnEvent) {
        self.room(thread).emit(event);
    }

    async fn append(
        &self,
        thread: &ThreadId,
        speaker: Speaker,
        blocks: Vec<Block>,
    ) -> Result<Message, StoreError> {
        let message =
            Message { thread: thread.clone(), id: 0, speaker, blocks, at: Timestamp::now() };
        self.parts.store.append(message).await
    }

    /// Stores and emits what kubemate says.
    async fn tell(&self, thread: &ThreadId, blocks: Vec<Block>) -> Result<(), StoreError> {
        let message = self.append(thread, Speaker::Kubemate, blocks).await?;
        self.emit(thread, TurnEvent::Message { message });
        Ok(())
    }

    /// One turn: whatever happens, the operator gets a reply.
    async fn run_turn(self: &Arc<Self>, actor: &Actor, accepted: &Message, text: &str) {
        let lang = Lang::of(text);
        let blocks = match self.answer(actor, accepted, text, lang).await {
            Ok(blocks) => blocks,
            Err(error) => {
                tracing::error!(%error, thread = %accepted.thread, "running a turn");
                reply::error(format!("{error:#}"))
            }
        };
        if let Err(error) = self.tell(&accepted.thread, blocks).await {
            tracing::error!(%error, thread = %accepted.thread, "storing a reply");
        }
    }

    async fn answer(
        self: &Arc<Self>,
        actor: &Actor,
        accepted: &Message,
        text: &str,
        lang: Lang,
    ) -> anyhow::Result<Vec<Block>> {
        let thread = self.thread(actor, &accepted.thread).await?;
        // a command is the same in every language; its answer is in the thread's
        let lang = if text.starts_with('/') { Lang::of(&thread.title) } else { lang };
        let call = match self.typed(actor, text, lang).await {
            Some(Typed::Said(blocks)) => return Ok(blocks),
            Some(Typed::Call(call)) => Some(call),
            None => None,
        };
        let asked = Asked { actor, thread, accepted, text, lang };
        let turn = self.turn(&asked).await?;
        let (sender, forward) = self.forward_events(&accepted.thread);
        let cancel = self.cancel.child_token();
        let outcome = match call {
            Some(call) => self.parts.agent.run_tool(&turn, call, &sender, cancel).await,
            None => self.parts.agent.turn(&turn, &sender, cancel).await,
        };
        drop(sender);
        forward.await?;
        let explanation = Box::new(outcome.explanation.clone());
        self.emit(&accepted.thread, TurnEvent::Explained { explanation });
        self.audit(actor, &accepted.thread, "ask", audit_detail(&outcome)).await?;
        self.finish(asked, outcome).await
    }

    /// What the agent is given.
    async fn turn(&self, asked: &Asked<'_>) -> anyhow::Result<Turn> {
        let Asked { actor, thread, accepted, text, lang } = asked;
        let after = accepted.id.saturating_sub(1 + self.parts.config.history_messages as u64);
        let mut history = self.parts.store.messages(&thread.id, after).await?;
        history.retain(|message| message.id < accepted.id);
        Ok(Turn {
            actor: (*actor).clone(),
            thread: thread.id.clone(),
            text: (*text).to_owned(),
            lang: *lang,
            history,
            state: thread.state.clone(),
            inventory: self.parts.inventories.get().await?,
            now: self.parts.cluster.now(),
        })
    }

    /// A sender whose events reach the thread's listeners, and the task that carries them.
    fn forward_events(
        self: &Arc<Self>,
        thread: &ThreadId,
    ) -> (mpsc::Sender<TurnEvent>, tokio::task::JoinHandle<()>) {
        let (sender, mut receiver) = mpsc::channel(64);
        let (this, thread) = (Arc::clone(self), thread.clone());
        let task = self.turns.spawn(async move {
            while let Some(event) = receiver.recv().await {
                this.emit(&thread, event);
            }
        });
        (sender, task)
    }

    /// Turns an outcome into what is said; a change is proposed here.
    async fn finish(&self, asked: Asked<'_>, outcome: Outcome) -> anyhow::Result<Vec<Block>> {
        let Asked { actor, mut thread, text, lang, .. } = asked;
        thread.state = outcome.state;
        thread.updated = Timestamp::now();
        self.parts.store.put_thread(&thread).await?;
        Ok(match outcome.result {
            TurnResult::Answer(blocks) => blocks,
            TurnResult::Clarify { question, choices } => reply::question(question, choices),
            TurnResult::Refuse { code, reason } => reply::refusal(code, reason),
            TurnResult::Failed(message) => reply::error(message),
            TurnResult::Change(operations) => {
                let text_of = match lang {
                    Lang::Zh => "正在编辑清单、渲染并对集群试运行……",
                    Lang::En => {
                        "Editing the manifests, rendering, dry-running against the cluster..."
                    }
                };
                self.emit(
                    &thread.id,
                    TurnEvent::Progress { phase: "plan".to_owned(), text: text_of.to_owned() },
                );
                let request = NewChange {
                    thread: thread.id.clone(),
                    request: text.to_owned(),
                    lang,
                    operations,
                    model: outcome.model,
                    prompt: outcome.prompt,
                };
                match self.parts.delivery.propose(actor, request).await {
                    Ok(change) => reply::change(lang, &change),
                    Err(error) => reply::delivery_error(&error),
                }
            }
        })
    }

    async fn audit(
        &self,
        actor: &Actor,
        thread: &ThreadId,
        action: &str,
        detail: serde_json::Value,
    ) -> Result<(), StoreError> {
        let entry = AuditEntry {
            at: Timestamp::now(),
            actor: actor.name.clone(),
            action: action.to_owned(),
            thread: Some(thread.clone()),
            change: None,
            detail,
        };
        self.parts.store.record(entry).await
    }
}

fn audit_detail(outcome: &Outcome) -> serde_json::Value {
    let result = match &outcome.result {
        TurnResult::Answer(_) => "answer",
        TurnResult::Change(_) => "change",
        TurnResult::Clarify { .. } => "clarify",
        TurnResult::Refuse { .. } => "refuse",
        TurnResult::Failed(_) => "failed",
    };
    serde_json::json!({
        "result": result,
        "calls": outcome.calls,
        "model": outcome.model,
        "prompt": outcome.prompt,
        "why": outcome.explanation,
    })
}
