//! Who is best, and how sure that is: weighted Bradley-Terry, maximum a posteriori.
//!
//! ```text
//! L(θ) = Σ_k r_k Σ_(i,j) [ p log σ(γ_k (θi - θj)) + (1-p) log σ(γ_k (θj - θi)) ] - λ/2 Σ (θi - μi)²
//! ```
//!
//! i and j are pools of equal answers, p is judge k's P(i is better) with both orders averaged,
//! r_k its weight, γ_k its discrimination (negative for one that is systematically wrong), μ the
//! evidence about each pool alone. The prior makes L strictly concave: there is always one best
//! θ, on separable, cyclic, empty and disconnected ballots alike, and Newton finds it.

mod best;
mod dense;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

use crate::{
    ballot::{CastBallot, Verdicts},
    candidate::Candidate,
    outcome::Ranking,
    reputation::{
        Standing, Voice, Way,
        calibration::{sigmoid, softplus},
    },
};
use dense::{Cholesky, Square};

/// How ballots become strengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// λ: how firmly the evidence about each pool alone is held against pair verdicts. It is also
    /// the precision of that evidence, which P(best) is computed from: at .2 claims were right as
    /// often as they said on 520 gold questions (expected calibration error .016; at .15 .023).
    pub lambda: f64,
    /// P(best) from which no more ballots are asked for.
    pub tau: f64,
    /// Newton ends when no strength moves by more than this.
    pub tolerance: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lambda: 0.2, tau: 0.95, tolerance: 1e-9 }
    }
}

/// One judge's verdict on two pools.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    pub a: usize,
    pub b: usize,
    /// P(a is better than b) in [0, 1].
    pub p: f64,
    /// r: the judge's weight, >= 0.
    pub weight: f64,
    /// γ: the judge's discrimination, of either sign.
    pub discrimination: f64,
}

/// The maximum of L and how sharp it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// θ, by pool.
    pub strengths: Vec<f64>,
    /// P(θ of this pool is the greatest), by pool; sums to 1.
    pub p_best: Vec<f64>,
    /// Newton steps taken.
    pub steps: usize,
}

/// Ranks the candidates by evidence (μ by pool, from [`crate::evidence`]) and pair verdicts.
///
/// Order: strength of the pool, then the writer's standing, then the earliest to finish, then
/// the first in the list. Nothing is random.
pub fn rank(
    mu: &[f64],
    candidates: &[Candidate],
    ballots: &[CastBallot],
    standing: &Standing,
    settings: &Settings,
) -> Ranking {
    let comparisons = comparisons(candidates, ballots, standing, settings);
    let fit = fit(mu, &comparisons, settings);
    let of_pool = |values: &[f64], pool: usize| values.get(pool).copied().unwrap_or(0.0);
    let by_candidate = |values: &[f64]| -> Vec<f64> {
        candidates.iter().map(|candidate| of_pool(values, candidate.pool)).collect()
    };
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|x, y| {
        let key = |at: usize| {
            candidates.get(at).map_or((0.0, 0.0, Default::default()), |candidate| {
                let weight = standing.writer_weight(&candidate.writer);
                (of_pool(&fit.strengths, candidate.pool), weight, Reverse(candidate.took))
            })
        };
        let (x_key, y_key) = (key(*x), key(*y));
        (y_key.0.total_cmp(&x_key.0))
            .then(y_key.1.total_cmp(&x_key.1))
            .then(y_key.2.cmp(&x_key.2))
            .then(x.cmp(y))
    });
    Ranking {
        strengths: by_candidate(&fit.strengths),
        p_best: by_candidate(&fit.p_best),
        order,
        connected: connected(mu.len(), candidates, ballots),
        cyclic: cyclic(mu.len(), &comparisons),
        margin: margin(&fit.strengths),
    }
}

/// Enough is known: more ballots would hardly change who wins.
pub fn settled(ranking: &Ranking, settings: &Settings) -> bool {
    ranking.p_best.iter().any(|p| *p >= settings.tau)
}

/// The strengths that maximise L. `mu` has one entry for each pool; comparisons that name others,
/// or a pool with itself, or hold something that is no number, are left out.
pub fn fit(mu: &[f64], comparisons: &[Comparison], settings: &Settings) -> Fit {
    let n = mu.len();
    let usable: Vec<Comparison> = comparisons
        .iter()
        .filter(|c| c.a < n && c.b < n && c.a != c.b)
        .filter(|c| c.p.is_finite() && c.weight.is_finite() && c.discrimination.is_finite())
        .map(|c| Comparison { p: c.p.clamp(0.0, 1.0), weight: c.weight.max(0.0), ..*c })
        .collect();
    let problem = Problem { mu, comparisons: &usable, lambda: settings.lambda.max(1e-9) };
    let mut theta = mu.to_vec();
    let mut value = problem.objective(&theta);
    let mut steps = 0;
    // A strictly concave objective with halved steps needs a dozen; the bound is for the unforeseen.
    while steps < 200 {
        steps += 1;
        let Some(step) = problem.newton_step(&theta) else { break };
        let Some((next, next_value, moved)) = problem.improve(&theta, value, &step) else { break };
        (theta, value) = (next, next_value);
        if moved < settings.tolerance {
            break;
        }
    }
    let p_best = problem.curvature(&theta).map_or_else(
        || vec![1.0 / n.max(1) as f64; n],
        |curvature| best::probabilities(&theta, &curvature),
    );
    Fit { strengths: theta, p_best, steps }
}

/// L and its derivatives.
struct Problem<'a> {
    mu: &'a [f64],
    comparisons: &'a [Comparison],
    lambda: f64,
}

impl Problem<'_> {
    fn objective(&self, theta: &[f64]) -> f64 {
        let at = |i: usize| theta.get(i).copied().unwrap_or(0.0);
        let fitted: f64 = self
            .comparisons
            .iter()
            .map(|c| {
                let z = c.discrimination * (at(c.a) - at(c.b));
                c.weight * (c.p * z - softplus(z))
            })
            .sum();
        let pull: f64 = theta.iter().zip(self.mu).map(|(t, m)| (t - m).powi(2)).sum();
        fitted - 0.5 * self.lambda * pull
    }

    /// Cholesky factor of the negative Hessian.
    fn curvature(&self, theta: &[f64]) -> Option<Cholesky> {
        let at = |i: usize| theta.get(i).copied().unwrap_or(0.0);
        let mut hessian = Square::diagonal(theta.len(), self.lambda);
        for c in self.comparisons {
            let s = sigmoid(c.discrimination * (at(c.a) - at(c.b)));
            let w = c.weight * c.discrimination.powi(2) * s * (1.0 - s);
            hessian.add(c.a, c.a, w);
            hessian.add(c.b, c.b, w);
            hessian.add(c.a, c.b, -w);
            hessian.add(c.b, c.a, -w);
        }
        Cholesky::of(&hessian)
    }

    fn newton_step(&self, theta: &[f64]) -> Option<Vec<f64>> {
        let at = |i: usize| theta.get(i).copied().unwrap_or(0.0);
        let mut gradient: Vec<f64> =
            theta.iter().zip(self.mu).map(|(t, m)| self.lambda * (m - t)).collect();
        for c in self.comparisons {
            let z = c.discrimination * (at(c.a) - at(c.b));
            let pull = c.weight * c.discrimination * (c.p - sigmoid(z));
            if let Some(slot) = gradient.get_mut(c.a) {
                *slot += pull;
            }
            if let Some(slot) = gradient.get_mut(c.b) {
                *slot -= pull;
            }
        }
        Some(self.curvature(theta)?.solve(&gradient))
    }

    /// Halves the step until L does not fall: next θ, its L, and how far it moved.
    fn improve(&self, theta: &[f64], value: f64, step: &[f64]) -> Option<(Vec<f64>, f64, f64)> {
        let mut scale = 1.0;
        while scale > 1e-10 {
            let next: Vec<f64> = theta.iter().zip(step).map(|(t, s)| t + scale * s).collect();
            let next_value = self.objective(&next);
            if next_value >= value - 1e-12 * value.abs() {
                let moved = step.iter().fold(0.0_f64, |most, s| most.max((scale * s).abs()));
                return Some((next, next_value, moved));
            }
            scale *= 0.5;
        }
        None
    }
}

/// Pair verdicts as comparisons of pools, each weighed beside the others about the same pair.
///
/// A judge that compares n pools has at most n - 1 independent things to say, however many pairs it
/// was given: what it found of one answer stands in each pair of it. So its pairs share that weight.
pub fn comparisons(
    candidates: &[Candidate],
    ballots: &[CastBallot],
    standing: &Standing,
    settings: &Settings,
) -> Vec<Comparison> {
    let compares = |ballot: &&CastBallot| matches!(ballot.verdicts, Verdicts::Pairs(_));
    let judges: Vec<(NodeId, Way)> =
        ballots.iter().filter(compares).map(|ballot| (ballot.judge, ballot.way())).collect();
    let panel = standing.panel(&judges);
    let cast: Vec<NodeId> = ballots.iter().map(|ballot| ballot.judge).collect();
    let shares: BTreeMap<NodeId, f64> = cast.iter().copied().zip(standing.shares(&cast)).collect();
    let spoken = spoken(candidates, ballots);
    let independent = independent(&spoken);
    let mut known: BTreeMap<&BTreeSet<NodeId>, BTreeMap<NodeId, Voice>> = BTreeMap::new();
    let mut comparisons = Vec::new();
    for ((a, b), said) in &spoken {
        let voices = known.entry(&said.by).or_insert_with(|| {
            let by: Vec<NodeId> = said.by.iter().copied().collect();
            by.iter().copied().zip(panel.voices(&by)).collect()
        });
        for (judge, p) in &said.verdicts {
            if let Some(voice) = voices.get(judge).copied() {
                let share = |of: &BTreeMap<NodeId, f64>| of.get(judge).copied().unwrap_or(0.0);
                let weight = voice.weight * share(&shares) * share(&independent);
                let discrimination = gamma(voice, settings);
                comparisons.push(Comparison { a: *a, b: *b, p: *p, weight, discrimination });
            }
        }
    }
    comparisons
}

/// γ of a voice: so that a verdict moves the difference of two strengths by the log-odds that its
/// judge is right, as evidence does, however firmly evidence is held (λ). Between equals a verdict p
/// moves it by γ (2p - 1) / λ.
pub fn gamma(voice: Voice, settings: &Settings) -> f64 {
    settings.lambda * voice.log_odds()
}

/// For each judge the share of its pairs that could be told independently of each other.
fn independent(spoken: &BTreeMap<(usize, usize), Said>) -> BTreeMap<NodeId, f64> {
    let mut seen: BTreeMap<NodeId, (BTreeSet<usize>, usize)> = BTreeMap::new();
    for ((a, b), said) in spoken {
        for (judge, _) in &said.verdicts {
            let (pools, pairs) = seen.entry(*judge).or_default();
            pools.extend([*a, *b]);
            *pairs += 1;
        }
    }
    let share = |(pools, pairs): (BTreeSet<usize>, usize)| {
        (pools.len().saturating_sub(1) as f64 / pairs.max(1) as f64).min(1.0)
    };
    seen.into_iter().map(|(judge, seen)| (judge, share(seen))).collect()
}

/// What was said about one pair of pools, and by whom.
#[derive(Debug, Default)]
struct Said {
    by: BTreeSet<NodeId>,
    /// P(the first pool is better).
    verdicts: Vec<(NodeId, f64)>,
}

/// The verdicts by pair of pools, the smaller first.
fn spoken(candidates: &[Candidate], ballots: &[CastBallot]) -> BTreeMap<(usize, usize), Said> {
    let mut spoken: BTreeMap<(usize, usize), Said> = BTreeMap::new();
    for ballot in ballots {
        let Verdicts::Pairs(pairs) = &ballot.verdicts else { continue };
        for pair in pairs {
            let (Some(a), Some(b)) = (candidates.get(pair.a), candidates.get(pair.b)) else {
                continue;
            };
            // A judge never speaks for itself, whatever its ballot says.
            if a.pool == b.pool || a.writer == ballot.judge || b.writer == ballot.judge {
                continue;
            }
            let (key, p) = if a.pool < b.pool {
                ((a.pool, b.pool), pair.p)
            } else {
                ((b.pool, a.pool), 1.0 - pair.p)
            };
            let said = spoken.entry(key).or_default();
            said.by.insert(ballot.judge);
            said.verdicts.push((ballot.judge, p));
        }
    }
    spoken
}

/// Every pool is reachable from every other through pairs, or through judges that scored both.
fn connected(pools: usize, candidates: &[Candidate], ballots: &[CastBallot]) -> bool {
    let pool = |at: usize| candidates.get(at).map(|candidate| candidate.pool);
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for ballot in ballots {
        match &ballot.verdicts {
            Verdicts::Pairs(pairs) => {
                edges.extend(pairs.iter().filter_map(|pair| Some((pool(pair.a)?, pool(pair.b)?))));
            }
            Verdicts::Scores(scores) => {
                let scored: Vec<usize> = scores.iter().filter_map(|s| pool(s.candidate)).collect();
                edges.extend(scored.windows(2).filter_map(|pair| match pair {
                    [a, b] => Some((*a, *b)),
                    _ => None,
                }));
            }
        }
    }
    let mut reached = vec![false; pools];
    let mut frontier = vec![0];
    while let Some(at) = frontier.pop() {
        if let Some(seen) = reached.get_mut(at).filter(|seen| !**seen) {
            *seen = true;
            frontier.extend(edges.iter().filter(|(a, _)| *a == at).map(|(_, b)| *b));
            frontier.extend(edges.iter().filter(|(_, b)| *b == at).map(|(a, _)| *a));
        }
    }
    reached.into_iter().all(|seen| seen)
}

/// The weighted majorities of the pairs contain a cycle: peeling off, again and again, whoever is
/// beaten by nobody left does not take everybody.
fn cyclic(pools: usize, comparisons: &[Comparison]) -> bool {
    let mut lead = Square::diagonal(pools, 0.0);
    for c in comparisons {
        let toward = c.weight * c.discrimination * (c.p - 0.5);
        lead.add(c.a, c.b, toward);
        lead.add(c.b, c.a, -toward);
    }
    let mut left: Vec<usize> = (0..pools).collect();
    loop {
        let before = left.len();
        let rivals = left.clone();
        left.retain(|pool| rivals.iter().any(|rival| lead.get(*rival, *pool) > 1e-12));
        if left.is_empty() {
            return false;
        }
        if left.len() == before {
            return true;
        }
    }
}

/// θ(best) - θ(second best), 0 with one pool.
fn margin(strengths: &[f64]) -> f64 {
    let mut sorted = strengths.to_vec();
    sorted.sort_by(|x, y| y.total_cmp(x));
    match sorted.as_slice() {
        [first, second, ..] => first - second,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests;
