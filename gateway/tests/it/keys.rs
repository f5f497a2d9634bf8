//! API keys and rate limits, with their headers.

use reqwest::Method;
use serde_json::{Value, json};
use shoal_gateway::config::Config;
use shoal_proto::Secret;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

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
}

/// Other spellings of a path, some of which the router reads as the same path.
fn spellings(path: &str) -> Vec<String> {
    let encode = |index: usize| {
        let (before, rest) = path.split_at(index);
        let (letter, after) = rest.split_at(1);
        format!("{before}%{:02x}{after}", letter.as_bytes()[0])
    };
    let whole_path = path.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let rest = path.trim_start_matches('/');
    let mut spellings: Vec<String> = (1..path.len()).map(encode).collect();
    spellings.extend([
        path.to_owned(),
        format!("/{}", whole_path.trim_start_matches("%2F")),
        format!("//{rest}"),
        format!("/./{rest}"),
        format!("/healthz/../{rest}"),
        format!("/v1/nodes/../../{rest}"),
        format!("/v1/nodes/%2e%2e/%2e%2e/{rest}"),
        format!("/v1/nodes/..%2f..%2f{rest}"),
        path.replace("/v1/", "/V1/"),
        path.replace("/v1/", "/v1//"),
        path.replace("/v1/", "/v1;x/"),
        format!("{path}/"),
        format!("{path}?key=x"),
        format!("{path}%20"),
        format!("{path}%00"),
        format!("http://localhost{path}"),
    ]);
    spellings
}

#[tokio::test]
async fn no_spelling_of_a_route_leads_around_the_key() {
    let gateway = Gateway::with([node("digits").says("4")], require_key).await;
    let document = gateway.get("/openapi.json").await.json();
    let public = [
        "/v1/nodes",
        "/v1/nodes/{id}/standing",
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        // The console's files, which have no data.
        "/",
        "/console/{name}",
    ];
    let (mut count, mut route_count) = (0, 0);
    for (route, methods) in document["paths"].as_object().unwrap() {
        if public.contains(&route.as_str()) || route == "/openapi.json" {
            continue;
        }
        route_count += 1;
        for method in methods.as_object().unwrap().keys() {
            for path in spellings(&route.replace("{id}", "abcdef")) {
                let status = status(&gateway, &method.to_uppercase(), &path).await;
                // A path that the router reads as a public one may be answered, with "no such thing".
                let is_public = path.contains("/v1/nodes/") || path.contains("/healthz/");
                let is_refused = status == 401 || status == 400 || is_public && status == 404;
                assert!(is_refused, "{method} {path}: {status}");
                count += 1;
            }
        }
    }
    assert!(route_count > 10 && count > 400, "{route_count} routes, {count} spellings");
    assert_eq!(gateway.start_count(), 0);
}

/// The status of a request whose target is sent as it is, which reqwest would tidy up.
async fn status(gateway: &Gateway, method: &str, target: &str) -> u16 {
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let head =
        format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).await.unwrap();
    let status = reply.get(9..12).unwrap_or_default();
    std::str::from_utf8(status).unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_key_never_sees_what_another_stored() {
    let gateway = Gateway::with([node("digits").says("4")], require_key).await;
    let [owner, stranger] = KEYS;
    let create = |key: &'static str, body: Value| {
        let request = gateway.build(Method::POST, "/v1/responses").header("x-api-key", key);
        gateway.send(request.json(&body))
    };
    let creation = create(owner, json!({"model": "digits", "input": "My PIN is 4711."})).await;
    let (id, round) =
        (creation.json()["id"].clone(), creation.header("x-shoal-round").unwrap().to_owned());
    let id = id.as_str().unwrap();
    let paths = [
        (Method::GET, format!("/v1/responses/{id}")),
        (Method::GET, format!("/v1/responses/{id}?stream=true")),
        (Method::GET, format!("/v1/responses/{id}/input_items")),
        (Method::POST, format!("/v1/responses/{id}/cancel")),
        (Method::GET, format!("/v1/rounds/{round}")),
        (Method::DELETE, format!("/v1/responses/{id}")),
    ];
    for (method, path) in &paths {
        let request = gateway.build(method.clone(), path).header("x-api-key", stranger);
        let reply = gateway.send(request).await;
        assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text());
    }
    let next = json!({"model": "digits", "input": "And?", "previous_response_id": id});
    let foreign = create(stranger, next.clone()).await;
    assert_eq!(foreign.json()["error"]["code"], "previous_response_not_found");
    assert_eq!(create(owner, next).await.status, 200);
    for (method, path) in &paths {
        let request = gateway.build(method.clone(), path).header("x-api-key", owner);
        assert_ne!(gateway.send(request).await.status, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn metrics_can_be_kept_for_keys() {
    let change = |config: &mut Config| {
        require_key(config);
        config.http.metrics_need_key = true;
    };
    let gateway = Gateway::with([], change).await;
    assert_eq!(gateway.get("/metrics").await.status, 401);
    let request = gateway.build(Method::GET, "/metrics").header("x-api-key", KEYS[0]);
    assert_eq!(gateway.send(request).await.status, 200);
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
