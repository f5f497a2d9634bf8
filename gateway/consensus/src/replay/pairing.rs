//! Recorded ballots become what a live round has: one verdict for both orders of a pair.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shoal_proto::NodeId;

use crate::ballot::{CandidateScore, CastBallot, PairVerdict, Verdicts};
use crate::replay::recorded::{Ballot, Pair, Score, node};

/// All ballots of a round, one a judge.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) ballots: Vec<CastBallot>,
    pub(super) names: BTreeSet<String>,
    pub(super) one_sided: BTreeSet<NodeId>,
}

/// What one judge said of a round.
#[derive(Debug, Default)]
struct Said {
    model: String,
    reasoned: bool,
    /// By pair (the smaller index first): P(it is better) when shown first, and when the other
    /// was. Who was asked twice is heard twice.
    orders: BTreeMap<(usize, usize), Orders>,
    pairs: Vec<Pair>,
    scores: Vec<Score>,
}

#[derive(Debug, Default)]
struct Orders {
    shown_first: Vec<f64>,
    shown_second: Vec<f64>,
}

/// One ballot for each judge, from lines of one order each or from whole ballots.
///
/// # Errors
/// In words, when a line says nothing or names a candidate that is not there.
pub(super) fn cast(lines: Vec<Ballot>, candidates: usize) -> Result<Judged, String> {
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    for line in lines {
        if line.judge.is_empty() {
            return Err("a ballot without a `judge`".to_owned());
        }
        let of = said.entry(line.judge.clone()).or_default();
        of.hear(line, candidates)?;
    }
    let mut judged = Judged::default();
    for (judge, said) in said {
        let id = node(&judge);
        if said.orders.values().any(Orders::is_one_sided) {
            judged.one_sided.insert(id);
        }
        judged.ballots.extend(said.ballots(id));
        judged.names.insert(judge);
    }
    Ok(judged)
}

impl Said {
    fn hear(&mut self, line: Ballot, candidates: usize) -> Result<(), String> {
        let judge = &line.judge;
        let place = |at: usize| match at {
            at if at < candidates => Ok(at),
            at => Err(format!("{judge} names candidate {at} of {candidates}, counted from 0")),
        };
        let probability = |p: f64| match p {
            p if (0.0..=1.0).contains(&p) => Ok(p),
            p => Err(format!("{judge} says p = {p}, which is no probability")),
        };
        match (line.first, line.second, line.p, line.candidate, line.logprob) {
            (Some(first), Some(second), Some(p), None, None) => {
                let (first, second, p) = (place(first)?, place(second)?, probability(p)?);
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
                self.scores.push(Score { candidate: place(candidate)?, logprob, tokens: 0 });
            }
            (None, None, None, None, None) => {
                for pair in &line.pairs {
                    let (a, b, p) = (place(pair.a)?, place(pair.b)?, probability(pair.p)?);
                    self.pairs.push(Pair { a, b, p, flipped: pair.flipped });
                }
                for score in &line.scores {
                    self.scores.push(Score { candidate: place(score.candidate)?, ..*score });
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

    /// A ballot holds pairs or scores; who gave both has two.
    fn ballots(self, judge: NodeId) -> impl Iterator<Item = CastBallot> {
        let kept = self.pairs.iter().map(|pair| PairVerdict {
            a: pair.a,
            b: pair.b,
            p: pair.p,
            flipped: pair.flipped,
        });
        let paired = self.orders.iter().map(|((a, b), orders)| orders.verdict(*a, *b));
        let pairs: Vec<PairVerdict> = kept.chain(paired).collect();
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

impl Orders {
    fn is_one_sided(&self) -> bool {
        self.shown_first.is_empty() != self.shown_second.is_empty()
    }

    /// Both orders as a live round pairs them up. One order alone counts half: the other might have
    /// said the opposite.
    fn verdict(&self, a: usize, b: usize) -> PairVerdict {
        let mean = |said: &[f64]| said.iter().sum::<f64>() / said.len().max(1) as f64;
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
