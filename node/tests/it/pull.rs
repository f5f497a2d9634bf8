//! `shoal-node pull`, `models` and `chat` as somebody meets them in a shell.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread,
};

use crate::endpoint;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILES: [(&str, &str); 3] =
    [("config.json", "{}"), ("tokenizer.json", "{}"), ("model.safetensors", "weights")];

/// A hub with one model on a thread of its own; it ends with the test.
fn hub() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that leaves early is its own business.
            let _ = answer(stream);
        }
    });
    address
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    let siblings = FILES.map(|(name, _)| format!(r#"{{"rfilename": "{name}"}}"#)).join(",");
    let list = format!(r#"{{"sha": "{COMMIT}", "siblings": [{siblings}]}}"#);
    let file = FILES.iter().find(|(name, _)| path == format!("/org/tiny/resolve/{COMMIT}/{name}"));
    let (status, body) = match (path, file) {
        ("/api/models/org/tiny/revision/main", _) => (200, list.as_str()),
        (_, Some((_, text))) => (200, *text),
        _ => (404, ""),
    };
    let etag = format!("\"{:040}\"", path.len());
    let content = if request.starts_with("HEAD") { "" } else { body };
    write!(
        &stream,
        "HTTP/1.1 {status} Said\r\netag: {etag}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{content}",
        body.len()
    )
}

fn node(arguments: &[&str], home: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-node"));
    command.args(arguments).env_clear().env("HOME", home);
    command
}

fn texts(output: &Output) -> (String, String) {
    (text(&output.stdout), text(&output.stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_pull_prints_where_the_model_lies_and_how_far_it_is() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", hub());
    let output =
        node(&["pull", "org/tiny"], home.path()).env("HF_ENDPOINT", &endpoint).output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{err}");
    let cache = home.path().join(".cache/huggingface/hub/models--org--tiny");
    assert_eq!(out, format!("{}\n", cache.join("snapshots").join(COMMIT).display()));
    assert!(err.lines().last().unwrap().starts_with("org/tiny: 100 % of "), "{err}");

    let mut again = node(&["pull", "org/tiny"], home.path());
    let again = again.env("HF_ENDPOINT", &endpoint).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert_eq!(texts(&again), (out, String::new()));
}

#[test]
fn a_pull_that_fails_is_one_line_and_exit_code_1() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", hub());
    let output =
        node(&["pull", "org/other"], home.path()).env("HF_ENDPOINT", &endpoint).output().unwrap();
    let (out, err) = texts(&output);
    assert_eq!((out.as_str(), output.status.code()), ("", Some(1)));
    assert!(err.starts_with("shoal-node: no model org/other at 127.0.0.1:"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn a_pull_ends_when_its_parent_does() {
    let home = tempfile::tempdir().unwrap();
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut pull = node(&["pull", "org/tiny", "--until-stdin-closes"], home.path())
        .env("HF_ENDPOINT", format!("http://{}", silent.local_addr().unwrap()))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (_connection, _) = silent.accept().unwrap();
    drop(pull.stdin.take());
    let output = pull.wait_with_output().unwrap();
    let (_, err) = texts(&output);
    assert_eq!(err, "shoal-node: org/tiny: stopped; run it again to go on where it ended\n");
}

#[test]
fn the_models_that_can_be_pulled_are_listed_with_size_licence_and_whether_they_are_here() {
    let home = tempfile::tempdir().unwrap();
    let output = node(&["models"], home.path()).output().unwrap();
    let (out, _) = texts(&output);
    let line = out.lines().find(|line| line.starts_with("qwen2.5-coder-1.5b ")).unwrap();
    for word in ["1.12 GB", "1350 MB", "not here", "Apache-2.0"] {
        assert!(line.contains(word), "{word} is missing in {line}");
    }
}

#[test]
fn a_model_of_the_catalogue_that_is_not_here_names_the_way_to_get_it() {
    let home = tempfile::tempdir().unwrap();
    let arguments = ["--gateway", "127.0.0.1:9", "--model", "smollm2-135m"];
    let (_, err) = texts(&node(&arguments, home.path()).output().unwrap());
    let complaint =
        "shoal-node: smollm2-135m is not downloaded yet: run `shoal-node pull smollm2-135m`";
    assert_eq!(err.lines().collect::<Vec<_>>(), [complaint]);
}

#[test]
fn a_chat_without_a_model_is_one_line_and_exit_code_2() {
    let home = tempfile::tempdir().unwrap();
    let output = node(&["chat"], home.path()).output().unwrap();
    let (_, err) = texts(&output);
    assert!(err.starts_with("shoal-node: no model: name one with --model"), "{err}");
    assert_eq!((err.lines().count(), output.status.code()), (1, Some(2)));
}

#[test]
fn through_a_pipe_a_chat_answers_line_by_line() {
    let home = tempfile::tempdir().unwrap();
    let url = format!("http://{}", endpoint::start());
    let mut chat = node(&["chat", "--upstream", &url, "--upstream-model", "parrot"], home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    chat.stdin.take().unwrap().write_all(b"hello\nand again\n").unwrap();
    let output = chat.wait_with_output().unwrap();
    assert_eq!(texts(&output), ("Hello there\nHello there\n".to_owned(), String::new()));
    assert!(output.status.success());
}
