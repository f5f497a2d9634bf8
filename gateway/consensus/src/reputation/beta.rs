//! Beta counts: successes and failures of an event, with the uncertainty of its probability.

use serde::{Deserialize, Serialize};
use statrs::function::beta::checked_beta_reg;

/// A Beta(a, b) distribution over a probability: `a` successes and `b` failures, including one of each
/// from the prior.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredBeta")]
pub struct Beta {
    /// Successes.
    pub a: f64,
    /// Failures.
    pub b: f64,
}

#[derive(Deserialize)]
struct StoredBeta {
    a: f64,
    b: f64,
}

impl TryFrom<StoredBeta> for Beta {
    type Error = String;

    fn try_from(StoredBeta { a, b }: StoredBeta) -> Result<Self, String> {
        if [a, b].iter().all(|count| *count > 0.0 && count.is_finite()) {
            return Ok(Self { a, b });
        }
        Err(format!("Beta({a}, {b}) is not a distribution: both counts must be above 0"))
    }
}

impl Beta {
    /// The prior, without observations.
    pub const UNIFORM: Self = Self { a: 1.0, b: 1.0 };

    /// The mean of the probability.
    pub fn mean(&self) -> f64 {
        self.a / (self.a + self.b)
    }

    /// The number of observations beyond the prior.
    pub fn observations(&self) -> f64 {
        (self.a + self.b - 2.0).max(0.0)
    }

    /// The mean with `strength` additional observations of rate `towards`.
    pub(crate) fn shrunk_mean(&self, towards: f64, strength: f64) -> f64 {
        (self.a - 1.0 + strength * towards)
            / (self.observations() + strength).max(f64::MIN_POSITIVE)
    }

    /// The observations of both, with one prior.
    #[must_use]
    pub fn plus(&self, rhs: &Self) -> Self {
        Self { a: self.a + rhs.a - 1.0, b: self.b + rhs.b - 1.0 }
    }

    /// Adds the observations of another.
    pub fn add(&mut self, rhs: &Self) {
        *self = self.plus(rhs);
    }

    /// As if there were `share` of its observations, at most all of them.
    #[must_use]
    pub fn scale(&self, share: f64) -> Self {
        self.fade(share.clamp(0.0, 1.0))
    }

    /// Successes and failures swapped.
    #[must_use]
    pub fn mirror(&self) -> Self {
        Self { a: self.b, b: self.a }
    }

    /// One more observation of the given weight.
    #[must_use]
    pub fn with(&self, success: bool, weight: f64) -> Self {
        if success {
            Self { a: self.a + weight, ..*self }
        } else {
            Self { b: self.b + weight, ..*self }
        }
    }

    /// The observations times `keep`, in [0, 1]; the prior stays.
    #[must_use]
    pub(crate) fn fade(&self, keep: f64) -> Self {
        Self { a: 1.0 + (self.a - 1.0) * keep, b: 1.0 + (self.b - 1.0) * keep }
    }

    /// The value below which the probability lies with probability `q`, to 1e-12. Bisection: the
    /// distribution function is monotone, so it cannot fail however skewed the counts are. NaN for counts
    /// that are not above 0.
    pub fn quantile(&self, q: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            match self.cumulative(middle) {
                p if p.is_nan() => return p,
                p if p < q => low = middle,
                _ => high = middle,
            }
            if high - low < 1e-12 {
                break;
            }
        }
        0.5 * (low + high)
    }

    /// P(probability <= x): the regularised incomplete beta function. NaN for counts that are not
    /// above 0.
    pub(crate) fn cumulative(&self, x: f64) -> f64 {
        checked_beta_reg(self.a, self.b, x.clamp(0.0, 1.0)).unwrap_or(f64::NAN)
    }
}

impl Default for Beta {
    fn default() -> Self {
        Self::UNIFORM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_known_values() {
        // scipy.stats.beta.ppf
        for (a, b, q, quantile) in [
            (1.0, 1.0, 0.2, 0.2),
            (2.0, 1.0, 0.2, 0.447_213_595_499_957_9),
            (18.0, 4.0, 0.2, 0.752_912_796_251_342_3),
            (4.0, 18.0, 0.2, 0.111_364_113_396_804_94),
            (500.0, 20.0, 0.2, 0.954_666_229_972_457_6),
        ] {
            let result = Beta { a, b }.quantile(q);
            assert!(
                (result - quantile).abs() < 1e-9,
                "Beta({a}, {b}) at {q}: {result}, not {quantile}"
            );
        }
    }

    #[test]
    fn few_observations_are_believed_less_than_many_of_the_same_rate() {
        let few = Beta { a: 1.0 + 4.0, b: 1.0 + 1.0 };
        let many = Beta { a: 1.0 + 40.0, b: 1.0 + 10.0 };
        assert!(few.quantile(0.2) + 0.05 < many.quantile(0.2));
    }

    #[test]
    fn fading_returns_to_the_prior() {
        assert_eq!(Beta { a: 90.0, b: 10.0 }.fade(0.0), Beta::UNIFORM);
    }

    #[test]
    fn counts_that_are_none_are_refused_and_have_no_quantile() {
        assert!(Beta { a: 0.0, b: 1.0 }.quantile(0.2).is_nan());
        for counts in [r#"{"a": 0.0, "b": 1.0}"#, r#"{"a": 2.0, "b": -1.0}"#] {
            assert!(serde_json::from_str::<Beta>(counts).is_err(), "{counts}");
        }
    }

    #[test]
    fn extreme_counts_have_quantiles() {
        for beta in [Beta { a: 1e5, b: 1.0 }, Beta { a: 1.0, b: 1e5 }, Beta { a: 1e-3, b: 1e-3 }] {
            let quantile = beta.quantile(0.2);
            assert!((0.0..=1.0).contains(&quantile), "{beta:?}: {quantile}");
        }
    }
}
