//! How long to wait for a writer that is still at work: a decision by its worth, not a count.
//!
//! A round waits for a writer while the expected gain in P(right) is worth more than the time that it
//! costs. With c the probability that the best answer so far is right, and p that the writer is,
//!
//! ```text
//! gain          = (1 - c) · p · σ(logit p - logit c)
//! cost(t to T)  = price · ln((1 s + T) / (1 s + t))
//! ```
//!
//! The answer helps if the one so far is wrong, the writer is right, and the ranking then prefers it.
//! A second after the first second matters, a second after half a minute does not: people notice a
//! wait in proportion to what they have waited already. So the strong and slow member of a swarm of
//! weak and fast ones is waited for, whether they take seconds or minutes.
//!
//! A writer that is past its usual time u comes later and later, or never. Of those that do come, a share
//! of ((1 s + u) / (1 s + t))² is still at work at t (a Pareto distribution); [`LOST`] never come.

use std::time::Duration;

use crate::{
    outcome::Parts,
    reputation::calibration::{logit, sigmoid},
    tally::Tally,
};

/// The wait that is hardly noticed, in seconds: the unit of all times here.
const UNIT: f64 = 1.0;

/// Share of the writers past their usual time that never answer.
const LOST: f64 = 1.0 / 3.0;

/// How quickly those that do answer come, past their usual time: the exponent of the Pareto distribution.
const ARRIVAL: f64 = 2.0;

/// Probability that one member's record says nothing of this question: it may lie from today on, or the
/// question is unlike those that it was seen with. Members that agree are wrong about that together
/// only by chance.
const SURPRISE: f64 = 0.03;

impl Tally<'_> {
    /// P(the best answer so far is right), as far as it may end the waiting. However good its writer's
    /// record is, an answer of one member alone is never certain enough; keys of one operator are one
    /// member.
    pub fn best_so_far(&self) -> f64 {
        let strengths: Vec<f64> = self.evidence().iter().map(Parts::total).collect();
        let confidence = self.standing.confidence();
        let right = confidence.probabilities(&strengths, self.rivals(), self.kind);
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

/// How much longer to wait for a writer from now; zero if it is not worth it. `waited` is the time since
/// the round began; `price` is what a second costs at the beginning, in P(right), and at 0 the wait has
/// no end of its own.
pub fn patience(current: f64, writer: &ActiveWriter, waited: Duration, price: f64) -> Duration {
    if price <= 0.0 {
        return Duration::MAX;
    }
    let gain = gain(current, writer.right);
    let rest = writer.usual.saturating_sub(writer.elapsed);
    let cost = price * (noticed(waited.saturating_add(rest)) / noticed(waited)).ln();
    let end = late_end(gain / price, writer.usual);
    // Its answer comes at its usual time or later.
    if gain.is_nan() || gain * (1.0 - LOST) < cost || end <= writer.usual {
        return Duration::ZERO;
    }
    end.saturating_sub(writer.elapsed)
}

/// A time as it is noticed, in seconds.
fn noticed(time: Duration) -> f64 {
    UNIT + time.as_secs_f64()
}

/// The time after which a writer is given up. `worth` is its gain in multiples of the price.
fn late_end(worth: f64, usual: Duration) -> Duration {
    // While the wait grows by a factor of e it costs one price, and [`ARRIVAL`] times the gain comes if the
    // writer is not lost. So the wait ends when the probability that it is not has fallen to this:
    let probability_min = 1.0 / (ARRIVAL * worth);
    let odds_min = probability_min / (1.0 - probability_min).max(f64::MIN_POSITIVE);
    let share_left = odds_min * LOST / (1.0 - LOST);
    let end = noticed(usual) * share_left.powf(-1.0 / ARRIVAL) - UNIT;
    Duration::try_from_secs_f64(end.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: f64 = 0.02;

    fn writer(right: f64, elapsed: f64, usual: f64) -> ActiveWriter {
        let [elapsed, usual] = [elapsed, usual].map(Duration::from_secs_f64);
        ActiveWriter { right, elapsed, usual }
    }

    /// The patience with a writer that was asked when the round began.
    fn patience_with(current: f64, writer: ActiveWriter) -> Duration {
        patience(current, &writer, writer.elapsed, PRICE)
    }

    #[test]
    fn a_writer_that_knows_is_waited_for_and_one_that_does_not_is_not() {
        let strong = patience_with(0.4, writer(0.9, 1.0, 5.0));
        assert!(strong >= Duration::from_secs(4), "{strong:?}");
        // What is almost certain gains nothing from a stronger member either.
        assert_eq!(patience_with(0.99, writer(0.9, 1.0, 5.0)), Duration::ZERO);
        assert_eq!(patience_with(0.4, writer(0.02, 1.0, 5.0)), Duration::ZERO);
        // Who would be worth the wait, but not a moment more than its usual time, is seldom in time.
        assert_eq!(
            patience(0.6, &writer(0.6, 1.0, 1.5), Duration::from_secs(1), 0.2),
            Duration::ZERO
        );
        // Nor does one of unknown speed where the others agree.
        assert_eq!(patience_with(0.83, writer(0.5, 0.25, 0.0)), Duration::ZERO);
    }

    #[test]
    fn a_slow_strong_writer_is_waited_for_at_every_speed() {
        for scale in [1.0, 4.0, 16.0, 64.0] {
            // Weak ones have answered after one time unit; the strong one takes seven.
            let wait = patience_with(0.24, writer(0.5, scale, 7.0 * scale));
            assert!(wait >= Duration::from_secs_f64(6.0 * scale), "{scale}: {wait:?}");
            // One more that is hardly better than them is not worth seven times the wait.
            assert_eq!(patience_with(0.24, writer(0.12, scale, 7.0 * scale)), Duration::ZERO);
        }
    }

    #[test]
    fn however_many_weak_answers_there_are_the_decision_is_the_same() {
        // The number of finished writers is no argument of the decision; what they are worth is.
        let early = gain(0.3, 0.8);
        assert!(early > gain(0.6, 0.8) && gain(0.6, 0.8) > gain(0.9, 0.8));
        assert!(gain(0.3, 0.8) > gain(0.3, 0.5));
    }

    #[test]
    fn a_late_writer_is_given_up_after_a_multiple_of_its_usual_time() {
        for usual in [0.0, 0.1, 1.0, 30.0] {
            let noticed = 1.0 + usual;
            let early = patience_with(0.4, writer(0.8, usual, usual));
            assert!(early.as_secs_f64() > 0.5 * noticed, "{usual}: {early:?}");
            let late = patience_with(0.4, writer(0.8, 12.0 * noticed, usual));
            assert_eq!(late, Duration::ZERO, "{usual}");
            // What is worth less is given up sooner.
            assert!(patience_with(0.6, writer(0.6, usual, usual)) < early);
        }
    }

    #[test]
    fn extremes_do_not_break_it() {
        let times = [Duration::ZERO, Duration::from_secs(1), Duration::MAX / 4];
        for current in [0.0, 1.0, f64::NAN] {
            for right in [0.0, 1.0, f64::NAN] {
                for usual in times {
                    for price in [1e-300, 1.0, 1e300] {
                        let writer = ActiveWriter { right, elapsed: usual, usual };
                        let wait = patience(current, &writer, usual, price);
                        let is_number = !current.is_nan() && !right.is_nan();
                        assert!(is_number || wait == Duration::ZERO, "{writer:?}: {wait:?}");
                    }
                }
            }
        }
        assert_eq!(patience_with(f64::NAN, writer(0.5, 1.0, 0.0)), Duration::ZERO);
        let free = patience(0.5, &writer(0.5, 1.0, 0.0), Duration::ZERO, 0.0);
        assert_eq!(free, Duration::MAX);
    }
}
