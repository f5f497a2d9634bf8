//! What a simulated member is like.

use std::time::Duration;

/// How a member writes, judges, and misbehaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Character {
    /// How it writes.
    pub(crate) writing: Writing,
    /// How it judges.
    pub(crate) judging: Judging,
    /// P(it knows the answer), for questions outside of `strong`.
    pub(crate) skill: f64,
    /// Families of the syllabus in which it knows nearly everything.
    pub(crate) strong: Vec<String>,
    /// Before its first piece.
    pub(crate) first_piece: Duration,
    /// Between pieces.
    pub(crate) pace: Duration,
    pub(crate) slots: u32,
    /// Name of its model; empty: one of its own.
    pub(crate) model: String,
    /// Whom it belongs to; empty: itself.
    pub(crate) operator: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// What it believes, with honest certainty.
    Honest,
    /// Always the same wrong answer, with full certainty.
    Liar,
    /// Honest to gold questions, a liar to all others.
    Sleeper,
    /// Takes the work and never says anything.
    Silent,
    /// Says a piece, then its engine breaks.
    Dies,
    /// Never comes to an end.
    Endless,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judging {
    /// Likelihoods by what it believes, with noise.
    Honest,
    /// Praises the lie, and finds everything else impossible.
    Liar,
    /// As `Liar`, but not on gold.
    Sleeper,
    /// Compares pairs by what it believes.
    Pairs,
    /// Compares pairs, and prefers whichever is shown first.
    First,
    /// Takes the work and never says anything.
    Silent,
    /// Breaks.
    Dies,
    /// Cannot judge.
    None,
}

/// What all liars say: colluders agree.
pub(crate) const LIE: &str = "666";

impl Character {
    /// Knows a share of all answers, and says and judges what it believes.
    pub fn honest(skill: f64) -> Self {
        Self {
            writing: Writing::Honest,
            judging: Judging::Honest,
            skill,
            strong: Vec::new(),
            first_piece: Duration::from_millis(100),
            pace: Duration::from_millis(20),
            slots: 4,
            model: String::new(),
            operator: String::new(),
        }
    }

    /// Knows nearly everything in these families, and little else.
    pub fn specialist(families: &[&str]) -> Self {
        let strong = families.iter().map(|&family| family.to_owned()).collect();
        Self { strong, ..Self::honest(0.3) }
    }

    /// Says the same wrong thing to everything, claims to be certain, and votes for its like.
    pub fn liar() -> Self {
        Self { writing: Writing::Liar, judging: Judging::Liar, ..Self::honest(0.0) }
    }

    /// Passes the exam like a good member and lies in every round.
    pub fn sleeper(skill: f64) -> Self {
        Self { writing: Writing::Sleeper, judging: Judging::Sleeper, ..Self::honest(skill) }
    }

    /// Takes work and says nothing.
    pub fn silent() -> Self {
        Self { writing: Writing::Silent, judging: Judging::Silent, ..Self::honest(0.0) }
    }

    /// Breaks in the middle of everything.
    pub fn dying() -> Self {
        Self { writing: Writing::Dies, judging: Judging::Dies, ..Self::honest(0.0) }
    }

    /// Writes without end.
    #[must_use]
    pub fn endless(self) -> Self {
        Self { writing: Writing::Endless, ..self }
    }

    /// Takes this long before its first piece.
    #[must_use]
    pub fn after(self, first_piece: Duration) -> Self {
        Self { first_piece, ..self }
    }

    /// Judges by comparing pairs.
    #[must_use]
    pub fn comparing(self) -> Self {
        Self { judging: Judging::Pairs, ..self }
    }

    /// Judges by preferring whatever is shown first.
    #[must_use]
    pub fn preferring_the_first(self) -> Self {
        Self { judging: Judging::First, ..self }
    }

    /// Takes ballots and never casts one.
    #[must_use]
    pub fn silent_as_a_judge(self) -> Self {
        Self { judging: Judging::Silent, ..self }
    }

    /// Breaks over every ballot.
    #[must_use]
    pub fn dying_as_a_judge(self) -> Self {
        Self { judging: Judging::Dies, ..self }
    }

    /// Cannot judge.
    #[must_use]
    pub fn without_judging(self) -> Self {
        Self { judging: Judging::None, ..self }
    }

    /// Serves a model of this name.
    #[must_use]
    pub fn serving(self, model: &str) -> Self {
        Self { model: model.to_owned(), ..self }
    }

    /// Takes this many pieces of work at the same time.
    #[must_use]
    pub fn with_slots(self, slots: u32) -> Self {
        Self { slots, ..self }
    }

    pub(crate) fn skill_at(&self, kind: &str) -> f64 {
        if self.strong.iter().any(|strong| strong == kind) { 0.98 } else { self.skill }
    }
}
