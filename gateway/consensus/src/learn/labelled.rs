//! Rounds with a known answer, which P(right) is fitted to.

use std::collections::BTreeMap;

use crate::{
    outcome::Ranking,
    reputation::{KindId, LabelledPools, Rivals},
    tally::Tally,
};

impl Tally<'_> {
    /// The pools of a round with a known answer; None without candidates. A pool is right if all its candidates
    /// are. `rights`: by candidate; `kind`: as the gold set names it.
    pub fn labelled(
        &self,
        kind: Option<KindId>,
        ranking: &Ranking,
        rights: impl IntoIterator<Item = bool>,
    ) -> Option<LabelledPools> {
        let mut pools: BTreeMap<usize, (f64, bool)> = BTreeMap::new();
        let candidates = self.candidates.iter().zip(&ranking.strengths).zip(rights);
        for ((candidate, strength), right) in candidates {
            let (_, all_right) = pools.entry(candidate.pool).or_insert((*strength, true));
            *all_right &= right;
        }
        if pools.is_empty() {
            return None;
        }
        let (strengths, right) = pools.into_values().unzip();
        let Rivals { open, exclusive } = self.rivals();
        Some(LabelledPools { kind, strengths, right, open, exclusive })
    }
}
