//! Pair verdicts as comparisons of pools, each with the weight of its judge.

use std::collections::{BTreeMap, BTreeSet};

use shoal_proto::NodeId;

use super::{Comparison, gamma};
use crate::{
    ballot::{CastBallot, Verdicts},
    reputation::{ComparisonMode, Voice},
    tally::Tally,
};

/// The verdicts on one pair of pools.
#[derive(Debug, Default)]
struct PairVerdicts {
    judges: BTreeSet<NodeId>,
    /// P(the first pool is better), by judge.
    probabilities: Vec<(NodeId, f64)>,
}

impl Tally<'_> {
    /// Pair verdicts as comparisons of pools, each weighed beside the others about the same pair.
    ///
    /// A judge that compares n pools has at most n - 1 independent things to say, however many pairs
    /// it was given: what it found of one answer stands in each pair of it. So its pairs share that
    /// weight.
    pub fn comparisons(&self) -> Vec<Comparison> {
        let judges: Vec<(NodeId, ComparisonMode)> = (self.ballots.iter())
            .filter(|ballot| compares(ballot))
            .map(|ballot| (ballot.judge, ballot.way()))
            .collect();
        let panel = self.standing.panel(&judges, self.kind);
        let cast: Vec<NodeId> = self.ballots.iter().map(|ballot| ballot.judge).collect();
        let shares: BTreeMap<NodeId, f64> =
            cast.iter().copied().zip(self.standing.shares(&cast)).collect();
        let writers: BTreeSet<NodeId> = self.writers().into_iter().collect();
        let by_pair = self.verdicts_by_pair();
        let independent = independent_shares(&by_pair);
        let mut voices: BTreeMap<&BTreeSet<NodeId>, BTreeMap<NodeId, Voice>> = BTreeMap::new();
        let mut comparisons = Vec::new();
        for ((a, b), verdicts) in &by_pair {
            let voices = voices.entry(&verdicts.judges).or_insert_with(|| {
                let judges: Vec<NodeId> = verdicts.judges.iter().copied().collect();
                judges.iter().copied().zip(panel.voices(&judges)).collect()
            });
            for (judge, p) in &verdicts.probabilities {
                // All three have an entry for each judge that compared this pair.
                let (Some(voice), Some(share), Some(independent)) =
                    (voices.get(judge), shares.get(judge), independent.get(judge))
                else {
                    continue;
                };
                let writer_discount =
                    if writers.contains(judge) { self.config.rank.writing_judge } else { 1.0 };
                let weight = writer_discount * voice.weight * share * independent;
                let discrimination = gamma(*voice, &self.config.rank);
                comparisons.push(Comparison { a: *a, b: *b, p: *p, weight, discrimination });
            }
        }
        comparisons
    }

    /// The verdicts by pair of pools, the smaller first.
    fn verdicts_by_pair(&self) -> BTreeMap<(usize, usize), PairVerdicts> {
        let mut by_pair: BTreeMap<(usize, usize), PairVerdicts> = BTreeMap::new();
        for ballot in self.ballots {
            let Verdicts::Pairs(pairs) = &ballot.verdicts else { continue };
            for pair in pairs {
                let (Some(a), Some(b)) = (self.candidates.get(pair.a), self.candidates.get(pair.b))
                else {
                    continue;
                };
                // A judge never speaks for itself, whatever its ballot says.
                if a.pool == b.pool || a.writer == ballot.judge || b.writer == ballot.judge {
                    continue;
                }
                let (key, p) = if a.pool < b.pool {
                    ((a.pool, b.pool), pair.p)
                } else {
                    ((b.pool, a.pool), 1.0 - pair.p)
                };
                let verdicts = by_pair.entry(key).or_default();
                verdicts.judges.insert(ballot.judge);
                verdicts.probabilities.push((ballot.judge, p));
            }
        }
        by_pair
    }
}

fn compares(ballot: &CastBallot) -> bool {
    matches!(ballot.verdicts, Verdicts::Pairs(_))
}

/// For each judge the share of its pairs that could be told independently of each other.
fn independent_shares(by_pair: &BTreeMap<(usize, usize), PairVerdicts>) -> BTreeMap<NodeId, f64> {
    let mut comparisons_of_judge: BTreeMap<NodeId, (BTreeSet<usize>, usize)> = BTreeMap::new();
    for ((a, b), verdicts) in by_pair {
        for (judge, _) in &verdicts.probabilities {
            let (pools, pairs) = comparisons_of_judge.entry(*judge).or_default();
            pools.extend([*a, *b]);
            *pairs += 1;
        }
    }
    comparisons_of_judge
        .into_iter()
        .map(|(judge, (pools, pairs))| {
            (judge, (pools.len().saturating_sub(1) as f64 / pairs.max(1) as f64).min(1.0))
        })
        .collect()
}
