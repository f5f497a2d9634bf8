//! How long to wait for a writer that is still at work: a decision by its worth, not a count.
//!
//! A round waits for a writer while the expected gain in P(right) is worth more than the time that it
//! costs. With c the probability that the best answer so far is right, and p that the writer is,
//!
//! ```text
//! gain = (1 - c) · p · σ(logit p - logit c)
//! ```
//!
//! The answer helps if the one so far is wrong, the writer is right, and the ranking then prefers it.
//! Before a writer's usual time is over, the rest of it is what waiting costs. After that nothing is
//! known but how long it has taken: of times without a scale, half of the time so far is a fair guess
//! of the rest.

use std::time::Duration;

use crate::{
    outcome::Parts,
    reputation::calibration::{logit, sigmoid},
    tally::Tally,
};

/// Of the time that a late writer has taken, the share that it is expected to take on top.
const REST: f64 = 0.5;

/// Probability that one member's record says nothing of this question: it may lie from today on, or the
/// question is unlike those that it was seen with. Members that agree are wrong about that together
/// only by chance.
const SURPRISE: f64 = 0.1;

impl Tally<'_> {
    /// P(the best answer so far is right), as far as it may end the waiting. However good its writer's
    /// record is, an answer of one member alone is never certain enough; keys of one operator are one
    /// member.
    pub fn best_so_far(&self) -> f64 {
        let strengths: Vec<f64> = self.evidence().iter().map(Parts::total).collect();
        let confidence = self.standing.confidence();
        let right = confidence.probabilities(&strengths, self.open_answers(), self.kind);
        let shares = self.standing.shares(&self.writers());
        let chances = right.iter().enumerate().map(|(pool, right)| {
            let pool_members = self.candidates.iter().zip(&shares).filter(|(c, _)| c.pool == pool);
            let voices: f64 = pool_members.map(|(_, share)| share).sum();
            right * (1.0 - SURPRISE.powf(voices))
        });
        chances.fold(0.0, f64::max)
    }
}

/// A writer at work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActiveWriter {
    /// P(its answer is right), in [0, 1].
    pub right: f64,
    /// The time since it was asked.
    pub elapsed: Duration,
    /// The time that it usually takes; zero if nothing is known.
    pub usual: Duration,
}

/// The expected gain in P(right) from one more answer: `current` is P(the best answer so far is right),
/// `right` is P(the next one is right).
pub(crate) fn gain(current: f64, right: f64) -> f64 {
    const EDGE: f64 = 1e-6;
    let (current, right) = (current.clamp(EDGE, 1.0 - EDGE), right.clamp(EDGE, 1.0 - EDGE));
    (1.0 - current) * right * sigmoid(logit(right) - logit(current))
}

/// The time after the first answer that costs nothing: half of what that answer took, at most a second.
/// Nobody feels it, and who answers a little sooner than the rest must not end the round alone.
pub fn courtesy(first_took: Duration) -> Duration {
    const COURTESY_MAX: Duration = Duration::from_secs(1);
    (first_took / 2).min(COURTESY_MAX)
}

/// How much longer to wait for a writer from now; zero if it is not worth it. `price` is what a second
/// costs, in P(right); at 0 the wait has no end of its own.
pub fn patience(current: f64, writer: &ActiveWriter, price: f64) -> Duration {
    if price <= 0.0 {
        return Duration::MAX;
    }
    // Seconds of waiting that the answer is worth.
    let worth = gain(current, writer.right) / price;
    let rest = writer.usual.saturating_sub(writer.elapsed);
    if rest.as_secs_f64() > worth {
        return Duration::ZERO;
    }
    let late_end = Duration::try_from_secs_f64(worth / REST).unwrap_or(Duration::MAX);
    late_end.max(writer.usual).saturating_sub(writer.elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(right: f64, elapsed: f64, usual: f64) -> ActiveWriter {
        let [elapsed, usual] = [elapsed, usual].map(Duration::from_secs_f64);
        ActiveWriter { right, elapsed, usual }
    }

    #[test]
    fn a_writer_that_knows_is_waited_for_and_one_that_does_not_is_not() {
        let strong = patience(0.4, &writer(0.9, 1.0, 5.0), 0.02);
        assert!(strong >= Duration::from_secs(4), "{strong:?}");
        // What is almost certain gains nothing from a stronger member either.
        let certain = patience(0.99, &writer(0.9, 1.0, 5.0), 0.02);
        assert_eq!(certain, Duration::ZERO);
        let weak = patience(0.4, &writer(0.02, 1.0, 5.0), 0.02);
        assert_eq!(weak, Duration::ZERO);
    }

    #[test]
    fn however_many_weak_answers_there_are_the_decision_is_the_same() {
        // The number of finished writers is no argument of the decision; what they are worth is.
        let early = gain(0.3, 0.8);
        assert!(early > gain(0.6, 0.8) && gain(0.6, 0.8) > gain(0.9, 0.8));
        assert!(gain(0.3, 0.8) > gain(0.3, 0.5));
    }

    #[test]
    fn a_late_writer_is_given_up_once_its_rest_costs_more_than_its_answer() {
        let price = 0.02;
        let worth = gain(0.4, 0.8) / price;
        let early = patience(0.4, &writer(0.8, 0.5 * worth, 1.0), price);
        assert!(early > Duration::ZERO);
        let late = patience(0.4, &writer(0.8, 2.5 * worth, 1.0), price);
        assert_eq!(late, Duration::ZERO);
    }

    #[test]
    fn extremes_do_not_break_it() {
        for current in [0.0, 1.0, f64::NAN] {
            for right in [0.0, 1.0] {
                let time = patience(current, &writer(right, 1.0, 0.0), 1e-300);
                assert!(time <= Duration::MAX);
            }
        }
        assert_eq!(patience(0.5, &writer(0.5, 1.0, 0.0), 0.0), Duration::MAX);
    }
}
