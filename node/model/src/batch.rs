//! Continuous batching: each step reads the next token of every answer under way and a piece of the
//! prompts that are not read yet.
//!
//! ```text
//!  request -> job (own thread: template, tokens) -> queue (requests take turns)
//!      -> admit (pages; cached prefixes are shared) -> schedule (the tokens of the next step)
//!      -> step (the model) -> write, learn (tokens chosen, likelihoods, vectors) -> reply
//! ```
//!
//! Sequences with a common prefix share its pages. When pages run out, the sequence that arrived last
//! gives its pages up and is read again later. An answer does not depend on any of this.

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
    reply::{Reply, busy, engine_fault},
    run::{PreparedRequest, Runner},
};
use super::{
    pipeline::TextPipeline,
    step::{Decode, PAGE},
};
use shoal_engine::{EngineError, Event};

/// Limits and choices of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Sequences in one step: answers, and parts of judgments. At least 1.
    pub sequences: usize,
    /// Requests accepted at the same time, queued or running. At least 1.
    pub requests: usize,
    /// Bytes of the KV cache.
    pub cache_bytes: usize,
    /// Tokens of an answer for which the ask sets no limit.
    pub answer_tokens: usize,
    /// Whether the next tokens of answers are drafted where that saves time.
    pub speculate: bool,
}

/// A running model. Its threads end within one step when this is dropped.
pub(crate) struct Batch {
    inbox: SyncSender<Submission>,
    places: Arc<Semaphore>,
    context: usize,
}

/// A request on its way to the thread that turns it into jobs.
struct Submission {
    work: Work,
    reply: Reply,
    place: OwnedSemaphorePermit,
}

impl Batch {
    /// Starts the model's threads. Fails when the system cannot start one.
    pub(crate) fn start<D: Decode>(
        decoder: D,
        pipeline: Arc<TextPipeline>,
        options: &Options,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let requests = options.requests.max(1);
        let (pages, context) = share(&decoder, options);
        let limits = Limits { context, answer_tokens: options.answer_tokens };
        // Both channels hold every accepted request, so sending never blocks.
        let (inbox, submissions) = sync_channel(requests);
        let (ready, prepared_requests) = sync_channel(requests);
        let preparer = Arc::clone(&pipeline);
        thread::Builder::new()
            .name("model-text".to_owned())
            .spawn(move || prepare(&preparer, limits, &submissions, &ready))?;
        // The caller's span names the model; the thread's log lines belong to it.
        let (options, span) = (options.clone(), tracing::Span::current());
        thread::Builder::new().name("model".to_owned()).spawn(move || {
            let _entered = span.entered();
            Runner::new(decoder, &pipeline, pages, &options, metrics).run(&prepared_requests);
        })?;
        Ok(Self { inbox, places: Arc::new(Semaphore::new(requests)), context })
    }

    /// Most tokens of prompt and answer together: the model's limit, or the cache's where that is smaller.
    pub(crate) fn context(&self) -> usize {
        self.context
    }

    /// Starts an answer, as [`shoal_engine::Engine::generate`] does.
    pub(crate) fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (reply, receiver) = Reply::write();
        self.submit(Work::Generate(Box::new(ask)), reply);
        receiver
    }

    /// Judges candidates. Dropping the future stops the work.
    pub(crate) async fn judge(&self, ask: Judge) -> Result<Ballot, EngineError> {
        let (sender, ballot) = oneshot::channel();
        self.submit(Work::Judge(Box::new(ask)), Reply::Judge(sender));
        ballot.await.unwrap_or_else(|_| Err(engine_fault("the model's thread died")))
    }

    /// Turns texts into vectors. Dropping the future stops the work.
    pub(crate) async fn embed(&self, ask: Embed) -> Result<Embedded, EngineError> {
        let (sender, vectors) = oneshot::channel();
        self.submit(Work::Embed(ask), Reply::Embed(sender));
        vectors.await.unwrap_or_else(|_| Err(engine_fault("the model's thread died")))
    }

    fn submit(&self, work: Work, reply: Reply) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return reply.fail(busy());
        };
        if let Err(error) = self.inbox.try_send(Submission { work, reply, place }) {
            let (std::sync::mpsc::TrySendError::Full(submission)
            | std::sync::mpsc::TrySendError::Disconnected(submission)) = error;
            submission.reply.fail(engine_fault("the model's thread died"));
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

/// The pages in the budget, and the context that fits into them: one sequence alone never runs out.
fn share(decoder: &impl Decode, options: &Options) -> (usize, usize) {
    let pages = options.cache_bytes / decoder.page_bytes().max(1);
    // At least two: a full one, and one to write.
    let pages = pages.clamp(2, usize::try_from(u32::MAX).unwrap_or(usize::MAX));
    (pages, decoder.context().min((pages - 1) * PAGE))
}

/// Turns requests into jobs, one after the other.
fn prepare(
    pipeline: &TextPipeline,
    limits: Limits,
    submissions: &Receiver<Submission>,
    ready: &SyncSender<PreparedRequest>,
) {
    while let Ok(Submission { work, reply, place }) = submissions.recv() {
        let jobs = catch_unwind(AssertUnwindSafe(|| job::jobs(pipeline, &work, limits)));
        let jobs = jobs.unwrap_or_else(|_| Err(engine_fault("the model's code panicked")));
        match jobs {
            Ok((jobs, read_tokens)) => {
                if ready.send(PreparedRequest { reply, place, jobs, read_tokens }).is_err() {
                    return;
                }
            }
            Err(error) => reply.fail(error),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
