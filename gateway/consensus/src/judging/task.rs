//! The task of one judge: its texts, and the candidates that they stand for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::Prompt,
    judge::{Ballot, BallotKind, Judge, Pair},
};

use crate::judging::pairs::PoolPair;
use crate::{
    ask::Ask,
    ballot::{CandidateScore, PairVerdict, Verdicts},
    candidate::Candidate,
};

/// One task for one judge.
#[derive(Debug)]
pub struct JudgeTask {
    kind: BallotKind,
    /// The texts that the judge sees.
    pub texts: Vec<String>,
    /// For each text, the candidates with exactly this text that the judge did not write.
    pub candidates_by_text: Vec<Vec<usize>>,
    /// Pairs of texts, each to be shown in both orders.
    pub pairs: Vec<TextPair>,
}

/// Two texts of a task.
#[derive(Clone, Copy, Debug)]
pub struct TextPair {
    /// Their places among the texts, as the message names them.
    texts: (u32, u32),
    /// The candidates that they are the texts of.
    candidates: (usize, usize),
}

impl JudgeTask {
    /// A task to score each candidate that the judge did not write; equal texts occur once. A text that
    /// the judge wrote too is scored if another member also wrote it: the likelihood is meant to
    /// recognise such an answer, and the task does not name its writer.
    pub fn scores(candidates: &[Candidate], judge: NodeId, rng: &mut ChaCha8Rng) -> Option<Self> {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        for (at, candidate) in candidates.iter().enumerate().filter(|(_, c)| c.writer != judge) {
            let candidate_text = candidate.display_text();
            match groups.iter_mut().find(|(text, _)| *text == candidate_text) {
                Some((_, group)) => group.push(at),
                None => groups.push((candidate_text, vec![at])),
            }
        }
        groups.shuffle(rng);
        let (texts, candidates_by_text): (Vec<String>, Vec<Vec<usize>>) =
            groups.into_iter().unzip();
        (!texts.is_empty()).then(|| Self {
            kind: BallotKind::Likelihood,
            texts,
            candidates_by_text,
            pairs: Vec::new(),
        })
    }

    /// A task to compare these pairs of pools, each represented by its first candidate. Pairs with a
    /// pool of the judge's own candidates are left out.
    #[expect(clippy::indexing_slicing, reason = "each pool of the pairs left has a place")]
    pub fn pairs(
        candidates: &[Candidate],
        judge: NodeId,
        pairs: &[PoolPair],
        kind: BallotKind,
        rng: &mut ChaCha8Rng,
    ) -> Option<Self> {
        let may_see = pools_for(candidates, judge);
        let pairs: Vec<&PoolPair> =
            pairs.iter().filter(|(a, b)| may_see.contains(a) && may_see.contains(b)).collect();
        let mut representatives: BTreeMap<usize, (usize, &Candidate)> = BTreeMap::new();
        for (at, candidate) in candidates.iter().enumerate() {
            representatives.entry(candidate.pool).or_insert((at, candidate));
        }
        representatives.retain(|pool, _| pairs.iter().any(|(a, b)| a == pool || b == pool));
        let mut order: Vec<(usize, (usize, &Candidate))> = representatives.into_iter().collect();
        order.shuffle(rng);
        let places: BTreeMap<usize, (u32, usize)> =
            order.iter().zip(0..).map(|((pool, (at, _)), text)| (*pool, (text, *at))).collect();
        let text_pairs = pairs.iter().map(|(a, b)| {
            let ((a, first), (b, second)) = (places[a], places[b]);
            TextPair { texts: (a, b), candidates: (first, second) }
        });
        (!pairs.is_empty()).then(|| Self {
            kind,
            texts: order.iter().map(|(_, (_, candidate))| candidate.display_text()).collect(),
            candidates_by_text: order.iter().map(|(_, (at, _))| vec![*at]).collect(),
            pairs: text_pairs.collect(),
        })
    }

    /// Whether the judge writes reasons before its verdicts.
    pub fn is_reasoned(&self) -> bool {
        self.kind == BallotKind::Reasoned
    }

    /// The message to the judge, with each pair in its two orders.
    pub fn ask(&self, ask: &Ask, prompt: Option<Prompt>) -> Judge {
        let pairs = self.pairs.iter().flat_map(|TextPair { texts: (a, b), .. }| {
            [Pair { first: *a, second: *b }, Pair { first: *b, second: *a }]
        });
        Judge {
            messages: ask.messages.clone(),
            candidates: self.texts.clone(),
            kind: self.kind.into(),
            pairs: pairs.collect(),
            tools: ask.tools.clone(),
            prompt,
        }
    }

    /// The verdicts on the candidates of a ballot that fits this task.
    pub fn verdicts(&self, ballot: &Ballot) -> Verdicts {
        if self.kind == BallotKind::Likelihood {
            let scores =
                self.candidates_by_text.iter().zip(&ballot.scores).flat_map(|(group, score)| {
                    group.iter().map(|candidate| CandidateScore {
                        candidate: *candidate,
                        logprob: score.logprob,
                        tokens: score.tokens,
                    })
                });
            return Verdicts::Scores(scores.collect());
        }
        let (orders, _) = ballot.verdicts.as_chunks();
        let verdicts = self.pairs.iter().zip(orders);
        let pairs = verdicts.map(|(TextPair { candidates: (a, b), .. }, [a_first, b_first])| {
            PairVerdict::from_orders(*a, *b, *a_first, *b_first)
        });
        Verdicts::Pairs(pairs.collect())
    }
}

/// The pools that a judge may compare: those without its own candidates, in order of their numbers.
pub(super) fn pools_for(candidates: &[Candidate], judge: NodeId) -> Vec<usize> {
    let own = candidates.iter().filter(|candidate| candidate.writer == judge);
    let own: BTreeSet<usize> = own.map(|candidate| candidate.pool).collect();
    let pools = candidates.iter().map(|candidate| candidate.pool);
    let mut pools: Vec<usize> = pools.filter(|pool| !own.contains(pool)).collect();
    pools.sort_unstable();
    pools.dedup();
    pools
}
