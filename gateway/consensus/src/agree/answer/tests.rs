//! What a careful person would call the same answer, and what not.

use proptest::prelude::*;

use super::*;

fn pools_of(texts: &[&str]) -> Vec<usize> {
    pools(&texts.iter().map(|text| Answer::from_text(text)).collect::<Vec<_>>())
}

#[test]
fn one_answer_however_it_is_written() {
    for texts in [
        &[
            "Answer: 18 dollars",
            "$18",
            "18",
            "18.0",
            "Answer: $18.00",
            "\\boxed{\\$18}",
            "18 USD",
            "$18$",
        ][..],
        &["1,800", "1800", "Answer: 1800.00", "\\boxed{1{,}800}", "That makes 1,800.", "01800"],
        &["Answer: 18 hours", "Answer: 18 hour", "18 h", "So it is 18 hours.", "Answer: 18"],
        &[
            "18 %",
            "18%",
            "Answer: 18 percent",
            "Answer: 18.0 %",
            "\\boxed{18\\%}",
            "It is 18 percent.",
        ],
        &["-5", "\u{2212}5", "Answer: -5.0", "Answer: -$5", "Answer: $-5"],
        &["Answer: 60 miles per hour", "60", "Answer: 60 mile per hour"],
        &["Answer: 12 apples", "There are 12 apples.", "12", "\\boxed{12\\text{ apples}}"],
        &["0.5", ".5", "Answer: 0.50"],
        &["B", "(B)", "Answer: b.", "The choice:\n(b)"],
        &["Paris", "paris.", "Answer:  PARIS!", "**Paris**", "\"Paris\","],
        &["Answer: 3/4", "\\boxed{3/4}", "3/4."],
        &["Answer: it\u{2019}s  late", "It's late."],
        &["Answer: 18 \u{20ac}", "\u{20ac}18", "Answer: 18 euros"],
        &["x=5", "Answer: 5", "so x = 5"],
    ] {
        let answers: Vec<Answer> = texts.iter().map(|text| Answer::from_text(text)).collect();
        assert_eq!(pools_of(texts), vec![0; texts.len()], "{answers:?}");
    }
}

#[test]
fn different_answers_stay_apart() {
    for apart in [
        &["18 %", "18", "Answer: 0.18"][..],
        &["3/4", "3", "4", "\\boxed{\\frac{3}{4}}"],
        &["Answer: 10 million", "Answer: 10", "Answer: $10 million", "Answer: 10 thousand"],
        &["Answer: 2 dozen", "Answer: 2", "Answer: 24"],
        &["Answer: 7 remainder 2", "Answer: 7", "Answer: 2", "So it is 7 remainder 2."],
        &["Answer: 14:05", "14", "5"],
        &["Answer: 3 pm", "Answer: 3 am", "Answer: 3"],
        &["Answer: 18 dollars", "Answer: 18 cents"],
        &["Answer: 5 squared", "Answer: 5"],
        &["Answer: 3 quarters", "Answer: 3"],
        &["Answer: 2 or 3", "Answer: 2", "Answer: 3"],
        &["1,2,3", "123", "Answer: 1 2 3"],
        &["Answer: 2 x", "Answer: 2", "Answer: 2 y"],
        &["18", "-18", "1.8", "180"],
        &["Answer: 12345678901234567890", "Answer: 12345678901234567891"],
        &["Answer: 10 more", "Answer: 10 less", "Answer: 10"],
        &["Answer: $5 each", "Answer: $5"],
        &["Answer: 1st", "Answer: 1"],
        &["Answer: 1e5", "Answer: 1"],
        &["Answer: Paris", "Answer: Paris, Texas"],
        &["Answer: 2^3", "Answer: 2", "Answer: 3"],
    ] {
        let answers: Vec<Answer> = apart.iter().map(|text| Answer::from_text(text)).collect();
        assert_eq!(pools_of(apart), (0..apart.len()).collect::<Vec<_>>(), "{answers:?}");
    }
}

#[test]
fn a_bare_number_stands_alone_where_two_units_could_be_meant() {
    assert_eq!(pools_of(&["18", "Answer: 18 minutes", "Answer: 18 hours", "18"]), [0, 1, 2, 0]);
    assert_eq!(pools_of(&["18", "Answer: 18 minutes", "Answer: 20 hours"]), [0, 0, 1]);
}

proptest! {
    #[test]
    fn pools_are_the_same_in_any_order(picked in prop::collection::vec(0usize..8, 1..9)) {
        let texts =
            ["18", "$18", "Answer: 18 cents", "18 %", "Answer: 18 hours", "20", "Answer: 20 hours", "3/4"];
        let there: Vec<&str> = picked.iter().map(|at| texts[*at]).collect();
        let back: Vec<&str> = there.iter().rev().copied().collect();
        let (forth, mut turned) = (pools_of(&there), pools_of(&back));
        turned.reverse();
        for i in 0..there.len() {
            for j in 0..there.len() {
                prop_assert_eq!(forth[i] == forth[j], turned[i] == turned[j]);
            }
        }
    }

    #[test]
    fn a_unit_makes_no_difference_and_another_number_does(a in -9_999i32..9_999, b in -9_999i32..9_999) {
        let (with, without, other) = (format!("Answer: {a} eggs"), format!("It is {a}."), format!("{b}"));
        let expected = if a == b { [0, 0, 0] } else { [0, 0, 1] };
        prop_assert_eq!(pools_of(&[&with, &without, &other]), expected);
    }
}
