//! Anthropic's endpoint, `/v1/messages`.

use serde_json::{Value, json};

use shoal_proto::hello::Model;

use crate::gateway::{Gateway, node};

const PATH: &str = "/v1/messages";

fn ask(model: &str, more: Value) -> Value {
    let messages = [json!({"role": "user", "content": "What is 2 + 2?"})];
    let mut body = json!({"model": model, "max_tokens": 64, "messages": messages});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn with_tools(model: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let tool = json!({"name": "add", "description": "adds", "input_schema": schema});
    ask(model, json!({"tools": [tool], "tool_choice": {"type": "any"}}))
}

/// Name and body of every event, which must agree.
fn events(text: &str) -> Vec<Value> {
    let events = text.trim_end().split("\n\n").filter(|event| !event.starts_with(':'));
    events.map(event_body).collect()
}

/// The body of an event, which must have the name of its type.
pub(crate) fn event_body(event: &str) -> Value {
    let (name, data) = event.split_once('\n').unwrap();
    let body: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(name, format!("event: {}", body["type"].as_str().unwrap()));
    body
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_message_is_answered_as_clients_expect_it() {
    let gateway = Gateway::start([node("digits").says("It is 4.")]).await;
    for model in ["shoal", "digits"] {
        let request = gateway
            .build(reqwest::Method::POST, PATH)
            .header("x-api-key", "any")
            .header("anthropic-version", "2023-06-01")
            .json(&ask(model, json!({"system": [{"type": "text", "text": "Be brief."}]})));
        let reply = gateway.send(request).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.header("request-id").is_some());
        let body = reply.json();
        assert_eq!(body["content"], json!([{"type": "text", "text": "It is 4."}]));
        assert_eq!((&body["type"], &body["role"]), (&json!("message"), &json!("assistant")));
        assert_eq!((&body["stop_reason"], &body["model"]), (&json!("end_turn"), &json!(model)));
        // Two of the five prompt tokens come from the cache of the scripted model.
        assert_eq!(body["usage"]["input_tokens"], 3);
        assert_eq!(body["usage"]["cache_read_input_tokens"], 2);
        assert_eq!(body["usage"]["output_tokens"], 7);
    }
    let generate = &gateway.generate_asks()[0];
    assert_eq!((generate.messages[0].role.as_str(), generate.messages.len()), ("system", 2));
    assert_eq!(generate.sampling.as_ref().unwrap().max_tokens, Some(64));
}

#[tokio::test]
async fn a_cut_answer_says_max_tokens() {
    let gateway = Gateway::start([node("digits").says("4").cut()]).await;
    let body = gateway.post(PATH, &ask("digits", json!({}))).await.json();
    assert_eq!(body["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn a_call_is_a_block_and_its_result_comes_back_as_one() {
    let gateway = Gateway::start([node("caller").calls(&[("add", r#"{"a":1}"#)])]).await;
    let body = gateway.post(PATH, &with_tools("shoal")).await.json();
    let block = &body["content"][0];
    assert_eq!((&block["type"], &block["name"]), (&json!("tool_use"), &json!("add")));
    assert_eq!(block["input"], json!({"a": 1}));
    assert_eq!(body["stop_reason"], "tool_use");

    let mut next = with_tools("shoal");
    let result = json!({"type": "tool_result", "tool_use_id": block["id"], "content": "2"});
    next["messages"] = json!([
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": body["content"]},
        {"role": "user", "content": [result, {"type": "text", "text": "and now?"}]},
    ]);
    let reply = gateway.post(PATH, &next).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let asks = gateway.generate_asks();
    let messages = &asks.last().unwrap().messages;
    let roles: Vec<&str> = messages.iter().map(|message| message.role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "user"]);
    assert_eq!(messages[1].tool_calls[0].arguments, r#"{"a":1}"#);
    assert_eq!(json!(messages[2].tool_call_id), block["id"]);
}

#[tokio::test]
async fn a_stream_is_its_events_in_order() {
    let gateway = Gateway::start([node("digits").says("Four is what two and two make.")]).await;
    for model in ["shoal", "digits"] {
        let text = gateway.post(PATH, &ask(model, json!({"stream": true}))).await.text();
        let events = events(&text);
        let mut kinds = kinds(&events);
        kinds.dedup();
        assert_eq!(
            kinds,
            [
                "message_start",
                "ping",
                "content_block_start",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop",
            ]
        );
        assert_eq!(events[0]["message"]["content"], json!([]));
        let delta_text: String =
            events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
        assert_eq!(delta_text, "Four is what two and two make.");
        let end = &events[events.len() - 2];
        assert_eq!(end["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
        assert_eq!(end["usage"]["output_tokens"], 7);
    }
}

#[tokio::test]
async fn a_call_is_streamed_as_pieces_of_json() {
    let gateway = Gateway::start([node("caller").calls(&[("add", r#"{"a":1}"#)])]).await;
    let mut body = with_tools("caller");
    body["stream"] = json!(true);
    let events = events(&gateway.post(PATH, &body).await.text());
    let block = events.iter().find(|event| event["type"] == "content_block_start").unwrap();
    assert_eq!(block["content_block"]["input"], json!({}));
    let json: String =
        events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(json, r#"{"a":1}"#);
    let end = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
}

#[tokio::test]
async fn errors_have_the_shape_of_this_door() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let tool = json!({"name": "f"});
    let cases = [
        (json!({"max_tokens": null}), 400, "max_tokens"),
        (json!({"max_tokens": 0}), 400, "max_tokens"),
        (json!({"messages": []}), 400, "messages"),
        (json!({"messages": [{"role": "boss", "content": "x"}]}), 400, "boss"),
        (
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "It is"}]}),
            400,
            "prefill",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]}),
            400,
            "tool_use_id",
        ),
        (json!({"system": 4}), 400, "system"),
        (json!({"stop_sequences": ["a", "b", "c", "d", "e"]}), 400, "stop_sequences"),
        (json!({"temperature": 3}), 400, "temperature"),
        (json!({"tools": [tool]}), 400, "tools[0].input_schema"),
        (json!({"tool_choice": {"type": "any"}}), 400, "tool_choice"),
        (json!({"model": "gone"}), 404, "gone"),
    ];
    for (more, status, field) in cases {
        let reply = gateway.post(PATH, &ask("shoal", more.clone())).await;
        let body = reply.json();
        assert_eq!((reply.status, &body["type"]), (status, &json!("error")), "{more}: {body}");
        let kind = if status == 404 { "not_found_error" } else { "invalid_request_error" };
        assert_eq!(body["error"]["type"], kind, "{more}");
        assert!(body["error"]["message"].as_str().unwrap().contains(field), "{more}: {body}");
    }
    let reply = gateway.get(PATH).await;
    assert_eq!((reply.status, &reply.json()["type"]), (405, &json!("error")));
    let reply = gateway.post("/v1/messages/count_tokens", &ask("gone", json!({}))).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (404, &json!("not_found_error")));
}

#[tokio::test]
async fn tokens_are_counted_by_a_member_that_is_named() {
    let small = Model { parameters: 5, ..Model::default() };
    let large = Model { parameters: 9, ..Model::default() };
    let nodes = [node("small").able(small).says("4"), node("large").able(large).says("4")];
    let gateway = Gateway::start(nodes).await;
    for (model, counted_by) in [("small", "small"), ("shoal", "large"), ("shoal-fast", "large")] {
        let mut body = ask(model, json!({}));
        body.as_object_mut().unwrap().remove("max_tokens");
        let reply = gateway.post("/v1/messages/count_tokens", &body).await;
        assert_eq!((reply.status, reply.json()), (200, json!({"input_tokens": 5})), "{model}");
        assert_eq!(reply.header("x-shoal-counted-by"), Some(counted_by));
    }
    let asks = gateway.generate_asks();
    assert_eq!(asks.len(), 3, "one member counts");
    assert!(asks.iter().all(|ask| ask.sampling.as_ref().unwrap().max_tokens == Some(1)));
}

#[tokio::test]
async fn what_the_swarm_cannot_use_is_left_out_and_not_refused() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let reference = json!({"type": "tool_reference", "tool_name": "docs_search"});
    let document =
        json!({"type": "document", "title": "Notes", "source": {"type": "text", "data": "Two."}});
    let body = ask(
        "shoal",
        json!({
            "tools": [{"type": "bash_20250124", "name": "bash"}],
            "messages": [
                {"role": "user", "content": [{"type": "smell"}, document]},
                {"role": "assistant", "content": [
                    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                    {"type": "tool_use", "id": "t", "name": "ToolSearch", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [reference]},
                ]},
            ],
        }),
    );
    let reply = gateway.post(PATH, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let messages = &gateway.generate_asks()[0].messages;
    assert_eq!(messages[0].content, "[smell: left out]\nNotes\nTwo.");
    assert_eq!(messages[2].content, "Tool: docs_search");
}

#[tokio::test]
async fn a_picture_that_a_tool_returned_is_looked_at() {
    let sees = Model { vision: true, tools: true, ..Model::default() };
    let gateway = Gateway::start([node("eyes").able(sees).says("A dot.")]).await;
    let source = json!({"type": "base64", "media_type": "image/png", "data": "AAAA"});
    let body = ask(
        "eyes",
        json!({"messages": [
            {"role": "user", "content": "What is in a.png?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Read", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": source}]},
                {"type": "text", "text": "Well?"},
            ]},
        ]}),
    );
    let reply = gateway.post(PATH, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let messages = &gateway.generate_asks()[0].messages;
    assert_eq!(
        (messages[2].role.as_str(), messages[2].content.as_str()),
        ("tool", "The result is a picture.")
    );
    assert_eq!(messages[3].images, ["data:image/png;base64,AAAA"]);
    assert_eq!((messages[4].role.as_str(), messages[4].content.as_str()), ("user", "Well?"));
}

#[tokio::test]
async fn a_swarm_without_members_is_overloaded() {
    let gateway = Gateway::start([]).await;
    let reply = gateway.post(PATH, &ask("shoal", json!({}))).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["error"]["type"], "overloaded_error");
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_failure_after_the_first_byte_is_an_error_event() {
    let (node, go_on) = node("digits").begins_then_breaks("half an ans");
    let gateway = Gateway::start([node]).await;
    let mut stream = gateway.open(PATH, &ask("digits", json!({"stream": true}))).await;
    stream.read_until("half an ans").await;
    go_on.notify_one();
    stream.read_to_end().await;
    let events = events(stream.text_so_far());
    assert_eq!(events.last().unwrap()["error"]["type"], "overloaded_error");
}
