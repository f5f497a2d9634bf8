//! The transcript of a round, and fusion.

use serde_json::json;

use crate::{
    gateway::{Gateway, ask, node},
    scripted::Node,
};

#[tokio::test]
async fn a_round_can_be_read_by_the_id_in_the_answers_header() {
    let nodes = [node("digits").says("4"), node("words").says("four"), node("letters").says("IV")];
    let gateway = Gateway::start(nodes).await;
    for stream in [false, true] {
        let mut body = ask("shoal");
        body["stream"] = json!(stream);
        let reply = gateway.post("/v1/chat/completions", &body).await;
        let id = reply.header("x-shoal-round").unwrap().to_owned();
        let round = gateway.get(&format!("/v1/rounds/{id}")).await;
        assert_eq!(round.status, 200);
        assert_eq!(round.header("content-type"), Some("application/json"));
        let round = round.json();
        assert_eq!((&round["id"], &round["model"]), (&json!(id), &json!("shoal")));
        assert_eq!(round["candidates"].as_array().map(Vec::len), Some(3));
        assert_eq!(round["writers"].as_array().map(Vec::len), Some(3));
        for (index, candidate) in round["candidates"].as_array().unwrap().iter().enumerate() {
            assert_eq!(candidate["index"], index);
            assert!(candidate["strength"].is_f64() && candidate["p_best"].is_f64(), "{candidate}");
            assert!(candidate["took_ms"].is_f64());
            assert_eq!(candidate["writer"].as_str().map(str::len), Some(64));
        }
        assert!(round["ballots"].is_array() && round["decided"].is_string());
        for phase in ["select", "generate", "judge", "rank", "total"] {
            assert!(round["timings_ms"][phase].is_f64(), "{phase}");
        }
        let winner = usize::try_from(round["winner"].as_u64().unwrap()).unwrap();
        let content = if stream {
            reply.text()
        } else {
            reply.json()["choices"][0]["message"]["content"].to_string()
        };
        assert!(content.contains(round["candidates"][winner]["text"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn an_answer_says_how_likely_it_is_right_and_a_client_may_demand_more() {
    let gateway = Gateway::start([node("digits").says("4"), node("words").says("five")]).await;
    let reply = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    let confidence: f64 = reply.header("x-shoal-confidence").unwrap().parse().unwrap();
    assert!((0.0..1.0).contains(&confidence), "{confidence}");
    let id = reply.header("x-shoal-round").unwrap();
    let round = gateway.get(&format!("/v1/rounds/{id}")).await.json();
    assert!((round["confidence"].as_f64().unwrap() - confidence).abs() < 1e-3);
    assert!(round["candidates"][0]["p_right"].is_f64(), "{round}");
    let by_name = gateway.post("/v1/chat/completions", &ask("digits")).await;
    assert_eq!(by_name.header("x-shoal-confidence"), None, "nothing is known of it");

    let mut certain = ask("shoal");
    certain["shoal"] = json!({"min_confidence": 1.0});
    let reply = gateway.post("/v1/chat/completions", &certain).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (422, &json!("low_confidence")));
    certain["shoal"] = json!({"min_confidence": 1.5});
    assert_eq!(gateway.post("/v1/chat/completions", &certain).await.status, 400);
}

/// Three members that disagree; the one that is asked to fuse follows the script of `editor`.
fn three(editor: impl Fn() -> Node) -> [Node; 3] {
    [("a", "4"), ("b", "four"), ("c", "IV")]
        .map(|(name, text)| node(name).says(text).fusing(editor()))
}

#[tokio::test]
async fn a_fused_answer_is_sent_and_marked_and_names_who_wrote_it() {
    let gateway = Gateway::start(three(|| node("").says("It is 4, which some write as IV."))).await;
    let mut start_count = 0;
    for stream in [false, true] {
        let mut body = ask("shoal");
        body["stream"] = json!(stream);
        body["shoal"] = json!({"fusion": true});
        let reply = gateway.post("/v1/chat/completions", &body).await;
        let id = reply.header("x-shoal-round").unwrap().to_owned();
        assert!(reply.text().contains("It is 4, which some "), "{}", reply.text());
        let round = gateway.get(&format!("/v1/rounds/{id}")).await.json();
        assert_eq!(round["decided"], "fused");
        assert_eq!(round["fused"]["text"], "It is 4, which some write as IV.");
        assert_eq!(round["fused"]["writer"].as_str().map(str::len), Some(64));
        assert_eq!(round["candidates"].as_array().map(Vec::len), Some(3));
        assert_eq!(gateway.start_count() - start_count, 4, "three candidates and one more");
        start_count = gateway.start_count();
    }
}

#[tokio::test]
async fn who_cannot_fuse_leaves_the_winner_to_be_sent() {
    for failure in [|| node("").breaks(), || node("").says(" "), || node("").too_long()] {
        let gateway = Gateway::start(three(failure)).await;
        let mut body = ask("shoal");
        body["shoal"] = json!({"fusion": true});
        let reply = gateway.post("/v1/chat/completions", &body).await;
        assert_eq!(reply.status, 200);
        let content = reply.json()["choices"][0]["message"]["content"].clone();
        assert!(["4", "four", "IV"].iter().any(|text| content == *text), "{content}");
        let id = reply.header("x-shoal-round").unwrap();
        let round = gateway.get(&format!("/v1/rounds/{id}")).await.json();
        assert_eq!((&round["decided"], &round["fused"]), (&json!("judged"), &json!(null)));
    }
}

#[tokio::test]
async fn nobody_fuses_unless_asked_to() {
    let gateway = Gateway::start(three(|| node("").says("fused"))).await;
    let reply = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    assert!(!reply.text().contains("fused"));
    assert_eq!(gateway.start_count(), 3);
}

#[tokio::test]
async fn an_unknown_round_is_not_found() {
    let gateway = Gateway::start([]).await;
    let reply = gateway.get("/v1/rounds/00000000000000000000000000000000").await;
    assert_eq!(reply.status, 404);
    let error = &reply.json()["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("invalid_request_error"), &json!("round_not_found"))
    );
}

#[tokio::test]
async fn the_oldest_transcripts_make_room_for_new_ones() {
    let nodes = [node("digits").says("4")];
    let gateway = Gateway::with(nodes, |config| config.http.transcript_bytes_max = 2500).await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        let reply = gateway.post("/v1/chat/completions", &ask("digits")).await;
        ids.push(reply.header("x-shoal-round").unwrap().to_owned());
    }
    assert_eq!(gateway.get(&format!("/v1/rounds/{}", ids[0])).await.status, 404);
    assert_eq!(gateway.get(&format!("/v1/rounds/{}", ids[7])).await.status, 200);
}
