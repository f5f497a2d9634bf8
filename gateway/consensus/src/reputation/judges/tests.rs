//! Tests of the weights of judges.

use proptest::prelude::*;

use super::*;
use crate::reputation::Beta;

fn settings() -> Settings {
    Settings::default()
}

fn pair(p: f64, item: u64) -> GoldPair {
    GoldPair { p, item, kind: None, mode: ComparisonMode::Direct }
}

/// A judge that saw these gold pairs and whose orders contradicted each other so often.
fn judge(pairs: &[f64], flips: f64, steady: f64) -> Record {
    let pairs = (1..).zip(pairs).map(|(item, p)| pair(*p, item)).collect();
    Record { pairs, flips: Beta { a: 1.0 + flips, b: 1.0 + steady }, ..Record::default() }
}

fn log_odds_in(record: &Record, mode: ComparisonMode) -> f64 {
    log_odds(record, &KindPosterior::default(), mode, &settings())
}

fn alone(record: &Record) -> f64 {
    log_odds_in(record, ComparisonMode::Direct)
}

/// The log-odds that each judge adds to the rest.
fn together(records: &[Record]) -> Vec<f64> {
    let errors: Vec<Errors> = records.iter().map(|record| Errors::new(&record.pairs)).collect();
    let judges: Vec<Judge<'_>> = records
        .iter()
        .zip(&errors)
        .map(|(record, errors)| Judge {
            log_odds: alone(record),
            errors,
            provenance: &record.provenance,
        })
        .collect();
    let places: Vec<usize> = (0..judges.len()).collect();
    CorrelatedJudges::new(&judges, &settings()).weights(&places)
}

#[test]
fn a_judge_that_answers_by_position_weighs_as_little_as_any_and_says_nothing() {
    let alone = [alone(&judge(&[], 60.0, 0.0)), alone(&judge(&[0.5; 30], 60.0, 0.0))];
    assert!(alone.iter().all(|w| w.abs() < 0.81), "{alone:?}");
}

#[test]
fn steadiness_is_believed_before_any_gold_and_gold_corrects_it() {
    let steady = alone(&judge(&[], 2.0, 58.0));
    let shaky = alone(&judge(&[], 20.0, 40.0));
    assert!(steady > 2.5 * shaky && shaky > 0.0, "{steady} {shaky}");
    // A liar is perfectly steady.
    assert!(alone(&judge(&[0.0; 20], 0.0, 60.0)) < -0.5);
}

#[test]
fn the_more_gold_the_less_the_flips_decide() {
    let by_count = [0, 1, 5, 20, 100].map(|count| alone(&judge(&vec![0.0; count], 0.0, 60.0)));
    assert!(by_count[1] < by_count[0], "{by_count:?}");
    let by_count = &by_count[1..];
    assert!(by_count.windows(2).all(|two| two[1] < two[0] - 0.3), "{by_count:?}");
}

#[test]
fn ten_pairs_of_one_question_weigh_like_one() {
    let [repeated_question, ten_questions] = [1, 10].map(|questions| {
        let pairs = (0..10).map(|n| pair(0.0, 1 + n % questions)).collect();
        alone(&Record { pairs, ..judge(&[], 5.0, 15.0) })
    });
    let single = alone(&judge(&[0.0], 5.0, 15.0));
    assert!((repeated_question - single).abs() < 1e-6);
    assert!(ten_questions < single - 0.5);
}

#[test]
fn the_crowd_counts_less_than_two_gold_pairs() {
    let [praise, blame] = [Beta { a: 900.0, b: 1.0 }, Beta { a: 1.0, b: 900.0 }]
        .map(|agreed| alone(&Record { agreed, ..judge(&[], 5.0, 15.0) }));
    assert!(praise > blame);
    let two_right = alone(&judge(&[1.0; 2], 5.0, 15.0));
    let two_wrong = alone(&judge(&[0.0; 2], 5.0, 15.0));
    assert!(praise - blame < two_right - two_wrong);
}

#[test]
fn a_judge_is_known_by_the_kind_of_ask_and_shrunk_to_the_whole() {
    let kinds = ["prose", "code"].map(KindId::new);
    let mut record = judge(&[], 5.0, 15.0);
    for n in 0..30 {
        for (kind, p) in kinds.iter().zip([1.0, 0.0]) {
            record.pairs.push_back(GoldPair {
                p,
                item: 1 + n,
                kind: Some(kind.clone()),
                mode: ComparisonMode::Direct,
            });
        }
    }
    let [prose, code, unknown] = ["prose", "code", "never seen"].map(|kind| {
        let kind = KindPosterior::certain(KindId::new(kind));
        log_odds(&record, &kind, ComparisonMode::Direct, &settings())
    });
    assert!(prose > 1.0 && code < -1.0, "{prose} {code}");
    assert!((unknown - alone(&record)).abs() < 1e-6);
}

#[test]
fn kin_have_one_voice_between_them() {
    let strangers = ["a", "b", "c"].map(|family| relative(family, ""));
    let family = ["a", "a", "a"].map(|family| relative(family, ""));
    let operator = ["a", "b", "c"].map(|family| relative(family, "mallory"));
    let single = sum_of_voices(&strangers[..1]);
    // Three strangers of correlation .3 are 3 / (1 + .3 · 2) voices.
    let share = sum_of_voices(&strangers) / single;
    assert!((share - 3.0 / 1.6).abs() < 1e-6, "{:?}", together(&strangers));
    for records in [family, operator] {
        let share = sum_of_voices(&records) / single;
        assert!((share - 1.0).abs() < 0.05, "{:?}", together(&records));
    }
}

fn relative(family: &str, operator: &str) -> Record {
    let provenance =
        Provenance { family: family.into(), operator: operator.into(), ..Provenance::default() };
    Record { provenance, ..judge(&[], 5.0, 45.0) }
}

fn sum_of_voices(records: &[Record]) -> f64 {
    together(records).iter().sum()
}

#[test]
fn judges_that_make_the_same_mistakes_on_gold_share_a_voice() {
    let mistakes: Vec<f64> = (0..60).map(|n| if n % 4 == 0 { 0.0 } else { 1.0 }).collect();
    let more_mistakes: Vec<f64> = (0..60).map(|n| if n % 4 == 2 { 0.0 } else { 1.0 }).collect();
    let twins = together(&[judge(&mistakes, 0.0, 60.0), judge(&mistakes, 0.0, 60.0)]);
    let apart = together(&[judge(&mistakes, 0.0, 60.0), judge(&more_mistakes, 0.0, 60.0)]);
    // Sixty pairs move the correlation little: it was noise on the recorded sets.
    assert!(twins.iter().sum::<f64>() < 0.95 * apart.iter().sum::<f64>(), "{twins:?} {apart:?}");
}

#[test]
fn records_from_before_pairs_had_names_are_read() {
    let old: VecDeque<GoldPair> = serde_json::from_str("[0.25, 1.0]").expect("read");
    assert_eq!(old, [pair(0.25, 0), pair(1.0, 0)]);
    let (kind, mode) = (Some(KindId::new("dates")), ComparisonMode::Reasoned);
    let new = GoldPair { p: 0.7, item: item(["q"]), kind, mode };
    let json = serde_json::to_string(&new).expect("JSON");
    assert_eq!(serde_json::from_str::<GoldPair>(&json).expect("read"), new);
}

#[test]
fn a_pair_has_a_name_of_its_own() {
    assert_eq!(item(["q", "a", "b"]), item(["q", "a", "b"]));
    assert_ne!(item(["q", "a", "b"]), item(["q", "b", "a"]));
    assert_ne!(item(["qa", "b"]), item(["q", "ab"]));
}

prop_compose! {
    fn any_judge()(
        pairs in prop::collection::vec(0.0..=1.0, 0..40),
        flipped in 0.0..100.0, steady in 0.0..100.0, family in 0u8..4,
    ) -> Record {
        let family = if family == 0 { String::new() } else { family.to_string() };
        Record { provenance: Provenance { family, ..Provenance::default() }, ..judge(&pairs, flipped, steady) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn company_never_turns_a_voice_nor_makes_it_more_than_twice_as_loud(
        records in prop::collection::vec(any_judge(), 1..12),
    ) {
        for (record, voice) in records.iter().zip(together(&records)) {
            let own = alone(record);
            prop_assert!(voice.is_finite() && voice.abs() <= 2.0 * own.abs() + 1e-9 && voice * own >= 0.0);
        }
    }

    #[test]
    fn the_order_of_judges_does_not_matter(records in prop::collection::vec(any_judge(), 1..8)) {
        let reversed: Vec<Record> = records.iter().rev().cloned().collect();
        let (here, there) = (together(&records), together(&reversed));
        for (x, y) in here.iter().zip(there.iter().rev()) {
            prop_assert!((x - y).abs() < 1e-6, "{here:?} {there:?}");
        }
    }

    #[test]
    fn one_more_right_verdict_never_lowers_a_judge(record in any_judge(), more in 1usize..20) {
        let mut praised = record.clone();
        praised.pairs.extend((0..more).map(|_| pair(1.0, 0)));
        prop_assert!(alone(&praised) >= alone(&record) - 1e-6 || alone(&record) > 20.0);
    }
}

/// A judge with this number of gold pairs in one mode, all with the same verdict.
fn judge_of(mode: ComparisonMode, p: f64, count: u64) -> Record {
    let pairs = (1..=count).map(|item| GoldPair { p, item, kind: None, mode }).collect();
    Record { pairs, ..Record::default() }
}

#[test]
fn each_way_of_comparing_is_weighed_by_its_own_gold() {
    let mut record = judge_of(ComparisonMode::Direct, 0.9, 30);
    record.pairs.extend(judge_of(ComparisonMode::Reasoned, 0.1, 30).pairs);
    let (direct, with_reasons) = (alone(&record), log_odds_in(&record, ComparisonMode::Reasoned));
    assert!(direct > 0.8 && with_reasons < -0.5, "{direct} {with_reasons}");
}

#[test]
fn what_one_way_shows_is_expected_of_the_other_and_less() {
    let unknown = alone(&Record::default());
    for mode in [ComparisonMode::Direct, ComparisonMode::Reasoned] {
        for (p, sign) in [(0.9, 1.0), (0.1, -1.0)] {
            let record = judge_of(mode, p, 30);
            let own = sign * (log_odds_in(&record, mode) - unknown);
            let opposite = sign * (log_odds_in(&record, mode.opposite()) - unknown);
            assert!(own > opposite && opposite > 0.1, "{mode:?} {p}: {own} {opposite}");
        }
    }
    let steady = Record { flips_reasoned: Beta { a: 1.0, b: 60.0 }, ..Record::default() };
    let (own, opposite) = (log_odds_in(&steady, ComparisonMode::Reasoned), alone(&steady));
    assert!(own > 2.0 && (opposite - own).abs() < 0.2, "{own} {opposite}");
}

#[test]
fn records_from_before_there_were_two_ways_are_of_verdicts_at_once() {
    let read: Vec<GoldPair> = serde_json::from_str(r#"[0.7, {"p": 0.2, "item": 5}]"#).expect("old");
    assert!(read.iter().all(|pair| pair.mode == ComparisonMode::Direct));
}
