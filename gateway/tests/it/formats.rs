//! Structured output: only answers that keep to the response format are sent.

use serde_json::{Value, json};
use shoal_proto::{generate::FormatKind, hello::Model};

use crate::gateway::{Gateway, Reply, ask, node};

const RIGHT: &str = r#"{"sum": 432}"#;

fn with_schema(model: &str, stream: bool) -> Value {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["sum"],
        "properties": {"sum": {"type": "integer"}},
    });
    let mut body = ask(model);
    body["stream"] = json!(stream);
    body["response_format"] = json!({
        "type": "json_schema", "json_schema": {"name": "sum", "schema": schema, "strict": true},
    });
    body
}

async fn chat(gateway: &Gateway, body: &Value) -> Reply {
    gateway.post("/v1/chat/completions", body).await
}

#[tokio::test]
async fn an_answer_that_breaks_the_schema_leaves_the_round_before_judging() {
    let nodes = [
        node("prose").says("The sum is 432."),
        node("cut").says(r#"{"sum": 4"#),
        node("words").says(r#"{"sum": "432"}"#),
        node("more").says(r#"{"sum": 432, "sure": true}"#),
        node("right").says(RIGHT),
    ];
    let gateway = Gateway::with(nodes, |config| config.round.agree.audit = 0.0).await;
    let reply = chat(&gateway, &with_schema("shoal", false)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["choices"][0]["message"]["content"], RIGHT);
    gateway.until_counted(r#"shoal_candidates_total{outcome="misfit"} 4"#).await;
    let round =
        gateway.get(&format!("/v1/rounds/{}", reply.header("x-shoal-round").unwrap())).await;
    assert_eq!(round.json()["ballots"], json!([]), "one was left, and nobody had to judge it");
    let format = gateway.generate_asks()[0].format.clone().unwrap();
    assert_eq!(
        (format.kind(), format.name.as_str(), format.strict),
        (FormatKind::JsonSchema, "sum", true)
    );
}

#[tokio::test]
async fn a_fence_around_the_json_is_taken_away() {
    for fence in ["```json\n{\"sum\": 432}\n```", "```\n{\"sum\": 432}\n```\n", " {\"sum\": 432}\n"]
    {
        let gateway = Gateway::start([node("fences").says(fence)]).await;
        for model in ["shoal", "fences"] {
            let reply = chat(&gateway, &with_schema(model, false)).await.json();
            assert_eq!(reply["choices"][0]["message"]["content"], RIGHT, "{fence:?}");
        }
    }
}

#[tokio::test]
async fn when_nothing_keeps_to_the_schema_the_error_says_so() {
    let gateway = Gateway::start([node("a").says("432"), node("b").says("{}")]).await;
    for model in ["shoal", "a"] {
        for stream in [false, true] {
            let reply = chat(&gateway, &with_schema(model, stream)).await;
            assert_eq!(reply.status, 400, "{}", reply.text());
            let error = &reply.json()["error"];
            assert_eq!(error["code"], "json_validate_failed");
            assert_eq!(error["param"], "response_format");
        }
    }
}

#[tokio::test]
async fn json_mode_takes_any_object_and_nothing_else() {
    let nodes = [node("list").says("[1]"), node("right").says(RIGHT)];
    let gateway = Gateway::start(nodes).await;
    let mut body = ask("shoal");
    body["response_format"] = json!({"type": "json_object"});
    let reply = chat(&gateway, &body).await.json();
    assert_eq!(reply["choices"][0]["message"]["content"], RIGHT);
    body["model"] = json!("list");
    assert_eq!(chat(&gateway, &body).await.status, 400);
}

#[tokio::test]
async fn equal_json_is_one_pool_however_it_is_written() {
    let nodes = [
        node("a").says(RIGHT),
        node("b").says("{\n  \"sum\": 432.0\n}"),
        node("c").says("{\"sum\":432}"),
    ];
    let gateway = Gateway::start(nodes).await;
    let reply = chat(&gateway, &with_schema("shoal", false)).await;
    let round =
        gateway.get(&format!("/v1/rounds/{}", reply.header("x-shoal-round").unwrap())).await;
    let pools: Vec<_> = round.json()["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|candidate| candidate["pool"].clone())
        .collect();
    assert_eq!(pools, [0, 0, 0]);
}

#[tokio::test]
async fn one_model_is_asked_again_and_nothing_is_told_before_it_fits() {
    let gateway = Gateway::start([node("prose").says("The sum is 432.")]).await;
    let reply = chat(&gateway, &with_schema("prose", true)).await;
    // A plain error: no byte of the misfit was sent.
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(gateway.start_count(), 3);
}

#[tokio::test]
async fn an_engine_that_cannot_break_the_schema_is_heard_at_once() {
    let schema_model = Model { constrained: true, ..Model::default() };
    let (writer, go_on) = node("held").able(schema_model).says_in_two("{\"sum\": ", "432}");
    let gateway = Gateway::start([writer]).await;
    let mut stream = gateway.open("/v1/chat/completions", &with_schema("held", true)).await;
    stream.read_until("sum").await;
    go_on.notify_one();
    stream.read_to_end().await;
    assert!(stream.text_so_far().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn an_engine_that_lied_about_it_ends_in_an_error_event() {
    let schema_model = Model { constrained: true, ..Model::default() };
    let (writer, go_on) = node("held").able(schema_model).says_in_two("{\"sum\": ", "much}");
    let gateway = Gateway::start([writer]).await;
    let mut stream = gateway.open("/v1/chat/completions", &with_schema("held", true)).await;
    stream.read_until("sum").await;
    go_on.notify_one();
    stream.read_to_end().await;
    assert!(
        stream.text_so_far().contains("json_validate_failed")
            && !stream.text_so_far().contains("[DONE]")
    );
}

#[tokio::test]
async fn an_answer_that_the_limit_cut_is_sent_as_far_as_it_goes() {
    let gateway = Gateway::start([node("a").says(r#"{"sum": 4"#).cut()]).await;
    for model in ["shoal", "a"] {
        for stream in [false, true] {
            let reply = chat(&gateway, &with_schema(model, stream)).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let text = reply.text();
            assert!(text.contains(r#"{\"sum\": 4"#), "{text}");
            assert!(text.contains(r#""finish_reason":"length""#), "{text}");
        }
    }
}

#[tokio::test]
async fn a_complete_answer_comes_before_one_that_was_cut() {
    let [a, b, c] = ["a", "b", "c"].map(|name| node(name).says(r#"{"sum": 4"#).cut());
    let gateway = Gateway::start([a, b, c, node("right").says(RIGHT)]).await;
    for _ in 0..3 {
        let reply = chat(&gateway, &with_schema("shoal", false)).await.json();
        assert_eq!(reply["choices"][0]["message"]["content"], RIGHT);
    }
}

#[tokio::test]
async fn a_reference_is_found_however_it_is_spelled() {
    let gateway = Gateway::start([node("a").says(r#"{"items": ["x"]}"#)]).await;
    let page = json!({"type": "object", "required": ["items"]});
    for (name, reference) in
        [("Page<string>", "#/definitions/Page%3Cstring%3E"), ("a page", "#/%64efinitions/a%20page")]
    {
        let schema = json!({"$ref": reference, "definitions": {name: page}});
        let mut body = ask("a");
        body["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
        let reply = chat(&gateway, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}
