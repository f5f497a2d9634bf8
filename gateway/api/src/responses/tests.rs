use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::tests::value;
use shoal_consensus::{Mode, ask::Target};

fn request(fields: Value) -> Value {
    let mut body = json!({"model": "shoal", "input": "What is 2 + 2?"});
    for (name, value) in fields.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn chat(body: &Value) -> Result<ChatRequest, AskError> {
    ResponseRequest::parse(body.to_string().as_bytes(), &Limits::default())?
        .ask(&[], &Limits::default())
}

fn call(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"})
}

fn result(id: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": id})
}

#[test]
fn an_output_that_comes_back_is_the_turn_that_it_was() {
    let message = json!({
        "type": "message", "id": "m", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "adding", "annotations": [], "logprobs": []}],
    });
    let body = request(json!({"input": [
        {"role": "user", "content": "add"}, message, call("a"), call("b"),
        {"type": "reasoning", "id": "r", "summary": []}, result("b"), result("a"),
    ]}));
    let messages = chat(&body).expect("accepted").ask.messages;
    let roles: Vec<&str> = messages.iter().map(|message| message.role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool"]);
    assert_eq!((messages[1].content.as_str(), messages[1].tool_calls.len()), ("adding", 2));
    assert_eq!((messages[2].tool_call_id.as_str(), messages[2].content.as_str()), ("b", "b"));
}

#[test]
fn earlier_turns_stand_after_the_instructions_and_before_what_is_new() {
    let body = request(json!({"instructions": "Be brief."}));
    let earlier = [json!({"role": "user", "content": "before"})];
    let request =
        ResponseRequest::parse(body.to_string().as_bytes(), &Limits::default()).expect("accepted");
    let messages = request.ask(&earlier, &Limits::default()).expect("accepted").ask.messages;
    let texts: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(texts, ["Be brief.", "before", "What is 2 + 2?"]);
}

#[test]
fn storing_a_response_is_no_consent_to_training() {
    for store in [json!(true), Value::Null] {
        assert!(!chat(&request(json!({"store": store}))).expect("accepted").store);
    }
}

#[test]
fn what_has_another_name_means_the_same() {
    let body = request(json!({
        "reasoning": {"effort": "high"}, "max_output_tokens": 20, "top_logprobs": 3,
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
    }));
    let ask = chat(&body).expect("accepted").ask;
    assert_eq!((ask.effort.mode, &ask.target), (Mode::Deep, &Target::Swarm));
    assert_eq!((ask.sampling.max_tokens, ask.sampling.logprobs), (Some(20), Some(3)));
    assert!(ask.format.is_some_and(|format| format.name == "x"));
}

fn function(name: &str) -> Value {
    json!({"type": "function", "name": name, "parameters": {"type": "object"}})
}

#[test]
fn a_choice_among_some_functions_takes_the_others_away() {
    let body = request(json!({
        "tools": [function("f"), function("g")],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
    }));
    let tools = chat(&body).expect("accepted").ask.tools.expect("some");
    let names: Vec<&str> = tools.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["g"]);
}

fn parse_strictly(fields: Value) -> Result<ResponseRequest, AskError> {
    let limits = Limits { strict: true, ..Limits::default() };
    ResponseRequest::parse(request(fields).to_string().as_bytes(), &limits)
}

#[test]
fn a_strict_operator_refuses_what_this_endpoint_does_not_know() {
    assert!(parse_strictly(json!({"temperature": 1, "truncation": "auto"})).is_ok());
    let error = parse_strictly(json!({"temprature": 1})).expect_err("refused");
    assert_eq!(error.code, Some("unknown_parameter"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ResponseRequest::parse(&body, &Limits::default());
    }

    #[test]
    fn any_value_in_any_field_is_accepted_or_named(index in 0usize..16, value in value()) {
        let names = [
            "model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "include",
            "metadata", "previous_response_id", "store", "background", "max_output_tokens", "stop",
            "shoal", "truncation",
        ];
        if let Err(error) = chat(&request(json!({names[index]: value}))) {
            prop_assert!(error.code.is_none() || error.param.is_some(), "{error:?}");
        }
    }
}
