//! The order of the judges, the task of each judge, and the verdicts of its ballot.

pub mod pairs;
mod queue;
mod task;

use crate::ballot::{CastBallot, Verdicts};
pub use queue::{AbleJudge, JudgeQueue};
pub use task::{JudgeTask, TextPair};

/// The number of answers that is enough for `count` requests.
pub fn quorum(count: usize, share: f64) -> usize {
    // The tolerance is for rounding: two thirds of three are two.
    let quorum = (count as f64 * share.clamp(0.0, 1.0) - 1e-9).ceil();
    (quorum as usize).clamp(1, count.max(1))
}

/// Adds a ballot; a judge's pairs of several waves are one ballot.
pub fn count(ballots: &mut Vec<CastBallot>, ballot: CastBallot) {
    let Some(earlier) = ballots.iter_mut().find(|earlier| earlier.judge == ballot.judge) else {
        ballots.push(ballot);
        return;
    };
    if let (Verdicts::Pairs(pairs), Verdicts::Pairs(more)) =
        (&mut earlier.verdicts, ballot.verdicts)
    {
        pairs.extend(more);
    }
    earlier.prompt_tokens = earlier.prompt_tokens.saturating_add(ballot.prompt_tokens);
    earlier.took += ballot.took;
}

#[cfg(test)]
mod tests;
