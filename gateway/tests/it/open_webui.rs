//! The requests of Open WebUI, which is too large to install for a test: the list of models, a chat with
//! Open WebUI's own fields, and background tasks (a title for the chat).

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, node},
    sse::{chunks, text_of},
};

/// The headers of its backend, including those about its users.
fn from_it(request: RequestBuilder) -> RequestBuilder {
    request
        .header("authorization", "Bearer ")
        .header("x-openwebui-user-name", "Ada%20Lovelace")
        .header("x-openwebui-user-id", "5f0c")
        .header("x-openwebui-user-email", "ada@example.com")
        .header("x-openwebui-user-role", "user")
        .header("x-openwebui-chat-id", "c0ffee")
        .header("accept-encoding", "gzip, deflate, br, zstd")
}

/// A chat as its page sends it, with the fields that its backend normally removes.
fn chat(stream: bool, more: Value) -> Value {
    let mut body = json!({
        "stream": stream,
        "model": "shoal",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is 2 + 2?"},
            {"role": "assistant", "content": "4"},
            {"role": "user", "content": [{"type": "text", "text": "And 3 + 1?"}]},
        ],
        "params": {},
        "files": [],
        "filter_ids": [],
        "tool_ids": [],
        "tool_servers": [],
        "features": {"voice": false, "image_generation": false, "code_interpreter": false, "web_search": false},
        "variables": {"{{USER_NAME}}": "Ada", "{{CURRENT_DATE}}": "2026-11-28"},
        "model_item": {"id": "shoal", "object": "model", "owned_by": "shoal", "urlIdx": 0},
        "session_id": "s-1",
        "chat_id": "c0ffee",
        "id": "m-1",
        "background_tasks": {"title_generation": true, "tags_generation": true},
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn it_lists_what_it_can_show() {
    let gateway = Gateway::start([node("org/digits").says("4")]).await;
    let list = gateway.send(from_it(gateway.build(Method::GET, "/v1/models"))).await;
    assert_eq!(list.status, 200);
    for model in list.json()["data"].as_array().unwrap() {
        assert!(model["id"].is_string() && model["owned_by"].is_string(), "{model}");
        assert_eq!(model["object"], "model");
    }
}

#[tokio::test]
async fn it_streams_a_chat_whatever_it_leaves_in() {
    let gateway = Gateway::start([node("digits").says("It is 4.")]).await;
    let more = json!({"stream_options": {"include_usage": true}});
    let chat_request = gateway.build(Method::POST, "/v1/chat/completions").json(&chat(true, more));
    let reply = gateway.send(from_it(chat_request)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-encoding"), None, "a compressed stream would be held back");
    let chunks = chunks(&reply.text());
    assert_eq!(text_of(&chunks), "It is 4.");
    assert!(chunks.last().unwrap()["usage"]["total_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn its_errands_are_answered_at_once() {
    let gateway = Gateway::start([node("digits").says("{\"title\": \"Sums\"}")]).await;
    for limit in ["max_tokens", "max_completion_tokens"] {
        let more = json!({limit: 1000});
        let chat_request =
            gateway.build(Method::POST, "/v1/chat/completions").json(&chat(false, more));
        let reply = gateway.send(from_it(chat_request)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let content = reply.json()["choices"][0]["message"]["content"].clone();
        assert_eq!(content, "{\"title\": \"Sums\"}");
    }
}
