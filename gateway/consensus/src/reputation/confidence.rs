//! P(right): how likely a pool's answer is right, with "none of these" as one more hypothesis.
//!
//! ```text
//! P(pool i is right) = e^(β s_i) / (e^(ν + ln m) + Σ_j e^(β s_j))
//! ```
//!
//! s are the ranking's strengths, log-odds relative to an answer that no writer gave. m is the number of plausible
//! answers that no writer gave, each of strength 0. β tempers sources that are not independent, and ν shifts the
//! weight of "none". Both are fitted to rounds with known answers: over all kinds around the settings, and for
//! each kind around that.
//!
//! Final answers exclude each other. Whole texts do not: three explanations of a rainbow may all be right, so the
//! sum of a text's rivals is left out, and P(pool i is right) = e^(β s_i) / (e^(ν + ln m) + e^(β s_i)).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{KindId, KindPosterior, calibration::sigmoid};

/// Rounds with known answers that are kept: enough for two parameters of a dozen kinds.
const KEEP: usize = 512;

/// β and ν.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    /// Factor on the strengths.
    pub slope: f64,
    /// Log-odds added to "none of these".
    pub none_of_these: f64,
}

impl Scale {
    /// Without rounds with known answers. Fitted once over the development halves of all recorded sets
    /// (eval/results/ranking.md), where each set counts alike.
    pub(crate) const UNFITTED: Self = Self { slope: 0.5, none_of_these: 0.0 };

    /// P(right) of each pool.
    pub(crate) fn probabilities(&self, strengths: &[f64], rivals: Rivals) -> Vec<f64> {
        let none = self.none_of_these + rivals.open.max(f64::MIN_POSITIVE).ln();
        let tempered_strengths: Vec<f64> =
            strengths.iter().map(|strength| self.slope * strength).collect();
        if !rivals.exclusive {
            return tempered_strengths
                .into_iter()
                .map(|strength| sigmoid(strength - none))
                .collect();
        }
        let most = tempered_strengths.iter().copied().fold(none, f64::max);
        let weights: Vec<f64> =
            tempered_strengths.iter().map(|value| (value - most).exp()).collect();
        let total = weights.iter().sum::<f64>() + (none - most).exp();
        weights.into_iter().map(|weight| weight / total).collect()
    }
}

/// What else may be right beside a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rivals {
    /// Plausible answers that no writer gave.
    pub open: f64,
    /// Whether at most one pool is right.
    pub exclusive: bool,
}

/// The pools of a round with a known answer, as they were ranked before the answer was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelledPools {
    /// The kind that the gold set names.
    pub kind: Option<KindId>,
    /// Strengths by pool.
    pub strengths: Vec<f64>,
    /// Whether each pool is right.
    pub right: Vec<bool>,
    /// Plausible answers that no writer gave.
    pub open: f64,
    /// Whether at most one pool is right.
    #[serde(default = "exclusive")]
    pub exclusive: bool,
}

/// Rounds that were stored before texts were told from final answers.
fn exclusive() -> bool {
    true
}

impl LabelledPools {
    fn rivals(&self) -> Rivals {
        Rivals { open: self.open, exclusive: self.exclusive }
    }
}

/// The rounds that P(right) is fitted to, with the fits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "VecDeque<LabelledPools>", into = "VecDeque<LabelledPools>")]
pub struct Confidence {
    rounds: VecDeque<LabelledPools>,
    /// For questions of no known kind: over the rounds of general kinds, or over all where there are none.
    unknown: Option<Scale>,
    kinds: BTreeMap<KindId, Scale>,
}

impl Confidence {
    /// Learns one round and fits again, some hundred microseconds for each ten rounds.
    pub fn learn(&mut self, round: LabelledPools) {
        let is_usable = !round.strengths.is_empty()
            && round.strengths.len() == round.right.len()
            && round.strengths.iter().all(|strength| strength.is_finite());
        if !is_usable {
            return;
        }
        self.rounds.push_back(round);
        if self.rounds.len() > KEEP {
            self.rounds.pop_front();
        }
        self.fit();
    }

    /// P(right) of each pool of a question of this kind.
    pub fn probabilities(
        &self,
        strengths: &[f64],
        rivals: Rivals,
        kind: &KindPosterior,
    ) -> Vec<f64> {
        let unknown = self.unknown.unwrap_or(Scale::UNFITTED);
        let mut sums = vec![0.0; strengths.len()];
        let mut rest = 1.0;
        let kind_scales = kind.iter().filter_map(|(kind, p)| Some((p, *self.kinds.get(kind)?)));
        for (share, scale) in kind_scales {
            rest -= share;
            add(&mut sums, share, &scale.probabilities(strengths, rivals));
        }
        add(&mut sums, f64::max(rest, 0.0), &unknown.probabilities(strengths, rivals));
        sums
    }

    fn fit(&mut self) {
        let labelled_rounds: Vec<&LabelledPools> = self.rounds.iter().collect();
        let overall = fit(&labelled_rounds, Scale::UNFITTED);
        let mut by_kind: BTreeMap<&KindId, Vec<&LabelledPools>> = BTreeMap::new();
        for round in &labelled_rounds {
            if let Some(kind) = &round.kind {
                by_kind.entry(kind).or_default().push(round);
            }
        }
        let kinds = by_kind.into_iter().map(|(kind, rounds)| (kind.clone(), fit(&rounds, overall)));
        self.kinds = kinds.collect();
        // The accuracy of specialists on their own kinds says nothing about other questions.
        let general: Vec<&LabelledPools> = (labelled_rounds.iter().copied())
            .filter(|round| round.kind.as_ref().is_none_or(KindId::is_general))
            .collect();
        let unknown = if general.is_empty() { overall } else { fit(&general, Scale::UNFITTED) };
        self.unknown = Some(unknown);
    }
}

impl From<VecDeque<LabelledPools>> for Confidence {
    fn from(rounds: VecDeque<LabelledPools>) -> Self {
        let mut confidence = Self { rounds, ..Self::default() };
        if !confidence.rounds.is_empty() {
            confidence.fit();
        }
        confidence
    }
}

impl From<Confidence> for VecDeque<LabelledPools> {
    fn from(confidence: Confidence) -> Self {
        confidence.rounds
    }
}

fn add(sums: &mut [f64], share: f64, values: &[f64]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += share * value);
}

/// The scale that maximises the likelihood of the labels with a Gaussian prior around `towards`: a pattern
/// search, because the likelihood has several right pools and need not be concave.
fn fit(rounds: &[&LabelledPools], towards: Scale) -> Scale {
    let mut at = towards;
    let mut value = log_posterior(rounds, at, towards);
    let mut step = 1.0;
    while step > 0.01 {
        let moves = [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)];
        let neighbours = moves.map(|(x, y)| Scale {
            slope: (at.slope.ln() + 0.5 * step * x).clamp(-4.0, 2.0).exp(),
            none_of_these: (at.none_of_these + step * y).clamp(-6.0, 6.0),
        });
        let better = neighbours
            .into_iter()
            .map(|scale| (scale, log_posterior(rounds, scale, towards)))
            .filter(|(_, neighbour)| *neighbour > value + 1e-9)
            .max_by(|x, y| x.1.total_cmp(&y.1));
        match better {
            Some(scale) => (at, value) = scale,
            None => step *= 0.5,
        }
    }
    at
}

fn log_posterior(rounds: &[&LabelledPools], at: Scale, towards: Scale) -> f64 {
    /// Variances of ln β and of ν around the prior.
    const VARIANCES: (f64, f64) = (0.25, 2.0);
    let likelihood = rounds.iter().map(|round| log_likelihood(round, at)).sum::<f64>();
    let distances = (
        (at.slope / towards.slope).ln().powi(2),
        (at.none_of_these - towards.none_of_these).powi(2),
    );
    likelihood - 0.5 * (distances.0 / VARIANCES.0 + distances.1 / VARIANCES.1)
}

/// ln P(one of the right pools, or none where none is right). Where pools do not exclude each other, ln P(the label of
/// the strongest one): it is what a round would send, and the weak ones of many would only teach how often members
/// are wrong.
fn log_likelihood(round: &LabelledPools, scale: Scale) -> f64 {
    let probabilities = scale.probabilities(&round.strengths, round.rivals());
    let labelled = probabilities.iter().zip(&round.right);
    if !round.exclusive {
        let strongest = labelled.max_by(|x, y| x.0.total_cmp(y.0));
        let p = strongest.map_or(1.0, |(p, right)| if *right { *p } else { 1.0 - p });
        return p.max(1e-9).ln();
    }
    let sum: f64 = labelled.filter(|(_, right)| **right).map(|(p, _)| p).sum();
    let p = if round.right.contains(&true) { sum } else { 1.0 - probabilities.iter().sum::<f64>() };
    p.max(1e-9).ln()
}

#[cfg(test)]
mod tests;
