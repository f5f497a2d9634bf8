//! A gateway that is stopped finishes its running requests.

use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    gateway::{Gateway, ask, node},
    leaving::ask_on_a_socket,
};

#[tokio::test]
async fn a_running_answer_is_finished_and_nothing_new_is_taken() {
    let (node, go_on) = node("digits").says_in_two("first half, ", "second half");
    let mut gateway = Gateway::with([node], |config| config.http.drain_ms_max = 30_000).await;
    let mut body = ask("digits");
    body["stream"] = json!(true);
    let mut stream = gateway.open("/v1/chat/completions", &body).await;
    stream.read_until("first half").await;
    gateway.stop();
    gateway.until_deaf().await;
    go_on.notify_one();
    stream.read_to_end().await;
    assert!(
        stream.text_so_far().contains("second half") && stream.text_so_far().contains("[DONE]")
    );
    gateway.until_ended().await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_and_the_engine_stops() {
    let mut gateway = Gateway::start([node("digits").never_ends()]).await;
    let _socket = ask_on_a_socket(&gateway, "digits", true).await;
    gateway.until_begun(1).await;
    gateway.stop();
    gateway.until_stopped(1).await;
    gateway.until_ended().await;
}

#[tokio::test]
async fn where_it_listens_is_written_while_it_does() {
    let mut gateway = Gateway::start([]).await;
    let file = gateway.data().join("addresses.json");
    let addresses: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(addresses["http"], gateway.address().to_string());
    let ready = gateway.get("/readyz").await.json();
    assert_eq!((&addresses["id"], &addresses["quic"]), (&ready["gateway_key"], &ready["quic"]));
    assert_eq!(addresses["id"].as_str().map(str::len), Some(64));
    gateway.stop();
    gateway.until_ended().await;
    assert!(!file.exists());
    assert!(TcpStream::connect(gateway.address()).await.is_err());
}
