//! The list of nodes, and the page of each node.

use serde_json::{Value, json};

use crate::gateway::{Gateway, Reply, eventually, node};

/// The id of the node with this model.
async fn id(gateway: &Gateway, model: &str) -> String {
    let nodes = gateway.get("/v1/nodes").await.json();
    let nodes = nodes["data"].as_array().unwrap();
    let entry = nodes.iter().find(|node| node["model"] == model);
    entry.unwrap()["id"].as_str().unwrap().to_owned()
}

fn assert_error(reply: &Reply, status: u16, param: &str, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let error = &reply.json()["error"];
    assert_eq!(
        (&error["type"], &error["param"], &error["code"]),
        (&json!("invalid_request_error"), &json!(param), &json!(code))
    );
}

#[tokio::test]
async fn everybody_who_is_here_is_listed_with_a_page() {
    let nodes = [node("digits").says("4").by("anna", ""), node("words").says("four")];
    let gateway = Gateway::start(nodes).await;
    let list = gateway.get("/v1/nodes").await.json();
    assert_eq!(list["object"], "list");
    let entries = list["data"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        assert_eq!((&entry["object"], &entry["state"]), (&json!("node"), &json!("serving")));
        let (id, short) = (entry["id"].as_str().unwrap(), entry["short_id"].as_str().unwrap());
        assert!(id.len() == 64 && short.len() == 10 && id.starts_with(short));
        assert_eq!(entry["slots"], 4);
        assert_eq!(entry["operator"], if entry["model"] == "digits" { "anna" } else { "" });
        assert_eq!(entry["standing"], json!({"probation": true, "writer": 0.0, "judge": 0.0}));
        let page = gateway.get(entry["page"].as_str().unwrap()).await.json();
        assert_eq!((&page["id"], &page["member"]["model"]), (&entry["id"], &entry["model"]));
    }
}

#[tokio::test]
async fn a_page_is_found_by_the_whole_id_and_by_its_beginning() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let id = id(&gateway, "digits").await;
    for name in [&id[..], &id[..10], &id[..4], &id.to_uppercase()] {
        let reply = gateway.get(&format!("/v1/nodes/{name}/standing")).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.json()["id"], *id);
    }
}

#[tokio::test]
async fn an_unknown_node_is_not_found_and_a_bad_id_is_refused() {
    let gateway = Gateway::start([]).await;
    let get = async |id: &str| gateway.get(&format!("/v1/nodes/{id}/standing")).await;
    assert_error(&get(&"0".repeat(64)).await, 404, "id", "node_not_found");
    assert_error(&get("abcdef0123").await, 404, "id", "node_not_found");
    for bad in ["abc", "xyz1", "%3Cb%3E", &"0".repeat(65), "%C3%A9%C3%A9%C3%A9%C3%A9"] {
        assert_error(&get(bad).await, 400, "id", "invalid_value");
    }
    assert_error(&get("abcd").await, 404, "id", "node_not_found");
}

#[tokio::test]
async fn an_exam_is_told_with_what_it_moved() {
    let nodes = [node("digits").says("4")];
    let gateway = Gateway::with(nodes, |config| config.swarm.exam.per_family = 2).await;
    let id = id(&gateway, "digits").await;
    let page = async || gateway.get(&format!("/v1/nodes/{id}/standing")).await.json();
    eventually(async || page().await["gold_seen"] != 0).await;
    let page = page().await;
    let question_count = page["gold_seen"].as_u64().unwrap();
    assert!(question_count >= 2, "{page}");
    let history = page["history"].as_array().unwrap();
    let answers = history.iter().filter(|event| event["what"] == "gold_answer");
    let answer_count: u64 = answers
        .clone()
        .map(|event| event["well"].as_u64().unwrap() + event["badly"].as_u64().unwrap())
        .sum();
    assert_eq!(answer_count, question_count, "every gold answer is told");
    let moves = |event: &Value, number: &str| {
        let moves = event["moved"].as_array().unwrap();
        moves
            .iter()
            .filter(|entry| entry["number"] == number)
            .map(|entry| entry["by"].as_f64())
            .sum::<Option<f64>>()
    };
    let by: f64 = answers.filter_map(|event| moves(event, "writer")).sum();
    let mean = page["writer"]["mean"].as_f64().unwrap();
    assert!((by - (mean - 0.5)).abs() < 0.01, "{by} does not lead from one half to {mean}");
    assert_eq!(page["probation"]["on"], true);
    assert!(page["writer"]["how"].as_str().unwrap().contains("low"));
    for kind in page["kinds"].as_array().unwrap() {
        assert!(kind["kind"].is_string() && kind["accuracy"].is_f64(), "{kind}");
    }
    let text = page["history"].to_string();
    assert!(!text.contains("What is"), "no question is told: {text}");
}

#[tokio::test]
async fn browsers_get_a_page_without_script_and_programs_get_json() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let path = format!("/v1/nodes/{}/standing", id(&gateway, "digits").await);
    let get = async |query: &str, accept: &str| {
        let request = gateway.build(reqwest::Method::GET, &format!("{path}{query}"));
        gateway.send(request.header("accept", accept)).await
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (query, accept, html) in [
        ("", browser, true),
        ("?format=html", "*/*", true),
        ("?format=json", browser, false),
        ("", "*/*", false),
        ("", "application/json", false),
    ] {
        let reply = get(query, accept).await;
        assert_eq!(reply.status, 200);
        let kind = if html { "text/html; charset=utf-8" } else { "application/json" };
        assert_eq!(reply.header("content-type"), Some(kind), "{query} {accept}");
        if html {
            let policy = reply.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && !policy.contains("script"));
            let text = reply.text();
            for outside in ["<script", "src=", "http://", "https://", "javascript:", "<link"] {
                assert!(!text.contains(outside), "{outside} in {text}");
            }
        }
    }
    for wrong in ["?format=xml", "?format=a&format=b"] {
        assert_error(&get(wrong, "*/*").await, 400, "format", "invalid_value");
    }
}

#[tokio::test]
async fn what_a_member_says_of_itself_cannot_become_markup() {
    let (operator, description) =
        ("<img src=x onerror=alert(1)>", "</main><script>alert(2)</script>\"'&");
    let nodes = [node("digits").says("4").by(operator, description)];
    let gateway = Gateway::start(nodes).await;
    let path = format!("/v1/nodes/{}/standing", id(&gateway, "digits").await);
    let json = gateway.get(&path).await.json();
    assert_eq!(json["member"]["operator"], operator);
    let html = gateway.get(&format!("{path}?format=html")).await.text();
    assert!(!html.contains("<img") && !html.contains("<script"), "{html}");
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;"), "{html}");
    assert_eq!(html.matches("</main>").count(), 1);
}
