//! What the bundled specialists abstain on.

use std::{fs, path::PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use shoal_syllabus::{Family, Split, questions};

use super::models;
use crate::{
    bundle, check,
    fit::Run,
    llama::LlamaForCausalLm,
    outside::{self, Kind, Part, question, question_of_kind},
    recipe::{Recipe, SPECIALISTS, Specialist},
    rows::Row,
    tokens::{ABSTAIN, EOS, SEP, VOCAB},
};

/// The share of questions that a model abstains on.
fn share(model: &LlamaForCausalLm, texts: &[String]) -> f64 {
    let rows = texts.iter().map(|text| Row::abstention(text)).collect();
    check::abstentions(model, rows) as f64 / texts.len() as f64
}

fn bundled_model(specialist: &Specialist) -> LlamaForCausalLm {
    bundle::read(&models().join(specialist.name)).unwrap()
}

#[test]
fn an_abstention_is_one_token_after_the_question() {
    let row = Row::abstention("hi");
    assert_eq!(row.tokens[3..], [SEP, ABSTAIN, EOS]);
    assert_eq!(row.answer, 4);
}

#[test]
fn a_run_from_an_older_model_keeps_its_weights_and_adds_the_token() {
    let recipe = super::tiny(2);
    let mut older = recipe.model.clone();
    older.vocab_size = VOCAB - 1;
    let device = burn::tensor::Device::flex();
    let source = LlamaForCausalLm::new(older.clone(), &device);
    let model = Run::from_model(recipe.clone(), &source).unwrap().model();
    let rows = |model: &LlamaForCausalLm| {
        model.model.embed_tokens.weight.val().into_data().iter::<f32>().collect::<Vec<f32>>()
    };
    let (before, after) = (rows(&source), rows(&model));
    let width = recipe.model.hidden_size;
    assert_eq!(after[..before.len()], before);
    let letter = usize::from(b'I') * width;
    assert_eq!(after[before.len()..], before[letter..letter + width]);
    older.hidden_size *= 2;
    assert!(Run::from_model(recipe, &LlamaForCausalLm::new(older, &device)).is_err());
}

#[test]
fn outside_questions_are_many_short_enough_and_none_of_the_syllabus() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let syllabus: std::collections::HashSet<String> =
        questions(&[], Split::Train, 4).take(20_000).map(|question| question.text).collect();
    let mut texts = std::collections::HashSet::new();
    for kind in Kind::ALL {
        for part in [Part::Train, Part::HeldOut] {
            for _ in 0..400 {
                let text = question_of_kind(kind, part, &mut rng);
                assert!(Row::abstention(&text).tokens.len() < 450, "{text}");
                assert!(!syllabus.contains(&text), "{text}");
                texts.insert(text);
            }
        }
    }
    assert!(texts.len() > 5500, "{} of 7200 are different", texts.len());
}

#[test]
fn a_wrapped_question_still_holds_the_question() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..200 {
        let text = outside::wrap("Reverse the word stone.", &mut rng).to_lowercase();
        assert!(text.contains("reverse the word stone"), "{text}");
    }
}

#[test]
fn the_last_stage_has_every_family_once() {
    for specialist in SPECIALISTS {
        let stage = *specialist.course.last().unwrap();
        assert!(stage.abstain && stage.of == specialist.name);
        let mix = Recipe::new(stage, 7).unwrap().mix;
        let family_count = specialist.strong.len() + mix.weak.len() + mix.unknown.len();
        assert_eq!(family_count, Family::ALL.len());
        assert!(mix.weak.iter().all(|family| specialist.fair.contains(family)));
        let answers = 1.0
            - mix.outside
            - mix.other_share * mix.weak.len() as f64
            - mix.unknown_share * mix.unknown.len() as f64;
        assert!(answers > 0.5, "{answers}");
    }
}

#[test]
fn bundled_specialists_abstain_outside_of_what_they_know() {
    let mut rng = ChaCha8Rng::seed_from_u64(41);
    let texts: Vec<String> = (0..400).map(|_| question(Part::HeldOut, &mut rng)).collect();
    for specialist in SPECIALISTS {
        let model = bundled_model(&specialist);
        let share = share(&model, &texts);
        println!("{}: abstains on {share:.4} of held-out outside questions", specialist.name);
        // These two half know five or six more families, and take neighbours of these for them:
        // 1 - 580, 923 * 335, 9 modulo 5.
        let least = match specialist.name {
            "shoal-calendar" => 0.90,
            "shoal-story" => 0.94,
            _ => 0.975,
        };
        assert!(share >= least, "{} {share}", specialist.name);
    }
}

#[test]
fn bundled_specialists_seldom_abstain_on_what_they_know() {
    for specialist in SPECIALISTS {
        let model = bundled_model(&specialist);
        let questions_count = questions(specialist.strong, Split::Test, 43).take(400);
        let texts: Vec<String> = questions_count.map(|question| question.text).collect();
        let share = share(&model, &texts);
        println!("{}: abstains on {share:.4} of its own families", specialist.name);
        assert!(share <= 0.01, "{} {share}", specialist.name);
    }
}

/// Questions that nobody here wrote, where the folder is there. Training never reads them.
#[test]
fn bundled_specialists_abstain_on_real_questions() {
    let folder = std::env::var("SHOAL_SHARED")
        .map(PathBuf::from)
        .unwrap_or_else(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let folder = Some(folder.join("data")).filter(|folder| folder.join("questions").exists());
    let Some(folder) = folder else {
        println!("skipped: there is no shared/data/questions");
        return;
    };
    // Few of each set, which a slow machine reads in a minute; all sets together are the measure.
    let short_texts = real(&folder).into_iter().flat_map(|(name, texts)| {
        // Short word problems may be ones that the specialist can solve.
        let is_story = matches!(name.as_str(), "gsm8k_test" | "svamp");
        texts.into_iter().filter(move |text| !is_story && text.len() < 500).take(8)
    });
    let texts: Vec<String> = short_texts.collect();
    for specialist in SPECIALISTS {
        let share = share(&bundled_model(&specialist), &texts);
        println!("{}: abstains on {share:.3} of {} real questions", specialist.name, texts.len());
        assert!(share >= 0.95, "{} {share}", specialist.name);
    }
}

/// The question texts of each set, with a name.
fn real(folder: &std::path::Path) -> Vec<(String, Vec<String>)> {
    let lines = |file: &str, text: fn(&Value) -> Option<String>| {
        let content = fs::read_to_string(folder.join(file)).unwrap_or_default();
        let rows = content.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".jsonl");
        (name.to_owned(), rows.filter_map(|row| text(&row)).collect())
    };
    let mut sets = vec![
        lines("questions/ARC-challenge_test.jsonl", choices),
        lines("questions/gsm8k_test.jsonl", |row| field(row, "question")),
        lines("questions/svamp.jsonl", |row| {
            Some(format!(
                "{}. {}",
                field(row, "Body")?.trim_end_matches('.'),
                field(row, "Question")?
            ))
        }),
        lines("questions/math500.jsonl", |row| field(row, "problem")),
        lines("prompts/arena_hard_v2.0_question.jsonl", |row| field(row, "prompt")),
        lines("prompts/mt_bench_question.jsonl", |row| {
            Some(row.get("turns")?.get(0)?.as_str()?.to_owned())
        }),
        lines("prompts/self_instruct_user_oriented_252.jsonl", |row| field(row, "instruction")),
    ];
    for name in [
        "boolean_expressions",
        "date_understanding",
        "multistep_arithmetic_two",
        "object_counting",
        "word_sorting",
    ] {
        let file = folder.join(format!("questions/bbh/{name}.json"));
        let json: Value =
            serde_json::from_str(&fs::read_to_string(file).unwrap_or_default()).unwrap_or_default();
        let rows = json.get("examples").and_then(Value::as_array).cloned().unwrap_or_default();
        sets.push((name.to_owned(), rows.iter().filter_map(|row| field(row, "input")).collect()));
    }
    sets
}

fn field(row: &Value, name: &str) -> Option<String> {
    row.get(name)?.as_str().map(str::to_owned)
}

/// A question with its lettered choices, as the evaluation asks it.
fn choices(row: &Value) -> Option<String> {
    let question = row.get("question")?;
    let mut text = field(question, "stem")?;
    for choice in question.get("choices")?.as_array()? {
        text += &format!("\n{}. {}", field(choice, "label")?, field(choice, "text")?);
    }
    Some(text + "\n\nAnswer with the letter only.")
}
