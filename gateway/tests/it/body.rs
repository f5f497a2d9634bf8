//! A body that is too large is refused early, and the gateway does not buffer it.

use std::io::Write as _;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use serde_json::json;
use shoal_proto::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::gateway::{Gateway, ask, eventually, node};

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
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 52428800\r\n\r\n";
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

/// A head that announces more than it brings.
fn head(key: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: 20000000\r\n\r\n{{"
    )
}

#[tokio::test]
async fn bodies_that_never_end_leave_places_for_other_keys_and_are_given_up() {
    let gateway = Gateway::with([node("digits").says("4")], |config| {
        config.http.keys = ["slow-key", "own-key"].map(Secret::new).into();
        config.http.requests_max = 8;
        config.http.body_ms_max = 3_000;
    })
    .await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        socket.write_all(head("slow-key").as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    let second_key = || {
        let request = gateway.build(reqwest::Method::POST, "/v1/chat/completions");
        gateway.send(request.header("x-api-key", "own-key").json(&ask("digits")))
    };
    // Six have the places that one key may have, and the others are refused.
    eventually(async || {
        let request = gateway.build(reqwest::Method::GET, "/v1/models");
        let reply = gateway.send(request.header("x-api-key", "own-key")).await;
        reply.header("x-ratelimit-remaining-requests") == Some("2")
    })
    .await;
    assert_eq!(second_key().await.status, 200);
    let (mut refusals, mut timeouts) = (0, 0);
    for mut socket in sockets {
        let mut status = [0; 12];
        socket.read_exact(&mut status).await.unwrap();
        refusals += usize::from(&status == b"HTTP/1.1 429");
        timeouts += usize::from(&status == b"HTTP/1.1 400");
    }
    assert_eq!((refusals, timeouts), (4, 6));
    assert_eq!(second_key().await.header("x-ratelimit-remaining-requests"), Some("6"));
}

#[tokio::test]
async fn bodies_share_a_budget_of_bytes() {
    let gateway = Gateway::with([node("digits").never_ends()], |config| {
        config.http.body_bytes_max = 1_000_000;
        config.http.bodies_bytes_max = 2_000_000;
    })
    .await;
    let mut body = ask("digits");
    body["filler"] = json!("x".repeat(900_000));
    body["stream"] = json!(true);
    let send = || gateway.build(reqwest::Method::POST, "/v1/chat/completions").json(&body).send();
    // Their rounds go on, so that their bodies count.
    let mut clients = JoinSet::from_iter([send(), send()]);
    gateway.until_begun(2).await;
    let third = gateway.post("/v1/chat/completions", &body).await;
    assert_eq!((third.status, third.header("x-should-retry")), (429, Some("true")));
    clients.shutdown().await;
    gateway.until_stopped(2).await;
}

#[tokio::test]
async fn a_compressed_body_is_read() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let plain = ask("shoal").to_string().into_bytes();
    for (encoding, body) in [
        ("gzip", gzip(&plain)),
        ("x-gzip", gzip(&plain)),
        ("deflate", zlib(&plain)),
        ("deflate", deflate(&plain)),
        ("br", brotli(&plain)),
        ("zstd", zstd(&plain)),
        ("identity", plain.clone()),
    ] {
        let reply = encoded(&gateway, encoding, body).await;
        assert_eq!(reply.status, 200, "{encoding}: {}", reply.text());
    }
    for encoding in ["compress", "gzip, br", "bzip2"] {
        let reply = encoded(&gateway, encoding, plain.clone()).await;
        assert_eq!(reply.status, 415, "{encoding}");
        assert_eq!(reply.json()["error"]["code"], "unsupported_content_encoding");
    }
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let reply = encoded(&gateway, encoding, plain.clone()).await;
        assert_eq!(reply.status, 400, "{encoding}: the body is not what the header says");
        assert!(reply.text().contains(encoding), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_body_that_expands_beyond_the_limit_is_refused() {
    let gateway = Gateway::with([], |config| config.http.body_bytes_max = 1_000_000).await;
    let zeros = vec![0; 50_000_000];
    for (encoding, body) in [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        // One block that repeats a byte 100 KiB times, many times over.
        ("zstd", zstd_repeats(500)),
        // A brotli stream with a window of 1 GiB.
        ("br", vec![0x11, 0x1e, 0, 0, 0, 0]),
    ] {
        let length = body.len();
        let reply = encoded(&gateway, encoding, body).await;
        assert!([400, 413].contains(&reply.status), "{encoding} {length}: {}", reply.text());
    }
}

/// Posts a body with its encoding.
async fn encoded(gateway: &Gateway, encoding: &str, body: Vec<u8>) -> crate::gateway::Reply {
    let request = gateway.build(reqwest::Method::POST, "/v1/chat/completions");
    let request = request.header("content-type", "application/json");
    gateway.send(request.header("content-encoding", encoding).body(body)).await
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// One block that is not compressed, and the empty last one (RFC 7932, 9.2).
fn brotli(plain: &[u8]) -> Vec<u8> {
    let head = (u32::try_from(plain.len()).unwrap() - 1) << 4 | 1 << 20;
    [&head.to_le_bytes()[..3], plain, &[0x03]].concat()
}

/// One frame with one raw block (RFC 8878, 3.1.1).
fn zstd(plain: &[u8]) -> Vec<u8> {
    let length = u8::try_from(plain.len()).unwrap();
    let block = (u32::from(length) << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, length], &block[..3], plain].concat()
}

/// A frame without a size, of blocks that repeat one byte 131,072 times.
fn zstd_repeats(count: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for number in 1..=count {
        let is_last = u32::from(number == count);
        let header: u32 = (131_072 << 3) | (1 << 1) | is_last;
        frame.extend([&header.to_le_bytes()[..3], b" "].concat());
    }
    frame
}

#[tokio::test]
async fn who_asks_first_whether_to_send_is_told_to_go_on() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let body = ask("shoal").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
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

#[tokio::test]
async fn a_request_larger_than_a_frame_is_refused_and_not_asked() {
    let gateway = Gateway::start([node("digits").says("4").embeds()]).await;
    let long = "a ".repeat(2_600_000);
    let chat = json!({"model": "shoal", "messages": [{"role": "user", "content": long}]});
    let embed = json!({"model": "digits", "input": long});
    for (path, body) in [("/v1/chat/completions", chat), ("/v1/embeddings", embed)] {
        let reply = gateway.post(path, &body).await;
        assert_eq!((reply.status, reply.header("retry-after")), (413, None), "{}", reply.text());
    }
    assert_eq!(gateway.start_count(), 0);
}
