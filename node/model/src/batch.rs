//! One model for many: every step reads the next token of each answer under way and a piece of the
//! prompts that wait, whoever they are for.
//!
//! ```text
//!  ask -> order (its thread: template, tokens) -> queue (asks take turns)
//!      -> admit (pages for it; what others read before is shared) -> schedule (who reads what)
//!      -> step (the model) -> write, learn (tokens chosen, likelihoods, vectors) -> line (back)
//! ```
//!
//! Sequences share the pages of what they begin with; when pages run out, who came last gives way
//! and reads again later. Nothing of this shows in an answer.

mod order;
mod line;
mod run;
mod asks;
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
    line::{Line, broken, busy},
    order::{Limits, Work},
    run::{Prepared, Runner, Settings},
};
use super::{
    step::{Decode, PAGE},
    words::Words,
};
use shoal_engine::{EngineError, Event};

/// How a model is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Sequences in one step: answers, and parts of judgments. At least 1.
    pub sequences: usize,
    /// Asks that are here at the same time, waiting or running. At least 1.
    pub asks: usize,
    /// Bytes of the KV cache.
    pub cache_bytes: usize,
    /// Tokens of an answer for which the ask sets no limit.
    pub answer_tokens: usize,
    /// Whether answers are guessed at where that saves time.
    pub guesses: bool,
}

/// A model at work. Its threads end within a step when this is dropped.
pub struct Batch {
    inbox: SyncSender<Asked>,
    places: Arc<Semaphore>,
    context: usize,
}

/// An ask on its way to the thread that cuts it into orders.
struct Asked {
    work: Work,
    line: Line,
    place: OwnedSemaphorePermit,
}

impl Batch {
    /// Starts the model's threads. Fails when the system gives none.
    pub(crate) fn start<D: Decode>(
        decoder: D,
        words: Arc<Words>,
        options: &Options,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let asks = options.asks.max(1);
        let (pages, context) = share(&decoder, options);
        let limits = Limits { context, answer_tokens: options.answer_tokens };
        // Each ask has a place in both: nobody ever waits to put one in.
        let (inbox, asked) = sync_channel(asks);
        let (ready, prepared) = sync_channel(asks);
        let ours = Arc::clone(&words);
        let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
        spawn("model-words").spawn(move || prepare(&ours, limits, &asked, &ready))?;
        let (most, guesses) = (options.sequences.max(1), options.guesses);
        let settings = Settings { pages, most, guesses, metrics };
        spawn("model").spawn(move || Runner::new(decoder, &words, settings).run(&prepared))?;
        Ok(Self { inbox, places: Arc::new(Semaphore::new(asks)), context })
    }

    /// Tokens of prompt and answer together: the model's own, unless the cache holds fewer.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Starts writing, as [`shoal_engine::Engine::generate`].
    pub fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>> {
        let (line, receiver) = Line::write();
        self.submit(Work::Generate(Box::new(ask)), line);
        receiver
    }

    /// Judges. Dropping the future stops the work.
    pub async fn judge(&self, ask: Judge) -> Result<Ballot, EngineError> {
        let (reply, ballot) = oneshot::channel();
        self.submit(Work::Judge(Box::new(ask)), Line::Judge(reply));
        ballot.await.unwrap_or_else(|_| Err(broken("the model's thread died")))
    }

    /// Turns texts into vectors. Dropping the future stops the work.
    pub async fn embed(&self, ask: Embed) -> Result<Embedded, EngineError> {
        let (reply, embedded) = oneshot::channel();
        self.submit(Work::Embed(ask), Line::Embed(reply));
        embedded.await.unwrap_or_else(|_| Err(broken("the model's thread died")))
    }

    fn submit(&self, work: Work, line: Line) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return line.fail(busy());
        };
        if let Err(refused) = self.inbox.try_send(Asked { work, line, place }) {
            let (std::sync::mpsc::TrySendError::Full(asked)
            | std::sync::mpsc::TrySendError::Disconnected(asked)) = refused;
            asked.line.fail(broken("the model's thread died"));
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

/// Cuts asks into orders, one after the other.
fn prepare(words: &Words, limits: Limits, asked: &Receiver<Asked>, ready: &SyncSender<Prepared>) {
    while let Ok(Asked { work, line, place }) = asked.recv() {
        let orders = catch_unwind(AssertUnwindSafe(|| order::orders(words, &work, limits)));
        let orders = orders.unwrap_or_else(|_| Err(broken("the model's code panicked")));
        match orders {
            Ok((orders, read)) => {
                if ready.send(Prepared { line, place, orders, read }).is_err() {
                    return;
                }
            }
            Err(error) => line.fail(error),
        }
    }
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
