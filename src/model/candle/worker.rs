//! The thread that owns the model: finds or fetches the file, loads it, answers requests in order.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::super::download::{self, FetchError, KnownModel};
use super::super::{ChatRequest, ChatResponse, ModelError, Output};
use super::head::catching;
use super::place::Place;
use super::session::{Origin, Session};

/// After a failed attempt to load, requests get the same error for this long before it is tried again.
const FAILED_FOR: Duration = Duration::from_secs(20);

/// What the thread is doing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// Nobody has asked yet.
    Idle,
    /// Getting the file; bytes so far and in all.
    Fetching { done: u64, size: u64 },
    /// Reading it; the share done.
    Loading(f32),
    /// Answering.
    Ready,
    /// It could not be loaded.
    Failed(String),
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => write!(f, "the model is not loaded yet"),
            Self::Fetching { done, size } => {
                let share = 100 * done / (*size).max(1);
                write!(f, "the model is being fetched: {share} % of {} MB", size / 1_000_000)
            }
            Self::Loading(share) => write!(f, "the model is being loaded: {:.0} %", share * 100.0),
            Self::Ready => write!(f, "the model is ready"),
            Self::Failed(why) => write!(f, "{why}"),
        }
    }
}

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Job {
    /// Load, if not loaded.
    Prepare,
    /// Answer.
    Chat {
        request: Box<ChatRequest>,
        pieces: mpsc::UnboundedSender<String>,
        cancel: CancellationToken,
        reply: oneshot::Sender<Result<ChatResponse, ModelError>>,
    },
}

/// Everything the thread needs; it runs once started and ends when the adapter is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    place: Place,
    queue: mpsc::Receiver<Job>,
    stage: watch::Sender<Stage>,
    stop: CancellationToken,
}

impl Worker {
    pub(super) fn new(place: Place, ends: Ends) -> Self {
        let Ends { queue, stage, stop } = ends;
        Self { place, queue, stage, stop }
    }

    /// Where the file is.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Starts the thread. It is not joined: it ends by itself soon after the adapter is gone, and holds nothing that
    /// must be saved.
    pub(super) fn start(self) -> std::io::Result<()> {
        let pool = super::threads::pool(self.place.config.threads)?;
        let work = move || pool.install(|| self.work());
        std::thread::Builder::new().name("model".to_owned()).spawn(work).map(drop)
    }

    fn work(mut self) {
        let mut session: Option<Session> = None;
        let mut failed: Option<(Instant, String)> = None;
        while let Some(job) = self.queue.blocking_recv() {
            if self.stop.is_cancelled() {
                break;
            }
            if let Job::Chat { cancel, .. } = &job
                && cancel.is_cancelled()
            {
                continue; // whoever asked has gone
            }
            if session.is_none() {
                let recently = failed.take_if(|(when, _)| when.elapsed() > FAILED_FOR);
                drop(recently);
                if failed.is_none() {
                    match self.load() {
                        Ok(loaded) => session = Some(loaded),
                        Err(error) => failed = Some((Instant::now(), reason(error))),
                    }
                }
                let stage =
                    failed.as_ref().map_or(Stage::Ready, |(_, why)| Stage::Failed(why.clone()));
                self.stage.send_replace(stage);
            }
            let Job::Chat { request, pieces, cancel, reply } = job else { continue };
            let result = match (&mut session, &failed) {
                (Some(session), _) => answer(session, &request, pieces, &cancel),
                (None, Some((_, why))) => Err(ModelError::Unavailable(why.clone())),
                (None, None) => Err(ModelError::Unavailable("the model is not loaded".to_owned())),
            };
            if matches!(result, Err(ModelError::Unavailable(_))) {
                session = None; // its code panicked: begin afresh
            }
            // whoever asked may have gone; then nobody wants the answer
            let _ = reply.send(result);
        }
    }

    fn load(&self) -> Result<Session, ModelError> {
        let Place { config, known, cache } = &self.place;
        let (file, identity) = match known {
            Some(known) => (self.fetched(known)?, known.sha256.clone()),
            None => {
                let file = self.place.file();
                let about = std::fs::metadata(&file).map_err(|_| self.place.missing(&file))?;
                let identity =
                    format!("{} {} {:?}", file.display(), about.len(), about.modified().ok());
                (file, identity)
            }
        };
        self.stage.send_replace(Stage::Loading(0.0));
        let prefixes = config.keep_prefixes.then(|| cache.join("prefixes"));
        let origin = Origin { file, identity, context: config.context, prefixes };
        let progress = |share| drop(self.stage.send_replace(Stage::Loading(share)));
        guarded(|| Session::load(&origin, progress))
    }

    /// The verified file, fetched when it is not there.
    fn fetched(&self, known: &KnownModel) -> Result<PathBuf, ModelError> {
        let path = self.place.file();
        if !path.exists() && !self.place.config.fetch {
            return Err(self.place.missing(&path));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start a runtime for fetching the model")?;
        let progress = |done| {
            self.stage.send_replace(Stage::Fetching { done, size: known.size });
        };
        let folder = self.place.folder();
        let fetched = runtime.block_on(download::fetch(known, &folder, &progress, &self.stop));
        fetched.map_err(|error| match error {
            FetchError::Cancelled => ModelError::Cancelled,
            other => ModelError::Unavailable(other.to_string()),
        })
    }
}

/// The worker's ends of the channels to the adapter.
pub(super) struct Ends {
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) stage: watch::Sender<Stage>,
    pub(super) stop: CancellationToken,
}

fn reason(error: ModelError) -> String {
    match error {
        ModelError::Unavailable(why) => why,
        ModelError::Other(error) => format!("the model cannot be loaded: {error:#}"),
        other => format!("the model cannot be loaded: {other}"),
    }
}

fn answer(
    session: &mut Session,
    request: &ChatRequest,
    pieces: mpsc::UnboundedSender<String>,
    cancel: &CancellationToken,
) -> Result<ChatResponse, ModelError> {
    let hear = move |piece: String| {
        if request.output == Output::Text {
            let _ = pieces.send(piece); // nobody listens: the answer is still wanted
        }
    };
    guarded(|| session.answer(request, cancel, hear))
}

/// Turns a panic of a library into an error, so that one bad request or file does not end the thread.
fn guarded<T>(work: impl FnOnce() -> Result<T, ModelError>) -> Result<T, ModelError> {
    catching(work).unwrap_or_else(|said| {
        Err(ModelError::Unavailable(format!("the model's code failed: {said}")))
    })
}
