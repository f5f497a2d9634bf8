//! From a log-likelihood to log-odds of being right: a logistic fit on gold.
//!
//! A member's likelihoods mean nothing by themselves (a small specialist is certain of its
//! nonsense too), but on gold one sees what they are worth: `log-odds = a + b x` with
//! `x = -ln(1 + |l|)`, l the summed natural log-probability.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// One gold observation: a log-probability and whether the text was right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Summed natural log-probability of the whole text, <= 0.
    pub logprob: f64,
    pub right: bool,
}

/// `log-odds = a + b x`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub a: f64,
    pub b: f64,
}

impl Line {
    /// Where the fit of writers' certainties starts: l = -0.05 speaks 9 to 1 for the answer,
    /// l = -5 speaks 1 to 9 against it (seen on specialists of a million parameters).
    pub const CERTAINTY: Self = Self { a: 2.3, b: 2.5 };

    /// Where the fit of judges' scores starts: flatter, because a judge that does not know the
    /// kind of question finds the right answer unlikely too.
    pub const SCORE: Self = Self { a: 2.0, b: 1.2 };

    /// Log-odds that a text of this log-probability is right. Infinite and undefined values,
    /// which only a broken node sends, say nothing.
    pub fn log_odds(&self, logprob: f64) -> f64 {
        if logprob.is_finite() { self.a + self.b * feature(logprob) } else { 0.0 }
    }
}

/// x = -ln(1 + |l|): likelihoods spread over decades, and odds follow the decade.
pub fn feature(logprob: f64) -> f64 {
    -logprob.abs().ln_1p()
}

/// ln(p / (1 - p)), finite for every p.
pub fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-9, 1.0 - 1e-9);
    (p / (1.0 - p)).ln()
}

/// 1 / (1 + e^-x).
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// Log-odds of being right before the likelihood is looked at (Laplace). A source contributes
/// its log-odds minus this, so that what everybody knew already is not counted once a source.
pub fn base_log_odds(samples: &VecDeque<Sample>) -> f64 {
    let right = samples.iter().filter(|sample| sample.right).count() as f64;
    logit((right + 1.0) / (samples.len() as f64 + 2.0))
}

/// Maximum a posteriori line: logistic likelihood and a Gaussian prior around `towards` with the
/// given precision on both parameters. Newton with halved steps: the objective is strictly
/// concave, so it converges on every input, separable or empty.
pub fn fit<'a>(samples: impl Iterator<Item = &'a Sample>, towards: Line, precision: f64) -> Line {
    let points: Vec<(f64, f64)> = samples
        .filter(|sample| sample.logprob.is_finite())
        .map(|sample| (feature(sample.logprob), f64::from(u8::from(sample.right))))
        .collect();
    let precision = precision.max(1e-6);
    let objective = |line: Line| -> f64 {
        let fitted: f64 = points
            .iter()
            .map(|(x, y)| {
                let z = line.a + line.b * x;
                y * z - softplus(z)
            })
            .sum();
        let pull = (line.a - towards.a).powi(2) + (line.b - towards.b).powi(2);
        fitted - 0.5 * precision * pull
    };
    let mut line = towards;
    let mut value = objective(line);
    for _ in 0..50 {
        let (step_a, step_b) = newton_step(&points, line, towards, precision);
        if step_a.abs().max(step_b.abs()) < 1e-9 {
            break;
        }
        let mut scale = 1.0;
        let improved = loop {
            let next = Line { a: line.a + scale * step_a, b: line.b + scale * step_b };
            let next_value = objective(next);
            if next_value >= value {
                break Some((next, next_value));
            }
            scale *= 0.5;
            if scale < 1e-9 {
                break None;
            }
        };
        let Some((next, next_value)) = improved else { break };
        (line, value) = (next, next_value);
    }
    line
}

/// ln(1 + e^z) without overflow.
pub fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// (negative Hessian)^-1 gradient of the posterior at `line`.
fn newton_step(points: &[(f64, f64)], line: Line, towards: Line, precision: f64) -> (f64, f64) {
    let mut gradient = (precision * (towards.a - line.a), precision * (towards.b - line.b));
    let mut hessian = (precision, 0.0, precision);
    for (x, y) in points {
        let p = sigmoid(line.a + line.b * x);
        gradient.0 += y - p;
        gradient.1 += (y - p) * x;
        let w = p * (1.0 - p);
        hessian.0 += w;
        hessian.1 += w * x;
        hessian.2 += w * x * x;
    }
    let determinant = hessian.0 * hessian.2 - hessian.1 * hessian.1;
    (
        (hessian.2 * gradient.0 - hessian.1 * gradient.1) / determinant,
        (hessian.0 * gradient.1 - hessian.1 * gradient.0) / determinant,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(logprob: f64, right: bool) -> Sample {
        Sample { logprob, right }
    }

    #[test]
    fn nothing_seen_is_the_prior() {
        let line = fit([].iter(), Line::SCORE, 1.0);
        assert_eq!(line, Line::SCORE);
    }

    #[test]
    fn separable_samples_have_a_finite_fit_that_separates_them() {
        let samples: Vec<Sample> = (0..200)
            .map(|i| if i % 2 == 0 { sample(-0.01, true) } else { sample(-20.0, false) })
            .collect();
        let line = fit(samples.iter(), Line { a: 0.0, b: 0.0 }, 1.0);
        assert!(line.log_odds(-0.01) > 3.0 && line.log_odds(-20.0) < -3.0, "{line:?}");
        assert!(line.a.is_finite() && line.b.is_finite());
    }

    #[test]
    fn likelihoods_that_say_nothing_get_the_base_rate_and_no_slope() {
        let samples: Vec<Sample> =
            (0..400).map(|i| sample(-f64::from(i % 20), (i / 20) % 4 != 0)).collect();
        let line = fit(samples.iter(), Line::CERTAINTY, 0.1);
        assert!(line.b.abs() < 0.1, "{line:?}");
        assert!((line.log_odds(-5.0) - logit(0.75)).abs() < 0.1, "{line:?}");
    }

    #[test]
    fn a_fit_reaches_a_zero_gradient() {
        let samples: Vec<Sample> =
            (0..60).map(|i| sample(-f64::from(i) * 0.3, i % 7 < 3 || i < 15)).collect();
        let line = fit(samples.iter(), Line::SCORE, 0.5);
        let points: Vec<(f64, f64)> =
            samples.iter().map(|s| (feature(s.logprob), f64::from(u8::from(s.right)))).collect();
        let (a, b) = newton_step(&points, line, Line::SCORE, 0.5);
        assert!(a.abs() < 1e-8 && b.abs() < 1e-8, "{a} {b}");
    }
}
