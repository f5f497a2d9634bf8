//! `/v1/responses`: create, stream, continue, fetch, cancel and delete.

use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, eventually, node},
    messages::event_body,
    official,
};

const PATH: &str = "/v1/responses";

fn ask(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "input": "What is 2 + 2?"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn with_tools(model: &str, more: Value) -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let mut body = ask(model, more);
    body["tools"] =
        json!([{"type": "function", "name": "add", "parameters": schema, "strict": false}]);
    body
}

/// The body of every event, after a check of framing and sequence numbers.
fn events(text: &str) -> Vec<Value> {
    let events = text.trim_end().split("\n\n").filter(|event| !event.starts_with(':'));
    let bodies: Vec<Value> = events.map(event_body).collect();
    for (number, body) in bodies.iter().enumerate() {
        assert_eq!(body["sequence_number"], number);
        official::hold("ResponseStreamEvent", body);
    }
    bodies
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    kinds.dedup();
    kinds
}

fn of(id: &Value, rest: &str) -> String {
    format!("{PATH}/{}{rest}", id.as_str().unwrap())
}

#[tokio::test]
async fn a_response_is_answered_as_clients_expect_it() {
    let gateway = Gateway::start([node("digits").says("It is 4.")]).await;
    for model in ["shoal", "digits"] {
        let more =
            json!({"instructions": "Be brief.", "max_output_tokens": 16, "temperature": 0.5});
        let reply = gateway.post(PATH, &ask(model, more)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let body = reply.json();
        official::hold("Response", &body);
        assert_eq!((&body["status"], &body["model"]), (&json!("completed"), &json!(model)));
        let message = &body["output"][0];
        assert_eq!(
            (&message["role"], &message["status"]),
            (&json!("assistant"), &json!("completed"))
        );
        assert_eq!(message["content"][0]["text"], "It is 4.");
        assert_eq!((&body["temperature"], &body["top_p"]), (&json!(0.5), &Value::Null));
        assert_eq!(body["usage"]["total_tokens"], 12);
    }
    let generate = &gateway.generate_asks()[0];
    assert_eq!((generate.messages[0].role.as_str(), generate.messages.len()), ("system", 2));
    assert_eq!(generate.sampling.as_ref().unwrap().max_tokens, Some(16));
}

#[tokio::test]
async fn a_cut_answer_is_incomplete() {
    let gateway = Gateway::start([node("digits").says("4").cut()]).await;
    let body = gateway.post(PATH, &ask("digits", json!({}))).await.json();
    official::hold("Response", &body);
    assert_eq!(body["status"], "incomplete");
    assert_eq!(body["incomplete_details"], json!({"reason": "max_output_tokens"}));
    let text = gateway.post(PATH, &ask("digits", json!({"stream": true}))).await.text();
    assert_eq!(kinds(&events(&text)).last(), Some(&"response.incomplete"));
}

#[tokio::test]
async fn a_stream_is_its_events_in_order() {
    let gateway = Gateway::start([node("digits").says("Four is what two and two make.")]).await;
    for model in ["shoal", "digits"] {
        let text = gateway.post(PATH, &ask(model, json!({"stream": true}))).await.text();
        let events = events(&text);
        assert_eq!(
            kinds(&events),
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ]
        );
        let delta_text: String =
            events.iter().filter_map(|event| event["delta"].as_str()).collect();
        assert_eq!(delta_text, "Four is what two and two make.");
        let last = &events.last().unwrap()["response"];
        assert_eq!(last["output"][0]["content"][0]["text"], delta_text.as_str());
        assert_eq!(last["output"][0]["id"], events[2]["item"]["id"]);
        assert_eq!(gateway.get(&of(&last["id"], "")).await.json(), *last, "it can be fetched");
    }
}

#[tokio::test]
async fn a_call_is_an_item_and_its_result_continues_the_response() {
    let gateway = Gateway::start([node("caller").calls(&[("add", r#"{"a":1}"#)])]).await;
    let text = gateway.post(PATH, &with_tools("caller", json!({"stream": true}))).await.text();
    let events = events(&text);
    assert_eq!(
        kinds(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let first = events.last().unwrap()["response"].clone();
    official::hold("Response", &first);
    let call = &first["output"][0];
    assert_eq!((&call["name"], &call["arguments"]), (&json!("add"), &json!(r#"{"a":1}"#)));

    let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "2"});
    let more = json!({"previous_response_id": first["id"], "input": [output]});
    let reply = gateway.post(PATH, &with_tools("caller", more)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let asks = gateway.generate_asks();
    let roles: Vec<&str> =
        asks.last().unwrap().messages.iter().map(|message| message.role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "tool"]);
    let items = gateway.get(&of(&reply.json()["id"], "/input_items?order=asc")).await.json();
    let of_kind: Vec<&str> = items["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(of_kind, ["message", "function_call", "function_call_output"]);
}

#[tokio::test]
async fn input_items_come_in_pages() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let input: Vec<_> =
        (0..5).map(|at| json!({"role": "user", "content": format!("question {at}")})).collect();
    let id = gateway.post(PATH, &ask("digits", json!({"input": input}))).await.json()["id"].clone();
    let page = gateway.get(&of(&id, "/input_items?limit=2")).await.json();
    assert_eq!((&page["has_more"], page["data"].as_array().unwrap().len()), (&json!(true), 2));
    assert_eq!(page["data"][0]["content"][0]["text"], "question 4", "the newest first");
    let after = format!("/input_items?limit=3&after={}", page["last_id"].as_str().unwrap());
    let page = gateway.get(&of(&id, &after)).await.json();
    assert_eq!((&page["has_more"], page["data"].as_array().unwrap().len()), (&json!(false), 3));
    for wrong in ["?limit=0", "?limit=x", "?order=up", "?after=nothing"] {
        assert_eq!(
            gateway.get(&of(&id, &format!("/input_items{wrong}"))).await.status,
            400,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn what_is_forgotten_or_never_kept_is_not_found() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let stored_id = gateway.post(PATH, &ask("digits", json!({}))).await.json()["id"].clone();
    let unkept =
        gateway.post(PATH, &ask("digits", json!({"store": false}))).await.json()["id"].clone();
    assert_eq!(gateway.get(&of(&stored_id, "")).await.status, 200);
    let deletion = gateway.request(reqwest::Method::DELETE, &of(&stored_id, "")).await.json();
    assert_eq!(deletion, json!({"id": stored_id, "object": "response", "deleted": true}));
    for id in [&stored_id, &unkept] {
        assert_eq!(gateway.get(&of(id, "")).await.status, 404);
        assert_eq!(gateway.get(&of(id, "/input_items")).await.status, 404);
        assert_eq!(gateway.request(reqwest::Method::POST, &of(id, "/cancel")).await.status, 404);
        let reply = gateway.post(PATH, &ask("digits", json!({"previous_response_id": id}))).await;
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["code"]), (400, &json!("previous_response_not_found")));
    }
}

#[tokio::test]
async fn the_oldest_responses_make_room_for_new_ones() {
    let gateway = Gateway::with([node("digits").says("4")], |config| {
        config.http.response_bytes_max = 4_000;
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(gateway.post(PATH, &ask("digits", json!({}))).await.json()["id"].clone());
    }
    assert_eq!(gateway.get(&of(&ids[0], "")).await.status, 404);
    assert_eq!(gateway.get(&of(&ids[7], "")).await.status, 200);
}

#[tokio::test]
async fn work_in_the_background_is_polled_to_its_end() {
    let (node, go_on) = node("digits").says_when_told("4");
    let gateway = Gateway::start([node]).await;
    let body = gateway.post(PATH, &ask("digits", json!({"background": true}))).await.json();
    official::hold("Response", &body);
    assert_eq!((&body["status"], &body["background"]), (&json!("in_progress"), &json!(true)));
    let follow = ask("digits", json!({"previous_response_id": body["id"]}));
    assert_eq!(gateway.post(PATH, &follow).await.status, 400, "it has no end yet");
    go_on.notify_one();
    eventually(async || gateway.get(&of(&body["id"], "")).await.json()["status"] == "completed")
        .await;
    let body = gateway.get(&of(&body["id"], "")).await.json();
    official::hold("Response", &body);
    assert_eq!(body["output"][0]["content"][0]["text"], "4");
    let again = gateway.request(reqwest::Method::POST, &of(&body["id"], "/cancel")).await;
    assert_eq!(again.json()["status"], "completed", "what has ended stays as it is");
}

#[tokio::test]
async fn work_in_the_background_can_be_followed_from_any_event() {
    let (node, go_on) = node("digits").says_in_two("first half, ", "second half");
    let gateway = Gateway::start([node]).await;
    let body = ask("digits", json!({"background": true, "stream": true}));
    let mut first = gateway.open(PATH, &body).await;
    first.read_until("first half").await;
    let id =
        events(first.text_so_far().rsplit_once("\n\n").unwrap().0)[0]["response"]["id"].clone();
    drop(first);
    go_on.notify_one();
    let whole = gateway.get(&of(&id, "?stream=true")).await.text();
    let event_list = events(&whole);
    assert_eq!(event_list.last().unwrap()["type"], "response.completed");
    let delta_text: String =
        event_list.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(delta_text, "first half, second half");
    let rest = gateway.get(&of(&id, "?stream=true&starting_after=3")).await.text();
    assert!(whole.ends_with(&rest) && rest.contains("\"sequence_number\":4"), "{rest}");
    assert!(!rest.contains("\"sequence_number\":3"), "{rest}");
    assert_eq!(gateway.get(&of(&id, "?stream=true&starting_after=x")).await.status, 400);
}

#[tokio::test]
async fn cancelling_and_forgetting_stop_the_work() {
    let gateway = Gateway::start([node("digits").never_ends()]).await;
    let begin =
        async || gateway.post(PATH, &ask("digits", json!({"background": true}))).await.json();
    let first = begin().await;
    gateway.until_begun(1).await;
    let reply = gateway.request(reqwest::Method::POST, &of(&first["id"], "/cancel")).await;
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("cancelled")));
    gateway.until_stopped(1).await;
    let event_list = gateway.get(&of(&first["id"], "?stream=true")).await.text();
    assert_eq!(kinds(&events(&event_list)).last(), Some(&"error"), "never in silence");
    let second = begin().await;
    gateway.until_begun(2).await;
    gateway.request(reqwest::Method::DELETE, &of(&second["id"], "")).await;
    gateway.until_stopped(2).await;
}

#[tokio::test]
async fn the_background_is_bounded() {
    let nodes = [node("digits").never_ends(), node("words").says("four")];
    let gateway = Gateway::with(nodes, |config| config.http.background_max = 1).await;
    let body = ask("digits", json!({"background": true}));
    assert_eq!(gateway.post(PATH, &body).await.status, 200);
    let reply = gateway.post(PATH, &body).await;
    assert_eq!(
        (reply.status, &reply.json()["error"]["code"]),
        (429, &json!("rate_limit_exceeded"))
    );
    let synchronous = gateway.post(PATH, &ask("words", json!({}))).await.json();
    let reply = gateway.request(reqwest::Method::POST, &of(&synchronous["id"], "/cancel")).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("response_id")));
}

#[tokio::test]
async fn a_background_that_fails_says_so() {
    let gateway = Gateway::start([node("digits").breaks()]).await;
    let body = gateway.post(PATH, &ask("digits", json!({"background": true}))).await.json();
    eventually(async || gateway.get(&of(&body["id"], "")).await.json()["status"] == "failed").await;
    let body = gateway.get(&of(&body["id"], "")).await.json();
    official::hold("Response", &body);
    assert_eq!(body["error"]["code"], "server_error");
}

#[tokio::test]
async fn a_failure_after_the_first_byte_is_a_failed_response() {
    let (node, go_on) = node("digits").begins_then_breaks("half an ans");
    let gateway = Gateway::start([node]).await;
    let mut stream = gateway.open(PATH, &ask("digits", json!({"stream": true}))).await;
    stream.read_until("half an ans").await;
    go_on.notify_one();
    stream.read_to_end().await;
    let events = events(stream.text_so_far());
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["error"]["code"], "server_error");
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_work() {
    let gateway = Gateway::start([node("digits").never_ends()]).await;
    let config = json!({"stream": true});
    for (count, more) in [(1, json!({})), (2, config)] {
        let request = gateway.build(reqwest::Method::POST, PATH).json(&ask("digits", more));
        let request_with_timeout =
            tokio::time::timeout(std::time::Duration::from_millis(300), request.send());
        assert!(request_with_timeout.await.is_err(), "it never answers");
        gateway.until_begun(count).await;
        gateway.until_stopped(count).await;
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_named() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let output = json!({"type": "function_call_output", "call_id": "c", "output": "2"});
    let cases = [
        (json!({"input": null}), "input", "invalid_type"),
        (json!({"input": []}), "input", "empty_array"),
        (json!({"input": [4]}), "input[0]", "invalid_type"),
        (json!({"input": [{"role": "boss", "content": "x"}]}), "input[0].role", "invalid_value"),
        (
            json!({"input": [{"type": "item_reference", "id": "x"}]}),
            "input[0].type",
            "unsupported_value",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}),
            "input[0].content[0].type",
            "unsupported_value",
        ),
        (json!({"input": [output]}), "input", ""),
        (json!({"max_output_tokens": 15}), "max_output_tokens", "integer_below_min_value"),
        (json!({"temperature": 3}), "temperature", "decimal_above_max_value"),
        (json!({"top_logprobs": 21}), "top_logprobs", "integer_above_max_value"),
        (json!({"reasoning": {"effort": "much"}}), "reasoning.effort", "invalid_value"),
        (json!({"text": {"format": {"type": "poem"}}}), "text.format.type", "invalid_value"),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "x"}}}),
            "text.format.schema",
            "missing_required_parameter",
        ),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name", "missing_required_parameter"),
        (json!({"tool_choice": "required"}), "tool_choice", ""),
        (json!({"tool_choice": {"type": "function", "name": "f"}}), "tool_choice", ""),
        (json!({"conversation": 1}), "conversation", "invalid_type"),
        (
            json!({"conversation": "c", "previous_response_id": "r"}),
            "conversation",
            "invalid_parameter_combination",
        ),
        (json!({"prompt": {"id": "p"}}), "prompt", "unsupported_parameter"),
        (json!({"background": true, "store": false}), "background", ""),
        (json!({"truncation": "middle"}), "truncation", "invalid_value"),
        (json!({"model": "gone"}), "", "model_not_found"),
    ];
    for (more, param, code) in cases {
        let error = gateway.post(PATH, &ask("shoal", more.clone())).await.json()["error"].clone();
        let [param, code] =
            [param, code].map(|text| if text.is_empty() { Value::Null } else { json!(text) });
        assert_eq!((&error["param"], &error["code"]), (&param, &code), "{more}: {error}");
    }
}

#[tokio::test]
async fn what_an_agent_sends_beside_functions_is_left_out_with_a_note() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let function = json!({"type": "function", "name": "run", "parameters": {"type": "object"}});
    let user = json!({"type": "message", "role": "user", "content": "Go on."});
    let patch =
        json!({"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** x"});
    let patch_result =
        json!({"type": "custom_tool_call_output", "call_id": "c1", "output": "Done!"});
    let shell = json!({"type": "local_shell_call", "call_id": "l1", "action": {"command": ["ls"]}});
    let shell_result = json!({"type": "function_call_output", "call_id": "l1", "output": "a"});
    let search = json!({"type": "web_search_call", "status": "completed"});
    let body = ask(
        "shoal",
        json!({
            "input": [user, patch, patch_result, shell, shell_result, search, user],
            "tools": [{"type": "web_search"}, function, {"type": "custom", "name": "patch"}],
            "metadata": {"a": "b"},
        }),
    );
    let reply = gateway.post(PATH, &body).await;
    // No scripted member calls functions.
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("tools")));
    let mut body = body;
    body["tools"] = json!([{"type": "web_search"}, {"type": "namespace", "name": "x"}]);
    let reply = gateway.post(PATH, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let metadata = &reply.json()["metadata"];
    assert_eq!(metadata, &json!({"a": "b", "shoal_left_out": "web_search, namespace"}));
    let messages = &gateway.generate_asks()[0].messages;
    let roles: Vec<&str> = messages.iter().map(|message| message.role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "user"]);
    assert_eq!(messages[1].tool_calls[0].name, "patch");
    assert_eq!(messages[2].content, "Done!");
}

fn call(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"})
}

fn result(id: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": id})
}

fn message(role: &str) -> Value {
    json!({"type": "message", "role": role, "content": role})
}

#[tokio::test]
async fn words_between_a_call_and_its_result_move_behind_it() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    for (items, roles) in [
        (
            json!([message("user"), call("a"), message("assistant"), result("a")]),
            vec!["user", "assistant", "tool", "assistant"],
        ),
        (
            json!([call("a"), message("assistant"), call("b"), result("b"), result("a")]),
            vec!["assistant", "tool", "assistant", "tool"],
        ),
        (
            json!([call("a"), call("b"), result("a"), message("developer"), result("b")]),
            vec!["assistant", "tool", "tool", "developer"],
        ),
    ] {
        let before = gateway.generate_asks().len();
        let reply = gateway.post(PATH, &ask("digits", json!({ "input": items }))).await;
        assert_eq!(reply.status, 200, "{items}: {}", reply.text());
        let messages = gateway.generate_asks()[before].messages.clone();
        let message_roles: Vec<&str> =
            messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(message_roles, roles, "{items}");
    }
}
