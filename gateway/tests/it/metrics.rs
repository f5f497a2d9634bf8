//! The metrics for Prometheus.

use std::collections::BTreeSet;

use serde_json::json;

use crate::gateway::{Gateway, ask, node};

/// The value of the series that starts with `series`.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).trim().parse().unwrap()
}

#[tokio::test]
async fn an_answer_a_refusal_and_their_times_are_counted() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let before = gateway.get("/metrics").await.text();
    let ok = r#"shoal_requests_total{model="shoal",status="ok",stream="false"}"#;
    assert_eq!(value(&before, ok), 0.0, "counters start at 0");

    gateway.post("/v1/chat/completions", &ask("shoal")).await;
    let mut body = ask("digits");
    body["stream"] = json!(true);
    gateway.post("/v1/chat/completions", &body).await.text();
    gateway.post("/v1/chat/completions", &json!({})).await;
    gateway.post("/v1/chat/completions", &ask("gpt-5")).await;

    let text = gateway.get("/metrics").await.text();
    assert_eq!(value(&text, ok), 1.0);
    assert_eq!(
        value(&text, r#"shoal_requests_total{model="digits",status="ok",stream="true"}"#),
        1.0
    );
    assert_eq!(
        value(&text, r#"shoal_requests_total{model="other",status="invalid",stream="false"}"#),
        1.0
    );
    assert_eq!(
        value(&text, r#"shoal_requests_total{model="other",status="not_found",stream="false"}"#),
        1.0
    );
    assert_eq!(
        value(&text, r#"shoal_request_duration_seconds_count{model="shoal",stream="false"}"#),
        1.0
    );
    assert_eq!(
        value(&text, r#"shoal_time_to_first_token_seconds_count{model="digits",stream="true"}"#),
        1.0
    );
    assert!(value(&text, r#"shoal_tokens_total{direction="output",model="shoal"}"#) > 0.0);
    assert_eq!(value(&text, "shoal_requests_in_flight"), 0.0);
    let posts =
        r#"shoal_http_requests_total{code="200",method="POST",route="/v1/chat/completions"}"#;
    assert_eq!(value(&text, posts), 2.0);
}

#[tokio::test]
async fn names_and_labels_follow_the_conventions() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    gateway.post("/v1/chat/completions", &ask("shoal")).await;
    let reply = gateway.get("/metrics").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = reply.text();
    let [help, kinds] = ["# HELP ", "# TYPE "].map(|prefix| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.filter_map(|line| line.split_once(' ')).collect::<BTreeSet<(&str, &str)>>()
    });
    assert_eq!(help.len(), kinds.len());
    for (name, text) in &help {
        assert!(!text.trim().is_empty(), "{name} has no help");
    }
    for (name, kind) in kinds {
        let is_own = name.starts_with("shoal_") || name.starts_with("process_");
        assert!(
            is_own
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
            "{name}"
        );
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let unit = ["_seconds", "_bytes", "_ratio"].iter().any(|unit| name.ends_with(unit));
        let count = ["_candidates", "_ballots", "_tokens", "_strength", "_writers", "_judges"];
        let unitless = count.iter().any(|unit| name.ends_with(unit));
        assert!(kind != "histogram" || unit || unitless, "{name} has no unit");
    }
}

#[tokio::test]
async fn what_clients_send_never_becomes_a_label() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    for number in 0..20 {
        gateway.get(&format!("/v1/made-up-{number}")).await;
        gateway.post("/v1/chat/completions", &ask(&format!("made-up-{number}"))).await;
        let method = reqwest::Method::from_bytes(format!("MADEUP{number}").as_bytes()).unwrap();
        gateway.request(method, "/v1/models").await;
    }
    let text = gateway.get("/metrics").await.text();
    assert!(!text.contains("made-up") && !text.contains("MADEUP"), "{text}");
    let unknown = r#"shoal_http_requests_total{code="404",method="GET",route="unknown"}"#;
    assert_eq!(value(&text, unknown), 20.0);
}
