//! Pools of candidates with the same answer, and whether their agreement ends the round without
//! judging.
//!
//! Judges see the whole candidate; the final answer is extracted for pooling only.

pub mod answer;
mod option;
mod sentence;

use answer::Answer;
pub(crate) use sentence::Question;

use crate::{
    ask::{self, Ask},
    calls,
    candidate::Candidate,
    reputation::calibration::sigmoid,
    tally::Tally,
};

/// The effect of agreement on a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Too few candidates agree.
    TooLittle,
    /// This pool wins without judging.
    Ends(usize),
    /// This pool would win without judging, but the round is judged to measure how often agreements are right.
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

    /// The form of the final answers.
    pub(crate) fn answer_form(&self) -> AnswerForm {
        let answers: Vec<Answer> =
            self.candidates.iter().map(|candidate| Answer::from_text(&candidate.text)).collect();
        AnswerForm::new(answer::forms(&answers).into_iter())
    }

    fn agreement_weight(&self, candidate: &Candidate) -> f64 {
        let right = sigmoid(self.standing.writer_log_odds(&candidate.writer, self.kind));
        self.standing.writer_weight(&candidate.writer) * right
    }
}

/// How many wrong answers are plausible, by the form of a round's final answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    /// One of so many letters.
    Choice(usize),
    /// A number, a name, a list.
    Open,
    /// Whole texts, or none.
    Text,
}

impl AnswerForm {
    /// The form of these final answers in normal form.
    pub(crate) fn new<'a>(answers: impl Iterator<Item = &'a str>) -> Self {
        /// Options of a question whose later options nobody chose.
        const OPTIONS: usize = 4;
        /// Bytes of a final answer: a number, a name, a short list.
        const SHORT: usize = 64;
        let answers: Vec<&str> = answers.collect();
        let short = answers.iter().filter(|answer| (1..=SHORT).contains(&answer.len())).count();
        if 2 * short <= answers.len() {
            return Self::Text;
        }
        let mut options = OPTIONS;
        for answer in answers {
            let mut letters = answer.chars();
            let (Some(letter @ 'a'..='j' | letter @ 'A'..='J'), None) =
                (letters.next(), letters.next())
            else {
                return Self::Open;
            };
            let place =
                u32::from(letter.to_ascii_uppercase()).saturating_sub(u32::from('A')) as usize;
            options = options.max(place + 1);
        }
        Self::Choice(options)
    }

    /// Log-odds that an agreement of two adds, where it adds `open` for open questions: the logarithm of
    /// the number of plausible wrong answers.
    pub(crate) fn agreement(self, open: f64) -> f64 {
        match self {
            Self::Choice(options) => open.min((options.saturating_sub(1).max(1) as f64).ln()),
            Self::Open | Self::Text => open,
        }
    }
}

/// The pool of each text; pools are numbered in order of appearance.
pub fn pools<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let answers: Vec<Answer> = texts.into_iter().map(Answer::from_text).collect();
    answer::pools(&answers)
}

#[cfg(test)]
fn pools_to(question: &str, texts: &[&str]) -> Vec<usize> {
    let question = Question::new(question);
    let answers: Vec<Answer> = texts.iter().map(|text| Answer::new(text, &question)).collect();
    answer::pools(&answers)
}

/// The pool of each candidate: calls are equal by name and arguments, answers that are JSON by value, and other
/// texts by their final answers.
pub fn pools_of<'a>(ask: &Ask, candidates: impl IntoIterator<Item = &'a Candidate>) -> Vec<usize> {
    let question = Question::new(ask::question(&ask.messages));
    let json = ask.constraint.is_json();
    let answers: Vec<Answer> =
        candidates.into_iter().map(|candidate| answer(candidate, &question, json)).collect();
    answer::pools(&answers)
}

fn answer(candidate: &Candidate, question: &Question, json: bool) -> Answer {
    if !candidate.tool_calls.is_empty() {
        return Answer::exact(format!("calls {}", calls::canonical(&candidate.tool_calls)));
    }
    let value = json.then(|| serde_json::from_str(&candidate.text).ok()).flatten();
    value.map_or_else(
        || Answer::new(&candidate.text, question),
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
