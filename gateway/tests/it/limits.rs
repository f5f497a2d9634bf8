//! The limit of concurrent requests, with its headers.

use serde_json::json;

use crate::gateway::{Gateway, ask, node};
use crate::leaving::ask_on_a_socket;

#[tokio::test]
async fn one_request_too_many_is_told_to_come_back() {
    let gateway =
        Gateway::with([node("a").never_ends()], |config| config.http.requests_max = 1).await;
    let free = gateway.get("/v1/models").await;
    assert_eq!(free.header("x-ratelimit-limit-requests"), Some("1"));
    assert_eq!(free.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(free.header("x-ratelimit-reset-requests"), Some("0s"));
    let socket = ask_on_a_socket(&gateway, "shoal", true).await;
    gateway.until_begun(1).await;
    let refusal = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    assert_eq!((refusal.status, refusal.header("retry-after")), (429, Some("1")));
    assert_eq!(refusal.header("x-ratelimit-remaining-requests"), Some("0"));
    let error = &refusal.json()["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("requests"), &json!("rate_limit_exceeded"))
    );
    drop(socket);
    gateway.until_stopped(1).await;
    crate::gateway::eventually(async || {
        let free = gateway.get("/v1/models").await;
        free.header("x-ratelimit-remaining-requests") == Some("1")
    })
    .await;
}

#[tokio::test]
async fn a_strict_operator_hears_of_fields_that_nobody_knows() {
    let gateway = Gateway::with([node("a").says("4")], |config| config.ask.strict = true).await;
    let mut body = ask("shoal");
    body["cache_control"] = json!({});
    let refusal = gateway.post("/v1/chat/completions", &body).await;
    assert_eq!(refusal.status, 400);
    let error = &refusal.json()["error"];
    assert_eq!(
        (&error["param"], &error["code"]),
        (&json!("cache_control"), &json!("unknown_parameter"))
    );
    assert_eq!(gateway.post("/v1/chat/completions", &ask("shoal")).await.status, 200);
}
