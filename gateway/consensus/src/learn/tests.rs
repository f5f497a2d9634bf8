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
    testing::{candidate, node, record_of},
};

fn ballot(judge: u8, a: usize, b: usize, p: f64, is_flip: bool) -> CastBallot {
    CastBallot {
        judge: node(judge),
        model: String::new(),
        reasoned: false,
        verdicts: Verdicts::Pairs(vec![PairVerdict { a, b, p, flipped: is_flip }]),
        prompt_tokens: 1,
        took: Duration::from_secs(1),
    }
}

fn outcome(decision: Decision, ballots: Vec<CastBallot>) -> Outcome {
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
        decided: decision,
        kind,
        candidates,
        ballots,
        ranking,
        timings: Timings::default(),
    }
}

fn standing() -> Standing {
    let records: BTreeMap<NodeId, Record> = (1..9).map(|n| (node(n), record_of(38, 2))).collect();
    Standing::new(records, KindModel::default(), Settings::default())
}

fn lessons(outcome: &Outcome) -> BTreeMap<NodeId, Vec<Observation>> {
    observations(outcome, &standing())
}

fn observations(outcome: &Outcome, standing: &Standing) -> BTreeMap<NodeId, Vec<Observation>> {
    let config = RoundSettings::default();
    let tally = Tally::from_outcome(outcome, standing, &config);
    tally.observations(outcome.decided, &outcome.ranking).into_iter().collect()
}

fn crowd(observation: CrowdObservation) -> Observation {
    Observation::Crowd(observation)
}

#[test]
fn who_goes_against_a_clear_majority_is_seen_to() {
    let ballots = vec![
        ballot(5, 0, 3, 0.99, false),
        ballot(6, 0, 3, 0.99, false),
        ballot(8, 0, 3, 0.99, false),
        ballot(7, 0, 3, 0.3, false),
    ];
    let lessons = lessons(&outcome(Decision::Judged, ballots));
    assert!(lessons[&node(1)].contains(&crowd(CrowdObservation::Wrote { agreement: true })));
    assert!(lessons[&node(4)].contains(&crowd(CrowdObservation::Wrote { agreement: false })));
    assert!(lessons[&node(5)].contains(&crowd(CrowdObservation::Judged { agreement: true })));
    assert!(lessons[&node(7)].contains(&crowd(CrowdObservation::Judged { agreement: false })));
}

fn preferred_share(observations: &[Observation]) -> Option<f64> {
    observations.iter().find_map(|observation| match observation {
        Observation::Crowd(CrowdObservation::Preferred { share }) => Some(*share),
        _ => None,
    })
}

/// The share of the first writer.
fn first_share(ballots: Vec<CastBallot>) -> f64 {
    let lessons = lessons(&outcome(Decision::Judged, ballots));
    let (first, last) = (preferred_share(&lessons[&node(1)]), preferred_share(&lessons[&node(4)]));
    let (Some(first), Some(last)) = (first, last) else { panic!("{lessons:?}") };
    assert_eq!(preferred_share(&lessons[&node(2)]), Some(first), "it wrote the same");
    assert!((first + last - 1.0).abs() < 1e-9);
    first
}

#[test]
fn verdicts_tell_of_the_writers_however_unclear_the_round() {
    assert!((first_share(vec![ballot(5, 0, 3, 0.6, false)]) - 0.6).abs() < 1e-9);
    assert!(first_share(vec![ballot(5, 0, 3, 0.9, false), ballot(6, 0, 3, 0.1, false)]) < 0.6);
    // Nobody praises its own answer, and without a verdict there is nothing to tell.
    let own = lessons(&outcome(Decision::Judged, vec![ballot(1, 0, 3, 0.9, false)]));
    assert!(own.values().all(|seen| preferred_share(seen).is_none()), "{own:?}");
}

#[test]
fn whom_gold_shows_to_be_wrong_prefers_the_other() {
    let wrong = GoldObservation::Pairwise {
        p: 0.02,
        flipped: false,
        item: 0,
        mode: ComparisonMode::Direct,
    };
    let wrong_answers = vec![Observation::Gold { kind: None, observation: wrong }; 60];
    let inverted_record = learn(&record_of(38, 2), &wrong_answers, 1, &Settings::default());
    let mut records: BTreeMap<NodeId, Record> =
        (1..9).map(|n| (node(n), record_of(38, 2))).collect();
    records.insert(node(5), inverted_record);
    let standing = Standing::new(records, KindModel::default(), Settings::default());
    let outcome = outcome(Decision::Judged, vec![ballot(5, 0, 3, 0.9, false)]);
    let wrong_answers = observations(&outcome, &standing);
    assert!(
        preferred_share(&wrong_answers[&node(4)]).is_some_and(|share| (share - 0.9).abs() < 1e-9),
        "{wrong_answers:?}"
    );
}

#[test]
fn a_lone_judge_is_not_held_against_itself() {
    let lessons = lessons(&outcome(Decision::Judged, vec![ballot(5, 0, 3, 0.99, false)]));
    let comparisons =
        crowd(CrowdObservation::Compared { flipped: false, mode: ComparisonMode::Direct });
    assert_eq!(lessons[&node(5)], vec![comparisons]);
}

#[test]
fn a_judge_that_contradicts_itself_is_seen_without_any_key() {
    let ballots = vec![ballot(5, 0, 3, 0.5, true), ballot(6, 0, 3, 0.9, false)];
    let lessons = lessons(&outcome(Decision::Judged, ballots));
    assert!(lessons[&node(5)].contains(&crowd(CrowdObservation::Compared {
        flipped: true,
        mode: ComparisonMode::Direct
    })));
}

#[test]
fn an_agreement_teaches_only_who_agreed() {
    let lessons = lessons(&outcome(Decision::Agreement, Vec::new()));
    for (writer, share) in [(1, 2.0 / 3.0), (4, 0.0)] {
        assert_eq!(lessons[&node(writer)], [Observation::Peers { kind: None, share }]);
    }
}
