//! Other ways to pick one of the answers of a round, to compare the ranking with.
//!
//! They have the candidates that the round waited for, and its ballots, so their cost is the
//! round's.

use std::collections::BTreeMap;

use super::collect::Answer;
use crate::record::{Candidate, Round, Score};

/// A round and the grades of its candidates.
pub(super) struct GradedRound {
    round: Round,
    rights: Vec<bool>,
}

/// A way to pick: a score for each candidate; the highest wins, equal ones share the credit.
pub(super) type Rule = fn(&GradedRound) -> Vec<f64>;

/// The rules and their names.
pub(super) const RULES: [(&str, Rule); 4] = [
    ("surest writer, of those heard", GradedRound::certainties),
    ("votes weighted by certainty (CISC), of those heard", GradedRound::weighted_votes),
    ("mean log-probability of the judges, of those heard", GradedRound::mean_scores),
    ("first to finish", GradedRound::firsts),
];

impl GradedRound {
    /// None if the answer has no transcript, or one without candidates.
    pub(super) fn new(answer: &Answer) -> Option<Self> {
        let round: Round = serde_json::from_value(answer.transcript.clone()?).ok()?;
        let is_whole =
            !round.candidates.is_empty() && round.candidates.len() == answer.rights.len();
        is_whole.then(|| Self { round, rights: answer.rights.clone() })
    }

    /// Credit of a rule: 1 if it picks a right answer, a share where several have the highest score.
    pub(super) fn credit(&self, rule: Rule) -> f64 {
        let scores = rule(self);
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let picked = scores.iter().zip(&self.rights).filter(|(score, _)| **score >= best);
        let credits: Vec<f64> = picked.map(|(_, right)| f64::from(u8::from(*right))).collect();
        credits.iter().sum::<f64>() / credits.len().max(1) as f64
    }

    fn certainties(&self) -> Vec<f64> {
        self.round.candidates.iter().map(certainty).collect()
    }

    /// Confidence-informed self-consistency (arXiv 2502.06233): the certainties of equal answers add up.
    fn weighted_votes(&self) -> Vec<f64> {
        let mut votes: BTreeMap<usize, f64> = BTreeMap::new();
        for candidate in &self.round.candidates {
            *votes.entry(candidate.pool).or_default() += certainty(candidate).exp();
        }
        let candidates = self.round.candidates.iter();
        candidates.map(|candidate| votes.get(&candidate.pool).copied().unwrap_or(0.0)).collect()
    }

    /// Mean over judges of the log-probability of a token. Who did not score a candidate says nothing of
    /// it; a candidate without scores loses to one with any.
    fn mean_scores(&self) -> Vec<f64> {
        let mean = |at: usize| {
            let scores = self.round.ballots.iter().flat_map(|ballot| &ballot.scores);
            let of_candidate: Vec<f64> =
                scores.filter(|score| score.candidate == at).map(mean_logprob).collect();
            let count = of_candidate.len();
            if count == 0 { f64::MIN } else { of_candidate.iter().sum::<f64>() / count as f64 }
        };
        (0..self.round.candidates.len()).map(mean).collect()
    }

    fn firsts(&self) -> Vec<f64> {
        self.round.candidates.iter().map(|candidate| -candidate.took_ms).collect()
    }
}

/// Mean log-probability of a token under its own writer; who claims nothing is least certain.
fn certainty(candidate: &Candidate) -> f64 {
    let tokens = f64::from(candidate.completion_tokens.max(1));
    candidate.logprob.map_or(f64::MIN, |logprob| logprob / tokens)
}

fn mean_logprob(score: &Score) -> f64 {
    score.logprob / f64::from(score.tokens.max(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn graded_round() -> GradedRound {
        let candidate = |writer: &str, pool: usize, logprob: f64, took_ms: f64| {
            json!({
                "writer": writer, "model": writer, "text": "", "prompt_tokens": 1,
                "completion_tokens": 2, "logprob": logprob, "took_ms": took_ms, "pool": pool,
            })
        };
        let transcript = json!({
            "id": "r", "decided": "judged", "winner": 0,
            "candidates": [
                candidate("a", 0, -0.1, 30.0),
                candidate("b", 1, -0.4, 10.0),
                candidate("c", 1, -0.5, 20.0),
            ],
            "ballots": [{
                "judge": "j", "model": "j", "prompt_tokens": 1,
                "scores": [
                    { "candidate": 1, "logprob": -3.0, "tokens": 3 },
                    { "candidate": 2, "logprob": -2.0, "tokens": 1 },
                ],
            }],
            "timings_ms": { "generate": 1.0, "judge": 1.0, "total": 2.0 },
        });
        let round = serde_json::from_value(transcript).expect("a round");
        GradedRound { round, rights: vec![false, true, false] }
    }

    #[test]
    fn each_rule_picks_by_its_own_score() {
        let round = graded_round();
        let credits = RULES.map(|(name, rule)| (name, round.credit(rule)));
        let expected = [0.0, 0.5, 1.0, 1.0];
        for ((name, credit), expected) in credits.into_iter().zip(expected) {
            assert_eq!(credit, expected, "{name}");
        }
    }
}
