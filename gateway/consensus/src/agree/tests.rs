//! What pooling promises.

use std::time::Duration;

use proptest::prelude::*;
use shoal_proto::{NodeId, generate::Finish};

use super::*;
use crate::{
    reputation::{Beta, KindModel, KindPosterior, Record, Settings as Reputation, Standing},
    settings::RoundSettings,
};

#[test]
fn the_final_answer_is_found_where_it_is_said() {
    for (text, value) in [
        ("7+5 is 12, carry 1.\n40+80+1 = 121...\nAnswer: 432", "432"),
        ("Answer: 5\nNo, wait.\nanswer: **1,024.50**", "1024.5"),
        ("So \\boxed{\\frac{1}{2}} it is, and not \\boxed{7}.", "7"),
        ("thus \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("Answer: 7 remainder 2.", "7 remainder 2"),
        ("Answer:  Tuesday ", "tuesday"),
        ("Answer:\n\n 42", "42"),
        ("The sum is 12.\nSo there are 12 apples.", "12"),
        ("(B)", "b"),
        ("I think so.\nB.", "b"),
        ("Answer: (C)", "c"),
        ("$1,000", "1000 dollar"),
        ("-0", "0"),
        ("+7", "7"),
        ("007.10", "7.1"),
        ("Answer: 1,2,3", "1,2,3"),
        ("Answer: 12, 7, 3", "12, 7, 3"),
        ("Answer: 1,234,567", "1234567"),
        ("Answer: 14:05", "14:05"),
        ("Hello,   World", "hello, world"),
        ("", ""),
    ] {
        assert_eq!(final_answer(text), value, "{text:?}");
    }
}

#[test]
fn numbers_in_prose_do_not_make_two_essays_equal() {
    let first =
        "In the year 1969 people walked on the moon, and many watched it on television in 1969";
    let second =
        "The festival of the summer of love and of music took place on a farm in August of 1969";
    assert_ne!(final_answer(first), final_answer(second));
}

#[test]
fn long_integers_are_compared_digit_by_digit() {
    let pools = pools(["Answer: 12345678901234567890", "Answer: 12345678901234567891"]);
    assert_eq!(pools, [0, 1]);
}

#[test]
fn an_option_with_its_text_is_its_letter_where_letters_are_answers() {
    assert_eq!(
        pools(["B", "B) plants take it in", "The answer is (B).", "C. light"]),
        [0, 0, 0, 1]
    );
    assert_eq!(pools(["A) water", "A. Water is wet.", "B) fire"]), [0, 0, 1]);
    assert_eq!(pools(["A. Smith", "A. Jones wrote it", "nobody"]), [0, 1, 2], "these are names");
}

#[test]
fn pools_are_numbered_in_order_of_appearance() {
    assert_eq!(pools(["Answer: 2", "Answer: 3", "so 2.0", "Answer: 4", "3"]), [0, 1, 0, 2, 1]);
}

proptest! {
    #[test]
    fn any_text_has_a_final_answer(text in "\\PC*|(\\\\boxed\\{|answer:|[{}0-9(). ,-]){0,20}") {
        final_answer(&text);
    }

    #[test]
    fn how_an_integer_is_dressed_does_not_matter(n in any::<i64>()) {
        let plain = n.to_string();
        for dressed in [
            format!("Answer: {n}"), format!("answer: **{n}**."), format!("\\boxed{{{n}}}"),
            format!("It is {n}."), format!("{n}.0"), format!("Work.\n\n  {n}\n"),
        ] {
            prop_assert_eq!(final_answer(&dressed), plain.clone(), "{}", dressed);
        }
    }

    #[test]
    fn different_integers_are_never_pooled(a in any::<i64>(), b in any::<i64>()) {
        prop_assume!(a != b);
        prop_assert_eq!(pools([format!("Answer: {a}").as_str(), &format!("{b}")]), [0, 1]);
    }

    #[test]
    fn pools_do_not_depend_on_the_order(answers in prop::collection::vec(0u8..4, 1..9)) {
        let texts: Vec<String> = answers.iter().map(|answer| format!("Answer: {answer}")).collect();
        let forth = pools(texts.iter().map(String::as_str));
        let mut back = pools(texts.iter().rev().map(String::as_str));
        back.reverse();
        for i in 0..texts.len() {
            for j in 0..texts.len() {
                prop_assert_eq!(forth[i] == forth[j], back[i] == back[j]);
                prop_assert_eq!(forth[i] == forth[j], answers[i] == answers[j]);
            }
        }
    }
}

fn candidate(writer: u8, pool: usize) -> Candidate {
    Candidate {
        writer: NodeId([writer; 32]),
        model: String::new(),
        text: String::new(),
        tool_calls: Vec::new(),
        tokens: Vec::new(),
        finish: Finish::Stop,
        prompt_tokens: 0,
        completion_tokens: 0,
        cached_tokens: 0,
        reasoning_tokens: 0,
        logprob: None,
        took: Duration::ZERO,
        first_piece: Duration::ZERO,
        pool,
    }
}

fn standing(right: &[f64]) -> Standing {
    let records = right.iter().map(|right| Record {
        writer: Beta { a: 1.0 + right, b: 41.0 - right },
        gold_seen: 40,
        ..Record::default()
    });
    let records = (0..).map(|n| NodeId([n; 32])).zip(records).collect();
    Standing::new(records, KindModel::default(), Reputation::default())
}

fn agreement(candidates: &[Candidate], writers: usize, right: &[f64], draw: f64) -> Agreement {
    let (standing, kind) = (standing(right), KindPosterior::default());
    let config = RoundSettings::default();
    let tally =
        Tally { candidates, ballots: &[], standing: &standing, kind: &kind, config: &config };
    tally.agreement(writers, draw)
}

fn end_pool(pools: &[usize], writers: usize, right: &[f64], draw: f64) -> Option<usize> {
    let candidates: Vec<_> = (0..).zip(pools).map(|(n, pool)| candidate(n, *pool)).collect();
    agreement(&candidates, writers, right, draw).ends()
}

#[test]
fn enough_of_the_writers_and_of_their_weight_end_the_round() {
    assert_eq!(end_pool(&[0, 1, 1, 1, 1], 5, &[30.0; 5], 0.5), Some(1));
    assert_eq!(end_pool(&[0, 0, 1, 1, 1], 5, &[30.0; 5], 0.5), None);
}

#[test]
fn writers_that_did_not_answer_count_as_not_agreeing() {
    assert_eq!(end_pool(&[0, 0, 0], 5, &[30.0; 3], 0.5), None);
}

#[test]
fn many_weak_writers_do_not_outweigh_a_strong_one() {
    assert_eq!(end_pool(&[0, 0, 0, 0, 1], 5, &[2.0, 2.0, 2.0, 2.0, 40.0], 0.5), None);
}

#[test]
fn strangers_cannot_end_a_round() {
    assert_eq!(end_pool(&[0, 0, 0, 0, 0], 5, &[], 0.5), None);
}

#[test]
fn a_share_of_agreements_is_judged_all_the_same() {
    assert_eq!(end_pool(&[0; 5], 5, &[30.0; 5], 0.04), None);
    assert_eq!(end_pool(&[0; 5], 5, &[30.0; 5], 0.05), Some(0));
}

fn decision(pools: &[usize], draw: f64) -> Agreement {
    let candidates: Vec<_> = (0..).zip(pools).map(|(n, pool)| candidate(n, *pool)).collect();
    agreement(&candidates, 5, &[30.0; 5], draw)
}

#[test]
fn an_audit_is_told_apart_from_a_contest() {
    assert_eq!(decision(&[0, 1, 1, 1, 1], 0.5), Agreement::Ends(1));
    assert_eq!(decision(&[0, 1, 1, 1, 1], 0.04), Agreement::Audited(1));
    assert_eq!(decision(&[0, 0, 1, 1, 1], 0.04), Agreement::TooLittle);
    assert_eq!(decision(&[0, 0, 1, 1, 1], 0.5).ends(), None);
}

#[test]
fn two_writers_are_too_few_to_agree() {
    assert_eq!(end_pool(&[0, 0], 2, &[30.0; 2], 0.5), None);
}
