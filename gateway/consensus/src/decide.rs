//! Who wins, and how that was decided. The order is stated, never random.

use std::collections::BTreeMap;

use crate::{
    ballot::CastBallot,
    candidate::Candidate,
    outcome::{Decided, Ranking},
    reputation::Standing,
};

/// The index of the candidate whose text is sent.
pub fn winner(
    candidates: &[Candidate],
    ballots: &[CastBallot],
    ranking: &Ranking,
    agreed: Option<usize>,
    standing: &Standing,
) -> (usize, Decided) {
    let best = ranking.order.first().copied().unwrap_or(0);
    if candidates.len() == 1 {
        return (0, Decided::Single);
    }
    if let Some(pool) = agreed {
        let of_pool = |at: &usize| candidates.get(*at).is_some_and(|one| one.pool == pool);
        let chosen = ranking.order.iter().copied().find(of_pool);
        return (chosen.unwrap_or(best), Decided::Agreement);
    }
    if ballots.is_empty() {
        return (fallback(candidates, standing), Decided::Fallback);
    }
    (best, Decided::Judged)
}

/// Without ballots: the largest pool by its writers' weight (by their number where nobody has
/// any), in it the writer of best standing, then the earliest to finish, then the first.
fn fallback(candidates: &[Candidate], standing: &Standing) -> usize {
    let mut pools: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for candidate in candidates {
        let pool = pools.entry(candidate.pool).or_default();
        pool.0 += standing.writer_weight(&candidate.writer);
        pool.1 += 1;
    }
    let better = |(x_at, x): &(usize, &Candidate), (y_at, y): &(usize, &Candidate)| {
        let pool = |one: &Candidate| pools.get(&one.pool).copied().unwrap_or_default();
        let weight = |one: &Candidate| standing.writer_weight(&one.writer);
        let (x_pool, y_pool) = (pool(x), pool(y));
        (x_pool.0.total_cmp(&y_pool.0))
            .then(x_pool.1.cmp(&y_pool.1))
            .then(weight(x).total_cmp(&weight(y)))
            .then(y.took.cmp(&x.took))
            .then(y_at.cmp(x_at))
    };
    candidates.iter().enumerate().max_by(better).map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests;
