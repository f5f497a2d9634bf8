//! A round's candidates and ballots with what they are weighed by: what every step after the writing
//! takes.

use shoal_proto::NodeId;

use crate::{
    ballot::CastBallot,
    candidate::Candidate,
    outcome::Outcome,
    reputation::{KindPosterior, Standing},
    settings::RoundSettings,
};

/// Candidates and ballots, and how far their members are believed on this kind of question. Each step
/// adds its own methods: pooling (`agree`), evidence, ranking, the decision, what to verify and what
/// to learn.
#[derive(Clone, Copy, Debug)]
pub struct Tally<'a> {
    pub candidates: &'a [Candidate],
    pub ballots: &'a [CastBallot],
    pub standing: &'a Standing,
    /// The kind of question, for the accuracy of writers and judges.
    pub kind: &'a KindPosterior,
    pub config: &'a RoundSettings,
}

impl<'a> Tally<'a> {
    /// The tally of a finished round.
    pub fn from_outcome(
        outcome: &'a Outcome,
        standing: &'a Standing,
        config: &'a RoundSettings,
    ) -> Self {
        let Outcome { candidates, ballots, kind, .. } = outcome;
        Self { candidates, ballots, standing, kind, config }
    }

    /// Number of pools: pool numbers of the candidates are below it.
    pub fn pools(&self) -> usize {
        self.candidates.iter().map(|candidate| candidate.pool + 1).max().unwrap_or(0)
    }

    /// Who wrote the candidates, in their order.
    pub fn writers(&self) -> Vec<NodeId> {
        self.candidates.iter().map(|candidate| candidate.writer).collect()
    }

    /// The ballots of everybody but this judge, to hold the judge against the others' opinion with
    /// `Tally { ballots: &others, ..tally }`.
    pub fn without(&self, judge: NodeId) -> Vec<CastBallot> {
        self.ballots.iter().filter(|ballot| ballot.judge != judge).cloned().collect()
    }
}
