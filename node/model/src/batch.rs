//! One model for many: every step reads the next token of each answer under way and a piece of the
//! prompts that wait, whoever they are for.
//!
//! ```text
//!  request -> job (its thread: template, tokens) -> queue (requests take turns)
//!      -> admit (pages for it; what others read before is shared) -> schedule (who reads what)
//!      -> step (the model) -> write, learn (tokens chosen, likelihoods, vectors) -> reply
//! ```
//!
//! Sequences share the pages of what they begin with; when pages run out, who came last gives way
//! and reads again later. Nothing of this shows in an answer.

mod job;
mod reply;
mod run;
mod requests;
mod queue;
mod schedule;
mod pace;
mod draft;
mod sequence;
mod write;
mod learn;
mod cache;
mod prefix;
mod pages;
mod metrics;

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use shoal_proto::{
    embed::{Embed, Embedded},
    generate::Generate,
    judge::{Ballot, Judge},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

pub use self::metrics::Metrics;
use self::{
    job::{Limits, Work},
    reply::{Reply, broken, busy},
    run::{Prepared, Runner},
};
use super::{
    pipeline::TextPipeline,
    step::{Decode, PAGE},
};
use shoal_engine::{EngineError, Event};

/// How a model is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Sequences in one step: answers, and parts of judgments. At least 1.
    pub sequences: usize,
    /// Requests that are here at the same time, waiting or running. At least 1.
    pub requests: usize,
    /// Bytes of the KV cache.
    pub cache_bytes: usize,
    /// Tokens of an answer for which the ask sets no limit.
    pub answer_tokens: usize,
    /// Whether answers are guessed at where that saves time.
    pub guesses: bool,
}

/// A model at work. Its threads end within a step when this is dropped.
pub(crate) struct Batch {
    inbox: SyncSender<Submission>,
    places: Arc<Semaphore>,
    context: usize,
}

/// A request on its way to the thread that cuts it into jobs.
struct Submission {
    work: Work,
    reply: Reply,
    place: OwnedSemaphorePermit,
}

impl Batch {
    /// Starts the model's threads. Fails when the system gives none.
    pub(crate) fn start<D: Decode>(
        decoder: D,
        words: Arc<TextPipeline>,
        options: &Options,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let requests = options.requests.max(1);
        let (pages, context) = share(&decoder, options);
        let limits = Limits { context, answer_tokens: options.answer_tokens };
        // Each ask has a place in both: nobody ever waits to put one in.
        let (inbox, submissions) = sync_channel(requests);
        let (ready, prepared) = sync_channel(requests);
        let pipeline = Arc::clone(&words);
        let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
        spawn("model-words").spawn(move || prepare(&pipeline, limits, &submissions, &ready))?;
        let options = options.clone();
        spawn("model").spawn(move || {
            Runner::new(decoder, &words, pages, &options, metrics).run(&prepared);
        })?;
        Ok(Self { inbox, places: Arc::new(Semaphore::new(requests)), context })
    }

    /// Tokens of prompt and answer together: the model's own, unless the cache holds fewer.
    pub(crate) fn context(&self) -> usize {
        self.context
    }

    /// Starts writing, as [`shoal_engine::Engine::generate`].
    pub(crate) fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (reply, receiver) = Reply::write();
        self.submit(Work::Generate(Box::new(ask)), reply);
        receiver
    }

    /// Judges. Dropping the future stops the work.
    pub(crate) async fn judge(&self, ask: Judge) -> Result<Ballot, EngineError> {
        let (sender, ballot) = oneshot::channel();
        self.submit(Work::Judge(Box::new(ask)), Reply::Judge(sender));
        ballot.await.unwrap_or_else(|_| Err(broken("the model's thread died")))
    }

    /// Turns texts into vectors. Dropping the future stops the work.
    pub(crate) async fn embed(&self, ask: Embed) -> Result<Embedded, EngineError> {
        let (sender, embedded) = oneshot::channel();
        self.submit(Work::Embed(ask), Reply::Embed(sender));
        embedded.await.unwrap_or_else(|_| Err(broken("the model's thread died")))
    }

    fn submit(&self, work: Work, reply: Reply) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return reply.fail(busy());
        };
        if let Err(refused) = self.inbox.try_send(Submission { work, reply, place }) {
            let (std::sync::mpsc::TrySendError::Full(submission)
            | std::sync::mpsc::TrySendError::Disconnected(submission)) = refused;
            submission.reply.fail(broken("the model's thread died"));
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("context", &self.context)
            .field("places", &self.places.available_permits())
            .finish_non_exhaustive()
    }
}

/// Pages that the budget holds, and the context that they hold: a sequence alone never lacks one.
fn share(decoder: &impl Decode, options: &Options) -> (usize, usize) {
    let pages = options.cache_bytes / decoder.page_bytes().max(1);
    // Two at least: one that is full, and one to write.
    let pages = pages.clamp(2, usize::try_from(u32::MAX).unwrap_or(usize::MAX));
    (pages, decoder.context().min((pages - 1) * PAGE))
}

/// Cuts requests into jobs, one after the other.
fn prepare(
    words: &TextPipeline,
    limits: Limits,
    submissions: &Receiver<Submission>,
    ready: &SyncSender<Prepared>,
) {
    while let Ok(Submission { work, reply, place }) = submissions.recv() {
        let jobs = catch_unwind(AssertUnwindSafe(|| job::jobs(words, &work, limits)));
        let jobs = jobs.unwrap_or_else(|_| Err(broken("the model's code panicked")));
        match jobs {
            Ok((jobs, read)) => {
                if ready.send(Prepared { reply, place, jobs, read }).is_err() {
                    return;
                }
            }
            Err(error) => reply.fail(error),
        }
    }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
