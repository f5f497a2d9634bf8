//! What one judge is shown, and which candidates that stands for. Pure.

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::Prompt,
    judge::{Ballot, Judge, Kind, Pair},
};

use crate::judging::pairs::PoolPair;
use crate::{
    ask::Ask,
    ballot::{CandidateScore, PairVerdict, Verdicts},
    candidate::Candidate,
};

/// One question to one judge.
#[derive(Debug)]
pub struct JudgeTask {
    kind: Kind,
    pub texts: Vec<String>,
    /// For each text, the candidates that say exactly this and are not the judge's.
    pub stand_for: Vec<Vec<usize>>,
    /// Pairs of texts, each to be shown in both orders.
    pub pairs: Vec<(usize, usize)>,
}

impl JudgeTask {
    /// Every candidate that the judge did not write, equal texts once. When the judge wrote the
    /// same text as somebody else, it scores that other candidate: knowing its own answer by
    /// another hand is what a likelihood is for, and it learns nobody's name by it.
    pub fn scores(candidates: &[Candidate], judge: NodeId, rng: &mut ChaCha8Rng) -> Option<Self> {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        for (at, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.writer != judge) {
            let shown = candidate.shown();
            match groups.iter_mut().find(|(text, _)| *text == shown) {
                Some((_, same)) => same.push(at),
                None => groups.push((shown, vec![at])),
            }
        }
        groups.shuffle(rng);
        let (texts, stand_for): (Vec<String>, Vec<Vec<usize>>) = groups.into_iter().unzip();
        (!texts.is_empty()).then(|| Self {
            kind: Kind::Likelihood,
            texts,
            stand_for,
            pairs: Vec::new(),
        })
    }

    /// These pairs of pools for a ballot of this kind, each pool by its first candidate; pairs with
    /// a pool that the judge wrote for are left out.
    pub fn pairs(
        candidates: &[Candidate],
        judge: NodeId,
        pairs: &[PoolPair],
        kind: Kind,
        rng: &mut ChaCha8Rng,
    ) -> Option<Self> {
        let may_see = pools_for(candidates, judge);
        let pairs: Vec<&PoolPair> =
            pairs.iter().filter(|(a, b)| may_see.contains(a) && may_see.contains(b)).collect();
        let mut pools: Vec<usize> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        pools.sort_unstable();
        pools.dedup();
        pools.shuffle(rng);
        let first = |pool: &usize| candidates.iter().position(|one| one.pool == *pool);
        let shown: Vec<usize> = pools.iter().filter_map(first).collect();
        let place = |pool: usize| pools.iter().position(|one| *one == pool);
        let text = |at: &usize| candidates.get(*at).map(Candidate::shown);
        (!pairs.is_empty()).then(|| Self {
            kind,
            texts: shown.iter().filter_map(text).collect(),
            stand_for: shown.iter().map(|at| vec![*at]).collect(),
            pairs: pairs.iter().filter_map(|(a, b)| Some((place(*a)?, place(*b)?))).collect(),
        })
    }

    pub fn is_reasoned(&self) -> bool {
        self.kind == Kind::Reasoned
    }

    pub fn ask(&self, ask: &Ask, prompt: Option<Prompt>) -> Judge {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let both = |(a, b): &(usize, usize)| {
            let (a, b) = (number(*a), number(*b));
            [Pair { first: a, second: b }, Pair { first: b, second: a }]
        };
        Judge {
            messages: ask.messages.clone(),
            candidates: self.texts.clone(),
            kind: self.kind.into(),
            pairs: self.pairs.iter().flat_map(both).collect(),
            tools: ask.tools.clone(),
            prompt,
        }
    }

    /// What a ballot that fits the question says of the candidates.
    pub fn verdicts(&self, ballot: &Ballot) -> Verdicts {
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
            Some(PairVerdict::from_orders(first(*a)?, first(*b)?, shown_first, shown_second))
        };
        Verdicts::Pairs(verdicts.filter_map(pair).collect())
    }
}

/// The pools that a judge may compare: those it wrote nothing for, in order of their numbers.
pub(super) fn pools_for(candidates: &[Candidate], judge: NodeId) -> Vec<usize> {
    let own = |pool: usize| candidates.iter().any(|c| c.writer == judge && c.pool == pool);
    let mut pools: Vec<usize> = candidates.iter().map(|c| c.pool).filter(|p| !own(*p)).collect();
    pools.sort_unstable();
    pools.dedup();
    pools
}
