//! Rankings as they stand on the wire.

use serde::Serialize;
use serde_json::Value;
use shoal_consensus::{Outcome, outcome::Ranking};

use crate::{id, transcript};

/// The answer.
#[derive(Debug, Serialize)]
pub struct Ranked {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    /// Index of the best candidate.
    best: usize,
    /// Every candidate, best first.
    ranking: Vec<Place>,
    /// Every candidate was compared with every other, directly or through others.
    connected: bool,
    /// The judges' majorities contradict each other in a circle.
    cyclic: bool,
    /// Strength of the best above the second.
    margin: f64,
    /// Each judge's verdicts, by the candidates' indices.
    ballots: Vec<Value>,
    pub usage: Usage,
}

#[derive(Debug, Serialize)]
struct Place {
    /// Where the candidate stood in the request.
    index: usize,
    /// Log-odds: of two candidates the first is better with probability σ(difference).
    strength: f64,
    /// Probability that no other is better. Equal candidates share it.
    p_best: f64,
}

impl Place {
    /// None for an index that the ranking does not have.
    fn new(index: usize, ranking: &Ranking) -> Option<Self> {
        let strength = *ranking.strengths.get(index)?;
        let p_best = *ranking.p_best.get(index)?;
        Some(Self { index, strength, p_best })
    }
}

#[derive(Debug, Serialize)]
pub struct Usage {
    /// Tokens that all judges read.
    pub prompt_tokens: u32,
    total_tokens: u32,
}

impl Ranked {
    /// Encodes the outcome.
    pub fn of(model: String, outcome: &Outcome, created: u64) -> Self {
        let ranking = &outcome.ranking;
        let read = outcome.ballots.iter().map(|ballot| ballot.prompt_tokens);
        let prompt_tokens = read.fold(0_u32, u32::saturating_add);
        Self {
            id: format!("rank-{}", id::hex()),
            object: "ranking",
            created,
            model,
            best: outcome.winner,
            ranking: ranking.order.iter().filter_map(|index| Place::new(*index, ranking)).collect(),
            connected: ranking.connected,
            cyclic: ranking.cyclic,
            margin: ranking.margin,
            ballots: outcome.ballots.iter().map(transcript::ballot).collect(),
            usage: Usage { prompt_tokens, total_tokens: prompt_tokens },
        }
    }
}
