//! The ranking with its uncertainty: weighted Bradley-Terry, maximum a posteriori.
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
mod compare;
mod fit;

use crate::{
    agree::AnswerForm,
    ballot::Verdicts,
    candidate::Candidate,
    linear::Square,
    outcome::{Parts, Ranking},
    reputation::{Rivals, Voice},
    settings::RankSettings,
    tally::Tally,
};
pub use fit::{Fit, fit};

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

impl Tally<'_> {
    /// Ranks the candidates by the evidence about each pool and by pair verdicts.
    ///
    /// Order: strength of the pool, then the writer's standing, then the earliest to finish, then
    /// the first in the list. Nothing is random.
    pub fn ranking(&self) -> Ranking {
        let evidence = self.evidence();
        let mu: Vec<f64> = evidence.iter().map(Parts::total).collect();
        Ranking { evidence: self.by_candidate(&evidence), ..self.ranking_from(&mu) }
    }

    /// The ranking with this evidence: μ of each pool, by pool number.
    pub(crate) fn ranking_from(&self, mu: &[f64]) -> Ranking {
        let comparisons = self.comparisons();
        let fit = fit(mu, &comparisons, &self.config.rank);
        let strengths = self.by_candidate(&fit.strengths);
        let p_right =
            self.standing.confidence().probabilities(&fit.strengths, self.rivals(), self.kind);
        Ranking {
            p_right: self.by_candidate(&p_right),
            order: self.order(&strengths),
            evidence: Vec::new(),
            p_best: self.by_candidate(&fit.p_best),
            strengths,
            connected: self.is_connected(),
            cyclic: cyclic(mu.len(), &comparisons),
            margin: margin(&fit.strengths),
        }
    }

    /// What else may be right beside a pool. At least one answer that no writer gave, because the question may
    /// have no answer.
    pub fn rivals(&self) -> Rivals {
        let form = self.answer_form();
        let wrong = form.agreement(self.config.evidence.agreement).exp();
        let exclusive = form != AnswerForm::Text;
        let pools = if exclusive { self.pools() as f64 } else { 1.0 };
        Rivals { open: (wrong + 1.0 - pools).max(1.0), exclusive }
    }

    /// The candidates' indices, best first.
    fn order(&self, strengths: &[f64]) -> Vec<usize> {
        let mut keys: Vec<(usize, f64, f64, &Candidate)> = (self.candidates.iter().zip(strengths))
            .enumerate()
            .map(|(at, (candidate, strength))| {
                (at, *strength, self.standing.writer_weight(&candidate.writer), candidate)
            })
            .collect();
        keys.sort_by(|x, y| {
            (y.1.total_cmp(&x.1))
                .then(y.2.total_cmp(&x.2))
                .then(x.3.took.cmp(&y.3.took))
                .then(x.0.cmp(&y.0))
        });
        keys.into_iter().map(|(at, ..)| at).collect()
    }

    /// Every pool is reachable from every other through pairs, or through judges that scored both.
    fn is_connected(&self) -> bool {
        let mut edges: Vec<(usize, usize)> = Vec::new();
        for ballot in self.ballots {
            match &ballot.verdicts {
                Verdicts::Pairs(pairs) => edges.extend(pairs.iter().map(|pair| (pair.a, pair.b))),
                Verdicts::Scores(scores) => {
                    let rest = scores.iter().skip(1);
                    edges.extend(scores.iter().zip(rest).map(|(x, y)| (x.candidate, y.candidate)));
                }
            }
        }
        for (a, b) in &mut edges {
            (*a, *b) = (self.candidate(*a).pool, self.candidate(*b).pool);
        }
        let mut is_reached = vec![false; self.pools()];
        let mut frontier = vec![0];
        while let Some(at) = frontier.pop() {
            if let Some(flag) = is_reached.get_mut(at).filter(|flag| !**flag) {
                *flag = true;
                frontier.extend(edges.iter().filter(|(a, _)| *a == at).map(|(_, b)| *b));
                frontier.extend(edges.iter().filter(|(_, b)| *b == at).map(|(a, _)| *a));
            }
        }
        is_reached.into_iter().all(|flag| flag)
    }
}

/// More ballots would hardly change the winner.
pub fn is_clear(ranking: &Ranking, settings: &RankSettings) -> bool {
    ranking.p_best.iter().any(|p| *p >= settings.tau)
}

/// γ of a voice. A verdict then moves the difference of two strengths by the log-odds that its judge is right,
/// as evidence does, for every weight λ of the evidence: between equals, a verdict p moves it by
/// γ (2p - 1) / λ.
pub fn gamma(voice: Voice, settings: &RankSettings) -> f64 {
    settings.lambda * voice.log_odds()
}

/// The weighted majorities of the pairs contain a cycle: repeatedly removing pools that no remaining
/// pool beats leaves some pools.
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
    let mut order = strengths.to_vec();
    order.sort_by(|x, y| y.total_cmp(x));
    if let [first, second, ..] = order[..] { first - second } else { 0.0 }
}

#[cfg(test)]
mod tests;
