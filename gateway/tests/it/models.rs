//! The list of models, and the page of a single model.

use serde_json::json;

use crate::gateway::{Gateway, node};

#[tokio::test]
async fn the_swarm_and_every_members_model_are_listed_once() {
    let nodes = [node("words").says("a"), node("digits").says("b"), node("digits").says("c")];
    let gateway = Gateway::start(nodes).await;
    let body = gateway.get("/v1/models").await.json();
    assert_eq!(body["object"], "list");
    let models = body["data"].as_array().unwrap();
    let names = models.iter().map(|model| model["id"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(names, ["shoal", "shoal-fast", "shoal-deep", "digits", "words"]);
    for model in models {
        assert_eq!(model["object"], "model");
        assert!(model["created"].is_u64() && model["owned_by"].is_string());
    }
}

#[tokio::test]
async fn what_members_say_they_are_good_at_is_told_and_not_the_swarms() {
    let gateway = Gateway::start([node("sums").says("a").tagged(&["math", "<b>"])]).await;
    let body = gateway.get("/v1/models").await.json();
    assert_eq!(body["data"][3]["tags"], json!(["<b>", "math"]));
    assert!(body["data"][0].get("tags").is_none());
    assert_eq!(gateway.get("/v1/models/sums").await.json()["tags"], json!(["<b>", "math"]));
    let nodes = gateway.get("/v1/nodes").await.json();
    assert_eq!(nodes["data"][0]["tags"], json!(["math", "<b>"]));
    let id = nodes["data"][0]["id"].as_str().unwrap();
    let page = gateway.get(&format!("/v1/nodes/{id}/standing?format=html")).await.text();
    assert!(page.contains("math (believed 1.00), &lt;b&gt; (believed 1.00)"), "{page}");
}

#[tokio::test]
async fn a_model_is_found_by_its_name_even_with_an_encoded_slash() {
    let gateway = Gateway::start([node("org/words-1.0").says("a")]).await;
    for path in [
        "/v1/models/shoal",
        "/v1/models/shoal-deep",
        "/v1/models/org%2Fwords-1.0",
        "/v1/models/org/words-1.0?x=1",
    ] {
        let reply = gateway.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.json()["object"], "model");
    }
    assert_eq!(gateway.get("/v1/models/org%2Fwords-1.0").await.json()["id"], "org/words-1.0");
}

#[tokio::test]
async fn an_unknown_model_is_not_found_and_named() {
    let gateway = Gateway::start([]).await;
    for path in ["/v1/models/gpt-5", "/v1/models/org%2Fnothing", "/v1/models/%F0%9F%90%9F"] {
        let reply = gateway.get(path).await;
        assert_eq!(reply.status, 404, "{path}");
        let error = &reply.json()["error"];
        assert_eq!(
            (&error["param"], &error["code"]),
            (&json!("model"), &json!("model_not_found")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_name_that_is_no_text_is_no_path() {
    let gateway = Gateway::start([]).await;
    let reply = gateway.get("/v1/models/%ff").await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
}
