//! Every refusal in OpenAI's shape: status, type, param and code as its clients know them.

use serde_json::{Value, json};

use crate::gateway::{Gateway, node};

/// What is sent instead of a right request, and what comes back.
struct Case {
    name: &'static str,
    body: Value,
    status: u16,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

fn case(
    name: &'static str,
    body: Value,
    status: u16,
    param: Option<&'static str>,
    code: Option<&'static str>,
) -> Case {
    Case { name, body, status, param, code }
}

/// A right request with one field replaced.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"model": "shoal", "messages": [{"role": "user", "content": "hi"}]});
    body[field] = value;
    body
}

fn without(field: &str) -> Value {
    let mut body = with("user", json!("x"));
    body.as_object_mut().unwrap().remove(field);
    body
}

fn message(message: Value) -> Value {
    with("messages", json!([message]))
}

fn messages() -> Vec<Case> {
    let missing = Some("missing_required_parameter");
    let (kind, value) = (Some("invalid_type"), Some("invalid_value"));
    let unsupported = Some("unsupported_value");
    let image = json!([{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "x"}}]);
    let audio = json!([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]);
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}});
    vec![
        case("no model", without("model"), 400, None, None),
        case("null model", with("model", Value::Null), 400, None, None),
        case("model of another type", with("model", json!(4)), 400, Some("model"), kind),
        case("a model nobody serves", with("model", json!("gpt-5")), 404, None, Some("model_not_found")),
        case("no messages", without("messages"), 400, Some("messages"), missing),
        case("null messages", with("messages", Value::Null), 400, Some("messages"), kind),
        case("messages as text", with("messages", json!("hi")), 400, Some("messages"), kind),
        case("empty messages", with("messages", json!([])), 400, Some("messages"), Some("empty_array")),
        case("a message as text", message(json!("hi")), 400, Some("messages[0]"), kind),
        case("no role", message(json!({"content": "x"})), 400, Some("messages[0].role"), missing),
        case("a role unknown", message(json!({"role": "boss", "content": "x"})), 400, Some("messages[0].role"), value),
        case("no content", message(json!({"role": "user"})), 400, Some("messages[0].content"), missing),
        case("content of another type", message(json!({"role": "user", "content": 4})), 400, Some("messages[0].content"), kind),
        case("empty parts", message(json!({"role": "user", "content": []})), 400, Some("messages[0].content"), Some("empty_array")),
        case("a part unknown", message(json!({"role": "user", "content": [{"type": "smell"}]})), 400, Some("messages[0].content[0].type"), value),
        case("a part without text", message(json!({"role": "user", "content": [{"type": "text"}]})), 400, Some("messages[0].content[0].text"), missing),
        case("an image", message(json!({"role": "user", "content": image})), 400, Some("messages[0].content[1].type"), unsupported),
        case("a sound", message(json!({"role": "user", "content": audio})), 400, Some("messages[0].content[0].type"), unsupported),
        case("an orphan tool message", message(json!({"role": "tool", "tool_call_id": "c", "content": "4"})), 400, Some("messages.[0].role"), None),
        case("empty tool calls", message(json!({"role": "assistant", "content": "x", "tool_calls": []})), 400, Some("messages[0].tool_calls"), Some("empty_array")),
        case("arguments as an object", message(json!({"role": "assistant", "tool_calls": [call]})), 400, Some("messages[0].tool_calls[0].function.arguments"), kind),
    ]
}

fn numbers() -> Vec<Case> {
    let kind = Some("invalid_type");
    let (low, high) = (Some("decimal_below_min_value"), Some("decimal_above_max_value"));
    let (few, many) = (Some("integer_below_min_value"), Some("integer_above_max_value"));
    vec![
        case("temperature as text", with("temperature", json!("hot")), 400, Some("temperature"), kind),
        case("temperature too low", with("temperature", json!(-0.1)), 400, Some("temperature"), low),
        case("temperature too high", with("temperature", json!(2.1)), 400, Some("temperature"), high),
        case("top_p too low", with("top_p", json!(-1)), 400, Some("top_p"), low),
        case("top_p too high", with("top_p", json!(1.5)), 400, Some("top_p"), high),
        case("presence_penalty too high", with("presence_penalty", json!(3)), 400, Some("presence_penalty"), high),
        case("frequency_penalty too low", with("frequency_penalty", json!(-3)), 400, Some("frequency_penalty"), low),
        case("no tokens", with("max_tokens", json!(-15335)), 400, Some("max_tokens"), few),
        case("no completion tokens", with("max_completion_tokens", json!(0)), 400, Some("max_completion_tokens"), few),
        case("half a token", with("max_tokens", json!(1.5)), 400, Some("max_tokens"), kind),
        case("a seed as text", with("seed", json!("7")), 400, Some("seed"), kind),
        case("a seed too large", with("seed", json!(u64::MAX)), 400, Some("seed"), many),
        case("n of 0", with("n", json!(0)), 400, Some("n"), few),
        case("n of 129", with("n", json!(129)), 400, Some("n"), many),
        case("n of 2", with("n", json!(2)), 400, Some("n"), Some("unsupported_value")),
        case("top_logprobs too many", with("top_logprobs", json!(21)), 400, Some("top_logprobs"), many),
        case("a bias too strong", with("logit_bias", json!({"5": 101})), 400, Some("logit_bias.5"), high),
        case("too many writers", with("shoal", json!({"writers": 1000})), 400, Some("shoal.writers"), many),
        case("no writers", with("shoal", json!({"writers": 0})), 400, Some("shoal.writers"), few),
        case("too many judges", with("shoal", json!({"judges": 1000})), 400, Some("shoal.judges"), many),
        case("a deadline too short", with("shoal", json!({"deadline_ms": 1})), 400, Some("shoal.deadline_ms"), few),
        case("a deadline too long", with("shoal", json!({"deadline_ms": 1e12})), 400, Some("shoal.deadline_ms"), many),
        case("a wish unknown", with("shoal", json!({"writer": 3})), 400, Some("shoal.writer"), Some("unknown_parameter")),
    ]
}

fn options() -> Vec<Case> {
    let kind = Some("invalid_type");
    let parameter = Some("unsupported_parameter");
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let mut both = with("max_tokens", json!(5));
    both["max_completion_tokens"] = json!(5);
    vec![
        case("both limits", both, 400, Some("max_tokens"), Some("invalid_parameter_combination")),
        case("five stops", with("stop", json!(["a", "b", "c", "d", "e"])), 400, Some("stop"), Some("array_above_max_length")),
        case("a stop of another type", with("stop", json!(4)), 400, Some("stop"), kind),
        case("one stop of another type", with("stop", json!(["a", 4])), 400, Some("stop[1]"), kind),
        case("stream as text", with("stream", json!("yes")), 400, Some("stream"), kind),
        case("stream options without stream", with("stream_options", json!({"include_usage": true})), 400, Some("stream_options"), None),
        case("logprobs", with("logprobs", json!(true)), 400, Some("logprobs"), Some("unsupported_value")),
        case("top_logprobs alone", with("top_logprobs", json!(3)), 400, Some("top_logprobs"), None),
        case("tools", with("tools", tool), 400, Some("tools"), parameter),
        case("a choice without tools", with("tool_choice", json!("auto")), 400, Some("tool_choice"), None),
        case("functions", with("functions", json!([{"name": "f"}])), 400, Some("functions"), parameter),
        case("a JSON answer", with("response_format", json!({"type": "json_object"})), 400, Some("response_format"), parameter),
        case("a format unknown", with("response_format", json!({"type": "poem"})), 400, Some("response_format.type"), Some("invalid_value")),
        case("a spoken answer", with("modalities", json!(["text", "audio"])), 400, Some("modalities"), Some("unsupported_value")),
        case("metadata as a list", with("metadata", json!([])), 400, Some("metadata"), kind),
        case("effort as a number", with("shoal", json!(7)), 400, Some("shoal"), kind),
    ]
}

#[tokio::test]
async fn every_wrong_field_is_named_before_any_work_begins() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    for case in messages().into_iter().chain(numbers()).chain(options()) {
        for stream in [false, true] {
            let mut body = case.body.clone();
            if stream && body.get("stream").is_none() && body.get("stream_options").is_none() {
                body["stream"] = json!(true);
            }
            let reply = gateway.post("/v1/chat/completions", &body).await;
            assert_eq!(reply.status, case.status, "{}: {}", case.name, reply.text());
            assert_eq!(reply.header("content-type"), Some("application/json"), "{}", case.name);
            let error = &reply.json()["error"];
            assert_eq!(error["type"], "invalid_request_error", "{}", case.name);
            assert_eq!(error["param"], json!(case.param), "{}: {error}", case.name);
            assert_eq!(error["code"], json!(case.code), "{}: {error}", case.name);
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{}", case.name);
            assert_eq!(error.as_object().map(|error| error.len()), Some(4), "{}", case.name);
            assert!(reply.header("x-request-id").is_some(), "{}", case.name);
        }
    }
    assert_eq!(gateway.begun(), 0);
}

#[tokio::test]
async fn bytes_that_are_no_json_are_refused_without_being_repeated() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    for body in ["", "{", "secret", "[]", "{\"model\": \"shoal\"", "\u{feff}{}", "{\"a\": 1e999}"] {
        let reply = gateway.post_bytes("/v1/chat/completions", "application/json", body.into()).await;
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
    let body = || with("user", json!("x")).to_string().into_bytes();
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
        let reply = gateway.post_bytes("/v1/chat/completions", kind, body()).await;
        assert_eq!(reply.status, 200, "{kind}: {}", reply.text());
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let reply = gateway.post_bytes("/v1/chat/completions", kind, body()).await;
        assert_eq!(reply.status, 400, "{kind}");
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
