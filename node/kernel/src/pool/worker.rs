//! The workers of a [`super::Pool`]: the state that they share with the caller, and their loop.
//!
//! A job is open while its caller works on it. A worker that sees an open job enters and is counted.
//! When the caller has nothing more to do, it closes the job and waits for the workers inside. So the
//! caller does not wait for a worker that has no core.
#![expect(unsafe_code, reason = "workers borrow the caller's job for as long as the caller waits")]

use std::{
    any::Any,
    cell::UnsafeCell,
    hint::spin_loop,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
};

/// Iterations of the waiting loop before a worker sleeps: about 0.3 ms, which is longer than the time
/// between two jobs of one token.
const SPINS: u32 = 20_000;
/// Iterations before a caller yields its core to the worker that it waits for.
const SPINS_CALLER: u32 = 2_000;

/// A borrowed `Fn()` without its type and lifetime.
#[derive(Clone, Copy)]
pub(super) struct Job {
    closure: *const (),
    call: unsafe fn(*const ()),
}

impl Job {
    fn new<F: Fn() + Sync>(closure: &F) -> Self {
        unsafe fn call<F: Fn()>(closure: *const ()) {
            // SAFETY: `closure` was a `&F` in `new`, and is still borrowed: see `PoolState::run`.
            unsafe { (*closure.cast::<F>())() }
        }
        Self { closure: std::ptr::from_ref(closure).cast(), call: call::<F> }
    }
}

/// The state that the caller and the workers share.
#[derive(Default)]
pub(super) struct PoolState {
    /// From the lowest bit: whether the job is open, workers inside (15 bits), jobs so far.
    state: AtomicU64,
    /// Workers that sleep, or are about to.
    sleepers: AtomicUsize,
    stop: AtomicBool,
    job: UnsafeCell<Option<Job>>,
    panic: Mutex<Option<Panic>>,
}

pub(super) type Panic = Box<dyn Any + Send>;

const OPEN: u64 = 1;
const WORKER: u64 = 2;
const JOB: u64 = 1 << 16;

fn job_number(state: u64) -> u64 {
    state / JOB
}

fn workers_inside(state: u64) -> u64 {
    state % JOB / WORKER
}

// SAFETY: `run` alone writes `job`, while the job is closed and no worker is inside, which it has
// acquired. Workers read `job` only after they have entered, which acquires what opening the job
// released. The closure behind it is `Sync`.
unsafe impl Sync for PoolState {}
// SAFETY: as above; no field belongs to a thread.
unsafe impl Send for PoolState {}

impl PoolState {
    /// Calls `job` on this thread, and on each worker that enters while it runs here. Returns when no
    /// worker is inside, with the panic of a call if there was one. One caller at a time.
    pub(super) fn run<'a, F: Fn() + Sync>(
        &self,
        job: &F,
        workers: impl Iterator<Item = &'a Thread>,
    ) -> Option<Panic> {
        let state = self.state.load(Ordering::Acquire);
        debug_assert_eq!(state % JOB, 0, "one caller at a time");
        // SAFETY: the job is closed and no worker is inside; see `Sync`.
        unsafe { *self.job.get() = Some(Job::new(job)) };
        // Sequentially consistent, as are the accesses in `enter`: either a worker sees the new job
        // before it sleeps, or this thread sees that the worker sleeps.
        self.state.store(state + JOB + OPEN, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            workers.for_each(Thread::unpark);
        }
        let result = catch_unwind(AssertUnwindSafe(job));
        // From here on nothing may panic: the workers inside borrow `job`.
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while workers_inside(self.state.load(Ordering::Acquire)) > 0 {
            if spins < SPINS_CALLER {
                spins += 1;
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
        let worker_panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.err().or(worker_panic)
    }

    pub(super) fn stop<'a>(&self, workers: impl Iterator<Item = &'a Thread>) {
        self.stop.store(true, Ordering::SeqCst);
        workers.for_each(Thread::unpark);
    }

    /// Waits for an open job after number `last`, enters it and returns its number; `None` when the
    /// pool is dropped.
    fn enter(&self, last: u64) -> Option<u64> {
        let mut spins = 0;
        loop {
            let state = self.state.load(Ordering::Acquire);
            if job_number(state) != last && state & OPEN != 0 {
                let exchange = self.state.compare_exchange_weak(
                    state,
                    state + WORKER,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
                if exchange.is_ok() {
                    return Some(job_number(state));
                }
                continue;
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if spins < SPINS {
                spins += 1;
                spin_loop();
                continue;
            }
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            let state = self.state.load(Ordering::SeqCst);
            let idle = job_number(state) == last || state & OPEN == 0;
            if idle && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.sleepers.fetch_sub(1, Ordering::SeqCst);
            spins = 0;
        }
    }

    fn work(&self) {
        super::IN_JOB.set(true);
        let mut last = 0;
        while let Some(number) = self.enter(last) {
            last = number;
            // SAFETY: this worker has entered, so the job is written and does not change; see `Sync`.
            if let Some(Job { closure, call }) = unsafe { *self.job.get() } {
                // SAFETY: `run` keeps the closure borrowed until no worker is inside.
                let result = catch_unwind(AssertUnwindSafe(|| unsafe { call(closure) }));
                if let Err(panic) = result {
                    *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                }
            }
            self.state.fetch_sub(WORKER, Ordering::Release);
        }
    }
}

/// Starts worker `id`.
pub(super) fn start(id: usize, state: Arc<PoolState>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("kernel-{id}")).spawn(move || state.work())
}
