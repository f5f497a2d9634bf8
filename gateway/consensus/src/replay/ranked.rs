//! What a replay says of one round: a line of its output.

use serde::Serialize;

use super::Round;
use crate::{
    ballot::Verdicts,
    evidence::Parts,
    outcome::{Decided, Outcome},
    tally::Tally,
};

/// One round, ranked.
#[derive(Clone, Debug, Serialize)]
pub struct Ranked {
    pub id: String,
    /// It was learned from, and says nothing about accuracy.
    pub gold: bool,
    pub decided: Decided,
    /// Index of the candidate whose text would have been sent.
    pub winner: usize,
    /// Whether it is right; None without a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<bool>,
    /// P(the winner's pool is best).
    pub p: f64,
    /// Candidates from best to worst.
    pub order: Vec<usize>,
    pub candidates: Vec<Ranking>,
    /// Pairwise judges, by name.
    pub judges: Vec<Weight>,
    pub connected: bool,
    pub cyclic: bool,
    pub margin: f64,
}

/// What a candidate came to.
#[derive(Clone, Debug, Serialize)]
pub struct Ranking {
    pub pool: usize,
    pub strength: f64,
    pub p_best: f64,
    /// What speaks for its pool alone, by source, in log-odds.
    pub evidence: Parts,
}

/// How much a judge's pair verdicts counted.
#[derive(Clone, Debug, Serialize)]
pub struct Weight {
    pub judge: String,
    /// r γ: 1 for a good judge alone, 0 for one that says nothing, negative for one that gold
    /// shows to be wrong.
    pub weight: f64,
}

impl Ranked {
    pub(super) fn new(round: &Round, gold: bool, outcome: &Outcome, tally: &Tally<'_>) -> Self {
        let ranking = &outcome.ranking;
        let evidence = tally.evidence();
        let values = ranking.strengths.iter().zip(&ranking.p_best);
        let candidates = outcome.candidates.iter().zip(values).filter_map(|(candidate, values)| {
            Some(Ranking {
                pool: candidate.pool,
                strength: *values.0,
                p_best: *values.1,
                evidence: evidence.get(candidate.pool).copied()?,
            })
        });
        Self {
            id: round.id.clone(),
            gold,
            decided: outcome.decided,
            winner: outcome.winner,
            right: round.right.as_ref().and_then(|right| right.get(outcome.winner).copied()),
            // 0 for a round without candidates, which has no winner.
            p: ranking.p_best.get(outcome.winner).copied().unwrap_or(0.0),
            order: ranking.order.clone(),
            candidates: candidates.collect(),
            judges: weights(round, tally),
            connected: ranking.connected,
            cyclic: ranking.cyclic,
            margin: ranking.margin,
        }
    }
}

fn weights(round: &Round, tally: &Tally<'_>) -> Vec<Weight> {
    let compare = tally.ballots.iter().filter(|one| matches!(one.verdicts, Verdicts::Pairs(_)));
    let judges: Vec<_> = compare.map(|ballot| (ballot.judge, ballot.way())).collect();
    let voices = tally.standing.voices(&judges, tally.kind);
    judges
        .iter()
        .zip(voices)
        .map(|((judge, _), voice)| Weight {
            judge: round.members.get(judge).cloned().unwrap_or_else(|| judge.to_string()),
            weight: voice.weight * voice.discrimination,
        })
        .collect()
}
