//! The other end of a [`super::Pool`]: what workers and caller share, and the workers' loop.
//!
//! A job is open while its caller works on it. A worker that sees an open job enters and is counted;
//! when the caller has nothing left to do, it closes the job and waits for those who are inside. So a
//! worker that the system has not given a core is not waited for.
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

/// Turns of the waiting loop before a worker sleeps: some 0.3 ms, more than lies between two steps
/// of one token.
const SPINS: u32 = 20_000;
/// Turns before a caller offers its core to the worker that it waits for.
const SPINS_CALLER: u32 = 2_000;

/// A borrowed `Fn()`, its type and lifetime taken off.
#[derive(Clone, Copy)]
pub(super) struct Job {
    closure: *const (),
    call: unsafe fn(*const ()),
}

impl Job {
    fn new<F: Fn() + Sync>(closure: &F) -> Self {
        unsafe fn call<F: Fn()>(closure: *const ()) {
            // SAFETY: `closure` was a `&F` in `new`, and is borrowed still: see `Shared::run`.
            unsafe { (*closure.cast::<F>())() }
        }
        Self { closure: std::ptr::from_ref(closure).cast(), call: call::<F> }
    }
}

/// What the caller and the workers share.
#[derive(Default)]
pub(super) struct Shared {
    /// From the lowest bit: the job is open; workers inside (15 bits); jobs so far.
    state: AtomicU64,
    /// Workers that sleep, or are about to.
    asleep: AtomicUsize,
    stop: AtomicBool,
    job: UnsafeCell<Option<Job>>,
    panic: Mutex<Option<Panic>>,
}

pub(super) type Panic = Box<dyn Any + Send>;

const OPEN: u64 = 1;
const INSIDE: u64 = 2;
const TURN: u64 = 1 << 16;

fn turn(state: u64) -> u64 {
    state / TURN
}

fn inside(state: u64) -> u64 {
    state % TURN / INSIDE
}

// SAFETY: `job` is written only by `run`, while the job is closed and nobody inside, which it has
// acquired; and read only by workers that have entered, which acquires what opening released. The
// closure behind it is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Shared {}

impl Shared {
    /// Calls `job` on this thread and on each worker that comes while it runs here. Returns when no
    /// one is inside of it, with a panic if there was one. One caller at a time.
    pub(super) fn run<'a, F: Fn() + Sync>(
        &self,
        job: &F,
        workers: impl Iterator<Item = &'a Thread>,
    ) -> Option<Panic> {
        let state = self.state.load(Ordering::Acquire);
        debug_assert_eq!(state % TURN, 0, "one caller at a time");
        // SAFETY: the job is closed and nobody inside; see `Sync`.
        unsafe { *self.job.get() = Some(Job::new(job)) };
        // Sequentially consistent, as are the accesses in `enter`: either the worker sees the new
        // turn before it sleeps, or this sees that it is asleep.
        self.state.store(state + TURN + OPEN, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) > 0 {
            workers.for_each(Thread::unpark);
        }
        let own = catch_unwind(AssertUnwindSafe(job));
        // From here to the end nothing panics: the workers inside borrow `job`.
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while inside(self.state.load(Ordering::Acquire)) > 0 {
            if spins < SPINS_CALLER {
                spins += 1;
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
        let other = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.err().or(other)
    }

    pub(super) fn stop<'a>(&self, workers: impl Iterator<Item = &'a Thread>) {
        self.stop.store(true, Ordering::SeqCst);
        workers.for_each(Thread::unpark);
    }

    /// Waits for an open job after turn `last` and enters it; nothing when the pool is dropped.
    fn enter(&self, last: u64) -> Option<u64> {
        let mut spins = 0;
        loop {
            let state = self.state.load(Ordering::Acquire);
            if turn(state) != last && state & OPEN != 0 {
                let inside = state + INSIDE;
                let entered = self.state.compare_exchange_weak(
                    state,
                    inside,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
                if entered.is_ok() {
                    return Some(turn(state));
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
            self.asleep.fetch_add(1, Ordering::SeqCst);
            let now = self.state.load(Ordering::SeqCst);
            let nothing_new = turn(now) == last || now & OPEN == 0;
            if nothing_new && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.asleep.fetch_sub(1, Ordering::SeqCst);
            spins = 0;
        }
    }

    fn work(&self) {
        super::BUSY.set(true);
        let mut last = 0;
        while let Some(turn) = self.enter(last) {
            last = turn;
            // SAFETY: this worker has entered, so the job is written and stays; see `Sync`.
            if let Some(Job { closure, call }) = unsafe { *self.job.get() } {
                // SAFETY: `run` keeps the closure borrowed until nobody is inside.
                let outcome = catch_unwind(AssertUnwindSafe(|| unsafe { call(closure) }));
                if let Err(panic) = outcome {
                    *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                }
            }
            self.state.fetch_sub(INSIDE, Ordering::Release);
        }
    }
}

/// Starts worker `id`.
pub(super) fn start(id: usize, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("kernel-{id}")).spawn(move || shared.work())
}
