//! Ranking of a client's texts.

use serde_json::{Value, json};

use crate::gateway::{Gateway, node};

const PATH: &str = "/v1/rank";

fn order(body: &Value) -> Vec<u64> {
    body["ranking"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| place["index"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn every_judge_is_heard_and_every_candidate_has_its_place() {
    let nodes = ["a", "b", "c"].map(|name| node(name).likes("four"));
    let gateway = Gateway::start(nodes).await;
    let candidates = ["five", "four", "six", "four"];
    let prompt = json!({"prompt": "What is 2 + 2?", "candidates": candidates});
    let messages = [json!({"role": "user", "content": "What is 2 + 2?"})];
    let messages = json!({"model": "shoal-deep", "messages": messages, "candidates": candidates});
    for body in [prompt, messages] {
        let reply = gateway.post(PATH, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let round = reply.header("x-shoal-round").unwrap().to_owned();
        let body = reply.json();
        let mut places = order(&body);
        assert_eq!(Some(body["best"].as_u64().unwrap()), places.first().copied());
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2, 3]);
        let [zeroth, first, second, third] = [0, 1, 2, 3].map(|index| {
            let places = body["ranking"].as_array().unwrap();
            places.iter().find(|place| place["index"] == index).unwrap()
        });
        assert_eq!(
            first["strength"].as_f64().unwrap(),
            third["strength"].as_f64().unwrap(),
            "equal texts"
        );
        let sum: f64 =
            [zeroth, first, second].map(|place| place["p_best"].as_f64().unwrap()).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        let ballots = body["ballots"].as_array().unwrap();
        assert_eq!(ballots.len(), 3);
        assert!(ballots.iter().all(|ballot| ballot["scores"].as_array().unwrap().len() == 4));
        assert_eq!(body["usage"]["prompt_tokens"], 9);
        assert_eq!(gateway.get(&format!("/v1/rounds/{round}")).await.status, 200);
    }
    assert_eq!(gateway.start_count(), 0, "nobody writes");
}

#[tokio::test]
async fn a_model_asked_by_name_judges_alone() {
    let gateway = Gateway::start([node("a").likes("x"), node("b").likes("x")]).await;
    let body = json!({"model": "b", "prompt": "?", "candidates": ["x", "y"]});
    let body = gateway.post(PATH, &body).await.json();
    let ballots = body["ballots"].as_array().unwrap();
    assert_eq!((ballots.len(), &ballots[0]["model"]), (1, &json!("b")));
}

#[tokio::test]
async fn what_cannot_be_ranked_is_named() {
    let gateway = Gateway::start([node("a").likes("x")]).await;
    let two = json!(["x", "y"]);
    let cases = [
        (json!({"candidates": two}), "prompt", "missing_required_parameter"),
        (json!({"prompt": "?"}), "candidates", "missing_required_parameter"),
        (json!({"prompt": "?", "candidates": ["x"]}), "candidates", "array_below_min_length"),
        (
            json!({"prompt": "?", "candidates": vec!["x"; 17]}),
            "candidates",
            "array_above_max_length",
        ),
        (json!({"prompt": "?", "candidates": ["x", 4]}), "candidates[1]", "invalid_type"),
        (
            json!({"prompt": "?", "messages": [], "candidates": two}),
            "prompt",
            "invalid_parameter_combination",
        ),
        (json!({"messages": [], "candidates": two}), "messages", "empty_array"),
        (
            json!({"prompt": "?", "candidates": two, "shoal": {"writers": 3}}),
            "shoal.writers",
            "unknown_parameter",
        ),
        (
            json!({"prompt": "?", "candidates": two, "shoal": {"judges": 0}}),
            "shoal.judges",
            "integer_below_min_value",
        ),
    ];
    for (body, param, code) in cases {
        let reply = gateway.post(PATH, &body).await;
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, &error["param"], &error["code"]),
            (400, &json!(param), &json!(code)),
            "{body}"
        );
    }
    let unknown_model = json!({"model": "gone", "prompt": "?", "candidates": two});
    assert_eq!(gateway.post(PATH, &unknown_model).await.status, 404);
}

#[tokio::test]
async fn without_members_there_is_no_ranking() {
    let gateway = Gateway::start([]).await;
    let reply = gateway.post(PATH, &json!({"prompt": "?", "candidates": ["x", "y"]})).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (503, &json!("no_member")));
    gateway.until_counted("shoal_rankings_total{outcome=\"no_member\"} 1").await;
}
