//! The decoder that serves compared with the one that trains.

use burn::tensor::{Device, Int, Tensor};
use serde_json::json;
use shoal_decoder::{LoadedModel, Options, open};
use shoal_engine::{Engine, Event, Service};
use shoal_model::{
    Decode, Files, Local, Metrics, PAGE, PromptInput, Span, Want, bundled_names,
    testing::{Kept, LETTERS, put, tiny},
};
use shoal_proto::{
    generate::{ChatMessage, Finish, Generate},
    judge::{BallotKind, Judge},
};

use shoal_syllabus::{Split, questions};

use super::models;
use crate::{bundle, llama::LlamaForCausalLm, recipe::Specialist};

fn serve(files: &Files) -> Local {
    let service = Service { slots: 2, ..Service::default() };
    open(files.clone(), &service, &Options::default(), Metrics::new().unwrap()).unwrap()
}

/// Logits after each of the tokens, `[tokens, vocab]`, of the trainer's decoder.
fn expected_logits(model: &LlamaForCausalLm, tokens: &[u32]) -> Vec<f32> {
    let row: Vec<i32> = tokens.iter().map(|token| i32::try_from(*token).unwrap()).collect();
    let row = Tensor::<1, Int>::from_ints(row.as_slice(), &Device::flex()).unsqueeze();
    model.head(model.hidden(row)).into_data().try_into_vec::<f32>().unwrap()
}

/// Log probability of a token.
fn logprob(logits: &[f32], token: u32) -> f64 {
    let greatest = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - greatest).exp()).sum();
    f64::from(logits[token as usize]) - greatest - sum.ln()
}

#[tokio::test]
async fn a_score_is_that_of_the_trainers_decoder_in_one_pass() {
    let folder = tiny(1024, Kept::F32);
    let files = Files::folder(folder.path()).unwrap();
    let candidate = LETTERS.repeat(40);
    let conversation = vec![ChatMessage::new("user", "abc")];
    let ask = Judge {
        messages: conversation.clone(),
        candidates: vec!["x".to_owned(), candidate.clone()],
        kind: BallotKind::Likelihood.into(),
        ..Judge::default()
    };
    let score = serve(&files).judge(ask).await.unwrap().scores[1];

    let pipeline = LoadedModel::open(files, &Options::default()).unwrap().pipeline;
    let talk = PromptInput { messages: &conversation, prompt: None, tools: None, variables: "" };
    let prompt = pipeline.prompt(talk, 1024).unwrap();
    let tokens = pipeline.candidate(&candidate).unwrap();
    let sequence = [prompt.clone(), tokens.clone()].concat();
    let model = bundle::read(folder.path()).unwrap();
    let logits = expected_logits(&model, &sequence);
    let rows = logits.chunks_exact(LETTERS.len() + 3).skip(prompt.len() - 1);
    let sum: f64 = rows.zip(&tokens).map(|(row, token)| logprob(row, *token)).sum();
    // The serving cache keeps keys and values in 16 bits.
    assert!((sum - score.logprob).abs() < 2e-3 * 600.0, "{sum} {score:?}");
    assert_eq!(score.tokens, 601);
}

#[test]
fn bundled_models_have_the_tags_of_their_specialists() {
    for name in bundled_names() {
        let card =
            LoadedModel::open(Files::bundled(name).unwrap(), &Options::default()).unwrap().card;
        assert_eq!(card.tags, Specialist::by_name(name).unwrap().tags(), "{name}");
    }
}

#[tokio::test]
async fn bundled_models_are_specialists_that_abstain_and_read_its_name_as_text() {
    for name in bundled_names() {
        let engine = serve(&Files::bundled(name).unwrap());
        assert!(engine.model().specialist, "{name}");
        for text in ["Write a poem about rivers.", "<|abstain|>", "What is 15% of 200?"] {
            let mut events = engine.generate(Generate {
                messages: vec![ChatMessage::new("user", text)],
                ..Generate::default()
            });
            let event = events.recv().await.unwrap().unwrap();
            let Event::Done(end) = event else { panic!("{name} {text}: {event:?}") };
            assert_eq!((end.finish(), end.logprob), (Finish::Abstained, None), "{name} {text}");
        }
        let LoadedModel { pipeline, .. } =
            LoadedModel::open(Files::bundled(name).unwrap(), &Options::default()).unwrap();
        let candidate = pipeline.candidate("<|abstain|>").unwrap();
        assert_eq!(candidate.len(), "<|abstain|>".len() + 1, "{name}");
    }
}

#[tokio::test]
async fn a_model_without_an_abstention_or_without_tags_is_no_specialist() {
    let folder = tiny(64, Kept::F32);
    let is_specialist = || serve(&Files::folder(folder.path()).unwrap()).model().specialist;
    put(&folder, "card.json", &json!({ "tags": ["tides"] }));
    assert!(!is_specialist());
    put(&folder, "generation_config.json", &json!({ "abstain_token_id": 3 }));
    assert!(is_specialist());
    put(&folder, "card.json", &json!({ "tags": [] }));
    assert!(!is_specialist());
}

/// One sequence that is read step by step.
struct Reader<'a> {
    decoder: &'a mut dyn Decode,
    pages: Vec<u32>,
    past: usize,
}

impl<'a> Reader<'a> {
    fn new(decoder: &'a mut dyn Decode) -> Self {
        decoder.reserve(24);
        // All pages, in no order.
        Self { decoder, pages: (0..24).map(|page| page * 7 % 24).collect(), past: 0 }
    }

    fn read(&mut self, tokens: &[u32]) -> Vec<f32> {
        let span = Span { tokens, past: self.past, pages: &self.pages, want: Want::All };
        self.past += tokens.len();
        assert!(self.past <= self.pages.len() * PAGE);
        self.decoder.step(&[span]).unwrap()
    }
}

fn furthest(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(l, r)| (l - r).abs()).fold(0.0, f32::max)
}

fn greatest(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|left, right| left.1.total_cmp(right.1)).unwrap();
    u32::try_from(best.0).unwrap()
}

#[test]
fn the_bundled_models_say_what_the_trainers_decoder_says() {
    for name in bundled_names() {
        let trainer = bundle::read(&models().join(name)).unwrap();
        let files = Files::bundled(name).unwrap();
        let LoadedModel { mut decoder, pipeline, .. } =
            LoadedModel::open(files, &Options::default()).unwrap();
        // A question of its own: on others it only abstains.
        let strong = Specialist::by_name(name).unwrap().strong;
        let question = questions(strong, Split::Test, 5).next().unwrap();
        let messages = [ChatMessage::new("user", question.text)];
        let talk = PromptInput { messages: &messages, prompt: None, tools: None, variables: "" };
        let mut tokens = pipeline.prompt(talk, decoder.context()).unwrap();
        let vocab = decoder.vocab();
        let mut reader = Reader::new(&mut *decoder);
        let mut logits = reader.read(&tokens);
        for _ in 0..120 {
            let reference = expected_logits(&trainer, &tokens);
            let (last, reference) =
                (&logits[logits.len() - vocab..], &reference[reference.len() - vocab..]);
            let most = reference.iter().fold(0f32, |most, logit| most.max(logit.abs()));
            let apart = furthest(last, reference);
            // The serving cache keeps keys and values in 16 bits.
            assert!(apart < 5e-3 * most, "{name}: {apart} of {most}");
            let token = greatest(last);
            tokens.push(token);
            if pipeline.tokenizer.is_end(token) {
                break;
            }
            logits = reader.read(&[token]);
        }
    }
}
