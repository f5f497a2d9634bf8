use shoal_engine::{Engine, EngineError, Event};
use shoal_model::testing::{Kept, LETTERS, tiny};
use shoal_proto::{
    generate::{ChatMessage, Done, Fault, Finish, Generate, Sampling},
    judge::{Ballot, BallotKind, Judge},
};

use super::*;

fn load(context: usize, storage: Kept) -> Local {
    let folder = tiny(context, storage);
    serve(&Files::folder(folder.path()).unwrap())
}

fn serve(files: &Files) -> Local {
    let service = Service { slots: 2, ..Service::default() };
    open(files.clone(), &service, &Options::default(), Metrics::new().unwrap()).unwrap()
}

fn conversation(text: &str) -> Vec<ChatMessage> {
    vec![ChatMessage::new("user", text)]
}

fn ask(text: &str, sampling: Sampling) -> Generate {
    Generate { messages: conversation(text), sampling: Some(sampling), ..Generate::default() }
}

fn greedy() -> Sampling {
    Sampling { temperature: Some(0.0), ..Sampling::default() }
}

fn with_seed(seed: i64) -> Sampling {
    Sampling { temperature: Some(1.0), seed: Some(seed), ..Sampling::default() }
}

async fn answer(model: &Local, ask: &Generate) -> Result<(String, Done), EngineError> {
    let mut events = model.generate(ask.clone());
    let mut text = String::new();
    loop {
        match events.recv().await.expect("a last word") {
            Ok(Event::Piece(piece)) => text.push_str(&piece),
            Ok(Event::Done(end)) => return Ok((text, end)),
            Err(error) => return Err(error),
        }
    }
}

async fn scores_of(model: &Local, text: &str, candidates: &[&str]) -> Result<Ballot, EngineError> {
    let candidates = candidates.iter().map(|candidate| (*candidate).to_owned()).collect();
    let kind = BallotKind::Likelihood.into();
    model.judge(Judge { messages: conversation(text), candidates, kind, ..Judge::default() }).await
}

#[tokio::test]
async fn a_folder_answers_the_same_each_time() {
    let (first, second) = (load(128, Kept::F32), load(128, Kept::F32));
    let ask = ask("abc", Sampling { max_tokens: Some(40), ..greedy() });
    assert_eq!(answer(&first, &ask).await.unwrap(), answer(&second, &ask).await.unwrap());
    assert_eq!(first.model().digest.len(), 64);
    assert_eq!(first.model().digest, second.model().digest);
    assert_eq!(first.model().context, 128);
}

#[tokio::test]
async fn however_the_weights_are_kept_it_is_the_same_model() {
    let ask = ask("hello, abc", Sampling { max_tokens: Some(60), ..with_seed(5) });
    let (text, _) = answer(&load(128, Kept::F32), &ask).await.unwrap();
    for storage in [Kept::F16, Kept::Bf16, Kept::Shards] {
        assert_eq!(answer(&load(128, storage), &ask).await.unwrap().0, text, "{storage:?}");
    }
}

#[tokio::test]
async fn the_same_seed_writes_the_same_text_and_another_does_not() {
    let model = load(128, Kept::F32);
    let mut texts = Vec::new();
    for seed in [1, 1, 2, 3, 4, 5] {
        texts.push(answer(&model, &ask("abc", with_seed(seed))).await.unwrap().0);
    }
    assert_eq!(texts[0], texts[1]);
    assert!(texts[2..].iter().any(|text| *text != texts[0]));
}

#[tokio::test]
async fn a_seeds_text_is_its_own_whatever_else_is_written_beside_it() {
    let model = load(128, Kept::F32);
    let alone = answer(&model, &ask("abc", with_seed(1))).await.unwrap();
    let beside = [ask("hello", with_seed(7)), ask("abc", with_seed(9))];
    let (text, ..) = tokio::join!(
        async { answer(&model, &ask("abc", with_seed(1))).await.unwrap() },
        answer(&model, &beside[0]),
        answer(&model, &beside[1]),
    );
    assert_eq!((text.0, text.1.logprob), (alone.0, alone.1.logprob));
}

#[tokio::test]
async fn a_judge_gives_a_text_the_likelihood_that_its_writer_reported() {
    let model = load(128, Kept::F32);
    let mut ends = 0;
    for seed in 0..120 {
        let prompt = &LETTERS[..1 + usize::try_from(seed).unwrap() % 12];
        let (text, end) = answer(&model, &ask(prompt, with_seed(seed))).await.unwrap();
        let ballot = scores_of(&model, prompt, &["cab", &text, ""]).await.unwrap();
        let score = ballot.scores[1];
        // An answer cut off by the context claims nothing, and neither does one with marks in it
        // (which are no text): nobody could recompute it.
        let Some(claim) = end.logprob else { continue };
        assert_eq!((end.finish(), score.tokens), (Finish::Stop, end.completion_tokens));
        ends += 1;
        assert!((claim - score.logprob).abs() < 1e-3, "{claim} {score:?}");
    }
    assert!(ends >= 10, "only {ends} answers ended by themselves");
}

#[tokio::test]
async fn what_does_not_fit_the_context_is_scored_as_if_all_tokens_were_alike() {
    let model = load(64, Kept::F32);
    let (fits, over) = (LETTERS.repeat(3), LETTERS.repeat(20));
    let scores = scores_of(&model, "abc", &[&fits, &over]).await.unwrap().scores;
    // The prompt has 5 tokens, of which 4 are read before; 60 of the 301 tokens fit.
    let alike = -(18f64.ln()) * 241.0;
    assert!(scores[1].logprob.is_finite() && scores[1].logprob < alike);
    assert!(scores[1].logprob < scores[0].logprob);
    assert_eq!(scores[1].tokens, 301);
}

#[tokio::test]
async fn an_answer_ends_at_its_limit_and_at_the_contexts_end() {
    let model = load(32, Kept::F32);
    let mut cut = None;
    for seed in 0..100 {
        let (_, end) = answer(&model, &ask("abc", with_seed(seed))).await.unwrap();
        if end.finish() == Finish::Length {
            cut = Some((seed, end));
            break;
        }
    }
    let (seed, end) = cut.expect("one of a hundred does not end");
    assert_eq!((end.prompt_tokens, end.completion_tokens), (5, 27));
    assert_eq!(end.logprob, None, "it has no end");
    let short = Sampling { max_tokens: Some(7), ..with_seed(seed) };
    let (_, end) = answer(&model, &ask("abc", short)).await.unwrap();
    assert_eq!((end.finish(), end.completion_tokens), (Finish::Length, 7));
}

#[tokio::test]
async fn a_conversation_that_fills_the_context_is_refused_before_work() {
    let model = load(32, Kept::F32);
    let full = "a".repeat(30);
    let error = answer(&model, &ask(&full, greedy())).await.unwrap_err();
    assert_eq!(error.fault, Fault::ContextLength);
    assert_eq!(error, EngineError::context_length(32));
    assert_eq!(
        scores_of(&model, &full, &["a"]).await.unwrap_err(),
        EngineError::context_length(32)
    );
    assert!(answer(&model, &ask(&full[1..], greedy())).await.is_ok());
}

#[tokio::test]
async fn every_bundled_model_loads_and_answers() {
    for name in bundled_names() {
        let model = serve(&Files::bundled(name).unwrap());
        assert_eq!(model.model().name, name);
        assert!(!model.model().description.is_empty(), "{name} says nothing of itself");
        let (text, end) = answer(&model, &ask("What is 47 plus 385?", greedy())).await.unwrap();
        let ends = matches!(end.finish(), Finish::Stop | Finish::Abstained);
        assert!(ends, "{name} does not end: {text}");
        assert!(name != "shoal-sum" || end.finish() == Finish::Stop, "{name} knows sums");
    }
}
