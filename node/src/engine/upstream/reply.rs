//! Reads what an endpoint streams. Lenient: endpoints send `finish_reason: ""`, `role: ""`, usage
//! in a chunk of its own or in the last one, errors in the middle of a stream.

use serde_json::Value;
use shoal_proto::generate::{Done, Fault, Finish, Generate};

use super::fault::Said;
use crate::engine::EngineError;

/// No model writes more text than this into one answer; an endpoint that does has gone mad.
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
    finish: Option<Finish>,
    usage: Option<(u32, u32)>,
}

impl Reply {
    pub(super) fn new(ask: &Generate) -> Self {
        let prompt_bytes = ask.messages.iter().map(|m| m.content.len()).sum();
        Self { prompt_bytes, ..Self::default() }
    }

    /// Takes one chunk in; gives its text, if it has any.
    pub(super) fn read(&mut self, chunk: &Value) -> Result<Option<String>, Said> {
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return Err(Said::read(None, error));
        }
        if let Some(usage) = chunk.get("usage") {
            self.count(usage);
        }
        let Some(choice) = chunk.pointer("/choices/0") else {
            return Ok(None);
        };
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
            self.finish = Some(match reason {
                "length" | "max_tokens" => Finish::Length,
                _ => Finish::Stop,
            });
        }
        let text = choice.pointer("/delta/content").or_else(|| choice.get("text"));
        let Some(text) = text.and_then(Value::as_str).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        self.bytes += text.len();
        self.pieces = self.pieces.saturating_add(1);
        if self.bytes > TEXT_MAX {
            return Err(Said::of("the answer is over 1 MiB"));
        }
        Ok(Some(text.to_owned()))
    }

    fn count(&mut self, usage: &Value) {
        let tokens = |key| usage.get(key).and_then(Value::as_u64).map(clamp);
        if let (Some(prompt), Some(completion)) =
            (tokens("prompt_tokens"), tokens("completion_tokens"))
        {
            self.usage = Some((prompt, completion));
        }
    }

    /// The stream has ended. One that ended without saying why was cut off.
    pub(super) fn done(self) -> Result<Done, EngineError> {
        let Some(finish) = self.finish else {
            return Err(EngineError::new(Fault::Engine, "the upstream broke off"));
        };
        let estimate = || (clamp(self.prompt_bytes.div_ceil(BYTES_PER_TOKEN) as u64), self.pieces);
        let (prompt_tokens, completion_tokens) = self.usage.unwrap_or_else(estimate);
        Ok(Done { finish: finish.into(), prompt_tokens, completion_tokens, ..Done::default() })
    }
}

fn clamp(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
