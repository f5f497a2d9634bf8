//! `/v1/conversations`, and responses that continue them.

use reqwest::Method;
use serde_json::{Value, json};
use shoal_proto::Secret;

use crate::{
    gateway::{Gateway, Reply, eventually, node},
    official,
};

const PATH: &str = "/v1/conversations";

fn message(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": text})
}

fn path(conversation: &Value, rest: &str) -> String {
    format!("{PATH}/{}{rest}", conversation["id"].as_str().unwrap())
}

async fn texts(gateway: &Gateway, conversation: &Value) -> Vec<String> {
    let list = gateway.get(&path(conversation, "/items?order=asc&limit=100")).await.json();
    let items = list["data"].as_array().unwrap();
    items.iter().map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_conversation_is_created_read_changed_and_deleted() {
    let gateway = Gateway::start([node("a").says("4")]).await;
    let body = json!({"items": [message("one"), message("two")], "metadata": {"topic": "demo"}});
    let conversation = gateway.post(PATH, &body).await.json();
    assert!(conversation["id"].as_str().unwrap().starts_with("conv_"));
    assert_eq!(gateway.get(&path(&conversation, "")).await.json(), conversation);

    let more = json!({"items": [message("three")]});
    let added = gateway.post(&path(&conversation, "/items"), &more).await.json();
    assert_eq!(texts(&gateway, &conversation).await, ["one", "two", "three"]);
    let newest = gateway.get(&path(&conversation, "/items?limit=1")).await.json();
    assert_eq!((&newest["has_more"], &newest["data"][0]), (&json!(true), &added["data"][0]));

    let item = path(&conversation, &format!("/items/{}", added["data"][0]["id"].as_str().unwrap()));
    assert_eq!(gateway.get(&item).await.json(), added["data"][0]);
    let rest = gateway.request(Method::DELETE, &item).await.json();
    assert_eq!(rest, conversation, "the conversation comes back");
    assert_eq!(gateway.get(&item).await.status, 404);

    let update = json!({"metadata": {"topic": "other"}});
    let changed = gateway.post(&path(&conversation, ""), &update).await.json();
    assert_eq!(changed["metadata"], update["metadata"]);
    let deleted = gateway.request(Method::DELETE, &path(&conversation, "")).await.json();
    let id = &conversation["id"];
    assert_eq!(deleted, json!({"id": id, "object": "conversation.deleted", "deleted": true}));
    assert_eq!(gateway.get(&path(&conversation, "")).await.status, 404);
}

#[tokio::test]
async fn a_response_continues_a_conversation_and_adds_its_turn() {
    let gateway = Gateway::start([node("a").says("4")]).await;
    let body = json!({"items": [message("Count in German.")]});
    let conversation = gateway.post(PATH, &body).await.json();
    let id = &conversation["id"];
    let asks = [
        json!({"model": "a", "input": "What is 2 + 2?", "conversation": id}),
        json!({"model": "a", "input": "And 3 + 1?", "conversation": {"id": id}, "stream": true}),
        json!({"model": "a", "input": "And 1 + 3?", "conversation": id, "background": true}),
        // It is in the conversation even if the response is not stored.
        json!({"model": "a", "input": "Sure?", "conversation": id, "store": false}),
    ];
    for (turn, ask) in asks.iter().enumerate() {
        let reply = gateway.post("/v1/responses", ask).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        if turn == 0 {
            let body = reply.json();
            official::hold("Response", &body);
            assert_eq!(body["conversation"], json!({"id": id}));
        }
        eventually(async || texts(&gateway, &conversation).await.len() == 3 + 2 * turn).await;
    }
    let all = ["Count in German.", "What is 2 + 2?", "4", "And 3 + 1?", "4", "And 1 + 3?", "4"];
    assert_eq!(texts(&gateway, &conversation).await[..7], all);
    let request = gateway.generate_asks().pop().unwrap();
    let contents: Vec<&str> = request.messages.iter().map(|m| m.content.as_str()).collect();
    assert_eq!(contents[..7], all);
    assert_eq!(contents[7], "Sure?");
}

#[tokio::test]
async fn a_turn_that_fails_is_not_added() {
    let gateway = Gateway::start([node("a").breaks()]).await;
    let conversation = gateway.post(PATH, &json!({"items": [message("one")]})).await.json();
    let ask = json!({"model": "a", "input": "two", "conversation": conversation["id"]});
    assert_eq!(gateway.post("/v1/responses", &ask).await.status, 503);
    assert_eq!(texts(&gateway, &conversation).await, ["one"]);
}

#[tokio::test]
async fn a_conversation_of_another_key_does_not_exist() {
    let keys = |config: &mut shoal_gateway::config::Config| {
        config.http.keys = ["alice", "bob"].map(Secret::new).into();
    };
    let gateway = Gateway::with([node("a").says("4")], keys).await;
    let send = async |key: &str, method: Method, path: &str, body: &Value| -> Reply {
        let request = gateway.build(method, path).bearer_auth(key);
        let request = if body.is_null() { request } else { request.json(body) };
        gateway.send(request).await
    };
    let body = json!({"items": [message("secret")]});
    let conversation = send("alice", Method::POST, PATH, &body).await.json();
    let items = send("alice", Method::GET, &path(&conversation, "/items"), &Value::Null).await;
    let item = items.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let update = json!({"metadata": {}});
    let tries = [
        (Method::GET, path(&conversation, ""), Value::Null),
        (Method::POST, path(&conversation, ""), update),
        (Method::DELETE, path(&conversation, ""), Value::Null),
        (Method::GET, path(&conversation, "/items"), Value::Null),
        (Method::POST, path(&conversation, "/items"), body),
        (Method::GET, path(&conversation, &format!("/items/{item}")), Value::Null),
        (Method::DELETE, path(&conversation, &format!("/items/{item}")), Value::Null),
        (
            Method::POST,
            "/v1/responses".to_owned(),
            json!({"model": "a", "input": "x", "conversation": conversation["id"]}),
        ),
    ];
    for (method, path, body) in tries {
        let reply = send("bob", method, &path, &body).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
        assert!(reply.text().contains("Conversation with id"), "{}", reply.text());
    }
    assert_eq!(
        send("alice", Method::GET, &path(&conversation, ""), &Value::Null).await.status,
        200
    );
}

#[tokio::test]
async fn a_conversation_is_compacted_to_the_users_messages_and_a_summary() {
    let gateway = Gateway::start([node("a").says("The user adds numbers.")]).await;
    let first = json!({"model": "a", "input": "What is 2 + 2?"});
    let response = gateway.post("/v1/responses", &first).await.json();
    for model in ["a", "shoal"] {
        let body = json!({"model": model, "previous_response_id": response["id"]});
        let compaction = gateway.post("/v1/responses/compact", &body).await;
        assert_eq!(compaction.status, 200, "{}", compaction.text());
        let compaction = compaction.json();
        let kinds: Vec<_> =
            compaction["output"].as_array().unwrap().iter().map(|i| &i["type"]).collect();
        assert_eq!(kinds, ["message", "compaction"]);
        let mut input = compaction["output"].as_array().unwrap().clone();
        input.push(message("And 3 + 1?"));
        let next = gateway.post("/v1/responses", &json!({"model": "a", "input": input})).await;
        assert_eq!(next.status, 200, "{}", next.text());
        let request = gateway.generate_asks().pop().unwrap();
        let contents: Vec<&str> = request.messages.iter().map(|m| m.content.as_str()).collect();
        assert_eq!([contents[0], contents[2]], ["What is 2 + 2?", "And 3 + 1?"]);
        assert!(contents[1].ends_with("The user adds numbers."), "{contents:?}");
    }
    let abstaining = Gateway::start([node("a").abstains()]).await;
    for model in ["a", "shoal"] {
        let body = json!({"model": model, "input": "What is 2 + 2?"});
        let refusal = abstaining.post("/v1/responses/compact", &body).await;
        assert_eq!(refusal.status, 422, "a statement of what it knows is no summary");
    }
    let unknown = json!({"model": "a", "previous_response_id": "resp_other"});
    assert_eq!(gateway.post("/v1/responses/compact", &unknown).await.status, 400);
}
