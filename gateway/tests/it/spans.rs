//! Log lines stand in the span of their round, session or request.

use std::{
    io,
    process::Stdio,
    sync::{Arc, Mutex, atomic::Ordering},
};

use serde_json::Value;
use tracing::{
    Dispatch,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    gateway::{Gateway, ask, eventually, node},
    program,
};

#[tokio::test]
async fn each_line_of_a_round_has_its_id_and_each_line_of_a_session_its_node() {
    let (log, _guard) = Log::capture();
    let nodes = [node("a").says("the sum is 4"), node("b").breaks(), node("c").says("IV")];
    let gateway = Gateway::start(nodes).await;
    let reply = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    let id = reply.header("x-shoal-round").unwrap().to_owned();

    let round_lines = log.lines("shoal_gateway::round");
    assert!(!round_lines.is_empty(), "the failure of a writer is logged");
    for line in &round_lines {
        assert_eq!(field(line, "round", "round.id"), Some(id.as_str()), "{line}");
    }
    let session_lines = log.lines("shoal_swarm::session");
    assert_eq!(session_lines.len(), 3, "one welcome for each node");
    for line in &session_lines {
        assert!(field(line, "session", "node.id").is_some(), "{line}");
    }
    let text = log.text();
    assert!(!text.contains("What is 2 + 2?") && !text.contains("the sum is 4"), "{text}");
}

#[tokio::test]
async fn each_line_of_a_calibration_round_has_its_id() {
    let (log, _guard) = Log::capture();
    let (breaking_node, is_broken) = node("b").says_until_broken("IV");
    let nodes = [node("a").says("the sum is 4"), breaking_node];
    let _gateway = Gateway::with(nodes, |config| {
        // Calibration asks the questions of exams.
        config.swarm.exam.per_family = 1;
        config.swarm.exam.general_per_kind = 0;
    })
    .await;
    is_broken.store(true, Ordering::SeqCst);
    eventually(async || !log.lines("shoal_gateway::round").is_empty()).await;
    for line in log.lines("shoal_gateway::round") {
        assert!(field(&line, "round", "round.id").is_some(), "{line}");
    }
}

#[tokio::test]
async fn the_line_of_a_request_has_the_id_that_the_client_gets() {
    let data = tempfile::tempdir().unwrap();
    let mut command = program::program(data.path());
    command.env("RUST_LOG", "shoal_gateway=debug").args(["--log", "json"]);
    // HTTP workers are threads of their own, which only the subscriber of a whole process reaches.
    let mut child = command.arg("--until-stdin-closes").stdin(Stdio::piped()).spawn().unwrap();
    let http = program::wait_for_addresses(data.path())["http"].as_str().unwrap().to_owned();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = client.get(format!("http://{http}/v1/models")).send().await.unwrap();
    let id = reply.headers()["x-request-id"].to_str().unwrap();
    drop(child.stdin.take());
    let log = child.wait_with_output().unwrap().stderr;
    let lines = parse(&String::from_utf8(log).unwrap());
    let line = lines.iter().find(|line| line["fields"]["route"] == "/v1/models").unwrap();
    assert_eq!(field(line, "request", "request.id"), Some(id), "{line}");
}

/// A field of the span with this name.
fn field<'a>(line: &'a Value, span: &str, name: &str) -> Option<&'a str> {
    let span = line["spans"].as_array()?.iter().find(|candidate| candidate["name"] == span)?;
    span[name].as_str()
}

fn parse(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ends the capture when it is dropped.
struct Guard {
    _default: DefaultGuard,
    _second_dispatcher: Dispatch,
}

/// A log in memory.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// A log of what this thread does until the guard is dropped. The runtime of a test has one
    /// thread: rounds and sessions run on it.
    fn capture() -> (Self, Guard) {
        let log = Self::default();
        // With a single dispatcher in the process, tracing asks the subscriber of whichever thread
        // reaches a span first whether it is enabled, and keeps the result: another test's thread,
        // which has none, would disable the span here. With a second dispatcher it asks all of them.
        let second_dispatcher = Dispatch::new(NoSubscriber::new());
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new("shoal_gateway=debug,shoal_swarm=debug"))
            .with_writer(log.clone())
            .finish();
        let default = tracing::subscriber::set_default(subscriber);
        (log, Guard { _default: default, _second_dispatcher: second_dispatcher })
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of this module and its submodules.
    fn lines(&self, module: &str) -> Vec<Value> {
        let mut lines = parse(&self.text());
        lines.retain(|line| line["target"].as_str().unwrap().starts_with(module));
        lines
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
