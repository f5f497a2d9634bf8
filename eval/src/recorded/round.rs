//! A recorded round in the format of `shoal-gateway rank`.

use std::collections::BTreeMap;

use serde::Serialize;
use shoal_consensus::{
    Verdicts,
    replay::{self, LineError},
};
use shoal_proto::NodeId;

/// One line of rounds.jsonl.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    pub id: String,
    pub candidates: Vec<Candidate>,
    pub ballots: Vec<OrderedVerdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, Provenance>,
}

/// The operator of a member: members of one operator are likely to make the same mistakes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Provenance {
    pub operator: String,
}

/// An answer of a recorded round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Candidate {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// A judge's verdict on one order of a pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderedVerdict {
    pub judge: String,
    pub first: usize,
    pub second: usize,
    /// P(the first shown is better).
    pub p: f64,
}

/// Converts the lines to rounds through their text, so that the results are those of the command.
///
/// # Errors
/// If a line is not a valid round, which is a mistake in this crate.
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
            let writers = line.candidates.iter().filter_map(|candidate| candidate.writer.clone());
            writers.chain(line.ballots.iter().map(|ballot| ballot.judge.clone()))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The uniform vote of all judges in both orders, over two candidates: 1 if the right one has
/// more votes, one half if the votes are equal.
pub fn uniform_vote(round: &replay::Round) -> f64 {
    half(votes_for_right(round).values().sum())
}

/// Accuracy of fixed weights of the judges that fit all labels, on the same rounds: logistic regression of
/// the label on each judge's votes. Weights learned from some of the labels can hardly be better.
pub fn best_weights(rounds: &[replay::Round]) -> f64 {
    /// Steps of gradient ascent. The objective is concave; with six judges it converges much earlier.
    const STEPS: usize = 3_000;
    /// Ridge penalty: it keeps the weights finite if the judges separate the labels.
    const RIDGE: f64 = 0.25;
    let votes: Vec<PerJudge> = rounds.iter().map(votes_for_right).collect();
    let count = votes.len().max(1) as f64;
    let mut weights: PerJudge =
        votes.iter().flat_map(|votes| votes.keys().map(|judge| (*judge, 0.0))).collect();
    for _ in 0..STEPS {
        let mut gradient: PerJudge =
            weights.iter().map(|(judge, weight)| (*judge, -RIDGE * weight)).collect();
        for votes in &votes {
            let residual = 1.0 / (1.0 + weighted_sum(&weights, votes).exp());
            for (judge, vote) in votes {
                *gradient.entry(*judge).or_default() += residual * vote;
            }
        }
        for (judge, slope) in gradient {
            *weights.entry(judge).or_default() += slope / count;
        }
    }
    votes.iter().map(|votes| half(weighted_sum(&weights, votes))).sum::<f64>() / count
}

type PerJudge = BTreeMap<NodeId, f64>;

fn weighted_sum(weights: &PerJudge, votes: &PerJudge) -> f64 {
    votes.iter().map(|(judge, vote)| weights.get(judge).unwrap_or(&0.0) * vote).sum()
}

/// Each judge's votes for the right one of two candidates, in [-1, 1] for each order.
fn votes_for_right(round: &replay::Round) -> PerJudge {
    let first_is_right = round.right.as_ref().and_then(|right| right.first()) == Some(&true);
    let sign = if first_is_right { 1.0 } else { -1.0 };
    let mut votes = BTreeMap::new();
    for ballot in &round.ballots {
        let Verdicts::Pairs(pairs) = &ballot.verdicts else { continue };
        for pair in pairs {
            let toward_first = if pair.a == 0 { pair.p - 0.5 } else { 0.5 - pair.p };
            *votes.entry(ballot.judge).or_default() += 2.0 * sign * toward_first;
        }
    }
    votes
}

/// 1 if `lead` is positive, 0 if it is negative, one half if it is zero.
pub fn half(lead: f64) -> f64 {
    if lead.abs() < 1e-9 { 0.5 } else { f64::from(u8::from(lead > 0.0)) }
}

/// The majority of the writers: 1 if the right answer is the most frequent, shared among equally
/// frequent answers.
pub fn majority_vote(round: &replay::Round) -> f64 {
    let Some(right) = &round.right else { return 0.0 };
    let mut pools: BTreeMap<usize, (usize, bool)> = BTreeMap::new();
    for (candidate, right) in round.candidates.iter().zip(right) {
        let (size, is_right) = pools.entry(candidate.pool).or_insert((0, true));
        *size += 1;
        *is_right &= *right;
    }
    let largest = pools.values().map(|(size, _)| *size).max().unwrap_or(0);
    let winners: Vec<bool> =
        pools.values().filter(|(size, _)| *size == largest).map(|(_, right)| *right).collect();
    winners.iter().filter(|right| **right).count() as f64 / winners.len().max(1) as f64
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
    fn the_best_weights_invert_a_judge_that_is_always_wrong_and_cannot_help_a_guess() {
        let wrong = rounds(|n| {
            let p = if n.is_multiple_of(2) { 0.0 } else { 1.0 };
            vec![verdict("wrong", 0, p), verdict("first", 0, 1.0)]
        });
        assert!((best_weights(&wrong) - 1.0).abs() < 1e-12);
        let guess = rounds(|n| vec![verdict("a coin", 0, if n % 4 < 2 { 1.0 } else { 0.0 })]);
        assert!((best_weights(&guess) - 0.5).abs() < 1e-12);
    }

    fn verdict(judge: &str, first: usize, p: f64) -> OrderedVerdict {
        OrderedVerdict { judge: judge.into(), first, second: 1 - first, p }
    }

    fn rounds(ballots: impl Fn(usize) -> Vec<OrderedVerdict>) -> Vec<replay::Round> {
        let lines: Vec<Line> = (0..40)
            .map(|n| Line {
                candidates: vec![Candidate::default(); 2],
                ballots: ballots(n),
                gold: Some(vec![n % 2]),
                ..Line::default()
            })
            .collect();
        read(&lines).expect("rounds")
    }

    #[test]
    fn a_vote_in_both_orders_cancels_a_judge_that_prefers_a_position() {
        let mut line = Line {
            candidates: vec![Candidate::default(); 2],
            ballots: vec![verdict("position", 0, 1.0), verdict("position", 1, 1.0)],
            gold: Some(vec![1]),
            ..Line::default()
        };
        let before = uniform_vote(&read(std::slice::from_ref(&line)).expect("a round")[0]);
        assert!((before - 0.5).abs() < 1e-12);
        line.ballots.extend([verdict("good", 0, 0.0), verdict("good", 1, 1.0)]);
        let after = uniform_vote(&read(&[line]).expect("a round")[0]);
        assert!((after - 1.0).abs() < 1e-12);
    }
}
