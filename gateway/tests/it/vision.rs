//! Images go only to members that can see them.

use serde_json::{Value, json};
use shoal_proto::hello::Model;

use crate::gateway::{Gateway, node};

const URL: &str = "https://x.example/fish.png";

fn ask(model: &str, stream: bool) -> Value {
    let image = json!({"type": "image_url", "image_url": {"url": URL, "detail": "low"}});
    let parts = json!([{"type": "text", "text": "What is this?"}, image]);
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": parts}]})
}

fn sees() -> Model {
    Model { vision: true, ..Model::default() }
}

#[tokio::test]
async fn without_a_member_that_looks_at_images_they_are_refused_before_any_work() {
    let gateway = Gateway::start([node("blind").says("a fish")]).await;
    for model in ["shoal", "shoal-fast", "shoal-deep", "blind"] {
        for stream in [false, true] {
            let reply = gateway.post("/v1/chat/completions", &ask(model, stream)).await;
            assert_eq!(reply.status, 400, "{model}: {}", reply.text());
            let error = &reply.json()["error"];
            assert_eq!(error["code"], "unsupported_value", "{model}");
            assert_eq!(error["param"], "messages[0].content[1].type", "{model}");
            assert!(error["message"].as_str().unwrap().contains("looks at images"), "{error}");
        }
    }
    assert_eq!(gateway.start_count(), 0);
}

#[tokio::test]
async fn only_members_that_look_at_images_get_them_as_they_are() {
    let nodes = [node("blind").says("no idea"), node("eye").able(sees()).says("a fish")];
    let gateway = Gateway::start(nodes).await;
    for (model, ask_count) in [("shoal", 1), ("eye", 2)] {
        let reply = gateway.post("/v1/chat/completions", &ask(model, false)).await;
        assert_eq!(reply.status, 200, "{model}: {}", reply.text());
        assert_eq!(reply.json()["choices"][0]["message"]["content"], "a fish", "{model}");
        assert_eq!(gateway.start_count(), ask_count, "nobody else was asked");
    }
    for generate in gateway.generate_asks() {
        assert_eq!(generate.messages[0].images, [URL]);
        assert_eq!(generate.messages[0].content, "What is this?");
    }
    let blind = gateway.post("/v1/chat/completions", &ask("blind", false)).await;
    assert_eq!((blind.status, &blind.json()["error"]["code"]), (400, &json!("unsupported_value")));
}
