//! Pair verdicts as comparisons of pools, each with the weight of its judge.

use std::collections::{BTreeMap, BTreeSet};

use shoal_proto::NodeId;

use super::{Comparison, gamma};
use crate::{
    ballot::{CastBallot, Verdicts},
    reputation::{ComparisonMode, Voice},
    tally::Tally,
};

/// A judge's verdict on a pair of pools.
#[derive(Debug)]
struct PoolVerdict {
    judge: NodeId,
    /// P(the first pool is better).
    p: f64,
    /// The part of the judge's weight that this verdict has.
    share: f64,
}

impl Tally<'_> {
    /// Pair verdicts as comparisons of pools, each weighted together with the others about the same pair.
    ///
    /// A judge that compares n pools makes at most n - 1 independent statements, however many pairs it was
    /// given: its opinion of one answer is part of each pair with this answer. So its pairs share that
    /// weight.
    pub fn comparisons(&self) -> Vec<Comparison> {
        let judges: Vec<(NodeId, ComparisonMode)> = (self.ballots.iter())
            .filter(|ballot| matches!(ballot.verdicts, Verdicts::Pairs(_)))
            .map(|ballot| (ballot.judge, ballot.mode()))
            .collect();
        let panel = self.standing.panel(&judges, self.kind);
        let mut voices: BTreeMap<Vec<NodeId>, Vec<Voice>> = BTreeMap::new();
        let mut comparisons = Vec::new();
        for ((a, b), verdicts) in self.verdicts_by_pair() {
            let judges: Vec<NodeId> = verdicts.iter().map(|verdict| verdict.judge).collect();
            let voices = voices.entry(judges).or_insert_with_key(|judges| panel.voices(judges));
            comparisons.extend(verdicts.iter().zip(voices).map(|(verdict, voice)| Comparison {
                a,
                b,
                p: verdict.p,
                weight: verdict.share * voice.weight,
                discrimination: gamma(*voice, &self.config.rank),
            }));
        }
        comparisons
    }

    /// The verdicts by pair of pools, the smaller first.
    fn verdicts_by_pair(&self) -> BTreeMap<(usize, usize), Vec<PoolVerdict>> {
        let judges: Vec<NodeId> = self.ballots.iter().map(|ballot| ballot.judge).collect();
        let mut by_pair: BTreeMap<(usize, usize), Vec<PoolVerdict>> = BTreeMap::new();
        for (ballot, share) in self.ballots.iter().zip(self.standing.shares(&judges)) {
            let judge = ballot.judge;
            let is_writer = self.candidates.iter().any(|candidate| candidate.writer == judge);
            let discount = if is_writer { self.config.rank.writing_judge } else { 1.0 };
            let verdicts = self.pool_verdicts(ballot);
            let share = discount * share * independent_share(&verdicts);
            for (pair, p) in verdicts {
                by_pair.entry(pair).or_default().push(PoolVerdict { judge, p, share });
            }
        }
        by_pair
    }

    /// The pairs of pools that a ballot compares, the smaller first, and P(the first is better). Verdicts about
    /// the judge's own answer never count, whatever its ballot says.
    fn pool_verdicts(&self, ballot: &CastBallot) -> Vec<((usize, usize), f64)> {
        let Verdicts::Pairs(pairs) = &ballot.verdicts else { return Vec::new() };
        let mut verdicts = Vec::new();
        for pair in pairs {
            let (a, b) = (self.candidate(pair.a), self.candidate(pair.b));
            let is_own = a.writer == ballot.judge || b.writer == ballot.judge;
            match (a.pool, b.pool) {
                (a, b) if a == b || is_own => {}
                (a, b) if a < b => verdicts.push(((a, b), pair.p)),
                (a, b) => verdicts.push(((b, a), 1.0 - pair.p)),
            }
        }
        verdicts
    }
}

/// The share of a judge's pairs that can be independent of each other.
fn independent_share(verdicts: &[((usize, usize), f64)]) -> f64 {
    let pools: BTreeSet<usize> = verdicts.iter().flat_map(|((a, b), _)| [*a, *b]).collect();
    (pools.len().saturating_sub(1) as f64 / verdicts.len().max(1) as f64).min(1.0)
}
