//! The choice of the next pairs of pools for a judge. Pure.
//!
//! The first pairs form a random cycle, which compares each pool with two more and connects all pools.
//! The next pairs are those with the largest expected rise of the maximal P(best), where the verdict
//! has its predicted distribution. So a ballot raises the probability that the best answer is sent.
//! (The entropy of P(best) would fall as much by a comparison of two losers.)

use std::collections::BTreeSet;

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
pub fn every_pair(pools: &[usize]) -> Vec<PoolPair> {
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
pub struct Voice {
    /// r, as in [`Comparison`].
    pub weight: f64,
    /// γ, as in [`Comparison`].
    pub discrimination: f64,
}

/// The `count` most informative of the `open` pairs, best first. Ties (a judge without weight gives no
/// information) go to the likeliest pools, then to the smaller numbers.
pub fn most_informative(
    beliefs: Beliefs<'_>,
    voice: Voice,
    open: &[PoolPair],
    count: usize,
) -> Vec<PoolPair> {
    let p_best = fit(beliefs.mu, beliefs.comparisons, beliefs.settings).p_best;
    let mut order: Vec<(usize, f64)> = p_best.iter().copied().enumerate().collect();
    order.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
    let contenders: Vec<usize> = order.iter().take(CONTENDERS).map(|(pool, _)| *pool).collect();
    let contest = Contest::among(&contenders, beliefs);
    let before = contest.lead(None);
    let mut gains: Vec<(f64, f64, PoolPair)> = open
        .iter()
        .filter_map(|&(a, b)| {
            let likely = p_best.get(a)? + p_best.get(b)?;
            let gain = contest.expected_lead(a, b, voice).map_or(0.0, |after| after - before);
            Some((gain, likely, (a, b)))
        })
        .collect();
    gains.sort_by(|x, y| y.0.total_cmp(&x.0).then(y.1.total_cmp(&x.1)).then(x.2.cmp(&y.2)));
    gains.into_iter().take(count).map(|(_, _, pair)| pair).collect()
}

/// The contest between the likeliest pools only.
struct Contest<'a> {
    pools: &'a [usize],
    mu: Vec<f64>,
    comparisons: Vec<Comparison>,
    settings: &'a RankSettings,
    strengths: Vec<f64>,
}

impl<'a> Contest<'a> {
    fn among(pools: &'a [usize], beliefs: Beliefs<'a>) -> Self {
        let place = |pool: usize| pools.iter().position(|number| *number == pool);
        let mu = pools.iter().filter_map(|pool| beliefs.mu.get(*pool).copied()).collect::<Vec<_>>();
        let comparisons: Vec<Comparison> = beliefs
            .comparisons
            .iter()
            .filter_map(|number| {
                Some(Comparison { a: place(number.a)?, b: place(number.b)?, ..*number })
            })
            .collect();
        let strengths = fit(&mu, &comparisons, beliefs.settings).strengths;
        Self { pools, mu, comparisons, settings: beliefs.settings, strengths }
    }

    /// P(the leader is best), with one verdict more.
    fn lead(&self, more: Option<Comparison>) -> f64 {
        let mut comparisons = self.comparisons.clone();
        comparisons.extend(more);
        let p_best = fit(&self.mu, &comparisons, self.settings).p_best;
        p_best.into_iter().fold(0.0, f64::max)
    }

    /// The same after a verdict on these two pools that has not been given yet; None when one of
    /// them is not in the race.
    fn expected_lead(&self, a: usize, b: usize, voice: Voice) -> Option<f64> {
        let place = |pool: usize| self.pools.iter().position(|number| *number == pool);
        let (a, b) = (place(a)?, place(b)?);
        let lead = self.strengths.get(a)? - self.strengths.get(b)?;
        let p_first = sigmoid(voice.discrimination * lead);
        let Voice { weight, discrimination } = voice;
        let verdict = |p: f64| self.lead(Some(Comparison { a, b, p, weight, discrimination }));
        Some(p_first * verdict(FIRM) + (1.0 - p_first) * verdict(1.0 - FIRM))
    }
}

#[cfg(test)]
mod tests;
