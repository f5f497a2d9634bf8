//! The result of a round, and its progress before that.

use std::time::Duration;

use serde::Serialize;

use crate::{ballot::CastBallot, candidate::Candidate, reputation::KindPosterior};

/// Names one round: 16 random bytes as 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RoundId(pub String);

/// The result of a round: the winner, and everything that led to it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub round: RoundId,
    /// Index of the winner in `candidates`.
    pub winner: usize,
    pub decided: Decision,
    /// The kind of question, as it was guessed.
    pub kind: KindPosterior,
    pub candidates: Vec<Candidate>,
    pub ballots: Vec<CastBallot>,
    /// Strength and P(best) of every candidate, by index.
    pub ranking: Ranking,
    /// The answer that a member wrote from the best candidates, if that was requested and succeeded. It is not
    /// a candidate: no judge compared it.
    pub fused: Option<Candidate>,
    pub timings: Timings,
}

impl Outcome {
    /// The answer whose text is sent: the fused one, else the winning candidate.
    pub fn winner(&self) -> Option<&Candidate> {
        self.fused.as_ref().or_else(|| self.candidates.get(self.winner))
    }

    /// P(the winning candidate is right) in [0, 1]; None if it is unknown: for the answer of a model that was
    /// asked by name, and for a fused answer that equals no candidate.
    pub fn confidence(&self) -> Option<f64> {
        match self.decided {
            Decision::Abstained => Some(0.0),
            Decision::Fused => self.fused.as_ref().and_then(|fused| {
                let twin = self.candidates.iter().position(|c| c.pool == fused.pool)?;
                self.ranking.p_right.get(twin).copied()
            }),
            _ => self.ranking.p_right.get(self.winner).copied(),
        }
    }

    /// `count` answers, best first, the winner always first. Different answers come before the same answer in
    /// other words, and these before copies.
    pub fn choices(&self, count: usize) -> Vec<&Candidate> {
        let best_first = self.ranking.order.iter().filter_map(|at| self.candidates.get(*at));
        let answers: Vec<&Candidate> = self.winner().into_iter().chain(best_first).collect();
        let mut choices: Vec<&Candidate> = Vec::new();
        let alike: [fn(&Candidate, &Candidate) -> bool; 3] = [
            |a, b| a.pool == b.pool,
            |a, b| a.text == b.text && a.tool_calls == b.tool_calls,
            |a, b| std::ptr::eq(a, b),
        ];
        for alike in alike {
            for candidate in &answers {
                if choices.len() < count && !choices.iter().any(|choice| alike(choice, candidate)) {
                    choices.push(candidate);
                }
            }
        }
        // If fewer members answered, the best answers are repeated.
        let again: Vec<&Candidate> = choices.iter().copied().cycle().take(count).collect();
        if again.len() > choices.len() { again } else { choices }
    }
}

/// An event before the end of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundUpdate {
    /// A piece of text as it is written, where one member answers alone; `choice` is the index of the answer.
    Piece { choice: usize, text: String },
    /// How far the round is.
    Progress(Progress),
}

/// How far a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Number of writers that have finished, of those that were asked.
    Writing { finished: usize, asked: usize },
    /// Number of ballots, and of judges that were asked.
    Judging { heard: usize, asked: usize },
}

/// How the winner was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Ballots were counted.
    Judged,
    /// Enough writers gave the same answer.
    Agreement,
    /// No ballot arrived: the largest pool by weight, in it the writer of best standing, then the earliest.
    Fallback,
    /// There was one candidate only (or one member was asked by name).
    Single,
    /// A member wrote the answer from the best candidates.
    Fused,
    /// Every member that was asked abstained; the answer lists what the swarm knows.
    Abstained,
}

/// The evidence for one pool by source, in log-odds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Parts {
    /// Its writers' accuracy on this kind of question.
    pub standing: f64,
    /// The certainty that its writers claimed.
    pub certainty: f64,
    /// The likelihoods that the judges gave it.
    pub scores: f64,
    /// The number of its writers.
    pub agreement: f64,
}

impl Parts {
    /// The sum of all sources, in log-odds.
    pub fn total(&self) -> f64 {
        self.standing + self.certainty + self.scores + self.agreement
    }
}

/// The strength of every candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// θ: log-odds strengths, by candidate index (equal within a pool).
    pub strengths: Vec<f64>,
    /// The evidence for the candidate's pool before pair verdicts, by candidate index. Empty for a model that
    /// was asked by name.
    pub evidence: Vec<Parts>,
    /// P(this candidate's pool is best), by candidate index.
    pub p_best: Vec<f64>,
    /// P(this candidate's pool is right), by candidate index; the rest, over all pools, is P(none of them
    /// is). Empty for a model that was asked by name.
    pub p_right: Vec<f64>,
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
