//! Which rounds are gold. Gold rounds teach with their labels, and do not count for the accuracy.

use std::collections::BTreeSet;

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::replay::Round;

/// How gold is chosen among the labelled rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gold {
    /// The rounds with `"canary": true`.
    Canaries,
    /// A random share of the usable rounds (all without `"canary": false`).
    Share(f64),
    /// A random sample of this many usable rounds.
    Count(usize),
}

/// Which rounds are gold, and when they are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The choice of gold rounds.
    pub gold: Gold,
    /// Seed of the random sample.
    pub seed: u64,
    /// Whether gold is learned before the first round is ranked, as if members were audited first;
    /// otherwise each gold round is learned in its turn.
    pub gold_first: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { gold: Gold::Canaries, seed: 0, gold_first: true }
    }
}

impl Plan {
    /// Whether each round is gold. The same for the same seed.
    pub fn gold(&self, rounds: &[Round]) -> Vec<bool> {
        let usable: Vec<usize> = (rounds.iter().enumerate())
            .filter(|(_, round)| round.right.is_some() && round.canary != Some(false))
            .map(|(at, _)| at)
            .collect();
        let count = match self.gold {
            Gold::Canaries => {
                return rounds
                    .iter()
                    .map(|round| round.right.is_some() && round.canary == Some(true))
                    .collect();
            }
            Gold::Share(share) => (share.clamp(0.0, 1.0) * usable.len() as f64).round() as usize,
            Gold::Count(count) => count,
        };
        let mut sample = usable;
        sample.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        sample.truncate(count);
        let sample: BTreeSet<usize> = sample.into_iter().collect();
        (0..rounds.len()).map(|at| sample.contains(&at)).collect()
    }
}
