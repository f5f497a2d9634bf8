//! Completions as they stand on the wire.

use serde::Serialize;
use serde_json::{Map, Value};
use shoal_proto::generate::TokenLogprob;

use crate::chat::wire::{Usage, finish_reason, logprob_pieces};
use crate::text;
use shoal_consensus::Candidate;

/// What is the same on a whole answer and on each of its chunks.
#[derive(Clone, Debug)]
pub struct Head {
    pub id: String,
    pub created: u64,
    /// As it was asked for.
    pub model: String,
}

/// A whole answer, or a chunk of one: they have the same shape.
#[derive(Debug, Serialize)]
pub struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'a str,
    choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

impl<'a> Completion<'a> {
    pub fn of(
        head: &'a Head,
        choices: Vec<Choice>,
        system_fingerprint: &'a str,
        usage: Option<Option<Usage>>,
    ) -> Self {
        Self {
            id: &head.id,
            object: "text_completion",
            created: head.created,
            model: &head.model,
            system_fingerprint,
            choices,
            usage,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Choice {
    index: usize,
    text: String,
    /// Required by the schema, even as null.
    logprobs: Option<Logprobs>,
    /// Null until the last chunk.
    finish_reason: Option<&'static str>,
}

impl Choice {
    pub fn whole(index: usize, echoed: &str, candidate: &Candidate, logprobs: bool) -> Self {
        let known = logprobs && !candidate.tokens.is_empty();
        Self {
            index,
            text: format!("{echoed}{}", candidate.text),
            logprobs: known.then(|| Logprobs::of(&candidate.tokens, 0)),
            finish_reason: Some(reason(candidate)),
        }
    }

    pub fn piece(index: usize, text: &str, logprobs: Option<Logprobs>) -> Self {
        Self { index, text: text.to_owned(), logprobs, finish_reason: None }
    }

    pub fn end(index: usize, candidate: &Candidate) -> Self {
        let finish_reason = Some(reason(candidate));
        Self { index, text: String::new(), logprobs: None, finish_reason }
    }
}

/// There are no functions here, so no answer ends by calling one.
fn reason(candidate: &Candidate) -> &'static str {
    match finish_reason(candidate.finish) {
        "tool_calls" => "stop",
        reason => reason,
    }
}

/// What was not told yet of an answer, in pieces.
pub fn rest(candidate: &Candidate, told: usize, logprobs: bool) -> Vec<(&str, Option<Logprobs>)> {
    if logprobs && told == 0 && !candidate.tokens.is_empty() {
        let mut offset = 0;
        let pieces = logprob_pieces(&candidate.text, &candidate.tokens).into_iter();
        return pieces
            .map(|(text, tokens)| {
                let known = (!tokens.is_empty()).then(|| Logprobs::of(tokens, offset));
                offset += text.chars().count();
                (text, known)
            })
            .collect();
    }
    let rest = candidate.text.get(told..).unwrap_or_default();
    text::pieces(rest).map(|text| (text, None)).collect()
}

/// Log-probabilities in the older form: columns.
#[derive(Debug, Serialize)]
pub struct Logprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f64>,
    /// The likeliest in each place, by token. Of two that show as the same text the likelier one
    /// stands here.
    top_logprobs: Vec<Map<String, Value>>,
    /// Where each begins, in characters of the text.
    text_offset: Vec<usize>,
}

impl Logprobs {
    fn of(tokens: &[TokenLogprob], begin: usize) -> Self {
        let shown = |token: &TokenLogprob| String::from_utf8_lossy(&token.bytes).into_owned();
        let mut offset = begin;
        let mut text_offset = Vec::with_capacity(tokens.len());
        for token in tokens {
            text_offset.push(offset);
            offset += shown(token).chars().count();
        }
        let top = |token: &TokenLogprob| {
            let mut likeliest = Map::new();
            for one in &token.top {
                likeliest.entry(shown(one)).or_insert_with(|| one.logprob.into());
            }
            likeliest
        };
        Self {
            tokens: tokens.iter().map(shown).collect(),
            token_logprobs: tokens.iter().map(|token| token.logprob).collect(),
            top_logprobs: tokens.iter().map(top).collect(),
            text_offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_of_equal_length_and_offsets_count_characters() {
        let token = |text: &str, top: &[&str]| TokenLogprob {
            bytes: text.as_bytes().to_vec(),
            logprob: -0.5,
            top: top
                .iter()
                .map(|text| TokenLogprob {
                    bytes: text.as_bytes().to_vec(),
                    logprob: -1.0,
                    top: Vec::new(),
                })
                .collect(),
        };
        let columns = Logprobs::of(&[token("ü", &["ü", "u"]), token("ber", &[])], 3);
        assert_eq!(columns.tokens, ["ü", "ber"]);
        assert_eq!(columns.text_offset, [3, 4]);
        assert_eq!(columns.top_logprobs[0].len(), 2);
        assert_eq!((columns.token_logprobs.len(), columns.top_logprobs.len()), (2, 2));
    }
}
