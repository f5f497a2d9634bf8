//! Which candidates say the same, and whether enough of them do to spare the judging.
//!
//! The whole candidate is judged; the final answer is extracted for pooling only.

pub mod answer;

use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

use answer::Answer;

use crate::{
    calls,
    candidate::Candidate,
    reputation::{KindPosterior, Standing, calibration::sigmoid},
};

/// When agreement alone decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Share of the writers asked, and of their weight, that must say the same. 1 or more never
    /// ends a round early. At two thirds, four of six ended a round and were wrong in one of
    /// twelve; at .75 the swarm was right 1.2 points more often (520 gold questions).
    pub share: f64,
    /// Writers at least: two that agree may have learned the same mistake.
    pub writers_min: usize,
    /// How often an agreement is judged all the same, so that the short cut itself is measured.
    pub audit: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { share: 0.75, writers_min: 3, audit: 0.05 }
    }
}

/// What agreement makes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Too few say the same.
    TooLittle,
    /// This pool wins without judging.
    Ends(usize),
    /// This pool would win without judging, and the round is judged all the same: so that it can
    /// be said how often the short cut is right.
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

/// What [`enough`] makes of the round: `audit_draw` is a number in [0, 1) from the round's seed;
/// below `audit` the round is judged all the same.
pub fn agreement(
    candidates: &[Candidate],
    asked: usize,
    standing: &Standing,
    kind: &KindPosterior,
    settings: &Settings,
    audit_draw: f64,
) -> Agreement {
    match enough(candidates, asked, standing, kind, settings) {
        Some(pool) if audit_draw < settings.audit => Agreement::Audited(pool),
        Some(pool) => Agreement::Ends(pool),
        None => Agreement::TooLittle,
    }
}

/// The pool of each text; pools are numbered in order of appearance.
pub fn pools<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let answers: Vec<Answer> = texts.into_iter().map(Answer::of).collect();
    answer::pools(&answers)
}

/// The pool of each candidate: calls are equal by name and arguments, answers that are JSON by
/// value, and others by what they say in the end.
pub fn pools_of<'a>(candidates: impl IntoIterator<Item = &'a Candidate>, json: bool) -> Vec<usize> {
    let said: Vec<Answer> = candidates.into_iter().map(|one| said(one, json)).collect();
    answer::pools(&said)
}

fn said(candidate: &Candidate, json: bool) -> Answer {
    if !candidate.tool_calls.is_empty() {
        return Answer::exact(format!("calls {}", calls::canonical(&candidate.tool_calls)));
    }
    let value = json.then(|| serde_json::from_str(&candidate.text).ok()).flatten();
    value.map_or_else(
        || Answer::of(&candidate.text),
        |value| Answer::exact(calls::canonical_value(&value)),
    )
}

/// The pool that ends the round without judging, if there is one: at least `share` of the
/// `asked` writers and of the weight of those that answered.
pub fn enough(
    candidates: &[Candidate],
    asked: usize,
    standing: &Standing,
    kind: &KindPosterior,
    settings: &Settings,
) -> Option<usize> {
    // A writer that gold shows to be usually wrong on this kind should not carry an agreement, and
    // neither should many keys of one operator.
    let writers: Vec<NodeId> = candidates.iter().map(|candidate| candidate.writer).collect();
    let shares = standing.shares(&writers);
    let weight = |(candidate, share): (&Candidate, &f64)| {
        let right = sigmoid(standing.writer_log_odds(&candidate.writer, kind));
        share * standing.writer_weight(&candidate.writer) * right
    };
    let weighed = || candidates.iter().zip(&shares);
    let total: f64 = weighed().map(weight).sum();
    let pools = candidates.iter().map(|candidate| candidate.pool).max()? + 1;
    (0..pools).find(|pool| {
        let members = || weighed().filter(|(candidate, _)| candidate.pool == *pool);
        let count = members().count();
        let held: f64 = members().map(weight).sum();
        count >= settings.writers_min
            && count as f64 >= settings.share * asked.max(candidates.len()) as f64
            && total > 0.0
            && held >= settings.share * total
    })
}

/// What a text says in the end, in a form in which equal answers are equal, but that one names a unit
/// and another does not.
pub fn final_answer(text: &str) -> String {
    Answer::of(text).said().to_owned()
}

#[cfg(test)]
mod tests;
