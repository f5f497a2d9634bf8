//! The transcripts of rounds, which `GET /v1/rounds/{id}` returns to the key that asked.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::callers::Owner;
use shoal_api::transcript::transcript;
use shoal_consensus::Outcome;
use shoal_store::unix_now;

/// What an entry takes beside its text: its id, its places in the queue and in memory.
const ENTRY_BYTES: usize = 256;

/// The newest transcripts as JSON, within a budget of bytes.
#[derive(Debug)]
pub(crate) struct Transcripts {
    bytes_max: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    bytes: usize,
    owners: BTreeMap<Owner, OwnRounds>,
}

/// The rounds that one key asked for.
#[derive(Debug, Default)]
struct OwnRounds {
    bytes: usize,
    /// Oldest first.
    rounds: VecDeque<(String, Bytes)>,
}

impl Transcripts {
    /// An empty store that holds at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, entries: Mutex::default() }
    }

    /// Keeps the transcript of a round under its id. Beyond the budget, the owner that has most loses its
    /// oldest, so that no key can throw away what others keep.
    pub(super) fn keep(&self, owner: Owner, model: &str, outcome: &Outcome) {
        let text = transcript(model, outcome, unix_now()).to_string();
        self.insert(owner, outcome.round.0.clone(), text);
    }

    fn insert(&self, owner: Owner, id: String, text: String) {
        // Without the spare capacity of the text, which may be as large as the text.
        let body = Bytes::from(text.into_boxed_str().into_boxed_bytes());
        let bytes = body.len() + ENTRY_BYTES;
        let mut entries = self.lock();
        let own = entries.owners.entry(owner).or_default();
        own.bytes += bytes;
        own.rounds.push_back((id, body));
        entries.bytes += bytes;
        while entries.bytes > self.bytes_max {
            let Some(largest) = entries.owners.values_mut().max_by_key(|own| own.bytes) else {
                break;
            };
            let Some((_, oldest)) = largest.rounds.pop_front() else { break };
            let bytes = oldest.len() + ENTRY_BYTES;
            largest.bytes -= bytes;
            entries.bytes -= bytes;
        }
    }

    /// The JSON of a round of this owner, if it is still kept.
    pub(super) fn find(&self, owner: Owner, id: &str) -> Option<Bytes> {
        let entries = self.lock();
        let own = entries.owners.get(&owner)?;
        // From the newest: clients mostly ask for the round that just answered them.
        own.rounds.iter().rev().find(|(round, _)| round == id).map(|(_, body)| body.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_that_has_most_loses_its_oldest() {
        let (modest, greedy) = (Owner(0), Owner(1));
        let transcripts = Transcripts::new(10 * (1_000 + ENTRY_BYTES));
        let keep = |owner, id: usize| {
            transcripts.insert(owner, id.to_string(), "x".repeat(1_000));
        };
        keep(modest, 0);
        (1..30).for_each(|id| keep(greedy, id));
        assert!(transcripts.find(modest, "0").is_some(), "the others keep theirs");
        assert!(transcripts.find(greedy, "0").is_none(), "and only they can see them");
        assert!(
            transcripts.find(greedy, "20").is_none() && transcripts.find(greedy, "29").is_some()
        );
        assert_eq!(transcripts.lock().bytes, 10 * (1_000 + ENTRY_BYTES));
    }
}
