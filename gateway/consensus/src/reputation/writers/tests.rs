//! Tests of what is expected of a writer.

use super::*;
use crate::reputation::{GoldObservation, KindModel, Observation, learn};

fn id(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn gold(kind: &str, right: usize, wrong: usize) -> Vec<Observation> {
    let answers = std::iter::repeat_n(true, right).chain(std::iter::repeat_n(false, wrong));
    answers
        .map(|right| Observation::Gold {
            kind: Some(KindId::new(kind)),
            observation: GoldObservation::Answered { right },
        })
        .collect()
}

fn record(observations: &[Observation]) -> Record {
    learn(&Record::default(), observations, 1, &Settings::default())
}

fn with_size(parameters: u64) -> Record {
    let provenance = Provenance { parameters: Some(parameters), ..Provenance::default() };
    Record { provenance, ..Record::default() }
}

fn standing(records: Vec<Record>) -> Standing {
    let records = (0..).map(id).zip(records).collect();
    Standing::new(records, KindModel::default(), Settings::default())
}

fn on(standing: &Standing, member: u8, kind: &str) -> f64 {
    standing.writer_log_odds(&id(member), &KindPosterior::certain(KindId::new(kind)))
}

fn unknown(standing: &Standing, member: u8) -> f64 {
    standing.writer_log_odds(&id(member), &KindPosterior::default())
}

#[test]
fn a_record_in_arithmetic_says_little_of_history() {
    let specialist = record(&[gold("add", 60, 0), gold("multiply", 60, 0)].concat());
    let general = [gold("general/reading", 14, 6), gold("general/knowledge", 12, 8)].concat();
    let generalist = record(&[general, gold("add", 2, 18)].concat());
    let standing = standing(vec![specialist, generalist]);
    assert!(on(&standing, 0, "add") > 2.0 && on(&standing, 1, "add") < -0.5);
    let (specialist, generalist) = (unknown(&standing, 0), unknown(&standing, 1));
    assert!(generalist > specialist, "{generalist} {specialist}");
    assert!(specialist < 0.8, "{specialist}");
}

#[test]
fn an_unknown_question_starts_from_general_gold() {
    let strong = record(&gold("general/reading", 19, 1));
    let weak = record(&gold("general/reading", 6, 14));
    let standing = standing(vec![strong, weak]);
    assert!(unknown(&standing, 0) > unknown(&standing, 1) + 1.5);
    assert!(on(&standing, 0, "history") > on(&standing, 1, "history") + 1.5);
}

#[test]
fn where_nobody_has_a_record_the_larger_model_is_believed_a_little_more() {
    let standing =
        standing(vec![with_size(135_000_000), with_size(500_000_000), with_size(1_500_000_000)]);
    let odds: Vec<f64> = (0..3).map(|n| unknown(&standing, n)).collect();
    assert!(odds[0] < odds[1] && odds[1] < odds[2], "{odds:?}");
    assert!(odds[2] - odds[0] < 2.0, "{odds:?}");
}

#[test]
fn the_sizes_of_specialists_say_nothing_of_general_models() {
    let provenance =
        Provenance { parameters: Some(800_000), specialist: true, ..Provenance::default() };
    let specialist = Record { provenance, ..record(&gold("add", 40, 0)) };
    let general = [with_size(135_000_000), with_size(1_500_000_000)];
    let alone = standing(general.to_vec());
    let lead = unknown(&alone, 1) - unknown(&alone, 0);
    let mixture = standing([general.to_vec(), vec![specialist; 6]].concat());
    assert!(unknown(&mixture, 1) - unknown(&mixture, 0) > 0.9 * lead, "{lead}");
}

#[test]
fn a_size_that_a_stranger_states_neither_lifts_it_over_a_record_nor_lowers_others() {
    let member = Record { gold_seen: 40, ..record(&gold("general/knowledge", 36, 4)) };
    let alone = standing(vec![member.clone()]);
    let liars = (0..9).map(|_| with_size(u64::MAX));
    let beside = standing(std::iter::once(member).chain(liars).collect());
    assert!(unknown(&beside, 1) < unknown(&beside, 0));
    assert!((unknown(&beside, 0) - unknown(&alone, 0)).abs() < 1e-9);
}

fn peers(share: f64) -> Record {
    record(&vec![Observation::Peers { kind: None, share }; 60])
}

#[test]
fn who_agrees_with_the_others_more_often_is_believed_more() {
    let standing = standing(vec![peers(0.75), peers(0.7), peers(0.1)]);
    assert!(unknown(&standing, 0) > unknown(&standing, 2) + 1.0);
    // Gold outweighs it.
    let refuted_record =
        [vec![Observation::Peers { kind: None, share: 0.75 }; 60], gold("", 0, 60)];
    let standing = self::standing(vec![record(&refuted_record.concat()), peers(0.3)]);
    assert!(on(&standing, 0, "") < on(&standing, 1, ""));
}

#[test]
fn experts_need_less_gold_than_members_that_are_alike() {
    let kinds = ["a", "b", "c", "d"];
    let experts = kinds.map(|own| {
        let answers =
            kinds.map(|kind| if kind == own { gold(kind, 10, 0) } else { gold(kind, 1, 9) });
        record(&answers.concat())
    });
    let experts = standing(experts.into());
    let crowd = [0, 1, 0, 1]
        .map(|extra| record(&kinds.map(|kind| gold(kind, 6 + extra, 4 - extra)).concat()));
    let crowd = standing(crowd.into());
    assert!(experts.snapshot.swarm.strength < 3.0, "{}", experts.snapshot.swarm.strength);
    assert!(crowd.snapshot.swarm.strength > 10.0, "{}", crowd.snapshot.swarm.strength);
}

#[test]
fn agreement_gives_back_the_accuracy_that_made_it() {
    let wrong = 5.0;
    for mean in [0.45, 0.6, 0.9] {
        let crowd = mean * mean + (1.0 - mean) * (1.0 - mean) / wrong;
        assert!((crowd_accuracy(crowd, wrong) - mean).abs() < 1e-9, "{mean}");
        for own in [0.3, 0.8] {
            let agreement = own * mean + (1.0 - own) * (1.0 - mean) / wrong;
            let strength = accuracy_from_agreement(agreement, mean, wrong);
            assert!((strength - own).abs() < 1e-9, "{mean} {own}: {strength}");
        }
    }
}
