//! The answers of `/v1/responses`.

use serde::Serialize;
use serde_json::{Map, Value, json};
use shoal_proto::tools::ToolCall;

use crate::{chat::wire::Logprobs, id, responses::ResponseRequest};
use shoal_consensus::Candidate;

/// A response at any point between its start and its end.
#[derive(Clone, Debug, Serialize)]
pub struct Response {
    /// `resp_` and a random name.
    pub id: String,
    object: &'static str,
    created_at: u64,
    /// `in_progress`, `completed`, `incomplete` or `failed`.
    pub status: &'static str,
    background: bool,
    /// In Unix seconds. The schema requires the key, even as null.
    pub completed_at: Option<u64>,
    /// Why the response failed.
    pub error: Option<ResponseFailure>,
    /// Why the response is incomplete.
    pub incomplete_details: Option<Incomplete>,
    /// The name that the client sent.
    pub model: String,
    /// The items that are complete.
    pub output: Vec<Item>,
    service_tier: &'static str,
    store: bool,
    /// What the response cost. Absent before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The fields of the request that the response repeats.
    #[serde(flatten)]
    echo: Map<String, Value>,
}

impl Response {
    /// A response without items. `created_at` is in Unix seconds.
    pub fn new(request: &ResponseRequest, created_at: u64) -> Self {
        Self {
            id: format!("resp_{}", id::hex()),
            object: "response",
            created_at,
            status: "in_progress",
            background: request.background,
            completed_at: None,
            error: None,
            incomplete_details: None,
            model: request.model.clone(),
            output: Vec::new(),
            service_tier: "default",
            store: request.store,
            usage: None,
            echo: request.echo.clone(),
        }
    }
}

/// Why a response failed.
#[derive(Clone, Debug, Serialize)]
pub struct ResponseFailure {
    /// One of OpenAI's closed set of codes.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Why a response is incomplete.
#[derive(Clone, Debug, Serialize)]
pub struct Incomplete {
    /// One of OpenAI's words.
    pub reason: &'static str,
}

/// An item of the output.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    /// The answer's text.
    Message { id: String, status: &'static str, role: &'static str, content: Vec<Part> },
    /// A call of a function.
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: String,
        name: String,
        arguments: String,
    },
}

impl Item {
    /// A message with these parts.
    pub fn message(id: String, status: &'static str, content: Vec<Part>) -> Self {
        Self::Message { id, status, role: "assistant", content }
    }

    /// A call. While it is in progress, it has only the first part of its arguments.
    pub fn call(id: String, status: &'static str, call: &ToolCall, arguments: &str) -> Self {
        let (call_id, name) = (call.id.clone(), call.name.clone());
        Self::FunctionCall { id, status, call_id, name, arguments: arguments.to_owned() }
    }
}

/// A part of a message.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// The answer's text. The schema requires `logprobs`, even as an empty array.
    OutputText { text: String, annotations: [(); 0], logprobs: Value },
    /// The words of a refusal.
    Refusal { refusal: String },
}

impl Part {
    /// A part with this text.
    pub fn new(text: &str, logprobs: Value) -> Self {
        Self::OutputText { text: text.to_owned(), annotations: [], logprobs }
    }

    /// A part with the words of a refusal.
    pub fn refusal(text: &str) -> Self {
        Self::Refusal { refusal: text.to_owned() }
    }
}

/// Each token with its log-probability. The array is empty if the candidate has none.
pub(super) fn logprobs(candidate: &Candidate) -> Value {
    json!(Logprobs::new(&candidate.tokens).content)
}

/// Tokens of one response.
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

#[derive(Clone, Copy, Debug, Serialize)]
struct OutputDetails {
    reasoning_tokens: u32,
}

impl From<&crate::Usage> for Usage {
    fn from(usage: &crate::Usage) -> Self {
        let cached_tokens = usage.prompt_tokens_details.cached_tokens;
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails { cached_tokens, ..InputDetails::default() },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails {
                reasoning_tokens: usage.completion_tokens_details.reasoning_tokens,
            },
            total_tokens: usage.total_tokens,
        }
    }
}
