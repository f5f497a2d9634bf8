//! A recorded round as it is written for `shoal-gateway rank`.

use std::collections::BTreeMap;

use serde::Serialize;
use shoal_consensus::{Verdicts, replay::{self, LineError}};
use shoal_proto::NodeId;

/// One line of rounds.jsonl.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    pub id: String,
    pub candidates: Vec<Candidate>,
    pub ballots: Vec<Order>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, Kin>,
}

/// Whose mistakes a member is likely to share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kin {
    pub operator: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Candidate {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// A judge's verdict on one order of a pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Order {
    pub judge: String,
    pub first: usize,
    pub second: usize,
    /// P(the first shown is better).
    pub p: f64,
}

/// As the replay reads them, through the text: what is measured is what the command would say.
///
/// # Errors
/// When a line is no round, which is a mistake in here.
pub fn read(lines: &[Line]) -> Result<Vec<replay::Round>, anyhow::Error> {
    let mut text = String::new();
    for line in lines {
        text += &serde_json::to_string(line)?;
        text.push('\n');
    }
    replay::read(&text).map_err(|error: LineError| error.into())
}

/// The members that take part in any of these rounds, sorted.
pub fn members(lines: &[Line]) -> Vec<String> {
    let mut names: Vec<String> = lines
        .iter()
        .flat_map(|line| {
            let writers = line.candidates.iter().filter_map(|one| one.writer.clone());
            writers.chain(line.ballots.iter().map(|ballot| ballot.judge.clone()))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The uniform vote of all judges in both orders, over two candidates: 1 when the right one has
/// more, one half when both have as many.
pub fn uniform_vote(round: &replay::Round) -> f64 {
    let mut lead = 0.0;
    for ballot in &round.ballots {
        let Verdicts::Pairs(pairs) = &ballot.verdicts else { continue };
        for pair in pairs {
            let toward = pair.p - 0.5;
            lead += if pair.a == 0 { toward } else { -toward };
        }
    }
    let first_is_right = round.right.as_ref().and_then(|right| right.first()) == Some(&true);
    let lead = if first_is_right { lead } else { -lead };
    half(lead)
}

/// How often fixed weights of the judges, fitted to all labels, are right on the very rounds that
/// they were fitted to: logistic regression of the label on what each judge said. Who learns weights
/// from some of the labels can hardly do better.
pub fn best_weights(rounds: &[replay::Round]) -> f64 {
    /// Of ascent: the objective is concave, with six judges this is far beyond what changes anything.
    const STEPS: usize = 3_000;
    /// Precision of the weights: finite where the judges separate the labels.
    const RIDGE: f64 = 0.25;
    let said: Vec<BTreeMap<NodeId, f64>> = rounds.iter().map(toward_the_right).collect();
    let score = |weights: &BTreeMap<NodeId, f64>, said: &BTreeMap<NodeId, f64>| -> f64 {
        said.iter().map(|(judge, said)| weights.get(judge).unwrap_or(&0.0) * said).sum()
    };
    let mut weights: BTreeMap<NodeId, f64> =
        said.iter().flat_map(|said| said.keys().map(|judge| (*judge, 0.0))).collect();
    for _ in 0..STEPS {
        let mut slope: BTreeMap<NodeId, f64> =
            weights.iter().map(|(judge, weight)| (*judge, -RIDGE * weight)).collect();
        for said in &said {
            let missing = 1.0 / (1.0 + score(&weights, said).exp());
            for (judge, said) in said {
                *slope.entry(*judge).or_default() += missing * said;
            }
        }
        for (judge, slope) in slope {
            *weights.entry(judge).or_default() += slope / said.len().max(1) as f64;
        }
    }
    said.iter().map(|said| half(score(&weights, said))).sum::<f64>() / said.len().max(1) as f64
}

/// What each judge said for the right one of two, in [-1, 1].
fn toward_the_right(round: &replay::Round) -> BTreeMap<NodeId, f64> {
    let first_is_right = round.right.as_ref().and_then(|right| right.first()) == Some(&true);
    let sign = if first_is_right { 1.0 } else { -1.0 };
    let mut said = BTreeMap::new();
    for ballot in &round.ballots {
        let Verdicts::Pairs(pairs) = &ballot.verdicts else { continue };
        for pair in pairs {
            let toward_first = if pair.a == 0 { pair.p - 0.5 } else { 0.5 - pair.p };
            *said.entry(ballot.judge).or_default() += 2.0 * sign * toward_first;
        }
    }
    said
}

/// 1 above zero, 0 below, one half at it.
pub fn half(lead: f64) -> f64 {
    if lead.abs() < 1e-9 { 0.5 } else { f64::from(u8::from(lead > 0.0)) }
}

/// The majority of the writers: 1 when the right answer is the most frequent, shared among those
/// that are equally frequent.
pub fn majority_vote(round: &replay::Round) -> f64 {
    let Some(right) = &round.right else { return 0.0 };
    let size = |pool: usize| round.candidates.iter().filter(|one| one.pool == pool).count();
    let most = round.candidates.iter().map(|one| size(one.pool)).max().unwrap_or(0);
    let mut pools: Vec<(usize, bool)> = (round.candidates.iter().zip(right))
        .filter(|(one, _)| size(one.pool) == most)
        .map(|(one, right)| (one.pool, *right))
        .collect();
    pools.sort_unstable();
    pools.dedup_by_key(|(pool, _)| *pool);
    let won = pools.iter().filter(|(_, right)| *right).count();
    won as f64 / pools.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(answers: &[&str], gold: &[usize]) -> replay::Round {
        let candidates = answers
            .iter()
            .map(|answer| Candidate { writer: None, answer: Some((*answer).to_owned()) })
            .collect();
        let line = Line { candidates, gold: Some(gold.to_vec()), ..Line::default() };
        read(&[line]).expect("a round").remove(0)
    }

    #[test]
    fn a_tie_of_the_majority_is_shared() {
        assert!((majority_vote(&round(&["7", "7", "8"], &[0, 1])) - 1.0).abs() < 1e-12);
        assert!((majority_vote(&round(&["7", "8"], &[1])) - 0.5).abs() < 1e-12);
        assert!((majority_vote(&round(&["7", "7", "8", "8", "9"], &[4]))).abs() < 1e-12);
    }

    #[test]
    fn the_best_weights_turn_around_who_is_always_wrong_and_cannot_help_who_guesses() {
        let order = |judge: &str, p: f64| Order { judge: judge.into(), first: 0, second: 1, p };
        let rounds = |said: &dyn Fn(usize) -> Vec<Order>| {
            let line = |n: usize| Line {
                candidates: vec![Candidate::default(); 2],
                ballots: said(n),
                gold: Some(vec![n % 2]),
                ..Line::default()
            };
            read(&(0..40).map(line).collect::<Vec<_>>()).expect("rounds")
        };
        let right = |n: usize| if n.is_multiple_of(2) { 1.0 } else { 0.0 };
        let wrong = rounds(&|n| vec![order("wrong", 1.0 - right(n)), order("first", 1.0)]);
        assert!((best_weights(&wrong) - 1.0).abs() < 1e-12);
        let guess = rounds(&|n| vec![order("a coin", if n % 4 < 2 { 1.0 } else { 0.0 })]);
        assert!((best_weights(&guess) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_vote_in_both_orders_cancels_a_judge_that_looks_at_places() {
        let order = |judge: &str, first: usize, p: f64| Order {
            judge: judge.into(),
            first,
            second: 1 - first,
            p,
        };
        let line = Line {
            candidates: vec![Candidate::default(); 2],
            ballots: vec![order("place", 0, 1.0), order("place", 1, 1.0)],
            gold: Some(vec![1]),
            ..Line::default()
        };
        let with = |more: &[Order]| {
            let ballots = [line.ballots.as_slice(), more].concat();
            uniform_vote(&read(&[Line { ballots, ..line.clone() }]).expect("a round")[0])
        };
        assert!((with(&[]) - 0.5).abs() < 1e-12);
        assert!((with(&[order("good", 0, 0.0), order("good", 1, 1.0)]) - 1.0).abs() < 1e-12);
    }
}
