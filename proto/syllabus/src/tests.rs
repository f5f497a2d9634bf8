use std::collections::{HashMap, HashSet};

use super::*;

fn sample(split: Split, seed: u64, count: usize) -> Vec<Question> {
    questions(&[], split, seed).take(count).collect()
}

#[test]
fn splits_share_no_problem_and_no_question() {
    let mut owner: HashMap<String, Split> = HashMap::new();
    let mut texts: HashMap<String, Split> = HashMap::new();
    for split in [Split::Train, Split::Gold, Split::Test] {
        for question in sample(split, 1, 13_000) {
            assert_eq!(*owner.entry(question.problem.key()).or_insert(split), split);
            assert_eq!(*texts.entry(question.text).or_insert(split), split);
        }
    }
}

#[test]
fn the_order_of_the_operands_makes_no_new_problem() {
    let sum = Problem::Add { a: 47, b: 385 };
    assert_eq!(Split::for_problem(&sum), Split::for_problem(&Problem::Add { a: 385, b: 47 }));
    assert_eq!(Split::for_problem(&sort(&[3, 1, 2])), Split::for_problem(&sort(&[1, 2, 3])));
}

fn sort(numbers: &[u32]) -> Problem {
    Problem::Sort { numbers: numbers.to_vec(), descending: false }
}

#[test]
fn the_same_seed_asks_the_same_questions_in_the_same_order() {
    assert_eq!(sample(Split::Gold, 5, 200), sample(Split::Gold, 5, 200));
    assert_ne!(sample(Split::Gold, 5, 200), sample(Split::Gold, 6, 200));
}

#[test]
fn the_split_of_a_problem_never_moves() {
    // The trained weights depend on it. If this fails, every figure in the model cards is invalid.
    let splits: Vec<Split> =
        (0..12).map(|b| Split::for_problem(&Problem::Add { a: 1000, b: 2000 + b })).collect();
    assert_eq!(splits, SPLITS);
}

#[test]
fn families_come_evenly_and_each_in_at_least_six_wordings() {
    let mut count: HashMap<Family, usize> = HashMap::new();
    let mut starts: HashMap<Family, HashSet<String>> = HashMap::new();
    for question in sample(Split::Train, 3, 13 * 200) {
        *count.entry(question.family).or_default() += 1;
        let words: Vec<&str> = question.text.split_whitespace().take(4).collect();
        let shape = words.join(" ").replace(|c: char| c.is_ascii_digit(), "");
        starts.entry(question.family).or_default().insert(shape);
    }
    assert!(Family::ALL.iter().all(|family| count.get(family) == Some(&200)));
    assert!(starts.values().all(|shapes| shapes.len() >= 6), "{starts:?}");
}

#[test]
fn answers_are_right() {
    assert_eq!(Problem::Add { a: 47, b: 385 }.answer(), "432");
    assert_eq!(Problem::Divide { a: 100, b: 7 }.answer(), "14 remainder 2");
    assert_eq!(Problem::Weekday { from: 0, days: 8, back: true }.answer(), "Sunday");
    assert_eq!(Problem::Weekday { from: 6, days: 1, back: false }.answer(), "Monday");
    assert_eq!(Problem::Clock { hour: 9, minute: 40, after: 85 }.answer(), "11:05");
    assert_eq!(Problem::Count { word: "strawberry".into(), letter: 'r' }.answer(), "3");
    assert_eq!(Problem::Equation { a: 3, b: 7, c: 46, minus: false }.answer(), "13");
    assert_eq!(Problem::Equation { a: 2, b: 4, c: 6, minus: true }.answer(), "5");
    assert_eq!(Problem::Sort { numbers: vec![9, 70, 8], descending: true }.answer(), "70, 9, 8");
    assert_eq!(Problem::Story(Plot::TimesLoss { a: 12, b: 3, c: 6 }).answer(), "30");
}

#[test]
fn every_equation_has_a_whole_solution() {
    for question in questions(&[Family::Equation], Split::Train, 2).take(2000) {
        let Problem::Equation { a, b, c, minus } = question.problem else { panic!("{question:?}") };
        let x: u32 = question.answer.parse().unwrap();
        assert_eq!(if minus { a * x - b } else { a * x + b }, c);
    }
}

#[test]
fn only_the_right_final_answer_passes() {
    let question = Question {
        family: Family::Weekday,
        text: String::new(),
        answer: "Sunday".into(),
        problem: Problem::Weekday { from: 0, days: 6, back: false },
    };
    for right in ["Answer: Sunday", "x Answer: Monday\nso Answer: **sunday**.", "Answer:\nSunday."]
    {
        assert!(grade(&question, right), "{right}");
    }
    for wrong in
        ["Sunday", "Answer:", "Answer: Sunday or Monday", "Answer: Sunday. Answer: Friday", ""]
    {
        assert!(!grade(&question, wrong), "{wrong}");
    }
}

#[test]
fn a_final_answer_is_one_line_without_its_full_stop() {
    assert_eq!(final_answer("2+2. Answer: 4.\nand more"), Some("4"));
    assert_eq!(final_answer("Answer: 1, 2, 3 "), Some("1, 2, 3"));
    assert_eq!(final_answer("no marker"), None);
}

#[test]
fn names_lead_back_to_their_family() {
    assert!(Family::ALL.iter().all(|family| Family::from_name(family.name()) == Some(*family)));
    assert_eq!(Family::from_name("poetry"), None);
}

const SPLITS: [Split; 12] = {
    use Split::{Gold, Test, Train};
    [Train, Train, Train, Train, Train, Test, Train, Train, Gold, Test, Test, Train]
};

fn assert_accepts(problem: Problem, text: &str, answers: &[&str], mistakes: &[&str]) {
    let question = Question {
        family: problem.family(),
        text: text.to_owned(),
        answer: problem.answer(),
        problem,
    };
    for answer in answers {
        assert!(accepts(&question, answer), "{text} {answer}");
    }
    for answer in mistakes {
        assert!(!accepts(&question, answer), "{text} {answer}");
    }
}

#[test]
fn free_answers_with_one_number_are_accepted() {
    assert_accepts(
        Problem::Add { a: 47, b: 385 },
        "What is 47 + 385?",
        &[
            "432",
            "47 + 385 = 432.",
            "The sum of 47 and 385 is **432**.",
            "To add them:\n7 + 5 = 12\n40 + 380 = 420\n12 + 420 = 432",
            "\\boxed{432}",
            "432. I added 47 and 385.",
            "The answer is 432. Do you need anything else?",
        ],
        &[
            "431",
            "432 or 433",
            "432, 433",
            "431\n432",
            "47 + 385",
            "It is 431. It is 432.",
            "",
            "4320",
        ],
    );
    assert_accepts(
        Problem::Compare { numbers: vec![12, 45, 7], largest: true },
        "Which is the largest: 12, 45, 7?",
        &[
            "45",
            "The largest is 45.",
            "Of 12, 45 and 7, the largest is 45.",
            "45 is the largest of 12, 45, 7.",
        ],
        &["12", "12, 45", "The largest is 12.", "Of 12, 45 and 7, the largest is 12.", "45 or 12"],
    );
    assert_accepts(
        Problem::Count { word: "apple".into(), letter: 'z' },
        "How many z's are in \"apple\"?",
        &["0", "zero", "There are no z's in apple.", "The letter z does not appear in apple."],
        &["1", "There are two."],
    );
    assert_accepts(
        Problem::Equation { a: 3, b: 7, c: 46, minus: false },
        "Solve 3x + 7 = 46.",
        &["x = 13", "3x = 39\nx = 39/3 = 13", "3x = 39, so x = 13\nCheck: 3 * 13 + 7 = 46", "13"],
        &["x = 12", "3x = 39", "x = 13 or x = 12"],
    );
    assert_accepts(
        Problem::Convert { amount: 5, measure: Measure::ALL[10], back: false },
        "Convert 5 weeks to days.",
        &["35 days", "5 weeks = 35 days.", "There are 35 days in 5 weeks.", "35"],
        &["35 weeks", "36 days", "5 weeks"],
    );
}

#[test]
fn free_answers_with_several_values_are_accepted() {
    assert_accepts(
        Problem::Divide { a: 100, b: 7 },
        "What is 100 / 7, with remainder?",
        &[
            "14 remainder 2",
            "100 / 7 = 14 R 2",
            "7 goes into 100 14 times with 2 left over.",
            "The quotient is 14 and the remainder is 2.",
            "The quotient is 14. The remainder is 2.",
        ],
        &["14", "14.29", "14 remainder 3", "2 remainder 14", "14 remainder 2 or 14 remainder 3"],
    );
    assert_accepts(
        Problem::Sort { numbers: vec![9, 70, 8], descending: false },
        "Sort 9, 70, 8.",
        &[
            "8, 9, 70",
            "[8, 9, 70]",
            "Sorted: 8, 9, 70.",
            "1. 8\n2. 9\n3. 70",
            "The numbers 9, 70, 8 in order are 8, 9, 70.",
        ],
        &["9, 70, 8", "8, 70, 9", "8, 9", "70, 9, 8"],
    );
    assert_accepts(
        Problem::ReverseWords { words: vec!["sun".into(), "tree".into(), "cup".into()] },
        "Reverse the words: sun tree cup",
        &["cup tree sun", "The reversed order is: cup, tree, sun."],
        &["sun tree cup", "cup sun tree"],
    );
    assert_accepts(
        Problem::ReverseLetters { word: "apple".into() },
        "Reverse the word apple.",
        &["elppa", "The reverse of \"apple\" is \"elppa\".", "e-l-p-p-a", "**elppa**"],
        &["apple", "elpap", "elppa or elpap", "elppa, elpap"],
    );
    assert_accepts(
        Problem::Weekday { from: 0, days: 3, back: false },
        "If today is Monday, what day is it in 3 days?",
        &["Thursday", "In 3 days from Monday it will be **Thursday**."],
        &["Friday", "Thursday or Friday", "Monday"],
    );
    assert_accepts(
        Problem::Clock { hour: 12, minute: 40, after: 85 },
        "What time is 85 minutes after 12:40?",
        &["14:05", "It is 2:05 PM.", "85 minutes after 12:40 is 14:05."],
        &["2:05 AM", "14:06", "12:40", "14:05 or 14:15"],
    );
}

#[test]
fn every_right_answer_is_accepted_in_four_forms_and_that_of_another_question_in_none() {
    for question in sample(Split::Gold, 21, 13 * 60) {
        let answer = &question.answer;
        for form in forms(&question.text, answer) {
            assert!(accepts(&question, &form), "{}\n{form}", question.text);
        }
        let other_question = sample(Split::Gold, 22, 13 * 8)
            .into_iter()
            .find(|sibling| sibling.family == question.family && sibling.answer != *answer);
        let wrong = other_question.expect("another answer").answer;
        for form in forms(&question.text, &wrong) {
            assert!(!accepts(&question, &form), "{}\n{form}", question.text);
        }
    }
}

fn forms(question: &str, answer: &str) -> [String; 4] {
    [
        answer.to_owned(),
        format!("The answer is **{answer}**."),
        format!("{question}\n\n{answer}"),
        format!("Let me think.\n\nSo it is {answer}."),
    ]
}
