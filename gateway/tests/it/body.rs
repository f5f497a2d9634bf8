//! A body that is too large is refused early, and the gateway does not buffer it.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::gateway::{Gateway, ask, node};

#[tokio::test]
async fn a_body_of_fifty_megabytes_is_refused_with_an_answer_and_no_reset() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let reply =
        gateway.post_bytes("/v1/chat/completions", "application/json", vec![b' '; 50 << 20]).await;
    assert_eq!(reply.status, 413);
    let error = &reply.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!(null)));
    let message = error["message"].as_str().unwrap();
    assert_eq!(message, "Maximum content size limit (26214400) exceeded (52428800 bytes read)");
    assert_eq!(gateway.post("/v1/chat/completions", &ask("shoal")).await.status, 200);
}

#[tokio::test]
async fn a_length_that_is_too_large_is_refused_before_a_byte_of_it_is_sent() {
    let gateway = Gateway::start([]).await;
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 52428800\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_body_without_a_length_is_read_no_further_than_the_limit() {
    let gateway = Gateway::with([], |config| config.http.body_bytes_max = 1000).await;
    let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 100]));
    let body = reqwest::Body::wrap_stream(futures_util::StreamExt::take(pieces, 11));
    let request = gateway
        .build(reqwest::Method::POST, "/v1/chat/completions")
        .header("content-type", "application/json")
        .body(body);
    assert_eq!(gateway.send(request).await.status, 413);
}

#[tokio::test]
async fn a_large_body_within_the_limit_is_answered() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let mut body = ask("shoal");
    body["filler"] = json!("x".repeat(3 << 20));
    let reply = gateway.post("/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn who_asks_first_whether_to_send_is_told_to_go_on() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let body = ask("shoal").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut chunks = Vec::new();
    for (part, then) in [("HTTP/1.1 100 Continue\r\n", body.as_str()), ("HTTP/1.1 200 ", "")] {
        while !String::from_utf8_lossy(&chunks).contains(part) {
            assert!(socket.read_buf(&mut chunks).await.unwrap() > 0, "no {part:?}");
        }
        socket.write_all(then.as_bytes()).await.unwrap();
    }
}
