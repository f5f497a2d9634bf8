//! Log-probabilities of tokens, in the two forms in which endpoints send them.

use serde_json::{Value, json};
use shoal_proto::generate::TokenLogprob;

/// Log-probabilities as far as they have arrived.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Whether all of them were valid so far.
    tokens: Vec<TokenLogprob>,
    senseless: bool,
}

impl Tokens {
    /// Reads the `logprobs` of a choice: those of a chat are rows, those of a completion columns.
    pub(super) fn read(&mut self, logprobs: &Value) {
        if let Some(entries) = logprobs.get("content").and_then(Value::as_array) {
            self.extend(entries);
        } else if logprobs.get("tokens").is_some() {
            self.extend(&rows(logprobs));
        }
    }

    /// A list with an invalid number is of no use, and neither is a part of a list.
    fn extend(&mut self, entries: &[Value]) {
        let read = entries.iter().map(|entry| {
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

    /// All of them, or none.
    pub(super) fn into_tokens(self) -> Vec<TokenLogprob> {
        self.tokens
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
    // Rounding makes some probabilities slightly greater than 1.
    let logprob = if logprob > 0.0 && logprob < 1e-3 { 0.0 } else { logprob };
    let sound = logprob.is_finite() && logprob <= 0.0;
    Some(TokenLogprob { bytes: bytes?, logprob, top: Vec::new() }).filter(|_| sound)
}
