//! A recorded round as it is written for `shoal-gateway rank`.

use serde::Serialize;
use shoal_gateway::{
    ask::Verdicts,
    replay::{self, LineError},
};

/// One line of rounds.jsonl.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    pub id: String,
    pub candidates: Vec<Candidate>,
    pub ballots: Vec<Order>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<Vec<usize>>,
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
