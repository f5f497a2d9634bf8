//! Which member knows what, learned from rounds: for each member a Bayesian logistic model of "its
//! answer to this ask is right", over hashed n-grams of the ask.
//!
//! ```text
//! P(right | ask) = σ(offset + w·φ),   φ_i = 1/√n for each of the ask's n n-grams,   w_i ~ N(μ_i, 1/λ_i)
//! ```
//!
//! The offset is the prediction without the words: the member's accuracy on the kind of question,
//! or over all kinds. So without lessons the choice does not change, and gold that taught the kinds is
//! not counted twice. One lesson is one step of online Laplace with a diagonal precision. A diagonal
//! treats n n-grams of one ask as n independent witnesses and would learn n times too slowly. So the
//! curvature of the logistic loss is bounded by its row sums (φ_i Σ_j φ_j = 1) and not by its diagonal
//! (φ_i² = 1/n): for a repeated ask this is the exact scalar model.
//!
//! Each tag of a member that fits the ask ([`crate::reputation::tags`]) is one more feature, with a
//! prior mean above 0. So a newcomer gets asks of its kind from the start, rounds show how far each
//! tag is true, and a tag that was wrong counts less for other asks too. As (x + y)² is at most
//! 2x² + 2y², words and tags learn together with twice the curvature each. A tag never counts against
//! its owner: its weight falls to 0 and not below.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::reputation::{
    calibration::sigmoid,
    features::Features,
    tags::{self, Claims},
};

/// How quickly routing learns which member knows what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Variance of w·φ before the first lesson, in squared log-odds; 0 switches routing off. At 9 a
    /// member that knows a kind and a member that does not (±3) are both within one standard
    /// deviation. At 4 a newcomer was found half as quickly; at 16 the choice was no better.
    pub variance: f64,
    /// N-grams stored for each member; those with the least information are dropped first.
    pub weights_max: usize,
    /// Bound of each weight's information, in lessons at even odds times a quarter: a member may
    /// change, so every weight must stay able to move.
    pub information_max: f64,
    /// Log-odds that a tag that fits the ask adds before the first round; 0 switches tags off.
    pub tag_log_odds: f64,
    /// Gold answers that a new tag is worth.
    pub tag_lessons: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            variance: 9.0,
            weights_max: 1024,
            information_max: 5.0,
            tag_log_odds: 2.0,
            tag_lessons: 2.0,
        }
    }
}

/// Variance of a tag's true log-odds around its prior. One wrong answer leaves half of the tag's
/// weight, for other asks too, and three leave nearly nothing.
const TAG_VARIANCE: f64 = 4.0;

/// One answer with its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// The words of the ask.
    pub ask: Features,
    /// Which of its tags fit the ask.
    pub claims: Claims,
    /// Log-odds that the member was right, without the words of the ask.
    pub offset: f64,
    /// Whether the answer was right.
    pub right: bool,
    /// Weight of the lesson: P(best) of a judged round's winner, or the weight of gold.
    pub weight: f64,
}

/// The routing weights of one member. Serialises to a list of `[bucket, μ in thousandths,
/// information in hundredths]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, i32, u32)>", into = "Vec<(u16, i32, u32)>")]
pub struct Skill(BTreeMap<u16, Weight>);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Weight {
    mean: f64,
    /// Precision beyond the prior's.
    information: f64,
}

/// The prediction of a skill for one ask.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Expectation {
    /// To be added to the offset, in log-odds.
    pub shift: f64,
    /// Precision of the shift beyond the prior's, 0 when asks like this were never seen.
    pub information: f64,
    /// Lessons that its tags are worth.
    pub claim_lessons: f64,
}

impl Expectation {
    /// The lessons that this is worth where P(right) is `p`: n coin flips have the precision
    /// n p (1 - p) in log-odds.
    pub(crate) fn observations(&self, p: f64) -> f64 {
        /// Below this variance the relation of counts and log-odds breaks down.
        const VARIANCE_MIN: f64 = 0.05;
        self.information / (p * (1.0 - p)).max(VARIANCE_MIN) + self.claim_lessons
    }
}

impl Skill {
    /// The prediction for this ask.
    pub(crate) fn expect(
        &self,
        ask: &Features,
        claims: &Claims,
        settings: &Settings,
    ) -> Expectation {
        if settings.variance <= 0.0 || ask.buckets().is_empty() {
            return Expectation::default();
        }
        let (count, prior) = (ask.buckets().len() as f64, settings.variance.recip());
        let weights: Vec<Weight> = ask.buckets().iter().map(|gram| self.weight(*gram)).collect();
        let shift = weights.iter().map(|weight| weight.mean).sum::<f64>() / count.sqrt();
        let variance = weights.iter().map(|w| (prior + w.information).recip()).sum::<f64>() / count;
        let information = (variance.recip() - prior).max(0.0);
        let tags = claims.features().map(|(tag, feature)| feature * self.tag(tag, settings));
        let tag_shift = tags.sum::<f64>();
        let credit = (tag_shift / settings.tag_log_odds.max(1e-9)).min(1.0);
        let claim_lessons = settings.tag_lessons.max(0.0) * credit;
        Expectation { shift: shift + tag_shift, information, claim_lessons }
    }

    /// How much a tag counts: 1 as at first, 0 not at all, above 1 when rounds have confirmed it.
    pub fn belief(&self, tag: &str, settings: &Settings) -> f64 {
        self.tag(tags::tag_bucket(tag), settings) / settings.tag_log_odds.max(1e-9)
    }

    /// The log-odds that a tag adds.
    fn tag(&self, tag: u16, settings: &Settings) -> f64 {
        if settings.tag_log_odds <= 0.0 {
            return 0.0;
        }
        (settings.tag_log_odds + self.weight(tag).mean).max(0.0)
    }

    /// Learns one lesson.
    pub fn learn(&mut self, lesson: &Lesson, settings: &Settings) {
        let grams = lesson.ask.buckets();
        let usable = lesson.weight > 0.0 && lesson.weight.is_finite() && lesson.offset.is_finite();
        if settings.variance <= 0.0 || grams.is_empty() || !usable {
            return;
        }
        let prior = settings.variance.recip();
        let expectation = self.expect(&lesson.ask, &lesson.claims, settings);
        let variance = (prior + expectation.information).recip();
        // MacKay's approximation of the logistic averaged over a normal.
        let flatter = (1.0 + std::f64::consts::PI * variance / 8.0).sqrt().recip();
        let p = sigmoid(flatter * (lesson.offset + expectation.shift));
        let surprise = lesson.weight * (f64::from(u8::from(lesson.right)) - p);
        let tag_share = lesson.claims.share();
        let blocks = if tag_share > 0.0 && settings.tag_log_odds > 0.0 { 2.0 } else { 1.0 };
        let curvature = blocks * lesson.weight * p * (1.0 - p);
        let root = (grams.len() as f64).sqrt();
        for gram in grams {
            let weight = self.0.entry(*gram).or_default();
            weight.information = (weight.information + curvature).min(settings.information_max);
            weight.mean += surprise / (root * (prior + weight.information));
        }
        for (tag, feature) in lesson.claims.features().filter(|_| settings.tag_log_odds > 0.0) {
            let weight = self.0.entry(tag).or_default();
            let information = weight.information + curvature * tag_share * feature;
            weight.information = information.min(settings.information_max);
            weight.mean += surprise * feature / (TAG_VARIANCE.recip() + weight.information);
            weight.mean = weight.mean.max(-settings.tag_log_odds);
        }
        self.forget(grams, settings.weights_max.max(grams.len()));
    }

    /// All weights and their information times `keep`, in [0, 1].
    #[must_use]
    pub(crate) fn fade(&self, keep: f64) -> Self {
        let weights = self.0.iter().map(|(gram, weight)| {
            let Weight { mean, information } = *weight;
            (*gram, Weight { mean: mean * keep, information: information * keep })
        });
        // Less information than this is stored as 0.
        Self(weights.filter(|(_, weight)| weight.information > 5e-3).collect())
    }

    /// Number of stored weights.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True before the first lesson.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn weight(&self, gram: u16) -> Weight {
        self.0.get(&gram).copied().unwrap_or_default()
    }

    /// Keeps `max` weights: those of this ask, and of the rest those with the most information.
    fn forget(&mut self, ask: &[u16], max: usize) {
        let over = self.0.len().saturating_sub(max);
        if over == 0 {
            return;
        }
        let rest = self.0.iter().filter(|(gram, _)| ask.binary_search(gram).is_err());
        let mut rest: Vec<(f64, u16)> = rest.map(|(gram, w)| (w.information, *gram)).collect();
        rest.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
        for (_, gram) in rest.into_iter().take(over) {
            self.0.remove(&gram);
        }
    }
}

impl From<Vec<(u16, i32, u32)>> for Skill {
    fn from(rows: Vec<(u16, i32, u32)>) -> Self {
        let weights = rows.into_iter().map(|(gram, mean, information)| {
            let (mean, information) = (f64::from(mean) / 1e3, f64::from(information) / 1e2);
            (gram, Weight { mean, information })
        });
        Self(weights.collect())
    }
}

impl From<Skill> for Vec<(u16, i32, u32)> {
    fn from(skill: Skill) -> Self {
        let rows = skill.0.into_iter().map(|(gram, weight)| {
            // Casts saturate, and neither number comes near its bounds.
            let mean = (weight.mean * 1e3).round() as i32;
            (gram, mean, (weight.information * 1e2).round() as u32)
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests;
