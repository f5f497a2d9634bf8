//! API keys and rate limits, with their headers.

use reqwest::Method;
use serde_json::{Value, json};
use shoal_gateway::config::Config;
use shoal_proto::Secret;

use crate::gateway::{Gateway, Reply, ask, node};

const CHAT: &str = "/v1/chat/completions";
const KEYS: [&str; 2] = ["sk-first-of-the-keys", "sk-second-of-the-keys"];

fn require_key(config: &mut Config) {
    config.http.keys = KEYS.map(Secret::new).into();
}

/// Posts with one header.
async fn post(gateway: &Gateway, path: &str, header: (&str, &str), body: &str) -> Reply {
    let (name, value) = header;
    let request = gateway.build(Method::POST, path).header(name, value);
    gateway.send(request.header("content-type", "application/json").body(body.to_owned())).await
}

/// Sends a chat request with a key.
async fn asks(gateway: &Gateway, key: &str) -> Reply {
    let bearer = format!("Bearer {key}");
    post(gateway, CHAT, ("authorization", &bearer), &ask("shoal").to_string()).await
}

#[tokio::test]
async fn nothing_of_a_request_without_a_key_is_read() {
    let gateway = Gateway::with([node("digits").says("4")], require_key).await;
    let cases = [
        ("x-nothing", "", Value::Null),
        ("authorization", "Bearer ", Value::Null),
        ("authorization", "Basic c2s6c2s=", Value::Null),
        ("authorization", "Bearer sk-none-of-the-keys", json!("invalid_api_key")),
        ("x-api-key", "sk-none-of-the-keys", json!("invalid_api_key")),
    ];
    for (name, value, code) in cases {
        for path in [CHAT, "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/rank"] {
            // The body is no JSON, and too large a length would be refused as well: the key is checked first.
            let reply = post(&gateway, path, (name, value), "{").await;
            assert_eq!(reply.status, 401, "{path} {name}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            assert!(
                reply.header("x-request-id").is_some() && reply.header("retry-after").is_none()
            );
            let error = &reply.json()["error"];
            assert_eq!((&error["type"], &error["code"]), (&json!("invalid_request_error"), &code));
            assert_eq!(error["param"], Value::Null);
            assert!(!reply.text().contains("sk-none"), "{}", reply.text());
        }
        let reply = post(&gateway, "/v1/messages", (name, value), "{").await;
        assert_eq!((reply.status, &reply.json()["type"]), (401, &json!("error")));
        assert_eq!(reply.json()["error"]["type"], "authentication_error");
    }
    for path in ["/v1/models", "/v1/models/digits", "/v1/rounds/x", "/v1/responses/x", "/v1/x"] {
        assert_eq!(gateway.get(path).await.status, 401, "{path}");
    }
    assert_eq!(gateway.start_count(), 0);
}

#[tokio::test]
async fn every_key_opens_every_door_however_it_is_sent() {
    let gateway = Gateway::with([node("digits").says("4")], require_key).await;
    for key in KEYS {
        assert_eq!(asks(&gateway, key).await.status, 200);
        let body = ask("digits").to_string();
        let lower = format!("bearer  {key}");
        assert_eq!(post(&gateway, CHAT, ("authorization", &lower), &body).await.status, 200);
        assert_eq!(post(&gateway, CHAT, ("x-api-key", key), &body).await.status, 200);
    }
    for open in ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/nodes"] {
        assert_eq!(gateway.get(open).await.status, 200, "{open}");
    }
    let preflight = gateway.build(Method::OPTIONS, CHAT);
    let preflight = preflight.header("access-control-request-method", "POST");
    assert_eq!(gateway.send(preflight).await.status, 204);
}

#[tokio::test]
async fn each_key_has_requests_of_its_own_by_the_minute() {
    let change = |config: &mut Config| {
        require_key(config);
        config.http.requests_per_minute = 2;
    };
    let gateway = Gateway::with([node("digits").says("4")], change).await;
    let [first, second] = KEYS;
    for left in ["1", "0"] {
        let reply = asks(&gateway, first).await;
        assert_eq!((reply.status, reply.header("x-ratelimit-limit-requests")), (200, Some("2")));
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some(left));
        assert!(reply.header("x-ratelimit-reset-requests").unwrap().ends_with('s'));
        assert_eq!(reply.header("x-ratelimit-limit-tokens"), None, "there is no such limit");
    }
    let refusal = asks(&gateway, first).await;
    assert_eq!(refusal.status, 429);
    let error = &refusal.json()["error"];
    let is = (&error["type"], &error["code"]);
    assert_eq!(is, (&json!("requests"), &json!("rate_limit_exceeded")));
    assert!(error["message"].as_str().unwrap().contains("Please try again in "), "{error}");
    let seconds: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    let ms: u64 = refusal.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds) && ms.div_ceil(1_000) == seconds, "{seconds} s, {ms} ms");
    assert_eq!(refusal.header("x-should-retry"), Some("true"));
    assert_eq!(asks(&gateway, second).await.status, 200, "another key has its own");
    let models_request = gateway.build(Method::GET, "/v1/models").header("x-api-key", first);
    assert_eq!(gateway.send(models_request).await.status, 200, "looking costs nothing");
}

#[tokio::test]
async fn tokens_are_counted_when_they_are_known() {
    let change = |config: &mut Config| config.http.tokens_per_minute = 20;
    // Each answer costs 5 prompt tokens and 7 completion tokens.
    let gateway = Gateway::with([node("digits").says("4")], change).await;
    let first = asks(&gateway, "any").await;
    assert_eq!(first.header("x-ratelimit-limit-tokens"), Some("20"));
    assert_eq!(first.header("x-ratelimit-remaining-tokens"), Some("8"));
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("1024"), "those at the same time");
    let second = asks(&gateway, "any").await;
    assert_eq!((second.status, second.header("x-ratelimit-remaining-tokens")), (200, Some("0")));
    let refusal = asks(&gateway, "another").await;
    assert_eq!((refusal.status, &refusal.json()["error"]["type"]), (429, &json!("tokens")));
    let reply = post(&gateway, "/v1/messages", ("x-api-key", "any"), "{}").await;
    assert_eq!(reply.json()["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn a_wait_that_no_client_would_wait_is_not_retried() {
    let change = |config: &mut Config| config.http.tokens_per_minute = 4;
    let gateway = Gateway::with([node("digits").says("4")], change).await;
    assert_eq!(asks(&gateway, "any").await.status, 200);
    let refusal = asks(&gateway, "any").await;
    assert_eq!((refusal.status, refusal.header("x-should-retry")), (429, Some("false")));
    assert!(refusal.header("retry-after").unwrap().parse::<u64>().unwrap() > 60);
}
