//! The transcripts of rounds, which `GET /v1/rounds/{id}` returns.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use shoal_api::transcript::transcript;
use shoal_consensus::Outcome;
use shoal_store::unix_now;

/// The newest transcripts as JSON, within a budget of bytes.
#[derive(Debug)]
pub(crate) struct Transcripts {
    bytes_max: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    bytes: usize,
    /// Oldest first.
    rounds: VecDeque<(String, Bytes)>,
}

impl Transcripts {
    /// An empty store that holds at most `bytes_max` bytes of JSON.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, entries: Mutex::default() }
    }

    /// Keeps the transcript of a round under its id, and deletes the oldest beyond the budget.
    pub(super) fn keep(&self, model: &str, outcome: &Outcome) {
        let body = Bytes::from(transcript(model, outcome, unix_now()).to_string());
        let mut entries = self.lock();
        entries.bytes += body.len();
        entries.rounds.push_back((outcome.round.0.clone(), body));
        while entries.bytes > self.bytes_max {
            let Some((_, oldest)) = entries.rounds.pop_front() else { break };
            entries.bytes -= oldest.len();
        }
    }

    /// The JSON of a round, if it is still kept.
    pub(super) fn find(&self, id: &str) -> Option<Bytes> {
        let entries = self.lock();
        // From the newest: clients mostly ask for the round that just answered them.
        entries.rounds.iter().rev().find(|(round, _)| round == id).map(|(_, body)| body.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
