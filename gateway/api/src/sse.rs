//! Server-sent events as text.
//!
//! An event is one line of JSON after `data: `, with the event's name on the line before where the
//! format names its events, and an empty line after it.

use std::collections::VecDeque;

use serde::Serialize;

/// A comment, which clients skip. It shows proxies and clients that a silent stream is alive.
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// Encoded events that are not sent yet, oldest first.
#[derive(Debug, Default)]
pub struct Events(VecDeque<String>);

impl Events {
    /// Adds an event.
    pub fn push(&mut self, name: Option<&str>, body: &impl Serialize) {
        let line = name.map_or_else(String::new, |name| format!("event: {name}\n"));
        self.0.push_back(match serde_json::to_string(body) {
            // JSON has no line breaks of its own.
            Ok(json) => format!("{line}data: {json}\n\n"),
            // The bodies are structs and maps with string keys, which cannot fail. A comment in
            // the place of an event does no harm.
            Err(_) => KEEP_ALIVE.to_owned(),
        });
    }

    /// Adds a comment of one line, which clients skip.
    pub fn comment(&mut self, text: &str) {
        self.0.push_back(format!(": {text}\n\n"));
    }

    /// Adds a sign of life.
    pub fn keep_alive(&mut self) {
        self.0.push_back(KEEP_ALIVE.to_owned());
    }

    /// Adds the last event of OpenAI's chat and completions streams.
    pub fn push_done(&mut self) {
        self.0.push_back("data: [DONE]\n\n".to_owned());
    }

    /// Removes the oldest event.
    pub fn pop(&mut self) -> Option<String> {
        self.0.pop_front()
    }
}
