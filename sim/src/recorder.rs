//! Records the calls to the engines of a simulation, so that tests can inspect them.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Records every judge call and counts the calls that run. Clones share one record.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Calls>);

#[derive(Debug, Default)]
struct Calls {
    active: AtomicUsize,
    total: AtomicUsize,
    judge: Mutex<Vec<JudgeCall>>,
}

/// What one judge was shown.
#[derive(Clone, Debug)]
pub struct JudgeCall {
    /// Number of the judging node.
    pub node: usize,
    /// The last message of the ask.
    pub question: String,
    /// The candidates' texts, in the order in which the judge saw them.
    pub candidates: Vec<String>,
}

/// A call that runs. Dropping it ends the call.
#[derive(Debug)]
pub(crate) struct ActiveCall(Arc<Calls>);

impl Recorder {
    /// Calls that run now.
    pub fn active_calls(&self) -> usize {
        self.0.active.load(Ordering::SeqCst)
    }

    /// Calls that have started since the simulation began.
    pub fn total_calls(&self) -> usize {
        self.0.total.load(Ordering::SeqCst)
    }

    /// Every judge call, oldest first.
    pub fn judge_calls(&self) -> Vec<JudgeCall> {
        self.lock().clone()
    }

    pub(crate) fn start_call(&self) -> ActiveCall {
        self.0.active.fetch_add(1, Ordering::SeqCst);
        self.0.total.fetch_add(1, Ordering::SeqCst);
        ActiveCall(self.0.clone())
    }

    pub(crate) fn record(&self, call: JudgeCall) {
        self.lock().push(call);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<JudgeCall>> {
        self.0.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}
