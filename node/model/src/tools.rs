//! Function calls in a model's text, in the markup of its dialect. The parser takes text piece by piece
//! and returns the text outside of calls and the complete calls.

mod read;

use std::collections::BTreeSet;

use rand::{RngExt, distr::Alphanumeric};
use shoal_proto::tools::{CALLS_MAX, ToolCall, Tools};

use read::{Before, Step};

/// The markup of a model's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Qwen, Hermes and most others: `<tool_call>{"name": .., "arguments": {..}}</tool_call>`.
    Hermes,
    /// Llama 3.x: `{"name": .., "parameters": {..}}`, optionally after `<|python_tag|>`, at the start of
    /// the answer; further calls follow `;`.
    Llama,
    /// Mistral until 2024: `[TOOL_CALLS][{"name": .., "arguments": {..}, "id": ..}]`.
    Mistral,
    /// Mistral since: `[TOOL_CALLS]name[ARGS]{..}`, optionally with `[CALL_ID]id` in between.
    MistralArgs,
}

/// Tags of the dialects that are single tokens of some models. They count as text here, though such
/// models declare them control tokens.
pub(crate) const MARKUP: [&str; 6] =
    ["<tool_call>", "</tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"];

impl Dialect {
    /// The dialect of a chat template. `None`: the template does not use functions.
    pub(crate) fn from_template(source: &str) -> Option<Self> {
        if source.contains("[TOOL_CALLS]") {
            let args = source.contains("[ARGS]");
            return Some(if args { Self::MistralArgs } else { Self::Mistral });
        }
        if !source.contains("tools") {
            return None;
        }
        let llama = source.contains("<|python_tag|>") || source.contains(r#""parameters": "#);
        let hermes = source.contains("<tool_call>");
        Some(if llama && !hermes { Self::Llama } else { Self::Hermes })
    }

    /// The tag that starts a call.
    pub(crate) fn opener(self) -> &'static str {
        match self {
            Self::Hermes => "<tool_call>",
            Self::Llama => "<|python_tag|>",
            Self::Mistral | Self::MistralArgs => "[TOOL_CALLS]",
        }
    }
}

/// Extracts the calls from one answer.
#[derive(Debug)]
pub(crate) struct CallParser {
    dialect: Dialect,
    /// The offered functions: a call of any other function is text.
    names: BTreeSet<String>,
    max_calls: usize,
    /// Text that may be part of a call, with the whitespace before it.
    buffer: String,
    before: Before,
    calls: Vec<ToolCall>,
}

impl CallParser {
    pub(crate) fn new(dialect: Dialect, tools: &Tools) -> Self {
        Self {
            dialect,
            names: tools.functions.iter().map(|function| function.name.clone()).collect(),
            max_calls: if tools.parallel { CALLS_MAX } else { 1 },
            buffer: String::new(),
            before: Before::Nothing,
            calls: Vec::new(),
        }
    }

    /// Adds text. Returns the part that certainly belongs to no call.
    pub(crate) fn push(&mut self, text: &str) -> String {
        self.buffer.push_str(text);
        self.read(false)
    }

    /// Whether the answer has as many calls as it may have: the parser ignores any further text.
    pub(crate) fn is_over(&self) -> bool {
        self.calls.len() >= self.max_calls
    }

    #[cfg(test)]
    /// The calls so far.
    pub(crate) fn calls(&self) -> &[ToolCall] {
        &self.calls
    }

    /// Ends the answer. Returns the rest of the text and the calls.
    pub(crate) fn finish(mut self) -> (String, Vec<ToolCall>) {
        let text = self.read(true);
        (text, self.calls)
    }

    /// Parses the buffer. `at_end`: no more text follows.
    fn read(&mut self, at_end: bool) -> String {
        let mut text = String::new();
        while !self.is_over() {
            let step = read::step(&self.buffer, self.dialect, self.before, at_end);
            let (len, calls) = match step {
                Step::Wait => break,
                Step::Text(len) => (len, None),
                Step::Calls(len, calls) => (len, Some(calls)),
            };
            let rest = self.buffer.split_off(len);
            let part = std::mem::replace(&mut self.buffer, rest);
            match calls.and_then(|calls| self.accept(calls)) {
                Some(calls) => {
                    self.before = Before::Calls;
                    self.calls.extend(calls);
                }
                None => {
                    self.before = Before::Text;
                    text.push_str(&part);
                }
            }
        }
        if self.is_over() {
            self.buffer.clear();
        }
        // Whitespace around calls is part of the markup.
        if !self.calls.is_empty() && text.trim().is_empty() { String::new() } else { text }
    }

    /// The calls with identifiers, if all of their functions are on offer.
    fn accept(&self, calls: Vec<read::Call>) -> Option<Vec<ToolCall>> {
        if calls.is_empty() || !calls.iter().all(|call| self.names.contains(&call.name)) {
            return None;
        }
        let room = self.max_calls - self.calls.len();
        Some(calls.into_iter().take(room).map(tool_call).collect())
    }
}

fn tool_call(call: read::Call) -> ToolCall {
    ToolCall { id: call.id.unwrap_or_else(identifier), name: call.name, arguments: call.arguments }
}

/// An identifier in OpenAI's format.
fn identifier() -> String {
    let letters = rand::rng().sample_iter(Alphanumeric).take(24).map(char::from);
    std::iter::once("call_").map(String::from).chain(letters.map(String::from)).collect()
}

#[cfg(test)]
mod tests;
