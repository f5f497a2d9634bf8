//! Means with intervals, medians and calibration. Pure, and the same for the same seed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Resamples: the interval's ends then move by less than a tenth of its width.
const RESAMPLES: usize = 5_000;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure: a mean, a share or a difference.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Number of values behind it.
    pub count: usize,
}

impl Estimate {
    /// The interval lies above zero.
    pub fn is_positive(&self) -> bool {
        self.low > 0.0
    }
}

/// The mean of `values`, with a percentile bootstrap over them (B. Efron, 1979). Without
/// values the mean is 0 and the interval infinite. For a paired difference, pass the differences.
#[expect(clippy::indexing_slicing, reason = "the indices are drawn from the range of the values")]
pub fn mean(values: &[f64], seed: u64) -> Estimate {
    let count = values.len();
    if count == 0 {
        return Estimate { value: 0.0, low: f64::NEG_INFINITY, high: f64::INFINITY, count };
    }
    let n = count as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..count).map(|_| values[rng.random_range(0..count)]).sum::<f64>() / n)
        .collect();
    means.sort_by(f64::total_cmp);
    let [low, high] =
        [0.025, 0.975].map(|share| means[(share * (RESAMPLES - 1) as f64).round() as usize]);
    Estimate { value: values.iter().sum::<f64>() / n, low, high, count }
}

/// The middle value, the upper one of two; None without values.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Expected calibration error: the distance between what was claimed (a probability) and how often it was
/// right, in bins that begin at these claims, weighted by the number of claims in each.
pub fn calibration_error(claims: &[(f64, bool)], bins: &[f64]) -> f64 {
    let ends = bins.iter().skip(1).copied().chain([f64::INFINITY]);
    let gaps = bins.iter().zip(ends).map(|(from, to)| {
        let inside = claims.iter().filter(|(p, _)| p >= from && *p < to);
        inside.map(|(p, right)| p - f64::from(u8::from(*right))).sum::<f64>().abs()
    });
    gaps.sum::<f64>() / claims.len().max(1) as f64
}

/// Lower ends of ten bins of equal width.
pub const TENTHS: [f64; 10] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
