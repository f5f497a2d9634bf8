//! Streamed chat answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::{Gateway, ask, node};

fn stream_body(model: &str) -> Value {
    let mut body = ask(model);
    body["stream"] = json!(true);
    body
}

/// The JSON of every event, after a check of the framing; `[DONE]` is left out.
pub(crate) fn chunks(text: &str) -> Vec<Value> {
    assert!(text.ends_with("\n\n"), "{text:?}");
    let events =
        text.trim_end_matches("\n\n").split("\n\n").filter(|event| !event.starts_with(':'));
    events
        .map(|event| {
            assert_eq!(event.lines().count(), 1, "{event:?}");
            event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?}"))
        })
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")))
        .collect()
}

pub(crate) fn text_of(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_stream_is_the_role_then_pieces_then_the_end_then_done() {
    let answer = "Four hundred and thirty-two, für alle 🐟.\nAnswer: 432";
    let gateway = Gateway::start([node("digits").says(answer)]).await;
    for model in ["shoal", "digits"] {
        let reply = gateway.post("/v1/chat/completions", &stream_body(model)).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        let text = reply.text();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text:?}");
        assert_eq!(text.matches("[DONE]").count(), 1);

        let chunks = chunks(&text);
        let deltas =
            chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect::<Vec<_>>();
        assert_eq!(deltas[0], json!({"role": "assistant", "content": "", "refusal": null}));
        let (last, pieces) = deltas[1..].split_last().unwrap();
        assert_eq!(last, &json!({}));
        assert!(!pieces.is_empty());
        for piece in pieces {
            assert_eq!(piece.as_object().unwrap().keys().collect::<Vec<_>>(), ["content"]);
        }
        assert_eq!(text_of(&chunks), answer, "{model}");
    }
}

#[tokio::test]
async fn every_chunk_names_the_same_answer_and_keeps_required_nulls() {
    let gateway = Gateway::start([node("digits").says("4 and then some more words")]).await;
    let text = gateway.post("/v1/chat/completions", &stream_body("shoal")).await.text();
    let chunks = chunks(&text);
    for (index, chunk) in chunks.iter().enumerate() {
        for key in ["id", "created", "model", "system_fingerprint"] {
            assert_eq!(chunk[key], chunks[0][key]);
            assert_ne!(chunk[key], Value::Null);
        }
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert!(chunk.get("usage").is_none());
        let choice = &chunk["choices"][0];
        assert_eq!((&choice["index"], choice.get("logprobs")), (&json!(0), Some(&Value::Null)));
        let last = index + 1 == chunks.len();
        let reason = if last { json!("stop") } else { Value::Null };
        assert_eq!(choice.get("finish_reason"), Some(&reason));
    }
}

#[tokio::test]
async fn usage_comes_last_with_no_choices_and_only_when_asked_for() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let mut body = stream_body("shoal");
    body["stream_options"] = json!({"include_usage": true});
    let text = gateway.post("/v1/chat/completions", &body).await.text();
    let chunks = chunks(&text);
    let (last, earlier) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    let [prompt, completion, total] = ["prompt_tokens", "completion_tokens", "total_tokens"]
        .map(|key| last["usage"][key].as_u64().unwrap());
    assert_eq!(total, prompt + completion);
    for chunk in earlier {
        assert_eq!(chunk.get("usage"), Some(&Value::Null));
        assert_eq!(chunk["choices"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_member_asked_by_name_is_heard_before_it_has_finished() {
    let (node, go_on) = node("digits").says_in_two("first half, ", "second half");
    let gateway = Gateway::start([node]).await;
    let mut stream = gateway.open("/v1/chat/completions", &stream_body("digits")).await;
    stream.read_until("first half").await;
    assert!(!stream.text_so_far().contains("second half"));
    go_on.notify_one();
    stream.read_to_end().await;
    assert_eq!(text_of(&chunks(stream.text_so_far())), "first half, second half");
}

/// With Nagle's algorithm each piece would wait for the acknowledgment of the last one: 40 ms on Linux.
#[tokio::test]
async fn small_pieces_do_not_wait_for_each_other() {
    const PIECES: usize = 50;
    let texts: Vec<String> = (0..PIECES).map(|at| format!("<{at}>")).collect();
    let (node, go_on) = node("digits").says_step_by_step(&texts);
    let gateway = Gateway::start([node]).await;
    let mut stream = gateway.open("/v1/chat/completions", &stream_body("digits")).await;
    let start_time = Instant::now();
    for text in &texts {
        stream.read_until(text).await;
        go_on.notify_one();
    }
    let interval = start_time.elapsed() / 50;
    stream.read_to_end().await;
    println!("a piece is heard {interval:.1?} after the last one");
    assert!(interval < Duration::from_millis(35), "{interval:?}");
}

#[tokio::test]
async fn no_frame_and_no_event_ends_inside_of_a_character() {
    let answer = "🐟ü漢🏳️‍🌈é".repeat(200);
    let tokens: Vec<(String, f64)> = answer.chars().map(|c| (c.to_string(), -0.5)).collect();
    let tokens: Vec<(&str, f64)> = tokens.iter().map(|(text, p)| (text.as_str(), *p)).collect();
    let gateway =
        Gateway::start([node("digits").says(&answer), node("m").says_tokens(&tokens)]).await;
    for (model, logprobs) in [("digits", false), ("m", true)] {
        let mut body = stream_body(model);
        body["logprobs"] = json!(logprobs);
        // Each piece from the wire is valid UTF-8 by itself.
        let mut stream = gateway.open("/v1/chat/completions", &body).await;
        stream.read_to_end().await;
        assert!(!stream.text_so_far().contains('\u{fffd}'));
        assert_eq!(text_of(&chunks(stream.text_so_far())), answer, "{model}");
    }
}

#[tokio::test]
async fn comments_keep_a_silent_stream_alive() {
    let (node, go_on) = node("digits").says_when_told("4");
    let gateway = Gateway::with([node], |config| config.http.keep_alive_ms = 20).await;
    let mut stream = gateway.open("/v1/chat/completions", &stream_body("shoal")).await;
    stream.read_until(": keep-alive\n\n: keep-alive\n\n").await;
    go_on.notify_one();
    stream.read_to_end().await;
    assert_eq!(text_of(&chunks(stream.text_so_far())), "4");
    assert!(stream.text_so_far().ends_with("data: [DONE]\n\n"));
    let (_, after) = stream.text_so_far().split_once(": x-shoal-round: ").unwrap();
    let round = after.lines().next().unwrap();
    assert_eq!(gateway.get(&format!("/v1/rounds/{round}")).await.status, 200);
}

#[tokio::test]
async fn a_failure_after_the_first_byte_is_an_error_event_and_no_done() {
    let (node, go_on) = node("digits").begins_then_breaks("half an ans");
    let gateway = Gateway::start([node]).await;
    let mut stream = gateway.open("/v1/chat/completions", &stream_body("digits")).await;
    stream.read_until("half an ans").await;
    go_on.notify_one();
    stream.read_to_end().await;
    assert!(!stream.text_so_far().contains("[DONE]"));
    let chunks = chunks(stream.text_so_far());
    let error = &chunks.last().unwrap()["error"];
    assert_eq!(error["type"], "server_error");
    assert!(error["message"].is_string());
    assert_eq!(error.as_object().map(|error| error.len()), Some(4));
}
