//! Which claims decide who wins, so that they are recomputed before they do.

use crate::{
    ballot::CastBallot,
    candidate::Candidate,
    decide,
    outcome::Ranking,
    reputation::{KindPosterior, Standing},
    settings::RoundSettings,
    tally::rank_all,
};

/// Those of the winning pool whose claims count for it, if another pool would win without them.
pub fn decisive<'a>(
    candidates: &'a [Candidate],
    ballots: &[CastBallot],
    ranking: &Ranking,
    standing: &Standing,
    kind: &KindPosterior,
    config: &RoundSettings,
) -> Vec<&'a Candidate> {
    let winner = |ranking: &Ranking| {
        let (at, _) = decide::winner(candidates, ballots, ranking, None, standing);
        candidates.get(at).map(|one| one.pool)
    };
    let Some(pool) = winner(ranking) else { return Vec::new() };
    let counts = |one: &&Candidate| {
        let claimed = one.claim().and_then(|claim| standing.certainty_log_odds(&one.writer, claim));
        one.pool == pool && claimed.is_some_and(|odds| odds > 0.0)
    };
    let claiming: Vec<&Candidate> = candidates.iter().filter(counts).collect();
    if claiming.is_empty() {
        return claiming;
    }
    let struck = |one: &Candidate| Candidate {
        logprob: one.logprob.filter(|_| one.pool != pool),
        tokens: Vec::new(),
        ..one.clone()
    };
    let without: Vec<Candidate> = candidates.iter().map(struck).collect();
    let ranking = rank_all(&without, ballots, kind, standing, config);
    if winner(&ranking) == Some(pool) { Vec::new() } else { claiming }
}

#[cfg(test)]
mod tests;
