//! A whole answer as one JSON object.

use serde_json::{Value, json};

use crate::gateway::{Gateway, ask, node};

#[tokio::test]
async fn an_answer_has_every_key_that_clients_require() {
    let gateway = Gateway::start([node("digits").says("47 + 385 = 432")]).await;
    let reply = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json();
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("shoal")));
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(body["created"].is_u64());
    assert_eq!(body["choices"].as_array().map(Vec::len), Some(1));
    let choice = &body["choices"][0];
    assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(0), &json!("stop")));
    assert_eq!(choice.get("logprobs"), Some(&Value::Null));
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "47 + 385 = 432");
    assert_eq!(choice["message"].get("refusal"), Some(&Value::Null));
    let usage = &body["usage"];
    let [prompt, completion, total] = ["prompt_tokens", "completion_tokens", "total_tokens"]
        .map(|key| usage[key].as_u64().unwrap());
    assert!(prompt > 0 && completion > 0);
    assert_eq!(total, prompt + completion);
}

#[tokio::test]
async fn an_answer_carries_the_headers_that_clients_read() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let first = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    let second = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_ne!(first.json()["id"], second.json()["id"]);
    assert_eq!(first.header("openai-version"), Some("2020-10-01"));
    assert!(first.header("openai-processing-ms").unwrap().parse::<u64>().is_ok());
    assert!(first.header("x-shoal-round").is_some());
    assert_eq!(first.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn each_mode_is_a_model_and_asks_as_many_as_it_says() {
    let nodes = ["a", "b", "c", "d", "e", "f"].map(|name| node(name).says("4"));
    let gateway = Gateway::start(nodes).await;
    let mut start_count = 0;
    for (model, writers) in [("shoal", 5), ("shoal-fast", 3), ("shoal-deep", 6)] {
        let body = gateway.post("/v1/chat/completions", &ask(model)).await.json();
        assert_eq!(body["model"], model);
        assert_eq!(body["choices"][0]["message"]["content"], "4");
        assert_eq!(gateway.start_count() - start_count, writers, "{model}");
        start_count = gateway.start_count();
    }
}

#[tokio::test]
async fn a_member_asked_by_name_answers_alone() {
    let gateway = Gateway::start([node("digits").says("4"), node("org/words").says("four")]).await;
    let body = gateway.post("/v1/chat/completions", &ask("org/words")).await.json();
    assert_eq!(body["model"], "org/words");
    assert_eq!(body["choices"][0]["message"]["content"], "four");
    assert_eq!(gateway.start_count(), 1);
}

#[tokio::test]
async fn an_answer_cut_by_its_limit_says_length() {
    let gateway = Gateway::start([node("digits").says("4").cut()]).await;
    let body = gateway.post("/v1/chat/completions", &ask("digits")).await.json();
    assert_eq!(body["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn a_conversation_too_long_keeps_the_words_that_clients_look_for() {
    let gateway = Gateway::start([node("digits").too_long()]).await;
    for stream in [false, true] {
        let mut body = ask("digits");
        body["stream"] = json!(stream);
        let reply = gateway.post("/v1/chat/completions", &body).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        let error = &reply.json()["error"];
        assert_eq!(error["code"], "context_length_exceeded");
        assert_eq!(error["param"], "messages");
        assert!(error["message"].as_str().unwrap().contains("maximum context length is"));
    }
}

#[tokio::test]
async fn a_swarm_whose_writers_all_fail_is_unavailable() {
    let gateway = Gateway::start([node("digits").breaks(), node("words").breaks()]).await;
    let reply = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    let error = &reply.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("no_candidates")));
}
