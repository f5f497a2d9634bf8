//! What every format's stream has in common.

use shoal_consensus::{
    Outcome,
    outcome::{Progress, RoundId},
};

use crate::{failure::Failure, sse::Events, usage::Usage};

/// Writes answers in one format as server-sent events.
///
/// The caller hands over what happens in the order in which it happens: [`start`](Self::start),
/// then texts and progress, then one [`finish`](Self::finish) for each ask of the request, or
/// [`fail`](Self::fail) as the last call.
pub trait Encoder {
    /// Writes what stands before the answer. `round` is the round whose id the head of the HTTP
    /// response carries; it is `None` when the head is sent before the round has ended.
    fn start(&mut self, round: Option<&RoundId>, events: &mut Events);

    /// Writes more text of an answer, which is not empty. `choice` counts the answers to one ask.
    fn text(&mut self, choice: usize, text: &str, events: &mut Events);

    /// Whether [`progress`](Self::progress) is to be called.
    fn wants_progress(&self) -> bool {
        false
    }

    /// Writes how far the round is. Most formats have no place for it.
    fn progress(&mut self, _: Progress, _: &mut Events) {}

    /// Writes the rest of the answers to one ask. `last` is true for the last ask of the request.
    /// Returns what the answers cost, or `None` if the outcome has no answer.
    fn finish(&mut self, outcome: &Outcome, last: bool, events: &mut Events) -> Option<Usage>;

    /// Writes an error as the last event: a stream that only stops looks like a short answer.
    fn fail(&mut self, failure: &Failure, events: &mut Events);

    /// Writes a sign of life on a silent stream.
    fn keep_alive(&mut self, events: &mut Events) {
        events.keep_alive();
    }
}
