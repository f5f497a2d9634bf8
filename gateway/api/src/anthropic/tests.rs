use proptest::prelude::*;
use serde_json::{Value, json};
use shoal_proto::tools::ToolChoice;

use super::*;
use crate::chat::tests::value;

fn request(fields: Value) -> Value {
    let messages = [json!({"role": "user", "content": "What is 2 + 2?"})];
    let mut body = json!({"model": "shoal", "max_tokens": 9, "messages": messages});
    for (name, value) in fields.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn parse(body: &Value) -> Result<MessageRequest, AskError> {
    MessageRequest::parse(body.to_string().as_bytes(), &Limits::default())
}

#[test]
fn thoughts_and_cache_marks_that_come_back_do_no_harm() {
    let body = request(json!({
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "hi"},
            ]},
            {"role": "user", "content": [{"type": "text", "text": "on"}]},
        ],
    }));
    let messages = parse(&body).expect("accepted").chat.ask.messages;
    let texts: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(texts, ["Be brief.", "hello", "hi", "on"]);
}

#[test]
fn what_has_another_name_means_the_same() {
    let tool = json!({"name": "f", "input_schema": {"type": "object"}});
    let body = request(json!({
        "stop_sequences": ["a"], "top_k": 5, "tools": [tool],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
    }));
    let ask = parse(&body).expect("accepted").chat.ask;
    assert_eq!((ask.sampling.max_tokens, ask.sampling.top_k), (Some(9), Some(5)));
    assert_eq!(ask.sampling.stop, ["a"]);
    let tools = ask.tools.expect("some");
    assert_eq!(
        (tools.choice(), tools.named.as_str(), tools.parallel),
        (ToolChoice::Named, "f", false)
    );
}

#[test]
fn a_schema_for_the_answer_is_held_to() {
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    let body = request(json!({"output_config": {"format": format, "effort": "low"}}));
    assert!(parse(&body).expect("accepted").chat.ask.format.is_some());
}

#[test]
fn an_image_becomes_a_url() {
    let source = json!({"type": "base64", "media_type": "image/png", "data": "AAAA"});
    let content =
        json!([{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]);
    let body = request(json!({"messages": [{"role": "user", "content": content}]}));
    let ask = parse(&body).expect("accepted").chat.ask;
    assert_eq!(ask.messages[0].images, ["data:image/png;base64,AAAA"]);
}

#[test]
fn a_result_that_failed_says_so() {
    let body = request(json!({"messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "is_error": true, "content": "no"},
        ]},
    ]}));
    assert_eq!(parse(&body).expect("accepted").chat.ask.messages[1].content, "Error: no");
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = MessageRequest::parse(&body, &Limits::default());
    }

    #[test]
    fn any_value_in_any_field_is_accepted_or_named(index in 0usize..13, value in value()) {
        let names = [
            "model", "messages", "system", "tools", "tool_choice", "max_tokens", "stop_sequences",
            "thinking", "output_config", "metadata", "temperature", "shoal", "mcp_servers",
        ];
        if let Err(error) = parse(&request(json!({names[index]: value}))) {
            prop_assert!(error.code.is_none() || error.param.is_some(), "{error:?}");
        }
    }
}
