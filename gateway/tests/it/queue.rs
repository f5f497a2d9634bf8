//! Requests that wait for a free member. A scripted member has four slots.

use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::{Gateway, Reply, ask, eventually, node};

const CHAT: &str = "/v1/chat/completions";
const SLOTS: usize = 4;

#[tokio::test]
async fn requests_for_one_model_wait_for_a_slot_as_long_as_their_deadline_allows() {
    let (busy, go_on) = node("a").says_when_told("4");
    // Rounds wait no time for members: only the queue does.
    let gateway = Gateway::with([busy], |config| config.round.wait_share = 0.0).await;
    let body = ask("a");
    let work = async {
        let requests = (0..3 * SLOTS).map(|_| gateway.post(CHAT, &body));
        futures_util::future::join_all(requests).await
    };
    let member = async {
        for wave in 1..=3 {
            gateway.until_begun(wave * SLOTS).await;
            if wave < 3 {
                let line = format!("shoal_asks_waiting {}", (3 - wave) * SLOTS - 1);
                gateway.until_counted(&line).await;
            }
            go_on.notify_waiters();
        }
    };
    let (replies, ()): (Vec<Reply>, ()) = tokio::join!(work, member);
    for reply in replies {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    gateway.until_counted("shoal_asks_waiting 0").await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let gateway =
        Gateway::with([node("a").never_ends()], |config| config.round.queue_max = 1).await;
    let (body, limit) = (ask("a"), Duration::from_secs(60));
    // One more than the slots looks for a member, the next one waits for its turn.
    let running = (0..SLOTS + 2).map(|_| gateway.build(reqwest::Method::POST, CHAT).json(&body));
    let mut running: Vec<_> =
        running.map(|request| Box::pin(tokio::time::timeout(limit, request.send()))).collect();
    let more = async {
        gateway.until_begun(SLOTS).await;
        gateway.until_counted("shoal_asks_waiting 1").await;
        gateway.post(CHAT, &body).await
    };
    let refusal = tokio::select! {
        refusal = more => refusal,
        _ = futures_util::future::select_all(&mut running) => panic!("a member that never ends has ended"),
    };
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("1")));
    assert_eq!(refusal.json()["error"]["code"], json!("queue_full"));
    drop(running);
    // Clients that leave free their places.
    eventually(async || waiting(&gateway).await == json!("0")).await;
}

#[tokio::test]
async fn texts_wait_for_a_member_that_is_busy() {
    let (busy, go_on) = node("a").embeds().says_when_told("4");
    let gateway = Gateway::start([busy]).await;
    let chats = async {
        let body = ask("a");
        futures_util::future::join_all((0..SLOTS).map(|_| gateway.post(CHAT, &body))).await
    };
    let texts = async {
        gateway.until_begun(SLOTS).await;
        let body = json!({"model": "a", "input": vec!["x"; 130]});
        let embeddings = gateway.post("/v1/embeddings", &body);
        let release = async {
            // Three pieces: the first looks for a member.
            gateway.until_counted("shoal_asks_waiting 2").await;
            go_on.notify_waiters();
        };
        tokio::join!(embeddings, release).0
    };
    let (chats, texts) = tokio::join!(chats, texts);
    assert!(chats.iter().all(|reply| reply.status == 200));
    assert_eq!((texts.status, texts.json()["data"].as_array().map(Vec::len)), (200, Some(130)));
}

async fn waiting(gateway: &Gateway) -> Value {
    let metrics = gateway.get("/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("shoal_asks_waiting "));
    line.map_or(Value::Null, Value::from)
}
