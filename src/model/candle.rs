//! A model in the process: a GGUF file run by candle, on a thread of its own. Nothing is loaded until it is first
//! needed; then a few requests at a time are answered in turns, so that a long answer does not keep others waiting.

#[cfg(target_arch = "x86_64")]
mod blocks;
mod gguf;
mod grammar;
mod head;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod matrix;
mod memory;
mod network;
mod ops;
#[cfg_attr(not(target_arch = "x86_64"), path = "candle/unpacked.rs")]
mod packed;
mod place;
mod prefix;
mod sequences;
mod session;
mod template;
mod threads;
mod vocabulary;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::download::{self, KnownModel};
use super::{ChatRequest, ChatResponse, Model, ModelError};
use place::Place;
pub use threads::restart_with_own_threads;
use worker::{Ends, Job, Stage, Worker};

/// Requests that may wait; a further one is turned away.
const WAITING: usize = 32;

/// Which model and how much of the machine it may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A known model (see [`download::known`]), or any name when `file` is given.
    pub name: String,
    /// A GGUF file (Qwen2 or Llama) that is already here.
    pub file: Option<PathBuf>,
    /// Most tokens of a request with its answer; memory grows with it.
    pub context: usize,
    /// Threads that compute; by default one per physical core that this process may use.
    pub threads: Option<usize>,
    /// Whether the file may be fetched when it is not here.
    pub fetch: bool,
    /// Whether prompt prefixes are kept on disk, so that a restart is warm.
    pub keep_prefixes: bool,
}

impl Default for Config {
    fn default() -> Self {
        let name = "qwen2.5-coder-1.5b".to_owned();
        Self { name, file: None, context: 8192, threads: None, fetch: true, keep_prefixes: true }
    }
}

/// The adapter.
#[derive(Debug)]
pub struct Candle {
    name: String,
    jobs: mpsc::Sender<Job>,
    stage: watch::Receiver<Stage>,
    /// Not yet started.
    worker: Mutex<Option<Worker>>,
    /// Ends the worker's current work when the adapter is dropped.
    _stop: DropGuard,
}

impl Candle {
    /// Loads nothing yet. `cache` is the folder for fetched models and stored prefixes.
    ///
    /// # Errors
    /// When the name is not that of a known model and no file is given.
    pub fn new(config: Config, cache: &Path) -> anyhow::Result<Self> {
        let known: Option<&'static KnownModel> = match config.file {
            Some(_) => None,
            None => Some(download::named(&config.name)?),
        };
        let stop = CancellationToken::new();
        let (jobs, queue) = mpsc::channel(WAITING);
        let (told, stage) = watch::channel(Stage::Idle);
        let name = config.name.clone();
        let ends = Ends { queue, stage: told, stop: stop.clone() };
        let place = Place { config, known, cache: cache.to_owned() };
        let worker = Worker::new(place, ends);
        Ok(Self { name, jobs, stage, worker: Mutex::new(Some(worker)), _stop: stop.drop_guard() })
    }

    /// Begins to fetch and load the model in the background, unless it has begun.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn prepare(&self) -> Result<(), ModelError> {
        self.start()?;
        // full: it is being loaded for somebody already
        let _ = self.jobs.try_send(Job::Prepare);
        Ok(())
    }

    /// What it is doing, in words, and how far it is, for progress displays. `None` when ready.
    #[must_use]
    pub fn progress(&self) -> Option<String> {
        match &*self.stage.borrow() {
            Stage::Ready => None,
            other => Some(other.to_string()),
        }
    }

    fn start(&self) -> Result<(), ModelError> {
        let worker = self.worker.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        match worker {
            None => Ok(()),
            Some(worker) => worker.start().map_err(|e| {
                ModelError::Unavailable(format!("cannot start the model's thread: {e}"))
            }),
        }
    }
}

/// Resolves when the model is being fetched, which takes too long to wait for.
async fn fetching(mut stage: watch::Receiver<Stage>) -> ModelError {
    let seen = stage.wait_for(|stage| matches!(stage, Stage::Fetching { .. })).await;
    match seen.map(|stage| stage.to_string()) {
        Ok(stage) => ModelError::Unavailable(format!("{stage}; ask again when it is done")),
        Err(_) => std::future::pending().await,
    }
}

#[async_trait]
impl Model for Candle {
    fn id(&self) -> String {
        format!("candle:{}", self.name)
    }

    async fn chat(
        &self,
        request: ChatRequest,
        tokens: Option<mpsc::Sender<String>>,
        cancel: CancellationToken,
    ) -> Result<ChatResponse, ModelError> {
        self.start()?;
        let (reply, answer) = oneshot::channel();
        let (pieces, mut heard) = mpsc::unbounded_channel();
        let cancel = cancel.child_token();
        let _stop_when_dropped = cancel.clone().drop_guard();
        let job = Job::Chat { request: Box::new(request), pieces, cancel: cancel.clone(), reply };
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ModelError::Unavailable(format!(
                "{WAITING} requests are waiting for the model already; try again later"
            )),
            mpsc::error::TrySendError::Closed(_) => {
                ModelError::Unavailable("the model's thread has ended; restart".to_owned())
            }
        })?;
        let forward = async {
            let mut listener = tokens;
            while let Some(piece) = heard.recv().await {
                if let Some(to) = &listener
                    && to.send(piece).await.is_err()
                {
                    listener = None; // nobody listens any more; the answer is still wanted
                }
            }
        };
        let answered = async {
            let (answer, ()) = tokio::join!(answer, forward);
            answer.unwrap_or_else(|_| {
                Err(ModelError::Unavailable("the model's thread has ended; restart".to_owned()))
            })
        };
        let mut response = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ModelError::Cancelled),
            result = answered => result,
            error = fetching(self.stage.clone()) => Err(error),
        }?;
        response.model = self.id();
        Ok(response)
    }

    async fn health(&self) -> Result<(), ModelError> {
        let stage = self.stage.borrow().clone();
        match stage {
            Stage::Ready => Ok(()),
            Stage::Idle => self.could_load().await,
            other => Err(ModelError::Unavailable(other.to_string())),
        }
    }
}

impl Candle {
    /// Healthy before the first request, when the file is there and sound, or may be fetched.
    async fn could_load(&self) -> Result<(), ModelError> {
        let place = {
            let worker = self.worker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            worker.as_ref().map(|worker| worker.place().clone())
        };
        let Some(place) = place else { return Ok(()) };
        let checked = tokio::task::spawn_blocking(move || place.check()).await;
        checked.context("the check of the model's file was ended")?
    }
}
