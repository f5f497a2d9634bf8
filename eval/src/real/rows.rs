//! The results of each way to pick an answer, over the same candidates. A choice that uses the right answers
//! (the best single member) is made on other questions than it is measured on.

use anyhow::Result;
use serde::Serialize;
use shoal_consensus::{agree, replay::Settings};

use super::{
    nodes::JUDGE,
    record::{Candidate, Cost, JudgedQuestion, PairBallot},
    rounds::{self, Ballots, FOLDS, SwarmPick, fold, general},
};
use crate::{record::Score, stats};

/// One way to pick, question by question.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub note: String,
    pub right: Vec<bool>,
    /// Mean tokens for an answer, read and written by all members.
    pub tokens: f64,
    /// Median time from question to answer.
    pub seconds: f64,
}

/// One answer.
struct Pick {
    right: bool,
    tokens: u64,
    seconds: f64,
}

impl Pick {
    /// The answer of one member, at its own cost.
    fn solo(answer: Option<&Candidate>) -> Self {
        Self {
            right: answer.is_some_and(|answer| answer.right),
            tokens: answer.map_or(0, Candidate::tokens),
            seconds: answer.map_or(0.0, |answer| answer.took_ms / 1e3),
        }
    }

    /// The candidate at `index`, at the cost of all general writers and of the ballots. Judges work at
    /// the same time, so only the slowest ballot counts for the time.
    fn from_round(record: &JudgedQuestion, index: Option<usize>, ballots: &[Cost]) -> Self {
        let writers: Vec<&Candidate> =
            general(record).into_iter().filter_map(|at| record.candidates.get(at)).collect();
        let slowest = writers.iter().map(|writer| writer.took_ms).fold(0.0, f64::max);
        let judging = ballots.iter().map(|cost| cost.took_ms).fold(0.0, f64::max);
        let writer_tokens: u64 = writers.iter().map(|writer| writer.tokens()).sum();
        let candidate = index.and_then(|at| record.candidates.get(at));
        Self {
            right: candidate.is_some_and(|candidate| candidate.right),
            tokens: writer_tokens + ballots.iter().map(Cost::tokens).sum::<u64>(),
            seconds: (slowest + judging) / 1e3,
        }
    }
}

fn row(
    name: &str,
    note: &str,
    records: &[JudgedQuestion],
    pick: impl Fn(usize, &JudgedQuestion) -> Pick,
) -> Row {
    let picks: Vec<Pick> =
        records.iter().enumerate().map(|(at, record)| pick(at, record)).collect();
    let tokens: f64 = picks.iter().map(|pick| pick.tokens as f64).sum();
    Row {
        name: name.to_owned(),
        note: note.to_owned(),
        right: picks.iter().map(|pick| pick.right).collect(),
        tokens: tokens / picks.len().max(1) as f64,
        seconds: stats::median(picks.iter().map(|pick| pick.seconds).collect()),
    }
}

/// All rows of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Rows {
    pub members: Vec<Row>,
    pub best_single: Row,
    pub majority: Row,
    /// One judge, and the swarm with each kind of ballot.
    pub methods: Vec<Row>,
    pub oracle: Row,
    /// Calibration error of P(best) of the swarm with each kind of ballot.
    pub calibration: Vec<(String, f64)>,
    /// Rounds that agreement ended, and how many of them are right.
    pub agreements: (usize, usize),
}

impl Rows {
    /// The results of all ways on these records.
    ///
    /// # Errors
    /// If a record is not a valid round.
    pub fn new(records: &[JudgedQuestion], settings: &Settings) -> Result<Self> {
        let members: Vec<Row> = names(records).iter().map(|name| single(name, records)).collect();
        let mut methods = by_one_judge(records);
        let mut calibration = Vec::new();
        let mut agreements = (0, 0);
        for (name, ballots, gold) in SWARMS {
            let picks = rounds::swarm(records, ballots, gold, settings)?;
            methods.push(by_swarm(name, records, ballots, &picks));
            let claims: Vec<(f64, bool)> =
                picks.iter().map(|pick| (pick.p_best, pick.right)).collect();
            calibration.push((name.to_owned(), stats::calibration_error(&claims)));
            // Without standing there is no agreement.
            if gold {
                let by_agreement: Vec<&SwarmPick> =
                    picks.iter().filter(|pick| pick.by_agreement).collect();
                let right = by_agreement.iter().filter(|pick| pick.right).count();
                agreements = (by_agreement.len(), right);
            }
        }
        Ok(Self {
            best_single: best_single(&members, records),
            majority: row("majority vote", "", records, |_, record| {
                Pick::from_round(record, majority(record), &[])
            }),
            oracle: row("oracle", "some writer is right", records, |_, record| {
                Pick::from_round(record, first_right(record), &[])
            }),
            members,
            methods,
            calibration,
            agreements,
        })
    }

    /// In the order of the table.
    pub fn all(&self) -> impl Iterator<Item = &Row> {
        let baselines = [&self.best_single, &self.majority];
        self.members.iter().chain(baselines).chain(&self.methods).chain([&self.oracle])
    }
}

/// The swarm with each kind of ballot; the last without any standing.
const SWARMS: [(&str, Ballots, bool); 5] = [
    ("the swarm, no ballots", Ballots::Empty, true),
    ("the swarm, likelihood ballots", Ballots::Likelihood, true),
    ("the swarm, logit ballots", Ballots::Logit, true),
    ("the swarm, reasoned ballots", Ballots::Reasoned, true),
    ("the swarm, logit ballots, no gold", Ballots::Logit, false),
];

/// Best of n by the ballots of one judge.
fn by_one_judge(records: &[JudgedQuestion]) -> Vec<Row> {
    vec![
        row("best of n, one judge's likelihood", "qwen-judge", records, |_, record| {
            by_likelihood(record, |score| score.logprob)
        }),
        row("best of n, one judge's likelihood by token", "qwen-judge", records, |_, record| {
            by_likelihood(record, |score| score.logprob / f64::from(score.tokens.max(1)))
        }),
        row("best of n, one judge's pairs", "qwen-judge, by logit", records, |_, record| {
            by_pairs(record, record.logit.as_ref())
        }),
        row("best of n, one judge's reasons", "qwen-judge", records, |_, record| {
            by_pairs(record, record.critique.as_ref())
        }),
    ]
}

fn by_likelihood(record: &JudgedQuestion, value: impl Fn(&Score) -> f64) -> Pick {
    let mut costs = rounds::costs(record, Ballots::Likelihood);
    costs.truncate(1);
    Pick::from_round(record, likeliest(record, value), &costs)
}

/// The pick of a pair ballot, or of the majority without one.
fn by_pairs(record: &JudgedQuestion, ballot: Option<&PairBallot>) -> Pick {
    let index = ballot.and_then(|ballot| preferred_candidate(record, ballot));
    let cost: Vec<Cost> = ballot.iter().map(|ballot| ballot.cost).collect();
    Pick::from_round(record, index.or_else(|| majority(record)), &cost)
}

fn by_swarm(name: &str, records: &[JudgedQuestion], ballots: Ballots, picks: &[SwarmPick]) -> Row {
    row(name, "", records, |at, record| {
        let pick = picks.get(at);
        let costs = match pick {
            Some(pick) if !pick.by_agreement => rounds::costs(record, ballots),
            _ => Vec::new(),
        };
        Pick::from_round(record, pick.map(|pick| pick.winner), &costs)
    })
}

fn names(records: &[JudgedQuestion]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for candidate in records.iter().flat_map(|record| &record.candidates) {
        if !names.contains(&candidate.writer) {
            names.push(candidate.writer.clone());
        }
    }
    names
}

fn single(name: &str, records: &[JudgedQuestion]) -> Row {
    row(name, "alone", records, |_, record| Pick::solo(answer_of(record, name)))
}

fn answer_of<'a>(record: &'a JudgedQuestion, name: &str) -> Option<&'a Candidate> {
    record.candidates.iter().find(|candidate| candidate.writer == name)
}

/// For each part of the questions, the member that is best on the others.
fn best_single(members: &[Row], records: &[JudgedQuestion]) -> Row {
    // Of equal members the first.
    let choices: Vec<Option<&Row>> = (0..FOLDS)
        .map(|part| members.iter().rev().max_by_key(|member| score_outside(member, part)))
        .collect();
    let mut note: Vec<&str> = choices.iter().flatten().map(|member| member.name.as_str()).collect();
    note.sort_unstable();
    note.dedup();
    row("best single member", &note.join(" / "), records, |at, record| {
        let member = choices.get(fold(at)).copied().flatten();
        Pick::solo(member.and_then(|member| answer_of(record, &member.name)))
    })
}

/// Right answers of a member outside `part`.
fn score_outside(member: &Row, part: usize) -> usize {
    member.right.iter().enumerate().filter(|(at, right)| fold(*at) != part && **right).count()
}

/// The first right candidate of the general writers.
fn first_right(record: &JudgedQuestion) -> Option<usize> {
    general(record)
        .into_iter()
        .find(|at| record.candidates.get(*at).is_some_and(|candidate| candidate.right))
}

/// The first candidate to finish of the largest pool; of equal pools, of the one that was first.
fn majority(record: &JudgedQuestion) -> Option<usize> {
    let mut candidates: Vec<(usize, &Candidate)> = general(record)
        .into_iter()
        .filter_map(|at| Some((at, record.candidates.get(at)?)))
        .collect();
    candidates.sort_by(|(_, x), (_, y)| x.took_ms.total_cmp(&y.took_ms));
    let pools = agree::pools(candidates.iter().map(|(_, candidate)| candidate.text.as_str()));
    let largest = (0..candidates.len()).rev().max_by_key(|at| {
        let pool = pools.get(*at);
        pools.iter().filter(|member| Some(*member) == pool).count()
    })?;
    candidates.get(largest).map(|(at, _)| *at)
}

/// The candidate that the judge finds likeliest; `value` is the sum over its tokens or their mean.
fn likeliest(record: &JudgedQuestion, value: impl Fn(&Score) -> f64) -> Option<usize> {
    let ballot = record.likelihood.iter().find(|ballot| ballot.judge.name == JUDGE)?;
    let general = general(record);
    ballot
        .scores
        .iter()
        .filter(|score| general.contains(&score.candidate))
        .max_by(|x, y| value(x).total_cmp(&value(y)).then(y.candidate.cmp(&x.candidate)))
        .map(|score| score.candidate)
}

/// The candidate with the highest mean P(better) over its comparisons, with equal weight of both orders.
fn preferred_candidate(record: &JudgedQuestion, ballot: &PairBallot) -> Option<usize> {
    general(record)
        .into_iter()
        .filter_map(|at| Some((mean_preference(ballot, at)?, at)))
        .max_by(|x, y| x.0.total_cmp(&y.0).then(y.1.cmp(&x.1)))
        .map(|(_, at)| at)
}

/// Mean P(better) of a candidate; None if it is in no pair.
fn mean_preference(ballot: &PairBallot, candidate: usize) -> Option<f64> {
    let values: Vec<f64> = ballot
        .orders
        .iter()
        .filter_map(|verdict| match candidate {
            at if at == verdict.first => Some(verdict.p),
            at if at == verdict.second => Some(1.0 - verdict.p),
            _ => None,
        })
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::rounds::tests::judged_question;

    #[test]
    fn each_way_picks_from_the_same_candidates() {
        let answers = [("a", "2"), ("b", "1"), ("c", "2"), ("shoal-sum", "7"), ("d", "1")];
        let records: Vec<JudgedQuestion> =
            (0..10).map(|id| judged_question(id, &answers)).collect();
        let rows = Rows::new(&records, &Settings::default()).unwrap();
        assert_eq!(count_right(&rows.oracle), 10);
        assert_eq!(count_right(&rows.majority), 0, "of equal pools the first");
        assert_eq!(count_right(&rows.best_single), 10);
        assert_eq!(rows.best_single.note, "b");
        assert!(
            rows.methods
                .iter()
                .filter(|row| row.name.contains("one judge"))
                .all(|row| count_right(row) == 10)
        );
        assert_eq!(rows.majority.tokens, 60.0, "the specialist is asked outside the round");
        let logit = rows.methods.iter().find(|row| row.name.contains("logit ballots")).unwrap();
        assert_eq!((logit.tokens, logit.seconds), (160.0, 1.5));
    }

    fn count_right(row: &Row) -> usize {
        row.right.iter().filter(|right| **right).count()
    }

    #[test]
    fn rounds_that_agree_cost_no_ballots() {
        let answers = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
        let records: Vec<JudgedQuestion> = (0..5).map(|id| judged_question(id, &answers)).collect();
        let rows = Rows::new(&records, &Settings::default()).unwrap();
        assert_eq!(rows.agreements, (5, 5));
        let swarm = rows.methods.iter().find(|row| row.name.contains("reasoned ballots")).unwrap();
        assert_eq!((swarm.tokens, swarm.seconds), (60.0, 1.0));
    }
}
