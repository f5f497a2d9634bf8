//! Converts recorded ballots to those of a live round: one verdict for the two orders of a pair.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shoal_proto::NodeId;

use crate::ballot::{CandidateScore, CastBallot, PairVerdict, Verdicts};
use crate::replay::format::{Ballot, Pair, Score, node};

/// The ballots of a round, with the names of their judges.
#[derive(Debug, Default)]
pub(super) struct RoundBallots {
    pub(super) ballots: Vec<CastBallot>,
    pub(super) names: BTreeSet<String>,
    pub(super) one_sided: BTreeSet<NodeId>,
}

/// The recorded verdicts of one judge.
#[derive(Debug, Default)]
struct JudgeVerdicts {
    model: String,
    reasoned: bool,
    /// By pair (the smaller index first): P(the candidate that was shown first is better), for each
    /// order. An order may occur more than once.
    orders: BTreeMap<(usize, usize), Orders>,
    pairs: Vec<Pair>,
    scores: Vec<Score>,
}

#[derive(Debug, Default)]
struct Orders {
    shown_first: Vec<f64>,
    shown_second: Vec<f64>,
}

/// The ballots of each judge, from lines of one order each or from whole ballots.
///
/// # Errors
/// A message, if a line has no verdict or names a candidate that does not exist.
pub(super) fn cast(lines: Vec<Ballot>, candidates: usize) -> Result<RoundBallots, String> {
    let mut judges: BTreeMap<String, JudgeVerdicts> = BTreeMap::new();
    for line in lines {
        if line.judge.is_empty() {
            return Err("a ballot without a `judge`".to_owned());
        }
        judges.entry(line.judge.clone()).or_default().add(line, candidates)?;
    }
    let mut round = RoundBallots::default();
    for (judge, verdicts) in judges {
        let id = node(&judge);
        if verdicts.hides_flips() {
            round.one_sided.insert(id);
        }
        round.ballots.extend(verdicts.ballots(id));
        round.names.insert(judge);
    }
    Ok(round)
}

impl JudgeVerdicts {
    fn add(&mut self, line: Ballot, candidates: usize) -> Result<(), String> {
        let judge = &line.judge;
        match (line.first, line.second, line.p, line.candidate, line.logprob) {
            (Some(first), Some(second), Some(p), None, None) => {
                let first = index(first, candidates, judge)?;
                let (second, p) = (index(second, candidates, judge)?, probability(p, judge)?);
                if first == second {
                    return Err(format!("{judge} compares candidate {first} with itself"));
                }
                let orders = self.orders.entry((first.min(second), first.max(second))).or_default();
                if first < second {
                    orders.shown_first.push(p);
                } else {
                    orders.shown_second.push(p);
                }
            }
            (None, None, None, Some(candidate), Some(logprob)) => {
                let candidate = index(candidate, candidates, judge)?;
                self.scores.push(Score { candidate, logprob, tokens: 0 });
            }
            (None, None, None, None, None) => {
                for pair in &line.pairs {
                    index(pair.a.max(pair.b), candidates, judge)?;
                    probability(pair.p, judge)?;
                    self.pairs.push(*pair);
                }
                for score in &line.scores {
                    index(score.candidate, candidates, judge)?;
                    self.scores.push(*score);
                }
            }
            _ => {
                return Err(format!(
                    "a ballot of {judge} is neither {{first, second, p}}, nor {{candidate, \
                     logprob}}, nor {{pairs}}, nor {{scores}}"
                ));
            }
        }
        self.model = line.model;
        self.reasoned |= line.reasoned;
        Ok(())
    }

    /// For some pair the record does not say whether the two orders contradict each other.
    fn hides_flips(&self) -> bool {
        self.orders.values().any(Orders::is_one_sided)
            || self.pairs.iter().any(|pair| pair.flipped.is_none())
    }

    /// A ballot has pairs or scores; a judge with pairs and scores has two ballots.
    fn ballots(self, judge: NodeId) -> impl Iterator<Item = CastBallot> {
        let whole_pairs = self.pairs.iter().map(|pair| PairVerdict {
            a: pair.a,
            b: pair.b,
            p: pair.p,
            flipped: pair.flipped.unwrap_or(false),
        });
        let from_orders = self.orders.iter().map(|((a, b), orders)| orders.verdict(*a, *b));
        let pairs: Vec<PairVerdict> = whole_pairs.chain(from_orders).collect();
        let scores: Vec<CandidateScore> = (self.scores.iter())
            .map(|score| CandidateScore {
                candidate: score.candidate,
                logprob: score.logprob,
                tokens: score.tokens,
            })
            .collect();
        let pairs = (!pairs.is_empty()).then_some(Verdicts::Pairs(pairs));
        let scores = (!scores.is_empty()).then_some(Verdicts::Scores(scores));
        pairs.into_iter().chain(scores).map(move |verdicts| CastBallot {
            judge,
            model: self.model.clone(),
            reasoned: self.reasoned && matches!(verdicts, Verdicts::Pairs(_)),
            verdicts,
            prompt_tokens: 0,
            took: Duration::ZERO,
        })
    }
}

fn index(at: usize, candidates: usize, judge: &str) -> Result<usize, String> {
    match at {
        at if at < candidates => Ok(at),
        at => Err(format!("{judge} names candidate {at} of {candidates}, counted from 0")),
    }
}

fn probability(p: f64, judge: &str) -> Result<f64, String> {
    if (0.0..=1.0).contains(&p) {
        Ok(p)
    } else {
        Err(format!("{judge} says p = {p}, which is no probability"))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl Orders {
    fn is_one_sided(&self) -> bool {
        self.shown_first.is_empty() != self.shown_second.is_empty()
    }

    /// The verdict of a live round on the two orders. One order alone counts half, because the other
    /// order might have the opposite verdict.
    fn verdict(&self, a: usize, b: usize) -> PairVerdict {
        let (first, second) = (mean(&self.shown_first), mean(&self.shown_second));
        let p = match (self.shown_first.is_empty(), self.shown_second.is_empty()) {
            (false, false) => return PairVerdict::from_orders(a, b, first, second),
            (false, true) => 0.5 * first + 0.25,
            (true, false) => 0.5 * (1.0 - second) + 0.25,
            (true, true) => 0.5,
        };
        PairVerdict { a, b, p, flipped: false }
    }
}
