//! From a log-likelihood to log-odds of being right: a logistic fit on gold.
//!
//! A member's likelihoods mean nothing by themselves (a small specialist is also certain of its wrong
//! answers). Gold calibrates them: `log-odds = a + b x` with `x = -ln(1 + |l|) + α ln n`, where l is
//! the summed natural log-probability of a text of n bytes. (Tokens would do as well, but the member
//! that claims the likelihood would count them, and the gateway sees the bytes.)
//!
//! α is the correction for length. If a short text is wrong by one unlikely step, the sum matters
//! (α = 0); if every word of a long text adds noise, the mean matters (α = 1). Of two answers of
//! language models to word problems, the right one was the likelier in .54 by the sum and in .75 by
//! the mean; of a specialist's to arithmetic, in .91 and .90. α is fitted only to pairs of a right and
//! a wrong text of the same question (conditional logistic regression, stratified by question),
//! because an easy question has likely and right answers of any length.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// One gold observation: a log-probability and whether the text was right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The likelihood of the text.
    #[serde(flatten)]
    pub text: Likelihood,
    /// Whether the text was right.
    pub right: bool,
    /// The question, by [`crate::reputation::judges::item`]; 0: unknown.
    #[serde(default)]
    pub item: u64,
}

/// The likelihood of a text according to one member.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// Summed natural log-probability of the whole text, <= 0.
    pub logprob: f64,
    /// Bytes of the text; 0 if unknown, which counts as 1.
    #[serde(default)]
    pub bytes: usize,
}

/// `log-odds = a + b x`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Intercept.
    pub a: f64,
    /// Slope.
    pub b: f64,
    /// α in [0, 1]: 0 for the sum, 1 for the mean.
    pub length: f64,
}

impl Line {
    /// Prior of the fit of writers' certainties: odds of 9 to 1 for an answer with l = -0.05 and of
    /// 1 to 9 with l = -5 (measured on specialists of a million parameters).
    pub const CERTAINTY: Self = Self { a: 2.3, b: 2.5, length: 0.0 };

    /// Prior of the fit of judges' scores. It is flatter, because a judge that does not know the kind
    /// of question finds the right answer unlikely too.
    pub const SCORE: Self = Self { a: 2.0, b: 1.2, length: 0.0 };

    /// For a judge without gold: the mean per byte, because of two answers of language models the right
    /// one was likelier in .75 by the mean and in .54 by the sum, and of a specialist's in .90 and .91. Half
    /// the surprise is twice the odds. Its intercept means nothing.
    pub(crate) const UNSEEN: Self = Self { a: 0.0, b: 1.0, length: 1.0 };

    /// Log-odds that a text of this likelihood is right; 0 for infinite and undefined values, which
    /// only a broken node sends.
    pub fn log_odds(&self, text: Likelihood) -> f64 {
        if text.logprob.is_finite() { self.a + self.b * text.feature(self.length) } else { 0.0 }
    }
}

impl Likelihood {
    /// x = -ln(1 + |l|) + α ln n. Logarithmic, because likelihoods span decades.
    fn feature(&self, length: f64) -> f64 {
        self.unlikely() + length * self.ln_bytes()
    }

    /// The likelihood of a text with this summed natural log-probability.
    pub fn new(logprob: f64, text: &str) -> Self {
        Self { logprob, bytes: text.len() }
    }

    /// Whether random bytes would be likelier: a model with such a likelihood knows nothing of such texts.
    pub(crate) fn is_below_chance(&self) -> bool {
        /// Values of a byte. A text ends with one more choice.
        const BYTES: f64 = 256.0;
        self.logprob < -BYTES.ln() * (self.bytes as f64 + 1.0)
    }

    fn unlikely(&self) -> f64 {
        -self.logprob.abs().ln_1p()
    }

    fn ln_bytes(&self) -> f64 {
        (self.bytes.max(1) as f64).ln()
    }
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

/// Log-odds of being right without the likelihood (Laplace). A source contributes its log-odds minus
/// this, so that the base rate is not counted once for each source.
pub(crate) fn base_log_odds(samples: &VecDeque<Sample>) -> f64 {
    let right = samples.iter().filter(|sample| sample.right).count() as f64;
    logit((right + 1.0) / (samples.len() as f64 + 2.0))
}

/// Maximum a posteriori line: logistic likelihood and a Gaussian prior around `towards` with the
/// given precision on both parameters. The correction for length is that of `towards`.
pub fn fit<'a>(samples: impl Iterator<Item = &'a Sample>, towards: Line, precision: f64) -> Line {
    let points: Vec<Point> = samples
        .filter(|sample| sample.text.logprob.is_finite())
        .map(|sample| Point {
            features: [1.0, sample.text.feature(towards.length)],
            y: f64::from(u8::from(sample.right)),
            weight: 1.0,
        })
        .collect();
    let [a, b] = maximise(&points, [towards.a, towards.b], precision);
    Line { a, b, ..towards }
}

/// `towards` with a fitted correction for length, from pairs of a right and a wrong text of the same
/// question. Texts are paired within each item of `groups`: the scores of one judge, or the claims of
/// all writers.
pub(crate) fn fit_length<'a, S>(
    groups: impl Iterator<Item = S>,
    towards: Line,
    precision: f64,
) -> Line
where
    S: Iterator<Item = &'a Sample>,
{
    /// Below this slope likelihoods are uninformative, and so is their correction.
    const FLAT: f64 = 0.05;
    let fit = fit_within(groups, towards, precision);
    if fit.b < FLAT { towards } else { Line { length: fit.length, ..towards } }
}

/// Slope and correction for length by which right texts differ from wrong ones of the same question, from
/// the same pairs as [`fit_length`]. The intercept means nothing: it is the same for all texts of a question.
pub(crate) fn fit_within<'a, S>(
    groups: impl Iterator<Item = S>,
    towards: Line,
    precision: f64,
) -> Line
where
    S: Iterator<Item = &'a Sample>,
{
    let pairs: Vec<Point> = groups.flat_map(pairs).collect();
    let [b, length_slope] = maximise(&pairs, [towards.b, towards.b * towards.length], precision);
    // Likelihoods that point the wrong way say nothing.
    let b = b.max(0.0);
    let length = if b > 0.0 { (length_slope / b).clamp(0.0, 1.0) } else { towards.length };
    Line { a: 0.0, b, length }
}

/// The differences between each right and each wrong text of a question. All pairs of a question with
/// n texts together weigh n - 1, the degrees of freedom of n texts.
fn pairs<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<Point> {
    /// Bound of right or wrong texts of one question: a thousand claims would be a quarter of a
    /// million pairs.
    const TEXTS_MAX: usize = 32;
    let mut questions: BTreeMap<u64, [Vec<Likelihood>; 2]> = BTreeMap::new();
    for sample in samples.filter(|sample| sample.item != 0 && sample.text.logprob.is_finite()) {
        let [wrong, right] = questions.entry(sample.item).or_default();
        let texts = if sample.right { right } else { wrong };
        if texts.len() < TEXTS_MAX {
            texts.push(sample.text);
        }
    }
    let mut points = Vec::new();
    for [wrong, right] in questions.into_values() {
        let texts = (wrong.len() + right.len()).saturating_sub(1) as f64;
        let weight = texts / (wrong.len() * right.len()).max(1) as f64;
        for right in &right {
            points.extend(wrong.iter().map(|wrong| Point {
                features: [
                    right.unlikely() - wrong.unlikely(),
                    right.ln_bytes() - wrong.ln_bytes(),
                ],
                y: 1.0,
                weight,
            }));
        }
    }
    points
}

/// A data point of a logistic model with two parameters.
#[derive(Clone, Copy, Debug)]
struct Point {
    features: [f64; 2],
    /// 1: yes, 0: no.
    y: f64,
    weight: f64,
}

impl Point {
    fn score(&self, [a, b]: [f64; 2]) -> f64 {
        let [x, y] = self.features;
        a * x + b * y
    }
}

/// The two parameters that maximise the logistic likelihood under a Gaussian prior around
/// `towards`. Newton's method with step halving: the objective is strictly concave, so it converges
/// for every input, separable or empty.
fn maximise(points: &[Point], towards: [f64; 2], precision: f64) -> [f64; 2] {
    let precision = precision.max(1e-6);
    let mut at = towards;
    let mut value = log_posterior(points, at, towards, precision);
    for _ in 0..50 {
        let step = newton_step(points, at, towards, precision);
        if step[0].abs().max(step[1].abs()) < 1e-9 {
            break;
        }
        let mut scale = 1.0;
        let step = loop {
            let next = [at[0] + scale * step[0], at[1] + scale * step[1]];
            let next_value = log_posterior(points, next, towards, precision);
            if next_value >= value {
                break Some((next, next_value));
            }
            scale *= 0.5;
            if scale < 1e-9 {
                break None;
            }
        };
        let Some((next, next_value)) = step else { break };
        (at, value) = (next, next_value);
    }
    at
}

/// The logarithm of the posterior, up to a constant.
fn log_posterior(points: &[Point], at: [f64; 2], towards: [f64; 2], precision: f64) -> f64 {
    let likelihood = points.iter().map(|point| {
        let z = point.score(at);
        point.weight * (point.y * z - softplus(z))
    });
    let distance = (at[0] - towards[0]).powi(2) + (at[1] - towards[1]).powi(2);
    likelihood.sum::<f64>() - 0.5 * precision * distance
}

/// ln(1 + e^z) without overflow.
pub(crate) fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// (negative Hessian)^-1 gradient of the posterior.
fn newton_step(points: &[Point], at: [f64; 2], towards: [f64; 2], precision: f64) -> [f64; 2] {
    let mut gradient = [precision * (towards[0] - at[0]), precision * (towards[1] - at[1])];
    let mut hessian = (precision, 0.0, precision);
    for point in points {
        let [x, y] = point.features;
        let p = sigmoid(point.score(at));
        gradient[0] += point.weight * (point.y - p) * x;
        gradient[1] += point.weight * (point.y - p) * y;
        let w = point.weight * p * (1.0 - p);
        hessian.0 += w * x * x;
        hessian.1 += w * x * y;
        hessian.2 += w * y * y;
    }
    let determinant = hessian.0 * hessian.2 - hessian.1 * hessian.1;
    [
        (hessian.2 * gradient[0] - hessian.1 * gradient[1]) / determinant,
        (hessian.0 * gradient[1] - hessian.1 * gradient[0]) / determinant,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(logprob: f64, right: bool) -> Sample {
        Sample { text: sum(logprob), right, item: 0 }
    }

    fn sum(logprob: f64) -> Likelihood {
        Likelihood { logprob, bytes: 1 }
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
        let line = fit(samples.iter(), Line { a: 0.0, b: 0.0, length: 0.0 }, 1.0);
        assert!(line.log_odds(sum(-0.01)) > 3.0 && line.log_odds(sum(-20.0)) < -3.0, "{line:?}");
        assert!(line.a.is_finite() && line.b.is_finite());
    }

    #[test]
    fn likelihoods_that_say_nothing_get_the_base_rate_and_no_slope() {
        let samples: Vec<Sample> =
            (0..400).map(|i| sample(-f64::from(i % 20), (i / 20) % 4 != 0)).collect();
        let line = fit(samples.iter(), Line::CERTAINTY, 0.1);
        assert!(line.b.abs() < 0.1, "{line:?}");
        assert!((line.log_odds(sum(-5.0)) - logit(0.75)).abs() < 0.1, "{line:?}");
    }

    #[test]
    fn a_fit_reaches_a_zero_gradient() {
        let samples: Vec<Sample> =
            (0..60).map(|i| sample(-f64::from(i) * 0.3, i % 7 < 3 || i < 15)).collect();
        let line = fit(samples.iter(), Line::SCORE, 0.5);
        let points: Vec<Point> = samples
            .iter()
            .map(|s| Point {
                features: [1.0, s.text.feature(0.0)],
                y: f64::from(u8::from(s.right)),
                weight: 1.0,
            })
            .collect();
        let towards = [Line::SCORE.a, Line::SCORE.b];
        let [a, b] = newton_step(&points, [line.a, line.b], towards, 0.5);
        assert!(a.abs() < 1e-8 && b.abs() < 1e-8, "{a} {b}");
    }

    /// Forty questions with a right and a wrong text each.
    fn questions(text: impl Fn(u64, bool) -> Likelihood) -> Vec<Sample> {
        let texts = (1..41).flat_map(|item| [(item, true), (item, false)]);
        texts.map(|(item, right)| Sample { text: text(item, right), right, item }).collect()
    }

    fn length(samples: &[Sample]) -> f64 {
        fit_length(std::iter::once(samples.iter()), Line::SCORE, 1.0).length
    }

    #[test]
    fn length_excuses_where_the_mean_tells_and_not_where_the_sum_does() {
        // The right text is longer, and each of its tokens likelier.
        let noisy = questions(|item, right| {
            let bytes = 40 + 3 * item as usize + if right { 60 } else { 0 };
            let nats = if right { 0.3 } else { 0.42 } + 0.01 * (item % 5) as f64;
            Likelihood { logprob: -nats * bytes as f64, bytes }
        });
        // One step of the wrong text stands out, however long it is.
        let steps = questions(|item, right| {
            let bytes = 10 + (item * 7 % 30) as usize + if right { 0 } else { 15 };
            Likelihood { logprob: if right { -0.3 } else { -4.0 } - 0.01 * bytes as f64, bytes }
        });
        assert!(length(&noisy) > 0.8, "{}", length(&noisy));
        assert!(length(&steps) < 0.2, "{}", length(&steps));
        let anonymous: Vec<Sample> =
            noisy.iter().map(|sample| Sample { item: 0, ..*sample }).collect();
        assert_eq!(length(&anonymous), Line::SCORE.length, "nothing to hold against each other");
    }

    #[test]
    fn what_is_read_apart_is_not_held_against_each_other() {
        let samples = questions(|item, right| {
            let logprob = if right { -90.0 } else { -30.0 };
            Likelihood { logprob, bytes: 10 + item as usize }
        });
        let apart = samples.iter().map(std::iter::once);
        assert_eq!(fit_length(apart, Line::SCORE, 1.0), Line::SCORE);
        // A judge whose likelihoods point the wrong way has nothing that length could excuse.
        assert_eq!(fit_length(std::iter::once(samples.iter()), Line::SCORE, 1.0).b, Line::SCORE.b);
    }

    #[test]
    fn a_sample_of_an_earlier_build_is_read_as_one_of_one_byte() {
        let old: Sample = serde_json::from_str(r#"{"logprob": -2.5, "right": true}"#).unwrap();
        assert_eq!(old.text, Likelihood { logprob: -2.5, bytes: 0 });
        assert_eq!(Line::SCORE.log_odds(old.text), Line::SCORE.log_odds(sum(-2.5)));
    }
}
