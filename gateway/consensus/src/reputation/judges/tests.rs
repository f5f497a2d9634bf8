//! What the weighing of judges promises.

use proptest::prelude::*;

use super::*;
use crate::reputation::Beta;

fn settings() -> Settings {
    Settings::default()
}

fn pair(p: f64, item: u64) -> Compared {
    Compared { p, item, kind: None, way: Way::AtOnce }
}

/// A judge that saw these gold pairs and whose orders contradicted each other so often.
fn judge(pairs: &[f64], flipped: f64, steady: f64) -> Record {
    let pairs = (1..).zip(pairs).map(|(item, p)| pair(*p, item)).collect();
    Record { pairs, flips: Beta { a: 1.0 + flipped, b: 1.0 + steady }, ..Record::default() }
}

fn comparing(record: &Record, way: Way) -> f64 {
    log_odds(record, &KindPosterior::default(), way, &settings())
}

fn alone(record: &Record) -> f64 {
    comparing(record, Way::AtOnce)
}

/// What each judge's word counts beside the others'.
fn together(records: &[Record]) -> Vec<f64> {
    let errors: Vec<Errors> = records.iter().map(|record| Errors::of(&record.pairs)).collect();
    let judges: Vec<Judge<'_>> = records
        .iter()
        .zip(&errors)
        .map(|(record, errors)| Judge { log_odds: alone(record), errors, kin: &record.kin })
        .collect();
    let everybody: Vec<usize> = (0..judges.len()).collect();
    Company::of(&judges, &settings()).weigh(&everybody)
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
    let pulled = |count: usize| {
        let flipped = alone(&judge(&vec![0.0; count], 0.0, 60.0));
        assert!(flipped < alone(&judge(&[], 0.0, 60.0)));
        flipped
    };
    let by_count: Vec<f64> = [1, 5, 20, 100].into_iter().map(pulled).collect();
    assert!(by_count.windows(2).all(|two| two[1] < two[0] - 0.3), "{by_count:?}");
}

#[test]
fn ten_pairs_of_one_question_weigh_like_one() {
    let about = |questions: u64| Record {
        pairs: (0..10).map(|n| pair(0.0, 1 + n % questions)).collect(),
        ..judge(&[], 5.0, 15.0)
    };
    let one = alone(&judge(&[0.0], 5.0, 15.0));
    assert!((alone(&about(1)) - one).abs() < 1e-6);
    assert!(alone(&about(10)) < one - 0.5);
}

#[test]
fn the_crowd_counts_less_than_two_gold_pairs() {
    let crowd = |agreed: Beta| alone(&Record { agreed, ..judge(&[], 5.0, 15.0) });
    let (loved, loathed) = (crowd(Beta { a: 900.0, b: 1.0 }), crowd(Beta { a: 1.0, b: 900.0 }));
    assert!(loved > loathed);
    let two_right = alone(&judge(&[1.0; 2], 5.0, 15.0));
    let two_wrong = alone(&judge(&[0.0; 2], 5.0, 15.0));
    assert!(loved - loathed < two_right - two_wrong);
}

#[test]
fn a_judge_is_known_by_the_kind_of_ask_and_shrunk_to_the_whole() {
    let kinds = ["prose", "code"].map(KindId::new);
    let mut record = judge(&[], 5.0, 15.0);
    for n in 0..30 {
        for (kind, p) in kinds.iter().zip([1.0, 0.0]) {
            record.pairs.push_back(Compared {
                p,
                item: 1 + n,
                kind: Some(kind.clone()),
                way: Way::AtOnce,
            });
        }
    }
    let on = |kind: &str| {
        log_odds(&record, &KindPosterior::certain(KindId::new(kind)), Way::AtOnce, &settings())
    };
    assert!(on("prose") > 1.0 && on("code") < -1.0, "{} {}", on("prose"), on("code"));
    assert!((on("never seen") - alone(&record)).abs() < 1e-6);
}

#[test]
fn kin_have_one_voice_between_them() {
    let kin = |family: &str, operator: &str| Kin {
        family: family.into(),
        operator: operator.into(),
        ..Kin::default()
    };
    let of = |kin: Kin| Record { kin, ..judge(&[], 5.0, 45.0) };
    let strangers = ["a", "b", "c"].map(|family| of(kin(family, "")));
    let family = ["a", "a", "a"].map(|family| of(kin(family, "")));
    let operated = ["a", "b", "c"].map(|family| of(kin(family, "mallory")));
    let total = |records: &[Record]| together(records).iter().sum::<f64>();
    let one = total(&strangers[..1]);
    // Three strangers of correlation .3 are 3 / (1 + .3 · 2) voices.
    assert!((total(&strangers) / one - 3.0 / 1.6).abs() < 1e-6, "{:?}", together(&strangers));
    for records in [family, operated] {
        assert!((total(&records) / one - 1.0).abs() < 0.05, "{:?}", together(&records));
    }
}

#[test]
fn judges_that_make_the_same_mistakes_on_gold_share_a_voice() {
    let mistakes: Vec<f64> = (0..60).map(|n| if n % 4 == 0 { 0.0 } else { 1.0 }).collect();
    let others: Vec<f64> = (0..60).map(|n| if n % 4 == 2 { 0.0 } else { 1.0 }).collect();
    let same = together(&[judge(&mistakes, 0.0, 60.0), judge(&mistakes, 0.0, 60.0)]);
    let apart = together(&[judge(&mistakes, 0.0, 60.0), judge(&others, 0.0, 60.0)]);
    assert!(same.iter().sum::<f64>() < 0.8 * apart.iter().sum::<f64>(), "{same:?} {apart:?}");
}

#[test]
fn records_from_before_pairs_had_names_are_read() {
    let old: VecDeque<Compared> = serde_json::from_str("[0.25, 1.0]").expect("read");
    assert_eq!(old, [pair(0.25, 0), pair(1.0, 0)]);
    let (kind, way) = (Some(KindId::new("dates")), Way::Reasoned);
    let new = Compared { p: 0.7, item: item(["q"]), kind, way };
    let stored = serde_json::to_string(&new).expect("JSON");
    assert_eq!(serde_json::from_str::<Compared>(&stored).expect("read"), new);
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
        Record { kin: Kin { family, ..Kin::default() }, ..judge(&pairs, flipped, steady) }
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

/// A judge that saw so many gold pairs in one way, all with this verdict.
fn seen(way: Way, p: f64, count: u64) -> Record {
    let compared = |item| Compared { p, item, kind: None, way };
    Record { pairs: (1..=count).map(compared).collect(), ..Record::default() }
}

#[test]
fn each_way_of_comparing_is_weighed_by_its_own_gold() {
    let mut record = seen(Way::AtOnce, 0.9, 30);
    record.pairs.extend(seen(Way::Reasoned, 0.1, 30).pairs);
    let (at_once, reasoned) = (alone(&record), comparing(&record, Way::Reasoned));
    assert!(at_once > 0.8 && reasoned < -0.5, "{at_once} {reasoned}");
}

#[test]
fn what_one_way_shows_is_expected_of_the_other_and_less() {
    let unknown = alone(&Record::default());
    for way in [Way::AtOnce, Way::Reasoned] {
        for (p, sign) in [(0.9, 1.0), (0.1, -1.0)] {
            let record = seen(way, p, 30);
            let own = sign * (comparing(&record, way) - unknown);
            let other = sign * (comparing(&record, way.other()) - unknown);
            assert!(own > other && other > 0.1, "{way:?} {p}: {own} {other}");
        }
    }
    let steady = Record { flips_reasoned: Beta { a: 1.0, b: 60.0 }, ..Record::default() };
    let (own, other) = (comparing(&steady, Way::Reasoned), alone(&steady));
    assert!(own > 2.0 && (other - own).abs() < 0.2, "{own} {other}");
}

#[test]
fn records_from_before_there_were_two_ways_are_of_verdicts_at_once() {
    let read: Vec<Compared> = serde_json::from_str(r#"[0.7, {"p": 0.2, "item": 5}]"#).expect("old");
    assert!(read.iter().all(|pair| pair.way == Way::AtOnce));
}
