//! Properties of a cut.

use super::*;
use crate::replay::tests::{GOLD, swarm};

fn row_of(records: &[QuestionRecord], cut: Cut) -> Row {
    let standings = FoldStandings::learn(records, GOLD, &Settings::default(), Trust::Individual);
    row(records, cut, &standings)
}

fn accuracy(records: &[QuestionRecord], cut: Cut) -> f64 {
    row_of(records, cut).accuracy.value
}

#[test]
fn the_whole_round_is_what_a_replay_makes_of_it() {
    let records = swarm(200, 5, 2, 1);
    let summary = replay::replay(&records, GOLD, &Settings::default());
    let whole = row_of(&records, Cut::WHOLE);
    assert_eq!(whole.accuracy, summary.accuracy);
    assert!((whole.calibration_error - summary.calibration_error).abs() < 1e-12);
}

#[test]
fn one_writer_is_right_as_often_as_members_are() {
    let records = swarm(400, 5, 2, 2);
    let solo = accuracy(&records, Cut { writers: 1, ..Cut::WHOLE });
    let mean =
        records.iter().flat_map(|record| &record.rights).filter(|right| **right).count() as f64;
    assert!((solo - mean / 2000.0).abs() < 0.08, "{solo} {mean}");
    assert!(accuracy(&records, Cut::WHOLE) > solo + 0.3);
}

#[test]
fn three_that_know_the_kind_beat_three_at_random() {
    let records = swarm(400, 7, 2, 3);
    let random = Cut { writers: 3, ..Cut::WHOLE };
    let routing = Cut { selection: Selection::Routing, ..random };
    let (routing, random) = (accuracy(&records, routing), accuracy(&records, random));
    assert!(routing > random + 0.1, "{routing} {random}");
}

#[test]
fn stopping_when_it_is_clear_needs_fewer_ballots() {
    let records = swarm(300, 5, 2, 4);
    let adaptive = row_of(&records, Cut { adaptive: true, ..Cut::WHOLE });
    let whole = row_of(&records, Cut::WHOLE);
    assert!(adaptive.ballots < whole.ballots - 0.5, "{adaptive:?} {whole:?}");
    assert!(adaptive.accuracy.value > whole.accuracy.value - 0.05);
}

#[test]
fn a_ballot_after_a_cut_names_the_remaining_candidates() {
    let records = swarm(1, 5, 2, 5);
    let standing = Standing::empty();
    let few = Cut { writers: 2, judges: 3, ballots: Ballots::Pairs, ..Cut::WHOLE };
    let record = reduce(&records[0], few, &standing, 9);
    let round = record.round.unwrap();
    assert_eq!((round.candidates.len(), record.rights.len()), (2, 2));
    assert!(round.ballots.len() <= 3);
    let pairs: Vec<&Pair> = round.ballots.iter().flat_map(|ballot| &ballot.pairs).collect();
    assert!(pairs.iter().all(|pair| pair.a < 2 && pair.b < 2 && pair.a != pair.b), "{pairs:?}");
    assert!(round.ballots.iter().all(|ballot| ballot.scores.is_empty()));
}

#[test]
fn a_routed_round_has_the_writers_and_judges_that_were_asked_for() {
    let records = swarm(1, 5, 2, 5);
    let few = Cut { writers: 3, judges: 2, selection: Selection::Routing, ..Cut::WHOLE };
    let round = reduce(&records[0], few, &Standing::empty(), 9).round.unwrap();
    assert_eq!((round.candidates.len(), round.ballots.len()), (3, 2));
}

#[test]
fn of_two_with_the_same_weights_one_is_asked_first() {
    let mut records = swarm(40, 5, 2, 6);
    for record in &mut records {
        let writers = record.round.as_ref().unwrap().candidates.iter().take(4);
        record.digests =
            writers.map(|candidate| (candidate.writer.clone(), "a".repeat(64))).collect();
    }
    let two = Cut { writers: 2, selection: Selection::Routing, ..Cut::WHOLE };
    let standing = Standing::empty();
    let with_the_stranger = (0..40)
        .filter(|at| {
            let round = reduce(&records[*at], two, &standing, *at as u64).round.unwrap();
            round.candidates.iter().any(|candidate| candidate.model == "model-4")
        })
        .count();
    assert!(with_the_stranger > 24, "{with_the_stranger} of 40");
}

#[test]
fn uniform_trust_knows_no_experts() {
    let records = swarm(300, 5, 2, 7);
    let [individual, uniform] = [Trust::Individual, Trust::Uniform].map(|trust| {
        let standings = FoldStandings::learn(&records, GOLD, &Settings::default(), trust);
        let cut = Cut { writers: 1, judges: 0, selection: Selection::Routing, ..Cut::WHOLE };
        row(&records, cut, &standings).accuracy.value
    });
    assert!(individual > uniform + 0.2, "{individual} {uniform}");
}
