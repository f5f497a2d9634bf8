//! Log lines stand in the span of their round or session.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tracing::{Dispatch, subscriber::NoSubscriber};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::gateway::{Gateway, ask, node};

#[tokio::test]
async fn each_line_of_a_round_has_its_id_and_each_line_of_a_session_its_node() {
    let log = Log::default();
    // With a single dispatcher in the process, tracing asks the subscriber of whichever thread reaches
    // a span first whether it is enabled, and keeps the result: another test's thread, which has none,
    // would disable the span here. With a second dispatcher it asks all of them.
    let _second_dispatcher = Dispatch::new(NoSubscriber::new());
    // The runtime of a test has one thread: rounds and sessions run on it.
    let _guard = tracing::subscriber::set_default(
        tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new("shoal_gateway=debug,shoal_swarm=debug"))
            .with_writer(log.clone())
            .finish(),
    );
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

/// A field of the span with this name.
fn field<'a>(line: &'a Value, span: &str, name: &str) -> Option<&'a str> {
    let span = line["spans"].as_array()?.iter().find(|candidate| candidate["name"] == span)?;
    span[name].as_str()
}

/// A log in memory.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of this module and its submodules.
    fn lines(&self, module: &str) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"].as_str().unwrap().starts_with(module)).collect()
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
