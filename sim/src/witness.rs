//! What the engines of a simulation have seen, for tests to look at.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Sees everything that engines are asked, and who is at work. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Witness(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    working: AtomicUsize,
    begun: AtomicUsize,
    judged: Mutex<Vec<Judged>>,
}

/// A judge was shown these candidates.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Number of the judging node.
    pub node: usize,
    pub question: String,
    pub candidates: Vec<String>,
}

/// An engine at work; dropping it is the end of the work.
#[derive(Debug)]
pub(crate) struct Working(Arc<Seen>);

impl Witness {
    /// Engines at work now.
    pub fn working(&self) -> usize {
        self.0.working.load(Ordering::SeqCst)
    }

    /// Pieces of work that were ever begun.
    pub fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    /// What judges were shown, oldest first.
    pub fn judged(&self) -> Vec<Judged> {
        self.seen().clone()
    }

    pub(crate) fn works(&self) -> Working {
        self.0.working.fetch_add(1, Ordering::SeqCst);
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        Working(self.0.clone())
    }

    pub(crate) fn judges(&self, judged: Judged) {
        self.seen().push(judged);
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Judged>> {
        self.0.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::SeqCst);
    }
}
