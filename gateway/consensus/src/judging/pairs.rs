//! The choice of the next pairs of pools for a judge. Pure.
//!
//! The first pairs form a random cycle, which compares each pool with two more and connects all pools.
//! The next pairs are those with the largest expected rise of the maximal P(best), where the verdict
//! has its predicted distribution. So a ballot raises the probability that the best answer is sent.
//! (The entropy of P(best) would fall as much by a comparison of two losers.)

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, seq::SliceRandom as _};

use crate::{
    rank::{Comparison, fit},
    reputation::calibration::sigmoid,
    settings::RankSettings,
};

/// Two pools, the smaller number first.
pub type PoolPair = (usize, usize);

/// Pools in the calculation: a verdict on a less likely pool hardly changes P(best), and the cost
/// grows with the fourth power.
const CONTENDERS: usize = 4;

/// P that a predicted verdict gives to the pool that it prefers: judges are seldom certain.
const FIRM: f64 = 0.9;

/// A random cycle through the pools: each is in two pairs, or in one if there are only two pools.
pub fn cycle(pools: &[usize], rng: &mut impl Rng) -> Vec<PoolPair> {
    let mut round = pools.to_vec();
    round.shuffle(rng);
    let next = round.iter().cycle().skip(1);
    let mut pairs: Vec<PoolPair> = round.iter().zip(next).map(|(a, b)| pair(*a, *b)).collect();
    pairs.retain(|(a, b)| a != b);
    // The cycle of two pools has their pair twice.
    let mut unique_pairs = BTreeSet::new();
    pairs.retain(|pair| unique_pairs.insert(*pair));
    pairs
}

/// Every pair of these pools.
pub(crate) fn every_pair(pools: &[usize]) -> Vec<PoolPair> {
    let pairs = pools.iter().enumerate().flat_map(|(at, a)| {
        let rest = pools.iter().skip(at + 1);
        rest.map(|b| pair(*a, *b))
    });
    pairs.filter(|(a, b)| a != b).collect()
}

fn pair(a: usize, b: usize) -> PoolPair {
    (a.min(b), a.max(b))
}

/// The state before the next verdict: the arguments of [`fit`].
#[derive(Clone, Copy, Debug)]
pub struct Beliefs<'a> {
    /// The prior mean of each pool's strength.
    pub mu: &'a [f64],
    /// The verdicts so far.
    pub comparisons: &'a [Comparison],
    /// The settings of the fit.
    pub settings: &'a RankSettings,
}

/// The weight of one verdict of a judge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VerdictWeight {
    /// r, as in [`Comparison`].
    pub weight: f64,
    /// γ, as in [`Comparison`].
    pub discrimination: f64,
}

/// The `count` most informative of the `open` pairs, best first. Ties (a judge without weight gives no
/// information) go to the likeliest pools, then to the smaller numbers.
pub(crate) fn most_informative(
    beliefs: Beliefs<'_>,
    voice: VerdictWeight,
    open: &[PoolPair],
    count: usize,
) -> Vec<PoolPair> {
    let p_best = fit(beliefs.mu, beliefs.comparisons, beliefs.settings).p_best;
    let contest = Contest::new(&p_best, beliefs);
    let before = contest.lead(None);
    #[expect(clippy::indexing_slicing, reason = "the open pairs are of pools that `mu` is about")]
    let mut gains: Vec<(f64, f64, PoolPair)> = (open.iter())
        .map(|&(a, b)| {
            // A verdict on a pool that is out of the race changes nothing.
            let gain = contest.expected_lead(a, b, voice).map_or(0.0, |after| after - before);
            (gain, p_best[a] + p_best[b], (a, b))
        })
        .collect();
    gains.sort_by(|x, y| y.0.total_cmp(&x.0).then(y.1.total_cmp(&x.1)).then(x.2.cmp(&y.2)));
    gains.into_iter().take(count).map(|(_, _, pair)| pair).collect()
}

/// The contest between the likeliest pools only.
struct Contest<'a> {
    /// The number of each pool, and its strength.
    pools: Vec<(usize, f64)>,
    mu: Vec<f64>,
    comparisons: Vec<Comparison>,
    settings: &'a RankSettings,
}

impl<'a> Contest<'a> {
    fn new(p_best: &[f64], beliefs: Beliefs<'a>) -> Self {
        let mut order: Vec<(usize, (&f64, &f64))> =
            p_best.iter().zip(beliefs.mu).enumerate().collect();
        order.sort_by(|(a, (x, _)), (b, (y, _))| y.total_cmp(x).then(a.cmp(b)));
        order.truncate(CONTENDERS);
        let places: BTreeMap<usize, usize> = order.iter().map(|(pool, _)| *pool).zip(0..).collect();
        let comparisons: Vec<Comparison> = (beliefs.comparisons.iter())
            .filter_map(|verdict| {
                let (a, b) = (*places.get(&verdict.a)?, *places.get(&verdict.b)?);
                Some(Comparison { a, b, ..*verdict })
            })
            .collect();
        let mu: Vec<f64> = order.iter().map(|(_, (_, mu))| **mu).collect();
        let strengths = fit(&mu, &comparisons, beliefs.settings).strengths;
        let pools = order.iter().map(|(pool, _)| *pool).zip(strengths).collect();
        Self { pools, mu, comparisons, settings: beliefs.settings }
    }

    /// P(the leader is best), with one verdict more.
    fn lead(&self, more: Option<Comparison>) -> f64 {
        let mut comparisons = self.comparisons.clone();
        comparisons.extend(more);
        let p_best = fit(&self.mu, &comparisons, self.settings).p_best;
        p_best.into_iter().fold(0.0, f64::max)
    }

    /// The same after a verdict on these two pools that is still to come; None if one of them is not in the
    /// contest.
    fn expected_lead(&self, a: usize, b: usize, voice: VerdictWeight) -> Option<f64> {
        let ((a, a_strength), (b, b_strength)) = (self.contender(a)?, self.contender(b)?);
        let VerdictWeight { weight, discrimination } = voice;
        let p_first = sigmoid(discrimination * (a_strength - b_strength));
        let verdict = Comparison { a, b, p: FIRM, weight, discrimination };
        let firm = self.lead(Some(verdict));
        let opposite = self.lead(Some(Comparison { p: 1.0 - FIRM, ..verdict }));
        Some(p_first * firm + (1.0 - p_first) * opposite)
    }

    /// The place of a pool in this contest, and its strength.
    fn contender(&self, pool: usize) -> Option<(usize, f64)> {
        let mut pools = self.pools.iter().enumerate();
        pools.find(|(_, (number, _))| *number == pool).map(|(at, (_, strength))| (at, *strength))
    }
}

#[cfg(test)]
mod tests;
