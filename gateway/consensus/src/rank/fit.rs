//! The strengths that maximise L, by Newton's method.

#![expect(clippy::indexing_slicing, reason = "numeric kernel: `fit` leaves out what names no pool")]

use super::{Comparison, best};
use crate::{
    linear::{Cholesky, Square},
    reputation::calibration::{sigmoid, softplus},
    settings::RankSettings,
};

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

/// The strengths that maximise L. `mu` has one entry for each pool; comparisons that name others,
/// or a pool with itself, or hold something that is no number, are left out.
pub fn fit(mu: &[f64], comparisons: &[Comparison], settings: &RankSettings) -> Fit {
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
        let step = problem.newton_step(&theta);
        let Some((next, next_value, change)) = problem.improve(&theta, value, &step) else { break };
        (theta, value) = (next, next_value);
        if change < settings.tolerance {
            break;
        }
    }
    let p_best = best::probabilities(&theta, &problem.curvature(&theta));
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
        let fit_value: f64 = self
            .comparisons
            .iter()
            .map(|c| {
                let z = c.discrimination * (theta[c.a] - theta[c.b]);
                c.weight * (c.p * z - softplus(z))
            })
            .sum();
        let pull: f64 = theta.iter().zip(self.mu).map(|(t, m)| (t - m).powi(2)).sum();
        fit_value - 0.5 * self.lambda * pull
    }

    /// Cholesky factor of the negative Hessian: λ on the diagonal, and a positive semidefinite part of each
    /// comparison.
    fn curvature(&self, theta: &[f64]) -> Cholesky {
        let mut hessian = Square::diagonal(theta.len(), self.lambda);
        for c in self.comparisons {
            let s = sigmoid(c.discrimination * (theta[c.a] - theta[c.b]));
            let w = c.weight * c.discrimination.powi(2) * s * (1.0 - s);
            hessian.add(c.a, c.a, w);
            hessian.add(c.b, c.b, w);
            hessian.add(c.a, c.b, -w);
            hessian.add(c.b, c.a, -w);
        }
        Cholesky::new(&hessian, self.lambda)
    }

    fn newton_step(&self, theta: &[f64]) -> Vec<f64> {
        let mut gradient: Vec<f64> =
            theta.iter().zip(self.mu).map(|(t, m)| self.lambda * (m - t)).collect();
        for c in self.comparisons {
            let z = c.discrimination * (theta[c.a] - theta[c.b]);
            let pull = c.weight * c.discrimination * (c.p - sigmoid(z));
            gradient[c.a] += pull;
            gradient[c.b] -= pull;
        }
        self.curvature(theta).solve(&gradient)
    }

    /// Halves the step until L does not fall: next θ, its L, and how far it moved.
    fn improve(&self, theta: &[f64], value: f64, step: &[f64]) -> Option<(Vec<f64>, f64, f64)> {
        let mut scale = 1.0;
        while scale > 1e-10 {
            let next: Vec<f64> = theta.iter().zip(step).map(|(t, s)| t + scale * s).collect();
            let next_value = self.objective(&next);
            if next_value >= value - 1e-12 * value.abs() {
                let change = step.iter().fold(0.0_f64, |most, s| most.max((scale * s).abs()));
                return Some((next, next_value, change));
            }
            scale *= 0.5;
        }
        None
    }
}
