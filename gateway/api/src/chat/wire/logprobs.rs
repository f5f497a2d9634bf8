//! Log-probabilities of an answer's tokens, whole and cut for a stream.

use serde::Serialize;
use shoal_proto::generate::TokenLogprob;

/// `logprobs` of a choice.
#[derive(Clone, Debug, Serialize)]
pub struct Logprobs {
    content: Vec<Token>,
    /// Required by the schema, even as null.
    refusal: Option<()>,
}

#[derive(Clone, Debug, Serialize)]
struct Token {
    /// Bytes that are no whole characters show as U+FFFD; `bytes` has them as they are.
    token: String,
    logprob: f64,
    bytes: Vec<u8>,
    top_logprobs: Vec<Alternative>,
}

#[derive(Clone, Debug, Serialize)]
struct Alternative {
    token: String,
    logprob: f64,
    bytes: Vec<u8>,
}

impl Logprobs {
    pub fn of(tokens: &[TokenLogprob]) -> Self {
        let alternative = |one: &TokenLogprob| Alternative {
            token: String::from_utf8_lossy(&one.bytes).into_owned(),
            logprob: one.logprob,
            bytes: one.bytes.clone(),
        };
        let token = |one: &TokenLogprob| {
            let Alternative { token, logprob, bytes } = alternative(one);
            Token { token, logprob, bytes, top_logprobs: one.top.iter().map(alternative).collect() }
        };
        Self { content: tokens.iter().map(token).collect(), refusal: None }
    }
}

/// Cuts a text where its tokens end, and never inside of a character: each piece with the tokens
/// that are its bytes. What the tokens do not account for comes last, without any.
pub fn pieces<'a>(text: &'a str, tokens: &'a [TokenLogprob]) -> Vec<(&'a str, &'a [TokenLogprob])> {
    let mut pieces = Vec::new();
    let (mut begun, mut end, mut first) = (0, 0, 0);
    for (at, token) in tokens.iter().enumerate() {
        let rest = text.as_bytes().get(end..).unwrap_or_default();
        if !rest.starts_with(&token.bytes) {
            break;
        }
        end += token.bytes.len();
        if end > begun && text.is_char_boundary(end) {
            let piece = text.get(begun..end).unwrap_or_default();
            pieces.push((piece, tokens.get(first..=at).unwrap_or_default()));
            (begun, first) = (end, at + 1);
        }
    }
    match text.get(begun..) {
        Some(rest) if !rest.is_empty() => pieces.push((rest, &[])),
        _ => {}
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(bytes: &[u8]) -> TokenLogprob {
        TokenLogprob { bytes: bytes.to_vec(), logprob: -0.5, top: Vec::new() }
    }

    fn cut(text: &str, tokens: &[&[u8]]) -> Vec<(String, usize)> {
        let tokens: Vec<_> = tokens.iter().map(|bytes| token(bytes)).collect();
        pieces(text, &tokens).into_iter().map(|(text, of)| (text.to_owned(), of.len())).collect()
    }

    #[test]
    fn a_piece_is_a_token_and_no_character_is_cut() {
        let fish = "\u{1f41f}".as_bytes();
        let tokens: [&[u8]; 4] = [b"a ", &fish[..2], &fish[2..], b"!"];
        let expected = [("a ".into(), 1), ("\u{1f41f}".into(), 2), ("!".into(), 1)];
        assert_eq!(cut("a \u{1f41f}!", &tokens), expected);
    }

    #[test]
    fn what_the_tokens_do_not_say_is_told_all_the_same() {
        assert_eq!(cut("ab", &[b"a", b"c"]), [("a".into(), 1), ("b".into(), 0)]);
        assert_eq!(cut("ab", &[]), [("ab".into(), 0)]);
        assert_eq!(cut("", &[b"a"]), []);
    }

    #[test]
    fn bytes_of_all_tokens_are_the_text() {
        let tokens = [token(&[0xf0, 0x9f]), token(&[0x90, 0x9f])];
        let shown = serde_json::to_value(Logprobs::of(&tokens)).expect("JSON");
        let bytes: Vec<u8> = shown["content"]
            .as_array()
            .expect("an array")
            .iter()
            .flat_map(|one| one["bytes"].as_array().expect("bytes").clone())
            .map(|byte| u8::try_from(byte.as_u64().expect("a byte")).expect("a byte"))
            .collect();
        assert_eq!(String::from_utf8(bytes).expect("text"), "\u{1f41f}");
        assert!(shown["refusal"].is_null());
    }
}
