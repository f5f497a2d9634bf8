//! The answers of `POST /v1/chat/completions`.
//!
//! These structs replace async-openai's, which leave out keys that the schema requires as null, and
//! send null for keys that a delta must leave out. Both break strict clients.

mod calls;
mod logprobs;

use serde::Serialize;
use shoal_proto::generate::Finish;

pub(super) use calls::{CallDelta, FunctionDelta};
pub(crate) use calls::{Function, ToolCall};
pub(crate) use logprobs::{Logprobs, pieces as logprob_pieces};

use crate::{Usage, chat::ChatRequest};
use shoal_consensus::{Candidate, Outcome};

/// The only tier, under OpenAI's name.
const SERVICE_TIER: &str = "default";

/// What a whole answer and each of its chunks have in common.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    /// `chatcmpl-` and a random name.
    pub id: String,
    /// `chat.completion`, or `chat.completion.chunk` in a stream.
    pub object: &'static str,
    /// In Unix seconds.
    pub created: u64,
    /// The name that the client sent.
    pub model: String,
    /// Always `default`.
    pub service_tier: &'static str,
}

impl Head {
    /// The head of one answer. `unix_seconds` is the time of the answer.
    pub fn new(id: String, object: &'static str, model: String, unix_seconds: u64) -> Self {
        Self { id, object, created: unix_seconds, model, service_tier: SERVICE_TIER }
    }
}

/// The form of the answer that the client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyOptions {
    /// The number of answers.
    pub choices: usize,
    /// Each token has its log-probability.
    pub logprobs: bool,
    /// The request names the function that must be called. OpenAI then finishes with `stop`.
    pub forced_call: bool,
    /// Calls are sent as the deprecated `function_call`.
    pub deprecated_calls: bool,
    /// A stream ends with a chunk that has the usage.
    pub include_usage: bool,
    /// A stream reports how far the round is.
    pub progress: bool,
}

impl From<&ChatRequest> for ReplyOptions {
    fn from(request: &ChatRequest) -> Self {
        let ask = &request.ask;
        Self {
            choices: ask.choices,
            logprobs: ask.sampling.logprobs.is_some(),
            forced_call: ask.tools.as_ref().is_some_and(|tools| !tools.named.is_empty()),
            deprecated_calls: request.deprecated_calls,
            include_usage: request.include_usage,
            progress: request.progress,
        }
    }
}

impl ReplyOptions {
    /// OpenAI's word for the end of an answer.
    pub fn finish_reason(self, candidate: &Candidate) -> &'static str {
        match finish_reason(candidate.finish) {
            "tool_calls" if self.deprecated_calls => "function_call",
            "tool_calls" if self.forced_call => "stop",
            reason => reason,
        }
    }

    /// The log-probabilities of an answer, if the client wants them and the engine sent them.
    pub fn logprobs(self, candidate: &Candidate) -> Option<Logprobs> {
        (self.logprobs && !candidate.tokens.is_empty()).then(|| Logprobs::new(&candidate.tokens))
    }
}

/// A whole answer.
#[derive(Debug, Serialize)]
pub struct Completion {
    #[serde(flatten)]
    head: Head,
    choices: Vec<Choice>,
    usage: Usage,
    /// The member's model that wrote the first choice.
    system_fingerprint: String,
}

impl Completion {
    /// The whole answer to a request, with what it cost. `None` if the outcome has no answer.
    pub fn new(head: Head, options: ReplyOptions, outcome: &Outcome) -> Option<(Usage, Self)> {
        let candidates = outcome.choices(options.choices);
        let system_fingerprint = fingerprint(&candidates.first()?.model);
        let usage = Usage::from_choices(&candidates);
        let choices = candidates.iter().enumerate();
        let choices = choices.map(|(index, candidate)| Choice::new(index, candidate, options));
        let choices = choices.collect();
        Some((usage, Self { head, choices, usage, system_fingerprint }))
    }
}

#[derive(Debug, Serialize)]
struct Choice {
    index: usize,
    message: Message,
    /// The schema requires the key, even as null.
    logprobs: Option<Logprobs>,
    finish_reason: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    /// Null if the answer has only calls, or is a refusal.
    content: Option<String>,
    /// The words of a refusal. The schema requires the key, even as null.
    refusal: Option<String>,
    annotations: [(); 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function>,
}

impl Choice {
    fn new(index: usize, candidate: &Candidate, options: ReplyOptions) -> Self {
        let calls = &candidate.tool_calls;
        let has_only_calls = candidate.text.is_empty() && !calls.is_empty();
        let is_refusal = candidate.finish == Finish::Refused;
        let is_deprecated = options.deprecated_calls;
        let message = Message {
            role: "assistant",
            content: (!has_only_calls && !is_refusal).then(|| candidate.text.clone()),
            refusal: is_refusal.then(|| candidate.text.clone()),
            annotations: [],
            tool_calls: calls.iter().filter(|_| !is_deprecated).map(ToolCall::from).collect(),
            function_call: calls.first().filter(|_| is_deprecated).map(Function::from),
        };
        Self {
            index,
            message,
            logprobs: options.logprobs(candidate),
            finish_reason: options.finish_reason(candidate),
        }
    }
}

/// OpenAI's word for the end of a text.
pub(crate) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Filtered => "content_filter",
        Finish::Stop | Finish::Abstained | Finish::Refused | Finish::Unspecified => "stop",
    }
}

/// `system_fingerprint`, where OpenAI names its backend: the member's model that wrote the answer.
pub(crate) fn fingerprint(model: &str) -> String {
    format!("fp_{model}")
}

/// An event of a streamed answer.
#[derive(Debug, Serialize)]
pub(super) struct Chunk<'a> {
    #[serde(flatten)]
    pub head: &'a Head,
    /// One choice, or none in the chunk with the usage.
    pub choices: Vec<ChunkChoice<'a>>,
    pub system_fingerprint: &'a str,
    /// Left out unless the client wants it. Then it is null in each chunk except the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// What a chunk adds to a choice.
#[derive(Debug, Default, Serialize)]
pub(super) struct ChunkChoice<'a> {
    pub index: usize,
    pub delta: Delta<'a>,
    pub logprobs: Option<Logprobs>,
    /// The schema requires the key. It is null before the last chunk.
    pub finish_reason: Option<&'static str>,
}

/// What a chunk adds to a message. Keys without an addition are left out, never null.
#[derive(Debug, Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    /// How far the round is. Chat apps show it as thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<[CallDelta<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionDelta<'a>>,
    /// Null in the first chunk, as OpenAI sends it; then the words of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Option<&'a str>>,
}
