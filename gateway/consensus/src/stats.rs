//! The interval of a mean: a percentile bootstrap, reproducible by its seed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Resamples: the interval's ends then move by less than a tenth of its width.
const RESAMPLES: usize = 5_000;

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Number of values.
    pub count: usize,
}

/// The mean of `values`, with a percentile bootstrap over them (B. Efron, 1979). Without
/// values the mean is 0 and the interval infinite. For a paired difference, pass the differences.
pub fn mean(values: &[f64], seed: u64) -> Estimate {
    let count = values.len();
    if count == 0 {
        return Estimate { value: 0.0, low: f64::NEG_INFINITY, high: f64::INFINITY, count };
    }
    let n = count as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sample = (0..count).filter_map(|_| values.get(rng.random_range(0..count)));
            sample.sum::<f64>() / n
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Estimate {
        value: values.iter().sum::<f64>() / n,
        low: quantile(&means, 0.025),
        high: quantile(&means, 0.975),
        count,
    }
}

/// The value below which this share of the sorted values lies.
fn quantile(values: &[f64], share: f64) -> f64 {
    let index = (share * (values.len() - 1) as f64).round() as usize;
    #[expect(clippy::indexing_slicing, reason = "a share of at most 1 of a list that is not empty")]
    values[index]
}

impl Estimate {
    /// The interval lies above zero.
    pub fn is_positive(&self) -> bool {
        self.low > 0.0
    }
}
