//! No number of a member goes beyond what the gateway knows.

use shoal_proto::{
    generate::{Sampling, TokenLogprob},
    judge::{Pair, Score},
    tools::ToolCall,
};

use super::*;

fn ask(text: &str, max_tokens: Option<u32>) -> Generate {
    Generate {
        messages: vec![ChatMessage::new("user", text)],
        sampling: Some(Sampling { max_tokens, ..Sampling::default() }),
        ..Generate::default()
    }
}

/// A member that states the greatest number everywhere.
fn boast() -> Done {
    Done {
        prompt_tokens: u32::MAX,
        completion_tokens: u32::MAX,
        cached_tokens: u32::MAX,
        logprob: Some(-1e300),
        ..Done::default()
    }
}

fn bounded(max_tokens: Option<u32>, context: u32, text_bytes: usize, elapsed: Duration) -> Done {
    let model = Model { context, ..Model::default() };
    let bounds = AnswerBounds::new(&ask("hello", max_tokens), &model);
    bounds.done(boast(), text_bytes, elapsed).expect("an answer")
}

const LONG: Duration = Duration::from_secs(3_600);

#[test]
fn a_prompt_has_no_more_tokens_than_bytes_and_a_template() {
    let end = bounded(None, 1 << 20, 10, LONG);
    assert!(end.prompt_tokens < 1_200, "{}", end.prompt_tokens);
    assert_eq!(end.cached_tokens, end.prompt_tokens);
}

#[test]
fn an_answer_has_no_more_tokens_than_it_could_write() {
    let completion = |max_tokens, context, bytes, elapsed| {
        bounded(max_tokens, context, bytes, elapsed).completion_tokens
    };
    assert_eq!(completion(Some(500), 4_096, 10, LONG), 500);
    assert_eq!(completion(None, 4_096, 10, LONG), 4_096);
    assert_eq!(completion(None, u32::MAX, 10, LONG), HIDDEN_TOKENS_MAX);
    assert_eq!(completion(Some(500), 4_096, 9_000, LONG), 9_064, "it wrote them");
    // What it does not show takes time.
    assert_eq!(completion(None, u32::MAX, 10, Duration::ZERO), 74);
    assert_eq!(completion(None, u32::MAX, 10, Duration::from_millis(100)), 2_074);
}

#[test]
fn what_an_honest_member_states_is_kept() {
    let mut ask = ask("What is the capital of France?", Some(64));
    ask.messages
        .push(ChatMessage { images: vec!["https://a/b.png".into()], ..ChatMessage::default() });
    let end = Done {
        prompt_tokens: 2_040,
        completion_tokens: 40,
        cached_tokens: 16,
        logprob: Some(-12.5),
        tool_calls: vec![ToolCall { arguments: "x".repeat(80), ..ToolCall::default() }],
        ..Done::default()
    };
    let bounds = AnswerBounds::new(&ask, &Model { context: 4_096, ..Model::default() });
    assert_eq!(bounds.done(end.clone(), 0, Duration::from_millis(1)), Ok(end));
}

#[test]
fn lists_of_tokens_are_no_longer_than_the_answer() {
    let bounds = AnswerBounds::new(&ask("hello", Some(8)), &Model::default());
    let tokens = vec![TokenLogprob::default(); 100];
    let end = Done { tokens: tokens.clone(), ..Done::default() };
    assert!(bounds.done(end.clone(), 10, LONG).is_err());
    assert!(bounds.done(end, 100, LONG).is_ok_and(|end| end.tokens.is_empty()), "nobody asked");
    let top = TokenLogprob { top: tokens, ..TokenLogprob::default() };
    assert!(bounds.done(Done { tokens: vec![top], ..Done::default() }, 10, LONG).is_err());
}

#[test]
fn a_hello_states_believable_numbers() {
    let speed =
        Speed { prefill: u32::MAX, decode: u32::MAX, decode_eight: u32::MAX, bandwidth: u32::MAX };
    let boast =
        Model { context: u32::MAX, parameters: 1 << 63, speed: Some(speed), ..Model::default() };
    let model = model(boast);
    assert_eq!((model.context, model.parameters, slots(u32::MAX)), (CONTEXT_MAX, 0, SLOTS_MAX));
    assert!(model.speed.is_some_and(|speed| speed.decode == TOKENS_PER_SECOND_MAX));
    let honest = Model { context: 131_072, parameters: 671_000_000_000, ..Model::default() };
    assert_eq!(super::model(honest.clone()), honest);
}

#[test]
fn a_ballot_is_bounded_by_the_texts_that_were_sent() {
    let scores = vec![Score { logprob: -1e300, tokens: u32::MAX }; 2];
    let boast = Ballot {
        scores,
        verdicts: Vec::new(),
        prompt_tokens: u32::MAX,
        completion_tokens: u32::MAX,
    };
    let ask = Judge {
        messages: vec![ChatMessage::new("user", "hello")],
        candidates: vec!["a".into(), "bc".into()],
        kind: BallotKind::Likelihood.into(),
        ..Judge::default()
    };
    let likelihoods = ballot(boast.clone(), &ask);
    assert!(likelihoods.prompt_tokens < 2_400 && likelihoods.completion_tokens <= 2);
    assert_eq!(likelihoods.scores[1], Score { logprob: -300.0, tokens: 3 });
    let pairs = vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }];
    let ask = Judge { kind: BallotKind::Reasoned.into(), pairs, ..ask };
    assert_eq!(ballot(boast, &ask).completion_tokens, 2 * (100 + 64));
}

#[test]
fn vectors_cost_what_was_sent() {
    let ask = Embed { inputs: vec!["hello".into(); 3] };
    let reply = Embedded { vectors: Vec::new(), prompt_tokens: u32::MAX };
    assert_eq!(embedded(reply, &ask).prompt_tokens, 3 * (5 + 32));
}
