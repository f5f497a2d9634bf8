use shoal_proto::{
    generate::{ChatMessage, Done, Finish, Sampling},
    judge::Kind,
};

use crate::model::folder::{Kept, LETTERS, tiny};
use crate::model::sample::LogSum;

use super::{
    write::{Asker, Halt, floats, write},
    *,
};

fn load(context: usize, kept: Kept) -> Loaded {
    let folder = tiny(context, kept);
    Loaded::open(&Files::folder(folder.path()).unwrap(), &Options::default()).unwrap()
}

fn said(text: &str) -> Vec<ChatMessage> {
    vec![ChatMessage {
        role: "user".to_owned(),
        content: text.to_owned(),
        ..ChatMessage::default()
    }]
}

fn ask(text: &str, sampling: Sampling) -> Generate {
    Generate { messages: said(text), sampling: Some(sampling), ..Generate::default() }
}

fn greedy() -> Sampling {
    Sampling { temperature: Some(0.0), ..Sampling::default() }
}

fn seeded(seed: i64) -> Sampling {
    Sampling { temperature: Some(1.0), seed: Some(seed), ..Sampling::default() }
}

/// Listens to the first `patience` pieces.
struct Listener {
    pieces: Vec<String>,
    patience: usize,
}

impl Asker for Listener {
    fn piece(&mut self, text: String) {
        self.pieces.push(text);
    }

    fn gone(&self) -> bool {
        self.pieces.len() >= self.patience
    }
}

fn answer(model: &Loaded, ask: &Generate) -> Result<(String, Done), EngineError> {
    let mut listener = Listener { pieces: Vec::new(), patience: usize::MAX };
    match write(model, ask, &mut listener) {
        Ok(done) => Ok((listener.pieces.concat(), done)),
        Err(Halt::Failed(error)) => Err(error),
        Err(Halt::Gone) => panic!("the listener did not leave"),
    }
}

fn judged(model: &Loaded, text: &str, candidates: &[&str]) -> Result<Ballot, EngineError> {
    let candidates = candidates.iter().map(|candidate| (*candidate).to_owned()).collect();
    let kind = Kind::Likelihood.into();
    let ask = Judge { messages: said(text), candidates, kind, ..Judge::default() };
    match score::ballot(model, &ask, &|| false) {
        Ok(ballot) => Ok(ballot),
        Err(Halt::Failed(error)) => Err(error),
        Err(Halt::Gone) => panic!("nobody left"),
    }
}

#[test]
fn a_folder_answers_the_same_each_time() {
    let (one, other) = (load(128, Kept::F32), load(128, Kept::F32));
    let ask = ask("abc", Sampling { max_tokens: Some(40), ..greedy() });
    assert_eq!(answer(&one, &ask).unwrap(), answer(&other, &ask).unwrap());
    assert_eq!(one.card.digest.len(), 64);
    assert_eq!(one.card.digest, other.card.digest);
    assert_eq!(one.card.context, 128);
}

#[test]
fn however_the_weights_are_kept_it_is_the_same_model() {
    let ask = ask("hello, abc", Sampling { max_tokens: Some(60), ..seeded(5) });
    let expected = answer(&load(128, Kept::F32), &ask).unwrap();
    for kept in [Kept::F16, Kept::Bf16, Kept::Shards] {
        assert_eq!(answer(&load(128, kept), &ask).unwrap(), expected, "{kept:?}");
    }
}

#[test]
fn the_same_seed_writes_the_same_text_and_another_does_not() {
    let model = load(128, Kept::F32);
    let text = |seed| answer(&model, &ask("abc", seeded(seed))).unwrap().0;
    assert_eq!(text(1), text(1));
    assert!((2..6).any(|seed| text(seed) != text(1)));
}

#[test]
fn a_judge_gives_a_text_the_likelihood_that_its_writer_reported() {
    let model = load(128, Kept::F32);
    let mut ended = 0;
    for seed in 0..120 {
        let prompt = &LETTERS[..1 + usize::try_from(seed).unwrap() % 12];
        let (text, done) = answer(&model, &ask(prompt, seeded(seed))).unwrap();
        let ballot = judged(&model, prompt, &["cab", &text, ""]).unwrap();
        let score = ballot.scores[1];
        // An answer cut off by the context claims nothing, and neither does one with marks in it
        // (which are no text): nobody could recompute it.
        let Some(claimed) = done.logprob else { continue };
        assert_eq!((done.finish(), score.tokens), (Finish::Stop, done.completion_tokens));
        ended += 1;
        assert!((claimed - score.logprob).abs() < 1e-3, "{claimed} {score:?}");
    }
    assert!(ended >= 10, "only {ended} answers ended by themselves");
}

#[test]
fn a_score_is_that_of_one_pass_without_a_cache() {
    let model = load(1024, Kept::F32);
    let candidate = LETTERS.repeat(40);
    let score = judged(&model, "abc", &["x", &candidate]).unwrap().scores[1];

    let prompt = model.prompt(&said("abc")).unwrap();
    let mut tokens = model.tokenizer.encode(&candidate).unwrap();
    tokens.extend(model.tokenizer.ends());
    let all = [prompt.clone(), tokens.clone()].concat();
    let logits = floats(model.llama.forward(model.row(&all))).unwrap();
    let rows = logits.chunks_exact(model.vocab()).skip(prompt.len() - 1);
    let sum: f64 = rows
        .zip(&tokens)
        .map(|(row, t)| LogSum::of(row).unwrap().logprob(row, *t as usize).unwrap())
        .sum();
    assert!((sum - score.logprob).abs() < 1e-3 * 600.0, "{sum} {score:?}");
    assert_eq!(score.tokens, 601);
}

#[test]
fn what_does_not_fit_the_context_is_scored_as_if_all_tokens_were_alike() {
    let model = load(64, Kept::F32);
    let (fits, over) = (LETTERS.repeat(3), LETTERS.repeat(20));
    let scores = judged(&model, "abc", &[&fits, &over]).unwrap().scores;
    // The prompt has 5 tokens, of which 4 are read before; 60 of the 301 tokens fit.
    let alike = -(18f64.ln()) * 241.0;
    assert!(scores[1].logprob.is_finite() && scores[1].logprob < alike);
    assert!(scores[1].logprob < scores[0].logprob);
    assert_eq!(scores[1].tokens, 301);
}

#[test]
fn an_answer_ends_at_its_limit_and_at_the_contexts_end() {
    let model = load(32, Kept::F32);
    let never_ends = |seed: &i64| {
        let (_, done) = answer(&model, &ask("abc", seeded(*seed))).unwrap();
        done.finish() == Finish::Length
    };
    let seed = (0..100).find(never_ends).unwrap();
    let (_, done) = answer(&model, &ask("abc", seeded(seed))).unwrap();
    assert_eq!((done.prompt_tokens, done.completion_tokens), (5, 27));
    assert_eq!(done.logprob, None, "it has no end");
    let short = Sampling { max_tokens: Some(7), ..seeded(seed) };
    let (_, done) = answer(&model, &ask("abc", short)).unwrap();
    assert_eq!((done.finish(), done.completion_tokens), (Finish::Length, 7));
}

#[test]
fn a_conversation_that_fills_the_context_is_refused_before_work() {
    let model = load(32, Kept::F32);
    let full = "a".repeat(30);
    let error = answer(&model, &ask(&full, greedy())).unwrap_err();
    assert_eq!(error, EngineError::context_length(32));
    assert_eq!(judged(&model, &full, &["a"]).unwrap_err(), EngineError::context_length(32));
    assert!(answer(&model, &ask(&full[1..], greedy())).is_ok());
}

#[test]
fn a_stop_text_ends_the_answer_and_is_not_part_of_it() {
    let model = load(128, Kept::F32);
    let long = |seed: &i64| answer(&model, &ask("abc", seeded(*seed))).unwrap().0.len() > 12;
    let seed = (0..100).find(long).unwrap();
    let (whole, _) = answer(&model, &ask("abc", seeded(seed))).unwrap();
    let stop = whole[6..8].to_owned();
    let stopped = Sampling { stop: vec![stop.clone()], ..seeded(seed) };
    let (text, done) = answer(&model, &ask("abc", stopped)).unwrap();
    assert_eq!(text, whole[..whole.find(&stop).unwrap()]);
    assert_eq!(done.finish(), Finish::Stop);
    assert_eq!(done.completion_tokens as usize, text.len() + 2, "the stop text was written");
    assert_eq!(done.logprob, None, "the text is not all that was written");
}

#[test]
fn when_nobody_listens_the_model_stops_at_the_next_token() {
    let model = load(128, Kept::F32);
    let long = |seed: &i64| answer(&model, &ask("abc", seeded(*seed))).unwrap().0.len() > 12;
    let seed = (0..100).find(long).unwrap();
    let mut listener = Listener { pieces: Vec::new(), patience: 3 };
    let halted = write(&model, &ask("abc", seeded(seed)), &mut listener);
    assert!(matches!(halted, Err(Halt::Gone)));
    assert_eq!(listener.pieces.len(), 3);
    let ballot =
        score::ballot(&model, &Judge { messages: said("abc"), ..Judge::default() }, &|| true);
    assert!(matches!(ballot, Err(Halt::Gone)));
}

#[tokio::test]
async fn the_engine_streams_from_its_own_threads() {
    let folder = tiny(128, Kept::F32);
    let files = Files::folder(folder.path()).unwrap();
    let options = Options { slots: 2, name: Some("tiny".to_owned()), ..Options::default() };
    let engine = Burn::open(&files, &options).unwrap();
    assert_eq!(engine.model().name, "tiny");
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut events = engine.generate(ask("abc", seeded(4)));
        let mut text = String::new();
        while let Some(Ok(Event::Piece(piece))) = events.recv().await {
            text.push_str(&piece);
        }
        answers.push(text);
    }
    assert!(!answers[0].is_empty());
    assert_eq!(answers[0], answers[1]);
    let candidates = answers.clone();
    let kind = Kind::Likelihood.into();
    let judge = Judge { messages: said("abc"), candidates, kind, ..Judge::default() };
    let ballot = engine.judge(judge).await.unwrap();
    assert_eq!(ballot.scores[0], ballot.scores[1]);
}

#[test]
fn every_bundled_model_loads_and_answers() {
    for name in bundled_names() {
        let files = Files::bundled(name).unwrap();
        let model = Loaded::open(&files, &Options::default()).unwrap();
        assert_eq!(model.card.name, name);
        assert!(!model.card.description.is_empty(), "{name} says nothing of itself");
        let (text, done) = answer(&model, &ask("What is 47 plus 385?", greedy())).unwrap();
        assert_eq!(done.finish(), Finish::Stop, "{name} does not end: {text}");
    }
}
