//! The answers of `POST /v1/messages`.

use serde::Serialize;
use serde_json::Value;
use shoal_proto::{generate::Finish, tools::ToolCall};

use crate::{Failure, id};
use shoal_consensus::Candidate;

/// A whole answer. A stream starts with an empty one.
#[derive(Debug, Serialize)]
pub struct Message {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    /// The name that the client sent.
    model: String,
    content: Vec<Block>,
    stop_reason: Option<&'static str>,
    /// Always null: engines do not report which sequence stopped them.
    stop_sequence: Option<()>,
    usage: Usage,
}

/// A block of content.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// The answer's text.
    Text { text: String },
    /// A call. `input` is an object.
    ToolUse { id: String, name: String, input: Value },
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    /// Tokens of the prompt, without those that the model read from its cache.
    input_tokens: u32,
    cache_creation_input_tokens: u32,
    cache_read_input_tokens: u32,
    output_tokens: u32,
}

impl From<&Candidate> for Usage {
    fn from(candidate: &Candidate) -> Self {
        let cache_tokens = candidate.cached_tokens.min(candidate.prompt_tokens);
        Self {
            input_tokens: candidate.prompt_tokens - cache_tokens,
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: cache_tokens,
            output_tokens: candidate.completion_tokens,
        }
    }
}

impl Message {
    /// A message without content, with which a stream starts.
    pub fn new(model: String) -> Self {
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

    /// A whole message. `model` is the name that the client sent.
    pub fn whole(model: String, candidate: &Candidate) -> Self {
        let text = Block::Text { text: candidate.text.clone() };
        let text = (!candidate.text.is_empty()).then_some(text);
        let calls = candidate.tool_calls.iter().map(Block::from);
        Self {
            content: text.into_iter().chain(calls).collect(),
            stop_reason: Some(stop_reason(candidate)),
            usage: Usage::from(candidate),
            ..Self::new(model)
        }
    }
}

impl From<&ToolCall> for Block {
    fn from(call: &ToolCall) -> Self {
        // A candidate's arguments are a JSON object, or empty if the engine wrote none.
        let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| serde_json::json!({}));
        Self::ToolUse { id: call.id.clone(), name: call.name.clone(), input }
    }
}

/// Anthropic's word for the end of an answer.
pub fn stop_reason(candidate: &Candidate) -> &'static str {
    if !candidate.tool_calls.is_empty() {
        return "tool_use";
    }
    match candidate.finish {
        Finish::Length => "max_tokens",
        Finish::Filtered | Finish::Refused => "refusal",
        Finish::ToolCalls | Finish::Stop | Finish::Abstained | Finish::Unspecified => "end_turn",
    }
}

/// Anthropic's body of an error: `{"type": "error", "error": {...}}`.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    #[serde(rename = "type")]
    kind: &'static str,
    error: ErrorObject,
}

#[derive(Debug, Serialize)]
struct ErrorObject {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
}

impl From<&Failure> for ErrorBody {
    fn from(failure: &Failure) -> Self {
        let message = match &failure.param {
            // This body has no key for the field, and SDKs show only the message.
            Some(param) if !failure.message.contains(param) => {
                format!("{param}: {}", failure.message)
            }
            _ => failure.message.clone(),
        };
        Self { kind: "error", error: ErrorObject { kind: failure.anthropic_kind, message } }
    }
}
