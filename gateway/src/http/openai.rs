//! Answers as they stand on the wire.
//!
//! Own structs where async-openai's leave out keys that the schema requires (as null), or send
//! null for keys that a delta must leave out; both break strict clients.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use shoal_proto::generate::Finish;

use crate::ask::Candidate;

/// Seconds since 1970, as every `created` is given.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What is the same on a whole answer and on each of its chunks.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created: u64,
    /// As it was asked for.
    pub(super) model: String,
}

/// One whole answer.
#[derive(Debug, Serialize)]
pub(super) struct Completion {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) choices: [Choice; 1],
    pub(super) usage: Usage,
    /// Which member's model wrote it.
    pub(super) system_fingerprint: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Choice {
    index: u32,
    message: Message,
    /// Required by the schema, even as null.
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    content: String,
    /// Required by the schema, even as null.
    refusal: Option<()>,
    annotations: [(); 0],
}

impl Choice {
    pub(super) fn of(candidate: &Candidate) -> Self {
        let content = candidate.text.clone();
        Self {
            index: 0,
            message: Message { role: "assistant", content, refusal: None, annotations: [] },
            logprobs: None,
            finish_reason: finish_reason(candidate.finish),
        }
    }
}

pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Stop | Finish::Unspecified => "stop",
    }
}

/// The member's model that wrote the answer, in the place where OpenAI names its backend.
pub(super) fn fingerprint(model: &str) -> String {
    format!("fp_{model}")
}

/// One event of a streamed answer.
#[derive(Debug, Serialize)]
pub(super) struct Chunk<'a> {
    #[serde(flatten)]
    pub(super) head: &'a Head,
    /// One, or none on the chunk with the usage.
    pub(super) choices: Vec<ChunkChoice<'a>>,
    pub(super) system_fingerprint: &'a str,
    /// Left out unless asked for; then null on every chunk but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Option<Usage>>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChunkChoice<'a> {
    pub(super) index: u32,
    pub(super) delta: Delta<'a>,
    pub(super) logprobs: Option<()>,
    /// Required by the schema, null until the last.
    pub(super) finish_reason: Option<&'static str>,
}

/// What a chunk adds. Keys without news are left out, never null.
#[derive(Debug, Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    /// Null on the first chunk, as OpenAI sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Option<()>>,
}

/// Tokens of the answer that was sent, as the winner's model counts. What the whole swarm spent
/// stands in the round's transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u32,
    pub(super) completion_tokens: u32,
    pub(super) total_tokens: u32,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct PromptDetails {
    cached_tokens: u32,
    audio_tokens: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u32,
    audio_tokens: u32,
    accepted_prediction_tokens: u32,
    rejected_prediction_tokens: u32,
}

impl Usage {
    pub(super) fn of(candidate: &Candidate) -> Self {
        Self {
            prompt_tokens: candidate.prompt_tokens,
            completion_tokens: candidate.completion_tokens,
            total_tokens: candidate.prompt_tokens.saturating_add(candidate.completion_tokens),
            prompt_tokens_details: PromptDetails::default(),
            completion_tokens_details: CompletionDetails::default(),
        }
    }
}

/// One model of `GET /v1/models`.
#[derive(Debug, Serialize)]
pub(super) struct Model {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) owned_by: &'static str,
}

/// A list without pages.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    object: &'static str,
    data: Vec<T>,
}

impl<T> List<T> {
    pub(super) fn of(data: Vec<T>) -> Self {
        Self { object: "list", data }
    }
}
