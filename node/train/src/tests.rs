mod abstention;
mod serving;

use std::{collections::HashSet, path::Path};

use burn::tensor::{Device, Int, Tensor};
use shoal_syllabus::{Family, Problem, Split, final_answer, grade, questions};

use super::{
    bundle, check, course,
    fit::Run,
    recipe::{Recipe, SPECIALISTS, Specialist, Stage},
    rows::{Batch, Batches, Row},
    tokens::EOS,
    work,
};
use crate::llama::LlamaForCausalLm;

/// A network small enough for a test.
fn tiny(steps: usize) -> Recipe {
    let mut recipe = Recipe::new(SPECIALISTS[0].course[1], 3).unwrap();
    recipe.model.hidden_size = 32;
    recipe.model.num_hidden_layers = 2;
    recipe.model.num_attention_heads = 4;
    recipe.model.num_key_value_heads = Some(2);
    recipe.model.intermediate_size = 48;
    (recipe.steps, recipe.rows, recipe.warm_up) = (steps, 4, 2);
    recipe
}

#[test]
fn worked_answers_end_in_the_right_answer() {
    for question in questions(&[], Split::Train, 4).take(13 * 400) {
        let answer = work::answer(&question.problem);
        assert!(grade(&question, &answer), "{} -> {answer}", question.text);
        assert_eq!(final_answer(&answer), Some(question.answer.as_str()));
    }
}

#[test]
fn every_row_fits_the_model() {
    for question in questions(&[], Split::Train, 5).take(13 * 400) {
        let row = Row::from(&question);
        assert!(row.tokens.len() < 400, "{} tokens: {}", row.tokens.len(), question.text);
    }
}

#[test]
fn work_is_written_as_it_was_learnt() {
    assert_eq!(
        work::answer(&Problem::Add { a: 47, b: 385 }),
        "47+385. 740+583: 7+5+0=2,1 4+8+1=3,1 0+3+1=4,0 234. Answer: 432"
    );
    assert_eq!(
        work::answer(&Problem::Subtract { a: 502, b: 17 }),
        "502-17. 205-710: 2-7-0=5,1 0-1-1=8,1 5-0-1=4,0 584. Answer: 485"
    );
    assert_eq!(
        work::answer(&Problem::Divide { a: 4827, b: 6 }),
        "4/6=0,4 48/6=8,0 2/6=0,2 27/6=4,3 0804. Answer: 804 remainder 3"
    );
    assert_eq!(
        work::answer(&Problem::Compare { numbers: vec![417, 452, 39], largest: true }),
        "417?452 3=3 4=4 1<5; 452?39 3>2. 452. Answer: 452"
    );
    assert_eq!(
        work::answer(&Problem::Sort { numbers: vec![417, 52, 390], descending: false }),
        "[417] 52 390. 52?417 2<3 [52 417] 390. 390?52 3>2 390?417 3=3 3<4 [52 390 417] \
         Answer: 52, 390, 417"
    );
}

#[test]
fn only_the_answer_and_its_end_count() {
    let batch = Batch::new(&[Row::new("hi", "ok"), Row::new("a", "b")]);
    assert_eq!((batch.rows, batch.len), (2, 6));
    assert_eq!(batch.places, [3, 4, 5, 8, 9]);
    assert_eq!(*batch.targets, [u32::from(b'o'), u32::from(b'k'), EOS, u32::from(b'b'), EOS]);
    assert_eq!(batch.share, [3, 2]);
}

#[test]
fn a_step_reads_the_same_rows_whether_or_not_the_run_was_stopped() {
    let recipe = tiny(100);
    let mut through = Batches::new(&recipe);
    for step in 0..20 {
        through.at(step).unwrap();
    }
    let inputs = through.at(20).unwrap().inputs.clone();
    assert_eq!(Batches::new(&recipe).at(20).unwrap().inputs, inputs);
    assert_ne!(Batches::new(&recipe).at(21).unwrap().inputs, inputs);
}

#[test]
fn training_lowers_the_loss() {
    let mut first = f64::NAN;
    let run = Run::new(tiny(60));
    let run = run.fit(1, None, &mut |_| {}).unwrap();
    first = if first.is_nan() { run.loss() } else { first };
    let run = run.fit(60, None, &mut |_| {}).unwrap();
    assert!(run.loss() < 0.9 * first, "{first} -> {}", run.loss());
}

#[test]
fn a_resumed_run_goes_on_as_if_it_had_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Run::new(tiny(6)).fit(6, None, &mut |_| {}).unwrap();
    let part = Run::new(tiny(6)).fit(3, None, &mut |_| {}).unwrap();
    part.save(folder.path()).unwrap();
    let second = Run::resume(tiny(6), folder.path()).unwrap();
    assert_eq!(second.step(), 3);
    let second = second.fit(6, None, &mut |_| {}).unwrap();
    assert_eq!(weights(&whole.model()), weights(&second.model()));
}

#[test]
fn a_run_that_is_made_longer_keeps_its_steps_and_a_fresh_one_only_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let before = Run::new(tiny(2)).fit(2, Some(folder.path()), &mut |_| {}).unwrap();
    assert!(Run::resume(tiny(4), folder.path()).is_err());
    let longer = Run::longer(tiny(4), folder.path()).unwrap();
    let fresh = Run::based_on(tiny(4), folder.path()).unwrap();
    assert_eq!((longer.step(), fresh.step()), (2, 0));
    assert_eq!(weights(&before.model()), weights(&longer.model()));
    assert_eq!(weights(&before.model()), weights(&fresh.model()));
}

#[test]
fn courses_that_begin_alike_share_what_they_have_done() {
    let (sum, times) = (folders("shoal-sum"), folders("shoal-times"));
    assert_eq!(sum[0], Path::new("w/7/shoal-story-2400x32"));
    assert_eq!(sum[0], times[0]);
    assert_ne!(sum[1], times[1]);
    let order = folders("shoal-order");
    assert_eq!(order[4], order[3].join("shoal-order-2800x16-longer"));
}

fn folders(name: &str) -> Vec<std::path::PathBuf> {
    course::folders(Specialist::by_name(name).unwrap().course, Path::new("w"), 7)
}

#[test]
fn a_course_goes_on_after_its_finished_stages() {
    let work = tempfile::tempdir().unwrap();
    const COURSE: [Stage; 1] =
        [Stage { of: "shoal-sum", steps: 500, rows: 32, longer: false, abstain: false }];
    let specialist = Specialist { course: &COURSE, ..SPECIALISTS[0] };
    let folder = &course::folders(specialist.course, work.path(), 3)[0];
    let recipe = Recipe::new(specialist.course[0], 3).unwrap();
    let mut saved_run = Run::new(recipe);
    saved_run.save(folder).unwrap();
    let state = folder.join("last/state.json");
    let text = std::fs::read_to_string(&state).unwrap().replace("\"step\": 0", "\"step\": 500");
    std::fs::write(&state, text).unwrap();
    let mut steps = 0;
    let (run, recipe) = course::train(&specialist, 3, work.path(), &mut |_, _| steps += 1).unwrap();
    assert_eq!((run.step(), recipe.steps, steps), (500, 500, 0));
    saved_run = Run::resume(recipe, folder).unwrap();
    assert_eq!(weights(&saved_run.model()), weights(&run.model()));
}

#[test]
fn a_run_of_another_seed_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    Run::new(tiny(6)).save(folder.path()).unwrap();
    let recipe = Recipe { seed: 4, ..tiny(6) };
    assert!(Run::resume(recipe, folder.path()).is_err());
}

#[test]
fn a_written_folder_holds_the_same_model() {
    let models = tempfile::tempdir().unwrap();
    let recipe = tiny(2);
    let run = Run::new(recipe.clone()).fit(2, None, &mut |_| {}).unwrap();
    bundle::write(&run, &recipe, (SPECIALISTS[0].course, None), models.path()).unwrap();
    let read = bundle::read(&models.path().join(recipe.specialist.name)).unwrap();
    for (a, b) in weights(&run.model()).iter().zip(weights(&read)) {
        assert!((a - b).abs() <= a.abs() / 1000.0 + 1e-6, "{a} became {b}");
    }
}

fn weights(model: &LlamaForCausalLm) -> Vec<f32> {
    let layer = &model.model.layers[0];
    let tensors = [
        model.model.embed_tokens.weight.val(),
        layer.self_attn.q_proj.weight.val(),
        layer.mlp.down_proj.weight.val(),
    ];
    tensors.into_iter().flat_map(|t| t.into_data().iter::<f32>().collect::<Vec<_>>()).collect()
}

fn params(model: &LlamaForCausalLm) -> usize {
    burn::module::Module::num_params(model)
}

fn models() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

#[test]
fn every_specialist_is_bundled_with_a_card_that_is_true_to_it() {
    let mut families: HashSet<Family> = HashSet::new();
    for specialist in SPECIALISTS {
        let folder = models().join(specialist.name);
        let card = std::fs::read_to_string(folder.join("card.json")).unwrap();
        let card: bundle::Card = serde_json::from_str(&card).unwrap();
        assert_eq!(card.name, specialist.name);
        assert_eq!(params(&bundle::read(&folder).unwrap()), card.params);
        assert_eq!(std::fs::read_to_string(folder.join("README.md")).unwrap(), card.readme());
        let strong: Vec<&str> = specialist.strong.iter().map(|family| family.name()).collect();
        assert_eq!(card.strong, strong);
        assert_eq!(card.course, bundle::to_owned_course(specialist.course));
        for family in specialist.strong {
            assert!(card.accuracy[family.name()].share() >= 0.95, "{} {family:?}", card.name);
            families.insert(*family);
        }
    }
    assert_eq!(families.len(), Family::ALL.len(), "each family is known by a specialist");
}

#[test]
fn bundled_specialists_answer_what_they_are_strong_in() {
    for Specialist { name, strong, .. } in SPECIALISTS {
        let model = bundle::read(&models().join(name)).unwrap();
        let scores = check::by_family(&model, strong, Split::Test, 99, 24);
        for score in scores {
            assert!(score.right >= 21, "{name} {score:?}");
        }
        let question = questions(strong, Split::Test, 98).next().unwrap();
        let text = greedy(&model, &question.text);
        assert!(final_answer(&text).is_some(), "{name} said {text}");
    }
}

/// What the model writes, one likeliest byte after the other.
fn greedy(model: &LlamaForCausalLm, question: &str) -> String {
    let device = Device::flex();
    let mut tokens: Vec<i32> = Row::new(question, "").tokens.iter().map(|t| *t as i32).collect();
    tokens.pop();
    let mut text = Vec::new();
    for _ in 0..256 {
        let row = Tensor::<1, Int>::from_ints(tokens.as_slice(), &device).unsqueeze();
        let last = model.hidden(row).narrow(0, tokens.len() - 1, 1);
        let best = model.head(last).argmax(1).into_scalar::<i32>();
        let Ok(byte) = u8::try_from(best) else { break };
        text.push(byte);
        tokens.push(best);
    }
    String::from_utf8(text).unwrap()
}
