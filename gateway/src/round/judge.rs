//! Ballots: members judge what they did not write.
//!
//! Judging starts when the writing has closed. A likelihood judge gets every candidate that it
//! did not write, equal texts once, in an order that says nothing; a pairwise judge gets pairs of
//! pools that it did not write for, each in both orders. Who does not answer in time is left out.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::ChatMessage,
    judge::{Ballot, Judge, Kind, Pair},
};
use tokio::time::sleep_until;

use super::{Round, generate::quorum, rank};
use crate::{
    ask::{Candidate, CandidateScore, CastBallot, PairVerdict, Verdicts},
    swarm::WorkError,
};

/// The ballots that came in time, or before enough was known.
pub(super) async fn ballots(
    round: &Round<'_>,
    candidates: &[Candidate],
    judges: &[NodeId],
) -> Vec<CastBallot> {
    let mut sheets: Vec<(NodeId, Sheet)> = Vec::new();
    for (at, judge) in judges.iter().enumerate() {
        let Some(member) = round.member(*judge) else { continue };
        let mut rng = ChaCha8Rng::seed_from_u64(round.seed.wrapping_add(1 + at as u64));
        let sheet = if member.model.likelihood {
            Sheet::scores(candidates, *judge, &mut rng)
        } else {
            Sheet::pairs(candidates, *judge, round.config.judge.pairs_max, &mut rng)
        };
        sheets.extend(sheet.map(|sheet| (*judge, sheet)));
    }
    let enough = quorum(sheets.len(), round.config.judge.quorum);
    let mut asked: FuturesUnordered<_> =
        sheets.into_iter().map(|(judge, sheet)| cast(round, judge, sheet)).collect();
    let mut ballots = Vec::new();
    while !asked.is_empty() {
        tokio::select! {
            biased;
            Some(cast) = asked.next() => match cast {
                Ok(ballot) => {
                    round.metrics.ballots("counted", 1);
                    ballots.push(ballot);
                }
                Err(error) => round.metrics.ballots(error.label(), 1),
            },
            () = sleep_until(round.clock.end) => break,
        }
        let known = ballots.len() >= enough && !asked.is_empty();
        if known && rank::settled(&round.rank(candidates, &ballots), &round.config.rank) {
            break;
        }
    }
    round.metrics.ballots("cut", asked.len());
    ballots
}

async fn cast(round: &Round<'_>, judge: NodeId, sheet: Sheet) -> Result<CastBallot, WorkError> {
    let begun = round.clock.elapsed();
    let ask = sheet.ask(round.ask.messages.clone());
    let ballot = round.swarm.judge(judge, ask, round.clock.end).await;
    let ballot = ballot.inspect_err(|error| {
        tracing::debug!(node.id = %judge.short(), %error, "no ballot");
    })?;
    Ok(CastBallot {
        judge,
        model: round.model(judge),
        prompt_tokens: ballot.prompt_tokens,
        took: round.clock.elapsed().saturating_sub(begun),
        verdicts: sheet.verdicts(&ballot),
    })
}

/// What one judge is shown, and which candidates that stands for.
#[derive(Debug)]
struct Sheet {
    kind: Kind,
    texts: Vec<String>,
    /// For each text, the candidates that say exactly this and are not the judge's.
    stand_for: Vec<Vec<usize>>,
    /// Pairs of texts, each to be shown in both orders.
    pairs: Vec<(usize, usize)>,
}

impl Sheet {
    /// Every candidate that the judge did not write, equal texts once. When the judge wrote the
    /// same text as somebody else, it scores that other candidate: knowing its own answer by
    /// another hand is what a likelihood is for, and it learns nobody's name by it.
    fn scores(candidates: &[Candidate], judge: NodeId, rng: &mut ChaCha8Rng) -> Option<Self> {
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        for (at, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.writer != judge) {
            match groups.iter_mut().find(|(text, _)| *text == candidate.text) {
                Some((_, same)) => same.push(at),
                None => groups.push((&candidate.text, vec![at])),
            }
        }
        groups.shuffle(rng);
        let (texts, stand_for): (Vec<String>, Vec<Vec<usize>>) =
            groups.into_iter().map(|(text, same)| (text.to_owned(), same)).unzip();
        (!texts.is_empty()).then(|| Self {
            kind: Kind::Likelihood,
            texts,
            stand_for,
            pairs: Vec::new(),
        })
    }

    /// Pairs of pools that the judge did not write for, each pool by its first candidate.
    fn pairs(
        candidates: &[Candidate],
        judge: NodeId,
        pairs_max: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Self> {
        let own: Vec<usize> =
            candidates.iter().filter(|c| c.writer == judge).map(|c| c.pool).collect();
        let mut shown: Vec<usize> = Vec::new();
        for (at, candidate) in candidates.iter().enumerate() {
            let pool = |at: &usize| candidates.get(*at).map(|c| c.pool);
            let known = shown.iter().any(|other| pool(other) == Some(candidate.pool));
            if !known && !own.contains(&candidate.pool) {
                shown.push(at);
            }
        }
        shown.shuffle(rng);
        let places = 0..shown.len();
        let mut pairs: Vec<(usize, usize)> =
            places.clone().flat_map(|b| (0..b).map(move |a| (a, b))).collect();
        pairs.shuffle(rng);
        pairs.truncate(pairs_max);
        let text = |at: &usize| candidates.get(*at).map(|c| c.text.clone());
        (!pairs.is_empty()).then(|| Self {
            kind: Kind::Pairwise,
            texts: shown.iter().filter_map(text).collect(),
            stand_for: shown.iter().map(|at| vec![*at]).collect(),
            pairs,
        })
    }

    fn ask(&self, messages: Vec<ChatMessage>) -> Judge {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let both = |(a, b): &(usize, usize)| {
            let (a, b) = (number(*a), number(*b));
            [Pair { first: a, second: b }, Pair { first: b, second: a }]
        };
        Judge {
            messages,
            candidates: self.texts.clone(),
            kind: self.kind.into(),
            pairs: self.pairs.iter().flat_map(both).collect(),
        }
    }

    /// What a ballot that fits the question says of the candidates.
    fn verdicts(&self, ballot: &Ballot) -> Verdicts {
        if self.kind == Kind::Likelihood {
            let scores = self.stand_for.iter().zip(&ballot.scores).flat_map(|(same, score)| {
                same.iter().map(|candidate| CandidateScore {
                    candidate: *candidate,
                    logprob: score.logprob,
                    tokens: score.tokens,
                })
            });
            return Verdicts::Scores(scores.collect());
        }
        let first = |at: usize| self.stand_for.get(at).and_then(|same| same.first()).copied();
        let verdicts = self.pairs.iter().zip(ballot.verdicts.chunks_exact(2));
        let pair = |((a, b), p): (&(usize, usize), &[f64])| {
            let [shown_first, shown_second] = *p else { return None };
            Some(PairVerdict {
                a: first(*a)?,
                b: first(*b)?,
                // Who always says "first" says one half.
                p: 0.5 * (shown_first + 1.0 - shown_second),
                flipped: (shown_first > 0.5) == (shown_second > 0.5),
            })
        };
        Verdicts::Pairs(verdicts.filter_map(pair).collect())
    }
}

#[cfg(test)]
mod tests;
