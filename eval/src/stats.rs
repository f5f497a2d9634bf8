//! Intervals and calibration of the tables. Pure, and the same every time.

use serde::Serialize;
pub use shoal_consensus::stats::{Estimate, mean};

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Share of successes with Wilson's interval (E. B. Wilson, 1927), which is valid at 0 and 1.
pub fn wilson(successes: usize, total: usize) -> Estimate {
    if total == 0 {
        return Estimate { value: 0.0, low: 0.0, high: 1.0, count: 0 };
    }
    let n = total as f64;
    let p = successes as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let middle = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let (low, high) = ((middle - half).max(0.0), (middle + half).min(1.0));
    Estimate { value: p, low, high, count: total }
}

/// Share of true values with Wilson's interval.
pub fn share(grades: &[bool]) -> Estimate {
    wilson(grades.iter().filter(|right| **right).count(), grades.len())
}

/// Mean of `a - b` over the same questions, with a percentile bootstrap over questions.
pub fn paired_difference(a: &[bool], b: &[bool], seed: u64) -> Estimate {
    let differences: Vec<f64> =
        a.iter().zip(b).map(|(a, b)| f64::from(u8::from(*a)) - f64::from(u8::from(*b))).collect();
    if differences.is_empty() {
        return Estimate { value: 0.0, low: -1.0, high: 1.0, count: 0 };
    }
    mean(&differences, seed)
}

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Lower end of the claims in it; the next bin's lower end is the upper end.
    pub from: f64,
    pub count: usize,
    /// Mean claim.
    #[serde(rename = "claimed")]
    pub claim: f64,
    /// Share of right answers.
    pub right: f64,
}

/// Lower ends of the bins: narrow near 1, where a good swarm's claims are.
const BINS: [f64; 7] = [0.0, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99];

/// Claims against the share that is right, without empty bins.
pub fn reliability(claims: &[(f64, bool)]) -> Vec<Bin> {
    let ends = BINS.iter().skip(1).copied().chain([f64::INFINITY]);
    BINS.iter()
        .zip(ends)
        .filter_map(|(from, to)| {
            let members: Vec<(f64, bool)> =
                claims.iter().copied().filter(|(p, _)| p >= from && *p < to).collect();
            let count = members.len();
            let right = members.iter().filter(|(_, right)| *right).count();
            (count > 0).then(|| Bin {
                from: *from,
                count,
                claim: members.iter().map(|(p, _)| p).sum::<f64>() / count as f64,
                right: right as f64 / count as f64,
            })
        })
        .collect()
}

/// The middle value; 0 without values, as for a method without answers.
pub fn median(values: Vec<f64>) -> f64 {
    shoal_consensus::stats::median(values).unwrap_or(0.0)
}

/// Expected calibration error in the bins of [`reliability`].
pub fn calibration_error(claims: &[(f64, bool)]) -> f64 {
    shoal_consensus::stats::calibration_error(claims, &BINS)
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
        assert_eq!(wilson(0, 0), Estimate { value: 0.0, low: 0.0, high: 1.0, count: 0 });
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
    fn honest_claims_have_no_calibration_error_and_boasts_have_one() {
        let honest: Vec<_> = (0..100).map(|i| (0.8, i % 5 != 0)).collect();
        assert!(calibration_error(&honest) < 1e-9);
        let boast: Vec<_> = (0..100).map(|i| (1.0, i % 2 == 0)).collect();
        assert!((calibration_error(&boast) - 0.5).abs() < 1e-9);
        assert!(calibration_error(&[]).abs() < 1e-12);
    }
}
