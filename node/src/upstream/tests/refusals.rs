//! Endpoints that refuse a field, or everything.

use super::*;

const ANSWER: &str = r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#;

/// Refuses a field as OpenAI does, with its name in `param`.
fn refuses_max_tokens(_: &str, body: &Value) -> Chat {
    if body.get("max_tokens").is_some() {
        return Chat::Status(
            400,
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#,
        );
    }
    Chat::Status(200, ANSWER)
}

async fn upstream(script: fn(&str, &Value) -> Chat) -> (FakeEndpoint, Upstream) {
    let endpoint = FakeEndpoint::start(LISTING, Chat::Script(script)).await;
    let can = Abilities { tools: true, json: true, vision: true, ..Abilities::default() };
    let settings = Settings { can: Some(can), judges: true, ..settings(&endpoint) };
    let upstream = Upstream::connect(&settings).await.unwrap();
    (endpoint, upstream)
}

#[tokio::test]
async fn a_limit_goes_by_its_newer_name_and_that_is_remembered() {
    let (endpoint, upstream) = upstream(refuses_max_tokens).await;
    for _ in 0..2 {
        assert_eq!(collect(&upstream).await.0, "x");
    }
    let limits: Vec<_> = endpoint
        .requests()
        .iter()
        .map(|r| (r.body["max_tokens"].clone(), r.body["max_completion_tokens"].clone()))
        .collect();
    let (old, new) = ((json!(20), Value::Null), (Value::Null, json!(20)));
    assert_eq!(limits, [old, new.clone(), new]);
    // What is found out at the start has the same way out.
    let find = Settings { can: None, ..settings(&endpoint) };
    assert!(Upstream::connect(&find).await.unwrap().model().tools);
}

/// The fields that a script refuses, and how.
fn refuse(body: &Value, fields: &[&str], complaint: fn(&str) -> (u16, String)) -> Chat {
    match fields.iter().find(|field| body.get(**field).is_some()) {
        Some(field) => {
            let (status, body) = complaint(field);
            Chat::Status(status, body.leak())
        }
        None => Chat::Status(200, ANSWER),
    }
}

#[tokio::test]
async fn fields_that_are_refused_in_any_words_are_left_out() {
    let scripts: [fn(&str, &Value) -> Chat; 4] = [
        // Pydantic, as FastAPI and Mistral send it.
        |_, body| {
            refuse(body, &["stream_options", "seed", "logit_bias"], |field| {
                (422, json!({"detail": [{"type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted"}]}).to_string())
            })
        },
        // A message alone.
        |_, body| {
            refuse(body, &["parallel_tool_calls", "logprobs", "response_format"], |field| {
                (400, json!({"error": format!("property '{field}' is unsupported")}).to_string())
            })
        },
        // A server in Python.
        |_, body| {
            refuse(body, &["min_p", "top_k", "stop", "tool_choice"], |field| {
                (500, format!("create() got an unexpected keyword argument '{field}'"))
            })
        },
        // No word of what it is.
        |_, body| refuse(body, &["stream_options"], |_| (400, String::new())),
    ];
    for (at, script) in scripts.into_iter().enumerate() {
        let (endpoint, upstream) = upstream(script).await;
        let sampling = rich_ask().sampling.map(|sampling| Sampling {
            seed: Some(1),
            stop: vec!["\n".to_owned()],
            ..sampling
        });
        let ask = Generate { sampling, ..rich_ask() };
        let (text, end) = collect_answer(&upstream, ask.clone()).await;
        assert_eq!((text.as_str(), end.map(|end| end.finish())), ("x", Ok(Finish::Stop)), "{at}");
        let attempts = endpoint.requests().len();
        assert!((2..=5).contains(&attempts), "{at}: {attempts} attempts");
        collect_answer(&upstream, ask).await.1.unwrap();
        assert_eq!(endpoint.requests().len(), attempts + 1, "{at}: it is remembered");
    }
}

#[tokio::test]
async fn a_value_that_is_refused_changes_only_its_request() {
    let (endpoint, upstream) = upstream(|_, body| {
        if body["temperature"].as_f64().is_some_and(|heat| heat > 1.0) {
            let error =
                r#"{"error":{"message":"temperature must be at most 1","param":"temperature"}}"#;
            return Chat::Status(400, error);
        }
        Chat::Status(200, ANSWER)
    })
    .await;
    let hot = Sampling { temperature: Some(1.5), ..Sampling::default() };
    let hot = Generate { sampling: Some(hot), ..ask() };
    assert_eq!(collect_answer(&upstream, hot).await.0, "x");
    collect(&upstream).await.1.unwrap();
    assert_eq!(endpoint.requests().last().unwrap().body["temperature"], 0.7);
}

#[tokio::test]
async fn a_refusal_of_the_request_itself_is_passed_on_after_few_attempts() {
    let (endpoint, upstream) =
        upstream(|_, _| Chat::Status(400, r#"{"error":{"message":"bad prompt"}}"#)).await;
    assert_eq!(collect(&upstream).await.1.unwrap_err().fault, Fault::BadRequest);
    assert!(endpoint.requests().len() <= 8, "{}", endpoint.requests().len());
    let (endpoint, upstream) = upstream_that_answers_first().await;
    collect(&upstream).await.1.unwrap();
    let long = Generate { messages: vec![message("user", "bad")], ..ask() };
    assert_eq!(collect_answer(&upstream, long).await.1.unwrap_err().fault, Fault::BadRequest);
    assert_eq!(endpoint.requests().len(), 2, "all of its fields were taken before");
}

async fn upstream_that_answers_first() -> (FakeEndpoint, Upstream) {
    upstream(|_, body| match body["messages"][0]["content"].as_str() {
        Some("bad") => Chat::Status(400, r#"{"error":{"message":"bad"}}"#),
        _ => Chat::Status(200, ANSWER),
    })
    .await
}

#[tokio::test]
async fn an_answer_without_a_limit_ends_at_the_limit() {
    let (_endpoint, upstream) = upstream(|_, body| {
        let fields = ["max_tokens", "max_completion_tokens"];
        match refuse(body, &fields, |field| (400, format!("unknown field {field}"))) {
            Chat::Status(200, _) => Chat::Stream((0..100).map(|_| super::text("x ")).collect()),
            refusal => refusal,
        }
    })
    .await;
    let sampling = Sampling { max_tokens: Some(5), ..Sampling::default() };
    let (text, end) =
        collect_answer(&upstream, Generate { sampling: Some(sampling), ..ask() }).await;
    assert_eq!((text.as_str(), end.unwrap().finish()), ("x x x x x ", Finish::Length));
}

#[tokio::test]
async fn judges_are_asked_with_the_fields_that_the_endpoint_takes() {
    let (endpoint, upstream) = upstream(|_, body| {
        let fields = ["logprobs", "temperature"];
        match refuse(body, &fields, |field| (400, format!("{field} is not supported"))) {
            Chat::Status(200, _) => {
                Chat::Status(200, r#"{"choices":[{"message":{"content":"A"}}]}"#)
            }
            refusal => refusal,
        }
    })
    .await;
    let judge = Judge {
        messages: ask().messages,
        candidates: vec!["one".to_owned(), "two".to_owned()],
        kind: BallotKind::Pairwise.into(),
        pairs: vec![Pair { first: 0, second: 1 }, Pair { first: 1, second: 0 }],
        ..Judge::default()
    };
    assert_eq!(upstream.judge(judge).await.unwrap().verdicts.len(), 2);
    assert_eq!(endpoint.requests().len(), 4);
}

#[tokio::test]
async fn an_endpoint_that_refuses_everything_is_left_alone() {
    let (endpoint, upstream) = upstream(|_, _| Chat::Status(401, r#"{"error":"no"}"#)).await;
    for _ in 0..50 {
        let fault = collect(&upstream).await.1.unwrap_err().fault;
        assert!(matches!(fault, Fault::Engine | Fault::Busy), "{fault:?}");
    }
    // Four that failed, and one question of the node's own for its log.
    assert_eq!(endpoint.requests().len(), 5);
}

#[tokio::test]
async fn a_node_waits_with_joining_until_its_endpoint_answers() {
    static OPEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let script = |_: &str, _: &Value| {
        if OPEN.load(std::sync::atomic::Ordering::SeqCst) {
            Chat::Status(200, ANSWER)
        } else {
            Chat::Status(403, "no")
        }
    };
    let endpoint = FakeEndpoint::start(LISTING, Chat::Script(script)).await;
    let find = Settings { can: None, ..settings(&endpoint) };
    let upstream = Upstream::connect(&find).await.unwrap();
    let request_count = endpoint.requests().len();
    assert_eq!(request_count, 2, "with a function and without");
    tokio::time::pause();
    let wait = timeout(Duration::from_millis(4_900), upstream.ready()).await;
    assert!(wait.is_err() && endpoint.requests().len() == request_count);
    OPEN.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::resume();
    timeout(Duration::from_secs(30), upstream.ready()).await.unwrap();
    assert_eq!(collect(&upstream).await.0, "x");
}

#[tokio::test]
async fn an_endpoint_that_always_streams_is_not_left_alone() {
    let stream = |_: &str, _: &Value| {
        let end = event(r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}"#);
        Chat::Stream(vec![end])
    };
    let endpoint = FakeEndpoint::start(LISTING, Chat::Script(stream)).await;
    let find = Settings { can: None, ..settings(&endpoint) };
    let upstream = Upstream::connect(&find).await.unwrap();
    timeout(Duration::from_secs(4), upstream.ready()).await.unwrap();
    assert_eq!(collect(&upstream).await.0, "x");
}
