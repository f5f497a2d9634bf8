//! Several answers, log-probabilities and progress.

use serde_json::{Value, json};

use crate::gateway::{Gateway, Reply, ask, node};
use crate::sse::chunks;

fn with(model: &str, more: Value) -> Value {
    let mut body = ask(model);
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn chat(gateway: &Gateway, body: &Value) -> Reply {
    gateway.post("/v1/chat/completions", body).await
}

fn texts(reply: &Value) -> Vec<String> {
    let choices = reply["choices"].as_array().unwrap();
    for (at, choice) in choices.iter().enumerate() {
        assert_eq!(choice["index"], json!(at));
    }
    choices.iter().map(|entry| entry["message"]["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn several_answers_of_a_round_are_distinct_and_the_winner_comes_first() {
    let nodes =
        [node("a").says("four"), node("b").says("4"), node("c").says("4"), node("d").says("five")];
    let gateway = Gateway::start(nodes).await;
    let single = texts(&chat(&gateway, &ask("shoal")).await.json());
    let three = chat(&gateway, &with("shoal", json!({"n": 3}))).await.json();
    let mut output = texts(&three);
    assert_eq!(output[0], single[0]);
    output.sort();
    assert_eq!(output, ["4", "five", "four"]);
    let usage = &three["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(5), &json!(21)));
    assert_eq!(usage["total_tokens"], 26);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 2);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 9, "of three answers");
}

#[tokio::test]
async fn more_answers_than_there_are_different_ones_are_filled_with_copies() {
    let gateway = Gateway::start([node("a").says("4"), node("b").says("4")]).await;
    let output = texts(&chat(&gateway, &with("shoal", json!({"n": 2}))).await.json());
    assert_eq!(output, ["4", "4"]);
    // Clients count on as many answers as they asked for, however few members there are.
    let output = texts(&chat(&gateway, &with("shoal", json!({"n": 5}))).await.json());
    assert_eq!(output.len(), 5);
}

#[tokio::test]
async fn one_model_writes_several_times_each_with_a_seed_of_its_own() {
    let gateway = Gateway::start([node("a").says("4")]).await;
    let output = texts(&chat(&gateway, &with("a", json!({"n": 3, "seed": 7}))).await.json());
    assert_eq!(output.len(), 3);
    let mut seeds: Vec<_> = gateway
        .generate_asks()
        .iter()
        .map(|generate| generate.sampling.clone().unwrap().seed.unwrap())
        .collect();
    seeds.sort();
    assert_eq!(seeds, [7, 8, 9]);
}

#[tokio::test]
async fn one_model_writes_more_answers_than_it_has_slots() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    for _ in 0..5 {
        let answer = chat(&gateway, &with("digits", json!({"n": 16}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(texts(&answer.json()).len(), 16);
    }
}

#[tokio::test]
async fn streamed_answers_have_an_opening_and_an_end_each() {
    let nodes = [node("a").says("four"), node("b").says("five")];
    let gateway = Gateway::start(nodes).await;
    for (model, n) in [("shoal", 2), ("a", 2)] {
        let body =
            with(model, json!({"n": n, "stream": true, "stream_options": {"include_usage": true}}));
        let output = chat(&gateway, &body).await.text();
        for index in 0..n {
            let mut choice_chunks = chunks(&output);
            choice_chunks.retain(|chunk| chunk["choices"][0]["index"] == json!(index));
            let roles = choice_chunks
                .iter()
                .filter(|entry| entry["choices"][0]["delta"].get("role").is_some());
            let ends = choice_chunks
                .iter()
                .filter(|entry| !entry["choices"][0]["finish_reason"].is_null());
            assert_eq!((roles.count(), ends.count()), (1, 1), "{output}");
            assert_eq!(choice_chunks[0]["choices"][0]["delta"]["role"], "assistant");
        }
    }
}

#[tokio::test]
async fn log_probabilities_join_to_the_text_whole_and_streamed() {
    let tokens = [("47", -0.25), (" + ", -0.5), ("385", -0.125)];
    let gateway = Gateway::start([node("a").says_tokens(&tokens)]).await;
    for model in ["shoal", "a"] {
        let body = with(model, json!({"logprobs": true, "top_logprobs": 1}));
        let whole = chat(&gateway, &body).await.json();
        let content = whole["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
        let read: Vec<_> = content
            .iter()
            .map(|entry| (entry["token"].as_str().unwrap(), entry["logprob"].as_f64().unwrap()))
            .collect();
        assert_eq!(read, tokens);
        assert_eq!(content[0]["bytes"], json!([52, 55]));
        assert_eq!(content[0]["top_logprobs"][0]["token"], "x");

        let stream_body = with(model, json!({"logprobs": true, "top_logprobs": 1, "stream": true}));
        let output = chat(&gateway, &stream_body).await.text();
        let mut deltas = Vec::new();
        for chunk in chunks(&output) {
            let choice = &chunk["choices"][0];
            let of: Vec<Value> =
                choice["logprobs"]["content"].as_array().cloned().unwrap_or_default();
            let token_text: String =
                of.iter().map(|entry| entry["token"].as_str().unwrap()).collect();
            assert_eq!(token_text, choice["delta"]["content"].as_str().unwrap_or_default());
            deltas.extend(of);
        }
        assert_eq!(deltas, content);
    }
    let sampling = gateway.generate_asks()[0].sampling.clone().unwrap();
    assert_eq!(sampling.logprobs, Some(1));
    let without = chat(&gateway, &ask("shoal")).await.json();
    assert_eq!(without["choices"][0].get("logprobs"), Some(&Value::Null));
}

#[tokio::test]
async fn progress_is_told_as_reasoning_to_those_who_want_it() {
    let nodes = [node("a").says("4"), node("b").says("5"), node("c").says("6")];
    let gateway = Gateway::start(nodes).await;
    let progress_body = with("shoal", json!({"stream": true, "shoal": {"progress": "reasoning"}}));
    let output = chat(&gateway, &progress_body).await.text();
    let progress = reasoning_text(&output);
    for words in ["Asking 3 members.", "3 of 3 answered.", "Judging."] {
        assert!(progress.contains(words), "{progress}");
    }
    assert!(output.ends_with("data: [DONE]\n\n"));
    let output = chat(&gateway, &with("shoal", json!({"stream": true}))).await.text();
    assert_eq!(reasoning_text(&output), "");
}

fn reasoning_text(output: &str) -> String {
    chunks(output)
        .iter()
        .filter_map(|entry| entry["choices"][0]["delta"]["reasoning_content"].as_str())
        .collect()
}
