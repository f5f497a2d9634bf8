//! Messages as they stand on the wire.

use serde::Serialize;
use serde_json::Value;
use shoal_proto::{generate::Finish, tools::ToolCall};

use crate::id;
use shoal_consensus::Candidate;

/// A whole answer; a stream begins with an empty one.
#[derive(Debug, Serialize)]
pub struct Message {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    /// As it was asked for.
    model: String,
    content: Vec<Block>,
    stop_reason: Option<&'static str>,
    /// Which one it was, engines do not say.
    stop_sequence: Option<()>,
    usage: Usage,
}

/// A piece of content.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Text { text: String },
    ToolUse { id: String, name: String, input: Value },
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    /// Of the prompt, those left out that its model had read before.
    input_tokens: u32,
    cache_creation_input_tokens: u32,
    cache_read_input_tokens: u32,
    output_tokens: u32,
}

impl Usage {
    pub fn of(candidate: &Candidate) -> Self {
        let cached = candidate.cached_tokens.min(candidate.prompt_tokens);
        Self {
            input_tokens: candidate.prompt_tokens - cached,
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: cached,
            output_tokens: candidate.completion_tokens,
        }
    }
}

impl Message {
    /// What a stream begins with.
    pub fn begun(model: String) -> Self {
        Self {
            id: format!("msg_{}", id::hex()),
            kind: "message",
            role: "assistant",
            model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: Usage::default(),
        }
    }

    pub fn whole(model: String, candidate: &Candidate) -> Self {
        let text = Block::Text { text: candidate.text.clone() };
        let text = (!candidate.text.is_empty()).then_some(text);
        let calls = candidate.tool_calls.iter().map(Block::of_call);
        Self {
            content: text.into_iter().chain(calls).collect(),
            stop_reason: Some(stop_reason(candidate)),
            usage: Usage::of(candidate),
            ..Self::begun(model)
        }
    }
}

impl Block {
    fn of_call(call: &ToolCall) -> Self {
        // A candidate's arguments are a JSON object; an engine that wrote none called with none.
        let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| serde_json::json!({}));
        Self::ToolUse { id: call.id.clone(), name: call.name.clone(), input }
    }
}

pub fn stop_reason(candidate: &Candidate) -> &'static str {
    if !candidate.tool_calls.is_empty() {
        return "tool_use";
    }
    match candidate.finish {
        Finish::Length => "max_tokens",
        Finish::ToolCalls | Finish::Stop | Finish::Unspecified => "end_turn",
    }
}
