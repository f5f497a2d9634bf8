//! When a client leaves, all work for it stops.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::gateway::{Gateway, ask, node};

/// Sends a request over a socket of its own and leaves it open.
pub(crate) async fn ask_on_a_socket(gateway: &Gateway, model: &str, stream: bool) -> TcpStream {
    let mut body = ask(model);
    body["stream"] = json!(stream);
    send_on_a_socket(gateway, &body).await
}

async fn send_on_a_socket(gateway: &Gateway, body: &Value) -> TcpStream {
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn leaving_before_the_first_byte_stops_every_engine() {
    for stream in [false, true] {
        let nodes = [node("a").never_ends(), node("b").never_ends(), node("c").never_ends()];
        let gateway = Gateway::start(nodes).await;
        let socket = ask_on_a_socket(&gateway, "shoal", stream).await;
        gateway.until_begun(3).await;
        drop(socket);
        gateway.until_stopped(3).await;
        gateway.until_counted(&cancel_line("shoal", stream)).await;
    }
}

#[tokio::test]
async fn leaving_in_the_middle_of_a_stream_stops_the_engine() {
    let (node, _go_on) = node("digits").says_in_two("first half", "never said");
    let gateway = Gateway::start([node]).await;
    let mut socket = ask_on_a_socket(&gateway, "digits", true).await;
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains("first half") {
        assert!(socket.read_buf(&mut bytes).await.unwrap() > 0);
    }
    drop(socket);
    gateway.until_stopped(1).await;
    gateway.until_counted(&cancel_line("digits", true)).await;
}

#[tokio::test]
async fn leaving_while_a_round_keeps_a_stream_alive_stops_every_engine() {
    let nodes = [node("a").never_ends(), node("b").never_ends(), node("c").never_ends()];
    let gateway = Gateway::with(nodes, |config| config.http.keep_alive_ms = 20).await;
    let mut socket = ask_on_a_socket(&gateway, "shoal", true).await;
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(": keep-alive") {
        assert!(socket.read_buf(&mut bytes).await.unwrap() > 0);
    }
    gateway.until_begun(3).await;
    drop(socket);
    gateway.until_stopped(3).await;
    gateway.until_counted(&cancel_line("shoal", true)).await;
}

#[tokio::test]
async fn leaving_while_one_of_several_texts_is_told_stops_them_all() {
    let gateway = Gateway::start([node("a").never_ends(), node("a").never_ends()]).await;
    let mut body = ask("a");
    body["n"] = json!(3);
    let socket = send_on_a_socket(&gateway, &body).await;
    gateway.until_begun(3).await;
    drop(socket);
    gateway.until_stopped(3).await;
    gateway.until_counted(&cancel_line("a", false)).await;
}

/// Measures and prints the time until the last engine stops, for each case; eval/results/api.md
/// quotes these numbers (run it with `--no-capture`). The bound is ten times the promise, because tests share
/// their cores.
#[tokio::test]
async fn every_engine_stops_soon_after_its_client_has_gone() {
    const TIMES: usize = 20;
    let nodes = ["a", "b", "c", "d", "e"].map(|name| node(name).never_ends());
    for (case, model, stream, begins) in [
        ("before the first byte of a stream", "shoal", true, false),
        ("before an answer in one piece", "shoal", false, false),
        ("in the middle of a stream", "a", true, true),
    ] {
        let gateway = match begins {
            true => Gateway::start([node("a").begins_and_never_ends("first half")]).await,
            false => Gateway::start(nodes.clone()).await,
        };
        let count = if begins { 1 } else { 5 };
        let mut took = Vec::new();
        for time in 1..=TIMES {
            let mut socket = ask_on_a_socket(&gateway, model, stream).await;
            gateway.until_begun(time * count).await;
            let mut bytes = Vec::new();
            while begins && !String::from_utf8_lossy(&bytes).contains("first half") {
                assert!(socket.read_buf(&mut bytes).await.unwrap() > 0);
            }
            let left = Instant::now();
            drop(socket);
            gateway.until_stopped(time * count).await;
            took.push(gateway.last_stop().unwrap().duration_since(left));
        }
        took.sort();
        let (median, longest) = (took[TIMES / 2], took[TIMES - 1]);
        println!("left {case}: {count} stopped within {median:.1?}, at most {longest:.1?}");
        assert!(longest < Duration::from_secs(2), "{case}: {longest:?}");
    }
}

#[tokio::test]
async fn leaving_after_any_byte_of_a_stream_stops_the_engine() {
    let gateway = Gateway::start([node("a").begins_and_never_ends("half")]).await;
    let mut stream = ask_on_a_socket(&gateway, "a", true).await;
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains("half") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
    drop(stream);
    gateway.until_stopped(1).await;
    for length in 1..=bytes.len() {
        let mut stream = ask_on_a_socket(&gateway, "a", true).await;
        let mut start = vec![0; length];
        stream.read_exact(&mut start).await.unwrap();
        drop(stream);
        gateway.until_counted("shoal_requests_in_flight 0").await;
        gateway.until_stopped(gateway.start_count()).await;
    }
}

fn cancel_line(model: &str, stream: bool) -> String {
    format!(r#"shoal_requests_total{{model="{model}",status="cancelled",stream="{stream}"}} 1"#)
}

#[tokio::test]
async fn a_client_that_does_not_read_keeps_neither_member_nor_place() {
    let long = "word ".repeat(600_000);
    let gateway = Gateway::with([node("digits").says(&long)], |config| {
        config.http.send_ms_max = 1_000;
    })
    .await;
    let mut body = ask("digits");
    body["stream"] = serde_json::json!(true);
    body["shoal"] = serde_json::json!({"deadline_ms": 1_000});
    let body = body.to_string();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    gateway.until_begun(1).await;
    // Nothing is read, and the connection stays open.
    if cfg!(target_os = "linux") {
        gateway.until_counted("shoal_requests_in_flight 0").await;
    }
    let members = gateway.get("/v1/nodes").await.json();
    assert_eq!(members["data"][0]["running"], 0);
    drop(socket);
}
