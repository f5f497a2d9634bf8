//! What a round teaches.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    ask::{PairVerdict, RoundId, Timings},
    reputation::{KindModel, Record, Settings, Way},
    round::fixtures::{candidate, node, seasoned},
};

fn ballot(judge: u8, a: usize, b: usize, p: f64, flipped: bool) -> CastBallot {
    CastBallot {
        judge: node(judge),
        model: String::new(),
        reasoned: false,
        verdicts: Verdicts::Pairs(vec![PairVerdict { a, b, p, flipped }]),
        prompt_tokens: 1,
        took: Duration::from_secs(1),
    }
}

fn outcome(decided: Decided, ballots: Vec<CastBallot>) -> Outcome {
    let candidates =
        vec![candidate(1, "", 0), candidate(2, "", 0), candidate(3, "", 0), candidate(4, "", 1)];
    let kind = KindPosterior::default();
    let ranking = rank_all(&candidates, &ballots, &kind, &standing(), &Config::default());
    Outcome {
        fused: None,
        round: RoundId(String::new()),
        winner: 0,
        decided,
        candidates,
        ballots,
        ranking,
        timings: Timings::default(),
    }
}

fn standing() -> Standing {
    let records: BTreeMap<NodeId, Record> = (1..9).map(|n| (node(n), seasoned(38, 2))).collect();
    Standing::new(records, KindModel::default(), Settings::default())
}

fn learned(outcome: &Outcome) -> BTreeMap<NodeId, Vec<Observation>> {
    observations(outcome, &KindPosterior::default(), &standing(), &Config::default())
        .into_iter()
        .collect()
}

fn crowd(seen: CrowdObservation) -> Observation {
    Observation::Crowd(seen)
}

#[test]
fn who_goes_against_a_clear_majority_is_seen_to() {
    let ballots = vec![
        ballot(5, 0, 3, 0.99, false),
        ballot(6, 0, 3, 0.99, false),
        ballot(8, 0, 3, 0.99, false),
        ballot(7, 0, 3, 0.3, false),
    ];
    let learned = learned(&outcome(Decided::Judged, ballots));
    assert!(learned[&node(1)].contains(&crowd(CrowdObservation::Wrote { agreed: true })));
    assert!(learned[&node(4)].contains(&crowd(CrowdObservation::Wrote { agreed: false })));
    assert!(learned[&node(5)].contains(&crowd(CrowdObservation::Judged { agreed: true })));
    assert!(learned[&node(7)].contains(&crowd(CrowdObservation::Judged { agreed: false })));
}

#[test]
fn a_lone_judge_is_not_held_against_itself() {
    let learned = learned(&outcome(Decided::Judged, vec![ballot(5, 0, 3, 0.99, false)]));
    let compared = crowd(CrowdObservation::Compared { flipped: false, way: Way::AtOnce });
    assert_eq!(learned[&node(5)], vec![compared]);
}

#[test]
fn a_judge_that_contradicts_itself_is_seen_without_any_key() {
    let ballots = vec![ballot(5, 0, 3, 0.5, true), ballot(6, 0, 3, 0.9, false)];
    let learned = learned(&outcome(Decided::Judged, ballots));
    assert!(
        learned[&node(5)]
            .contains(&crowd(CrowdObservation::Compared { flipped: true, way: Way::AtOnce }))
    );
}

#[test]
fn an_agreement_teaches_nothing() {
    assert!(learned(&outcome(Decided::Agreement, Vec::new())).is_empty());
}
