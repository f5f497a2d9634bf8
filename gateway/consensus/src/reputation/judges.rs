//! How a judge's pair verdicts count: from three sources, each as sure as it has seen.
//!
//! ```text
//! flips     how seldom its two orders contradict each other: free, known before any gold
//! gold      how often it preferred the right one of a pair: alone can make it negative (all pairs
//!           of one question are one observation)
//! crowd     how often the ranking without it agreed: never more than a few gold pairs
//! ```
//!
//! Flips and gold are counted apart for verdicts given at once and after a critique ([`Way`]); what
//! one way shows is expected of the other, and no more.
//!
//! w, the log-odds that a judge which prefers one of two is right, is the maximum of
//! `log N(w; flips, variance) + r ln σ(w) + (n - r) ln σ(-w)`, where r of n gold pairs were right
//! (a pair on which its orders contradict each other is none). So five pairs weigh like five. For
//! a kind of ask the same again, with w over all kinds in the place of the flips.
//!
//! Judges make the same mistakes (measured correlation .2 to .6), so the judges of one round are
//! weighed together: `v = R⁻¹ w`, R their errors' correlation on the gold pairs that both saw,
//! held to a prior. K equal judges then count like K / (1 + ρ (K - 1)): as one when ρ is 1.

#![expect(clippy::indexing_slicing, reason = "numeric kernel: all indices are below `n`")]

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::reputation::{
    KindId, KindPosterior, Record, Settings,
    calibration::{logit, sigmoid},
};

/// How a judge compares two answers. Each way has its own record: a model that prefers the wrong
/// one at first sight may see the mistake once it looks for it, or talk itself out of what it saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By the probability at its verdict.
    #[default]
    AtOnce,
    /// After saying why.
    Reasoned,
}

impl Way {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::AtOnce => Self::Reasoned,
            Self::Reasoned => Self::AtOnce,
        }
    }
}

/// One gold pair, as a judge saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Compared {
    /// P that it gave to the right one, both orders averaged.
    pub p: f64,
    /// Which question, by [`item`]: the same for every judge that saw it. 0: not known.
    pub item: u64,
    pub kind: Option<KindId>,
    pub way: Way,
}

/// Records from before pairs had names hold P alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Bare(f64),
    Whole {
        p: f64,
        #[serde(default)]
        item: u64,
        #[serde(default)]
        kind: Option<KindId>,
        #[serde(default)]
        way: Way,
    },
}

impl From<Stored> for Compared {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Bare(p) => Self { p, item: 0, kind: None, way: Way::AtOnce },
            Stored::Whole { p, item, kind, way } => Self { p, item, kind, way },
        }
    }
}

impl Compared {
    /// What it said in [-1, 1]: 1 surely the right one, 0 nothing (or both, in two orders).
    fn said(&self) -> f64 {
        (2.0 * self.p - 1.0).clamp(-1.0, 1.0)
    }
}

/// Names a gold question by its text (or by several that together name it), the same on every
/// gateway: FNV-1a, 64 bits. Whoever collides on purpose can only make its errors look alike.
pub fn item<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whose mistakes a member is likely to share. Empty names are nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kin {
    pub operator: String,
    pub family: String,
    /// Digest of its weights.
    pub digest: String,
}

impl Kin {
    /// The same weights, the same family of models, or the same hand.
    pub fn is_of(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| !a.is_empty() && a == b;
        same(&self.operator, &other.operator)
            || same(&self.family, &other.family)
            || same(&self.digest, &other.digest)
    }
}

/// Log-odds that this judge is right when it prefers one of two on such an ask in this way, by
/// itself.
pub(super) fn log_odds(record: &Record, ask: &KindPosterior, way: Way, settings: &Settings) -> f64 {
    /// No flip rate alone says more: a liar's two orders agree perfectly.
    const FLIPS_SAY_MOST: f64 = 2.5;
    /// Nor less: on pairs where its orders contradict each other a judge says nothing anyway, and on
    /// the others five peers of flip rates from .25 to .62 were as often right. Measured on recorded
    /// raters: lower costs PRD (.74 at .3), higher the adversarial part of LLMBar.
    const FLIPS_SAY_LEAST: f64 = 0.8;
    /// Agreements after which the crowd counts half of what it may count at most.
    const CROWD_HALF: f64 = 20.0;
    // What the other way shows is what is expected of this one.
    let contradicts = |way: Way, expected: f64| {
        record.flips_when(way).shrunk_mean(expected, settings.pair_shrinkage)
    };
    let flips = contradicts(way, contradicts(way.other(), settings.flips_expected));
    // Who contradicts itself half the time looks at positions and not at answers: what is left of
    // its log-odds fades with it.
    let steady = (1.0 - 2.0 * flips).max(0.0).sqrt() * logit(1.0 - flips);
    let steady = steady.clamp(FLIPS_SAY_LEAST, FLIPS_SAY_MOST);
    let agreed = record.agreed.seen();
    let crowd = settings.crowd_pairs * agreed / (agreed + CROWD_HALF);
    let pairs = |way: Way| record.pairs.iter().filter(move |pair| pair.way == way);
    // A way of comparing differs from another as a kind of ask does, so that the other way's gold
    // moves what is expected by the share of a judge's log-odds that both have in common.
    let otherwise = Tally::of(pairs(way.other())).log_odds(steady, settings.flips_variance);
    let common = settings.flips_variance / (settings.flips_variance + settings.kind_variance);
    let expected = steady + common * (otherwise - steady);
    let mut tally = Tally::of(pairs(way));
    tally.right += crowd * record.agreed.mean();
    tally.of += crowd;
    let overall = tally.log_odds(expected, settings.flips_variance);
    let on_kind = |kind: &KindId| {
        let same = pairs(way).filter(|pair| pair.kind.as_ref() == Some(kind));
        Tally::of(same).log_odds(overall, settings.kind_variance)
    };
    let known: f64 = ask.iter().map(|(kind, p)| p * on_kind(kind)).sum();
    let unknown = (1.0 - ask.iter().map(|(_, p)| p).sum::<f64>()).max(0.0);
    known + unknown * overall
}

/// Right verdicts of so many, both in parts.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    right: f64,
    of: f64,
}

impl Tally {
    /// All pairs of one question are one observation, their mean: the same right answer stands in
    /// each of them, and who misjudges it once misjudges it in all.
    fn of<'a>(pairs: impl Iterator<Item = &'a Compared>) -> Self {
        let mut tally = Self::default();
        let mut questions: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
        for pair in pairs {
            let said = pair.said();
            if pair.item == 0 {
                tally.right += said.max(0.0);
                tally.of += said.abs();
            } else {
                let of = questions.entry(pair.item).or_default();
                *of = (of.0 + said.max(0.0), of.1 + said.abs(), of.2 + 1.0);
            }
        }
        for (right, of, pairs) in questions.into_values() {
            tally.right += right / pairs;
            tally.of += of / pairs;
        }
        tally
    }

    /// The log-odds w that maximise `(r ln σ(w) + (n - r) ln σ(-w)) - (w - towards)² / 2 variance`.
    /// The derivative falls strictly, and its root lies within n variances of `towards`: bisection.
    fn log_odds(&self, towards: f64, variance: f64) -> f64 {
        let variance = variance.max(1e-6);
        let reach = self.of * variance + 1e-9;
        let (mut low, mut high) = (towards - reach, towards + reach);
        // Sixty halvings end below any difference that matters, wherever they began.
        for _ in 0..60 {
            let w = 0.5 * (low + high);
            if self.right - self.of * sigmoid(w) > (w - towards) / variance {
                low = w;
            } else {
                high = w;
            }
        }
        0.5 * (low + high)
    }
}

/// A judge's errors on gold, ready to be held against another's.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    /// What it said of the right one less what it usually says, by question.
    by_item: BTreeMap<u64, f64>,
}

impl Errors {
    pub(super) fn of(pairs: &VecDeque<Compared>) -> Self {
        let mut questions: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for pair in pairs.iter().filter(|pair| pair.item != 0) {
            let of = questions.entry(pair.item).or_default();
            *of = (of.0 + pair.said(), of.1 + 1.0);
        }
        let said: BTreeMap<u64, f64> =
            questions.into_iter().map(|(item, (sum, count))| (item, sum / count)).collect();
        let mean = said.values().sum::<f64>() / said.len().max(1) as f64;
        Self { by_item: said.into_iter().map(|(item, said)| (item, said - mean)).collect() }
    }

    /// How alike the errors of two judges are, in [0, 1]: their correlation on the questions that
    /// both saw, shrunk to what is expected of strangers. Judges that err in opposite ways do not make
    /// each other more than two.
    fn correlation(&self, other: &Self, settings: &Settings) -> f64 {
        let (mut count, mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0, 0.0);
        for (item, x) in &self.by_item {
            let Some(y) = other.by_item.get(item) else { continue };
            count += 1.0;
            xx += x * x;
            yy += y * y;
            xy += x * y;
        }
        let seen = if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 };
        let strength = settings.correlation_shrinkage.max(1e-9);
        let shrunk = (count * seen + strength * settings.correlation_expected) / (count + strength);
        shrunk.clamp(0.0, 1.0)
    }
}

/// One judge of a round.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) log_odds: f64,
    pub(super) errors: &'a Errors,
    pub(super) kin: &'a Kin,
}

/// The judges of a round, ready to be weighed in any company: nobody is outweighed on a pair by
/// those who did not speak about it.
#[derive(Clone, Debug)]
pub(super) struct Company {
    log_odds: Vec<f64>,
    /// How alike their errors are.
    alike: Vec<Vec<f64>>,
}

impl Company {
    pub(super) fn of(judges: &[Judge<'_>], settings: &Settings) -> Self {
        /// Kin count as one, nearly: exactly one could not be solved for.
        const KIN: f64 = 0.95;
        let n = judges.len();
        let mut alike = vec![vec![1.0; n]; n];
        for (row, a) in judges.iter().enumerate() {
            for (column, b) in judges.iter().enumerate().take(row) {
                let shared =
                    if a.kin.is_of(b.kin) { KIN } else { a.errors.correlation(b.errors, settings) };
                alike[row][column] = shared;
                alike[column][row] = shared;
            }
        }
        Self { log_odds: judges.iter().map(|judge| judge.log_odds).collect(), alike }
    }

    /// R⁻¹ w over those who spoke, by their places: what each one's word adds to the others'.
    pub(super) fn weigh(&self, spoke: &[usize]) -> Vec<f64> {
        let alone: Vec<f64> = spoke.iter().map(|at| self.log_odds[*at]).collect();
        let matrix = spoke
            .iter()
            .map(|row| spoke.iter().map(|column| self.alike[*row][*column]).collect())
            .collect();
        let together = solve(matrix, &alone);
        // Whatever the others say, nobody's word is turned around but by its own gold, nor made
        // more than twice as loud. (Louder at all, because of two judges that make the same
        // mistakes, one mostly right and one mostly wrong, the difference tells more than either.)
        let held = |(w, v): (&f64, f64)| {
            if w * v > 0.0 { v.clamp(-2.0 * w.abs(), 2.0 * w.abs()) } else { 0.0 }
        };
        alone.iter().zip(together).map(held).collect()
    }
}

/// x with A x = b for a symmetric A with ones on its diagonal. Correlations measured on different
/// pairs may contradict each other; then all are believed less, until they do not.
fn solve(mut a: Vec<Vec<f64>>, b: &[f64]) -> Vec<f64> {
    /// The smallest eigenvalue to work with: nobody's word counts for more than so many times.
    const LEAST: f64 = 0.02;
    // Each round takes a fifth; beyond a hundred the matrix is the identity.
    for _ in 0..100 {
        let mut held = a.clone();
        (0..b.len()).for_each(|k| held[k][k] -= LEAST);
        if eliminate(held, b).is_some() {
            break;
        }
        for (row, values) in a.iter_mut().enumerate() {
            let others = values.iter_mut().enumerate().filter(|(column, _)| *column != row);
            others.for_each(|(_, value)| *value *= 0.8);
        }
    }
    eliminate(a, b).unwrap_or_else(|| b.to_vec())
}

/// x with A x = b by Gauss's elimination; None when A is not positive definite, which shows in
/// its pivots.
fn eliminate(mut a: Vec<Vec<f64>>, b: &[f64]) -> Option<Vec<f64>> {
    let n = b.len();
    let mut x = b.to_vec();
    for k in 0..n {
        if a[k][k].is_nan() || a[k][k] <= 0.0 {
            return None;
        }
        let pivot = a[k].clone();
        for row in k + 1..n {
            let factor = a[row][k] / pivot[k];
            a[row].iter_mut().zip(&pivot).skip(k).for_each(|(to, from)| *to -= factor * from);
            x[row] -= factor * x[k];
        }
    }
    for row in (0..n).rev() {
        let dot: f64 = (row + 1..n).map(|column| a[row][column] * x[column]).sum();
        x[row] = (x[row] - dot) / a[row][row];
    }
    Some(x)
}

#[cfg(test)]
mod tests;
