//! How each endpoint tells an answer that a filter cut, and a refusal.

use std::time::Duration;

use serde_json::{Value, json};
use shoal_consensus::{
    Candidate, Outcome,
    ask::Limits,
    outcome::{Decision, Ranking, RoundId, Timings},
    reputation::KindPosterior,
};
use shoal_proto::{NodeId, generate::Finish};

use crate::{
    Encoder,
    anthropic::{MessageEncoder, wire::Message},
    chat::{
        ChatEncoder, ChatRequest,
        wire::{Completion, Head, ReplyOptions},
    },
    responses::{ResponseEncoder, ResponseRequest, wire::Response},
    sse::Events,
};

fn outcome(text: &str, finish: Finish) -> Outcome {
    let candidate = Candidate {
        writer: NodeId([1; 32]),
        model: "m".to_owned(),
        text: text.to_owned(),
        tool_calls: Vec::new(),
        tokens: Vec::new(),
        finish,
        prompt_tokens: 1,
        completion_tokens: 1,
        cached_tokens: 0,
        reasoning_tokens: 0,
        logprob: None,
        took: Duration::ZERO,
        first_piece: Duration::ZERO,
        pool: 0,
    };
    Outcome {
        round: RoundId("r".to_owned()),
        winner: 0,
        decided: Decision::Single,
        kind: KindPosterior::default(),
        candidates: vec![candidate],
        ballots: Vec::new(),
        ranking: Ranking { order: vec![0], ..Ranking::default() },
        fused: None,
        timings: Timings::default(),
    }
}

/// The JSON of each event that an encoder writes for an answer of which `first_text` came first.
fn events(mut encoder: impl Encoder, first_text: &str, outcome: &Outcome) -> Vec<Value> {
    let mut events = Events::default();
    encoder.start(None, &mut events);
    if !first_text.is_empty() {
        encoder.text(0, first_text, &mut events);
    }
    encoder.finish(outcome, true, &mut events);
    let lines = std::iter::from_fn(|| events.pop());
    let data = lines.filter_map(|event| Some(event.split_once("data: ")?.1.to_owned()));
    data.filter_map(|data| serde_json::from_str(data.trim()).ok()).collect()
}

fn chat_options() -> ReplyOptions {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    ReplyOptions::from(&ChatRequest::parse(body, &Limits::default()).expect("accepted"))
}

fn head() -> Head {
    Head::new("id".to_owned(), "chat.completion", "m".to_owned(), 0)
}

fn chat(outcome: &Outcome) -> Value {
    let (_, whole) = Completion::new(head(), chat_options(), outcome).expect("an answer");
    json!(whole)["choices"][0].clone()
}

fn response(first_text: &str, outcome: &Outcome) -> (Value, Vec<Value>) {
    let body = br#"{"model":"m","input":"x"}"#;
    let request = ResponseRequest::parse(body, &Limits::default()).expect("accepted");
    let encoder = ResponseEncoder::new(Response::new(&request, 0), || 0);
    let events = events(encoder, first_text, outcome);
    (events.last().expect("an end")["response"].clone(), events)
}

#[test]
fn an_answer_that_a_filter_cut_says_so_at_every_endpoint() {
    let outcome = outcome("First, take", Finish::Filtered);
    let choice = chat(&outcome);
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("content_filter"), &json!("First, take"))
    );
    let chunks = events(ChatEncoder::new(head(), chat_options()), "First", &outcome);
    assert_eq!(chunks.last().expect("an end")["choices"][0]["finish_reason"], "content_filter");
    let candidate = &outcome.candidates[0];
    assert_eq!(json!(Message::whole("m".to_owned(), candidate))["stop_reason"], "refusal");
    let (response, _) = response("", &outcome);
    assert_eq!(response["status"], "incomplete");
    assert_eq!(response["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn a_refusal_is_one_at_every_endpoint() {
    let outcome = outcome("I cannot.", Finish::Refused);
    let choice = chat(&outcome);
    assert_eq!(choice["message"]["refusal"], "I cannot.");
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&Value::Null, &json!("stop"))
    );
    for first_text in ["", "I cannot."] {
        let chunks = events(ChatEncoder::new(head(), chat_options()), first_text, &outcome);
        let refusals = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["refusal"].as_str());
        assert_eq!(refusals.collect::<String>(), "I cannot.");
    }
    let messages = events(MessageEncoder::new("m".to_owned()), "I", &outcome);
    assert!(messages.iter().any(|event| event["delta"]["stop_reason"] == "refusal"));
    let (whole, events) = response("", &outcome);
    let part = json!([{"type": "refusal", "refusal": "I cannot."}]);
    assert_eq!((&whole["status"], &whole["output"][0]["content"]), (&json!("completed"), &part));
    let kinds = events.iter().map(|event| event["type"].as_str().expect("a type"));
    assert!(kinds.collect::<Vec<_>>().contains(&"response.refusal.delta"));
    // What was streamed as text stays text.
    let (text_response, _) = response("I cannot.", &outcome);
    assert_eq!(text_response["output"][0]["content"][0]["type"], "output_text");
}
