//! P(best) of each pool when the strengths are normal with the fit's covariance.
//!
//! Each is an integral of the normal density over a corner of space, computed by Genz's method (A. Genz,
//! Numerical computation of multivariate normal probabilities, 1992): one dimension after the other, each drawn
//! given the earlier ones, on a fixed lattice of points, so that the same input always gives the same result.

#![expect(
    clippy::indexing_slicing,
    reason = "numeric kernel: indices are below the number of pools"
)]

use std::f64::consts::SQRT_2;

use statrs::function::erf::erfc_inv;

use crate::linear::{Cholesky, Square};

/// Points of the lattice: the error is about 1e-4, and ten pools take a few milliseconds.
const POINTS: u32 = 509;

/// A strength this many standard deviations below a rival has no chance worth computing.
const HOPELESS: f64 = -8.0;

/// For each i, P(θ_i >= θ_j for all j), where θ ~ N(`strengths`, (L Lᵀ)⁻¹). Sums to 1.
pub(super) fn probabilities(strengths: &[f64], curvature: &Cholesky) -> Vec<f64> {
    let covariance = curvature.inverse();
    // The smallest eigenvalue of the covariance is at least this, and so is that of the differences of a
    // strength to all others.
    let least = 1.0 / curvature.trace();
    let raw: Vec<f64> =
        (0..strengths.len()).map(|i| leads_all(i, strengths, &covariance, least)).collect();
    // More than 0: the greatest strength is at least as likely as any other to be the best.
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|p| p / total).collect()
}

/// P(θ_i - θ_j >= 0 for all j).
fn leads_all(i: usize, strengths: &[f64], covariance: &Square, least: f64) -> f64 {
    let mut rivals: Vec<(f64, usize)> = (0..strengths.len())
        .filter(|j| *j != i)
        .map(|j| {
            let variance = difference_covariance(covariance, i, j, j).max(f64::MIN_POSITIVE);
            ((strengths[i] - strengths[j]) / variance.sqrt(), j)
        })
        .collect();
    // The closest rival first: the rest is then nearly certain, and the error small.
    rivals.sort_by(|(x, _), (y, _)| x.total_cmp(y));
    if rivals.first().is_some_and(|(closest, _)| *closest < HOPELESS) {
        return 0.0;
    }
    let mut differences = Square::diagonal(rivals.len(), 0.0);
    for (row, (_, j)) in rivals.iter().enumerate() {
        for (column, (_, k)) in rivals.iter().enumerate() {
            differences.add(row, column, difference_covariance(covariance, i, *j, *k));
        }
    }
    let leads: Vec<f64> = rivals.iter().map(|(_, j)| strengths[i] - strengths[*j]).collect();
    corner(&leads, &Cholesky::new(&differences, least))
}

/// Covariance of θ_i - θ_j and θ_i - θ_k.
fn difference_covariance(covariance: &Square, i: usize, j: usize, k: usize) -> f64 {
    covariance.get(i, i) - covariance.get(i, j) - covariance.get(i, k) + covariance.get(j, k)
}

/// P(x_j <= `bounds`_j for all j) for x ~ N(0, L Lᵀ).
fn corner(bounds: &[f64], factor: &Cholesky) -> f64 {
    // Richtmyer's lattice: steps by the square roots of primes fill the cube evenly.
    let steps: Vec<f64> =
        primes(bounds.len()).map(|prime| f64::from(prime).sqrt().fract()).collect();
    // One or two dimensions left to draw need no more than the first pass.
    let points = if bounds.len() < 2 { 1 } else { POINTS };
    let mut total = 0.0;
    let mut draws = vec![0.0; bounds.len()];
    for point in 0..points {
        let mut probability = 1.0;
        for (row, (bound, step)) in bounds.iter().zip(&steps).enumerate() {
            let mean = factor.row_product(row, &draws);
            let below = cumulative((bound - mean) / factor.pivot(row));
            probability *= below;
            if probability < 1e-12 {
                break;
            }
            let u = ((f64::from(point) + 0.5) * step).fract();
            // Baker's transform makes the lattice periodic, which squares its error.
            let u = 1.0 - (2.0 * u - 1.0).abs();
            draws[row] = quantile((u * below).clamp(1e-15, 1.0 - 1e-15));
        }
        total += probability;
    }
    total / f64::from(points)
}

fn primes(count: usize) -> impl Iterator<Item = u32> {
    (2u32..)
        .filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d)))
        .take(count)
}

/// Φ: the standard normal distribution function, by the series about 0 and the continued fraction
/// of its tail; absolute error below 1e-12. (That of statrs is 1.4e-11 at 1.)
fn cumulative(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    if x.abs() < 3.0 {
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while term.abs() > 1e-17 {
            term *= x * x / (2.0 * k + 1.0);
            sum += term;
            k += 1.0;
        }
        return 0.5 + density * sum;
    }
    // Laplace's continued fraction for the upper tail.
    let tail = (1..=40).rev().fold(x.abs(), |tail, k| x.abs() + f64::from(k) / tail);
    let upper = density / tail;
    if x > 0.0 { 1.0 - upper } else { upper }
}

/// Φ⁻¹, for u in (0, 1).
fn quantile(u: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * u)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_is_the_normal_distribution() {
        // scipy.stats.norm.cdf
        for (x, quantile) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (-2.5, 0.006_209_665_325_776_132),
            (3.5, 0.999_767_370_920_964_5),
            (-5.0, 2.866_515_718_791_939e-7),
        ] {
            assert!((cumulative(x) - quantile).abs() < 1e-12, "{x}: {}", cumulative(x));
        }
        for u in [1e-12, 1e-6, 0.01, 0.2, 0.5, 0.9, 0.999, 1.0 - 1e-9] {
            assert!((cumulative(quantile(u)) / u - 1.0).abs() < 1e-7, "{u}: {}", quantile(u));
        }
    }

    fn independent(n: usize, precision: f64) -> Cholesky {
        Cholesky::new(&Square::diagonal(n, precision), precision)
    }

    #[test]
    fn two_are_compared_exactly() {
        // Φ(1 / sqrt(2)) for unit variances and a lead of 1.
        let p = probabilities(&[1.0, 0.0], &independent(2, 1.0));
        assert!((p[0] - 0.760_249_938_906_523_7).abs() < 1e-9, "{p:?}");
    }

    #[test]
    fn equals_have_equal_chances() {
        for n in 3..9 {
            for p in probabilities(&vec![1.0; n], &independent(n, 0.3)) {
                assert!((p - 1.0 / n as f64).abs() < 1e-3, "{n}: {p}");
            }
        }
    }

    #[test]
    fn four_agree_with_one_dimensional_integration() {
        let strengths = [1.3, 0.4, 0.0, -2.0];
        let p = probabilities(&strengths, &independent(4, 1.0));
        for (i, p) in p.iter().enumerate() {
            // P(i best) = ∫ φ(x - m_i) Π_j Φ(x - m_j) dx, by the trapezoid rule.
            let integrand = |x: f64| {
                let density =
                    (-0.5 * (x - strengths[i]).powi(2)).exp() / std::f64::consts::TAU.sqrt();
                let rivals = (0..4).filter(|j| *j != i).map(|j| cumulative(x - strengths[j]));
                density * rivals.product::<f64>()
            };
            let exact: f64 = (-1000..1000).map(|k| 0.01 * integrand(0.01 * f64::from(k))).sum();
            assert!((p - exact).abs() < 5e-4, "{i}: {p} and not {exact}");
        }
    }

    #[test]
    fn no_one_and_one() {
        assert!(probabilities(&[], &independent(0, 1.0)).is_empty());
        assert_eq!(probabilities(&[-3.0], &independent(1, 1.0)), [1.0]);
    }
}
