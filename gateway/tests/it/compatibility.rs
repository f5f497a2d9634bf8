//! docs/COMPATIBILITY.md agrees with the code, and answers agree with OpenAI's schema.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shoal_api::chat::treatment::{self, Treatment};

use crate::{
    gateway::{Gateway, ask, node},
    official,
    sse::chunks,
};

const TABLE: &str = include_str!("../../../docs/COMPATIBILITY.md");

/// Field and treatment of each row of the table of fields.
fn table() -> BTreeMap<&'static str, &'static str> {
    let rows = TABLE.lines().filter_map(|line| {
        let mut columns = line.strip_prefix("| `")?.split(" | ");
        Some((columns.next()?.trim_end_matches('`'), columns.next()?))
    });
    rows.collect()
}

fn word(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Honoured => "honoured",
        Treatment::PassedOn => "passed on",
        Treatment::Ignored => "ignored",
        Treatment::Refused => "refused",
    }
}

#[test]
fn the_table_of_fields_is_what_the_code_does() {
    let table_fields: BTreeMap<_, _> =
        treatment::FIELDS.iter().map(|(name, treatment)| (*name, word(*treatment))).collect();
    assert_eq!(table(), table_fields);
    assert_eq!(table_fields.len(), treatment::FIELDS.len(), "a field stands twice");
}

#[tokio::test]
async fn what_is_refused_is_refused_and_what_is_ignored_changes_nothing() {
    let gateway = Gateway::start([node("a").says("4")]).await;
    let sound = json!({
        "metadata": {"a": "b"}, "user": "x", "safety_identifier": "x", "verbosity": "low",
        "service_tier": "auto", "prompt_cache_key": "x",
    });
    let plain = gateway.post("/v1/chat/completions", &ask("a")).await;
    assert_eq!(plain.status, 200);
    for (name, treatment) in treatment::FIELDS {
        let mut body = ask("a");
        body[*name] = sound.get(name).cloned().unwrap_or_else(|| json!({}));
        match treatment {
            Treatment::Refused => {
                let refusal = gateway.post("/v1/chat/completions", &body).await;
                assert_eq!(refusal.status, 400, "{name}");
                assert_eq!(refusal.json()["error"]["param"], *name);
            }
            Treatment::Ignored => {
                let answer = gateway.post("/v1/chat/completions", &body).await;
                assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            }
            Treatment::Honoured | Treatment::PassedOn => {}
        }
    }
    let asks = gateway.generate_asks();
    assert!(asks.iter().all(|ask| *ask == asks[0]), "a field that is ignored reached a member");
}

/// OpenAI's schemas, from the folder beside the workspace or in `SHOAL_SHARED`.
fn official() -> Option<Value> {
    let mut document = official::schemas()?.clone();
    allow_null(&mut document);
    Some(document)
}

/// Replaces `nullable`, a keyword of OpenAPI 3.0 that JSON Schema does not have.
fn allow_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(allow_null);
            if map.remove("nullable") == Some(Value::Bool(true)) {
                let bare = Value::Object(std::mem::take(map));
                *value = json!({"anyOf": [bare, {"type": "null"}]});
            }
        }
        Value::Array(values) => values.iter_mut().for_each(allow_null),
        _ => {}
    }
}

fn properties(document: &Value, schema: &Value, properties_out: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return properties(document, document.pointer(pointer).unwrap(), properties_out);
    }
    properties_out.extend(
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()),
    );
    for part in schema["allOf"].as_array().into_iter().flatten() {
        properties(document, part, properties_out);
    }
}

#[test]
fn every_field_of_the_official_schema_is_known() {
    let Some(document) = official() else { return };
    let mut names = Vec::new();
    let schema = &document["components"]["schemas"]["CreateChatCompletionRequest"];
    properties(&document, schema, &mut names);
    assert!(names.len() > 30, "{names:?}");
    let unknown: Vec<_> = names.iter().filter(|name| treatment::of_field(name).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[tokio::test]
async fn answers_and_chunks_are_what_the_official_schema_describes() {
    let Some(document) = official() else { return };
    let validator = |name: &str| {
        let mut schema = document.clone();
        schema["$ref"] = json!(format!("#/components/schemas/{name}"));
        jsonschema::options().offline().should_validate_formats(false).build(&schema).unwrap()
    };
    let whole = validator("CreateChatCompletionResponse");
    let chunk = validator("CreateChatCompletionStreamResponse");
    let function = json!({"name": "f", "parameters": {"type": "object"}});
    let tools = json!({"tools": [{"type": "function", "function": function.clone()}]});
    let cases = [
        (json!({}), "says"),
        (json!({"n": 2, "logprobs": true, "top_logprobs": 1}), "says"),
        (json!({"stream_options": {"include_usage": true}}), "says"),
        (tools, "calls"),
        (json!({"functions": [function]}), "calls"),
    ];
    let nodes = [
        node("says").says_tokens(&[("4", -0.5), ("2", -0.25)]),
        node("calls").calls(&[("f", "{}")]),
    ];
    let gateway = Gateway::start(nodes).await;
    for (more, model) in cases {
        for stream in [false, true] {
            let mut body = ask(model);
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body["stream"] = json!(stream);
            if !stream {
                body.as_object_mut().unwrap().remove("stream_options");
            }
            let reply = gateway.post("/v1/chat/completions", &body).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let (validator, messages) =
                if stream { (&chunk, chunks(&reply.text())) } else { (&whole, vec![reply.json()]) };
            for message in messages {
                let wrong: Vec<String> = validator
                    .iter_errors(&message)
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                assert!(wrong.is_empty(), "{wrong:?} in {message}");
            }
        }
    }
}
