//! Who knows what, learned from the rounds themselves: for each member a Bayesian logistic model
//! of "its answer to this ask is right", over hashed n-grams of the ask.
//!
//! ```text
//! P(right | ask) = σ(offset + w·φ),   φ_i = 1/√n for each of the ask's n n-grams,   w_i ~ N(μ_i, 1/λ_i)
//! ```
//!
//! The offset is what is known without the words: the member's accuracy on the kind of question,
//! or over all. So a member of whom nothing was learned here is chosen as before, and gold that
//! taught its kinds is not counted twice. One lesson is one step of online Laplace with a diagonal
//! precision. A diagonal believes n-grams that come together to be n independent witnesses and
//! would learn n times too slowly, so the curvature of the logistic loss is bounded by its row
//! sums (φ_i Σ_j φ_j = 1) in the place of its diagonal (φ_i² = 1/n): for an ask that is repeated
//! this is the exact scalar model.
//!
//! What a member says it is good at ([`crate::reputation::tags`]) is one feature more for each tag that fits the
//! ask, with a prior mean above 0: so a newcomer is asked for its kind from the start, rounds show
//! how far each of its tags is true, and one that was wrong is not believed for other asks either.
//! As (x + y)² is at most 2x² + 2y², words and tags learn side by side with twice the curvature
//! each. A tag can only help: it is believed down to nothing, never less.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::reputation::{
    calibration::sigmoid,
    features::Features,
    tags::{self, Claims},
};

/// How quickly it is learned who knows what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Variance of w·φ before anything was learned, in squared log-odds; 0 switches routing off.
    /// At 9, one who knows a kind and one who does not (±3) are both as expected; at 4 a newcomer
    /// was found half as quickly, with 16 the choice was no better.
    pub variance: f64,
    /// N-grams remembered of each member; the least telling are forgotten first.
    pub weights_max: usize,
    /// Bound of each weight's information, in lessons at even odds times a quarter: a member may
    /// change, so that no weight must ever stop moving.
    pub information_max: f64,
    /// What a tag that fits the ask adds before rounds have shown it, in log-odds; 0: tags count
    /// nothing.
    pub tag_log_odds: f64,
    /// Gold answers that an untried tag is worth.
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

/// Variance of what a tag really adds around what it is taken for. One wrong answer leaves half of
/// it, for other asks too, and three leave nearly nothing.
const TAG_VARIANCE: f64 = 4.0;

/// One answer whose worth is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    pub ask: Features,
    /// Which of its tags fit the ask.
    pub claims: Claims,
    /// Log-odds that the member was right, as known without the words of the ask.
    pub offset: f64,
    pub right: bool,
    /// How much it counts: P(best) of a judged round's winner, or the weight of gold.
    pub weight: f64,
}

/// What was learned of one member. Serialises to a list of `[bucket, μ in thousandths,
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

/// What a skill says of one ask.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expectation {
    /// To be added to the offset, in log-odds.
    pub shift: f64,
    /// Precision of the shift beyond the prior's, 0 when asks like this were never seen.
    pub information: f64,
    /// Lessons that what is believed of its tags is worth.
    pub claimed: f64,
}

impl Expectation {
    /// The lessons that this is worth where P(right) is `p`: as a count of coin flips has the
    /// precision n p (1 - p) in log-odds.
    pub fn seen(&self, p: f64) -> f64 {
        /// Beyond this P the relation of counts and log-odds breaks down.
        const LEAST: f64 = 0.05;
        self.information / (p * (1.0 - p)).max(LEAST) + self.claimed
    }
}

impl Skill {
    /// What is expected of the member for this ask.
    pub fn expect(&self, ask: &Features, claims: &Claims, settings: &Settings) -> Expectation {
        if settings.variance <= 0.0 || ask.buckets().is_empty() {
            return Expectation::default();
        }
        let (count, prior) = (ask.buckets().len() as f64, settings.variance.recip());
        let weights = || ask.buckets().iter().map(|gram| self.weight(*gram));
        let shift = weights().map(|weight| weight.mean).sum::<f64>() / count.sqrt();
        let variance = weights().map(|w| (prior + w.information).recip()).sum::<f64>() / count;
        let information = (variance.recip() - prior).max(0.0);
        let believed = claims.each().map(|(tag, feature)| feature * self.tag(tag, settings));
        let believed = believed.sum::<f64>();
        let untried = settings.tag_log_odds.max(1e-9);
        let claimed = settings.tag_lessons.max(0.0) * (believed / untried).min(1.0);
        Expectation { shift: shift + believed, information, claimed }
    }

    /// How far a tag is believed: 1 as it came, 0 not at all; above 1 rounds have borne it out.
    pub fn belief(&self, tag: &str, settings: &Settings) -> f64 {
        self.tag(tags::place(tag), settings) / settings.tag_log_odds.max(1e-9)
    }

    /// What a tag adds, in log-odds.
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
        let expected = self.expect(&lesson.ask, &lesson.claims, settings);
        let variance = (prior + expected.information).recip();
        // MacKay's approximation of the logistic averaged over a normal.
        let flatter = (1.0 + std::f64::consts::PI * variance / 8.0).sqrt().recip();
        let p = sigmoid(flatter * (lesson.offset + expected.shift));
        let surprise = lesson.weight * (f64::from(u8::from(lesson.right)) - p);
        let claimed = lesson.claims.share();
        let blocks = if claimed > 0.0 && settings.tag_log_odds > 0.0 { 2.0 } else { 1.0 };
        let curvature = blocks * lesson.weight * p * (1.0 - p);
        let root = (grams.len() as f64).sqrt();
        for gram in grams {
            let weight = self.0.entry(*gram).or_default();
            weight.information = (weight.information + curvature).min(settings.information_max);
            weight.mean += surprise / (root * (prior + weight.information));
        }
        for (tag, feature) in lesson.claims.each().filter(|_| settings.tag_log_odds > 0.0) {
            let weight = self.0.entry(tag).or_default();
            let told = weight.information + curvature * claimed * feature;
            weight.information = told.min(settings.information_max);
            weight.mean += surprise * feature / (TAG_VARIANCE.recip() + weight.information);
            weight.mean = weight.mean.max(-settings.tag_log_odds);
        }
        self.forget(grams, settings.weights_max.max(grams.len()));
    }

    /// What was learned counts only `keep` (in [0, 1]) as much.
    #[must_use]
    pub fn faded(&self, keep: f64) -> Self {
        let fade = |(gram, weight): (&u16, &Weight)| {
            let Weight { mean, information } = *weight;
            (*gram, Weight { mean: mean * keep, information: information * keep })
        };
        let told = |(_, weight): &(u16, Weight)| weight.information > 5e-3;
        Self(self.0.iter().map(fade).filter(told).collect())
    }

    /// N-grams that are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn weight(&self, gram: u16) -> Weight {
        self.0.get(&gram).copied().unwrap_or_default()
    }

    /// Keeps `max` weights: those of this ask, and of the others those with most information.
    fn forget(&mut self, ask: &[u16], max: usize) {
        let over = self.0.len().saturating_sub(max);
        if over == 0 {
            return;
        }
        let others = self.0.iter().filter(|(gram, _)| ask.binary_search(gram).is_err());
        let mut others: Vec<(f64, u16)> = others.map(|(gram, w)| (w.information, *gram)).collect();
        others.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
        for (_, gram) in others.into_iter().take(over) {
            self.0.remove(&gram);
        }
    }
}

impl From<Vec<(u16, i32, u32)>> for Skill {
    fn from(stored: Vec<(u16, i32, u32)>) -> Self {
        let weight = |(gram, mean, information): (u16, i32, u32)| {
            let (mean, information) = (f64::from(mean) / 1e3, f64::from(information) / 1e2);
            (gram, Weight { mean, information })
        };
        Self(stored.into_iter().map(weight).collect())
    }
}

impl From<Skill> for Vec<(u16, i32, u32)> {
    fn from(skill: Skill) -> Self {
        let stored = |(gram, weight): (u16, Weight)| {
            // Casts saturate, and neither number comes near its bounds.
            let mean = (weight.mean * 1e3).round() as i32;
            (gram, mean, (weight.information * 1e2).round() as u32)
        };
        skill.0.into_iter().map(stored).collect()
    }
}

#[cfg(test)]
mod tests;
