use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use shoal_proto::{
    generate::TokenBias,
    tools::{ToolCall, ToolChoice, Tools},
};

use crate::{chat::ChatRequest, error::AskError};
use shoal_consensus::{
    Mode,
    ask::{Limits, Target},
};

/// A valid request with `fields` merged into it. Null removes a field.
fn request(fields: Value) -> Value {
    let mut body =
        json!({"model": "shoal", "messages": [{"role": "user", "content": "What is 2 + 2?"}]});
    for (name, value) in fields.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn parse(body: &Value) -> Result<ChatRequest, AskError> {
    ChatRequest::parse(body.to_string().as_bytes(), &Limits::default())
}

fn content(message: Value) -> String {
    let request = parse(&json!({"model": "shoal", "messages": [message]})).expect("accepted");
    request.ask.messages[0].content.clone()
}

fn refusal(message: Value) -> AskError {
    parse(&json!({"model": "shoal", "messages": [message]})).expect_err("refused")
}

#[test]
fn a_plain_request_is_asked_with_the_operators_effort() {
    let request = parse(&request(json!({}))).expect("accepted");
    assert_eq!(request.ask.target, Target::Swarm);
    assert_eq!(request.ask.effort, Limits::default().effort(Mode::Balanced));
    assert_eq!((request.stream, request.include_usage), (false, false));
    assert_eq!(request.ask.messages[0].role, "user");
    assert_eq!(request.ask.sampling, Default::default());
}

#[test]
fn a_name_other_than_the_swarms_is_one_members_model() {
    let request = parse(&request(json!({"model": "digits-1"}))).expect("accepted");
    assert_eq!(request.ask.target, Target::Model("digits-1".into()));
}

#[test]
fn null_is_the_same_as_absent_for_every_optional_field() {
    let names = [
        "temperature",
        "top_p",
        "seed",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "n",
        "stream",
        "stream_options",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "modalities",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "metadata",
        "store",
        "user",
        "parallel_tool_calls",
        "shoal",
    ];
    let nulls = names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    assert!(parse(&request(Value::Object(nulls))).is_ok());
}

#[test]
fn sampling_reaches_the_ask_as_it_was_sent() {
    let body = request(json!({
        "temperature": 0.5, "top_p": 0.25, "seed": -7, "max_completion_tokens": 12.0, "stop": ["a", "", "b"],
    }));
    let sampling = parse(&body).expect("accepted").ask.sampling;
    assert_eq!((sampling.temperature, sampling.top_p), (Some(0.5), Some(0.25)));
    assert_eq!((sampling.seed, sampling.max_tokens), (Some(-7), Some(12)));
    assert_eq!(sampling.stop, ["a", "b"]);
}

#[test]
fn a_stop_text_has_a_limit() {
    let result = |stop: Value| parse(&request(json!({"stop": stop})));
    assert!(result(json!("x".repeat(1024))).is_ok());
    let error = result(json!(["x", "y".repeat(1025)])).expect_err("too long");
    let (code, param) = (error.code, error.param.as_deref());
    assert_eq!((code, param), (Some("string_above_max_length"), Some("stop[1]")));
}

#[test]
fn a_limit_beyond_any_context_is_no_limit() {
    let sampling =
        parse(&request(json!({"max_tokens": 9_000_000_000_i64}))).expect("accepted").ask.sampling;
    assert_eq!(sampling.max_tokens, Some(u32::MAX));
}

#[test]
fn a_nucleus_of_nothing_still_holds_a_token() {
    let sampling = parse(&request(json!({"top_p": 0}))).expect("accepted").ask.sampling;
    assert!(sampling.top_p.is_some_and(|mass| mass > 0.0));
}

#[test]
fn text_parts_are_joined_in_every_role() {
    let parts = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
    for role in ["system", "developer", "user", "assistant", "function"] {
        assert_eq!(content(json!({"role": role, "content": parts})), "one\ntwo", "{role}");
    }
}

#[test]
fn an_assistants_message_comes_back_as_sdks_dump_it() {
    let message = json!({
        "role": "assistant", "content": "x", "refusal": null, "annotations": [], "audio": null,
        "function_call": null, "tool_calls": null,
    });
    assert_eq!(content(message), "x");
    assert_eq!(content(json!({"role": "assistant", "content": null, "refusal": "no"})), "no");
    assert_eq!(content(json!({"role": "assistant", "content": "no", "refusal": "no"})), "no");
}

#[test]
fn a_tool_result_follows_its_call_and_both_stay_readable() {
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}});
    let body = request(json!({"messages": [
        {"role": "user", "content": "add"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "5"}]},
    ]}));
    let messages = parse(&body).expect("accepted").ask.messages;
    let call = ToolCall { id: "c1".into(), name: "add".into(), arguments: "{}".into() };
    assert_eq!((messages[1].content.as_str(), &messages[1].tool_calls[..]), ("", &[call][..]));
    assert_eq!((messages[2].role.as_str(), messages[3].content.as_str()), ("tool", "5"));
    assert_eq!(
        (messages[2].tool_call_id.as_str(), messages[3].tool_call_id.as_str()),
        ("c1", "c2")
    );
}

#[test]
fn a_result_of_the_deprecated_kind_belongs_to_the_last_call_of_its_function() {
    let body = request(json!({"messages": [
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": null, "function_call": {"name": "add", "arguments": "{}"}},
        {"role": "function", "name": "add", "content": "4"},
    ]}));
    let messages = parse(&body).expect("accepted").ask.messages;
    assert_eq!(messages[1].tool_calls[0].name, "add");
    assert_eq!((messages[2].role.as_str(), messages[2].name.as_str()), ("tool", "add"));
    assert_eq!(messages[2].tool_call_id, messages[1].tool_calls[0].id);
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "description": "d", "parameters": {"type": "object"}}})
}

fn tools(choice: Value, parallel: Value) -> Tools {
    let body = json!({"tools": [tool("f"), tool("g")], "tool_choice": choice, "parallel_tool_calls": parallel});
    parse(&request(body)).expect("accepted").ask.tools.expect("tools")
}

#[test]
fn every_way_to_choose_among_tools_reaches_the_members() {
    let function_g = json!({"type": "function", "function": {"name": "g"}});
    for (choice, tool_choice, name) in [
        (Value::Null, ToolChoice::Auto, ""),
        (json!("auto"), ToolChoice::Auto, ""),
        (json!("none"), ToolChoice::None, ""),
        (json!("required"), ToolChoice::Required, ""),
        (function_g, ToolChoice::Named, "g"),
    ] {
        let choice = tools(choice, Value::Null);
        assert_eq!(
            (choice.choice(), choice.named.as_str(), choice.parallel),
            (tool_choice, name, true)
        );
        assert_eq!(choice.functions[1].parameters, r#"{"type":"object"}"#);
    }
    assert!(!tools(Value::Null, json!(false)).parallel);
    let subset = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required",
        "tools": [{"type": "function", "function": {"name": "g"}}]}});
    let choice = tools(subset, Value::Null);
    assert_eq!(
        (choice.choice(), choice.functions.len(), choice.named.as_str()),
        (ToolChoice::Required, 1, "")
    );
    let body = request(
        json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "h"}}}),
    );
    assert_eq!(parse(&body).expect_err("refused").param.as_deref(), Some("tool_choice"));
}

#[test]
fn functions_are_tools_of_which_one_is_called() {
    let function = json!({"name": "f", "parameters": {"type": "object"}});
    let body = request(json!({"functions": [function], "function_call": {"name": "f"}}));
    let request = parse(&body).expect("accepted");
    let tools = request.ask.tools.expect("tools");
    assert!(request.deprecated_calls && !tools.parallel);
    assert_eq!((tools.choice(), tools.named.as_str()), (ToolChoice::Named, "f"));
}

#[test]
fn images_reach_the_members_with_the_path_of_the_first() {
    let url = "data:image/png;base64,AAAA";
    let parts = json!([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]);
    let body = request(json!({"messages": [{"role": "user", "content": parts}]}));
    let ask = parse(&body).expect("accepted").ask;
    assert_eq!(ask.image.as_deref(), Some("messages[0].content[1].type"));
    assert_eq!(
        (ask.messages[0].content.as_str(), &ask.messages[0].images[..]),
        ("what?", &[url.to_owned()][..])
    );
}

fn reasoning_mode(model: &str, effort: &str) -> Mode {
    let body = request(json!({"model": model, "reasoning_effort": effort}));
    parse(&body).expect("accepted").ask.effort.mode
}

#[test]
fn reasoning_effort_is_how_hard_the_swarm_works_unless_its_name_says_it() {
    for (effort, mode) in [
        ("none", Mode::Fast),
        ("minimal", Mode::Fast),
        ("low", Mode::Fast),
        ("medium", Mode::Balanced),
        ("high", Mode::Deep),
        ("xhigh", Mode::Deep),
        ("max", Mode::Deep),
    ] {
        assert_eq!(reasoning_mode("shoal", effort), mode, "{effort}");
    }
    assert_eq!(reasoning_mode("shoal-deep", "low"), Mode::Deep);
    let body = request(json!({"reasoning_effort": "high", "shoal": {"mode": "fast"}}));
    assert_eq!(parse(&body).expect("accepted").ask.effort.mode, Mode::Fast);
}

#[test]
fn what_other_servers_know_is_passed_on() {
    let body = request(json!({
        "model": "digits", "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1,
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "logit_bias": {"7": -100},
        "logprobs": true, "top_logprobs": 3, "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": false},
    }));
    let ask = parse(&body).expect("accepted").ask;
    let sampling = ask.sampling;
    assert_eq!(
        (sampling.top_k, sampling.min_p, sampling.repetition_penalty),
        (Some(40), Some(0.05), Some(1.1))
    );
    assert_eq!((sampling.presence_penalty, sampling.frequency_penalty), (Some(0.5), Some(-0.5)));
    assert_eq!(sampling.logit_bias, [TokenBias { token: 7, bias: -100.0 }]);
    assert_eq!(sampling.logprobs, Some(3));
    let variables: Value = serde_json::from_str(&ask.template_variables).expect("JSON");
    assert_eq!(variables, json!({"enable_thinking": false, "reasoning_effort": "low"}));
}

#[test]
fn several_answers_are_as_many_writers() {
    let ask = parse(&request(json!({"n": 9}))).expect("accepted").ask;
    assert_eq!((ask.choices, ask.effort.writers), (9, 9));
    let ask = parse(&request(json!({"n": 2}))).expect("accepted").ask;
    assert_eq!((ask.choices, ask.effort.writers), (2, 5));
}

#[test]
fn unknown_fields_are_ignored_unless_the_operator_is_strict() {
    let body = request(json!({"temprature": 0}));
    assert!(parse(&body).is_ok());
    let strict = Limits { strict: true, ..Limits::default() };
    let error = ChatRequest::parse(body.to_string().as_bytes(), &strict).expect_err("refused");
    assert_eq!(
        (error.code, error.param.as_deref()),
        (Some("unknown_parameter"), Some("temprature"))
    );
    let valid = request(json!({"temperature": 0, "top_k": 1, "shoal": {}}));
    assert!(ChatRequest::parse(valid.to_string().as_bytes(), &strict).is_ok());
}

#[test]
fn a_request_may_ask_for_more_effort_within_limits() {
    let body = request(json!({"shoal": {"writers": 7, "judges": 0, "deadline_ms": 1500}}));
    let effort = parse(&body).expect("accepted").ask.effort;
    assert_eq!((effort.writers, effort.judges), (7, 0));
    assert_eq!(effort.deadline, Duration::from_millis(1500));
}

#[test]
fn each_of_the_swarms_names_is_a_mode_with_its_own_effort() {
    for (model, mode, writers) in [
        ("shoal", Mode::Balanced, 5),
        ("shoal-fast", Mode::Fast, 3),
        ("shoal-deep", Mode::Deep, 15),
    ] {
        let request = parse(&request(json!({"model": model}))).expect("accepted");
        assert_eq!((&request.ask.target, request.model.as_str()), (&Target::Swarm, model));
        assert_eq!(request.ask.effort, Limits::default().effort(mode));
        assert_eq!(request.ask.effort.writers, writers);
    }
}

#[test]
fn a_mode_in_the_body_comes_before_the_models_name() {
    let body = request(json!({"model": "shoal-fast", "shoal": {"mode": "deep", "judges": 1}}));
    let effort = parse(&body).expect("accepted").ask.effort;
    assert_eq!((effort.mode, effort.writers, effort.judges), (Mode::Deep, 15, 1));
    let error = parse(&request(json!({"shoal": {"mode": "slow"}}))).expect_err("refused");
    assert_eq!(error.param.as_deref(), Some("shoal.mode"));
    assert!(error.message.contains("'balanced', 'fast', 'deep'"), "{}", error.message);
}

fn fusion(shoal: Value) -> Result<bool, AskError> {
    parse(&request(json!({"shoal": shoal}))).map(|request| request.ask.effort.fusion)
}

#[test]
fn fusion_is_for_those_who_ask_for_it() {
    assert_eq!(fusion(json!({})), Ok(false));
    assert_eq!(fusion(json!({"fusion": true})), Ok(true));
    assert!(fusion(json!({"fusion": "yes"})).is_err());
}

#[test]
fn a_message_never_repeats_more_than_a_little_of_the_request() {
    let long = "x".repeat(5000);
    let error = refusal(json!({"role": long, "content": "x"}));
    assert!(error.message.len() < 300, "{}", error.message.len());
}

#[test]
fn a_null_content_is_a_wrong_type_and_no_content_is_missing() {
    assert_eq!(refusal(json!({"role": "user", "content": null})).code, Some("invalid_type"));
    let error = refusal(json!({"role": "assistant"}));
    assert_eq!(error.code, Some("missing_required_parameter"));
    assert_eq!(error.param.as_deref(), Some("messages[0].content"));
}

#[test]
fn limits_say_which_default_does_not_fit() {
    let limits = Limits { writers: 99, ..Limits::default() };
    assert!(limits.check().is_err_and(|why| why.starts_with("writers is 99")));
    let mut limits = Limits::default();
    limits.deep.judges = 99;
    assert!(limits.check().is_err_and(|why| why.starts_with("deep.judges is 99")));
    assert_eq!(Limits::default().check(), Ok(()));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ChatRequest::parse(&body, &Limits::default());
    }

    #[test]
    fn any_value_in_any_field_is_accepted_or_named(index in 0usize..24, value in value()) {
        let names = [
            "model", "messages", "temperature", "top_p", "seed", "stop", "max_tokens", "n", "stream",
            "stream_options", "logprobs", "tools", "response_format", "modalities", "logit_bias",
            "metadata", "shoal", "user", "tool_choice", "functions", "function_call", "top_k",
            "reasoning_effort", "chat_template_kwargs",
        ];
        if let Err(error) = parse(&request(json!({names[index]: value}))) {
            prop_assert!(error.code.is_none() || error.param.is_some(), "{error:?}");
        }
    }
}

/// Small JSON values of each kind.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z_]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("(role|content|type|text|writers|[a-z]{1,4})", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
