//! Reads what an endpoint streams. Lenient: endpoints send `finish_reason: ""`, `role: ""`, usage
//! in a chunk of its own or in the last one, errors in the middle of a stream.

mod calls;

use serde_json::{Value, json};
use shoal_engine::EngineError;
use shoal_proto::generate::{Done, Fault, Finish, Generate, TokenLogprob};

use self::calls::Calls;
use super::fault::Refusal;

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
    cached_tokens: u32,
    calls: Calls,
    /// As long as all of them made sense.
    tokens: Vec<TokenLogprob>,
    senseless: bool,
}

impl Reply {
    pub(super) fn new(ask: &Generate) -> Self {
        let prompt_bytes: usize = ask.messages.iter().map(|m| m.content.len()).sum();
        Self { prompt_bytes, ..Self::default() }
    }

    /// Takes one chunk in; gives its text, if it has any.
    pub(super) fn read(&mut self, chunk: &Value) -> Result<Option<String>, Refusal> {
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return Err(Refusal::read(None, error));
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
        if let Some(tokens) = choice.pointer("/logprobs/content").and_then(Value::as_array) {
            self.tokens(tokens);
        } else if let Some(columns) = choice.get("logprobs").filter(|value| value.is_object()) {
            self.tokens(&rows(columns));
        }
        if let Some(bits) = choice.pointer("/delta/tool_calls").and_then(Value::as_array) {
            let bytes = self.calls.read(bits);
            self.grow(bytes)?;
        }
        let text = choice.pointer("/delta/content").or_else(|| choice.get("text"));
        let Some(text) = text.and_then(Value::as_str).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        self.grow(text.len())?;
        Ok(Some(text.to_owned()))
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        self.pieces = self.pieces.saturating_add(1);
        if self.bytes > TEXT_MAX {
            return Err(Refusal::new("the answer is over 1 MiB"));
        }
        Ok(())
    }

    /// Log-probabilities with a number that is none are of no use, and neither is half a list.
    fn tokens(&mut self, tokens: &[Value]) {
        let read = tokens.iter().map(|entry| {
            let top = entry.get("top_logprobs").and_then(Value::as_array);
            let top = top.into_iter().flatten().filter_map(token).collect();
            Some(TokenLogprob { top, ..token(entry)? })
        });
        match read.collect::<Option<Vec<_>>>() {
            Some(read) if !self.senseless => self.tokens.extend(read),
            _ => {
                self.senseless = true;
                self.tokens.clear();
            }
        }
    }

    fn count(&mut self, usage: &Value) {
        let tokens = |key| usage.get(key).and_then(Value::as_u64).map(clamp);
        if let (Some(prompt), Some(completion)) =
            (tokens("prompt_tokens"), tokens("completion_tokens"))
        {
            self.usage = Some((prompt, completion));
        }
        let cached_tokens =
            usage.pointer("/prompt_tokens_details/cached_tokens").and_then(Value::as_u64);
        self.cached_tokens = cached_tokens.map_or(self.cached_tokens, clamp);
    }

    /// The stream has ended. One that ended without saying why was cut off.
    pub(super) fn into_done(self) -> Result<Done, EngineError> {
        let Some(finish) = self.finish else {
            return Err(EngineError::new(Fault::Engine, "the upstream broke off"));
        };
        let (prompt_tokens, completion_tokens) = self.usage.unwrap_or_else(|| {
            (clamp(self.prompt_bytes.div_ceil(BYTES_PER_TOKEN) as u64), self.pieces)
        });
        let tool_calls = self.calls.into_tool_calls();
        let finish = if tool_calls.is_empty() { finish } else { Finish::ToolCalls };
        Ok(Done {
            finish: finish.into(),
            prompt_tokens,
            completion_tokens,
            tool_calls,
            tokens: self.tokens,
            cached_tokens: self.cached_tokens,
            logprob: None,
        })
    }
}

/// The log-probabilities of a completion, which are columns, as those of a chat. None that is
/// whole comes out of columns that are not.
fn rows(columns: &Value) -> Vec<Value> {
    let column = |name| columns.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (tokens, likely, tops) =
        (column("tokens"), column("token_logprobs"), column("top_logprobs"));
    let rows = tokens.iter().enumerate().map(|(at, token)| {
        let top = tops.get(at).and_then(Value::as_object).into_iter().flatten();
        let mut top: Vec<(&String, f64)> =
            top.filter_map(|(token, likely)| Some((token, likely.as_f64()?))).collect();
        top.sort_by(|a, b| b.1.total_cmp(&a.1));
        let top: Vec<Value> = top
            .iter()
            .map(|(token, likely)| json!({ "token": token, "logprob": likely }))
            .collect();
        json!({ "token": token, "logprob": likely.get(at), "top_logprobs": top })
    });
    rows.collect()
}

/// `{token, logprob, bytes}`; the bytes come first, because a token need not be whole characters.
fn token(entry: &Value) -> Option<TokenLogprob> {
    let bytes = entry.get("bytes").and_then(Value::as_array).map(|bytes| {
        bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
    });
    let bytes: Option<Vec<u8>> = bytes.unwrap_or_else(|| {
        entry.get("token").and_then(Value::as_str).map(|text| text.as_bytes().to_vec())
    });
    let logprob = entry.get("logprob").and_then(Value::as_f64)?;
    // Rounding makes some a hair more likely than certain.
    let logprob = if logprob > 0.0 && logprob < 1e-3 { 0.0 } else { logprob };
    let sound = logprob.is_finite() && logprob <= 0.0;
    Some(TokenLogprob { bytes: bytes?, logprob, top: Vec::new() }).filter(|_| sound)
}

fn clamp(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
