//! Calls of functions, as models write them: in text, with markup of their own. Text goes in as it
//! is made; what is no call comes out as text, calls come out whole.

mod read;

use std::collections::BTreeSet;

use rand::{RngExt, distr::Alphanumeric};
use shoal_proto::tools::{CALLS_MAX, ToolCall, Tools};

use read::{Before, Step};

/// How a model writes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Qwen, Hermes and most others: `<tool_call>{"name": .., "arguments": {..}}</tool_call>`.
    Hermes,
    /// Llama 3.x: `{"name": .., "parameters": {..}}`, may be behind `<|python_tag|>`, at the
    /// beginning of the answer; further ones behind `;`.
    Llama,
    /// Mistral until 2024: `[TOOL_CALLS][{"name": .., "arguments": {..}, "id": ..}]`.
    Mistral,
    /// Mistral since: `[TOOL_CALLS]name[ARGS]{..}`, may be with `[CALL_ID]id` between.
    MistralArgs,
}

/// Marks of the dialects that some models have as tokens of their own. They have to be text for
/// us, though such models say that they are not.
pub(crate) const MARKUP: [&str; 6] =
    ["<tool_call>", "</tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"];

impl Dialect {
    /// The dialect that a chat template teaches. `None`: it knows nothing of functions.
    pub(crate) fn of_template(source: &str) -> Option<Self> {
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

    /// What a call begins with, wherever it stands.
    pub(crate) fn opener(self) -> &'static str {
        match self {
            Self::Hermes => "<tool_call>",
            Self::Llama => "<|python_tag|>",
            Self::Mistral | Self::MistralArgs => "[TOOL_CALLS]",
        }
    }
}

/// Takes the calls out of one answer.
#[derive(Debug)]
pub(crate) struct CallParser {
    dialect: Dialect,
    /// The functions on offer: whatever else is called is text.
    names: BTreeSet<String>,
    most: usize,
    /// Text that may be, or become, part of a call, with blanks before it.
    held: String,
    before: Before,
    calls: Vec<ToolCall>,
}

impl CallParser {
    pub(crate) fn new(dialect: Dialect, tools: &Tools) -> Self {
        Self {
            dialect,
            names: tools.functions.iter().map(|function| function.name.clone()).collect(),
            most: if tools.parallel { CALLS_MAX } else { 1 },
            held: String::new(),
            before: Before::Nothing,
            calls: Vec::new(),
        }
    }

    /// Takes text in; gives out what is certainly no part of a call.
    pub(crate) fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.read(false)
    }

    /// Whether there are as many calls as there may be: nothing that follows is looked at.
    pub(crate) fn is_over(&self) -> bool {
        self.calls.len() >= self.most
    }

    #[cfg(test)]
    /// The calls so far.
    pub(crate) fn calls(&self) -> &[ToolCall] {
        &self.calls
    }

    /// The answer is over: the text that was held back and became no call, and the calls.
    pub(crate) fn finish(mut self) -> (String, Vec<ToolCall>) {
        let text = self.read(true);
        (text, self.calls)
    }

    /// `over`: nothing follows.
    fn read(&mut self, over: bool) -> String {
        let mut text = String::new();
        while !self.is_over() {
            let step = read::step(&self.held, self.dialect, self.before, over);
            let (len, calls) = match step {
                Step::Wait => break,
                Step::Text(len) => (len, None),
                Step::Calls(len, calls) => (len, Some(calls)),
            };
            let rest = self.held.split_off(len);
            let taken = std::mem::replace(&mut self.held, rest);
            match calls.and_then(|calls| self.known(calls)) {
                Some(calls) => {
                    self.before = Before::Calls;
                    self.calls.extend(calls);
                }
                None => {
                    self.before = Before::Text;
                    text.push_str(&taken);
                }
            }
        }
        if self.is_over() {
            self.held.clear();
        }
        // Blanks around calls belong to them.
        if !self.calls.is_empty() && text.trim().is_empty() { String::new() } else { text }
    }

    /// With identifiers, when all of these functions are on offer.
    fn known(&self, calls: Vec<read::Call>) -> Option<Vec<ToolCall>> {
        if calls.is_empty() || !calls.iter().all(|call| self.names.contains(&call.name)) {
            return None;
        }
        let room = self.most - self.calls.len();
        let named = calls.into_iter().take(room).map(|call| ToolCall {
            id: call.id.unwrap_or_else(identifier),
            name: call.name,
            arguments: call.arguments,
        });
        Some(named.collect())
    }
}

/// As OpenAI's look.
fn identifier() -> String {
    let letters = rand::rng().sample_iter(Alphanumeric).take(24).map(char::from);
    std::iter::once("call_").map(String::from).chain(letters.map(String::from)).collect()
}

#[cfg(test)]
mod tests;
