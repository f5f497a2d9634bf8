//! What a cut promises.

use super::*;
use crate::replay::tests::{GOLD, swarm};

fn accuracy(asked: &[Asked], cut: Cut) -> f64 {
    row(asked, cut, GOLD, &Settings::default()).accuracy.value
}

#[test]
fn the_whole_round_is_what_a_replay_makes_of_it() {
    let asked = swarm(200, 5, 2, 1);
    let replayed = replay::replay(&asked, GOLD, &Settings::default());
    let whole = row(&asked, Cut::WHOLE, GOLD, &Settings::default());
    assert_eq!(whole.accuracy, replayed.accuracy);
    assert!((whole.calibration_error - replayed.calibration_error).abs() < 1e-12);
}

#[test]
fn one_writer_is_right_as_often_as_members_are() {
    let asked = swarm(400, 5, 2, 2);
    let alone = accuracy(&asked, Cut { writers: 1, ..Cut::WHOLE });
    let mean = asked.iter().flat_map(|one| &one.rights).filter(|right| **right).count() as f64;
    assert!((alone - mean / 2000.0).abs() < 0.08, "{alone} {mean}");
    assert!(accuracy(&asked, Cut::WHOLE) > alone + 0.3);
}

#[test]
fn three_that_know_the_kind_beat_three_by_lot() {
    let asked = swarm(400, 7, 2, 3);
    let lot = Cut { writers: 3, ..Cut::WHOLE };
    let routed = Cut { chosen: Chosen::ByStanding, ..lot };
    let (routed, lot) = (accuracy(&asked, routed), accuracy(&asked, lot));
    assert!(routed > lot + 0.1, "{routed} {lot}");
}

#[test]
fn stopping_when_it_is_clear_needs_fewer_ballots() {
    let asked = swarm(300, 5, 2, 4);
    let adaptive = row(&asked, Cut { adaptive: true, ..Cut::WHOLE }, GOLD, &Settings::default());
    let whole = row(&asked, Cut::WHOLE, GOLD, &Settings::default());
    assert!(adaptive.ballots < whole.ballots - 0.5, "{adaptive:?} {whole:?}");
    assert!(adaptive.accuracy.value > whole.accuracy.value - 0.05);
}

#[test]
fn a_cut_ballot_names_the_candidates_that_are_left() {
    let asked = swarm(1, 5, 2, 5);
    let standing = Standing::empty();
    let cut = Cut { writers: 2, judges: 3, ballots: Ballots::Pairs, ..Cut::WHOLE };
    let left = cut_down(&asked[0], cut, &standing, 9);
    let round = left.round.unwrap();
    assert_eq!((round.candidates.len(), left.rights.len()), (2, 2));
    assert!(round.ballots.len() <= 3);
    let pairs: Vec<&Pair> = round.ballots.iter().flat_map(|ballot| &ballot.pairs).collect();
    assert!(pairs.iter().all(|pair| pair.a < 2 && pair.b < 2 && pair.a != pair.b), "{pairs:?}");
    assert!(round.ballots.iter().all(|ballot| ballot.scores.is_empty()));
}
