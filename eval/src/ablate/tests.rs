//! What a cut promises.

use super::*;
use crate::replay::tests::{GOLD, swarm};

fn cut(asked: &[Asked], cut: Cut) -> Row {
    row(asked, cut, &Learned::of(asked, GOLD, &Settings::default(), false))
}

fn accuracy(asked: &[Asked], how: Cut) -> f64 {
    cut(asked, how).accuracy.value
}

#[test]
fn the_whole_round_is_what_a_replay_makes_of_it() {
    let asked = swarm(200, 5, 2, 1);
    let replayed = replay::replay(&asked, GOLD, &Settings::default());
    let whole = cut(&asked, Cut::WHOLE);
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
    let routed = Cut { chosen: Chosen::Routed, ..lot };
    let (routed, lot) = (accuracy(&asked, routed), accuracy(&asked, lot));
    assert!(routed > lot + 0.1, "{routed} {lot}");
}

#[test]
fn stopping_when_it_is_clear_needs_fewer_ballots() {
    let asked = swarm(300, 5, 2, 4);
    let adaptive = cut(&asked, Cut { adaptive: true, ..Cut::WHOLE });
    let whole = cut(&asked, Cut::WHOLE);
    assert!(adaptive.ballots < whole.ballots - 0.5, "{adaptive:?} {whole:?}");
    assert!(adaptive.accuracy.value > whole.accuracy.value - 0.05);
}

#[test]
fn a_cut_ballot_names_the_candidates_that_are_left() {
    let asked = swarm(1, 5, 2, 5);
    let standing = Standing::empty();
    let few = Cut { writers: 2, judges: 3, ballots: Ballots::Pairs, ..Cut::WHOLE };
    let left = cut_down(&asked[0], few, &standing, 9);
    let round = left.round.unwrap();
    assert_eq!((round.candidates.len(), left.rights.len()), (2, 2));
    assert!(round.ballots.len() <= 3);
    let pairs: Vec<&Pair> = round.ballots.iter().flat_map(|ballot| &ballot.pairs).collect();
    assert!(pairs.iter().all(|pair| pair.a < 2 && pair.b < 2 && pair.a != pair.b), "{pairs:?}");
    assert!(round.ballots.iter().all(|ballot| ballot.scores.is_empty()));
}

#[test]
fn a_routed_round_has_the_writers_and_judges_that_were_asked_for() {
    let asked = swarm(1, 5, 2, 5);
    let few = Cut { writers: 3, judges: 2, chosen: Chosen::Routed, ..Cut::WHOLE };
    let round = cut_down(&asked[0], few, &Standing::empty(), 9).round.unwrap();
    assert_eq!((round.candidates.len(), round.ballots.len()), (3, 2));
}

#[test]
fn of_two_with_the_same_weights_one_is_asked_first() {
    let mut asked = swarm(40, 5, 2, 6);
    for one in &mut asked {
        let writers = one.round.as_ref().unwrap().candidates.iter().take(4);
        one.kin = writers.map(|one| (one.writer.clone(), "a".repeat(64))).collect();
    }
    let two = Cut { writers: 2, chosen: Chosen::Routed, ..Cut::WHOLE };
    let standing = Standing::empty();
    let alone = |at: usize| {
        let round = cut_down(&asked[at], two, &standing, at as u64).round.unwrap();
        round.candidates.iter().any(|one| one.model == "model-4")
    };
    let with_the_stranger = (0..40).filter(|at| alone(*at)).count();
    assert!(with_the_stranger > 24, "{with_the_stranger} of 40");
}

#[test]
fn where_all_are_believed_alike_nobody_is_known_for_anything() {
    let asked = swarm(300, 5, 2, 7);
    let of = |alike| {
        let learned = Learned::of(&asked, GOLD, &Settings::default(), alike);
        let one = Cut { writers: 1, judges: 0, chosen: Chosen::Routed, ..Cut::WHOLE };
        row(&asked, one, &learned).accuracy.value
    };
    assert!(of(false) > of(true) + 0.2, "{} {}", of(false), of(true));
}
