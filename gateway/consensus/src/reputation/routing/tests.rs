//! Tests of the routing weights of one member.

use super::*;

fn lesson(ask: &str, right: bool) -> Lesson {
    let (ask, claims) = (Features::extract(ask), Claims::default());
    Lesson { ask, claims, offset: 0.0, right, weight: 0.9 }
}

fn skill(lessons: &[(&str, bool)], times: usize) -> Skill {
    let mut skill = Skill::default();
    for _ in 0..times {
        for (ask, right) in lessons {
            skill.learn(&lesson(ask, *right), &Settings::default());
        }
    }
    skill
}

fn shift(skill: &Skill, ask: &str) -> f64 {
    skill.expect(&Features::extract(ask), &Claims::default(), &Settings::default()).shift
}

#[test]
fn nothing_learned_changes_nothing() {
    let (ask, claims) = (Features::extract("What is it?"), Claims::default());
    let expectation = Skill::default().expect(&ask, &claims, &Settings::default());
    assert_eq!(expectation, Expectation::default());
    assert_eq!(expectation.observations(0.3), 0.0);
}

#[test]
fn what_it_knows_is_told_from_what_it_does_not() {
    let skill =
        skill(&[("Sort these words: pear fig", true), ("How far is it by train?", false)], 12);
    assert!(shift(&skill, "Sort these words: sea air") > 1.0);
    assert!(shift(&skill, "How far is it by ship?") < -1.0);
    assert!(shift(&skill, "schreibe ein gedicht").abs() < 0.2);
}

#[test]
fn a_repeated_ask_is_learned_as_fast_however_long_it_is() {
    let short = skill(&[("sort", true)], 10);
    let words = (0..60).map(|n| format!("w{}", char::from(b'a' + n % 26))).collect::<Vec<_>>();
    let long_ask = words.join(" ");
    let long = skill(&[(&long_ask, true)], 10);
    let (short, long) = (shift(&short, "sort"), shift(&long, &long_ask));
    assert!((short - long).abs() < 1e-9, "{short} and {long}");
    // And about as fast as counting: ten right ones in a row.
    assert!((1.5..4.0).contains(&short), "{short}");
}

#[test]
fn more_lessons_are_believed_more() {
    let (few, many) = (skill(&[("sort", true)], 2), skill(&[("sort", true)], 30));
    let [few, many] = [few, many].map(|skill| {
        let expectation =
            skill.expect(&Features::extract("sort"), &Claims::default(), &Settings::default());
        expectation.observations(sigmoid(expectation.shift))
    });
    assert!(few < 5.0 && many > 10.0, "{few} {many}");
}

#[test]
fn what_was_expected_teaches_little() {
    let [certain, open] = [6.0, 0.0].map(|offset| {
        let mut skill = Skill::default();
        skill.learn(&Lesson { offset, ..lesson("sort", true) }, &Settings::default());
        shift(&skill, "sort")
    });
    assert!(certain < 0.3 * open);
}

#[test]
fn a_member_that_changed_is_seen_through() {
    let mut skill = skill(&[("sort", true)], 500);
    for _ in 0..60 {
        skill.learn(&lesson("sort", false), &Settings::default());
    }
    assert!(shift(&skill, "sort") < -1.0, "{}", shift(&skill, "sort"));
}

#[test]
fn memory_is_bounded_and_the_newest_ask_is_in_it() {
    let settings = Settings { weights_max: 50, ..Settings::default() };
    let mut skill = Skill::default();
    for n in 0..200_u32 {
        let letters = (0..10).filter_map(|k| char::from_u32(0x4e00 + 10 * n + k));
        let ask: String = letters.map(|letter| format!("{letter} ")).collect();
        let ask = Features::extract(&ask);
        skill.learn(&Lesson { ask: ask.clone(), ..lesson("", true) }, &settings);
        assert!(skill.len() <= 50);
        assert!(skill.expect(&ask, &Claims::default(), &settings).shift > 0.1);
    }
}

#[test]
fn it_survives_being_stored_to_a_thousandth() {
    let skill = skill(&[("Sort these words: pear fig", true), ("How far is it?", false)], 9);
    let json = serde_json::to_string(&skill).expect("JSON");
    let read: Skill = serde_json::from_str(&json).expect("read");
    assert_eq!(read.len(), skill.len());
    for ask in ["Sort these words: pear fig", "How far is it?"] {
        assert!((shift(&read, ask) - shift(&skill, ask)).abs() < 5e-3);
    }
    assert!(json.len() < 20 * skill.len(), "{json}");
}

#[test]
fn records_from_before_routing_are_read() {
    let old = r#"{"writer":{"a":3.0,"b":1.0},"gold_seen":7}"#;
    let record: crate::reputation::Record = serde_json::from_str(old).expect("read");
    assert!(record.routing.is_empty() && record.gold_seen == 7);
}

#[test]
fn nonsense_teaches_nothing() {
    for weight in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        let mut skill = Skill::default();
        skill.learn(&Lesson { weight, ..lesson("sort", true) }, &Settings::default());
        assert!(skill.is_empty(), "{weight}");
    }
}

#[test]
fn what_is_idle_fades_to_nothing() {
    let skill = skill(&[("sort", true)], 9);
    assert!(shift(&skill.fade(0.5), "sort") < 0.6 * shift(&skill, "sort"));
    assert!(skill.fade(0.0).is_empty());
}

const TAGS: [&str; 2] = ["math", "haskell"];

fn expectation(skill: &Skill, ask: &str) -> Expectation {
    let ask = Features::extract(ask);
    skill.expect(&ask, &Claims::new(&TAGS.map(str::to_owned), &ask), &Settings::default())
}

/// After lessons of asks that its tags fit.
fn skill_with_tags(lessons: &[(&str, bool)]) -> Skill {
    let mut skill = Skill::default();
    for (ask, right) in lessons {
        let claims = Claims::new(&TAGS.map(str::to_owned), &Features::extract(ask));
        skill.learn(&Lesson { claims, ..lesson(ask, *right) }, &Settings::default());
    }
    skill
}

#[test]
fn a_tag_counts_until_something_is_known() {
    let unknown = expectation(&Skill::default(), "What is 2 + 2?");
    assert_eq!((unknown.shift, unknown.information, unknown.claim_lessons), (2.0, 0.0, 2.0));
    assert_eq!(expectation(&Skill::default(), "Sing me a song"), Expectation::default());
    let wrong = expectation(&skill_with_tags(&[("What is 2 + 2?", false)]), "What is 3 + 5?");
    assert!(sigmoid(wrong.shift) < 0.45, "{wrong:?}");
}

#[test]
fn a_tag_that_was_wrong_is_not_believed_for_other_asks_and_its_neighbour_is() {
    let sums = ["What is 2 + 2?", "Divide 9 by 2 please", "The product of 3 and 9"];
    let skill = skill_with_tags(&sums.map(|ask| (ask, false)));
    let settings = Settings::default();
    assert!(skill.belief("math", &settings) < 0.35, "{}", skill.belief("math", &settings));
    assert!((skill.belief("haskell", &settings) - 1.0).abs() < 1e-9);
    assert!(expectation(&skill, "Pick the largest prime").shift < 0.8);
    assert!(expectation(&skill, "monads of haskell").shift > 1.5);
}

#[test]
fn a_false_tag_never_counts_against_its_owner() {
    let skill = skill_with_tags(&[("What is 2 + 2?", false); 40]);
    let settings = Settings::default();
    assert!(skill.belief("math", &settings) < 0.1, "{}", skill.belief("math", &settings));
    let ask = "largest integral";
    assert!(expectation(&skill, ask).shift >= shift(&skill, ask) - 1e-12);
    assert!(expectation(&skill, ask).claim_lessons < 0.2);
}

#[test]
fn a_true_tag_is_borne_out_and_fades_back_to_what_it_was() {
    let skill = skill_with_tags(&[("What is 2 + 2?", true); 10]);
    let settings = Settings::default();
    assert!(skill.belief("math", &settings) > 1.05);
    assert!((skill.fade(0.0).belief("math", &settings) - 1.0).abs() < 1e-9);
}

#[test]
fn tags_can_be_switched_off() {
    let settings = Settings { tag_log_odds: 0.0, ..Settings::default() };
    let ask = Features::extract("What is 2 + 2?");
    let claims = Claims::new(&TAGS.map(str::to_owned), &ask);
    let expectation = Skill::default().expect(&ask, &claims, &settings);
    assert_eq!(expectation, Expectation::default());
    let (mut with, mut without) = (Skill::default(), Skill::default());
    with.learn(&Lesson { claims, ..lesson("What is 2 + 2?", false) }, &settings);
    without.learn(&lesson("What is 2 + 2?", false), &settings);
    assert_eq!(with, without);
}
