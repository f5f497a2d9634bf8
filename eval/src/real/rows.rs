//! What each way to pick an answer makes of the same candidates. What is chosen by looking at right
//! answers (the best single member) is chosen on other questions than it is measured on.

use anyhow::Result;
use serde::Serialize;
use shoal_consensus::{replay::Settings, agree};

use super::{
    record::{Candidate, Compared, Taken},
    rounds::{self, Ballots, FOLDS, Picked, fold, general},
};
use crate::{record::Score, stats};

/// One way, question by question.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    pub note: String,
    pub right: Vec<bool>,
    /// Read and written by all, per answer: mean.
    pub tokens: f64,
    /// From the ask to the answer: median.
    pub seconds: f64,
}

/// One answer.
struct Pick {
    right: bool,
    tokens: u64,
    seconds: f64,
}

fn row(name: &str, note: &str, taken: &[Taken], pick: impl Fn(usize, &Taken) -> Pick) -> Row {
    let picks: Vec<Pick> = taken.iter().enumerate().map(|(at, one)| pick(at, one)).collect();
    Row {
        name: name.to_owned(),
        note: note.to_owned(),
        right: picks.iter().map(|one| one.right).collect(),
        tokens: picks.iter().map(|one| one.tokens as f64).sum::<f64>() / picks.len().max(1) as f64,
        seconds: stats::median(picks.iter().map(|one| one.seconds).collect()),
    }
}

/// Every row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Rows {
    pub members: Vec<Row>,
    pub best_single: Row,
    pub majority: Row,
    pub ways: Vec<Row>,
    pub oracle: Row,
    /// Of the swarm with each kind of ballot: claims of P(best) against what was right.
    pub calibration: Vec<(String, f64)>,
    /// Rounds that agreement ended, and how many of them were right.
    pub agreed: (usize, usize),
}

impl Rows {
    /// # Errors
    /// When a record is no round.
    pub fn of(taken: &[Taken], settings: &Settings) -> Result<Self> {
        let members: Vec<Row> = names(taken).iter().map(|name| single(name, taken)).collect();
        let mut ways = vec![
            row("best of n, one judge's likelihood", "qwen-judge", taken, |_, one| {
                let picked = likeliest(one, |score| score.logprob);
                picked_by(one, picked, rounds::cost(one, Ballots::Likelihood).first().copied())
            }),
            row("best of n, one judge's likelihood by token", "qwen-judge", taken, |_, one| {
                let picked = likeliest(one, |score| score.logprob / f64::from(score.tokens.max(1)));
                picked_by(one, picked, rounds::cost(one, Ballots::Likelihood).first().copied())
            }),
            row("best of n, one judge's pairs", "qwen-judge, by logit", taken, |_, one| {
                let picked = one.logit.as_ref().and_then(|ballot| preferred(one, ballot));
                let cost = one.logit.as_ref().map(|ballot| ballot.cost);
                picked_by(one, picked.or_else(|| majority(one)), cost)
            }),
            row("best of n, one judge's reasons", "qwen-judge", taken, |_, one| {
                let picked = one.reasoned.as_ref().and_then(|ballot| preferred(one, ballot));
                let cost = one.reasoned.as_ref().map(|ballot| ballot.cost);
                picked_by(one, picked.or_else(|| majority(one)), cost)
            }),
        ];
        let mut calibration = Vec::new();
        let mut agreed = (0, 0);
        for (name, ballots, gold) in SWARMS {
            let picked = rounds::swarm(taken, ballots, gold, settings)?;
            ways.push(by_swarm(name, taken, ballots, &picked));
            let claims: Vec<(f64, bool)> =
                picked.iter().map(|one| (one.p_best, one.right)).collect();
            calibration.push((name.to_owned(), stats::calibration_error(&claims)));
            // Who is known to nobody carries no agreement.
            if gold {
                let ended = || picked.iter().filter(|one| one.agreed);
                agreed = (ended().count(), ended().filter(|one| one.right).count());
            }
        }
        Ok(Self {
            best_single: best_single(&members, taken),
            majority: row("majority vote", "", taken, |_, one| picked_by(one, majority(one), None)),
            oracle: row("oracle", "some writer is right", taken, |_, one| {
                let right = |at: &usize| one.candidates.get(*at).is_some_and(|one| one.right);
                picked_by(one, general(one).into_iter().find(right), None)
            }),
            members,
            ways,
            calibration,
            agreed,
        })
    }

    /// In the order of the table.
    pub fn all(&self) -> impl Iterator<Item = &Row> {
        let rest = [&self.best_single, &self.majority].into_iter().chain(&self.ways);
        self.members.iter().chain(rest).chain([&self.oracle])
    }
}

/// The swarm with each kind of ballot; the last knows nothing of anybody.
const SWARMS: [(&str, Ballots, bool); 5] = [
    ("the swarm, no ballots", Ballots::None, true),
    ("the swarm, likelihood ballots", Ballots::Likelihood, true),
    ("the swarm, logit ballots", Ballots::Logit, true),
    ("the swarm, reasoned ballots", Ballots::Reasoned, true),
    ("the swarm, logit ballots, no gold", Ballots::Logit, false),
];

fn names(taken: &[Taken]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for one in taken.iter().flat_map(|one| &one.candidates) {
        if !names.contains(&one.writer) {
            names.push(one.writer.clone());
        }
    }
    names
}

fn single(name: &str, taken: &[Taken]) -> Row {
    row(name, "alone", taken, |_, one| {
        let answer = one.candidates.iter().find(|candidate| candidate.writer == name);
        Pick {
            right: answer.is_some_and(|answer| answer.right),
            tokens: answer.map_or(0, Candidate::tokens),
            seconds: answer.map_or(0.0, |answer| answer.took_ms / 1e3),
        }
    })
}

/// For each part of the questions, the member that is best on the others.
fn best_single(members: &[Row], taken: &[Taken]) -> Row {
    let best = |part: usize| {
        let score = |member: &Row| {
            let others = member.right.iter().enumerate().filter(|(at, _)| fold(*at) != part);
            others.filter(|(_, right)| **right).count()
        };
        // The first of equals.
        members.iter().rev().max_by_key(|member| score(member))
    };
    let chosen: Vec<Option<&Row>> = (0..FOLDS).map(best).collect();
    let mut note: Vec<&str> = chosen.iter().flatten().map(|one| one.name.as_str()).collect();
    note.sort_unstable();
    note.dedup();
    row("best single member", &note.join(" / "), taken, |at, one| {
        let member = chosen.get(fold(at)).copied().flatten();
        let answer = member.and_then(|m| one.candidates.iter().find(|c| c.writer == m.name));
        Pick {
            right: answer.is_some_and(|answer| answer.right),
            tokens: answer.map_or(0, Candidate::tokens),
            seconds: answer.map_or(0.0, |answer| answer.took_ms / 1e3),
        }
    })
}

/// The cost of all general writers, and of a ballot if there was one.
fn picked_by(taken: &Taken, picked: Option<usize>, ballot: Option<super::record::Cost>) -> Pick {
    let wrote = || general(taken).into_iter().filter_map(|at| taken.candidates.get(at));
    let slowest = wrote().map(|one| one.took_ms).fold(0.0, f64::max);
    Pick {
        right: picked.and_then(|at| taken.candidates.get(at)).is_some_and(|one| one.right),
        tokens: wrote().map(Candidate::tokens).sum::<u64>()
            + ballot.map_or(0, |cost| cost.tokens()),
        seconds: (slowest + ballot.map_or(0.0, |cost| cost.took_ms)) / 1e3,
    }
}

fn by_swarm(name: &str, taken: &[Taken], ballots: Ballots, picked: &[Picked]) -> Row {
    row(name, "", taken, |at, one| {
        let found = picked.get(at);
        let cost = match found {
            Some(found) if !found.agreed => rounds::cost(one, ballots),
            _ => Vec::new(),
        };
        let mut pick = picked_by(one, found.map(|found| found.winner), None);
        pick.tokens += cost.iter().map(super::record::Cost::tokens).sum::<u64>();
        // Judges work at the same time.
        pick.seconds += cost.iter().map(|one| one.took_ms / 1e3).fold(0.0, f64::max);
        pick
    })
}

/// The first to finish of the largest pool; of equal pools, of the one that was there first.
fn majority(taken: &Taken) -> Option<usize> {
    let mut order = general(taken);
    let took = |at: &usize| taken.candidates.get(*at).map_or(f64::MAX, |one| one.took_ms);
    order.sort_by(|x, y| took(x).total_cmp(&took(y)));
    let texts =
        order.iter().filter_map(|at| taken.candidates.get(*at)).map(|one| one.text.as_str());
    let pools = agree::pools(texts);
    let size = |at: &usize| pools.iter().filter(|other| Some(*other) == pools.get(*at)).count();
    let largest = (0..order.len()).rev().max_by_key(size)?;
    order.get(largest).copied()
}

/// The candidate that the judge finds likeliest, by the sum over its tokens or their mean.
fn likeliest(taken: &Taken, likely: impl Fn(&Score) -> f64) -> Option<usize> {
    let ballot = taken.likelihood.iter().find(|one| one.judge.name == super::nodes::JUDGE)?;
    let general = general(taken);
    let scores = ballot.scores.iter().filter(|score| general.contains(&score.candidate));
    let best =
        scores.max_by(|x, y| likely(x).total_cmp(&likely(y)).then(y.candidate.cmp(&x.candidate)));
    best.map(|score| score.candidate)
}

/// The candidate that wins most of its comparisons, both orders weighed alike.
fn preferred(taken: &Taken, ballot: &Compared) -> Option<usize> {
    let wins = |at: usize| {
        let said = ballot.orders.iter().filter_map(|one| {
            let first = (one.first == at).then_some(one.p);
            first.or_else(|| (one.second == at).then_some(1.0 - one.p))
        });
        let all: Vec<f64> = said.collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    };
    let compared = general(taken).into_iter().filter_map(|at| Some((wins(at)?, at)));
    compared.max_by(|x, y| x.0.total_cmp(&y.0).then(y.1.cmp(&x.1))).map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::rounds::tests::taken;

    #[test]
    fn each_way_picks_from_the_same_candidates() {
        let split = [("a", "2"), ("b", "1"), ("c", "2"), ("shoal-sum", "7"), ("d", "1")];
        let all: Vec<Taken> = (0..10).map(|id| taken(id, &split)).collect();
        let rows = Rows::of(&all, &Settings::default()).unwrap();
        let right = |row: &Row| row.right.iter().filter(|right| **right).count();
        assert_eq!(right(&rows.oracle), 10);
        assert_eq!(right(&rows.majority), 0, "of equal pools the first");
        assert_eq!(right(&rows.best_single), 10);
        assert_eq!(rows.best_single.note, "b");
        assert!(
            rows.ways
                .iter()
                .filter(|one| one.name.contains("one judge"))
                .all(|one| right(one) == 10)
        );
        assert_eq!(rows.majority.tokens, 60.0, "the specialist is asked beside the round");
        let judged = rows.ways.iter().find(|one| one.name.contains("logit ballots")).unwrap();
        assert_eq!((judged.tokens, judged.seconds), (160.0, 1.5));
    }

    #[test]
    fn rounds_that_agree_cost_no_ballots() {
        let said = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
        let all: Vec<Taken> = (0..5).map(|id| taken(id, &said)).collect();
        let rows = Rows::of(&all, &Settings::default()).unwrap();
        assert_eq!(rows.agreed, (5, 5));
        let swarm = rows.ways.iter().find(|one| one.name.contains("reasoned ballots")).unwrap();
        assert_eq!((swarm.tokens, swarm.seconds), (60.0, 1.0));
    }
}
