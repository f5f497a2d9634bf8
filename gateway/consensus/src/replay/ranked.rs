//! What a replay says of one round: a line of its output.

use serde::Serialize;

use crate::replay::{Round, Settings};
use crate::{
    ballot::Verdicts,
    evidence::{self, Parts},
    outcome::{Decided, Outcome},
    reputation::Standing,
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
    pub(super) fn new(
        round: &Round,
        gold: bool,
        outcome: &Outcome,
        standing: &Standing,
        settings: &Settings,
    ) -> Self {
        let ranking = &outcome.ranking;
        let at = |values: &[f64], index: usize| values.get(index).copied().unwrap_or(0.0);
        let kind = standing.ask();
        let parts = evidence::for_pools(
            &outcome.candidates,
            &outcome.ballots,
            kind,
            standing,
            &settings.round.evidence,
        );
        let candidates = outcome.candidates.iter().enumerate().map(|(index, one)| Ranking {
            pool: one.pool,
            strength: at(&ranking.strengths, index),
            p_best: at(&ranking.p_best, index),
            evidence: parts.get(one.pool).copied().unwrap_or_default(),
        });
        Self {
            id: round.id.clone(),
            gold,
            decided: outcome.decided,
            winner: outcome.winner,
            right: round.right.as_ref().and_then(|right| right.get(outcome.winner).copied()),
            p: at(&ranking.p_best, outcome.winner),
            order: ranking.order.clone(),
            candidates: candidates.collect(),
            judges: weights(round, outcome, standing),
            connected: ranking.connected,
            cyclic: ranking.cyclic,
            margin: ranking.margin,
        }
    }
}

fn weights(round: &Round, outcome: &Outcome, standing: &Standing) -> Vec<Weight> {
    let compare = outcome.ballots.iter().filter(|one| matches!(one.verdicts, Verdicts::Pairs(_)));
    let judges: Vec<_> = compare.map(|ballot| (ballot.judge, ballot.way())).collect();
    let voices = standing.voices(&judges);
    judges
        .iter()
        .zip(voices)
        .map(|((judge, _), voice)| Weight {
            judge: round.members.get(judge).cloned().unwrap_or_else(|| judge.to_string()),
            weight: voice.weight * voice.discrimination,
        })
        .collect()
}
