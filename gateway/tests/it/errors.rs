//! Every error in OpenAI's format: status, type, param and code.

use serde_json::{Value, json};

use crate::gateway::{Gateway, node};

/// One field of a valid request, its wrong value (empty: the field is left out), and the `param` and
/// `code` of the error (`-` is null).
const ERROR_CASES: &str = r##"
model                 |                              | -                     | -
model                 | null                         | -                     | -
model                 | ""                           | -                     | -
model                 | 4                            | model                 | invalid_type
model                 | "gpt-5"                      | -                     | model_not_found
messages              |                              | messages              | missing_required_parameter
messages              | null                         | messages              | invalid_type
messages              | "hi"                         | messages              | invalid_type
messages              | []                           | messages              | empty_array
messages              | ["hi"]                       | messages[0]           | invalid_type
messages              | [{"content": "x"}]           | messages[0].role      | missing_required_parameter
messages              | [{"role": 4, "content": "x"}]| messages[0].role      | invalid_type
messages              | [{"role": "boss", "content": "x"}] | messages[0].role | invalid_value
messages              | [{"role": "user"}]           | messages[0].content   | missing_required_parameter
messages              | [{"role": "user", "content": null}] | messages[0].content | invalid_type
messages              | [{"role": "user", "content": 4}]    | messages[0].content | invalid_type
messages              | [{"role": "user", "content": []}]   | messages[0].content | empty_array
messages              | [{"role": "user", "content": ["x"]}] | messages[0].content[0] | invalid_type
messages              | [{"role": "user", "content": [{}]}] | messages[0].content[0].type | missing_required_parameter
messages              | [{"role": "user", "content": [{"type": "smell"}]}] | messages[0].content[0].type | invalid_value
messages              | [{"role": "user", "content": [{"type": "text"}]}] | messages[0].content[0].text | missing_required_parameter
messages              | [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "x"}}]}] | messages[0].content[1].image_url.url | invalid_value
messages              | [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}] | messages[0].content[0].type | unsupported_value
messages              | [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}] | messages[0].content[0].type | unsupported_value
messages              | [{"role": "user", "content": [{"type": "image_url"}]}] | messages[0].content[0].image_url | missing_required_parameter
messages              | [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}] | messages[0].content[0].type | unsupported_value
messages              | [{"role": "user", "content": "x", "name": 4}] | messages[0].name | invalid_type
messages              | [{"role": "tool", "tool_call_id": "c", "content": "4"}] | messages.[0].role | -
messages              | [{"role": "assistant"}]      | messages[0].content   | missing_required_parameter
messages              | [{"role": "assistant", "tool_calls": []}] | messages[0].tool_calls | empty_array
messages              | [{"role": "assistant", "tool_calls": [{}]}] | messages[0].tool_calls[0].id | missing_required_parameter
messages              | [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]}] | messages[0].tool_calls[0].function.arguments | invalid_type
messages              | [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]}, {"role": "tool", "content": "4"}] | messages[1].tool_call_id | missing_required_parameter
temperature           | "hot"                        | temperature           | invalid_type
temperature           | -0.1                         | temperature           | decimal_below_min_value
temperature           | 2.1                          | temperature           | decimal_above_max_value
top_p                 | -1                           | top_p                 | decimal_below_min_value
top_p                 | 1.5                          | top_p                 | decimal_above_max_value
presence_penalty      | 3                            | presence_penalty      | decimal_above_max_value
frequency_penalty     | -3                           | frequency_penalty     | decimal_below_min_value
max_tokens            | -15335                       | max_tokens            | integer_below_min_value
max_completion_tokens | 0                            | max_completion_tokens | integer_below_min_value
max_tokens            | 1.5                          | max_tokens            | invalid_type
seed                  | "7"                          | seed                  | invalid_type
seed                  | 18446744073709551615         | seed                  | integer_above_max_value
n                     | 0                            | n                     | integer_below_min_value
n                     | 129                          | n                     | integer_above_max_value
n                     | 17                           | n                     | unsupported_value
stop                  | 4                            | stop                  | invalid_type
stop                  | ["a", 4]                     | stop[1]               | invalid_type
stop                  | ["a", "b", "c", "d", "e"]    | stop                  | array_above_max_length
stream                | "yes"                        | stream                | invalid_type
logprobs              | "true"                       | logprobs              | invalid_type
top_logprobs          | 3                            | top_logprobs          | -
top_logprobs          | 21                           | top_logprobs          | integer_above_max_value
logit_bias            | {"5": 101}                   | logit_bias.5          | decimal_above_max_value
logit_bias            | {"five": 1}                  | logit_bias            | invalid_value
logit_bias            | {"5": 1}                     | logit_bias            | unsupported_value
top_k                 | -2                           | top_k                 | integer_below_min_value
min_p                 | 1.1                          | min_p                 | decimal_above_max_value
repetition_penalty    | 0                            | repetition_penalty    | decimal_below_min_value
chat_template_kwargs  | []                           | chat_template_kwargs  | invalid_type
reasoning_effort      | "huge"                       | reasoning_effort      | invalid_value
verbosity             | "loud"                       | verbosity             | invalid_value
web_search_options    | {}                           | web_search_options    | unsupported_parameter
moderation            | {}                           | moderation            | unsupported_parameter
tools                 | [{"type": "function", "function": {"name": "f"}}] | tools | unsupported_parameter
tools                 | {}                           | tools                 | invalid_type
tools                 | [4]                          | tools[0]              | invalid_type
tools                 | [{}]                         | tools[0].type         | missing_required_parameter
tools                 | [{"type": "web_search"}]     | tools[0].type         | invalid_value
tools                 | [{"type": "custom", "custom": {"name": "f"}}] | tools[0].type | unsupported_value
tools                 | [{"type": "function"}]       | tools[0].function     | missing_required_parameter
tools                 | [{"type": "function", "function": {}}] | tools[0].function.name | missing_required_parameter
tools                 | [{"type": "function", "function": {"name": "a b"}}] | tools[0].function.name | invalid_value
tools                 | [{"type": "function", "function": {"name": "f", "parameters": "x"}}] | tools[0].function.parameters | invalid_type
tools                 | [{"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type": "objekt"}}}] | tools[0].function.parameters | invalid_function_parameters
tools                 | [{"type": "function", "function": {"name": "f", "strict": true, "parameters": {"$ref": "https://x/y.json"}}}] | tools[0].function.parameters | invalid_function_parameters
parallel_tool_calls   | "yes"                        | parallel_tool_calls   | invalid_type
tool_choice           | "auto"                       | tool_choice           | -
functions             | [{"name": "f"}]              | tools                 | unsupported_parameter
function_call         | "auto"                       | function_call         | -
response_format       | {"type": "json_schema"}      | response_format.json_schema | missing_required_parameter
response_format       | {"type": "json_schema", "json_schema": {}} | response_format.json_schema.name | missing_required_parameter
response_format       | {"type": "json_schema", "json_schema": {"name": "a b"}} | response_format.json_schema.name | invalid_value
response_format       | {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "objekt"}}} | response_format.json_schema.schema | -
response_format       | {"type": "json_schema", "json_schema": {"name": "a", "schema": {"not": {"$ref": "#/not"}}}} | response_format.json_schema.schema | -
response_format       | {"type": "poem"}             | response_format.type  | invalid_value
response_format       | {}                           | response_format.type  | missing_required_parameter
modalities            | ["text", "audio"]            | modalities            | unsupported_value
metadata              | []                           | metadata              | invalid_type
metadata              | {"a": 1}                     | metadata.a            | invalid_type
shoal                 | 7                            | shoal                 | invalid_type
shoal                 | {"writers": 0}               | shoal.writers         | integer_below_min_value
shoal                 | {"writers": 1000}            | shoal.writers         | integer_above_max_value
shoal                 | {"judges": 1000}             | shoal.judges          | integer_above_max_value
shoal                 | {"deadline_ms": 1}           | shoal.deadline_ms     | integer_below_min_value
shoal                 | {"deadline_ms": 1e12}        | shoal.deadline_ms     | integer_above_max_value
shoal                 | {"writer": 3}                | shoal.writer          | unknown_parameter
shoal                 | {"progress": "loud"}         | shoal.progress        | invalid_value
"##;

/// A valid request with one field replaced.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"model": "shoal", "messages": [{"role": "user", "content": "hi"}]});
    body[field] = value;
    body
}

/// A valid request with one field replaced by JSON, or left out.
fn with_field(field: &str, text: &str) -> Value {
    if !text.is_empty() {
        return with(field, serde_json::from_str(text).unwrap());
    }
    let mut body = with("user", json!("x"));
    body.as_object_mut().unwrap().remove(field);
    body
}

/// Checks the parts of an error that clients rely on.
async fn is_refused(gateway: &Gateway, body: &Value, param: &str, code: &str) {
    let reply = gateway.post("/v1/chat/completions", body).await;
    let status = if code == "model_not_found" { 404 } else { 400 };
    assert_eq!(reply.status, status, "{body}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"), "{body}");
    assert!(reply.header("x-request-id").is_some(), "{body}");
    let error = &reply.json()["error"];
    let [param, code] =
        [param, code].map(|text| if text == "-" { Value::Null } else { json!(text) });
    assert_eq!(error["type"], "invalid_request_error", "{body}");
    assert_eq!(error["param"], param, "{body}: {error}");
    assert_eq!(error["code"], code, "{body}: {error}");
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    assert_eq!(error.as_object().map(|error| error.len()), Some(4), "{body}");
}

#[tokio::test]
async fn every_wrong_field_is_named_before_any_work_begins() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    for line in ERROR_CASES.lines().filter(|line| !line.is_empty()) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [field, value, param, code] = columns[..] else { panic!("{line}") };
        let body = with_field(field, value);
        is_refused(&gateway, &body, param, code).await;
        // A streamed request gets a plain error too, before the first event.
        if field != "stream" {
            let mut stream_body = body;
            stream_body["stream"] = json!(true);
            is_refused(&gateway, &stream_body, param, code).await;
        }
    }
    assert_eq!(gateway.start_count(), 0);
}

#[tokio::test]
async fn fields_that_exclude_each_other_are_named() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let mut limits = with("max_tokens", json!(5));
    limits["max_completion_tokens"] = json!(5);
    is_refused(&gateway, &limits, "max_tokens", "invalid_parameter_combination").await;
    let options = with("stream_options", json!({"include_usage": true}));
    is_refused(&gateway, &options, "stream_options", "-").await;
    assert_eq!(gateway.start_count(), 0);
}

fn many(item: Value, count: usize) -> Value {
    vec![item; count].into()
}

/// An object whose names and values have these lengths.
fn pairs(count: usize, name_len: usize, value_len: usize) -> Value {
    (0..count)
        .map(|at| (format!("{at:0name_len$}"), json!("v".repeat(value_len))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test]
async fn what_is_too_much_is_named_with_the_limit() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let tool = json!({"type": "function", "function": {"name": "f"}});
    let user_message = json!({"role": "user", "content": "x"});
    let url = json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}});
    let biases: Value = (0..1025).map(|at| (at.to_string(), json!(1))).collect();
    let cases = [
        ("messages", many(user_message, 4097), "messages", "array_above_max_length", "4096"),
        (
            "messages",
            json!([{"role": "user", "content": many(url, 65)}]),
            "messages",
            "array_above_max_length",
            "64",
        ),
        ("tools", many(tool, 129), "tools", "array_above_max_length", "128"),
        (
            "functions",
            many(json!({"name": "f"}), 129),
            "functions",
            "array_above_max_length",
            "128",
        ),
        ("metadata", pairs(17, 1, 1), "metadata", "-", "16"),
        ("metadata", pairs(1, 65, 1), "metadata", "string_above_max_length", "64"),
        ("metadata", pairs(1, 1, 513), "metadata.0", "string_above_max_length", "512"),
        (
            "safety_identifier",
            json!("x".repeat(65)),
            "safety_identifier",
            "string_above_max_length",
            "64",
        ),
        ("logit_bias", biases, "logit_bias", "-", "1024"),
    ];
    for (field, value, param, code, limit) in cases {
        let body = with(field, value);
        is_refused(&gateway, &body, param, code).await;
        let reply_text = gateway.post("/v1/chat/completions", &body).await.text();
        assert!(reply_text.contains(limit), "{reply_text}");
    }
    for fine in [pairs(16, 64, 512), json!({})] {
        let reply = gateway.post("/v1/chat/completions", &with("metadata", fine)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(gateway.start_count(), 2);
}

#[tokio::test]
async fn a_query_is_ignored_and_every_answer_has_an_id_of_its_own() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let mut ids = std::collections::BTreeSet::new();
    for path in ["/v1/chat/completions?api-version=2026-01-01", "/v1/chat/completions?x=%zz"] {
        let reply = gateway.post(path, &with("user", json!("x"))).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        ids.insert(reply.header("x-request-id").unwrap().to_owned());
    }
    for path in
        ["/v1/models?limit=many&after=x", "/v1/models/nobody?x", "/v1/nothing?x", "/nothing"]
    {
        let reply = gateway.get(path).await;
        assert!([200, 404].contains(&reply.status), "{path}: {}", reply.text());
        ids.insert(reply.header("x-request-id").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn bytes_that_are_no_json_are_refused_without_being_repeated() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    for body in ["", "{", "secret", "[]", "{\"model\": \"shoal\"", "\u{feff}{}", "{\"a\": 1e999}"] {
        let reply =
            gateway.post_bytes("/v1/chat/completions", "application/json", body.into()).await;
        assert_eq!(reply.status, 400, "{body}");
        let error = &reply.json()["error"];
        assert_eq!((&error["param"], &error["code"]), (&Value::Null, &Value::Null), "{body}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("We could not parse the JSON body"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[tokio::test]
async fn only_json_is_read_whatever_its_charset() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let body = with("user", json!("x")).to_string().into_bytes();
    for kind in
        ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
    {
        let reply = gateway.post_bytes("/v1/chat/completions", kind, body.clone()).await;
        assert_eq!(reply.status, 200, "{kind}: {}", reply.text());
    }
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let reply = gateway.post_bytes("/v1/chat/completions", kind, body.clone()).await;
        assert_eq!(reply.status, 415, "{kind}");
        assert_eq!(reply.json()["error"]["code"], "unsupported_content_type", "{kind}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_errors_in_the_same_shape() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let reply = gateway.post("/v1/x", &json!({})).await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.json()["error"]["message"], "Invalid URL (POST /v1/x)");
    assert_eq!(reply.json()["error"]["code"], Value::Null);
    for path in ["/v1/chat/completions", "/v1/models"] {
        let reply = gateway.request(reqwest::Method::DELETE, path).await;
        assert_eq!(reply.status, 405, "{path}");
        assert_eq!(reply.json()["error"]["code"], "method_not_supported", "{path}");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error", "{path}");
        assert!(reply.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn a_swarm_without_members_is_unavailable_and_says_so() {
    let gateway = Gateway::start([]).await;
    for stream in [false, true] {
        let reply = gateway.post("/v1/chat/completions", &with("stream", json!(stream))).await;
        assert_eq!(reply.status, 503);
        assert_eq!(reply.header("retry-after"), Some("1"));
        let error = &reply.json()["error"];
        assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("no_member")));
    }
    let ready = gateway.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("no_member")));
    assert_eq!(gateway.get("/healthz").await.status, 200);
}
