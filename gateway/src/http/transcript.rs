//! The transcripts of rounds, which `GET /v1/rounds/{id}` returns to the key that asked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{callers::Owner, shelves::Shelves};
use shoal_api::transcript::transcript;
use shoal_consensus::Outcome;
use shoal_console::feed::RoundSummary;
use shoal_store::unix_now;

/// What an entry takes beside its text: its id, its summary, its places in the queue and in memory.
const ENTRY_BYTES: usize = 512;

/// The newest transcripts as JSON, within a budget of bytes.
#[derive(Debug)]
pub(crate) struct Transcripts(Mutex<Shelves<Entry>>);

/// One transcript.
#[derive(Debug)]
struct Entry {
    body: Bytes,
    summary: RoundSummary,
}

impl Transcripts {
    /// An empty store that holds at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Mutex::new(Shelves::new(bytes_max)))
    }

    /// Keeps the transcript of a round under its id.
    pub(super) fn keep(&self, owner: Owner, model: &str, outcome: &Outcome) {
        let now = unix_now();
        let text = transcript(model, outcome, now).to_string();
        let summary = RoundSummary::new(model, outcome, now);
        self.insert(owner, outcome.round.0.clone(), text, summary);
    }

    fn insert(&self, owner: Owner, id: String, text: String, summary: RoundSummary) {
        // A copy of the exact size. Shrinking the text in place would leave its spare capacity, up to the size
        // of the text, as a hole beside memory that stays for long.
        let body = Bytes::copy_from_slice(text.as_bytes());
        drop(text);
        let bytes = body.len() + ENTRY_BYTES;
        self.lock().push(owner, id, bytes, Entry { body, summary });
    }

    /// The JSON of a round of this owner, if it is still kept.
    pub(super) fn find(&self, owner: Owner, id: &str) -> Option<Bytes> {
        self.lock().find(owner, id).map(|entry| entry.body.clone())
    }

    /// The newest rounds of this owner, newest first, at most `max`.
    pub(super) fn newest(&self, owner: Owner, max: usize) -> Vec<RoundSummary> {
        self.lock().newest(owner).take(max).map(|entry| entry.summary.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shelves<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_consensus::outcome::Decision;

    fn summary() -> RoundSummary {
        RoundSummary {
            id: String::new(),
            unix_seconds: 0,
            model: String::new(),
            winner_model: None,
            decision: Decision::Single,
            confidence: None,
            candidates: 1,
            ballots: 0,
            total_ms: 1,
        }
    }

    #[test]
    fn the_owner_that_has_most_loses_its_oldest() {
        let (modest, greedy) = (Owner(0), Owner(1));
        let transcripts = Transcripts::new(10 * (1_000 + ENTRY_BYTES));
        let keep = |owner, id: usize| {
            let summary = summary();
            transcripts.insert(owner, id.to_string(), "x".repeat(1_000), summary);
        };
        keep(modest, 0);
        (1..30).for_each(|id| keep(greedy, id));
        assert!(transcripts.find(modest, "0").is_some(), "the others keep theirs");
        assert!(transcripts.find(greedy, "0").is_none(), "and only they can see them");
        assert!(
            transcripts.find(greedy, "20").is_none() && transcripts.find(greedy, "29").is_some()
        );
        assert_eq!(transcripts.lock().bytes(), 10 * (1_000 + ENTRY_BYTES));
    }
}
