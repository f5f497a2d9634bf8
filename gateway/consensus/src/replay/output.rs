//! The result of a replay for one round: a line of its output.

use serde::Serialize;

use super::Round;
use crate::{
    ballot::Verdicts,
    outcome::{Decision, Outcome, Parts},
    tally::Tally,
};

/// The ranking of one round.
#[derive(Clone, Debug, Serialize)]
pub struct RankedRound {
    /// Id of the round.
    pub id: String,
    /// Whether it is gold, and so does not count for the accuracy.
    pub gold: bool,
    /// What decided the round.
    pub decided: Decision,
    /// Index of the candidate that a live round would send.
    pub winner: usize,
    /// Whether it is right; None without a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<bool>,
    /// P(the winner's pool is best).
    pub p: f64,
    /// P(the winner is right).
    pub p_right: f64,
    /// Candidates from best to worst.
    pub order: Vec<usize>,
    /// The values of each candidate.
    pub candidates: Vec<Ranking>,
    /// Pairwise judges, by name.
    pub judges: Vec<Weight>,
    /// As in [`crate::outcome::Ranking`].
    pub connected: bool,
    /// As in [`crate::outcome::Ranking`].
    pub cyclic: bool,
    /// As in [`crate::outcome::Ranking`].
    pub margin: f64,
}

/// The values of a candidate in the ranking.
#[derive(Clone, Debug, Serialize)]
pub struct Ranking {
    /// The pool of equal answers.
    pub pool: usize,
    /// Fitted strength, in log-odds.
    pub strength: f64,
    /// P(its pool is best).
    pub p_best: f64,
    /// P(its pool is right).
    pub p_right: f64,
    /// Log-odds of its pool before comparisons, by source.
    pub evidence: Parts,
}

/// The weight of a judge's pair verdicts.
#[derive(Clone, Debug, Serialize)]
pub struct Weight {
    /// Its name.
    pub judge: String,
    /// r γ: 1 for a single good judge, 0 for an uninformative one, negative for a judge that gold
    /// shows to be usually wrong.
    pub weight: f64,
}

impl RankedRound {
    pub(super) fn new(round: &Round, gold: bool, outcome: &Outcome, tally: &Tally<'_>) -> Self {
        let ranking = &outcome.ranking;
        let probabilities = ranking.p_best.iter().zip(&ranking.p_right);
        let candidates: Vec<Ranking> = (outcome.candidates.iter().zip(&ranking.strengths))
            .zip(probabilities)
            .zip(&ranking.evidence)
            .map(|(((candidate, strength), (p_best, p_right)), evidence)| Ranking {
                pool: candidate.pool,
                strength: *strength,
                p_best: *p_best,
                p_right: *p_right,
                evidence: *evidence,
            })
            .collect();
        // Where every member abstained there is no candidate, and so no winner.
        let (p, p_right) = (candidates.get(outcome.winner))
            .map_or((0.0, 0.0), |winner| (winner.p_best, winner.p_right));
        Self {
            id: round.id.clone(),
            gold,
            decided: outcome.decided,
            winner: outcome.winner,
            right: round.right.as_ref().and_then(|right| right.get(outcome.winner).copied()),
            p,
            p_right,
            order: ranking.order.clone(),
            candidates,
            judges: weights(round, tally),
            connected: ranking.connected,
            cyclic: ranking.cyclic,
            margin: ranking.margin,
        }
    }
}

fn weights(round: &Round, tally: &Tally<'_>) -> Vec<Weight> {
    let compare =
        tally.ballots.iter().filter(|ballot| matches!(ballot.verdicts, Verdicts::Pairs(_)));
    let judges: Vec<_> = compare.map(|ballot| (ballot.judge, ballot.mode())).collect();
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
