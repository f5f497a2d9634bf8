//! One judge's ballot: likelihood scores, or comparisons of two candidates.

use std::time::Duration;

use shoal_proto::NodeId;

use crate::reputation::ComparisonMode;

/// One judge's verdicts.
#[derive(Clone, Debug)]
pub struct CastBallot {
    pub judge: NodeId,
    /// The judge's model name.
    pub model: String,
    /// It wrote reasons before its verdicts; never for scores.
    pub reasoned: bool,
    pub verdicts: Verdicts,
    /// Tokens that were read for it, and those of written reasons.
    pub prompt_tokens: u32,
    pub took: Duration,
}

impl CastBallot {
    /// The mode of its comparisons.
    pub fn mode(&self) -> ComparisonMode {
        if self.reasoned { ComparisonMode::Reasoned } else { ComparisonMode::Direct }
    }
}

/// The verdicts of a ballot. Indices are into [`crate::Outcome::candidates`]; a judge never scores its own.
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
    /// The verdicts on the two orders contradict each other.
    pub flipped: bool,
}

impl PairVerdict {
    /// The verdict on candidates `a` and `b` from P(the one shown first is better) in each order. It is one half
    /// for a judge that always prefers the one shown first.
    pub fn from_orders(a: usize, b: usize, a_shown_first: f64, b_shown_first: f64) -> Self {
        Self {
            a,
            b,
            p: 0.5 * (a_shown_first + 1.0 - b_shown_first),
            flipped: (a_shown_first > 0.5) == (b_shown_first > 0.5),
        }
    }
}
