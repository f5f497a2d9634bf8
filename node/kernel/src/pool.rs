//! Threads that wait for the next piece of arithmetic by spinning, because the next piece comes in
//! microseconds; after a third of a millisecond without one they sleep, so that an idle node burns
//! no core.

mod worker;

use std::{
    cell::Cell,
    ops::Range,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use crate::isa::{Isa, isa};
use worker::{Panic, Shared};

/// A fixed set of threads, and the instructions they use. One job at a time: a second caller waits
/// for the first. A job that starts another runs that one alone, on its own thread.
pub struct Pool {
    shared: Arc<Shared>,
    /// Held while a job runs.
    turn: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
    threads: usize,
    isa: Isa,
}

thread_local! {
    /// This thread is inside of a job.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    /// So many threads, of which the caller's is one; at least that. Where the system gives fewer,
    /// those.
    pub fn new(threads: usize) -> Self {
        Self::with_isa(threads, isa())
    }

    /// As `new`, with instructions of choice, for tests and benchmarks. Those that the processor
    /// has not are replaced by plain Rust.
    pub fn with_isa(threads: usize, isa: Isa) -> Self {
        let shared = Arc::new(Shared::default());
        let workers: Vec<_> =
            (1..threads).map_while(|id| worker::start(id, Arc::clone(&shared)).ok()).collect();
        let isa = if isa.is_available() { isa } else { Isa::Scalar };
        Self { shared, turn: Mutex::new(()), threads: workers.len() + 1, workers, isa }
    }

    /// Threads, the caller's counted.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The instructions that the kernels use on these threads.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How many of `len` pieces a thread takes at a time: few enough that none is left with much more
    /// than another, and enough that threads seldom ask at once, which takes a cache line from one
    /// core to the other.
    pub(crate) fn share(&self, len: usize) -> usize {
        const TAKES: usize = 4;
        len.div_ceil(self.threads * TAKES).max(1)
    }

    /// Calls `job` for ranges of up to `size` that together are `0..len`, each once, on whichever
    /// thread is free, and returns when all have ended. A panic in one is raised here then.
    pub fn chunks<F: Fn(Range<usize>) + Sync>(&self, len: usize, size: usize, job: F) {
        let size = size.max(1);
        if len <= size || self.threads == 1 || BUSY.get() {
            if len > 0 {
                job(0..len);
            }
            return;
        }
        let next = AtomicUsize::new(0);
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        BUSY.set(true);
        let panic = self.shared.run(
            &|| loop {
                let from = next.fetch_add(size, Ordering::Relaxed);
                if from >= len {
                    break;
                }
                job(from..len.min(from + size));
            },
            self.workers.iter().map(JoinHandle::thread),
        );
        BUSY.set(false);
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Calls `job(i)` for each `i` of `0..len`, as [`Pool::chunks`] does.
    pub fn run<F: Fn(usize) + Sync>(&self, len: usize, job: F) {
        self.chunks(len, 1, |range| range.for_each(&job));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop(self.workers.iter().map(JoinHandle::thread));
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its jobs and has none of its own.
            let _: Result<(), Panic> = worker.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool of {} threads with {}", self.threads, self.isa.name())
    }
}
