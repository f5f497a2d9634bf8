//! Log-probabilities of an answer's tokens: whole, and in pieces for a stream.

use serde::Serialize;
use shoal_proto::generate::TokenLogprob;

/// `logprobs` of a choice.
#[derive(Clone, Debug, Serialize)]
pub struct Logprobs {
    /// Each token of the answer.
    pub(crate) content: Vec<Token>,
    /// Always null, which the schema requires.
    refusal: Option<()>,
}

/// A token and its likeliest alternatives.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Token {
    /// Bytes that are not whole characters become U+FFFD here. `bytes` has them unchanged.
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
    /// The log-probabilities of these tokens.
    pub fn new(tokens: &[TokenLogprob]) -> Self {
        Self { content: tokens.iter().map(Token::from).collect(), refusal: None }
    }
}

impl From<&TokenLogprob> for Token {
    fn from(token: &TokenLogprob) -> Self {
        let top_logprobs = token.top.iter().map(Alternative::from).collect();
        let Alternative { token, logprob, bytes } = token.into();
        Self { token, logprob, bytes, top_logprobs }
    }
}

impl From<&TokenLogprob> for Alternative {
    fn from(token: &TokenLogprob) -> Self {
        Self {
            token: String::from_utf8_lossy(&token.bytes).into_owned(),
            logprob: token.logprob,
            bytes: token.bytes.clone(),
        }
    }
}

/// Cuts a text where its tokens end, but never inside a character. Each piece has the tokens whose
/// bytes it is. Text that the tokens do not cover comes last, without tokens.
pub(crate) fn pieces<'a>(
    text: &'a str,
    tokens: &'a [TokenLogprob],
) -> Vec<(&'a str, &'a [TokenLogprob])> {
    let mut pieces = Vec::new();
    let (mut start, mut end, mut first) = (0, 0, 0);
    for (index, token) in tokens.iter().enumerate() {
        let rest = text.as_bytes().get(end..).unwrap_or_default();
        if !rest.starts_with(&token.bytes) {
            break;
        }
        end += token.bytes.len();
        if end > start && text.is_char_boundary(end) {
            let piece = text.get(start..end).unwrap_or_default();
            pieces.push((piece, tokens.get(first..=index).unwrap_or_default()));
            (start, first) = (end, index + 1);
        }
    }
    match text.get(start..) {
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
        pieces(text, &tokens)
            .into_iter()
            .map(|(text, tokens)| (text.to_owned(), tokens.len()))
            .collect()
    }

    #[test]
    fn a_piece_is_a_token_and_no_character_is_cut() {
        let fish = "\u{1f41f}".as_bytes();
        let tokens: [&[u8]; 4] = [b"a ", &fish[..2], &fish[2..], b"!"];
        let pieces = [("a ".into(), 1), ("\u{1f41f}".into(), 2), ("!".into(), 1)];
        assert_eq!(cut("a \u{1f41f}!", &tokens), pieces);
    }

    #[test]
    fn text_that_the_tokens_do_not_cover_is_sent_too() {
        assert_eq!(cut("ab", &[b"a", b"c"]), [("a".into(), 1), ("b".into(), 0)]);
        assert_eq!(cut("ab", &[]), [("ab".into(), 0)]);
        assert_eq!(cut("", &[b"a"]), []);
    }

    #[test]
    fn bytes_of_all_tokens_are_the_text() {
        let tokens = [token(&[0xf0, 0x9f]), token(&[0x90, 0x9f])];
        let logprobs = serde_json::to_value(Logprobs::new(&tokens)).expect("JSON");
        let bytes: Vec<u8> = logprobs["content"]
            .as_array()
            .expect("an array")
            .iter()
            .flat_map(|token| token["bytes"].as_array().expect("bytes").clone())
            .map(|byte| u8::try_from(byte.as_u64().expect("a byte")).expect("a byte"))
            .collect();
        assert_eq!(String::from_utf8(bytes).expect("text"), "\u{1f41f}");
        assert!(logprobs["refusal"].is_null());
    }
}
