//! Pools of candidates with the same answer, and whether their agreement ends the round without
//! judging.
//!
//! Judges see the whole candidate; the final answer is extracted for pooling only.

pub mod answer;

use answer::Answer;

use crate::{calls, candidate::Candidate, reputation::calibration::sigmoid, tally::Tally};

/// The effect of agreement on a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Too few candidates agree.
    TooLittle,
    /// This pool wins without judging.
    Ends(usize),
    /// This pool would win without judging, but the round is judged to measure how often the short
    /// cut is right.
    Audited(usize),
}

impl Agreement {
    /// The pool that wins without judging.
    pub fn ends(self) -> Option<usize> {
        match self {
            Self::Ends(pool) => Some(pool),
            Self::TooLittle | Self::Audited(_) => None,
        }
    }
}

impl Tally<'_> {
    /// The effect of [`Self::agreed_pool`]. `audit_draw` is a number in [0, 1) from the round's seed:
    /// below `audit` the round is judged nevertheless.
    pub fn agreement(&self, writers: usize, audit_draw: f64) -> Agreement {
        match self.agreed_pool(writers) {
            Some(pool) if audit_draw < self.config.agree.audit => Agreement::Audited(pool),
            Some(pool) => Agreement::Ends(pool),
            None => Agreement::TooLittle,
        }
    }

    /// The pool that ends the round without judging, if there is one: it needs at least `share` of
    /// the `writers` of the round, and of the weight of the candidates.
    pub fn agreed_pool(&self, writers: usize) -> Option<usize> {
        let settings = &self.config.agree;
        // A writer that gold shows to be usually wrong on this kind should not carry an agreement,
        // and neither should many keys of one operator.
        let shares = self.standing.shares(&self.writers());
        let weights: Vec<(usize, f64)> = (self.candidates.iter().zip(shares))
            .map(|(candidate, share)| (candidate.pool, share * self.agreement_weight(candidate)))
            .collect();
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        (0..self.pools()).find(|pool| {
            let members = weights.iter().filter(|(of, _)| of == pool);
            let count = members.clone().count();
            let weight: f64 = members.map(|(_, weight)| weight).sum();
            count >= settings.writers_min
                && count as f64 >= settings.share * writers.max(self.candidates.len()) as f64
                && total > 0.0
                && weight >= settings.share * total
        })
    }

    fn agreement_weight(&self, candidate: &Candidate) -> f64 {
        let right = sigmoid(self.standing.writer_log_odds(&candidate.writer, self.kind));
        self.standing.writer_weight(&candidate.writer) * right
    }
}

/// The pool of each text; pools are numbered in order of appearance.
pub fn pools<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let answers: Vec<Answer> = texts.into_iter().map(Answer::from_text).collect();
    answer::pools(&answers)
}

/// The pool of each candidate: calls are equal by name and arguments, answers that are JSON by
/// value, and other texts by their final answers.
pub fn pools_of<'a>(candidates: impl IntoIterator<Item = &'a Candidate>, json: bool) -> Vec<usize> {
    let answers: Vec<Answer> =
        candidates.into_iter().map(|candidate| answer(candidate, json)).collect();
    answer::pools(&answers)
}

fn answer(candidate: &Candidate, json: bool) -> Answer {
    if !candidate.tool_calls.is_empty() {
        return Answer::exact(format!("calls {}", calls::canonical(&candidate.tool_calls)));
    }
    let value = json.then(|| serde_json::from_str(&candidate.text).ok()).flatten();
    value.map_or_else(
        || Answer::from_text(&candidate.text),
        |value| Answer::exact(calls::canonical_value(&value)),
    )
}

/// The final answer of a text, in a normal form. Equal answers have the same form, except that one
/// may name a unit that another leaves out.
pub fn final_answer(text: &str) -> String {
    Answer::from_text(text).normal_form().to_owned()
}

#[cfg(test)]
mod tests;
