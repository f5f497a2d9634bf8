//! Answers that are kept for repeated requests.

use reqwest::Method;
use serde_json::{Value, json};
use shoal_gateway::config::Config;
use shoal_proto::Secret;

use crate::{
    gateway::{Gateway, Reply, ask, node},
    sse::{chunks, text_of},
};

const CHAT: &str = "/v1/chat/completions";

fn on(config: &mut Config) {
    config.http.cache_bytes_max = 1_000_000;
}

fn greedy(model: &str) -> Value {
    let mut body = ask(model);
    body["temperature"] = json!(0);
    body
}

async fn send(gateway: &Gateway, key: &str, wish: Option<&str>, path: &str, body: &Value) -> Reply {
    let request = gateway.build(Method::POST, path).bearer_auth(key).json(body);
    let request = match wish {
        Some(wish) => request.header("x-shoal-cache", wish),
        None => request,
    };
    gateway.send(request).await
}

#[tokio::test]
async fn a_repeated_request_asks_no_member_again() {
    let gateway = Gateway::with([node("a").says("4")], on).await;
    for model in ["a", "shoal"] {
        let before = gateway.start_count();
        let first = gateway.post(CHAT, &greedy(model)).await;
        let again = gateway.post(CHAT, &greedy(model)).await;
        let results = [first.header("x-shoal-cache"), again.header("x-shoal-cache")];
        assert_eq!(results, [Some("miss"), Some("hit")]);
        assert_eq!(first.header("x-shoal-round"), again.header("x-shoal-round"));
        let [first, again] = [first, again].map(|reply| reply.json());
        assert_eq!(first["choices"], again["choices"]);
        assert_eq!(first["usage"], again["usage"]);
        assert_eq!(gateway.start_count(), before + 1, "{model}");
    }
    let metrics = gateway.get("/metrics").await.text();
    assert!(metrics.contains(r#"shoal_cache_requests_total{result="hit"} 2"#), "{metrics}");
    assert!(metrics.contains("shoal_cache_bytes "), "{metrics}");
}

#[tokio::test]
async fn a_kept_answer_is_streamed_too_and_each_format_has_its_own() {
    let gateway = Gateway::with([node("a").says("4")], on).await;
    let mut body = greedy("a");
    body["stream"] = json!(true);
    let first = send(&gateway, "k", None, CHAT, &body).await;
    let again = send(&gateway, "k", None, CHAT, &body).await;
    assert_eq!(again.header("x-shoal-cache"), Some("hit"));
    for reply in [first, again] {
        assert_eq!(text_of(&chunks(&reply.text())), "4");
    }
    let prompts = json!({"model": "a", "prompt": ["x", "y"], "temperature": 0});
    for found in ["miss", "hit"] {
        let reply = send(&gateway, "k", None, "/v1/completions", &prompts).await;
        assert_eq!(reply.header("x-shoal-cache"), Some(found));
        assert_eq!(reply.json()["choices"].as_array().map(Vec::len), Some(2));
    }
    let message = json!({
        "model": "a", "max_tokens": 9, "temperature": 0,
        "messages": [{"role": "user", "content": "x"}],
    });
    let response = json!({"model": "a", "input": "x", "temperature": 0});
    for (path, body) in [("/v1/messages", message), ("/v1/responses", response)] {
        for found in ["miss", "hit"] {
            let reply = send(&gateway, "k", None, path, &body).await;
            assert_eq!(reply.header("x-shoal-cache"), Some(found), "{path}");
        }
    }
}

#[tokio::test]
async fn the_header_asks_for_it_or_refuses_it() {
    let gateway = Gateway::with([node("a").says("4")], on).await;
    let header = async |wish, body| -> Option<String> {
        let reply = send(&gateway, "k", wish, CHAT, body).await;
        reply.header("x-shoal-cache").map(str::to_owned)
    };
    let (warm, cold) = (ask("a"), greedy("a"));
    assert_eq!(header(None, &warm).await, None, "it may vary");
    assert_eq!(header(Some("true"), &warm).await.as_deref(), Some("miss"));
    assert_eq!(header(Some("true"), &warm).await.as_deref(), Some("hit"));
    assert_eq!(header(None, &cold).await.as_deref(), Some("miss"));
    assert_eq!(header(Some("false"), &cold).await, None);
}

#[tokio::test]
async fn a_key_never_gets_the_answer_of_another() {
    let gateway = Gateway::with([node("a").says("4")], |config| {
        on(config);
        config.http.keys = ["alice", "bob"].map(Secret::new).into();
    })
    .await;
    for (key, found) in [("alice", "miss"), ("bob", "miss"), ("alice", "hit"), ("bob", "hit")] {
        let reply = send(&gateway, key, None, CHAT, &greedy("a")).await;
        assert_eq!(reply.header("x-shoal-cache"), Some(found), "{key}");
    }
}

#[tokio::test]
async fn without_the_operators_setting_nothing_is_kept() {
    let gateway = Gateway::start([node("a").says("4")]).await;
    for _ in 0..2 {
        let reply = send(&gateway, "k", Some("true"), CHAT, &greedy("a")).await;
        assert_eq!(reply.header("x-shoal-cache"), None);
    }
    assert_eq!(gateway.start_count(), 2);
}
