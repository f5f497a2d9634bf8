//! Tests of the guess of a question's kind.

use shoal_syllabus::{Family, Split};

use super::*;

fn example_model() -> KindModel {
    let mut model = KindModel::default();
    for n in 0..12 {
        model.learn(&format!("What is {n} + {}?", n * 7), &KindId::new("add"));
        model.learn(&format!("What is {n} - {}?", n * 3), &KindId::new("subtract"));
        model.learn(&format!("Which weekday is it {n} days after Monday?"), &KindId::new("dates"));
    }
    model
}

#[test]
fn a_kind_is_known_by_its_words_and_not_by_its_numbers() {
    let model = example_model();
    for (question, kind) in [
        ("What is 4711 + 9?", "add"),
        ("What is 88 - 12?", "subtract"),
        ("Which weekday is it 40 days after Friday?", "dates"),
    ] {
        let posterior = model.posterior(question);
        let (top, p) = posterior.top().expect("a guess");
        assert_eq!(top.0, kind, "{question}");
        assert!(p > 0.5, "{question}: {p}");
    }
}

#[test]
fn a_question_unlike_all_gold_is_of_no_kind() {
    assert_eq!(example_model().posterior("schreibe ein gedicht"), KindPosterior::default());
    assert_eq!(KindModel::default().posterior("What is 1 + 1?"), KindPosterior::default());
}

/// P(the question is of the kind).
fn p_kind(model: &KindModel, kind: &KindId, question: &str) -> f64 {
    let posterior = model.posterior(question);
    posterior.iter().filter(|(other, _)| *other == kind).map(|(_, p)| p).sum()
}

#[test]
fn labelled_options_make_a_choice_of_a_question_on_anything() {
    let question =
        "Which organ pumps blood?\n(A) the liver\n(B) the heart\n(C) the lung\nGive the letter.";
    let mut model = example_model();
    let [harder, choice] = CHOICES.map(KindId::new);
    assert_eq!(p_kind(&model, &choice, question), 0.0, "nobody was examined in it");
    model.learn(
        "Which metal is liquid?\nA) iron\nB) mercury\nC) tin\nD) zinc\nAnswer with the letter.",
        &choice,
    );
    assert!(p_kind(&model, &choice, question) > 0.8);
    assert!(
        p_kind(
            &model,
            &choice,
            "Which organ pumps blood? A doctor knows.\nA nurse knows.\nB follows."
        ) < 0.5
    );
    assert!(p_kind(&model, &choice, "What is 4711 + 9?") < 0.1);

    // Where the exam has harder ones too, a question unlike all of them is rather one of those.
    model.learn(
        "Why does steel float?\nA) air\nB) salt\nC) wind\nD) rust\nGive its letter.",
        &harder,
    );
    let unlike = "Foxes dig:\n(A) dens\n(B) ponds\n(C) clouds";
    assert!(p_kind(&model, &harder, unlike) > p_kind(&model, &choice, unlike));
}

#[test]
fn a_posterior_never_exceeds_one() {
    let model = example_model();
    for question in ["What is", "What is the capital of Monday?", "", "\u{0}+++", "1 1 1 1"] {
        let sum: f64 = model.posterior(question).iter().map(|(_, p)| p).sum();
        assert!(sum <= 1.0 + 1e-9, "{question}: {sum}");
    }
}

#[test]
fn it_survives_being_stored() {
    let model = example_model();
    let json = serde_json::to_string(&model).expect("JSON");
    assert_eq!(serde_json::from_str::<KindModel>(&json).expect("read"), model);
}

/// A model of all families of the syllabus, with as many questions of each as an exam has for a few
/// members.
fn families_model() -> KindModel {
    let mut model = KindModel::default();
    for family in Family::ALL {
        let questions = shoal_syllabus::questions(&[family], Split::Train, 3);
        for question in questions.take(40) {
            model.learn(&question.text, &KindId::new(question.family.name()));
        }
    }
    model
}

fn familiarity(model: &KindModel, question: &str) -> f64 {
    model.posterior(question).iter().map(|(_, p)| p).sum()
}

#[test]
fn a_general_question_is_of_no_arithmetic_kind() {
    let model = families_model();
    for question in [
        "What is the capital of France?",
        "Who wrote Romeo and Juliet?",
        "Which gas do plants take in?",
        "What is the largest planet in our solar system?",
        "How do I reverse a string in Python?",
        "How do you say good morning in German?",
        "Write a function that returns the second largest element of a list.",
        "Which of these is a mammal? A) trout B) whale C) eagle D) lizard Answer with the letter only.",
        "What year did the Second World War end?",
        "Who painted the Mona Lisa, and where does it hang today?",
        "Name the chemical symbol of gold.",
        "Explain in one sentence why the sky is blue.",
        "Read the passage. Anna lives in Lisbon and keeps bees. Where does Anna live?",
        "Translate into French: the house is red.",
        "Is a tomato a fruit or a vegetable?",
        "What is the past tense of the verb to go?",
        "My name is Bo. I like chess. What do I like?",
        "Which element has the atomic number 8?",
    ] {
        let p = familiarity(&model, question);
        assert!(p < 0.2, "{question}: {p:.3}, {:?}", model.posterior(question).top());
    }
}

#[test]
fn a_question_of_a_family_in_new_words_is_of_its_kind() {
    let model = families_model();
    for (question, kind) in [
        ("Please tell me what 47 + 385 is.", "add"),
        ("How much is 84 plus 17?", "add"),
        ("Calculate 912 - 455 for me.", "subtract"),
        ("How much is 12 times 34 in total?", "multiply"),
        ("Which weekday comes 12 days after Tuesday?", "weekday"),
        ("What weekday is it 9 days after a Friday?", "weekday"),
        ("Please sort these numbers in ascending order: 41, 7, 19", "sort"),
        ("How many times does the letter e occur in the word freeze?", "count"),
        ("How many minutes make up 7 hours?", "convert"),
        ("Solve for x: 3x + 5 = 20", "equation"),
    ] {
        let posterior = model.posterior(question);
        let p = familiarity(&model, question);
        assert!(p > 0.8, "{question}: {p:.3}");
        assert_eq!(posterior.top().expect("a kind").0.0, kind, "{question}: {posterior:?}");
    }
}

#[test]
fn other_questions_of_the_families_are_recognised() {
    let model = families_model();
    let mut familiar_mass = 0;
    for family in Family::ALL {
        let questions = shoal_syllabus::questions(&[family], Split::Test, 5).take(50);
        for question in questions {
            familiar_mass += usize::from(familiarity(&model, &question.text) > 0.8);
        }
    }
    let share = familiar_mass as f64 / (50 * Family::ALL.len()) as f64;
    assert!(share > 0.97, "{share}");
}

#[test]
fn a_question_that_is_taken_back_was_never_learned() {
    let (model, kind) = (example_model(), KindId::new("history"));
    let mut with = model.clone();
    with.learn("When did Rome fall to the Goths?", &kind);
    assert_ne!(with, model);
    assert_eq!(with.without("When did Rome fall to the Goths?", &kind), model);
}
