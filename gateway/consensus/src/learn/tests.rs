//! What a round teaches.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    ballot::PairVerdict,
    outcome::{RoundId, Timings},
    reputation::{
        ComparisonMode, GoldObservation, KindModel, KindPosterior, Record, Settings, Standing,
        learn,
    },
    settings::RoundSettings,
    testing::{candidate, node, seasoned},
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
    let (standing, config) = (standing(), RoundSettings::default());
    let tally = Tally {
        candidates: &candidates,
        ballots: &ballots,
        standing: &standing,
        kind: &kind,
        config: &config,
    };
    let ranking = tally.ranking();
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
    observations(outcome, &standing())
}

fn observations(outcome: &Outcome, standing: &Standing) -> BTreeMap<NodeId, Vec<Observation>> {
    let (kind, config) = (KindPosterior::default(), RoundSettings::default());
    let tally = Tally::from_outcome(outcome, standing, &kind, &config);
    tally.observations(outcome.decided, &outcome.ranking).into_iter().collect()
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

fn preferred(seen: &[Observation]) -> Option<f64> {
    seen.iter().find_map(|one| match one {
        Observation::Crowd(CrowdObservation::Preferred { share }) => Some(*share),
        _ => None,
    })
}

#[test]
fn verdicts_tell_of_the_writers_however_unclear_the_round() {
    let told = |ballots| {
        let learned = learned(&outcome(Decided::Judged, ballots));
        let (first, other) = (preferred(&learned[&node(1)]), preferred(&learned[&node(4)]));
        let (Some(first), Some(other)) = (first, other) else { panic!("{learned:?}") };
        assert_eq!(preferred(&learned[&node(2)]), Some(first), "it wrote the same");
        assert!((first + other - 1.0).abs() < 1e-9);
        first
    };
    assert!((told(vec![ballot(5, 0, 3, 0.6, false)]) - 0.6).abs() < 1e-9);
    assert!(told(vec![ballot(5, 0, 3, 0.9, false), ballot(6, 0, 3, 0.1, false)]) < 0.6);
    // Nobody praises its own answer, and without a verdict there is nothing to tell.
    let own = learned(&outcome(Decided::Judged, vec![ballot(1, 0, 3, 0.9, false)]));
    assert!(own.values().all(|seen| preferred(seen).is_none()), "{own:?}");
}

#[test]
fn whom_gold_shows_to_be_wrong_prefers_the_other() {
    let wrong =
        GoldObservation::Pairwise { p: 0.02, flipped: false, item: 0, way: ComparisonMode::Direct };
    let seen = vec![Observation::Gold { kind: None, seen: wrong }; 60];
    let inverted = learn(&seasoned(38, 2), &seen, 1, &Settings::default());
    let mut records: BTreeMap<NodeId, Record> =
        (1..9).map(|n| (node(n), seasoned(38, 2))).collect();
    records.insert(node(5), inverted);
    let standing = Standing::new(records, KindModel::default(), Settings::default());
    let outcome = outcome(Decided::Judged, vec![ballot(5, 0, 3, 0.9, false)]);
    let seen = observations(&outcome, &standing);
    assert!(preferred(&seen[&node(4)]).is_some_and(|share| (share - 0.9).abs() < 1e-9), "{seen:?}");
}

#[test]
fn a_lone_judge_is_not_held_against_itself() {
    let learned = learned(&outcome(Decided::Judged, vec![ballot(5, 0, 3, 0.99, false)]));
    let compared =
        crowd(CrowdObservation::Compared { flipped: false, way: ComparisonMode::Direct });
    assert_eq!(learned[&node(5)], vec![compared]);
}

#[test]
fn a_judge_that_contradicts_itself_is_seen_without_any_key() {
    let ballots = vec![ballot(5, 0, 3, 0.5, true), ballot(6, 0, 3, 0.9, false)];
    let learned = learned(&outcome(Decided::Judged, ballots));
    assert!(learned[&node(5)].contains(&crowd(CrowdObservation::Compared {
        flipped: true,
        way: ComparisonMode::Direct
    })));
}

#[test]
fn an_agreement_teaches_nothing() {
    assert!(learned(&outcome(Decided::Agreement, Vec::new())).is_empty());
}
