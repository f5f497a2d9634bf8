mod completions;
mod connecting;
mod endings;
mod endpoint;
mod refusals;

use serde_json::{Value, json};
use shoal_proto::{
    generate::{ChatMessage, Fault, Finish, Format, FormatKind, Sampling, TokenBias, TokenLogprob},
    judge::{BallotKind, Pair},
    tools::{Function, ToolCall, ToolChoice, Tools},
};

use super::*;
use endpoint::{Chat, FakeEndpoint};

const LISTING: (u16, &str) = (200, r#"{"data":[{"id":"m","max_model_len":2048}]}"#);

fn settings(endpoint: &FakeEndpoint) -> Settings {
    Settings {
        url: format!("http://{}/v1", endpoint.address),
        model: "m".to_owned(),
        key: Secret::new("secret"),
        name: None,
        tags: vec!["code".to_owned()],
        context: None,
        judges: false,
        can: Some(Abilities::default()),
    }
}

fn ask() -> Generate {
    Generate {
        messages: vec![message("developer", "Be brief."), message("user", "Hello, you!")],
        sampling: Some(Sampling {
            temperature: Some(0.7),
            seed: Some(5),
            max_tokens: Some(20),
            stop: vec!["\n".to_owned()],
            ..Sampling::default()
        }),
        ..Generate::default()
    }
}

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.to_owned(), content: content.to_owned(), ..ChatMessage::default() }
}

/// An event of an event stream.
fn event(json: &str) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

fn text(text: &str) -> Vec<u8> {
    event(&json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }).to_string())
}

/// The text, and how it ended.
async fn collect(upstream: &Upstream) -> (String, Result<Done, EngineError>) {
    collect_answer(upstream, ask()).await
}

async fn collect_answer(upstream: &Upstream, ask: Generate) -> (String, Result<Done, EngineError>) {
    let mut events = upstream.generate(ask);
    let mut text = String::new();
    while let Some(event) = events.recv().await {
        match event {
            Ok(Event::Piece(piece)) => text.push_str(&piece),
            Ok(Event::Done(end)) => return (text, Ok(end)),
            Err(error) => return (text, Err(error)),
        }
    }
    panic!("no last word")
}

async fn answer_of(chat: Chat) -> (String, Result<Done, EngineError>) {
    let endpoint = FakeEndpoint::start(LISTING, chat).await;
    collect(&Upstream::connect(&settings(&endpoint)).await.unwrap()).await
}

async fn fault(chat: Chat) -> EngineError {
    answer_of(chat).await.1.unwrap_err()
}

#[tokio::test]
async fn an_answer_streams_with_the_endpoints_own_usage() {
    let writes = vec![
        event(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#),
        text("Hel"),
        text("lo."),
        event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":null}"#),
        event(r#"{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7}}"#),
        event("[DONE]"),
    ];
    let (text, end) = answer_of(Chat::Stream(writes)).await;
    let end = end.unwrap();
    assert_eq!(text, "Hello.");
    assert_eq!(end.finish(), Finish::Length);
    assert_eq!((end.prompt_tokens, end.completion_tokens, end.logprob), (11, 7, None));
}

#[tokio::test]
async fn the_endpoint_gets_what_was_asked_in_its_own_words() {
    let finish = event(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#);
    let endpoint = FakeEndpoint::start(LISTING, Chat::Stream(vec![text("x"), finish])).await;
    let upstream = Upstream::connect(&settings(&endpoint)).await.unwrap();
    collect(&upstream).await.1.unwrap();
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 1, "the list was enough to find the model");
    assert_eq!(requests[0].key, "Bearer secret");
    let expectation = json!({
        "model": "m",
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "Hello, you!" },
        ],
        "stream": true,
        "stream_options": { "include_usage": true },
        "temperature": 0.7,
        "seed": 5,
        "max_tokens": 20,
        "stop": ["\n"],
    });
    assert_eq!(requests[0].body, expectation);
    assert_eq!(upstream.model().context, 2048);
    assert_eq!(upstream.model().tags, ["code"]);
    assert!(!upstream.model().certainty && !upstream.model().likelihood);
}

fn rich_ask() -> Generate {
    let call = ToolCall { id: "c1".into(), name: "add".into(), arguments: "{\"a\":1}".into() };
    let call_message = ChatMessage { tool_calls: vec![call], ..ChatMessage::new("assistant", "") };
    let result = ChatMessage { tool_call_id: "c1".into(), ..ChatMessage::new("tool", "3") };
    let function = Function {
        name: "add".into(),
        parameters: r#"{"type":"object"}"#.into(),
        strict: true,
        ..Function::default()
    };
    let mut tools = Tools { functions: vec![function], named: "add".into(), ..Tools::default() };
    tools.set_choice(ToolChoice::Named);
    let format = Format {
        kind: FormatKind::JsonSchema.into(),
        body: r#"{"type":"object"}"#.into(),
        name: "sum".into(),
        strict: true,
    };
    let image = "data:image/png;base64,AAAA".to_owned();
    Generate {
        messages: vec![
            ChatMessage { images: vec![image], ..ChatMessage::new("user", "1 + 2?") },
            call_message,
            result,
        ],
        sampling: Some(Sampling {
            top_k: Some(40),
            min_p: Some(0.05),
            repetition_penalty: Some(1.1),
            presence_penalty: Some(0.5),
            frequency_penalty: Some(-0.5),
            logit_bias: vec![TokenBias { token: 7, bias: -100.0 }],
            logprobs: Some(2),
            ..Sampling::default()
        }),
        tools: Some(tools),
        format: Some(format),
        template_variables: r#"{"reasoning_effort":"low","enable_thinking":false}"#.into(),
        prompt: None,
    }
}

#[test]
fn every_field_reaches_the_endpoint_under_its_name_there() {
    let can = Abilities { tools: true, json: true, vision: true, ..Abilities::default() };
    let body = request::body("m", &rich_ask(), can).unwrap();
    let function = json!({"name": "add", "parameters": {"type": "object"}, "strict": true});
    let expectation = json!({
        "model": "m",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "1 + 2?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{\"a\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "3"},
        ],
        "stream": true,
        "stream_options": {"include_usage": true},
        "top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1,
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "logit_bias": {"7": -100.0},
        "logprobs": true, "top_logprobs": 2,
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema":
            {"name": "sum", "schema": {"type": "object"}, "strict": true}},
        "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": false},
    });
    assert_eq!(body, expectation);
}

#[test]
fn what_the_model_cannot_do_is_refused_before_it_is_asked() {
    let no_abilities = Abilities::default();
    assert_eq!(body_fault(&rich_ask(), no_abilities), Fault::Unsupported);
    assert_eq!(
        body_fault(&rich_ask(), Abilities { tools: true, ..no_abilities }),
        Fault::Unsupported
    );
    let lark = Format { kind: FormatKind::Lark.into(), ..Format::default() };
    assert_eq!(
        body_fault(&Generate { format: Some(lark), ..ask() }, no_abilities),
        Fault::Unsupported
    );
    // History with calls is text to a model that knows none.
    let history = Generate { messages: rich_ask().messages[1..].to_vec(), ..ask() };
    let body = request::body("m", &history, no_abilities).unwrap();
    let call: Value =
        serde_json::from_str(body["messages"][0]["content"].as_str().unwrap()).unwrap();
    assert_eq!(call, json!({"name": "add", "arguments": "{\"a\":1}"}));
    assert_eq!(body["messages"][1], json!({"role": "user", "content": "3"}));
}

fn body_fault(ask: &Generate, can: Abilities) -> Fault {
    request::body("m", ask, can).unwrap_err().fault
}

#[tokio::test]
async fn calls_and_log_probabilities_of_a_stream_are_in_its_end() {
    let writes = vec![
        event(
            r#"{"choices":[{"delta":{"content":"Hm"},"logprobs":{"content":[{"token":"Hm","logprob":-0.5,"bytes":[72,109],"top_logprobs":[{"token":"Hm","logprob":-0.5,"bytes":null}]}]}}]}"#,
        ),
        event(
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        ),
        event(
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}}]}}]}"#,
        ),
        event(r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#),
        event(
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":3}}}"#,
        ),
    ];
    let (text, end) = answer_of(Chat::Stream(writes)).await;
    let end = end.unwrap();
    assert_eq!((text.as_str(), end.finish()), ("Hm", Finish::ToolCalls));
    assert_eq!((end.cached_tokens, end.reasoning_tokens), (8, 3));
    let expectation = ToolCall { id: "c".into(), name: "f".into(), arguments: "{\"x\":1}".into() };
    assert_eq!(end.tool_calls, [expectation]);
    let token = TokenLogprob { bytes: b"Hm".to_vec(), logprob: -0.5, top: Vec::new() };
    assert_eq!(end.tokens, [TokenLogprob { top: vec![token.clone()], ..token }]);
}

#[tokio::test]
async fn log_probabilities_that_are_none_are_left_out() {
    let writes = vec![
        event(
            r#"{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1}]}}]}"#,
        ),
        event(
            r#"{"choices":[{"delta":{"content":"b"},"logprobs":{"content":[{"token":"b","logprob":7}]}}]}"#,
        ),
        event(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#),
    ];
    assert_eq!(answer_of(Chat::Stream(writes)).await.1.unwrap().tokens, []);
}

#[tokio::test]
async fn vectors_come_back_in_the_order_of_their_texts_and_with_length_1() {
    let body = r#"{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}],"usage":{"prompt_tokens":6}}"#;
    let endpoint = FakeEndpoint::start(LISTING, Chat::Status(200, body)).await;
    let can = Abilities { embeddings: true, ..Abilities::default() };
    let settings = Settings { can: Some(can), ..settings(&endpoint) };
    let upstream = Upstream::connect(&settings).await.unwrap();
    assert!(upstream.model().embeds);
    let inputs = vec!["a".to_owned(), "b".to_owned()];
    let result = upstream.embed(Embed { inputs: inputs.clone() }).await.unwrap();
    let values: Vec<_> = result.vectors.iter().map(|vector| vector.values.clone()).collect();
    assert_eq!((values, result.prompt_tokens), (vec![vec![0.6, 0.8], vec![0.0, 1.0]], 6));
    let short = Embed { inputs: inputs[..1].to_vec() };
    assert_eq!(upstream.embed(short).await.unwrap_err().fault, Fault::Engine);
    let unable = Settings { can: Some(Abilities::default()), ..settings };
    let unable =
        Upstream::connect(&unable).await.unwrap().embed(Embed { inputs }).await.unwrap_err();
    assert_eq!(unable.fault, Fault::Unsupported);
}

#[tokio::test]
async fn abilities_are_found_by_asking_or_taken_at_the_owners_word() {
    let chat = r#"{"choices":[{"message":{"content":"x"}}]}"#;
    let endpoint = FakeEndpoint::start(LISTING, Chat::Status(200, chat)).await;
    let find = Settings { can: None, ..settings(&endpoint) };
    let model = Upstream::connect(&find).await.unwrap().model().clone();
    // It takes tools; what it answers to a text is no vector.
    assert_eq!(
        (model.tools, model.embeds, model.vision, model.constrained),
        (true, false, false, false)
    );
    let refuses = FakeEndpoint::start(LISTING, Chat::Status(400, "no tools")).await;
    let find = Settings { can: None, ..settings(&refuses) };
    assert!(!Upstream::connect(&find).await.unwrap().model().tools);
    let can = Abilities::read("tools, json,vision").unwrap();
    assert_eq!(can, Abilities { tools: true, json: true, vision: true, ..Abilities::default() });
    assert!(Abilities::read("tolls").unwrap_err().contains("tolls"));
}

#[tokio::test]
async fn a_stream_cut_anywhere_gives_the_same_text() {
    let words = "Grüße, 世界 🐟!";
    let whole =
        [text(words), event(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#)].concat();
    // Each byte by itself cuts every character and every line in the middle.
    let bytes = whole.iter().map(|byte| vec![*byte]).collect();
    assert_eq!(answer_of(Chat::Stream(bytes)).await.0, words);
}

#[tokio::test]
async fn endpoints_that_do_not_count_are_counted() {
    let odd = event(r#"{"choices":[{"delta":{"role":"","content":null},"finish_reason":"eos"}]}"#);
    let (_, end) = answer_of(Chat::Stream(vec![text("one"), text(" two"), odd])).await;
    let end = end.unwrap();
    // 20 bytes of prompt, 4 to a token; two pieces of text.
    assert_eq!((end.finish(), end.prompt_tokens, end.completion_tokens), (Finish::Stop, 5, 2));
}

#[tokio::test]
async fn a_broken_stream_is_no_answer() {
    let cut = fault(Chat::Break(text("half an ans"))).await;
    assert_eq!(
        (cut.fault, cut.message.as_str()),
        (Fault::Engine, "the upstream ended the answer early")
    );
    let without_finish = fault(Chat::Stream(vec![text("half an ans")])).await;
    assert_eq!(without_finish.message, "the upstream ended the answer early");
    let no_json = fault(Chat::Stream(vec![event("{nonsense")])).await;
    assert_eq!(no_json.message, "the upstream sent something that is not JSON");
}

#[tokio::test]
async fn refusals_become_faults_and_their_words_stay_here() {
    let cases = [
        (
            400,
            r#"{"error":{"message":"bad prompt: SECRET","type":"invalid_request_error","code":400}}"#,
            Fault::BadRequest,
        ),
        (401, r#"{"error":{"message":"SECRET"}}"#, Fault::Engine),
        (404, "SECRET not found", Fault::Engine),
        (429, r#"{"error":"SECRET slow down"}"#, Fault::Busy),
        (500, "<html>SECRET</html>", Fault::Engine),
        (503, r#"{"error":{"code":503,"message":"Loading model"}}"#, Fault::Busy),
    ];
    for (status, body, expectation) in cases {
        let error = fault(Chat::Status(status, body)).await;
        assert_eq!(error.fault, expectation, "{status}");
        assert!(error.message.contains(&status.to_string()), "{}", error.message);
        assert!(!error.message.contains("SECRET"), "{}", error.message);
    }
}

const TOO_LONG: &str = r#"{"error":{"message":"This model's maximum context length is 512 tokens. However","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;

#[tokio::test]
async fn a_conversation_too_long_is_told_in_openais_words() {
    let openai = TOO_LONG;
    let llama_cpp = r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":900,"n_ctx":512}}"#;
    let in_stream = event(openai);
    for chat in
        [Chat::Status(400, openai), Chat::Status(400, llama_cpp), Chat::Stream(vec![in_stream])]
    {
        assert_eq!(fault(chat).await, EngineError::context_length(512));
    }
}

#[tokio::test]
async fn nobody_listening_hangs_up() {
    let endpoint = FakeEndpoint::start(LISTING, Chat::Hang(text("well, "))).await;
    let upstream = Upstream::connect(&settings(&endpoint)).await.unwrap();
    let mut open_requests = endpoint.open_requests.clone();
    let mut events = upstream.generate(ask());
    assert_eq!(events.recv().await, Some(Ok(Event::Piece("well, ".to_owned()))));
    open_requests.wait_for(|count| *count == 1).await.unwrap();
    drop(events);
    open_requests.wait_for(|count| *count == 0).await.unwrap();
}

#[tokio::test]
async fn an_upstream_judges_pairs_when_its_owner_wants_it_to() {
    let answer = r#"{"choices":[{"message":{"content":"B"}}],"usage":{"prompt_tokens":90}}"#;
    let endpoint = FakeEndpoint::start(LISTING, Chat::Status(200, answer)).await;
    let judges = Settings { judges: true, ..settings(&endpoint) };
    let upstream = Upstream::connect(&judges).await.unwrap();
    assert!(upstream.model().pairwise && !upstream.model().likelihood);
    let ask = Judge {
        messages: ask().messages,
        candidates: vec!["one".to_owned(), "two".to_owned()],
        kind: BallotKind::Pairwise.into(),
        pairs: vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }],
        ..Judge::default()
    };
    let ballot = upstream.judge(ask).await.unwrap();
    assert_eq!(ballot.prompt_tokens, 180);
    // It says B whatever it is shown: both orders together say nothing.
    assert!((ballot.verdicts[0] - 0.2).abs() < 1e-9 && ballot.verdicts[0] == ballot.verdicts[1]);
    let requests_seen = endpoint.requests();
    assert_eq!(requests_seen[0].body["max_tokens"], 1);
    assert!(
        requests_seen[1].body["messages"][0]["content"]
            .as_str()
            .unwrap()
            .contains("answer A\ntwo\n")
    );
    assert!(!Upstream::connect(&settings(&endpoint)).await.unwrap().model().pairwise);
}

#[tokio::test]
async fn an_upstream_reasons_about_pairs_within_its_tokens() {
    let answer = r#"{"choices":[{"message":{"content":"B adds wrongly. Verdict: A"}}],
        "usage":{"prompt_tokens":90,"completion_tokens":8}}"#;
    let endpoint = FakeEndpoint::start(LISTING, Chat::Status(200, answer)).await;
    let judges = Settings { judges: true, ..settings(&endpoint) };
    let upstream = Upstream::connect(&judges).await.unwrap();
    assert!(upstream.model().reasoned);
    let ask = Judge {
        messages: ask().messages,
        candidates: vec!["one".to_owned(), "two".to_owned()],
        kind: BallotKind::Reasoned.into(),
        pairs: vec![Pair { first: 0, second: 1 }],
        ..Judge::default()
    };
    let ballot = upstream.judge(ask.clone()).await.unwrap();
    assert!(ballot.check(&ask).is_ok() && ballot.verdicts[0] > 0.5);
    assert_eq!((ballot.prompt_tokens, ballot.completion_tokens), (90, 8));
    let requests_seen = &endpoint.requests()[0].body;
    assert_eq!(requests_seen["max_tokens"], 112);
    assert!(requests_seen["messages"][0]["content"].as_str().unwrap().contains("Do not solve"));
}

#[tokio::test]
async fn a_pair_too_long_for_an_upstream_is_undecided_and_the_others_are_judged() {
    let answer = r#"{"choices":[{"message":{"content":"B"}}],"usage":{"prompt_tokens":90}}"#;
    let chat = Chat::Fits { bytes: 10_000, answer, refusal: TOO_LONG };
    let endpoint = FakeEndpoint::start(LISTING, chat).await;
    let judges = Settings { judges: true, ..settings(&endpoint) };
    let upstream = Upstream::connect(&judges).await.unwrap();
    let judge = |pairs: &[(u32, u32)]| Judge {
        messages: ask().messages,
        candidates: vec!["one".to_owned(), "two".to_owned(), "long ".repeat(4_000)],
        kind: BallotKind::Pairwise.into(),
        pairs: pairs
            .iter()
            .map(|(first, second)| Pair { first: *first, second: *second })
            .collect(),
        ..Judge::default()
    };
    let ballot = upstream.judge(judge(&[(0, 2), (0, 1)])).await.unwrap();
    assert_eq!((ballot.verdicts[0], ballot.prompt_tokens), (0.5, 90));
    assert!(ballot.verdicts[1] < 0.5);
    let error = upstream.judge(judge(&[(0, 2), (2, 1)])).await.unwrap_err();
    assert_eq!(error, EngineError::context_length(512));
}
