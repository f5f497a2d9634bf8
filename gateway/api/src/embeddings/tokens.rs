//! Texts that come as token numbers.
//!
//! LangChain cuts long texts with OpenAI's tokenizer and sends its numbers, whatever the model. Members
//! have tokenizers of their own, so the numbers become text again here.

use serde_json::Value;
use tiktoken_rs::cl100k_base_singleton;

use crate::error::AskError;

/// Most token numbers in one request (OpenAI's limit).
const TOKENS_MAX: usize = 300_000;
/// Most bytes of the texts of one request: some tokens stand for more than a hundred bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Tokens that are decoded before the texts are measured again.
const PART: usize = 1024;

/// Decodes the token numbers of one request with `cl100k_base`, the vocabulary of OpenAI's embedding
/// models. The texts together are bounded.
#[derive(Debug, Default)]
pub(super) struct TokenDecoder {
    tokens: usize,
    bytes: usize,
}

impl TokenDecoder {
    /// The text of the token numbers at `path`. A character that is cut at the beginning or at the end
    /// becomes U+FFFD.
    ///
    /// # Errors
    /// When there is no number, one is not in the vocabulary, or the request has too many.
    pub(super) fn decode(&mut self, values: &[Value], path: &str) -> Result<String, AskError> {
        if values.is_empty() {
            return Err(AskError::empty_array(path));
        }
        self.tokens += values.len();
        if self.tokens > TOKENS_MAX {
            return Err(AskError::array_too_long("input", TOKENS_MAX, self.tokens));
        }
        let mut bytes = Vec::new();
        for (index, part) in values.chunks(PART).enumerate() {
            bytes.extend(decode_part(part, index * PART, path)?);
            if self.bytes + bytes.len() > TEXT_BYTES_MAX {
                let message = format!(
                    "Invalid 'input': the texts of these token numbers have more than {TEXT_BYTES_MAX} bytes."
                );
                return Err(AskError::plain(Some("input"), &message));
            }
        }
        self.bytes += bytes.len();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The bytes of token numbers, of which the first has the index `from` in the array at `path`.
fn decode_part(values: &[Value], from: usize, path: &str) -> Result<Vec<u8>, AskError> {
    let mut tokens = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let path = || format!("{path}[{}]", from + index);
        match value.as_u64().map(u32::try_from) {
            Some(Ok(token)) => tokens.push(token),
            Some(Err(_)) => return Err(not_in_vocabulary(&path(), &value.to_string())),
            None if value.is_number() => {
                return Err(not_in_vocabulary(&path(), &value.to_string()));
            }
            None => return Err(AskError::wrong_type(&path(), "an integer", value)),
        }
    }
    let decoded = cl100k_base_singleton().decode_bytes(&tokens);
    decoded.map_err(|unknown| {
        let index = tokens.iter().position(|token| *token == unknown.token).unwrap_or_default();
        not_in_vocabulary(&format!("{path}[{}]", from + index), &unknown.token.to_string())
    })
}

fn not_in_vocabulary(path: &str, token: &str) -> AskError {
    let expectation = format!("a token number of 'cl100k_base', but got {token}; or send text");
    AskError::bad_form(path, &expectation)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(values: &Value) -> Result<String, AskError> {
        let values = values.as_array().expect("an array");
        TokenDecoder::default().decode(values, "input")
    }

    #[test]
    fn the_numbers_of_openais_tokenizer_are_text() {
        // As `tiktoken.get_encoding("cl100k_base")` numbers them.
        assert_eq!(decode(&json!([9906, 11, 1917, 0])).as_deref(), Ok("Hello, world!"));
    }

    #[test]
    fn a_character_that_is_cut_is_replaced() {
        let whole = cl100k_base_singleton().encode_ordinary("🦈");
        assert!(whole.len() > 1, "{whole:?}");
        assert_eq!(decode(&json!(whole)).as_deref(), Ok("🦈"));
        assert_eq!(decode(&json!(whole[..1])).as_deref(), Ok("\u{fffd}"));
    }

    #[test]
    fn a_number_outside_of_the_vocabulary_is_named() {
        for number in [json!(100_256), json!(-1), json!(1.5), json!(u64::MAX)] {
            let error = decode(&json!([9906, number])).expect_err("refused");
            assert_eq!(error.param.as_deref(), Some("input[1]"), "{error:?}");
            assert!(error.message.contains("cl100k_base"), "{error:?}");
        }
        let error = decode(&json!([9906, "x"])).expect_err("refused");
        assert_eq!((error.param.as_deref(), error.code), (Some("input[1]"), Some("invalid_type")));
    }

    #[test]
    fn tokens_and_bytes_of_a_request_are_bounded() {
        let mut decoder = TokenDecoder::default();
        let half = vec![json!(0); TOKENS_MAX / 2];
        assert!(decoder.decode(&half, "input[0]").is_ok());
        assert!(decoder.decode(&half, "input[1]").is_ok());
        let error = decoder.decode(&[json!(0)], "input[2]").expect_err("refused");
        assert_eq!(error.code, Some("array_above_max_length"));
        let spaces = cl100k_base_singleton().encode_ordinary(&" ".repeat(80));
        let many = vec![json!(spaces[0]); TEXT_BYTES_MAX / 80 + 1];
        let error = TokenDecoder::default().decode(&many, "input").expect_err("refused");
        assert!(error.message.contains("bytes"), "{error:?}");
    }
}
