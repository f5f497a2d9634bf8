//! The answers of `POST /v1/completions`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};
use shoal_proto::generate::TokenLogprob;

use super::CompletionRequest;
use crate::{
    Usage,
    chat::wire::{fingerprint, finish_reason, logprob_pieces},
    text::{self, pieces},
};
use shoal_consensus::{Candidate, Outcome};

/// What a whole answer and each of its chunks have in common.
#[derive(Clone, Debug)]
pub struct Head {
    /// `cmpl-` and a random name.
    pub id: String,
    /// In Unix seconds.
    pub created: u64,
    /// The name that the client sent.
    pub model: String,
}

/// A whole answer, or a chunk of a stream: they have the same form.
#[derive(Debug, Serialize)]
pub struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: Cow<'a, str>,
    choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

impl<'a> Completion<'a> {
    /// An answer or chunk with these choices. The outer `None` of `usage` leaves the key out; the
    /// inner one is null.
    pub fn new(
        head: &'a Head,
        choices: Vec<Choice>,
        system_fingerprint: impl Into<Cow<'a, str>>,
        usage: Option<Option<Usage>>,
    ) -> Self {
        Self {
            id: &head.id,
            object: "text_completion",
            created: head.created,
            model: &head.model,
            system_fingerprint: system_fingerprint.into(),
            choices,
            usage,
        }
    }

    /// The whole answer to a request, with what it cost. `outcomes` are those of the request's
    /// prompts, in order. `None` if an outcome has no answer.
    pub fn whole(
        head: &'a Head,
        request: &CompletionRequest,
        outcomes: &[Box<Outcome>],
    ) -> Option<(Usage, Self)> {
        let mut usage = Usage::default();
        let mut choices = Vec::new();
        for (prompt_index, (prompt, outcome)) in request.prompts.iter().zip(outcomes).enumerate() {
            let candidates = request.choices(outcome);
            usage.add(&Usage::from_choices(&candidates));
            let echo = if request.echo { prompt.text.as_str() } else { "" };
            let first = prompt_index * request.chat.ask.choices;
            for (index, candidate) in candidates.iter().enumerate() {
                let logprobs = request.logprobs.is_some();
                choices.push(Choice::whole(first + index, echo, candidate, logprobs));
            }
        }
        let fingerprint = fingerprint(&outcomes.first()?.winner()?.model);
        Some((usage, Self::new(head, choices, fingerprint, Some(Some(usage)))))
    }
}

/// An answer to a prompt, or a part of one.
#[derive(Debug, Serialize)]
pub struct Choice {
    index: usize,
    text: String,
    /// Required by the schema, even as null.
    logprobs: Option<Logprobs>,
    /// Null before the last chunk.
    finish_reason: Option<&'static str>,
}

impl Choice {
    /// A whole answer, with `echo` before its text.
    pub fn whole(index: usize, echo: &str, candidate: &Candidate, logprobs: bool) -> Self {
        let has_logprobs = logprobs && !candidate.tokens.is_empty();
        Self {
            index,
            text: format!("{echo}{}", candidate.text),
            logprobs: has_logprobs.then(|| Logprobs::new(&candidate.tokens, 0)),
            finish_reason: Some(reason(candidate)),
        }
    }

    /// More text of an answer.
    pub fn piece(index: usize, text: &str, logprobs: Option<Logprobs>) -> Self {
        Self { index, text: text.to_owned(), logprobs, finish_reason: None }
    }

    /// The end of an answer.
    pub fn end(index: usize, candidate: &Candidate) -> Self {
        let finish_reason = Some(reason(candidate));
        Self { index, text: String::new(), logprobs: None, finish_reason }
    }
}

/// This endpoint has no functions, so that no answer ends with a call.
fn reason(candidate: &Candidate) -> &'static str {
    match finish_reason(candidate.finish) {
        "tool_calls" => "stop",
        reason => reason,
    }
}

/// The text of an answer after its first `offset` bytes, in pieces, with log-probabilities if
/// nothing of it is sent yet.
pub(super) fn rest(
    candidate: &Candidate,
    offset: usize,
    logprobs: bool,
) -> Vec<(&str, Option<Logprobs>)> {
    if logprobs && offset == 0 && !candidate.tokens.is_empty() {
        let mut start = 0;
        return logprob_pieces(&candidate.text, &candidate.tokens)
            .into_iter()
            .map(|(text, tokens)| {
                let logprobs = (!tokens.is_empty()).then(|| Logprobs::new(tokens, start));
                start += text.chars().count();
                (text, logprobs)
            })
            .collect();
    }
    pieces(text::rest(&candidate.text, offset)).map(|text| (text, None)).collect()
}

/// Log-probabilities in this endpoint's form, which is columns.
#[derive(Debug, Serialize)]
pub struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f64>,
    /// The likeliest alternatives at each place, by token. Of two tokens with the same text this
    /// has the likelier one.
    top_logprobs: Vec<Map<String, Value>>,
    /// Where each token starts, in characters of the text.
    text_offset: Vec<usize>,
}

impl Logprobs {
    /// Columns of `tokens`, the first of which starts at `start`.
    fn new(tokens: &[TokenLogprob], start: usize) -> Self {
        let mut offset = start;
        let mut text_offset = Vec::with_capacity(tokens.len());
        for token in tokens {
            text_offset.push(offset);
            offset += token_text(token).chars().count();
        }
        Self {
            tokens: tokens.iter().map(token_text).collect(),
            token_logprobs: tokens.iter().map(|token| token.logprob).collect(),
            top_logprobs: tokens.iter().map(alternatives).collect(),
            text_offset,
        }
    }
}

fn alternatives(token: &TokenLogprob) -> Map<String, Value> {
    let mut alternatives = Map::new();
    for token in &token.top {
        alternatives.entry(token_text(token)).or_insert_with(|| token.logprob.into());
    }
    alternatives
}

/// The text of a token. Bytes that are not whole characters become U+FFFD.
fn token_text(token: &TokenLogprob) -> String {
    String::from_utf8_lossy(&token.bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, top: Vec<TokenLogprob>) -> TokenLogprob {
        TokenLogprob { bytes: text.as_bytes().to_vec(), logprob: -0.5, top }
    }

    #[test]
    fn columns_are_of_equal_length_and_offsets_count_characters() {
        let top = vec![token("ü", Vec::new()), token("u", Vec::new())];
        let columns = Logprobs::new(&[token("ü", top), token("ber", Vec::new())], 3);
        assert_eq!(columns.tokens, ["ü", "ber"]);
        assert_eq!(columns.text_offset, [3, 4]);
        assert_eq!(columns.top_logprobs[0].len(), 2);
        assert_eq!((columns.token_logprobs.len(), columns.top_logprobs.len()), (2, 2));
    }
}
