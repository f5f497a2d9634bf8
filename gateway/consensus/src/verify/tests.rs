//! Which claims are looked at before they decide.

use std::collections::BTreeMap;

use proptest::prelude::*;

use shoal_proto::NodeId;

use super::*;
use crate::{
    ballot::{CastBallot, PairVerdict, Verdicts},
    reputation::{
        Beta, ComparisonMode, KindModel, KindPosterior, Likelihood, Record, Sample, Settings,
        Standing, judges::GoldPair,
    },
    settings::{Certainty, RoundSettings},
    testing::{candidate, node},
};

/// Nats that a writer claims who is certain.
const SURE: f64 = -0.05;

/// A member right in half of its gold, whose certainty told which half, and whose verdicts are good.
fn member(claims_count: bool) -> Record {
    let samples = (0..100).map(|n| {
        let (right, noise) = (n % 2 == 0, f64::from(n % 10) * 0.1);
        let logprob = if right { -0.05 - noise } else { -9.0 - 10.0 * noise };
        Sample { text: Likelihood { logprob, bytes: 9 }, right, item: 0 }
    });
    let pairs =
        (1..=40).map(|item| GoldPair { p: 0.9, item, kind: None, mode: ComparisonMode::Direct });
    Record {
        writer: Beta { a: 50.0, b: 50.0 },
        certainty: samples.collect(),
        pairs: pairs.collect(),
        claims_count,
        gold_seen: 100,
        ..Record::default()
    }
}

fn standing(claims_count: bool) -> Standing {
    let records: BTreeMap<_, _> = (0..10).map(|n| (node(n), member(claims_count))).collect();
    Standing::new(records, KindModel::default(), Settings::default())
}

/// Writers 0, 1, ... with these pools and claims.
fn candidates_of(answers: &[(usize, Option<f64>)]) -> Vec<Candidate> {
    let candidates = (0..).zip(answers).map(|(n, (pool, logprob))| Candidate {
        logprob: *logprob,
        ..candidate(n, &pool.to_string(), *pool)
    });
    candidates.collect()
}

fn prefers(judge: u8, a: usize, b: usize, p: f64) -> CastBallot {
    CastBallot {
        judge: node(judge),
        model: String::new(),
        reasoned: false,
        verdicts: Verdicts::Pairs(vec![PairVerdict { a, b, p, flipped: false }]),
        prompt_tokens: 0,
        took: std::time::Duration::ZERO,
    }
}

/// The writers whose claims would be looked at, and the pool that wins.
fn looked_at(
    candidates: &[Candidate],
    ballots: &[CastBallot],
    standing: &Standing,
    config: &RoundSettings,
) -> (Vec<NodeId>, usize) {
    let kind = KindPosterior::default();
    let tally = Tally { candidates, ballots, standing, kind: &kind, config };
    let ranking = tally.ranking();
    let (at, _) = tally.winner(&ranking, None).expect("a winner");
    let decisive = tally.decisive(&ranking);
    (decisive.into_iter().map(|candidate| candidate.writer).collect(), candidates[at].pool)
}

/// One judge that slightly prefers the first answer to each of the others.
fn ballots_of(candidates: &[Candidate], p: f64) -> Vec<CastBallot> {
    (1..candidates.len()).map(|b| prefers(9, 0, b, p)).collect()
}

#[test]
fn a_claim_without_which_another_would_win_is_looked_at() {
    let candidates = candidates_of(&[(0, None), (1, Some(SURE))]);
    let ballots = ballots_of(&candidates, 0.6);
    let (audits, winner) =
        looked_at(&candidates, &ballots, &standing(true), &RoundSettings::default());
    assert_eq!((audits, winner), (vec![node(1)], 1));
}

#[test]
fn a_claim_of_one_who_would_win_anyhow_is_not() {
    let candidates = candidates_of(&[(0, Some(SURE)), (1, None)]);
    let ballots = ballots_of(&candidates, 0.9);
    let (audits, winner) =
        looked_at(&candidates, &ballots, &standing(true), &RoundSettings::default());
    assert_eq!((audits, winner), (vec![], 0));
}

#[test]
fn a_claim_that_counts_for_nothing_is_not() {
    let candidates = candidates_of(&[(0, None), (1, Some(SURE))]);
    let ballots = ballots_of(&candidates, 0.6);
    let audits = |standing, config| looked_at(&candidates, &ballots, &standing, &config).0;
    // Because no audit has confirmed its writers', because certainty is switched off, and because
    // nobody knows them.
    assert!(audits(standing(false), RoundSettings::default()).is_empty());
    let mut off = RoundSettings::default();
    off.evidence.certainty = Certainty::Off;
    assert!(audits(standing(true), off).is_empty());
    assert!(audits(Standing::empty(), RoundSettings::default()).is_empty());
}

#[test]
fn of_a_pool_all_that_claim_are_looked_at_and_of_the_others_nobody() {
    let candidates = candidates_of(&[
        (0, None),
        (1, Some(SURE)),
        (0, None),
        (1, Some(SURE)),
        (1, None),
        (0, None),
    ]);
    let ballots = [prefers(9, 0, 1, 0.75), prefers(8, 0, 1, 0.75)];
    let (audits, winner) =
        looked_at(&candidates, &ballots, &standing(true), &RoundSettings::default());
    assert_eq!((audits, winner), (vec![node(1), node(3)], 1));
}

proptest! {
    /// Never more than the writers of the winning pool, each once; and exactly when the pool would
    /// lose without what they claim.
    #[test]
    fn claims_are_looked_at_exactly_where_they_decide(
        answers in prop::collection::vec((0usize..3, prop::option::of(-12.0..0.0f64)), 1..7),
        verdicts in prop::collection::vec((0usize..7, 0usize..7, 0.0..1.0f64), 0..6),
    ) {
        let candidates = candidates_of(&answers);
        let ballots: Vec<CastBallot> = (verdicts.iter())
            .filter(|(a, b, _)| *a < answers.len() && *b < answers.len())
            .map(|(a, b, p)| prefers(9, *a, *b, *p))
            .collect();
        let (standing, config) = (standing(true), RoundSettings::default());
        let (found, won) = looked_at(&candidates, &ballots, &standing, &config);
        let mut once = found.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), found.len());
        let of_winner = |writer: &NodeId| {
            candidates.iter().any(|one| one.writer == *writer && one.pool == won && one.logprob.is_some())
        };
        prop_assert!(found.iter().all(of_winner));
        let silent: Vec<Candidate> = candidates
            .iter()
            .map(|one| Candidate { logprob: one.logprob.filter(|_| one.pool != won), ..one.clone() })
            .collect();
        let (_, without) = looked_at(&silent, &ballots, &standing, &config);
        let speaks_for = candidates.iter().any(|one| {
            let odds = one.claim().and_then(|claim| standing.certainty_log_odds(&one.writer, claim));
            one.pool == won && odds.is_some_and(|odds| odds > 0.0)
        });
        prop_assert_eq!(!found.is_empty(), speaks_for && without != won);
    }
}
