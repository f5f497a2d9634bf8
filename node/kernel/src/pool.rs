//! A thread pool for short jobs. Its threads spin while they wait, because the next job comes within
//! microseconds. After a third of a millisecond without a job they sleep, so that an idle node uses
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
use worker::{Panic, PoolState};

/// A fixed set of threads, and the instruction set they use. One job runs at a time: a second caller
/// waits for the first. A job that starts a job runs it alone, on its own thread.
pub struct Pool {
    state: Arc<PoolState>,
    /// Locked while a job runs.
    job_lock: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
    threads: usize,
    isa: Isa,
}

thread_local! {
    /// Whether this thread runs a job.
    static IN_JOB: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    /// A pool of `threads` threads, the caller's included, and of at least one. If the system refuses
    /// to start a thread, the pool has fewer.
    pub fn new(threads: usize) -> Self {
        Self::with_isa(threads, isa())
    }

    /// As `new`, with a chosen instruction set, for tests and benchmarks. If the processor does not
    /// have it, the pool uses plain Rust.
    pub fn with_isa(threads: usize, isa: Isa) -> Self {
        let state = Arc::new(PoolState::default());
        let workers: Vec<_> =
            (1..threads).map_while(|id| worker::start(id, Arc::clone(&state)).ok()).collect();
        let isa = if isa.is_available() { isa } else { Isa::Scalar };
        Self { state, job_lock: Mutex::new(()), threads: workers.len() + 1, workers, isa }
    }

    /// The number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The instruction set that the kernels use on these threads.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How many of `len` pieces a thread takes at a time: a quarter of its share. That is few enough
    /// that threads end at about the same time, and enough that they seldom use the counter at once,
    /// which moves a cache line between cores.
    pub(crate) fn chunk_len(&self, len: usize) -> usize {
        const TAKES: usize = 4;
        len.div_ceil(self.threads * TAKES).max(1)
    }

    /// Calls `job` for ranges of up to `size` that together are `0..len`, each range once, on any
    /// thread that is free, and returns when all calls have ended. If a call panics, the panic
    /// resumes here.
    pub fn chunks<F: Fn(Range<usize>) + Sync>(&self, len: usize, size: usize, job: F) {
        let size = size.max(1);
        if len <= size || self.threads == 1 || IN_JOB.get() {
            if len > 0 {
                job(0..len);
            }
            return;
        }
        let next = AtomicUsize::new(0);
        let guard = self.job_lock.lock().unwrap_or_else(PoisonError::into_inner);
        IN_JOB.set(true);
        let panic = self.state.run(
            &|| loop {
                let from = next.fetch_add(size, Ordering::Relaxed);
                if from >= len {
                    break;
                }
                job(from..len.min(from + size));
            },
            self.workers.iter().map(JoinHandle::thread),
        );
        IN_JOB.set(false);
        drop(guard);
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
        self.state.stop(self.workers.iter().map(JoinHandle::thread));
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its jobs, and its own code does not panic.
            let _: Result<(), Panic> = worker.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool of {} threads with {}", self.threads, self.isa.name())
    }
}
