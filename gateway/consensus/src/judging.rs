//! Who judges what: the order in which judges are asked, what each is shown, and what its ballot says.

pub mod pairs;
mod queue;
mod task;

use crate::ballot::{CastBallot, Verdicts};
pub use queue::{Able, JudgeQueue};
pub use task::JudgeTask;

/// How many of `asked` are enough.
pub fn quorum(asked: usize, share: f64) -> usize {
    // A hair less, so that two thirds of three are two.
    let needed = (asked as f64 * share.clamp(0.0, 1.0) - 1e-9).ceil();
    (needed as usize).clamp(1, asked.max(1))
}

/// Takes in a ballot; one judge's pairs of several waves are one ballot.
pub fn count(ballots: &mut Vec<CastBallot>, ballot: CastBallot) {
    let Some(known) = ballots.iter_mut().find(|known| known.judge == ballot.judge) else {
        ballots.push(ballot);
        return;
    };
    if let (Verdicts::Pairs(known), Verdicts::Pairs(more)) = (&mut known.verdicts, ballot.verdicts)
    {
        known.extend(more);
    }
    known.prompt_tokens = known.prompt_tokens.saturating_add(ballot.prompt_tokens);
    known.took += ballot.took;
}

#[cfg(test)]
mod tests;
