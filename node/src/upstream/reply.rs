//! Reads what an endpoint streams. Lenient: endpoints send `finish_reason: ""`, `role: ""`, usage
//! in a chunk of its own or in the last one, errors in the middle of a stream, whole messages in the
//! place of deltas.

mod calls;
mod logprobs;
mod stops;

use serde_json::Value;
use shoal_proto::generate::{Done, Finish, Generate};

use self::{calls::Calls, logprobs::Tokens, stops::Stops};
use super::fault::{CallError, Refusal, error_in};

/// No model writes more text than this into one answer; an endpoint that sends more is faulty.
const TEXT_MAX: usize = 1 << 20;

/// English text has about four bytes a token; for endpoints that do not count.
const BYTES_PER_TOKEN: usize = 4;

/// An answer as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Reply {
    prompt_bytes: usize,
    bytes: usize,
    /// Chunks with text: nearly always one token each.
    pieces: u32,
    /// Most pieces, where the endpoint was not told the limit of tokens.
    limit: Option<u32>,
    stops: Stops,
    finish: Option<Finish>,
    /// The endpoint said that the answer is complete.
    is_ended: bool,
    /// Some of the text is a refusal.
    refuses: bool,
    usage: Option<(u32, u32)>,
    cached_tokens: u32,
    reasoning_tokens: u32,
    calls: Calls,
    tokens: Tokens,
}

impl Reply {
    /// `has_limit`: the endpoint was told the limit of tokens.
    pub(super) fn new(ask: &Generate, has_limit: bool) -> Self {
        let sampling = ask.sampling.as_ref();
        let prompt_bytes: usize = ask.messages.iter().map(|m| m.content.len()).sum();
        Self {
            prompt_bytes,
            limit: sampling.and_then(|sampling| sampling.max_tokens).filter(|_| !has_limit),
            stops: Stops::new(sampling.map_or(&[], |sampling| &sampling.stop)),
            ..Self::default()
        }
    }

    /// Reads one chunk; returns its text, if it has any.
    pub(super) fn read(&mut self, chunk: &Value) -> Result<Option<String>, CallError> {
        if let Some(error) = error_in(chunk) {
            return Err(Refusal::read(None, error).into());
        }
        if let Some(usage) = chunk.get("usage") {
            self.count(usage);
        }
        let Some(choice) = chunk.pointer("/choices/0") else {
            return Ok(None);
        };
        if let Some(error) = choice.get("error").filter(|error| !error.is_null()) {
            return Err(Refusal::read(None, error).into());
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
            self.end_for(reason)?;
        }
        if let Some(logprobs) = choice.get("logprobs") {
            self.tokens.read(logprobs);
        }
        let is_whole = choice.get("delta").is_none_or(Value::is_null);
        let delta = if is_whole { choice.get("message") } else { choice.get("delta") };
        let delta = delta.unwrap_or(&Value::Null);
        if is_whole && self.bytes > 0 && chunk.get("object").is_some_and(|o| o == "chat.completion")
        {
            // The message again, after its parts.
            return Ok(None);
        }
        let bytes = self.calls.read_message(delta);
        self.grow(bytes)?;
        let refusal = text(delta.get("refusal"));
        self.refuses |= !refusal.is_empty();
        let text = text(delta.get("content").or_else(|| choice.get("text"))) + &refusal;
        if text.is_empty() {
            return Ok(None);
        }
        self.grow(text.len())?;
        if self.limit.is_some_and(|limit| self.pieces >= limit) {
            self.finish = self.finish.or(Some(Finish::Length));
        }
        Ok(Some(self.stops.push(&text)).filter(|text| !text.is_empty()))
    }

    /// Records why the answer ends. Some endpoints send an empty reason with each chunk.
    fn end_for(&mut self, reason: &str) -> Result<(), CallError> {
        self.finish = match reason.trim().to_ascii_lowercase().as_str() {
            "" | "null" | "none" => return Ok(()),
            "length" | "max_tokens" | "max_output_tokens" | "model_length" => Some(Finish::Length),
            "content_filter"
            | "content_filtered"
            | "safety"
            | "recitation"
            | "blocklist"
            | "prohibited_content"
            | "spii"
            | "sensitive"
            | "guardrail_intervened" => Some(Finish::Filtered),
            "refusal" => Some(Finish::Refused),
            "error"
            | "network_error"
            | "abort"
            | "aborted"
            | "cancelled"
            | "canceled"
            | "insufficient_system_resource" => return Err(CallError::BrokenOff),
            _ => Some(Finish::Stop),
        };
        Ok(())
    }

    /// The endpoint says that the answer is complete.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Whether the rest of the answer is of no use: a stop text came, or the limit is reached that the
    /// endpoint does not know.
    pub(super) fn is_cut(&self) -> bool {
        self.stops.is_hit() || self.limit.is_some_and(|limit| self.pieces >= limit)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes == 0 {
            return Ok(());
        }
        self.bytes += bytes;
        self.pieces = self.pieces.saturating_add(1);
        if self.bytes > TEXT_MAX {
            return Err(Refusal::new("the answer is over 1 MiB"));
        }
        Ok(())
    }

    fn count(&mut self, usage: &Value) {
        let tokens = |key| usage.get(key).and_then(Value::as_u64).map(clamp);
        if let (Some(prompt), Some(completion)) =
            (tokens("prompt_tokens"), tokens("completion_tokens"))
        {
            self.usage = Some((prompt, completion));
        }
        let detail = |path| usage.pointer(path).and_then(Value::as_u64).map(clamp);
        self.cached_tokens =
            detail("/prompt_tokens_details/cached_tokens").unwrap_or(self.cached_tokens);
        self.reasoning_tokens =
            detail("/completion_tokens_details/reasoning_tokens").unwrap_or(self.reasoning_tokens);
    }

    /// The stream has ended: the text that was held back, and the end. An answer whose endpoint says
    /// neither why it ends nor that it does was cut off.
    pub(super) fn into_done(self) -> Result<(String, Done), CallError> {
        let is_complete = self.is_ended && self.bytes > 0;
        let finish = match self.finish {
            _ if self.stops.is_hit() => Finish::Stop,
            Some(finish) => finish,
            None if is_complete => Finish::Stop,
            None => return Err(CallError::BrokenOff),
        };
        let (prompt_tokens, completion_tokens) = self.usage.unwrap_or_else(|| {
            (clamp(self.prompt_bytes.div_ceil(BYTES_PER_TOKEN) as u64), self.pieces)
        });
        let is_cut = matches!(finish, Finish::Length | Finish::Filtered);
        let tool_calls = self.calls.into_tool_calls(is_cut);
        let finish = match finish {
            _ if !tool_calls.is_empty() => Finish::ToolCalls,
            Finish::Stop if self.refuses => Finish::Refused,
            finish => finish,
        };
        // Tokens of a text that this node cut are not those of the text.
        let tokens = if self.stops.is_hit() { Vec::new() } else { self.tokens.into_tokens() };
        let end = Done {
            finish: finish.into(),
            prompt_tokens,
            completion_tokens,
            logprob: None,
            tool_calls,
            tokens,
            cached_tokens: self.cached_tokens,
            reasoning_tokens: self.reasoning_tokens,
        };
        Ok((self.stops.finish(), end))
    }
}

/// A text, or the texts of a list of parts.
fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| {
                let is_text = part.get("type").is_none_or(|kind| {
                    kind.as_str().is_some_and(|kind| ["text", "output_text"].contains(&kind))
                });
                part.get("text").filter(|_| is_text).and_then(Value::as_str)
            });
            texts.collect()
        }
        _ => String::new(),
    }
}

fn clamp(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
