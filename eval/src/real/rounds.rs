//! Records as rounds for the gateway's replay, and the winners of its production code.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shoal_consensus::{
    outcome::Decision,
    replay::{self, Memory, Replay, Settings},
};

use super::record::{Candidate, Cost, JudgedQuestion, LikelihoodBallot, PairBallot};

/// The ballots for the ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballots {
    Empty,
    Likelihood,
    Logit,
    Reasoned,
}

/// The swarm's decision on one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwarmPick {
    /// Index into the record's candidates.
    pub winner: usize,
    pub right: bool,
    pub p_best: f64,
    /// The writers agreed, so no judge was asked.
    pub by_agreement: bool,
}

/// Parts of the questions. Each part is ranked with the others as gold.
pub const FOLDS: usize = 5;

/// The part of a question.
pub fn fold(at: usize) -> usize {
    at % FOLDS
}

/// Indices of the general writers' candidates.
pub fn general(record: &JudgedQuestion) -> Vec<usize> {
    let candidates = record.candidates.iter().enumerate();
    candidates.filter(|(_, candidate)| candidate.is_general()).map(|(at, _)| at).collect()
}

/// Ranks every question with a standing that was learned from other questions; without any standing if
/// `gold` is false.
///
/// # Errors
/// If a record is not a valid round.
pub fn swarm(
    records: &[JudgedQuestion],
    ballots: Ballots,
    gold: bool,
    settings: &Settings,
) -> Result<Vec<SwarmPick>> {
    let lines: Vec<String> =
        records.iter().map(|record| line(record, ballots).to_string()).collect();
    let rounds = replay::read(&lines.join("\n"))?;
    let mut picks: Vec<Option<SwarmPick>> = vec![None; records.len()];
    for part in 0..FOLDS {
        let mut replay = Replay::new(settings.clone(), Memory::default());
        rounds.iter().for_each(|round| replay.introduce(round));
        for (at, round) in rounds.iter().enumerate() {
            if gold && fold(at) != part {
                replay.teach(round);
            }
        }
        for (at, round) in rounds.iter().enumerate().filter(|(at, _)| fold(*at) == part) {
            let outcome = replay.rank(round);
            let right = round.right.as_ref().and_then(|right| right.get(outcome.winner).copied());
            let indices = records.get(at).map(general).unwrap_or_default();
            let winner = indices.get(outcome.winner).copied();
            if let Some(slot) = picks.get_mut(at) {
                *slot = Some(SwarmPick {
                    winner: winner.context("a round without candidates")?,
                    right: right.unwrap_or(false),
                    p_best: outcome.ranking.p_best.get(outcome.winner).copied().unwrap_or(0.0),
                    by_agreement: outcome.decided == Decision::Agreement,
                });
            }
        }
    }
    picks.into_iter().map(|pick| pick.context("a question in no part")).collect()
}

/// The costs of a question's ballots of this kind.
pub fn costs(record: &JudgedQuestion, ballots: Ballots) -> Vec<Cost> {
    match ballots {
        Ballots::Empty => Vec::new(),
        Ballots::Likelihood => record.likelihood.iter().map(|ballot| ballot.cost).collect(),
        Ballots::Logit => record.logit.iter().map(|ballot| ballot.cost).collect(),
        Ballots::Reasoned => record.critique.iter().map(|ballot| ballot.cost).collect(),
    }
}

/// A record as a round in the format of docs/REPLAY.md. Each member has an operator of its own here, but
/// shared weights are named.
pub fn line(record: &JudgedQuestion, ballots: Ballots) -> Value {
    let indices = general(record);
    let general: Vec<&Candidate> =
        indices.iter().filter_map(|at| record.candidates.get(*at)).collect();
    let candidates: Vec<Value> = general
        .iter()
        .map(|candidate| {
            json!({
                "writer": candidate.writer, "text": candidate.text, "logprob": candidate.logprob,
                "prompt_tokens": candidate.prompt_tokens,
                "completion_tokens": candidate.completion_tokens, "took_ms": candidate.took_ms,
            })
        })
        .collect();
    let gold: Vec<usize> = general
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.right)
        .map(|(at, _)| at)
        .collect();
    let mut members = serde_json::Map::new();
    for Candidate { writer, family, digest, .. } in &general {
        members.insert(writer.clone(), json!({ "family": family, "digest": digest }));
    }
    let judges = record.likelihood.iter().map(|ballot| &ballot.judge);
    for judge in judges.chain(record.logit.iter().map(|ballot| &ballot.judge)) {
        let provenance = json!({ "family": judge.family, "digest": judge.digest });
        members.insert(judge.name.clone(), provenance);
    }
    let ballots: Vec<Value> = match ballots {
        Ballots::Empty => Vec::new(),
        Ballots::Likelihood => {
            record.likelihood.iter().flat_map(|ballot| scores(ballot, &general, &indices)).collect()
        }
        Ballots::Logit => {
            record.logit.iter().flat_map(|ballot| verdicts(ballot, &indices)).collect()
        }
        Ballots::Reasoned => {
            record.critique.iter().flat_map(|ballot| verdicts(ballot, &indices)).collect()
        }
    };
    json!({
        "id": record.id, "question": record.question, "kind": record.set, "candidates": candidates,
        "ballots": ballots, "gold": gold, "members": members,
    })
}

/// A judge's scores of foreign candidates; `indices` are those of the candidates in the record.
fn scores(ballot: &LikelihoodBallot, candidates: &[&Candidate], indices: &[usize]) -> Vec<Value> {
    let judge = &ballot.judge.name;
    let foreign = candidates
        .iter()
        .zip(indices)
        .enumerate()
        .filter(|(_, (candidate, _))| candidate.writer != *judge);
    foreign
        .filter_map(|(at, (_, index))| {
            let score = ballot.scores.iter().find(|score| score.candidate == *index)?;
            Some(json!({ "judge": judge, "candidate": at, "logprob": score.logprob }))
        })
        .collect()
}

/// A judge's verdicts with the candidates' positions in `indices`.
fn verdicts(ballot: &PairBallot, indices: &[usize]) -> Vec<Value> {
    let judge = &ballot.judge.name;
    ballot
        .orders
        .iter()
        .filter_map(|verdict| {
            let first = indices.iter().position(|index| *index == verdict.first)?;
            let second = indices.iter().position(|index| *index == verdict.second)?;
            Some(json!({ "judge": judge, "first": first, "second": second, "p": verdict.p }))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        real::record::{Judge, OrderedVerdict},
        record::Score,
    };

    pub(crate) fn judge(name: &str) -> Judge {
        Judge { name: name.to_owned(), family: "qwen2".to_owned(), digest: "a".repeat(64) }
    }

    /// A question with these answers. "1" is right, and the judge knows this.
    pub(crate) fn judged_question(id: usize, answers: &[(&str, &str)]) -> JudgedQuestion {
        let candidates = answers.iter().map(|(writer, answer)| Candidate {
            writer: (*writer).to_owned(),
            family: "qwen2".to_owned(),
            digest: "a".repeat(64),
            text: format!("Answer: {answer}"),
            right: *answer == "1",
            logprob: None,
            prompt_tokens: 10,
            completion_tokens: 5,
            took_ms: 1_000.0,
        });
        let candidates: Vec<Candidate> = candidates.collect();
        let scores = candidates.iter().enumerate().map(|(index, candidate)| Score {
            candidate: index,
            logprob: if candidate.right { -1.0 } else { -9.0 },
            tokens: 3,
        });
        let cost = Cost { prompt_tokens: 100, completion_tokens: 0, took_ms: 500.0 };
        let likelihood =
            LikelihoodBallot { judge: judge("qwen-judge"), scores: scores.collect(), cost };
        let orders: Vec<OrderedVerdict> = super::super::collect::pairs(&candidates)
            .iter()
            .map(|pair| {
                let (first, second) = (pair.first as usize, pair.second as usize);
                let p = match (candidates[first].right, candidates[second].right) {
                    (true, false) => 0.9,
                    (false, true) => 0.1,
                    _ => 0.5,
                };
                OrderedVerdict { first, second, p }
            })
            .collect();
        let pair_ballot =
            (!orders.is_empty()).then(|| PairBallot { judge: judge("qwen-judge"), orders, cost });
        JudgedQuestion {
            set: "gsm8k".to_owned(),
            id: format!("gsm8k/{id}"),
            question: "How many?".to_owned(),
            candidates,
            likelihood: vec![likelihood],
            logit: pair_ballot.clone(),
            critique: pair_ballot,
        }
    }

    #[test]
    fn ballots_of_each_kind_reach_the_production_ranking() {
        let answers = [("a", "2"), ("b", "1"), ("c", "2"), ("shoal-sum", "7"), ("d", "1")];
        let records: Vec<JudgedQuestion> =
            (0..20).map(|id| judged_question(id, &answers)).collect();
        for ballots in [Ballots::Likelihood, Ballots::Logit, Ballots::Reasoned] {
            let picks = swarm(&records, ballots, true, &Settings::default()).unwrap();
            assert!(picks.iter().all(|pick| !pick.by_agreement));
            assert_eq!(picks.iter().filter(|pick| pick.right).count(), 20, "{ballots:?}");
        }
    }

    #[test]
    fn a_winner_is_an_index_into_the_record() {
        let answers = [("shoal-sum", "7"), ("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
        let records: Vec<JudgedQuestion> = (0..5).map(|id| judged_question(id, &answers)).collect();
        let picks = swarm(&records, Ballots::Likelihood, true, &Settings::default()).unwrap();
        assert!(picks.iter().all(|pick| pick.by_agreement && pick.right && pick.winner > 0));
    }
}
