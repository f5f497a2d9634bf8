//! The model's threads: each takes the next job when it is done with the last.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use shoal_proto::{
    generate::{Fault, Generate},
    judge::{Ballot, Judge},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    load::Loaded,
    score,
    write::{self, Asker, Halt},
};
use crate::engine::{EngineError, Event};

/// A piece of work for the model.
#[derive(Debug)]
pub(super) enum Job {
    Generate { ask: Generate, events: mpsc::Sender<Result<Event, EngineError>> },
    Judge { ask: Judge, reply: oneshot::Sender<Result<Ballot, EngineError>> },
}

/// Threads that share one model. They end when this is dropped and their last job is done; who
/// drops the asks as well is not kept waiting for longer than a token.
#[derive(Debug)]
pub(super) struct Workers {
    jobs: SyncSender<Job>,
}

impl Workers {
    /// Starts `threads` of them (at least one).
    pub(super) fn start(model: Arc<Loaded>, threads: u32) -> io::Result<Self> {
        let threads = threads.max(1);
        // The desk before the engine lets in no more than there are threads; as many again for
        // those that have left while their thread has not noticed yet.
        let (jobs, waiting) = sync_channel(usize::try_from(threads).unwrap_or(1));
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads {
            let (model, waiting) = (Arc::clone(&model), Arc::clone(&waiting));
            let name = format!("model-{number}");
            thread::Builder::new().name(name).spawn(move || work(&model, &waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Hands a job to the next free thread; gives it back when too many wait.
    pub(super) fn take(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            std::sync::mpsc::TrySendError::Full(job)
            | std::sync::mpsc::TrySendError::Disconnected(job) => job,
        })
    }
}

fn work(model: &Loaded, waiting: &Mutex<Receiver<Job>>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(Job::Generate { ask, events }) => generate(model, &ask, &events),
            Ok(Job::Judge { ask, reply }) => judge(model, &ask, reply),
            Err(_) => return,
        }
    }
}

fn generate(model: &Loaded, ask: &Generate, events: &mpsc::Sender<Result<Event, EngineError>>) {
    let mut line = Line { events, broken: false };
    let last = match guarded(|| write::write(model, ask, &mut line)) {
        Ok(done) => Ok(Event::Done(done)),
        Err(Halt::Failed(error)) => Err(error),
        Err(Halt::Gone) => return,
    };
    // Fails only when nobody listens any more.
    let _ = events.blocking_send(last);
}

fn judge(model: &Loaded, ask: &Judge, reply: oneshot::Sender<Result<Ballot, EngineError>>) {
    let ballot = match guarded(|| score::ballot(model, ask, &|| reply.is_closed())) {
        Ok(ballot) => Ok(ballot),
        Err(Halt::Failed(error)) => Err(error),
        Err(Halt::Gone) => return,
    };
    // Fails only when nobody listens any more.
    let _ = reply.send(ballot);
}

/// A bug in the model's code costs one answer, not the thread.
fn guarded<T>(work: impl FnOnce() -> Result<T, Halt>) -> Result<T, Halt> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Halt::Failed(EngineError::new(Fault::Engine, "the model's code panicked")))
    })
}

/// The way to whoever asked.
struct Line<'a> {
    events: &'a mpsc::Sender<Result<Event, EngineError>>,
    broken: bool,
}

impl Asker for Line<'_> {
    fn piece(&mut self, text: String) {
        // A slow reader makes the model wait, a reader that left ends the wait.
        self.broken |= self.events.blocking_send(Ok(Event::Piece(text))).is_err();
    }

    fn gone(&self) -> bool {
        self.broken || self.events.is_closed()
    }
}
