//! A round's candidates and ballots with what they are weighed by.

use crate::{
    ballot::CastBallot,
    candidate::Candidate,
    evidence,
    outcome::Ranking,
    rank,
    reputation::{KindPosterior, Standing},
    settings::RoundSettings,
};

pub fn rank_all(
    candidates: &[Candidate],
    ballots: &[CastBallot],
    kind: &KindPosterior,
    standing: &Standing,
    config: &RoundSettings,
) -> Ranking {
    let parts = evidence::for_pools(candidates, ballots, kind, standing, &config.evidence);
    let mu: Vec<f64> = parts.iter().map(evidence::Parts::total).collect();
    rank::rank(&mu, candidates, ballots, &standing.on(kind), &config.rank)
}
