//! The thread that owns the model: finds or fetches the file, loads it, answers requests. Answers take turns, a few at a
//! time, in the order they were asked for.

use std::collections::VecDeque;
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
use super::session::{Answer, Origin, Session};

/// After a failed attempt to load, requests get the same error for this long before it is tried again.
const FAILED_FOR: Duration = Duration::from_secs(20);
/// Answers that are on their way at once; further requests wait.
const AT_ONCE: usize = 4;

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
        let mut turns: VecDeque<Turn> = VecDeque::new();
        while let Some(job) = self.next_job(turns.len()) {
            if let Some(job) = job {
                if let Job::Chat { cancel, .. } = &job
                    && cancel.is_cancelled()
                {
                    continue; // whoever asked has gone
                }
                self.prepare(&mut session, &mut failed);
                let Job::Chat { request, pieces, cancel, reply } = job else { continue };
                let asked = Asked { cancel, reply };
                match (&mut session, &failed) {
                    (Some(session), _) => turns.extend(begin(session, *request, pieces, asked)),
                    (None, failed) => {
                        let why =
                            failed.as_ref().map_or("it is not loaded", |(_, why)| why.as_str());
                        asked.tell(Err(ModelError::Unavailable(why.to_owned())));
                    }
                }
            } else if let (Some(model), Some(turn)) = (&mut session, turns.pop_front()) {
                turns.extend(turn.step(model, turns.is_empty()));
            }
            if session.as_ref().is_some_and(|session| !session.is_sound()) {
                session = None; // its code panicked: begin afresh
                turns.drain(..).for_each(Turn::fail);
            }
        }
    }

    /// What to do next: something new, or `Some(None)` for a step with one of the answers on their way, which are `busy`.
    /// `None` when the adapter is gone.
    fn next_job(&mut self, busy: usize) -> Option<Option<Job>> {
        if self.stop.is_cancelled() {
            return None;
        }
        match busy {
            0 => self.queue.blocking_recv().map(Some),
            AT_ONCE.. => Some(None),
            _ => Some(self.queue.try_recv().ok()),
        }
        .filter(|_| !self.stop.is_cancelled())
    }

    /// Loads the model, unless that is done or failed just now.
    fn prepare(&self, session: &mut Option<Session>, failed: &mut Option<(Instant, String)>) {
        if session.is_some() {
            return;
        }
        drop(failed.take_if(|(when, _)| when.elapsed() > FAILED_FOR));
        if failed.is_none() {
            match self.load() {
                Ok(loaded) => *session = Some(loaded),
                Err(error) => *failed = Some((Instant::now(), reason(error))),
            }
        }
        let stage = failed.as_ref().map_or(Stage::Ready, |(_, why)| Stage::Failed(why.clone()));
        self.stage.send_replace(stage);
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

/// Who asked.
struct Asked {
    cancel: CancellationToken,
    reply: oneshot::Sender<Result<ChatResponse, ModelError>>,
}

impl Asked {
    fn tell(self, result: Result<ChatResponse, ModelError>) {
        // whoever asked may have gone; then nobody wants the answer
        let _ = self.reply.send(result);
    }
}

/// An answer on its way. Those that are take turns, so that a long one does not keep others waiting.
struct Turn {
    answer: Answer,
    asked: Asked,
}

fn begin(
    session: &mut Session,
    request: ChatRequest,
    pieces: mpsc::UnboundedSender<String>,
    asked: Asked,
) -> Option<Turn> {
    let text = request.output == Output::Text;
    let hear = move |piece: String| {
        if text {
            let _ = pieces.send(piece); // nobody listens: the answer is still wanted
        }
    };
    match guarded(|| session.begin(request, Box::new(hear))) {
        Ok(answer) => Some(Turn { answer, asked }),
        Err(error) => {
            if matches!(error, ModelError::Unavailable(_)) {
                session.spoil();
            }
            asked.tell(Err(error));
            None
        }
    }
}

impl Turn {
    /// A step. `None` when it was the last one, and who asked has been told.
    fn step(mut self, session: &mut Session, alone: bool) -> Option<Self> {
        let Self { answer, asked } = &mut self;
        let error = match guarded(|| session.step(answer, alone, &asked.cancel)) {
            Ok(false) => return Some(self),
            Ok(true) => None,
            Err(error) => Some(error),
        };
        let Self { answer, asked } = self;
        if matches!(error, Some(ModelError::Unavailable(_))) {
            session.spoil();
        }
        asked.tell(guarded(|| session.end(answer, error)));
        None
    }

    /// Gives up because of what happened to another.
    fn fail(self) {
        let why = "the model's code failed while it answered another request; ask again";
        self.asked.tell(Err(ModelError::Unavailable(why.to_owned())));
    }
}

/// Turns a panic of a library into an error, so that one bad request or file does not end the thread.
fn guarded<T>(work: impl FnOnce() -> Result<T, ModelError>) -> Result<T, ModelError> {
    catching(work).unwrap_or_else(|said| {
        Err(ModelError::Unavailable(format!("the model's code failed: {said}")))
    })
}
