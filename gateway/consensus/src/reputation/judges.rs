//! How much a judge's pair verdicts count. There are three sources, each weighted by its number of
//! observations.
//!
//! ```text
//! flips     how seldom its verdicts on two orders contradict each other: needs no gold
//! gold      how often it preferred the right answer of a pair: the only source that can make the
//!           result negative (all pairs of one question are one observation)
//! crowd     how often the ranking without it agreed: at most as much as a few gold pairs
//! ```
//!
//! Flips and gold are counted separately for direct verdicts and for verdicts after a critique
//! ([`ComparisonMode`]). The observations of one mode are the prior of the other.
//!
//! w, the log-odds that a judge which prefers one of two is right, is the maximum of
//! `log N(w; flips, variance) + r ln σ(w) + (n - r) ln σ(-w)`, where r of n gold pairs were right
//! (a pair whose two orders contradict each other does not count). For a kind of ask the same formula
//! applies, with w over all kinds in the place of the flips.
//!
//! Judges make the same mistakes (measured correlation .2 to .6), so the judges of one round are
//! weighted together: `v = R⁻¹ w`, where R is the correlation of their errors on the gold pairs that
//! two of them share, shrunk to a prior. K equal judges then count as K / (1 + ρ (K - 1)): as one
//! judge when ρ is 1.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    linear::{Cholesky, Square},
    reputation::{
        KindId, KindPosterior, Record, Settings,
        calibration::{logit, sigmoid},
    },
};

/// How a judge compares two answers. Each mode has its own counts: a model that prefers the wrong
/// answer in a direct verdict may see the mistake when it writes its reasons, or the reverse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonMode {
    /// By the probability of its verdict token, without reasons.
    #[default]
    #[serde(rename = "at_once")]
    Direct,
    /// After it wrote its reasons.
    Reasoned,
}

impl ComparisonMode {
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Direct => Self::Reasoned,
            Self::Reasoned => Self::Direct,
        }
    }
}

/// A judge's verdict on one gold pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "GoldPairFormat")]
pub struct GoldPair {
    /// P that it gave to the right answer, the mean over the two orders.
    pub p: f64,
    /// The question, by [`item`]: the same for all of its judges. 0: unknown.
    pub item: u64,
    /// The kind of question, if the gold set names one.
    pub kind: Option<KindId>,
    /// The mode of the comparison.
    #[serde(rename = "way")]
    pub mode: ComparisonMode,
}

/// The stored forms: records of earlier builds hold P alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum GoldPairFormat {
    Bare(f64),
    Whole {
        p: f64,
        #[serde(default)]
        item: u64,
        #[serde(default)]
        kind: Option<KindId>,
        #[serde(default, rename = "way")]
        mode: ComparisonMode,
    },
}

impl From<GoldPairFormat> for GoldPair {
    fn from(format: GoldPairFormat) -> Self {
        match format {
            GoldPairFormat::Bare(p) => {
                Self { p, item: 0, kind: None, mode: ComparisonMode::Direct }
            }
            GoldPairFormat::Whole { p, item, kind, mode } => Self { p, item, kind, mode },
        }
    }
}

impl GoldPair {
    /// The verdict in [-1, 1]: 1 for the right answer, -1 for the wrong one, 0 undecided.
    fn verdict(&self) -> f64 {
        (2.0 * self.p - 1.0).clamp(-1.0, 1.0)
    }
}

/// The id of a gold question: the FNV-1a hash (64 bits) of its text, or of several texts that
/// identify it together. It is the same on every gateway. A member that provokes a collision can only
/// make its own errors look correlated.
pub fn item<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Where a member comes from: members with the same provenance are likely to make the same mistakes.
/// An empty name equals no other name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The operator that the node names.
    pub operator: String,
    /// The family of its model.
    pub family: String,
    /// Digest of its weights.
    pub digest: String,
    /// Parameters of its model, as the node states them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Its model is made for narrow kinds of question, where its size does not predict its accuracy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub specialist: bool,
}

impl Provenance {
    /// True for the same operator, the same family of models or the same weights.
    pub(crate) fn is_shared_with(&self, peer: &Self) -> bool {
        let names = [
            (&self.operator, &peer.operator),
            (&self.family, &peer.family),
            (&self.digest, &peer.digest),
        ];
        names.into_iter().any(|(a, b)| !a.is_empty() && a == b)
    }
}

/// Log-odds that this judge alone is right when it prefers one of two answers to such an ask in this
/// mode.
pub(super) fn log_odds(
    record: &Record,
    ask: &KindPosterior,
    mode: ComparisonMode,
    settings: &Settings,
) -> f64 {
    /// Agreements after which the crowd counts half of its maximum.
    const CROWD_HALF: f64 = 20.0;
    let steadiness = steadiness(record, mode, settings);
    let agreements = record.agreed.observations();
    let crowd = settings.crowd_pairs * agreements / (agreements + CROWD_HALF);
    // Two modes differ as two kinds of ask do. So the gold of the opposite mode moves the prior by
    // the share of a judge's log-odds that the two modes have in common.
    let opposite = GoldCounts::new(record.pairs_when(mode.opposite()))
        .log_odds(steadiness, settings.flips_variance);
    let common = settings.flips_variance / (settings.flips_variance + settings.kind_variance);
    let prior = steadiness + common * (opposite - steadiness);
    let mut counts = GoldCounts::new(record.pairs_when(mode));
    counts.right += crowd * record.agreed.mean();
    counts.total += crowd;
    let overall = counts.log_odds(prior, settings.flips_variance);
    ask.mean(overall, |kind| {
        let pairs = record.pairs_when(mode).filter(|pair| pair.kind.as_ref() == Some(kind));
        GoldCounts::new(pairs).log_odds(overall, settings.kind_variance)
    })
}

/// The log-odds that a judge's flips alone give it.
fn steadiness(record: &Record, mode: ComparisonMode, settings: &Settings) -> f64 {
    /// Upper bound: the verdicts of a liar on two orders agree perfectly.
    const STEADINESS_MAX: f64 = 2.5;
    /// Lower bound: a pair whose two orders contradict each other does not count anyway, and on the
    /// rest five peers of flip rates from .25 to .62 were as often right. Measured on recorded
    /// raters: a lower bound costs PRD (.74 at .3), a higher one the adversarial part of LLMBar.
    const STEADINESS_MIN: f64 = 0.8;
    // The flip rate of the opposite mode is the prior of this one.
    let opposite = record
        .flips_when(mode.opposite())
        .shrunk_mean(settings.flips_expected, settings.pair_shrinkage);
    let flips = record.flips_when(mode).shrunk_mean(opposite, settings.pair_shrinkage);
    // A judge that contradicts itself half of the time looks at positions and not at answers, so its
    // log-odds shrink to 0 there.
    let log_odds = (1.0 - 2.0 * flips).max(0.0).sqrt() * logit(1.0 - flips);
    log_odds.clamp(STEADINESS_MIN, STEADINESS_MAX)
}

/// Right verdicts and all verdicts, each weighted by its decisiveness.
#[derive(Clone, Copy, Debug, Default)]
struct GoldCounts {
    right: f64,
    total: f64,
}

impl GoldCounts {
    /// All pairs of one question are one observation, their mean: they contain the same right
    /// answer, and a judge that misjudges it once misjudges it in all of them.
    fn new<'a>(pairs: impl Iterator<Item = &'a GoldPair>) -> Self {
        let mut counts = Self::default();
        let mut questions: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
        for pair in pairs {
            let verdict = pair.verdict();
            if pair.item == 0 {
                counts.right += verdict.max(0.0);
                counts.total += verdict.abs();
            } else {
                let sums = questions.entry(pair.item).or_default();
                *sums = (sums.0 + verdict.max(0.0), sums.1 + verdict.abs(), sums.2 + 1.0);
            }
        }
        for (right, total, pairs) in questions.into_values() {
            counts.right += right / pairs;
            counts.total += total / pairs;
        }
        counts
    }

    /// The log-odds w that maximise `(r ln σ(w) + (n - r) ln σ(-w)) - (w - towards)² / 2 variance`.
    /// The derivative falls strictly, and its root lies within n variances of `towards`: bisection.
    fn log_odds(&self, towards: f64, variance: f64) -> f64 {
        let variance = variance.max(1e-6);
        let reach = self.total * variance + 1e-9;
        let (mut low, mut high) = (towards - reach, towards + reach);
        // Sixty halvings leave an interval that is too small to matter.
        for _ in 0..60 {
            let w = 0.5 * (low + high);
            if self.right - self.total * sigmoid(w) > (w - towards) / variance {
                low = w;
            } else {
                high = w;
            }
        }
        0.5 * (low + high)
    }
}

/// A judge's errors on gold, for the correlation with the errors of a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    /// Its verdict less its mean verdict, by question.
    by_item: BTreeMap<u64, f64>,
}

impl Errors {
    pub(super) fn new(pairs: &VecDeque<GoldPair>) -> Self {
        let mut questions: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for pair in pairs.iter().filter(|pair| pair.item != 0) {
            let sums = questions.entry(pair.item).or_default();
            *sums = (sums.0 + pair.verdict(), sums.1 + 1.0);
        }
        let verdicts: BTreeMap<u64, f64> =
            questions.into_iter().map(|(item, (sum, count))| (item, sum / count)).collect();
        let mean = verdicts.values().sum::<f64>() / verdicts.len().max(1) as f64;
        Self { by_item: verdicts.into_iter().map(|(item, p)| (item, p - mean)).collect() }
    }

    /// Correlation of the errors of two judges in [0, 1], on their common questions, shrunk to that of
    /// unrelated judges. A negative correlation counts as 0: two judges are at most two voices.
    fn correlation(&self, peer: &Self, settings: &Settings) -> f64 {
        let (mut count, mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0, 0.0);
        for (item, x) in &self.by_item {
            let Some(y) = peer.by_item.get(item) else { continue };
            count += 1.0;
            xx += x * x;
            yy += y * y;
            xy += x * y;
        }
        let correlation = if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 };
        let strength = settings.correlation_shrinkage.max(1e-9);
        let shrunk =
            (count * correlation + strength * settings.correlation_expected) / (count + strength);
        shrunk.clamp(0.0, 1.0)
    }
}

/// One judge of a round.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) log_odds: f64,
    pub(super) errors: &'a Errors,
    pub(super) provenance: &'a Provenance,
}

/// The judges of a round with the correlations of their errors. They are weighted for each pair by
/// its own judges, so a judge without a verdict on the pair has no influence there.
#[derive(Clone, Debug)]
pub(super) struct CorrelatedJudges {
    log_odds: Vec<f64>,
    correlations: Square,
}

impl CorrelatedJudges {
    pub(super) fn new(judges: &[Judge<'_>], settings: &Settings) -> Self {
        /// Correlation of judges that share their provenance. At 1 the matrix would be singular.
        const SAME_PROVENANCE: f64 = 0.95;
        let mut correlations = Square::diagonal(judges.len(), 1.0);
        for (row, a) in judges.iter().enumerate() {
            for (column, b) in judges.iter().enumerate().take(row) {
                let correlation = if a.provenance.is_shared_with(b.provenance) {
                    SAME_PROVENANCE
                } else {
                    a.errors.correlation(b.errors, settings)
                };
                correlations.add(row, column, correlation);
                correlations.add(column, row, correlation);
            }
        }
        Self { log_odds: judges.iter().map(|judge| judge.log_odds).collect(), correlations }
    }

    /// R⁻¹ w over the judges at these places: the log-odds that each judge adds to the rest.
    #[expect(clippy::indexing_slicing, reason = "`Panel` numbers its judges as `Self::new` does")]
    pub(super) fn weights(&self, places: &[usize]) -> Vec<f64> {
        let alone: Vec<f64> = places.iter().map(|at| self.log_odds[*at]).collect();
        let mut matrix = Square::diagonal(places.len(), 0.0);
        for (row, judge) in places.iter().enumerate() {
            for (column, peer) in places.iter().enumerate() {
                matrix.add(row, column, self.correlations.get(*judge, *peer));
            }
        }
        let together = solve(matrix, &alone);
        // A judge's sign comes from its own gold only, and its log-odds at most double. (They may
        // grow: for two judges with the same mistakes, one mostly right and one mostly wrong, the
        // difference says more than either verdict.)
        alone
            .iter()
            .zip(together)
            .map(|(w, v)| if w * v > 0.0 { v.clamp(-2.0 * w.abs(), 2.0 * w.abs()) } else { 0.0 })
            .collect()
    }
}

/// x with A x = b for a symmetric A with ones on its diagonal. Correlations measured on different
/// pairs may be inconsistent; then all of them shrink until the matrix is positive definite.
fn solve(mut correlations: Square, b: &[f64]) -> Vec<f64> {
    /// The smallest eigenvalue that is accepted: it bounds how much a verdict can be amplified.
    const LEAST: f64 = 0.02;
    // Each step takes a fifth; long before a hundred steps the diagonal dominates.
    for _ in 0..100 {
        let mut margin = correlations.clone();
        (0..b.len()).for_each(|k| margin.add(k, k, -LEAST));
        if Cholesky::new(&margin, 0.0).is_definite() {
            break;
        }
        correlations.scale_off_diagonal(0.8);
    }
    // No pivot is below the smallest eigenvalue.
    Cholesky::new(&correlations, LEAST).solve(b)
}

#[cfg(test)]
mod tests;
