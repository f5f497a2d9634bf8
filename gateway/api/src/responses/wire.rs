//! Responses as they stand on the wire.

use serde::Serialize;
use serde_json::{Map, Value};
use shoal_proto::tools::ToolCall;

use crate::{
    chat::wire::{self as chat, Logprobs},
    id,
    responses::ResponseRequest,
};
use shoal_consensus::Candidate;

/// A response, at any point of its life.
#[derive(Clone, Debug, Serialize)]
pub struct Response {
    pub id: String,
    object: &'static str,
    created_at: u64,
    pub status: &'static str,
    background: bool,
    /// Required by the schema, even as null.
    pub completed_at: Option<u64>,
    pub error: Option<Failure>,
    pub incomplete_details: Option<Incomplete>,
    pub model: String,
    pub output: Vec<Item>,
    service_tier: &'static str,
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it repeats of the request.
    #[serde(flatten)]
    echo: Map<String, Value>,
}

impl Response {
    pub fn begun(asked: &ResponseRequest, now: u64) -> Self {
        Self {
            id: format!("resp_{}", id::hex()),
            object: "response",
            created_at: now,
            status: "in_progress",
            background: asked.background,
            completed_at: None,
            error: None,
            incomplete_details: None,
            model: asked.model.clone(),
            output: Vec::new(),
            service_tier: "default",
            store: asked.store,
            usage: None,
            echo: asked.echo.clone(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// From OpenAI's closed set.
    pub code: &'static str,
    pub message: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Incomplete {
    pub reason: &'static str,
}

/// A piece of output.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: Vec<Part>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: String,
        name: String,
        arguments: String,
    },
}

impl Item {
    pub fn message(id: String, status: &'static str, content: Vec<Part>) -> Self {
        Self::Message { id, status, role: "assistant", content }
    }

    pub fn call(id: String, status: &'static str, call: &ToolCall, arguments: &str) -> Self {
        let (call_id, name) = (call.id.clone(), call.name.clone());
        Self::FunctionCall { id, status, call_id, name, arguments: arguments.to_owned() }
    }
}

/// The text of a message.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    #[serde(rename = "type")]
    kind: &'static str,
    pub text: String,
    annotations: [(); 0],
    /// Required by the schema, even when empty.
    pub logprobs: Value,
}

impl Part {
    pub fn of(text: &str, logprobs: Value) -> Self {
        Self { kind: "output_text", text: text.to_owned(), annotations: [], logprobs }
    }
}

/// Each token with its log-probability, where that is known.
pub fn logprobs(candidate: &Candidate) -> Value {
    let shown = serde_json::to_value(Logprobs::of(&candidate.tokens)).unwrap_or_default();
    shown.get("content").cloned().unwrap_or_else(|| Value::Array(Vec::new()))
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    input_tokens: u32,
    input_tokens_details: InputDetails,
    output_tokens: u32,
    output_tokens_details: OutputDetails,
    total_tokens: u32,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct InputDetails {
    cached_tokens: u32,
    cache_write_tokens: u32,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct OutputDetails {
    reasoning_tokens: u32,
}

impl Usage {
    pub fn of(usage: &chat::Usage) -> Self {
        let cached_tokens = usage.prompt_tokens_details.cached_tokens;
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails { cached_tokens, ..InputDetails::default() },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails::default(),
            total_tokens: usage.total_tokens,
        }
    }
}
