//! The console at `/`, and what it asks of the gateway.

use reqwest::Method;
use serde_json::{Value, json};
use shoal_gateway::config::Config;
use shoal_proto::Secret;
use tokio::task::JoinSet;

use crate::gateway::{Gateway, ask, eventually, node};

const KEYS: [&str; 2] = ["sk-first-of-the-keys", "sk-second-of-the-keys"];

fn require_key(config: &mut Config) {
    config.http.keys = KEYS.map(Secret::new).into();
}

#[tokio::test]
async fn a_browser_gets_the_page_and_a_program_gets_json() {
    let gateway = Gateway::start([]).await;
    let json = gateway.get("/").await;
    assert_eq!((json.status, &json.json()["docs"]), (200, &json!("/docs")));
    let browser = gateway.build(Method::GET, "/").header("accept", "text/html,*/*;q=0.8");
    let page = gateway.send(browser).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    let files: Vec<&str> =
        text.split("/console/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files.into_iter().chain(["preact.js", "uplot.js", "data.js"]) {
        let reply = gateway.get(&format!("/console/{file}")).await;
        assert_eq!((reply.status, reply.header("x-content-type-options")), (200, Some("nosniff")));
        assert_eq!(reply.header("content-security-policy"), Some(&*policy), "{file}");
    }
    for missing in ["none.js", "..%2FCargo.toml", "app.js%00"] {
        assert_eq!(gateway.get(&format!("/console/{missing}")).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn a_key_sees_its_own_rounds_and_nobody_sees_any_without_a_key() {
    let nodes = [node("digits").says("4"), node("words").says("four")];
    let gateway = Gateway::with(nodes, require_key).await;
    // The page has no data and is public: it asks for the key.
    assert_eq!(gateway.get("/").await.status, 200);
    assert_eq!(gateway.get("/v1/rounds").await.status, 401);
    assert_eq!(gateway.get("/v1/rounds/live").await.status, 401);
    let [first, second] = KEYS;
    let live = async |key: &str| {
        let request = gateway.build(Method::GET, "/v1/rounds/live").bearer_auth(key);
        request.send().await.unwrap()
    };
    let (mut own, mut foreign) = (live(first).await, live(second).await);
    assert_eq!(own.headers()["content-type"], "text/event-stream; charset=utf-8");
    let question = gateway.build(Method::POST, "/v1/chat/completions").bearer_auth(first);
    let answer = gateway.send(question.json(&ask("shoal"))).await;
    let id = answer.header("x-shoal-round").unwrap().to_owned();
    let mut text = String::new();
    while !text.contains("\"end\"") {
        text.push_str(std::str::from_utf8(&own.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("\"start\"") && text.contains("\"writing\"") && text.contains(&id));
    // The words of the round are in its transcript only.
    assert!(!text.contains("2 + 2") && !text.contains("four"), "{text}");

    let list = async |key: &str| {
        let reply = gateway.build(Method::GET, "/v1/rounds").bearer_auth(key);
        gateway.send(reply).await.json()["data"].as_array().unwrap().clone()
    };
    let rounds = list(first).await;
    assert_eq!((rounds.len(), &rounds[0]["id"]), (1, &Value::from(id)));
    assert_eq!(rounds[0]["candidates"], 2);
    assert!(list(second).await.is_empty(), "the rounds of another key");
    // What the second key gets next is its own: events come in order.
    let request = gateway.build(Method::POST, "/v1/chat/completions").bearer_auth(second);
    gateway.send(request.json(&ask("words"))).await;
    let mut text = String::new();
    while !text.contains("\"end\"") {
        text.push_str(std::str::from_utf8(&foreign.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(text.matches("\"start\"").count(), 1, "{text}");
}

#[tokio::test]
async fn watchers_have_a_limit_and_do_not_hold_up_the_end() {
    let mut gateway = Gateway::with([], |config| config.http.drain_ms_max = 30_000).await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(gateway.build(Method::GET, "/v1/rounds/live").send().await.unwrap());
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    let refused = gateway.build(Method::GET, "/v1/rounds/live").send().await.unwrap();
    assert_eq!(refused.status(), 429);
    streams.pop();
    eventually(async || {
        let stream = gateway.build(Method::GET, "/v1/rounds/live").send().await.unwrap();
        stream.status() == 200
    })
    .await;
    gateway.stop();
    for mut stream in streams {
        while stream.chunk().await.unwrap().is_some() {}
    }
    gateway.until_ended().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_round_for_who_watches() {
    let gateway = Gateway::start([node("slow").never_ends()]).await;
    let mut live = gateway.build(Method::GET, "/v1/rounds/live").send().await.unwrap();
    let mut body = ask("shoal");
    body["stream"] = true.into();
    let request = gateway.build(Method::POST, "/v1/chat/completions").json(&body);
    let mut client = JoinSet::new();
    client.spawn(async move { request.send().await });
    let mut text = String::new();
    while !text.contains("\"start\"") {
        text.push_str(std::str::from_utf8(&live.chunk().await.unwrap().unwrap()).unwrap());
    }
    client.shutdown().await;
    while !text.contains("\"cancelled\"") {
        text.push_str(std::str::from_utf8(&live.chunk().await.unwrap().unwrap()).unwrap());
    }
}

/// Without keys, one client must not learn the ids of another's rounds, which open their transcripts.
async fn assert_rounds_are_hidden(adjust: fn(&mut Config)) {
    let gateway = Gateway::with([node("digits").says("4")], adjust).await;
    let id = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    let id = id.header("x-shoal-round").unwrap().to_owned();
    let list = gateway.get("/v1/rounds").await.json();
    assert_eq!((&list["data"], &list["hidden"]), (&json!([]), &json!(true)));
    let mut live = gateway.build(Method::GET, "/v1/rounds/live").send().await.unwrap();
    let reply = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    let second = reply.header("x-shoal-round").unwrap().to_owned();
    let mut text = String::new();
    while !text.contains("\"end\"") {
        text.push_str(std::str::from_utf8(&live.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(!text.contains(&id) && !text.contains(&second), "{text}");
}

#[tokio::test]
async fn a_gateway_without_keys_that_strangers_reach_lists_no_rounds() {
    assert_rounds_are_hidden(|config| {
        config.http.open = true;
        config.http.listen = "0.0.0.0:0".parse().unwrap();
    })
    .await;
    assert_rounds_are_hidden(|config| config.http.hosts = vec!["api.example.com".into()]).await;
    let pages = |config: &mut Config| config.http.cors_origins = vec!["*".into()];
    assert_rounds_are_hidden(pages).await;
}

#[tokio::test]
async fn the_list_of_nodes_says_what_each_has_done() {
    let nodes = [node("digits").says("4"), node("words").says("four")];
    let gateway = Gateway::start(nodes).await;
    let work = async || {
        let list = gateway.get("/v1/nodes").await.json();
        let count = |key: &str| -> u64 {
            let nodes = list["data"].as_array().unwrap();
            nodes.iter().map(|node| node["work"][key].as_u64().unwrap_or_default()).sum()
        };
        (count("answers"), count("failures"), count("last_answer"))
    };
    assert_eq!(work().await, (0, 0, 0));
    gateway.post("/v1/chat/completions", &ask("digits")).await;
    let (answers, failures, last_answer) = work().await;
    assert_eq!((answers, failures), (1, 0));
    assert!(last_answer > 1_600_000_000);
}

#[tokio::test]
async fn the_owner_of_a_node_sees_why_it_was_not_asked() {
    let nodes = [node("digits").says("4"), node("words").says("four")];
    let gateway = Gateway::start(nodes).await;
    let mut question = ask("shoal");
    question["shoal"] = json!({"writers": 1});
    assert_eq!(gateway.post("/v1/chat/completions", &question).await.status, 200);
    let list = gateway.get("/v1/nodes").await.json();
    let nodes = list["data"].as_array().unwrap();
    let count = |node: &Value, reason: &str| node["work"]["absences"][reason].as_u64().unwrap();
    let outranked: u64 = nodes.iter().map(|node| count(node, "outranked")).sum();
    assert_eq!(outranked, 1, "{list}");
    let reasons = ["capability", "context", "silent", "busy", "unproven", "kind"];
    let others: u64 = nodes.iter().flat_map(|node| reasons.map(|reason| count(node, reason))).sum();
    assert_eq!(others, 0, "{list}");
}
