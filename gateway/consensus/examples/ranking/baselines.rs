//! Simple rules on the information that a round has, each over all rounds of a set at once. None but
//! [`best_single`] and [`gold_single`] sees a label.

use std::collections::BTreeMap;

use shoal_consensus::{ballot::Verdicts, replay::Round};
use shoal_proto::NodeId;

/// For each round the expected accuracy of the rule, with ties shared.
pub(super) type Scores = Vec<f64>;

/// Whether each pool of a round is right.
fn pool_rights(round: &Round) -> Vec<bool> {
    let mut rights: BTreeMap<usize, bool> = BTreeMap::new();
    let labels = round.right.clone().unwrap_or_default();
    for (candidate, right) in round.candidates.iter().zip(labels) {
        *rights.entry(candidate.pool).or_insert(true) &= right;
    }
    rights.into_values().collect()
}

/// The expected accuracy of the pools with the highest value.
fn first(round: &Round, values: &[f64]) -> f64 {
    let rights = pool_rights(round);
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let winners: Vec<bool> =
        rights.iter().zip(values).filter(|(_, v)| **v > best - 1e-9).map(|(r, _)| *r).collect();
    winners.iter().filter(|right| **right).count() as f64 / winners.len().max(1) as f64
}

/// The sum over the writers of each pool.
fn by_pool(round: &Round, weight: impl Fn(&NodeId) -> f64) -> Vec<f64> {
    let mut values = vec![0.0; pool_rights(round).len()];
    for candidate in &round.candidates {
        if let Some(value) = values.get_mut(candidate.pool) {
            *value += weight(&candidate.writer);
        }
    }
    values
}

/// The largest pool.
pub(super) fn plurality(rounds: &[Round]) -> Scores {
    rounds.iter().map(|round| first(round, &by_pool(round, |_| 1.0))).collect()
}

/// Some candidate is right.
pub(super) fn oracle(rounds: &[Round]) -> Scores {
    let has_right = rounds.iter().map(|round| pool_rights(round).contains(&true));
    has_right.map(|has_right| f64::from(u8::from(has_right))).collect()
}

/// The pool that judges prefer most: the mean of its verdicts, each judge but the writers.
pub(super) fn mean_verdict(rounds: &[Round]) -> Scores {
    rounds.iter().map(|round| first(round, &verdicts(round))).collect()
}

#[expect(clippy::indexing_slicing, reason = "a round's ballots name its own candidates")]
fn verdicts(round: &Round) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); pool_rights(round).len()];
    for ballot in &round.ballots {
        let Verdicts::Pairs(pairs) = &ballot.verdicts else { continue };
        for pair in pairs {
            let (a, b) = (&round.candidates[pair.a], &round.candidates[pair.b]);
            if a.pool == b.pool || a.writer == ballot.judge || b.writer == ballot.judge {
                continue;
            }
            for (pool, p) in [(a.pool, pair.p), (b.pool, 1.0 - pair.p)] {
                sums[pool] = (sums[pool].0 + p, sums[pool].1 + 1.0);
            }
        }
    }
    sums.into_iter().map(|(sum, n): (f64, f64)| if n > 0.0 { sum / n } else { 0.0 }).collect()
}

/// Votes weighted by how often the writer is in the largest pool of a round.
pub(super) fn agreement_weighted(rounds: &[Round]) -> Scores {
    let mut agreements: BTreeMap<NodeId, (f64, f64)> = BTreeMap::new();
    for round in rounds {
        let sizes = by_pool(round, |_| 1.0);
        let most = sizes.iter().copied().fold(0.0, f64::max);
        for candidate in &round.candidates {
            let agrees = sizes.get(candidate.pool).is_some_and(|size| *size > most - 0.5);
            let entry = agreements.entry(candidate.writer).or_default();
            *entry = (entry.0 + f64::from(u8::from(agrees)), entry.1 + 1.0);
        }
    }
    let weight = |id: &NodeId| agreements.get(id).map_or(0.5, |(yes, n)| yes / n);
    rounds.iter().map(|round| first(round, &by_pool(round, weight))).collect()
}

/// One-coin Dawid-Skene over the answers, by expectation maximisation, `wrong` plausible wrong answers.
pub(super) fn dawid_skene(rounds: &[Round], wrong: f64) -> Scores {
    let mut accuracy: BTreeMap<NodeId, f64> = BTreeMap::new();
    let log_odds = |accuracy: &BTreeMap<NodeId, f64>, id: &NodeId| {
        let p: f64 = accuracy.get(id).copied().unwrap_or(0.6).clamp(0.02, 0.98);
        (p / (1.0 - p)).ln() + wrong.ln()
    };
    for _ in 0..30 {
        let mut sums: BTreeMap<NodeId, (f64, f64)> = BTreeMap::new();
        for round in rounds {
            let values = by_pool(round, |id| log_odds(&accuracy, id));
            let most = values.iter().copied().fold(0.0, f64::max);
            let total: f64 = values.iter().map(|value| (value - most).exp()).sum();
            for candidate in &round.candidates {
                let value = values.get(candidate.pool).copied().unwrap_or(0.0);
                let entry = sums.entry(candidate.writer).or_insert((1.0, 2.0));
                *entry = (entry.0 + (value - most).exp() / total, entry.1 + 1.0);
            }
        }
        accuracy = sums.into_iter().map(|(id, (yes, n))| (id, yes / n)).collect();
    }
    rounds.iter().map(|round| first(round, &by_pool(round, |id| log_odds(&accuracy, id)))).collect()
}

/// The answer of the member with the best accuracy on `others`, of those in the round.
pub(super) fn best_single(rounds: &[Round], peers: &[Round]) -> Scores {
    let mut counts: BTreeMap<NodeId, (f64, f64)> = BTreeMap::new();
    for round in peers {
        let rights = round.right.clone().unwrap_or_default();
        for (candidate, right) in round.candidates.iter().zip(rights) {
            let entry = counts.entry(candidate.writer).or_insert((1.0, 2.0));
            *entry = (entry.0 + f64::from(u8::from(right)), entry.1 + 1.0);
        }
    }
    let rate = |id: &NodeId| counts.get(id).map_or(0.5, |(right, n)| right / n);
    rounds.iter().map(|round| single(round, rate)).collect()
}

fn single(round: &Round, rate: impl Fn(&NodeId) -> f64) -> f64 {
    let rights = round.right.clone().unwrap_or_default();
    let best = round.candidates.iter().map(|c| rate(&c.writer)).fold(0.0, f64::max);
    let choice: Vec<bool> = (round.candidates.iter().zip(rights))
        .filter(|(candidate, _)| rate(&candidate.writer) > best - 1e-9)
        .map(|(_, right)| right)
        .collect();
    choice.iter().filter(|right| **right).count() as f64 / choice.len().max(1) as f64
}
