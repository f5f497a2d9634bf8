//! A round's candidates and ballots with their weights: the input of every step after the writing.

use shoal_proto::NodeId;

use crate::{
    ballot::CastBallot,
    candidate::Candidate,
    outcome::Outcome,
    reputation::{KindPosterior, Standing},
    settings::RoundSettings,
};

/// Candidates and ballots, and the standing of their members on this kind of question. Each step adds its own
/// methods: pooling (`agree`), evidence, ranking, the decision, what to verify and what to learn.
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

    /// The candidate of this index. Ballots and rankings name candidates of their own round only: the task of
    /// a judge says which candidates its verdicts are about, and a replay refuses a round that names others.
    #[expect(clippy::indexing_slicing, reason = "the one place that trusts such an index")]
    pub(crate) fn candidate(&self, at: usize) -> &'a Candidate {
        &self.candidates[at]
    }

    /// One value for each candidate, in their order, grouped by pool.
    #[expect(clippy::indexing_slicing, reason = "`Self::pools` is above every candidate's pool")]
    pub(crate) fn by_pool<T>(&self, values: impl IntoIterator<Item = T>) -> Vec<Vec<T>> {
        let mut pools: Vec<Vec<T>> = Vec::new();
        pools.resize_with(self.pools(), Vec::new);
        for (candidate, value) in self.candidates.iter().zip(values) {
            pools[candidate.pool].push(value);
        }
        pools
    }

    /// The value of each candidate's pool, from one value for each pool.
    #[expect(clippy::indexing_slicing, reason = "`Self::pools` is above every candidate's pool")]
    pub(crate) fn by_candidate<T: Copy>(&self, of_pools: &[T]) -> Vec<T> {
        self.candidates.iter().map(|candidate| of_pools[candidate.pool]).collect()
    }

    /// Number of pools: pool numbers of the candidates are below it.
    pub fn pools(&self) -> usize {
        self.candidates.iter().map(|candidate| candidate.pool + 1).max().unwrap_or(0)
    }

    /// The writers of the candidates, in their order.
    pub fn writers(&self) -> Vec<NodeId> {
        self.candidates.iter().map(|candidate| candidate.writer).collect()
    }

    /// The ballots without those of this judge, for `Tally { ballots: &others, ..tally }`, with whose ranking the
    /// judge is compared.
    pub fn without(&self, judge: NodeId) -> Vec<CastBallot> {
        self.ballots.iter().filter(|ballot| ballot.judge != judge).cloned().collect()
    }
}
