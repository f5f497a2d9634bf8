//! The limit of concurrent requests, with its headers.

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

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
async fn more_than_the_members_can_do_is_told_to_come_back_and_slow_bodies_do_not_count() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    // Four slots each: sixteen.
    let gateway = Gateway::start(NAMES.map(|name| node(name).never_ends())).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
        socket.write_all(head.as_bytes()).await.unwrap();
        slow.push(socket);
    }
    let mut running = Vec::new();
    for name in NAMES.iter().cycle().take(16) {
        running.push(ask_on_a_socket(&gateway, name, true).await);
    }
    gateway.until_begun(16).await;
    let refusal = gateway.post("/v1/chat/completions", &ask("a")).await;
    assert_eq!((refusal.status, refusal.header("retry-after")), (429, Some("1")));
    drop(running.pop());
    gateway.until_stopped(1).await;
    running.push(ask_on_a_socket(&gateway, "d", true).await);
    gateway.until_begun(17).await;
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
