//! The bytes of tokens.

use std::collections::BTreeMap;

use serde_json::Value;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// How a vocabulary writes bytes.
#[derive(Debug)]
pub(super) enum Spelling {
    /// Each byte as one letter, as in GPT-2; the letters and their bytes.
    Bytes(BTreeMap<char, u8>),
    /// SentencePiece: a space as `▁`, single bytes as `<0x0A>`.
    Pieces,
    /// BERT: `##` before a piece that continues a word.
    Words,
    /// Text as it is.
    Plain,
}

impl Spelling {
    /// The spelling that the tokenizer's decoder reverses.
    pub(super) fn new(tokenizer: &tokenizers::Tokenizer) -> Result<Self, String> {
        // Without a decoder there are no steps, and tokens are plain text.
        let decoder = serde_json::to_value(tokenizer.get_decoder())
            .map_err(|error| format!("decoder: {error}"))?;
        let mut steps = Vec::new();
        kinds(&decoder, &mut steps);
        Ok(match () {
            () if steps.contains(&"ByteLevel") => Self::Bytes(letters()),
            () if steps.contains(&"ByteFallback") || steps.contains(&"Metaspace") => Self::Pieces,
            () if steps.contains(&"WordPiece") => Self::Words,
            () => Self::Plain,
        })
    }

    pub(super) fn bytes(&self, piece: String) -> Vec<u8> {
        match self {
            Self::Bytes(letters) => {
                let bytes: Option<Vec<u8>> =
                    piece.chars().map(|letter| letters.get(&letter).copied()).collect();
                // As the `tokenizers` crate decodes a token that is not in these letters.
                bytes.unwrap_or_else(|| piece.into_bytes())
            }
            Self::Pieces => match single(&piece) {
                Some(byte) => vec![byte],
                None => piece.replace('\u{2581}', " ").into_bytes(),
            },
            Self::Words => match piece.strip_prefix("##") {
                Some(rest) => rest.as_bytes().to_vec(),
                None => format!(" {piece}").into_bytes(),
            },
            Self::Plain => piece.into_bytes(),
        }
    }
}

/// The byte of `<0x0A>`.
pub(super) fn single(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// The names of a decoder's steps.
fn kinds<'a>(decoder: &'a Value, names: &mut Vec<&'a str>) {
    names.extend(decoder.get("type").and_then(Value::as_str));
    for step in decoder.get("decoders").and_then(Value::as_array).into_iter().flatten() {
        kinds(step, names);
    }
}

/// GPT-2's letters: printable bytes stand for themselves, and the letters from U+0100 on for the rest, in
/// order.
fn letters() -> BTreeMap<char, u8> {
    let (printable, rest): (Vec<u8>, Vec<u8>) =
        (0..=u8::MAX).partition(|byte| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff));
    let printable = printable.into_iter().map(|byte| (char::from(byte), byte));
    let letters: BTreeMap<char, u8> = ('\u{100}'..).zip(rest).chain(printable).collect();
    debug_assert!(ByteLevel::alphabet().iter().all(|letter| letters.contains_key(letter)));
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_letter_and_every_letter_is_one_that_tokenizers_uses() {
        let letters = letters();
        let bytes: std::collections::BTreeSet<u8> = letters.values().copied().collect();
        assert_eq!((letters.len(), bytes.len()), (256, 256));
        assert!(ByteLevel::alphabet().iter().all(|letter| letters.contains_key(letter)));
        assert_eq!(letters[&'\u{120}'], b' ');
        assert_eq!(letters[&'\u{10a}'], b'\n');
    }

    #[test]
    fn pieces_spell_spaces_and_single_bytes() {
        assert_eq!(Spelling::Pieces.bytes("\u{2581}a\u{2581}".to_owned()), b" a ");
        assert_eq!(Spelling::Pieces.bytes("<0xE2>".to_owned()), [0xe2]);
        assert_eq!(Spelling::Pieces.bytes("<0xzz>".to_owned()), b"<0xzz>");
        assert_eq!(Spelling::Words.bytes("##ing".to_owned()), b"ing");
    }
}
