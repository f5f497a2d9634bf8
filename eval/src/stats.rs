//! Intervals and calibration: how sure a table may be of itself. Pure, and the same every time.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Resamples of a bootstrap: the interval's ends then move by less than a tenth of its width.
const RESAMPLES: usize = 10_000;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Share of successes with Wilson's interval (E. B. Wilson, 1927), which is honest at 0 and 1.
pub fn wilson(successes: usize, total: usize) -> Estimate {
    if total == 0 {
        return Estimate { value: 0.0, low: 0.0, high: 1.0 };
    }
    let n = total as f64;
    let p = successes as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let middle = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Estimate { value: p, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
}

/// Mean of `a - b` over the same questions, with a percentile bootstrap over questions.
pub fn paired_difference(a: &[bool], b: &[bool], seed: u64) -> Estimate {
    let differences: Vec<f64> =
        a.iter().zip(b).map(|(a, b)| f64::from(u8::from(*a)) - f64::from(u8::from(*b))).collect();
    let n = differences.len();
    if n == 0 {
        return Estimate { value: 0.0, low: -1.0, high: 1.0 };
    }
    let mean = |sum: f64| sum / n as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn = (0..n).filter_map(|_| differences.get(rng.random_range(0..n)));
            mean(drawn.sum())
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * (RESAMPLES - 1) as f64).round() as usize;
        means.get(index).copied().unwrap_or(0.0)
    };
    Estimate { value: mean(differences.iter().sum()), low: at(0.025), high: at(0.975) }
}

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Claims of at least this, and less than the next bin's.
    pub from: f64,
    pub count: usize,
    pub claimed: f64,
    pub right: f64,
}

/// Lower ends of the bins: narrow near 1, where a good swarm's claims are.
const BINS: [f64; 7] = [0.0, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99];

/// What was claimed against what was right, empty bins left out.
pub fn reliability(claims: &[(f64, bool)]) -> Vec<Bin> {
    let ends = BINS.iter().skip(1).copied().chain([f64::INFINITY]);
    BINS.iter()
        .zip(ends)
        .filter_map(|(from, to)| {
            let inside = || claims.iter().filter(|(p, _)| p >= from && *p < to);
            let count = inside().count();
            let mean = |sum: f64| sum / count as f64;
            (count > 0).then(|| Bin {
                from: *from,
                count,
                claimed: mean(inside().map(|(p, _)| p).sum()),
                right: mean(inside().map(|(_, right)| f64::from(u8::from(*right))).sum()),
            })
        })
        .collect()
}

/// Expected calibration error: the bins' distances between claim and truth, by their size.
pub fn calibration_error(claims: &[(f64, bool)]) -> f64 {
    let weighted = |bin: &Bin| bin.count as f64 * (bin.claimed - bin.right).abs();
    reliability(claims).iter().map(weighted).sum::<f64>() / claims.len().max(1) as f64
}

/// The middle value; 0 of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_agrees_with_known_values() {
        // statsmodels.stats.proportion.proportion_confint(method="wilson")
        for (k, n, low, high) in [
            (8, 10, 0.490_162_5, 0.943_317_8),
            (0, 10, 0.0, 0.277_532_8),
            (1000, 1000, 0.996_173_3, 1.0),
        ] {
            let got = wilson(k, n);
            assert!(
                (got.low - low).abs() < 1e-6 && (got.high - high).abs() < 1e-6,
                "{k}/{n}: {got:?}"
            );
        }
        assert_eq!(wilson(0, 0), Estimate { value: 0.0, low: 0.0, high: 1.0 });
    }

    #[test]
    fn a_paired_difference_knows_that_the_questions_were_the_same() {
        // Wrong on the same half: the difference is exactly 5 in 100, although each accuracy alone
        // is uncertain by far more.
        let a: Vec<bool> = (0..200).map(|i| i % 2 == 0 || i < 20).collect();
        let b: Vec<bool> = (0..200).map(|i| i % 2 == 0).collect();
        let difference = paired_difference(&a, &b, 1);
        assert!((difference.value - 0.05).abs() < 1e-12);
        assert!(difference.low > 0.015 && difference.high < 0.09, "{difference:?}");
        assert_eq!(difference, paired_difference(&a, &b, 1));
    }

    #[test]
    fn no_difference_has_an_interval_around_zero() {
        let a: Vec<bool> = (0..300).map(|i| i % 3 == 0).collect();
        let b: Vec<bool> = (0..300).map(|i| i % 3 == 1).collect();
        let difference = paired_difference(&a, &b, 1);
        assert!(difference.low < 0.0 && difference.high > 0.0, "{difference:?}");
    }

    #[test]
    fn honest_claims_have_no_calibration_error_and_boasts_have_theirs() {
        let honest: Vec<_> = (0..100).map(|i| (0.8, i % 5 != 0)).collect();
        assert!(calibration_error(&honest) < 1e-9);
        let boast: Vec<_> = (0..100).map(|i| (1.0, i % 2 == 0)).collect();
        assert!((calibration_error(&boast) - 0.5).abs() < 1e-9);
        assert!(calibration_error(&[]).abs() < 1e-12);
    }
}
