//! What a round is given ([`Ask`]) and what it gives back ([`Outcome`]).
//!
//! An `Ask` is made only by [`Ask::parse`], so whatever has one has a valid one.

pub mod error;
mod fields;
pub mod limits;
mod messages;
pub mod mode;
pub mod parse;
pub mod embed;
pub mod rank;
mod door;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use embed::{EmbedAsk, EmbedRequest};
pub use error::AskError;
pub use limits::Limits;
pub use mode::Mode;
pub use parse::ChatRequest;
pub use rank::RankRequest;
use shoal_proto::{
    NodeId,
    generate::{ChatMessage, Finish, Sampling},
};

/// A checked request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who shall answer.
    pub target: Target,
    /// The conversation, never empty, oldest first.
    pub messages: Vec<ChatMessage>,
    pub sampling: Sampling,
    pub effort: Effort,
}

/// Who shall answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The swarm, in a round.
    Swarm,
    /// One member serving this model, without a round.
    Model(String),
}

/// How hard the swarm works, within the operator's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Members that write: N.
    pub writers: usize,
    /// Members that judge: M.
    pub judges: usize,
    /// Time for the whole round.
    pub deadline: Duration,
    /// When enough is known, and which ballots count for it.
    pub mode: Mode,
    /// A member writes the final answer from the best candidates, instead of the winner's being
    /// sent as it is.
    pub fusion: bool,
}

/// Names one round: 16 random bytes as 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct RoundId(pub String);

/// What a round gives: the winner, and everything that led to it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub round: RoundId,
    /// Index of the winner in `candidates`.
    pub winner: usize,
    pub decided: Decided,
    pub candidates: Vec<Candidate>,
    pub ballots: Vec<CastBallot>,
    /// Strength and P(best) of every candidate, by index.
    pub ranking: Ranking,
    /// The answer that a member wrote from the best candidates, if that was asked for and came to
    /// something. It is none of the candidates: nobody judged it.
    pub fused: Option<Candidate>,
    pub timings: Timings,
}

impl Outcome {
    /// The answer whose text is sent: the fused one, else the winning candidate.
    pub fn winner(&self) -> Option<&Candidate> {
        self.fused.as_ref().or_else(|| self.candidates.get(self.winner))
    }
}

/// How the winner was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// Ballots were counted.
    Judged,
    /// Enough writers said the same.
    Agreement,
    /// No ballot arrived: largest pool by weight, then standing, then the earliest.
    Fallback,
    /// There was one candidate only (or one member was asked by name).
    Single,
    /// A member wrote the answer from the best candidates.
    Fused,
}

/// One writer's finished answer.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub writer: NodeId,
    /// The writer's model name.
    pub model: String,
    pub text: String,
    pub finish: Finish,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    /// Natural log-probability that the writer claims for its text, if its engine knows it.
    pub logprob: Option<f64>,
    /// From the start of the round to its end of writing.
    pub took: Duration,
    /// From the start of the round to its first piece.
    pub first_piece: Duration,
    /// Which pool of equal answers it belongs to; pools are numbered in order of appearance.
    pub pool: usize,
}

/// One judge's verdicts.
#[derive(Clone, Debug)]
pub struct CastBallot {
    pub judge: NodeId,
    /// The judge's model name.
    pub model: String,
    pub verdicts: Verdicts,
    pub prompt_tokens: u32,
    pub took: Duration,
}

/// What a judge said. Indices are into [`Outcome::candidates`]; a judge never scores its own.
#[derive(Clone, Debug)]
pub enum Verdicts {
    /// log P(candidate | question) under the judge's weights.
    Scores(Vec<CandidateScore>),
    /// P(first is better), both orders averaged.
    Pairs(Vec<PairVerdict>),
}

/// A likelihood score for one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CandidateScore {
    pub candidate: usize,
    /// Natural log, summed, <= 0.
    pub logprob: f64,
    pub tokens: u32,
}

/// A comparison of two candidates with position bias averaged out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairVerdict {
    pub a: usize,
    pub b: usize,
    /// P(a is better than b) in [0, 1].
    pub p: f64,
    /// The two orders disagreed about who is better.
    pub flipped: bool,
}

/// The strength of every candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// θ: log-odds strengths, by candidate index (equal within a pool).
    pub strengths: Vec<f64>,
    /// P(this candidate's pool is best), by candidate index.
    pub p_best: Vec<f64>,
    /// Candidates from best to worst.
    pub order: Vec<usize>,
    /// Every pool is reachable from every other through comparisons or scores.
    pub connected: bool,
    /// The pairwise majorities contain a cycle.
    pub cyclic: bool,
    /// θ(best) - θ(second best pool); 0 with one pool.
    pub margin: f64,
}

/// How long each phase took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    pub select: Duration,
    pub generate: Duration,
    pub judge: Duration,
    pub rank: Duration,
    /// 0 unless fusion was asked for.
    pub fuse: Duration,
    pub total: Duration,
}
