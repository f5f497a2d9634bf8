//! Tests of the history of a record.

use super::*;
use crate::reputation::Likelihood;

const NOW: u64 = 1_795_000_000;
const DAY: u64 = 86_400;

fn answer(kind: &str, right: bool) -> Observation {
    let answer = GoldObservation::Answered { right };
    Observation::Gold { kind: Some(KindId::new(kind)), observation: answer }
}

fn score(right: bool) -> Observation {
    let observation =
        GoldObservation::Score { text: Likelihood { logprob: -1.0, bytes: 3 }, right, item: 0 };
    Observation::Gold { kind: Some(KindId::new("sort")), observation }
}

fn wrote(agreement: bool) -> Observation {
    Observation::Crowd(CrowdObservation::Wrote { agreement })
}

fn learn_at(before: &Record, observations: &[Observation], now: u64) -> Record {
    learn_and_note(before, observations, now, &Settings::default())
}

fn entries(record: &Record) -> Vec<&Entry> {
    record.history.latest().collect()
}

#[test]
fn a_gold_answer_is_told_with_the_number_that_it_moved() {
    let record = learn_at(&Record::default(), &[answer("sort", true)], NOW);
    let text = entries(&record)[0].to_string();
    assert_eq!(
        text,
        "gold answer on `sort`: right; writer +0.357 -> 0.857, on this kind +0.167 -> 0.667"
    );
    assert_eq!(entries(&record)[0].at_seconds, NOW);
}

#[test]
fn what_is_learned_is_the_same_as_without_a_history() {
    let mut observations = Vec::new();
    for i in 0..20 {
        observations.extend([answer("sort", i % 3 > 0), score(i % 2 == 0), score(true)]);
        observations.push(wrote(i % 4 > 0));
        let claim = Likelihood { logprob: -0.5, bytes: 3 };
        let claim = GoldObservation::Certainty { claim, right: true, item: 0 };
        observations.push(Observation::Gold { kind: None, observation: claim });
        let pair = GoldObservation::Pairwise {
            p: 0.7,
            flipped: false,
            item: 0,
            mode: ComparisonMode::Direct,
        };
        observations.push(Observation::Gold { kind: None, observation: pair });
    }
    let before = learn_at(&Record::default(), &vec![answer("dates", true); 9], NOW);
    for together in [&observations[..], &observations[..1], &[]] {
        let with_history = learn_at(&before, together, NOW + 9 * DAY);
        let plain = learn(&before, together, NOW + 9 * DAY, &Settings::default());
        assert!(
            is_close(with_history.writer.a, plain.writer.a)
                && is_close(with_history.writer.b, plain.writer.b)
        );
        assert!(
            is_close(with_history.flips.a, plain.flips.a)
                && is_close(with_history.flips.b, plain.flips.b)
        );
        assert_eq!(
            (
                with_history.kinds,
                with_history.scores,
                with_history.certainty,
                with_history.pairs,
                with_history.gold_seen
            ),
            (plain.kinds, plain.scores, plain.certainty, plain.pairs, plain.gold_seen)
        );
        assert_eq!(with_history.updated_seconds, plain.updated_seconds);
    }
}

fn is_close(x: f64, y: f64) -> bool {
    (x - y).abs() < 1e-9
}

#[test]
fn the_movements_of_a_batch_add_up_to_the_whole_movement() {
    let batch: Vec<Observation> =
        (0..12).map(|i| answer(["sort", "dates", "sum"][i % 3], i % 4 > 0)).collect();
    let after = learn_at(&Record::default(), &batch, NOW);
    assert_eq!(entries(&after).len(), 3, "one for each kind");
    let by: f64 = entries(&after)
        .iter()
        .flat_map(|entry| &entry.changes)
        .filter(|change| change.number == Number::Writer)
        .map(|change| change.by)
        .sum();
    assert!((by - (after.writer.mean() - 0.5)).abs() < 2e-3, "{by}");
}

#[test]
fn the_latest_entry_tells_where_a_number_stands_now() {
    let observations = ["sort", "dates", "sort"].map(|kind| answer(kind, kind == "sort"));
    let record = learn_at(&Record::default(), &observations, NOW);
    let latest = entries(&record)[0];
    assert_eq!((latest.kind.clone(), latest.well), (Some(KindId::new("sort")), 2));
    let writer = latest.changes.iter().find(|change| change.number == Number::Writer);
    assert!((writer.expect("it moved").to - record.writer.mean()).abs() < 1e-4);
}

#[test]
fn rounds_do_not_push_out_what_gold_showed() {
    let mut record = learn_at(&Record::default(), &[answer("sort", false)], NOW);
    for round in 0..1_000 {
        record = learn_at(&record, &[wrote(true)], NOW + round);
    }
    assert!(entries(&record).iter().any(|entry| entry.event == EventKind::GoldAnswer));
    let crowd: u32 = entries(&record)
        .iter()
        .filter(|entry| entry.event == EventKind::CrowdAnswer)
        .map(|entry| entry.well)
        .sum();
    assert_eq!(crowd, 1_000);
}

#[test]
fn the_history_is_bounded_and_keeps_the_newest() {
    let mut record = Record::default();
    for n in 0..500 {
        record = learn_at(&record, &[answer("sort", true)], NOW + n * (FOLD_SECONDS + 1));
    }
    assert_eq!(record.history.len(), ENTRIES_MAX);
    assert_eq!(entries(&record)[0].at_seconds, NOW + 499 * (FOLD_SECONDS + 1));
}

#[test]
fn being_caught_is_told_and_does_not_wipe_the_history() {
    let before = learn_at(&Record::default(), &[answer("sort", true)], NOW);
    let after = note_change(&before, before.caught(), NOW + 1);
    assert_eq!((after.caught, after.gold_seen), (1, 0));
    let events: Vec<EventKind> = entries(&after).iter().map(|entry| entry.event).collect();
    assert_eq!(events, [EventKind::Caught, EventKind::GoldAnswer]);
}

#[test]
fn only_a_change_of_what_counts_is_news() {
    let before = Record::default();
    let counts = note_change(&before, Record { claims_count: true, ..before.clone() }, NOW);
    let again = note_change(&counts, counts.clone(), NOW + 2 * FOLD_SECONDS);
    assert_eq!(again.history, counts.history);
    assert_eq!(entries(&again)[0].to_string(), "its own certainty: may count");
}

#[test]
fn a_long_silence_is_told_apart_from_what_ended_it() {
    let before = learn_at(&Record::default(), &vec![answer("sort", true); 30], NOW);
    let after = learn_at(&before, &[wrote(true)], NOW + 40 * DAY);
    let silence = entries(&after)[1];
    assert_eq!(silence.event, EventKind::Silence);
    assert!(
        silence.changes.iter().any(|change| change.number == Number::Writer && change.by < 0.0)
    );
    assert!(entries(&after)[0].changes.iter().all(|change| change.by > 0.0));
}

#[test]
fn words_of_a_newer_build_do_not_make_a_record_unreadable() {
    let json = r#"{"history": [{"since_seconds": 1, "at_seconds": 2, "what": "never_heard_of",
        "well": 1, "badly": 0, "moved": [{"number": "new_one", "by": 0.1, "to": 0.2}]}]}"#;
    let read: Record = serde_json::from_str(json).expect("readable");
    assert_eq!(entries(&read)[0].event, EventKind::Other);
    let old: Record = serde_json::from_str(r#"{"gold_seen": 3}"#).expect("readable");
    assert!(old.history.is_empty());
    let record = learn_at(&read, &[answer("sort", true), score(false), wrote(false)], NOW);
    let json = serde_json::to_string(&record).expect("JSON");
    assert_eq!(serde_json::from_str::<Record>(&json).expect("read"), record);
}

fn gold_pair(mode: ComparisonMode) -> Observation {
    let comparison = GoldObservation::Pairwise { p: 0.9, flipped: false, item: 1, mode };
    Observation::Gold { kind: Some(KindId::new("sort")), observation: comparison }
}

#[test]
fn every_number_that_moves_is_told_with_what_moved_it() {
    let crowd = Observation::Crowd;
    for (observation, numbers) in [
        (answer("sort", true), &[Number::Writer, Number::Kind][..]),
        (gold_pair(ComparisonMode::Direct), &[Number::Judge, Number::Flips]),
        (gold_pair(ComparisonMode::Reasoned), &[Number::Judge, Number::FlipsReasoned]),
        (crowd(CrowdObservation::Wrote { agreement: true }), &[Number::Writer]),
        (crowd(CrowdObservation::Judged { agreement: true }), &[Number::Judge, Number::Agreed]),
        (crowd(CrowdObservation::Preferred { share: 0.9 }), &[Number::Preferred]),
        (
            crowd(CrowdObservation::Compared { flipped: true, mode: ComparisonMode::Direct }),
            &[Number::Flips],
        ),
        (
            crowd(CrowdObservation::Compared { flipped: true, mode: ComparisonMode::Reasoned }),
            &[Number::FlipsReasoned],
        ),
    ] {
        let record = learn_at(&Record::default(), std::slice::from_ref(&observation), NOW);
        let changes: Vec<Number> = entries(&record)
            .iter()
            .flat_map(|entry| &entry.changes)
            .map(|change| change.number)
            .collect();
        assert_eq!(changes, numbers, "{observation:?}");
    }
}
