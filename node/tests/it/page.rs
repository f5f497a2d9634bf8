//! The page that Prometheus reads.

use prometheus::Registry;
use shoal_node::metrics::{Metrics, page::Page};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The whole answer to a request.
async fn got(registry: Registry, request: &str) -> String {
    let page = Page::bind("127.0.0.1:0".parse().unwrap(), registry).await.unwrap();
    let address = page.address().unwrap();
    let ask = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::select! {
        never = page.serve() => match never {},
        answer = ask => answer,
    }
}

#[tokio::test]
async fn every_counter_is_on_the_page_from_the_start() {
    let registry = Registry::new();
    Metrics::register(&registry).unwrap();
    let answer =
        got(registry, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{answer}");
    for line in [
        "shoal_node_work_total{kind=\"generate\",outcome=\"done\"} 0",
        "shoal_node_work_total{kind=\"judge\",outcome=\"cancelled\"} 0",
        "shoal_node_work_duration_seconds_count{kind=\"judge\"} 0",
        "shoal_node_time_to_first_token_seconds_count 0",
        "shoal_node_tokens_total{type=\"input\"} 0",
        "shoal_node_tokens_total{type=\"output\"} 0",
        "shoal_node_decode_seconds_total 0",
        "shoal_node_running 0",
        "shoal_node_waiting 0",
        "shoal_node_links 0",
        "shoal_node_reconnects_total 0",
    ] {
        assert!(answer.lines().any(|found| found == line), "{line} is missing in {answer}");
    }
}

#[tokio::test]
async fn there_is_nothing_else_to_see() {
    let answer =
        got(Registry::new(), "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}
