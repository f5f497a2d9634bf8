//! Answers as they stand on the wire.
//!
//! Own structs where async-openai's leave out keys that the schema requires (as null), or send
//! null for keys that a delta must leave out; both break strict clients.

mod calls;
mod logprobs;
mod usage;

use serde::Serialize;
use shoal_proto::generate::Finish;

pub use calls::{CallDelta, Function, FunctionDelta, ToolCall};
pub use logprobs::{Logprobs, pieces as logprob_pieces};
pub use usage::Usage;

use crate::chat::ChatRequest;
use shoal_consensus::Candidate;

/// There is one tier, and this is what OpenAI calls it.
const SERVICE_TIER: &str = "default";

/// What is the same on a whole answer and on each of its chunks.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    /// As it was asked for.
    pub model: String,
    pub service_tier: &'static str,
}

impl Head {
    /// `created` is in Unix seconds.
    pub fn new(id: String, object: &'static str, model: String, created: u64) -> Self {
        Self { id, object, created, model, service_tier: SERVICE_TIER }
    }
}

/// How the client wants its answers told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Answers wanted.
    pub choices: usize,
    /// Each token's log-probability beside it.
    pub logprobs: bool,
    /// The client named the function that had to be called; OpenAI then ends with `stop`.
    pub named_call: bool,
    /// Calls as the deprecated `function_call`.
    pub deprecated_calls: bool,
}

impl Manner {
    pub fn of(request: &ChatRequest) -> Self {
        let ask = &request.ask;
        Self {
            choices: ask.choices,
            logprobs: ask.sampling.logprobs.is_some(),
            named_call: ask.tools.as_ref().is_some_and(|tools| !tools.named.is_empty()),
            deprecated_calls: request.deprecated_calls,
        }
    }

    pub fn finish_reason(self, candidate: &Candidate) -> &'static str {
        match finish_reason(candidate.finish) {
            "tool_calls" if self.deprecated_calls => "function_call",
            "tool_calls" if self.named_call => "stop",
            reason => reason,
        }
    }

    pub fn logprobs(self, candidate: &Candidate) -> Option<Logprobs> {
        (self.logprobs && !candidate.tokens.is_empty()).then(|| Logprobs::of(&candidate.tokens))
    }
}

/// One whole answer.
#[derive(Debug, Serialize)]
pub struct Completion {
    #[serde(flatten)]
    pub head: Head,
    pub choices: Vec<Choice>,
    pub usage: Usage,
    /// Which member's model wrote the first.
    pub system_fingerprint: String,
}

#[derive(Debug, Serialize)]
pub struct Choice {
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
    pub fn of(index: usize, candidate: &Candidate, manner: Manner) -> Self {
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

pub fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Stop | Finish::Unspecified => "stop",
    }
}

/// The member's model that wrote the answer, in the place where OpenAI names its backend.
pub fn fingerprint(model: &str) -> String {
    format!("fp_{model}")
}

/// One event of a streamed answer.
#[derive(Debug, Serialize)]
pub struct Chunk<'a> {
    #[serde(flatten)]
    pub head: &'a Head,
    /// One, or none on the chunk with the usage.
    pub choices: Vec<ChunkChoice<'a>>,
    pub system_fingerprint: &'a str,
    /// Left out unless asked for; then null on every chunk but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

#[derive(Debug, Default, Serialize)]
pub struct ChunkChoice<'a> {
    pub index: usize,
    pub delta: Delta<'a>,
    pub logprobs: Option<Logprobs>,
    /// Required by the schema, null until the last.
    pub finish_reason: Option<&'static str>,
}

/// What a chunk adds. Keys without news are left out, never null.
#[derive(Debug, Default, Serialize)]
pub struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    /// How far the round is; chat UIs show it as thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<[CallDelta<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionDelta<'a>>,
    /// Null on the first chunk, as OpenAI sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Option<()>>,
}
