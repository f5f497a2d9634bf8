//! Which rounds are gold: learned from with their labels, and left out of the accuracy.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::replay::Round;

/// How gold is chosen among the labelled rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gold {
    /// Those that say `"canary": true`.
    Canaries,
    /// This share of those that may be used (all that do not say `"canary": false`), drawn.
    Share(f64),
    /// This many of them, drawn.
    Count(usize),
}

/// What is learned when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub gold: Gold,
    /// Draws the gold rounds.
    pub seed: u64,
    /// Gold is learned before anything is ranked, as by an operator who audits members first;
    /// otherwise each gold round when its turn comes.
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
        let labelled = |round: &Round| round.right.is_some();
        let allowed: Vec<usize> = (rounds.iter().enumerate())
            .filter(|(_, round)| labelled(round) && round.canary != Some(false))
            .map(|(at, _)| at)
            .collect();
        let count = match self.gold {
            Gold::Canaries => {
                let canary = |round: &Round| labelled(round) && round.canary == Some(true);
                return rounds.iter().map(canary).collect();
            }
            Gold::Share(share) => (share.clamp(0.0, 1.0) * allowed.len() as f64).round() as usize,
            Gold::Count(count) => count,
        };
        let mut drawn = allowed;
        drawn.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        drawn.truncate(count);
        let mut gold = vec![false; rounds.len()];
        for at in drawn {
            if let Some(slot) = gold.get_mut(at) {
                *slot = true;
            }
        }
        gold
    }
}
