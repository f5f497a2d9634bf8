//! The claims that decide the winner, so that they are recomputed first.

use crate::{candidate::Candidate, outcome::Ranking, tally::Tally};

impl<'a> Tally<'a> {
    /// The candidates of the winning pool whose claims count, if another pool would win without these claims.
    pub fn decisive(&self, ranking: &Ranking) -> Vec<&'a Candidate> {
        let Some(pool) = self.winning_pool(ranking) else { return Vec::new() };
        let claimants: Vec<&Candidate> = (self.candidates.iter())
            .filter(|candidate| candidate.pool == pool && self.claim_counts(candidate))
            .collect();
        if claimants.is_empty() {
            return claimants;
        }
        let silent: Vec<Candidate> =
            self.candidates.iter().map(|candidate| without_claim(candidate, pool)).collect();
        let silent = Tally { candidates: &silent, ..*self };
        if silent.winning_pool(&silent.ranking()) == Some(pool) { Vec::new() } else { claimants }
    }

    fn winning_pool(&self, ranking: &Ranking) -> Option<usize> {
        let (winner, _) = self.winner(ranking, None)?;
        Some(self.candidate(winner).pool)
    }

    fn claim_counts(&self, candidate: &Candidate) -> bool {
        let odds = candidate
            .claim()
            .and_then(|claim| self.standing.certainty_log_odds(&candidate.writer, claim));
        odds.is_some_and(|odds| odds > 0.0)
    }
}

/// The candidate, without its claim if it is of this pool.
fn without_claim(candidate: &Candidate, pool: usize) -> Candidate {
    Candidate {
        logprob: candidate.logprob.filter(|_| candidate.pool != pool),
        tokens: Vec::new(),
        ..candidate.clone()
    }
}

#[cfg(test)]
mod tests;
