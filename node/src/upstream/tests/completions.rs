//! Texts that an endpoint goes on with, at its own `/v1/completions`.

use shoal_proto::generate::Prompt;

use super::*;

fn completes() -> Abilities {
    Abilities { completions: true, ..Abilities::default() }
}

fn going_on(prompt: Prompt) -> Generate {
    let sampling = Sampling { max_tokens: Some(5), logprobs: Some(2), ..Sampling::default() };
    Generate { prompt: Some(prompt), sampling: Some(sampling), ..ask() }
}

fn completion_chat() -> Chat {
    let columns = r#"{"tokens":[" ca","t"],"token_logprobs":[-0.5,-0.25],"top_logprobs":[{" do":-2.0," ca":-0.5},null],"text_offset":[0,3]}"#;
    Chat::Stream(vec![
        event(r#"{"choices":[{"index":0,"text":"","finish_reason":null}]}"#),
        event(&format!(r#"{{"choices":[{{"index":0,"text":" cat","logprobs":{columns}}}]}}"#)),
        event(r#"{"choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"}]}"#),
        event(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#),
        event("[DONE]"),
    ])
}

#[tokio::test]
async fn a_text_goes_to_the_endpoints_own_door_and_comes_back_with_its_tokens() {
    let endpoint = FakeEndpoint::start(LISTING, completion_chat()).await;
    let settings = Settings { can: Some(completes()), ..settings(&endpoint) };
    let upstream = Upstream::connect(&settings).await.unwrap();
    assert!(upstream.model().completes);
    let (text, end) = collect_answer(&upstream, going_on(Prompt::new("I saw a"))).await;
    let end = end.unwrap();
    assert_eq!((text.as_str(), end.finish()), (" cat", Finish::Length));
    assert_eq!((end.prompt_tokens, end.completion_tokens), (3, 2));
    let first =
        TokenLogprob { top: vec![token(" ca", -0.5), token(" do", -2.0)], ..token(" ca", -0.5) };
    assert_eq!(end.tokens, [first, token("t", -0.25)]);
    let numbers = Prompt { tokens: vec![7, 8], ..Prompt::default() };
    collect_answer(&upstream, going_on(numbers)).await.1.unwrap();
    let requests = endpoint.requests_at("/v1/completions");
    assert_eq!(requests[0].body, completion_body(json!("I saw a")));
    assert_eq!(requests[1].body, completion_body(json!([7, 8])));
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_goes_on_with_nothing_says_so() {
    let endpoint = FakeEndpoint::start(LISTING, completion_chat()).await;
    let upstream = Upstream::connect(&settings(&endpoint)).await.unwrap();
    assert!(!upstream.model().completes);
    let error = collect_answer(&upstream, going_on(Prompt::new("x"))).await.1.unwrap_err();
    assert_eq!(error.fault, Fault::Unsupported);
}

#[tokio::test]
async fn whether_it_goes_on_with_texts_is_found_by_asking() {
    for (body, completes) in [
        (r#"{"choices":[{"text":"!"}]}"#, true),
        (r#"{"choices":[{"message":{"content":"!"}}]}"#, false),
    ] {
        let endpoint = FakeEndpoint::start(LISTING, Chat::Status(200, body)).await;
        let find = Settings { can: None, ..settings(&endpoint) };
        assert_eq!(Upstream::connect(&find).await.unwrap().model().completes, completes);
        assert_eq!(endpoint.requests_at("/v1/completions")[0].body["prompt"], "Hi");
    }
    assert!(Abilities::read("completions").unwrap().completions);
}

fn completion_body(prompt: Value) -> Value {
    json!({
        "model": "m", "prompt": prompt, "stream": true,
        "stream_options": { "include_usage": true }, "max_tokens": 5, "logprobs": 2,
    })
}

fn token(text: &str, logprob: f64) -> TokenLogprob {
    TokenLogprob { bytes: text.as_bytes().to_vec(), logprob, top: Vec::new() }
}
