//! Records as rounds of the gateway's replay, and what its production code makes of them.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shoal_consensus::{outcome::Decided, replay::{self, Memory, Replay, Settings}};

use super::record::{Candidate, Compared, Cost, Scored, Taken};

/// Which ballots the ranking is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballots {
    None,
    Likelihood,
    Logit,
    Reasoned,
}

/// What the swarm made of one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picked {
    /// Index into the record's candidates.
    pub winner: usize,
    pub right: bool,
    pub p_best: f64,
    /// The writers agreed: nobody was asked to judge.
    pub agreed: bool,
}

/// Parts that the questions are cut into; each is ranked by what the others taught as gold.
pub const FOLDS: usize = 5;

/// The part that a question is in.
pub fn fold(at: usize) -> usize {
    at % FOLDS
}

/// Places of the general writers' candidates.
pub fn general(taken: &Taken) -> Vec<usize> {
    let all = taken.candidates.iter().enumerate();
    all.filter(|(_, one)| one.is_general()).map(|(at, _)| at).collect()
}

/// Ranks every question by a standing that was learned from other questions; with `gold` false, by
/// none at all.
///
/// # Errors
/// When a record is no round.
pub fn swarm(
    taken: &[Taken],
    ballots: Ballots,
    gold: bool,
    settings: &Settings,
) -> Result<Vec<Picked>> {
    let lines: Vec<String> = taken.iter().map(|one| line(one, ballots).to_string()).collect();
    let rounds = replay::read(&lines.join("\n"))?;
    let mut picked: Vec<Option<Picked>> = vec![None; taken.len()];
    for part in 0..FOLDS {
        let mut replay = Replay::new(settings.clone(), Memory::default());
        rounds.iter().for_each(|round| replay.introduce(round));
        let others = rounds.iter().enumerate().filter(|(at, _)| gold && fold(*at) != part);
        others.for_each(|(_, round)| replay.teach(round));
        for (at, round) in rounds.iter().enumerate().filter(|(at, _)| fold(*at) == part) {
            let outcome = replay.rank(round);
            let right = round.right.as_ref().and_then(|right| right.get(outcome.winner).copied());
            let places = taken.get(at).map(general).unwrap_or_default();
            let place = places.get(outcome.winner).copied();
            if let Some(slot) = picked.get_mut(at) {
                *slot = Some(Picked {
                    winner: place.context("a round without candidates")?,
                    right: right.unwrap_or(false),
                    p_best: outcome.ranking.p_best.get(outcome.winner).copied().unwrap_or(0.0),
                    agreed: outcome.decided == Decided::Agreement,
                });
            }
        }
    }
    picked.into_iter().map(|one| one.context("a question in no part")).collect()
}

/// What its ballots cost a question, where they were asked for.
pub fn cost(taken: &Taken, ballots: Ballots) -> Vec<Cost> {
    match ballots {
        Ballots::None => Vec::new(),
        Ballots::Likelihood => taken.likelihood.iter().map(|one| one.cost).collect(),
        Ballots::Logit => taken.logit.iter().map(|one| one.cost).collect(),
        Ballots::Reasoned => taken.reasoned.iter().map(|one| one.cost).collect(),
    }
}

/// A record as docs/REPLAY.md has a round. Nobody shares an operator here: each member stands for an
/// owner of its own. Who shares weights is said.
pub fn line(taken: &Taken, ballots: Ballots) -> Value {
    let places = general(taken);
    let kept: Vec<&Candidate> = places.iter().filter_map(|at| taken.candidates.get(*at)).collect();
    let candidates: Vec<Value> = kept
        .iter()
        .map(|one| {
            json!({
                "writer": one.writer, "text": one.text, "logprob": one.logprob,
                "prompt_tokens": one.prompt_tokens, "completion_tokens": one.completion_tokens,
                "took_ms": one.took_ms,
            })
        })
        .collect();
    let right = kept.iter().enumerate().filter(|(_, one)| one.right).map(|(at, _)| at);
    let mut members = serde_json::Map::new();
    for one in &kept {
        members.insert(one.writer.clone(), json!({ "family": one.family, "digest": one.digest }));
    }
    let judges = taken.likelihood.iter().map(|one| &one.judge);
    for judge in judges.chain(taken.logit.iter().map(|one| &one.judge)) {
        let kin = json!({ "family": judge.family, "digest": judge.digest });
        members.insert(judge.name.clone(), kin);
    }
    let ballots: Vec<Value> = match ballots {
        Ballots::None => Vec::new(),
        Ballots::Likelihood => {
            taken.likelihood.iter().flat_map(|one| scores(one, &kept, &places)).collect()
        }
        Ballots::Logit => taken.logit.iter().flat_map(|one| orders(one, &places)).collect(),
        Ballots::Reasoned => taken.reasoned.iter().flat_map(|one| orders(one, &places)).collect(),
    };
    json!({
        "id": taken.id, "question": taken.question, "kind": taken.set, "candidates": candidates,
        "ballots": ballots, "gold": right.collect::<Vec<_>>(), "members": members,
    })
}

/// A judge's scores of what it did not write.
fn scores(ballot: &Scored, kept: &[&Candidate], places: &[usize]) -> Vec<Value> {
    let judge = &ballot.judge.name;
    let score = |(at, (place, one)): (usize, (&usize, &&Candidate))| {
        let score = ballot.scores.iter().find(|score| score.candidate == *place)?;
        let own = one.writer == *judge;
        (!own).then(|| json!({ "judge": judge, "candidate": at, "logprob": score.logprob }))
    };
    places.iter().zip(kept).enumerate().filter_map(score).collect()
}

fn orders(ballot: &Compared, places: &[usize]) -> Vec<Value> {
    let place = |at: usize| places.iter().position(|place| *place == at);
    let order = |one: &super::record::Order| {
        let (first, second) = (place(one.first)?, place(one.second)?);
        Some(json!({ "judge": ballot.judge.name, "first": first, "second": second, "p": one.p }))
    };
    ballot.orders.iter().filter_map(order).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        real::record::{Judge, Order},
        record::Score,
    };

    pub(crate) fn judge(name: &str) -> Judge {
        Judge { name: name.to_owned(), family: "qwen2".to_owned(), digest: "a".repeat(64) }
    }

    /// A question to which the writers say this; "1" is right, and the judge knows it.
    pub(crate) fn taken(id: usize, said: &[(&str, &str)]) -> Taken {
        let candidates = said.iter().map(|(writer, answer)| Candidate {
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
        let logprob = |one: &Candidate| if one.right { -1.0 } else { -9.0 };
        let scores = candidates.iter().enumerate().map(|(candidate, one)| Score {
            candidate,
            logprob: logprob(one),
            tokens: 3,
        });
        let cost = Cost { read: 100, written: 0, took_ms: 500.0 };
        let scored = Scored { judge: judge("qwen-judge"), scores: scores.collect(), cost };
        let orders: Vec<Order> = super::super::collect::pairs(&candidates)
            .iter()
            .map(|pair| {
                let (first, second) = (pair.first as usize, pair.second as usize);
                let p = match (candidates[first].right, candidates[second].right) {
                    (true, false) => 0.9,
                    (false, true) => 0.1,
                    _ => 0.5,
                };
                Order { first, second, p }
            })
            .collect();
        let compared =
            (!orders.is_empty()).then(|| Compared { judge: judge("qwen-judge"), orders, cost });
        Taken {
            set: "gsm8k".to_owned(),
            id: format!("gsm8k/{id}"),
            question: "How many?".to_owned(),
            candidates,
            likelihood: vec![scored],
            logit: compared.clone(),
            reasoned: compared,
        }
    }

    #[test]
    fn ballots_of_each_kind_reach_the_production_ranking() {
        let split = [("a", "2"), ("b", "1"), ("c", "2"), ("shoal-sum", "7"), ("d", "1")];
        let all: Vec<Taken> = (0..20).map(|id| taken(id, &split)).collect();
        let rights = |ballots| {
            let picked = swarm(&all, ballots, true, &Settings::default()).unwrap();
            assert!(picked.iter().all(|one| !one.agreed));
            picked.iter().filter(|one| one.right).count()
        };
        for ballots in [Ballots::Likelihood, Ballots::Logit, Ballots::Reasoned] {
            assert_eq!(rights(ballots), 20, "{ballots:?}");
        }
    }

    #[test]
    fn a_winner_is_named_by_its_place_in_the_record() {
        let said = [("shoal-sum", "7"), ("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
        let all: Vec<Taken> = (0..5).map(|id| taken(id, &said)).collect();
        let picked = swarm(&all, Ballots::Likelihood, true, &Settings::default()).unwrap();
        assert!(picked.iter().all(|one| one.agreed && one.right && one.winner > 0));
    }
}
