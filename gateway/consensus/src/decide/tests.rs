//! The stated order of deciding.

use std::{collections::BTreeMap, time::Duration};

use shoal_proto::NodeId;

use super::*;
use crate::{
    reputation::{KindModel, KindPosterior, Record, Settings, Standing},
    settings::RoundSettings,
    testing::{self, node, record_of},
};

fn candidate(writer: u8, pool: usize, seconds: u64) -> Candidate {
    Candidate { took: Duration::from_secs(seconds), ..testing::candidate(writer, "", pool) }
}

/// Writers 1 and up with these records.
fn standing(records: &[Record]) -> Standing {
    let records: BTreeMap<NodeId, Record> = (1..).map(node).zip(records.iter().cloned()).collect();
    Standing::new(records, KindModel::default(), Settings::default())
}

fn decide(candidates: &[Candidate], pool: Option<usize>, standing: &Standing) -> (usize, Decision) {
    let count = candidates.len();
    let (order, strengths) = ((0..count).rev().collect(), vec![0.0; count]);
    let ranking = Ranking { order, strengths, ..Ranking::default() };
    let (kind, config) = (KindPosterior::default(), RoundSettings::default());
    let tally = Tally { candidates, ballots: &[], standing, kind: &kind, config: &config };
    tally.winner(&ranking, pool).expect("a winner")
}

#[test]
fn one_candidate_needs_no_decision() {
    assert_eq!(decide(&[candidate(1, 0, 1)], None, &standing(&[])), (0, Decision::Single));
}

#[test]
fn an_agreement_sends_its_own_best_whatever_ranks_first() {
    let candidates = [candidate(1, 0, 1), candidate(2, 0, 1), candidate(3, 1, 1)];
    assert_eq!(decide(&candidates, Some(0), &standing(&[])), (1, Decision::Agreement));
}

#[test]
fn without_ballots_the_pool_with_the_most_weight_wins() {
    let members = standing(&[record_of(40, 0), Record::default(), Record::default()]);
    let candidates = [candidate(2, 0, 1), candidate(3, 0, 1), candidate(1, 1, 9)];
    assert_eq!(decide(&candidates, None, &members), (2, Decision::Fallback));
}

#[test]
fn where_nobody_has_weight_the_larger_pool_wins_and_in_it_the_earliest() {
    let candidates = [candidate(1, 0, 1), candidate(2, 1, 5), candidate(3, 1, 3)];
    assert_eq!(decide(&candidates, None, &standing(&[])), (2, Decision::Fallback));
}

#[test]
fn in_a_pool_the_best_standing_goes_before_the_earliest() {
    let members = standing(&[record_of(5, 15), record_of(20, 0)]);
    let candidates = [candidate(1, 0, 1), candidate(2, 0, 9)];
    assert_eq!(decide(&candidates, None, &members), (1, Decision::Fallback));
}
