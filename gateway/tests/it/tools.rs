//! Tool calls: which members are asked, how calls are pooled and judged, and how they are sent.

use serde_json::{Value, json};
use shoal_proto::{hello::Model, tools::ToolChoice};

use crate::gateway::{Gateway, Reply, ask, node};
use crate::sse::chunks;

const ADD: &str = r#"{"a":47,"b":385}"#;

fn with_tools(model: &str, more: Value) -> Value {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["a", "b"],
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    });
    let function =
        json!({"name": "add", "description": "a + b", "parameters": schema, "strict": true});
    let mut body = ask(model);
    body["tools"] = json!([{"type": "function", "function": function}]);
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn chat(gateway: &Gateway, body: &Value) -> Reply {
    gateway.post("/v1/chat/completions", body).await
}

#[tokio::test]
async fn a_call_is_answered_as_clients_expect_it() {
    let gateway = Gateway::start([node("caller").calls(&[("add", ADD)])]).await;
    for model in ["shoal", "caller"] {
        let reply = chat(&gateway, &with_tools(model, json!({}))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let choice = &reply.json()["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"].get("content"), Some(&Value::Null));
        let call = &choice["message"]["tool_calls"][0];
        assert!(call["id"].as_str().unwrap().starts_with("call_"), "{call}");
        assert_eq!(call["type"], "function");
        assert_eq!(call["function"], json!({"name": "add", "arguments": ADD}));
    }
}

#[tokio::test]
async fn members_are_told_all_that_the_client_said_of_tools() {
    let gateway = Gateway::start([node("caller").calls(&[("add", ADD)])]).await;
    let choice = json!({"type": "function", "function": {"name": "add"}});
    let body = with_tools("shoal", json!({"tool_choice": choice, "parallel_tool_calls": false}));
    let reply = chat(&gateway, &body).await.json();
    // For a call that the client names, OpenAI's answer ends with `stop`.
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
    let tools = gateway.generate_asks()[0].tools.clone().unwrap();
    assert_eq!(
        (tools.choice(), tools.named.as_str(), tools.parallel),
        (ToolChoice::Named, "add", false)
    );
    assert_eq!((tools.functions[0].name.as_str(), tools.functions[0].strict), ("add", true));
    assert!(tools.functions[0].parameters.contains("additionalProperties"));
}

#[tokio::test]
async fn only_members_that_call_functions_are_asked() {
    let nodes = [node("a").says("432"), node("b").says("432"), node("c").calls(&[("add", ADD)])];
    let gateway = Gateway::start(nodes).await;
    let reply = chat(&gateway, &with_tools("shoal", json!({}))).await;
    assert_eq!((reply.status, gateway.start_count()), (200, 1));
    let refusal = chat(&gateway, &with_tools("a", json!({}))).await;
    assert_eq!(refusal.status, 400);
    let error = &refusal.json()["error"];
    assert_eq!(
        (&error["param"], &error["code"]),
        (&json!("tools"), &json!("unsupported_parameter"))
    );
    assert_eq!(gateway.start_count(), 1);
}

#[tokio::test]
async fn calls_are_routed_to_one_member_and_not_put_to_a_vote() {
    let nodes = ["a", "b", "c"].map(|name| node(name).calls(&[("add", ADD)]));
    let gateway = Gateway::start(nodes).await;
    let reply = chat(&gateway, &with_tools("shoal", json!({}))).await;
    let round =
        gateway.get(&format!("/v1/rounds/{}", reply.header("x-shoal-round").unwrap())).await;
    assert_eq!(round.json()["candidates"].as_array().unwrap().len(), 1);
    assert_eq!(round.json()["decided"], "single");
    assert!(gateway.judge_asks().is_empty());
}

#[tokio::test]
async fn calls_that_are_not_what_was_asked_for_leave_the_round() {
    let wrong: [&[(&str, &str)]; 4] = [
        &[("add", r#"{"a":"x","b":1}"#)],
        &[("add", "{\"a\":")],
        &[("subtract", ADD)],
        &[("add", ADD), ("add", ADD)],
    ];
    let names = ["a", "b", "c", "d"];
    let bad = names.into_iter().zip(wrong).map(|(name, calls)| node(name).calls(calls));
    let gateway = Gateway::start(bad.chain([node("good").calls(&[("add", ADD)])])).await;
    let body = with_tools("shoal", json!({"parallel_tool_calls": false}));
    let reply = chat(&gateway, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let message = &reply.json()["choices"][0]["message"];
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], ADD);
    // By name, nobody replaces the member: the error says so, and SDKs do not retry.
    let alone = chat(&gateway, &with_tools("a", json!({"parallel_tool_calls": false}))).await;
    assert_eq!((alone.status, &alone.json()["error"]["code"]), (400, &json!("tool_use_failed")));
}

#[tokio::test]
async fn text_is_no_answer_where_a_call_is_required() {
    let able = Model { tools: true, ..Model::default() };
    let nodes = [node("talks").able(able).says("432"), node("calls").calls(&[("add", ADD)])];
    let gateway = Gateway::start(nodes).await;
    let body = with_tools("shoal", json!({"tool_choice": "required"}));
    let choice = chat(&gateway, &body).await.json()["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "tool_calls");
    let body = with_tools("calls", json!({"tool_choice": "none"}));
    assert_eq!(chat(&gateway, &body).await.json()["error"]["code"], "tool_use_failed");
}

#[tokio::test]
async fn calls_are_streamed_as_deltas_that_join_to_the_call() {
    let calls = [("add", ADD), ("add", r#"{"a":1,"b":2}"#)];
    let gateway = Gateway::start([node("caller").calls(&calls)]).await;
    for model in ["shoal", "caller"] {
        let reply = chat(&gateway, &with_tools(model, json!({"stream": true}))).await.text();
        let mut call_deltas = vec![(String::new(), String::new(), String::new()); 2];
        let mut reasons = Vec::new();
        for chunk in chunks(&reply) {
            let choice = &chunk["choices"][0];
            reasons.extend(choice["finish_reason"].as_str().map(str::to_owned));
            for delta in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                let (id, name, arguments) =
                    &mut call_deltas[delta["index"].as_u64().unwrap() as usize];
                assert!(delta.as_object().unwrap().values().all(|value| !value.is_null()));
                id.push_str(delta["id"].as_str().unwrap_or_default());
                name.push_str(delta["function"]["name"].as_str().unwrap_or_default());
                arguments.push_str(delta["function"]["arguments"].as_str().unwrap());
                // The function's name comes once, before any argument.
                assert_eq!(delta.get("id").is_some(), delta["function"]["arguments"] == "");
            }
        }
        let output: Vec<_> = call_deltas
            .iter()
            .map(|(_, name, arguments)| (name.as_str(), arguments.as_str()))
            .collect();
        assert_eq!(output, calls);
        assert!(call_deltas[0].0.starts_with("call_") && call_deltas[0].0 != call_deltas[1].0);
        assert_eq!(reasons, ["tool_calls"]);
    }
}

#[tokio::test]
async fn who_offers_functions_hears_of_a_function_call() {
    let gateway = Gateway::start([node("caller").calls(&[("add", ADD)])]).await;
    let mut body = ask("shoal");
    body["functions"] = json!([{"name": "add", "parameters": {"type": "object"}}]);
    let choice = chat(&gateway, &body).await.json()["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "function_call");
    assert_eq!(choice["message"]["function_call"], json!({"name": "add", "arguments": ADD}));
    assert!(choice["message"].get("tool_calls").is_none());
    body["stream"] = json!(true);
    let reply = chat(&gateway, &body).await.text();
    let output = chunks(&reply);
    let deltas: Vec<_> = output
        .iter()
        .filter_map(|entry| entry["choices"][0]["delta"].get("function_call"))
        .collect();
    assert_eq!(deltas[0], &json!({"name": "add", "arguments": ""}));
    let arguments: String =
        deltas.iter().map(|entry| entry["arguments"].as_str().unwrap()).collect();
    assert_eq!(arguments, ADD);
}

#[tokio::test]
async fn results_of_calls_go_back_to_the_members() {
    let able = Model { tools: true, ..Model::default() };
    let gateway = Gateway::start([node("talks").able(able).says("432")]).await;
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": "add", "arguments": ADD}});
    let messages = json!([
        {"role": "user", "content": "47 + 385?"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "432"},
    ]);
    let reply = chat(&gateway, &with_tools("shoal", json!({"messages": messages}))).await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "432");
    let asks = gateway.generate_asks();
    let history = &asks[0].messages;
    assert_eq!(
        (history[1].tool_calls[0].id.as_str(), history[2].tool_call_id.as_str()),
        ("c1", "c1")
    );
}
