use std::collections::{BTreeMap, HashSet};

use super::*;

/// Questions of every kind in each split that the properties are checked on.
const SAMPLE: usize = GeneralKind::ALL.len() * 350;

fn sample_of(split: Split, seed: u64) -> Vec<GeneralQuestion> {
    general_questions(&[], split, seed).take(SAMPLE).collect()
}

fn prompt(question: &GeneralQuestion) -> String {
    let turns =
        question.messages.iter().map(|turn| format!("{}: {}", turn.role.name(), turn.content));
    turns.collect::<Vec<_>>().join("\n")
}

#[test]
fn reference_answers_are_right_and_the_others_wrong() {
    let mut failures = Vec::new();
    for question in [Split::Gold, Split::Train].into_iter().flat_map(|split| sample_of(split, 11)) {
        let (text, check) = (prompt(&question), &question.check);
        if !question.grade(&question.answer) {
            failures.push(format!("{text}\n{}\n{check:?}", question.answer));
        }
        for wrong in question.wrong.iter().filter(|wrong| question.grade(wrong)) {
            failures.push(format!("{text}\nwrong: {wrong}\n{check:?}"));
        }
    }
    failures.truncate(8);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_question_has_two_wrong_answers_and_a_short_prompt() {
    for question in sample_of(Split::Test, 12) {
        let text = prompt(&question);
        let wrong: HashSet<&String> = question.wrong.iter().collect();
        assert!(wrong.len() >= 2, "{text}\n{wrong:?}");
        assert!(text.chars().count() < 1_500, "{text}");
        assert!(!text.contains("{0}") && !text.contains("{}"), "{text}");
        let texts = question.wrong.iter().chain([&question.answer]);
        assert!(
            texts
                .clone()
                .all(|text| !text.is_empty() && !text.contains('{') || text.starts_with('{')),
            "{texts:?}"
        );
        assert_eq!(question.messages.last().map(|turn| turn.role), Some(Role::User));
    }
}

#[test]
fn the_exam_and_the_evaluation_share_no_question() {
    let [gold, test, train] = [Split::Gold, Split::Test, Split::Train].map(|split| {
        let questions = sample_of(split, 13);
        let texts: HashSet<String> = questions.iter().map(prompt).collect();
        let keys: HashSet<String> = questions.into_iter().map(|question| question.key).collect();
        (texts, keys)
    });
    assert!(gold.0.is_disjoint(&test.0));
    assert!(gold.1.is_disjoint(&test.1));
    assert!(gold.1.is_disjoint(&train.1));
}

#[test]
fn the_same_seed_asks_the_same_questions() {
    assert_eq!(sample_of(Split::Gold, 5), sample_of(Split::Gold, 5));
    assert_ne!(sample_of(Split::Gold, 5), sample_of(Split::Gold, 6));
}

#[test]
fn kinds_come_evenly_and_seldom_repeat() {
    let mut texts: BTreeMap<&str, HashSet<String>> = BTreeMap::new();
    for question in sample_of(Split::Gold, 8) {
        texts.entry(question.kind.name()).or_default().insert(prompt(&question));
    }
    assert_eq!(texts.len(), GeneralKind::ALL.len());
    for (kind, texts) in texts {
        // Common knowledge has a fixed number of facts, some instructions few parameters.
        let least = if kind == "general/knowledge" { 150 } else { 250 };
        assert!(texts.len() >= least, "{kind}: {}", texts.len());
    }
}

#[test]
fn the_tables_of_common_knowledge_are_complete() {
    let tables = knowledge::tables(include_str!("facts.txt"));
    let facts: usize = tables.iter().map(|table| table.rows.len()).sum();
    assert!(facts >= 300, "{facts}");
    let lines = include_str!("facts.txt").lines().filter(|line| line.contains('|')).count();
    assert_eq!(facts, lines, "every row belongs to a table");
}

fn names() -> Check {
    Check::Name(Names::new(
        &["Paris"],
        ["London", "Rome", "New York"],
        "What is the capital of France?",
    ))
}

#[test]
fn a_name_may_stand_in_a_sentence_and_several_names_are_wrong() {
    for right in [
        "Paris",
        "paris.",
        "The capital of France is **Paris**.",
        "Answer: Paris",
        "**Answer:** Paris",
        "\\boxed{Paris}",
        "The capital is Paris, not London.",
        "Some people think of London. The answer is Paris.",
        "It isn't London.\n\nSo it is Paris!",
        "Paris is the capital of France. It lies on the Seine.",
    ] {
        assert!(names().grade(right), "{right}");
    }
    for wrong in [
        "",
        "London",
        "Paris or London",
        "Paris, London",
        "Paris/London",
        "It could be Paris. It could be London.",
        "Paris\nLondon\nRome",
        "not Paris",
        "Either Paris or Marseille",
        "The answer is London. Paris is in France.",
        "I do not know",
    ] {
        assert!(!names().grade(wrong), "{wrong}");
    }
}

#[test]
fn a_choice_may_be_a_letter_or_its_text() {
    let options = ["nitrogen", "oxygen", "helium", "carbon"];
    let check = Check::Choice(Choice::new(&options, 1, "Which gas do animals breathe in?"));
    for right in [
        "B",
        "b",
        "(B)",
        "B) oxygen",
        "B.",
        "**B**",
        "The answer is B.",
        "Oxygen",
        "It is oxygen (B).",
        "A helpful rule tells me: B",
    ] {
        assert!(check.grade(right), "{right}");
    }
    for wrong in ["A", "A) oxygen", "B or C", "A, B", "B) helium", "None", "A) nitrogen B) oxygen"]
    {
        assert!(!check.grade(wrong), "{wrong}");
    }
}

#[test]
fn numbers_are_compared_by_value_in_the_sentence_that_counts() {
    let check = Check::Number(Number::new("1800", "How much do 3 of 600 cost?"));
    for right in [
        "1800",
        "1,800.00",
        "3 x 600 = **1800**.",
        "First 600 + 600 = 1200.\nThen 1200 + 600 = 1800.",
        "It costs $1,800. Let me know if you need more!",
        "The total is 1800 dollars",
    ] {
        assert!(check.grade(right), "{right}");
    }
    for wrong in
        ["600", "1800 or 1900", "1800, 1900", "It is 1900. It is 1800.", "1799", "-1800", "180"]
    {
        assert!(!check.grade(wrong), "{wrong}");
    }
}

#[test]
fn saying_that_the_text_does_not_say_is_right_and_guessing_wrong() {
    let check = Check::Unknown(Unknown::new(["29", "34"]));
    for right in [
        "unknown",
        "Unknown.",
        "The passage doesn't say how old Mara is.",
        "Her age is not mentioned.",
        "**Answer: unknown**",
        "The age of Mara cannot be determined from the text.",
    ] {
        assert!(check.grade(right), "{right}");
    }
    for wrong in [
        "29",
        "Mara is 34 years old.",
        "Unknown, but probably 29",
        "Mara",
        "She is likely an unknown age",
    ] {
        assert!(!check.grade(wrong), "{wrong}");
    }
}

#[test]
fn an_exact_text_may_have_an_introduction() {
    let check = Check::Exact("THE RED DOOR".to_owned());
    for right in [
        "THE RED DOOR",
        "\"THE RED DOOR\"",
        "Here is the text in capital letters:\n\n**THE RED DOOR**",
        "```\nTHE RED DOOR\n```",
        "The result is THE RED DOOR.",
    ] {
        assert!(check.grade(right), "{right}");
    }
    for wrong in
        ["the red door", "THE RED DOOR AND MORE", "THE RED", "OTHERWISE THE RED DOOR or THE DOOR"]
    {
        assert!(!check.grade(wrong), "{wrong}");
    }
}

#[test]
fn json_is_read_and_compared_by_its_fields() {
    let fields = [("name", "Mara"), ("age", "31")];
    let fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let check = Check::Rules(vec![Rule::Json(fields.into())]);
    for right in [
        "{\"name\": \"Mara\", \"age\": 31}",
        "```json\n{\n  \"age\": 31,\n  \"name\": \"Mara\"\n}\n```",
    ] {
        assert!(check.grade(right), "{right}");
    }
    for wrong in [
        "{\"name\": \"Mara\"}",
        "{\"name\": \"Mara\", \"age\": 32}",
        "{\"name\": \"Mara\", \"age\": 31,}",
        "{name: \"Mara\", age: 31}",
        "{\"name\": \"Mara\", \"age\": 31, \"town\": \"Vellmar\"}",
        "Here: {\"name\": \"Mara\", \"age\": 31}",
        "{\"name\": \"Mara\" \"age\": 31}",
    ] {
        assert!(!check.grade(wrong), "{wrong}");
    }
}

#[test]
fn common_facts_are_graded_in_every_wording() {
    // A well-informed assistant that repeats the question in its answer.
    for question in general_questions(&[GeneralKind::Knowledge], Split::Train, 9).take(2_000) {
        let bare = question.answer.trim_start_matches("Answer: ");
        let text = format!("Sure! {bare}");
        assert!(question.grade(&text), "{}\n{text}\n{:?}", prompt(&question), question.check);
    }
}
