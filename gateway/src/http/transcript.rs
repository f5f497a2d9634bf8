//! The transcript of a round: everything that led to the answer, as `GET /v1/rounds/{id}` shows it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use shoal_api::transcript::transcript;
use shoal_consensus::Outcome;
use shoal_store::unix_now;

/// The newest transcripts, as they are sent, within a budget of bytes.
#[derive(Debug)]
pub struct Transcripts {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    /// Oldest first.
    rounds: VecDeque<(String, Bytes)>,
}

impl Transcripts {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    /// Keeps a finished round under its id, and forgets the oldest beyond the budget.
    pub(super) fn keep(&self, model: &str, outcome: &Outcome) {
        let body = Bytes::from(transcript(model, outcome, unix_now()).to_string());
        let mut kept = self.kept();
        kept.bytes += body.len();
        kept.rounds.push_back((outcome.round.0.clone(), body));
        while kept.bytes > self.bytes_max {
            let Some((_, oldest)) = kept.rounds.pop_front() else { break };
            kept.bytes -= oldest.len();
        }
    }

    /// The JSON of a round that is still kept.
    pub(super) fn find(&self, id: &str) -> Option<Bytes> {
        let kept = self.kept();
        // From the newest: whoever asks for a transcript has just been answered.
        kept.rounds.iter().rev().find(|(kept, _)| kept == id).map(|(_, body)| body.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
