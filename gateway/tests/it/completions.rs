//! The older endpoint, `/v1/completions`.

use serde_json::{Value, json};
use shoal_proto::{generate::Prompt, hello::Model};

use crate::{
    gateway::{Gateway, node},
    official,
    sse::chunks,
};

const PATH: &str = "/v1/completions";

fn ask(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "prompt": "What is 2 + 2?"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_prompt_is_completed_as_clients_expect_it() {
    let gateway = Gateway::start([node("digits").says("It is 4.")]).await;
    for model in ["shoal", "digits"] {
        let reply = gateway.post(PATH, &ask(model, json!({}))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.header("x-shoal-round").is_some());
        let body = reply.json();
        official::hold("CreateCompletionResponse", &body);
        let choice =
            json!({"index": 0, "text": "It is 4.", "logprobs": null, "finish_reason": "stop"});
        assert_eq!(body["choices"], json!([choice]));
        assert_eq!((&body["object"], &body["model"]), (&json!("text_completion"), &json!(model)));
        assert_eq!(body["usage"]["total_tokens"], 12);
    }
    let asks = gateway.generate_asks();
    assert_eq!((asks[0].messages[0].role.as_str(), asks[0].messages.len()), ("user", 1));
    assert_eq!(asks[0].sampling.as_ref().unwrap().max_tokens, Some(16), "OpenAI's default");
}

#[tokio::test]
async fn many_prompts_are_many_choices_in_order() {
    let gateway = Gateway::start([node("digits").says("4"), node("words").says("four")]).await;
    for n in [1, 2] {
        let more = json!({"prompt": ["a", "b", "c", "d", "e"], "echo": true, "n": n});
        let body = gateway.post(PATH, &ask("shoal", more)).await.json();
        let choices = body["choices"].as_array().unwrap();
        assert_eq!(choices.len(), 5 * n, "{body}");
        for (at, choice) in choices.iter().enumerate() {
            let prompt = ["a", "b", "c", "d", "e"][at / n];
            assert_eq!(choice["index"], at);
            assert!(choice["text"].as_str().unwrap().starts_with(prompt), "{choice}");
        }
        assert_eq!(body["usage"]["prompt_tokens"], 25);
        assert_eq!(body["usage"]["completion_tokens"], 35 * n);
    }
}

#[tokio::test]
async fn a_stream_is_chunks_of_the_same_shape_then_done() {
    let gateway = Gateway::start([node("digits").says("Four is what two and two make.")]).await;
    for model in ["shoal", "digits"] {
        let more = json!({
            "stream": true, "prompt": ["a", "b"], "echo": true,
            "stream_options": {"include_usage": true},
        });
        let text = gateway.post(PATH, &ask(model, more)).await.text();
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        let chunks = chunks(&text);
        for index in [0, 1] {
            let choice_chunks: Vec<_> =
                chunks.iter().filter(|chunk| chunk["choices"][0]["index"] == index).collect();
            let choice_text: String = choice_chunks
                .iter()
                .map(|chunk| chunk["choices"][0]["text"].as_str().unwrap())
                .collect();
            assert_eq!(choice_text, format!("{}Four is what two and two make.", ["a", "b"][index]));
            let last = choice_chunks.last().unwrap();
            assert_eq!(last["choices"][0]["finish_reason"], "stop");
        }
        let (last, earlier) = chunks.split_last().unwrap();
        assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(24)));
        assert!(earlier.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
        assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion"));
    }
}

fn completes() -> Model {
    Model { completes: true, ..Model::default() }
}

#[tokio::test]
async fn a_text_is_gone_on_with_as_it_stands_where_somebody_can() {
    let talker = node("talker").says("I can only talk.");
    let writers = ["a", "b"].map(|name| node(name).able(completes()).says(" was a fish."));
    let gateway = Gateway::start([talker].into_iter().chain(writers)).await;
    let prefix = "Once upon a time there";
    let body = gateway.post(PATH, &ask("shoal", json!({"prompt": prefix}))).await.json();
    assert_eq!(body["choices"][0]["text"], " was a fish.", "{body}");
    let asks = gateway.generate_asks();
    assert_eq!(asks.len(), 2, "who only talks is not asked");
    for generate in asks {
        assert_eq!(generate.prompt, Some(Prompt::new(prefix)));
        assert_eq!(generate.messages[0].content, prefix, "for who is older than prompts");
    }
    assert!(gateway.judge_asks().iter().all(|item| item.prompt == Some(Prompt::new(prefix))));
    // A request by name reaches a chat-only model as before.
    let body = gateway.post(PATH, &ask("talker", json!({"prompt": prefix}))).await.json();
    assert_eq!(body["choices"][0]["text"], "I can only talk.");
    assert_eq!(gateway.generate_asks().last().unwrap().prompt, None);
    // A chat is not a prompt to continue.
    gateway.post("/v1/chat/completions", &crate::gateway::ask("a")).await;
    assert_eq!(gateway.generate_asks().last().unwrap().prompt, None);
}

#[tokio::test]
async fn token_numbers_go_to_the_model_whose_they_are() {
    let gateway = Gateway::start([node("m").able(completes()).says("!")]).await;
    let single = gateway.post(PATH, &ask("m", json!({"prompt": [1, 300]}))).await.json();
    assert_eq!(single["choices"][0]["text"], "!", "{single}");
    let two = gateway.post(PATH, &ask("m", json!({"prompt": [[5], [6, 7]]}))).await.json();
    assert_eq!(two["choices"].as_array().unwrap().len(), 2, "{two}");
    let mut asks: Vec<Vec<u32>> =
        gateway.generate_asks().into_iter().map(|item| item.prompt.unwrap().tokens).collect();
    asks[1..].sort();
    assert_eq!(asks, [vec![1, 300], vec![5], vec![6, 7]]);
}

#[tokio::test]
async fn no_prompt_is_the_beginning_of_a_document() {
    let gateway = Gateway::start([node("m").able(completes()).says("Title")]).await;
    for prompt in [json!(null), json!("")] {
        let reply = gateway.post(PATH, &ask("m", json!({"prompt": prompt}))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert!(gateway.generate_asks().iter().all(|item| item.prompt == Some(Prompt::default())));
}

#[tokio::test]
async fn no_tokens_are_no_text_but_the_prompts_own() {
    let gateway = Gateway::start([node("digits").says("never told")]).await;
    for (echo, text) in [(false, ""), (true, "What is 2 + 2?")] {
        for model in ["shoal", "digits"] {
            let more = json!({"max_tokens": 0, "echo": echo});
            let body = gateway.post(PATH, &ask(model, more.clone())).await.json();
            official::hold("CreateCompletionResponse", &body);
            let choice =
                json!({"index": 0, "text": text, "logprobs": null, "finish_reason": "length"});
            assert_eq!(body["choices"], json!([choice]));
            let usage = &body["usage"];
            let counts = (&usage["prompt_tokens"], &usage["completion_tokens"]);
            assert_eq!(counts, (&json!(5), &json!(0)), "{usage}");
            let mut stream_body = ask(model, more);
            stream_body["stream"] = json!(true);
            let stream_body = gateway.post(PATH, &stream_body).await.text();
            let stream_text: String = chunks(&stream_body)
                .iter()
                .map(|chunk| chunk["choices"][0]["text"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(stream_text, text);
        }
    }
}

#[tokio::test]
async fn log_probabilities_are_columns() {
    let gateway = Gateway::start([node("m").says_tokens(&[("fo", -0.5), ("ur", -0.25)])]).await;
    let body = gateway.post(PATH, &ask("m", json!({"logprobs": 1}))).await.json();
    official::hold("CreateCompletionResponse", &body);
    let logprobs = &body["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"], json!(["fo", "ur"]));
    assert_eq!(logprobs["token_logprobs"], json!([-0.5, -0.25]));
    assert_eq!(logprobs["text_offset"], json!([0, 2]));
    assert_eq!(logprobs["top_logprobs"], json!([{"x": -9.0}, {"x": -9.0}]));
}

#[tokio::test]
async fn a_failure_after_the_first_byte_is_an_error_event_and_no_done() {
    let (node, go_on) = node("digits").begins_then_breaks("half an ans");
    let gateway = Gateway::start([node]).await;
    let mut stream = gateway.open(PATH, &ask("digits", json!({"stream": true}))).await;
    stream.read_until("half an ans").await;
    go_on.notify_one();
    stream.read_to_end().await;
    assert!(!stream.text_so_far().contains("[DONE]"));
    assert_eq!(chunks(stream.text_so_far()).last().unwrap()["error"]["type"], "server_error");
}

#[tokio::test]
async fn what_cannot_be_completed_is_named() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let cases = [
        (json!({"prompt": {}}), "prompt", "invalid_type"),
        (json!({"prompt": []}), "prompt", "empty_array"),
        (json!({"prompt": [1, 2]}), "prompt", "unsupported_value"),
        (json!({"prompt": [[1]]}), "prompt", "unsupported_value"),
        (json!({"prompt": ["a", {}]}), "prompt[1]", "invalid_type"),
        (json!({"prompt": ["a", 5]}), "prompt[1]", "invalid_type"),
        (json!({"model": "digits", "prompt": [[1], []]}), "prompt[1]", "empty_array"),
        (json!({"model": "digits", "prompt": [1, -2]}), "prompt[1]", "invalid_type"),
        (json!({"model": "digits", "prompt": [[1], [2, 5e9]]}), "prompt[1][1]", "invalid_type"),
        (json!({"model": "digits", "prompt": [1], "echo": true}), "echo", "unsupported_value"),
        (json!({"model": "digits", "prompt": [1]}), "model", "unsupported_value"),
        (json!({"suffix": "end"}), "suffix", "unsupported_parameter"),
        (json!({"logprobs": 6}), "logprobs", "integer_above_max_value"),
        (json!({"logprobs": 1, "echo": true}), "logprobs", "unsupported_value"),
        (json!({"max_tokens": -1}), "max_tokens", "integer_below_min_value"),
        (json!({"temperature": 3}), "temperature", "decimal_above_max_value"),
        (json!({"best_of": 21}), "best_of", "integer_above_max_value"),
        (json!({"model": "digits", "best_of": 2}), "best_of", "unsupported_value"),
        (json!({"model": "gone"}), "", "model_not_found"),
    ];
    for (more, param, code) in cases {
        let error = gateway.post(PATH, &ask("shoal", more.clone())).await.json()["error"].clone();
        let param = if param.is_empty() { Value::Null } else { json!(param) };
        assert_eq!((&error["param"], &error["code"]), (&param, &json!(code)), "{more}: {error}");
    }
}
