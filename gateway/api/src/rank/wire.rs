//! The answer of `POST /v1/rank`.

use serde::Serialize;
use serde_json::Value;
use shoal_consensus::Outcome;

use crate::{id, transcript, usage::PromptUsage};

/// The candidates in their order.
#[derive(Debug, Serialize)]
pub struct RankResponse {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    /// Index of the best candidate.
    best: usize,
    /// Every candidate, best first.
    ranking: Vec<RankedCandidate>,
    /// Every pair of candidates is compared, directly or through other candidates.
    connected: bool,
    /// The judges' majorities contradict each other: they form a cycle.
    cyclic: bool,
    /// Strength of the best candidate above the second.
    margin: f64,
    /// Each judge's verdicts, by the candidates' indices.
    ballots: Vec<Value>,
    /// The tokens that all judges read together.
    pub usage: PromptUsage,
}

#[derive(Debug, Serialize)]
struct RankedCandidate {
    /// The candidate's place in the request.
    index: usize,
    /// Log-odds: a candidate is better than another with probability σ(difference of strengths).
    strength: f64,
    /// Probability that no candidate is better. Equal candidates share it.
    p_best: f64,
}

impl RankResponse {
    /// The answer for an outcome. `unix_seconds` is the time of the answer. `None` if a candidate in the order
    /// has no strength.
    pub fn new(model: String, outcome: &Outcome, unix_seconds: u64) -> Option<Self> {
        let ranking = &outcome.ranking;
        let candidates = ranking.order.iter().map(|index| {
            Some(RankedCandidate {
                index: *index,
                strength: *ranking.strengths.get(*index)?,
                p_best: *ranking.p_best.get(*index)?,
            })
        });
        let tokens = outcome.ballots.iter().map(|ballot| ballot.prompt_tokens);
        let prompt_tokens = tokens.fold(0_u32, u32::saturating_add);
        Some(Self {
            id: format!("rank-{}", id::hex()),
            object: "ranking",
            created: unix_seconds,
            model,
            best: outcome.winner,
            ranking: candidates.collect::<Option<_>>()?,
            connected: ranking.connected,
            cyclic: ranking.cyclic,
            margin: ranking.margin,
            ballots: outcome.ballots.iter().map(transcript::ballot).collect(),
            usage: PromptUsage::new(prompt_tokens),
        })
    }
}
