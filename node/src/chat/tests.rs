use std::io::Cursor;

use shoal_engine::testing::{Play, Script};

use super::*;

/// What is written when these lines come through a pipe.
async fn talk(engine: &Script, lines: &'static str) -> (Result<(), ChatError>, String) {
    let (mut out, stop) = (Vec::new(), Notify::new());
    let lines = Lines::pipe(Cursor::new(lines));
    let result = run(engine, lines, &mut out, &ChatOptions::default(), &stop).await;
    (result, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn through_a_pipe_each_line_has_its_answer() {
    let engine = Script::new(Play::Says(&["Hello", " there"]));
    let (result, out) = talk(&engine, "one\n\ntwo\n/reset\nthree").await;
    result.unwrap();
    assert_eq!(out, "Hello there\nHello there\nHello there\n");
}

#[tokio::test]
async fn the_model_is_shown_the_conversation_and_its_rules() {
    let engine = Script::new(Play::Says(&["yes"]));
    let (result, _) = talk(&engine, "/system be brief\none\ntwo\n/reset\nthree\n").await;
    result.unwrap();
    let contents: Vec<Vec<String>> = engine
        .asks()
        .iter()
        .map(|ask| ask.messages.iter().map(|m| format!("{}: {}", m.role, m.content)).collect())
        .collect();
    let first = vec!["system: be brief".to_owned(), "user: one".to_owned()];
    let then = ["assistant: yes", "user: two"].map(str::to_owned);
    let anew = vec!["system: be brief".to_owned(), "user: three".to_owned()];
    assert_eq!(contents, [first.clone(), [first, then.to_vec()].concat(), anew]);
}

#[tokio::test]
async fn quit_ends_before_the_lines_do() {
    let engine = Script::new(Play::Says(&["yes"]));
    let (result, out) = talk(&engine, "one\n/quit\ntwo\n").await;
    result.unwrap();
    assert_eq!(out, "yes\n");
}

#[tokio::test]
async fn an_answer_stops_when_its_reader_has_enough() {
    let engine = Script::new(Play::Endless);
    let (mut out, stop) = (Vec::new(), Notify::new());
    let options = ChatOptions::default();
    let lines = Lines::pipe(Cursor::new("go on\n"));
    let enough = async {
        while engine.tokens() < 3 {
            tokio::task::yield_now().await;
        }
        stop.notify_waiters();
    };
    let (result, ()) = tokio::join!(run(&engine, lines, &mut out, &options, &stop), enough);
    result.unwrap();
    assert!(out.starts_with(b"on and ") && out.ends_with(b"\n"), "{out:?}");
}

#[tokio::test]
async fn a_failure_through_a_pipe_ends_it_with_the_reason() {
    let error = EngineError::new(Fault::Engine, "the engine broke");
    let (result, out) = talk(&Script::new(Play::Breaks(error)), "one\ntwo\n").await;
    assert_eq!(result.unwrap_err().to_string(), "no answer: the engine broke");
    assert_eq!(out, "well, ");
    let (result, _) = talk(&Script::new(Play::Dies), "one\n").await;
    assert_eq!(result.unwrap_err().to_string(), "no answer: the model's thread died");
}

#[tokio::test]
async fn in_a_terminal_a_model_cannot_move_the_cursor() {
    let mut contents = Vec::new();
    Out { to: &mut contents, in_terminal: true }.piece("a\x1b[2Jb\n\tc\u{9b}d").unwrap();
    assert_eq!(String::from_utf8(contents).unwrap(), "a[2Jb\n\tcd");
    let mut output = Vec::new();
    Out { to: &mut output, in_terminal: false }.piece("a\x1b[2J").unwrap();
    assert_eq!(output, b"a\x1b[2J");
}

#[test]
fn a_conversation_that_is_too_long_names_the_way_out() {
    let text = error_text(&EngineError::context_length(100));
    assert_eq!(text, "This model's maximum context length is 100 tokens: /reset starts a new one");
}
