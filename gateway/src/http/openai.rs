//! Answers as they stand on the wire.
//!
//! Own structs where async-openai's leave out keys that the schema requires (as null), or send
//! null for keys that a delta must leave out; both break strict clients.

mod calls;
mod logprobs;
mod usage;

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use shoal_proto::generate::Finish;

pub(super) use calls::{CallDelta, Function, FunctionDelta, ToolCall};
pub(super) use logprobs::{Logprobs, pieces as logprob_pieces};
pub(super) use usage::Usage;

use crate::ask::{Candidate, ChatRequest};

/// Seconds since 1970, as every `created` is given.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// There is one tier, and this is what OpenAI calls it.
const SERVICE_TIER: &str = "default";

/// What is the same on a whole answer and on each of its chunks.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created: u64,
    /// As it was asked for.
    pub(super) model: String,
    pub(super) service_tier: &'static str,
}

impl Head {
    pub(super) fn new(id: String, object: &'static str, model: String) -> Self {
        Self { id, object, created: unix_now(), model, service_tier: SERVICE_TIER }
    }
}

/// How the client wants its answers told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// Answers wanted.
    pub(super) choices: usize,
    /// Each token's log-probability beside it.
    pub(super) logprobs: bool,
    /// The client named the function that had to be called; OpenAI then ends with `stop`.
    pub(super) named_call: bool,
    /// Calls as the deprecated `function_call`.
    pub(super) deprecated_calls: bool,
}

impl Manner {
    pub(super) fn of(request: &ChatRequest) -> Self {
        let ask = &request.ask;
        Self {
            choices: ask.choices,
            logprobs: ask.sampling.logprobs.is_some(),
            named_call: ask.tools.as_ref().is_some_and(|tools| !tools.named.is_empty()),
            deprecated_calls: request.deprecated_calls,
        }
    }

    pub(super) fn finish_reason(self, candidate: &Candidate) -> &'static str {
        match finish_reason(candidate.finish) {
            "tool_calls" if self.deprecated_calls => "function_call",
            "tool_calls" if self.named_call => "stop",
            reason => reason,
        }
    }

    pub(super) fn logprobs(self, candidate: &Candidate) -> Option<Logprobs> {
        (self.logprobs && !candidate.tokens.is_empty()).then(|| Logprobs::of(&candidate.tokens))
    }
}

/// One whole answer.
#[derive(Debug, Serialize)]
pub(super) struct Completion {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Usage,
    /// Which member's model wrote the first.
    pub(super) system_fingerprint: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Choice {
    index: usize,
    message: Message,
    /// Required by the schema, even as null.
    logprobs: Option<Logprobs>,
    finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    /// Null where there are only calls.
    content: Option<String>,
    /// Required by the schema, even as null. No member says that it refuses: it says so in words.
    refusal: Option<()>,
    annotations: [(); 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function>,
}

impl Choice {
    pub(super) fn of(index: usize, candidate: &Candidate, manner: Manner) -> Self {
        let calls = &candidate.tool_calls;
        let silent = candidate.text.is_empty() && !calls.is_empty();
        let deprecated = manner.deprecated_calls;
        let message = Message {
            role: "assistant",
            content: (!silent).then(|| candidate.text.clone()),
            refusal: None,
            annotations: [],
            tool_calls: calls.iter().filter(|_| !deprecated).map(ToolCall::of).collect(),
            function_call: calls.first().filter(|_| deprecated).map(Function::of),
        };
        Self {
            index,
            message,
            logprobs: manner.logprobs(candidate),
            finish_reason: manner.finish_reason(candidate),
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

#[derive(Debug, Default, Serialize)]
pub(super) struct ChunkChoice<'a> {
    pub(super) index: usize,
    pub(super) delta: Delta<'a>,
    pub(super) logprobs: Option<Logprobs>,
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
    /// How far the round is; chat UIs show it as thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<[CallDelta<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<FunctionDelta<'a>>,
    /// Null on the first chunk, as OpenAI sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Option<()>>,
}

/// One model of `GET /v1/models`.
#[derive(Debug, Serialize)]
pub(super) struct Model {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) owned_by: &'static str,
    /// What its nodes say it is good at; not OpenAI's, left out where they say nothing.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) tags: BTreeSet<String>,
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
