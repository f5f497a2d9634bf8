//! The other end of a [`super::Pool`]: what workers and caller share, and the workers' loop.
#![expect(unsafe_code, reason = "workers borrow the caller's job for as long as the caller waits")]

use std::{
    any::Any,
    cell::UnsafeCell,
    hint::spin_loop,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
};

/// Turns of the waiting loop before a worker sleeps: some 0.3 ms, more than lies between two steps
/// of one token.
const SPINS: u32 = 20_000;

/// A borrowed `Fn(usize)`, its type and lifetime taken off.
#[derive(Clone, Copy)]
pub(super) struct Job {
    closure: *const (),
    call: unsafe fn(*const (), usize),
}

impl Job {
    pub(super) fn new<F: Fn(usize) + Sync>(closure: &F) -> Self {
        unsafe fn call<F: Fn(usize)>(closure: *const (), id: usize) {
            // SAFETY: `closure` was a `&F` in `new`, and is borrowed still: see `Job::call`.
            unsafe { (*closure.cast::<F>())(id) }
        }
        Self { closure: std::ptr::from_ref(closure).cast(), call: call::<F> }
    }

    pub(super) fn call(&self, id: usize) {
        // SAFETY: `Pool::run` keeps the closure alive until `Shared::finish` has seen every worker
        // come back from here, and the closure is `Sync`.
        unsafe { (self.call)(self.closure, id) }
    }
}

/// What the caller and the workers share.
#[derive(Default)]
pub(super) struct Shared {
    /// Counts the jobs; a worker that sees it change has one to do.
    turn: AtomicUsize,
    /// Workers that have not ended the job.
    pending: AtomicUsize,
    /// Workers that sleep, or are about to.
    asleep: AtomicUsize,
    stop: AtomicBool,
    job: UnsafeCell<Option<Job>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written only by the caller while no worker has a job (`pending` is 0, which it
// has acquired), and read only by workers after they have acquired the `turn` that was released
// after the write. The closure behind it is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Shared {}

impl Shared {
    /// Hands the job to all workers.
    pub(super) fn begin<'a>(&self, job: &Job, workers: impl ExactSizeIterator<Item = &'a Thread>) {
        self.pending.store(workers.len(), Ordering::Relaxed);
        // SAFETY: no worker reads it now; see `Sync`.
        unsafe { *self.job.get() = Some(*job) };
        // Sequentially consistent, as are the two accesses in `wait`: either the worker sees the
        // new turn before it sleeps, or this sees that it is asleep.
        self.turn.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            workers.for_each(Thread::unpark);
        }
    }

    /// Waits until all workers have ended the job.
    pub(super) fn finish(&self) {
        let mut spins = 0;
        while self.pending.load(Ordering::Acquire) != 0 {
            // A worker without a core of its own would otherwise wait for this loop to be done.
            if spins < SPINS {
                spins += 1;
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }

    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn stop<'a>(&self, workers: impl Iterator<Item = &'a Thread>) {
        self.stop.store(true, Ordering::SeqCst);
        workers.for_each(Thread::unpark);
    }

    /// The next turn after `last`, or nothing when the pool is dropped.
    fn wait(&self, last: usize) -> Option<usize> {
        let mut spins = 0;
        loop {
            let turn = self.turn.load(Ordering::Acquire);
            if turn != last {
                return Some(turn);
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if spins < SPINS {
                spins += 1;
                spin_loop();
                continue;
            }
            self.asleep.fetch_add(1, Ordering::SeqCst);
            if self.turn.load(Ordering::SeqCst) == last && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.asleep.fetch_sub(1, Ordering::SeqCst);
            spins = 0;
        }
    }

    fn work(&self, id: usize) {
        super::BUSY.set(true);
        let mut last = 0;
        while let Some(turn) = self.wait(last) {
            last = turn;
            // SAFETY: the turn was acquired, so the job is written and stays; see `Sync`.
            if let Some(job) = unsafe { *self.job.get() }
                && let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.call(id)))
            {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
            self.pending.fetch_sub(1, Ordering::Release);
        }
    }
}

/// Starts worker `id`.
pub(super) fn start(id: usize, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("kernel-{id}")).spawn(move || shared.work(id))
}
