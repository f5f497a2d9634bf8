//! How answers end: reasons that are none, filters, refusals, answers that are not streamed.

use super::*;

/// A chunk with a text and a reason to finish.
fn chunk(text: &str, reason: &str) -> Vec<u8> {
    let choice = json!({ "delta": { "content": text }, "finish_reason": reason });
    event(&json!({ "choices": [choice] }).to_string())
}

#[tokio::test]
async fn an_empty_reason_is_none() {
    for mark in ["", "null", " "] {
        let beginning = vec![chunk("One, ", mark), chunk("two", mark)];
        let cut = fault(Chat::Stream(beginning.clone())).await;
        assert_eq!(cut.message, "the upstream ended the answer early", "{mark:?}");
        let usage = event(
            r#"{"choices":[{"delta":{"content":""},"finish_reason":""}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        );
        let whole = [beginning.clone(), vec![chunk("", "length"), usage, event("[DONE]")]].concat();
        let (text, end) = answer_of(Chat::Stream(whole)).await;
        assert_eq!((text.as_str(), end.unwrap().finish()), ("One, two", Finish::Length));
        // `[DONE]` alone says that the answer is complete.
        let done = [beginning, vec![event("[DONE]")]].concat();
        assert_eq!(answer_of(Chat::Stream(done)).await.1.unwrap().finish(), Finish::Stop);
    }
}

#[tokio::test]
async fn each_reason_has_its_meaning() {
    let reasons = [
        ("stop", Finish::Stop),
        ("eos_token", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("content_filter", Finish::Filtered),
        ("SAFETY", Finish::Filtered),
    ];
    for (reason, finish) in reasons {
        let (text, end) = answer_of(Chat::Stream(vec![chunk("x", reason)])).await;
        assert_eq!((text.as_str(), end.unwrap().finish()), ("x", finish), "{reason}");
    }
    for reason in ["error", "abort"] {
        assert_eq!(fault(Chat::Stream(vec![chunk("x", reason)])).await.fault, Fault::Engine);
    }
}

#[tokio::test]
async fn a_refusal_is_told_as_one_with_its_words() {
    let delta = |words: &str| {
        let delta = json!({ "content": null, "refusal": words });
        event(&json!({ "choices": [{ "delta": delta, "finish_reason": null }] }).to_string())
    };
    let writes = vec![delta("I am sorry, "), delta("I cannot."), chunk("", "stop")];
    let (text, end) = answer_of(Chat::Stream(writes)).await;
    assert_eq!((text.as_str(), end.unwrap().finish()), ("I am sorry, I cannot.", Finish::Refused));
}

#[tokio::test]
async fn an_answer_in_one_piece_is_an_answer() {
    let answer = r#"{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"All of it."},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    let (text, end) = answer_of(Chat::Status(200, answer)).await;
    let end = end.unwrap();
    assert_eq!((text.as_str(), end.finish()), ("All of it.", Finish::Stop));
    assert_eq!((end.prompt_tokens, end.completion_tokens), (7, 3));
    let parts = r#"{"choices":[{"message":{"content":[{"type":"thinking","text":"hm"},{"type":"text","text":"A"},{"type":"text","text":"B"}]}}]}"#;
    let (text, end) = answer_of(Chat::Status(200, parts)).await;
    assert_eq!((text.as_str(), end.unwrap().finish()), ("AB", Finish::Stop));
    let calls = r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":""}},{"id":"b","function":{"name":"g","arguments":{"x":1}}}]},"finish_reason":"tool_calls"}]}"#;
    let end = answer_of(Chat::Status(200, calls)).await.1.unwrap();
    let calls: Vec<_> = end.tool_calls.iter().map(|call| call.arguments.as_str()).collect();
    assert_eq!((end.finish(), calls), (Finish::ToolCalls, vec!["{}", "{\"x\":1}"]));
}

#[tokio::test]
async fn an_error_with_the_status_of_a_success_is_an_error() {
    let errors = [
        (r#"{"error":{"message":"quota","code":429}}"#, Fault::Busy),
        (r#"{"error":"quota"}"#, Fault::Engine),
        (r#"[{"error":{"message":"bad","code":400}}]"#, Fault::BadRequest),
        (r#"{"object":"error","message":"bad","code":400}"#, Fault::BadRequest),
        (r#"{"detail":"Not Found"}"#, Fault::Engine),
        (r#"{"choices":[{"error":{"message":"x","code":502},"delta":{}}]}"#, Fault::Engine),
        ("<html>maintenance</html>", Fault::Engine),
    ];
    for (body, expectation) in errors {
        assert_eq!(fault(Chat::Status(200, body)).await.fault, expectation, "{body}");
        let streamed = answer_of(Chat::Stream(vec![event(body)])).await.1;
        assert_eq!(streamed.unwrap_err().fault, expectation, "{body}");
    }
}

#[tokio::test]
async fn stop_texts_hold_also_where_the_endpoint_does_not_know_them() {
    let writes = vec![text("One"), text("\n"), text("Two"), chunk("", "stop")];
    let (text, end) = answer_of(Chat::Stream(writes)).await;
    assert_eq!((text.as_str(), end.unwrap().finish()), ("One", Finish::Stop));
}
