//! Checks every answer in these tests against `/openapi.json`: its status is in the list, and its body
//! fits the schema.

use serde_json::{Value, json};

use crate::gateway::{Gateway, Reply, node};

/// Checks one answer against the document. A path that is not in the document is not checked.
pub(crate) fn hold(document: &Value, method: &str, path: &str, reply: &Reply) {
    let Some((template, methods)) = of_path(document, path) else { return };
    let Some(operation) = methods.get(method.to_lowercase()) else { return };
    let status = reply.status.to_string();
    let Some(response) = operation["responses"].get(&status) else {
        panic!("{method} {template} gave {status}, which is not documented: {}", reply.text())
    };
    let kind = reply.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap().trim();
    let Some(content) = response["content"].get(kind) else { return };
    if kind != "application/json" || method == "HEAD" {
        return;
    }
    let mut schema = document.clone();
    schema["$ref"] = content["schema"]["$ref"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(&reply.json())
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{method} {template} {status}: {wrong:?}: {}", reply.text());
}

/// The path template that fits, and its operations; of several, the one with the fewest parameters.
fn of_path<'a>(document: &'a Value, path: &str) -> Option<(&'a String, &'a Value)> {
    let fits = |template: &str| {
        let (mut template_parts, mut path_parts) = (template.split('/'), path.split('/'));
        loop {
            match (template_parts.next(), path_parts.next()) {
                (None, None) => return true,
                // A model's name may have slashes.
                (Some("{id}"), Some(_)) if template == "/v1/models/{id}" => return true,
                (Some(name), Some(text)) if name.starts_with('{') && !text.is_empty() => {}
                (Some(name), Some(text)) if name == text => {}
                _ => return false,
            }
        }
    };
    let paths = document["paths"].as_object()?.iter();
    paths
        .filter(|(template, _)| fits(template))
        .min_by_key(|(template, _)| template.matches('{').count())
}

#[tokio::test]
async fn every_documented_operation_is_served() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let document = gateway.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut count = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        // It never ends by itself; `console.rs` reads it.
        if path == "/v1/rounds/live" {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let url = path.replace("{id}", "abcdef").replace("{name}", "app.js");
            let reply = gateway.request(method.clone(), &url).await;
            let text = reply.text();
            assert!(
                reply.status != 405 && !text.contains("Invalid URL"),
                "{method} {path}: {text}"
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let gateway = Gateway::start([]).await;
    let reply = gateway.get("/docs").await;
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let text = reply.text();
    assert!(text.contains("/v1/rank") && !text.contains("src="), "{text}");
}

#[test]
#[should_panic(expected = "not documented")]
fn an_undocumented_status_is_seen() {
    let responses = json!({"200": {}});
    let document = json!({"paths": {"/a/{id}": {"get": {"responses": responses}}}});
    hold(&document, "GET", "/a/b", &Reply::of(418, "{}"));
}
