//! The choice of the winner. Its order is stated, never random.

use std::cmp::Ordering;

use crate::{
    candidate::Candidate,
    outcome::{Decision, Ranking},
    tally::Tally,
};

impl Tally<'_> {
    /// The index of the candidate whose text is sent; None without candidates. `agreement` is the pool
    /// that won without judging.
    pub fn winner(&self, ranking: &Ranking, agreement: Option<usize>) -> Option<(usize, Decision)> {
        if self.candidates.len() == 1 {
            return Some((0, Decision::Single));
        }
        if let Some(pool) = agreement {
            let mut best_first = ranking.order.iter().copied();
            let best = best_first.find(|at| self.candidate(*at).pool == pool);
            return best.map(|at| (at, Decision::Agreement));
        }
        if self.ballots.is_empty() {
            return self.fallback(ranking).map(|at| (at, Decision::Fallback));
        }
        ranking.order.first().map(|at| (*at, Decision::Judged))
    }

    /// Without ballots: the pool with the best evidence; of equal ones the largest by its writers' weight, then
    /// by their number; in it the writer of best standing, then the earliest to finish, then the first.
    fn fallback(&self, ranking: &Ranking) -> Option<usize> {
        let weights: Vec<f64> = (self.candidates.iter())
            .map(|candidate| self.standing.writer_weight(&candidate.writer))
            .collect();
        let pools = self.by_pool(weights.iter().copied());
        let pools: Vec<(f64, usize)> =
            pools.iter().map(|weights| (weights.iter().sum(), weights.len())).collect();
        let candidates = self.candidates.iter().zip(&ranking.strengths);
        let ranks = candidates.zip(weights).zip(self.by_candidate(&pools)).enumerate().map(
            |(at, (((candidate, strength), weight), pool))| FallbackRank {
                strength: *strength,
                pool,
                weight,
                candidate,
                at,
            },
        );
        ranks.max_by(FallbackRank::compare).map(|rank| rank.at)
    }
}

/// The keys of a candidate when there is no ballot.
struct FallbackRank<'a> {
    /// Log-odds of its pool by the evidence.
    strength: f64,
    /// Weight and number of its pool's writers.
    pool: (f64, usize),
    weight: f64,
    candidate: &'a Candidate,
    at: usize,
}

impl FallbackRank<'_> {
    fn compare(&self, rival: &Self) -> Ordering {
        (self.strength.total_cmp(&rival.strength))
            .then(self.pool.0.total_cmp(&rival.pool.0))
            .then(self.pool.1.cmp(&rival.pool.1))
            .then(self.weight.total_cmp(&rival.weight))
            .then(rival.candidate.took.cmp(&self.candidate.took))
            .then(rival.at.cmp(&self.at))
    }
}

#[cfg(test)]
mod tests;
