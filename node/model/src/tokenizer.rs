//! Text to tokens and back, one token at a time, at character boundaries.

mod bytes;
mod ends;
mod gguf;
mod marks;

use std::collections::BTreeSet;

use serde_json::Value;

use tokenizers::{Model as _, OffsetType, PreTokenizer as _, tokenizer::NormalizedString};

use super::{LoadError, files::Files, step::Broken, tools};
use bytes::Spelling;
use marks::BREAK;
pub(crate) use marks::Marks;

/// A character has at most four bytes, so at most four tokens. Text that is still incomplete after twice as
/// many is broken and stays so.
const PARTIAL_MAX: usize = 8;

/// Words whose tokens are remembered. The library remembers 10,000 and never forgets one: up to 8 KiB for each,
/// so 80 MB after a day of random text. These take 8 MB at most, and 200 KB with the words of a language.
const WORDS_MAX: usize = 1_000;

/// A vocabulary with fewer tokens has no words: it takes a whole prompt for one, and no prompt comes twice.
const VOCABULARY_WITH_WORDS: usize = 1_000;

/// A model's vocabulary, and the tokens that end an answer.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    ends: BTreeSet<u32>,
    /// The token by which the model says that it cannot answer. No text contains it.
    abstention: Option<u32>,
    /// Size of the model's token table.
    count: usize,
    spelling: Spelling,
    marks: Marks,
    /// Numbers below `count` without a meaning.
    gaps: BTreeSet<u32>,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A piece of text.
    Text,
    /// A control token such as `<bos>`, which is not text.
    Mark,
    /// Not a token.
    None,
}

impl Tokenizer {
    /// The vocabulary of a folder (its `tokenizer.json`) or of a GGUF file. `vocab` is the size of the
    /// model's token table.
    ///
    /// # Errors
    /// When there is no vocabulary, it is invalid, or no token ends an answer.
    pub fn read(files: &Files, vocab: usize) -> Result<Self, LoadError> {
        if let Some(gguf) = files.gguf() {
            return Self::from_gguf(gguf.metadata(), &files.place(), vocab);
        }
        let bytes = files.need("tokenizer.json")?;
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|error| fault(files, error.to_string()))?;
        let abstention = ends::abstention(files, vocab)?;
        if hides_markup(&inner) || abstention.is_some() {
            inner = with_marks_as_text(&bytes, abstention)
                .map_err(|error| fault(files, error.to_string()))?;
        }
        let ends = ends::from_files(files, &inner)?;
        if ends.is_empty() {
            return Err(fault(files, "no eos_token: an answer would never end".to_owned()));
        }
        let tokenizer = Self::new(inner, ends, vocab).map_err(|why| fault(files, why))?;
        Ok(Self { abstention, ..tokenizer })
    }

    fn new(
        mut inner: tokenizers::Tokenizer,
        ends: BTreeSet<u32>,
        count: usize,
    ) -> Result<Self, String> {
        // The library has no access to the model that is in use, only to a copy.
        let mut model = inner.get_model().clone();
        model.resize_cache(if count < VOCABULARY_WITH_WORDS { 0 } else { WORDS_MAX });
        inner.with_model(model);
        let (spelling, marks) = (Spelling::new(&inner)?, Marks::new(&inner, &ends));
        Ok(Self { inner, ends, abstention: None, count, spelling, marks, gaps: BTreeSet::new() })
    }

    /// The tokens of a text. Control tokens such as `<bos>` in the text become tokens too, except those
    /// that [`Marks::break_in`] has broken; none are added.
    /// `None`: the text has a token outside of the model's table.
    pub fn encode(&self, text: &str) -> Option<Vec<u32>> {
        if text.contains(BREAK) { self.broken_tokens(text) } else { self.tokens(text, false) }
    }

    /// The tokens of a text in which no control token counts: what people and other models write.
    pub fn encode_text(&self, text: &str) -> Option<Vec<u32>> {
        self.encode(&self.marks.break_in(text))
    }

    /// The control tokens that a text can spell.
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The tokens of a text without a chat template, with the control tokens that the model expects around
    /// every text, such as `<bos>` before it.
    pub(crate) fn encode_alone(&self, text: &str) -> Option<Vec<u32>> {
        self.tokens(text, true)
    }

    fn tokens(&self, text: &str, alone: bool) -> Option<Vec<u32>> {
        self.within_table(self.inner.encode_fast(text, alone).ok()?.get_ids().to_vec())
    }

    /// The tokens of a text with broken marks: the steps of the tokenizer, and after it has looked for
    /// control tokens, the letters that broke them are removed.
    fn broken_tokens(&self, text: &str) -> Option<Vec<u32>> {
        let normalizer = self.inner.get_normalizer();
        let mut pieces = self.inner.get_added_vocabulary().extract_and_normalize(normalizer, text);
        pieces
            .split(|_, mut piece: NormalizedString| {
                piece.filter(|letter| letter != BREAK);
                Ok(std::iter::once(piece))
            })
            .ok()?;
        if let Some(steps) = self.inner.get_pre_tokenizer() {
            steps.pre_tokenize(&mut pieces).ok()?;
        }
        pieces.tokenize(|piece| self.plain_tokens(piece.get())).ok()?;
        let ids = pieces.into_encoding(None, 0, OffsetType::None).ok()?.get_ids().to_vec();
        self.within_table(ids)
    }

    /// The tokens of a piece of text. Where the model's vocabulary holds the names of control tokens
    /// beside text, a piece that comes out as one is cut into its letters.
    fn plain_tokens(&self, piece: &str) -> tokenizers::Result<Vec<tokenizers::Token>> {
        let model = self.inner.get_model();
        let tokens = model.tokenize(piece)?;
        if !tokens.iter().any(|token| self.marks.contains(token.id)) {
            return Ok(tokens);
        }
        let mut letters = [0; 4];
        let letters = piece.chars().map(|letter| model.tokenize(letter.encode_utf8(&mut letters)));
        Ok(letters.collect::<tokenizers::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn within_table(&self, ids: Vec<u32>) -> Option<Vec<u32>> {
        ids.iter().all(|id| usize::try_from(*id).is_ok_and(|id| id < self.count)).then_some(ids)
    }

    /// Size of the model's token table, which may include tokens that are in no text.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether this token ends an answer.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The token by which the model says that it cannot answer, if it has one
    /// (`abstain_token_id` in `generation_config.json`). It is no part of any text.
    pub fn abstention(&self) -> Option<u32> {
        self.abstention
    }

    /// The tokens that end an answer, at least one.
    pub fn ends(&self) -> impl Iterator<Item = u32> {
        self.ends.iter().copied()
    }

    /// The text of tokens, without control tokens. Numbers without a token give no text.
    ///
    /// # Errors
    /// When the tokenizer's own decoder fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, Broken> {
        self.inner.decode(tokens, true).map_err(|_| Broken)
    }

    /// The bytes of one token, which may be part of a character. A control token has the bytes of its name.
    /// A number without a token has none: many models pad their table to a round size.
    pub(crate) fn token_bytes(&self, token: u32) -> Vec<u8> {
        let Some(piece) = self.inner.id_to_token(token) else { return Vec::new() };
        if self.inner.get_added_vocabulary().get_added_tokens_decoder().contains_key(&token) {
            return piece.into_bytes();
        }
        self.spelling.bytes(piece)
    }

    /// The kind of a token.
    pub(crate) fn kind(&self, token: u32) -> TokenKind {
        let Some(piece) = self.inner.id_to_token(token) else { return TokenKind::None };
        // A tokenizer may add tokens for which the model has no row.
        let is_row = usize::try_from(token).is_ok_and(|token| token < self.count);
        if !is_row || self.gaps.contains(&token) {
            return TokenKind::None;
        }
        let is_mark =
            self.is_end(token) || self.inner.get_added_vocabulary().is_special_token(&piece);
        if is_mark { TokenKind::Mark } else { TokenKind::Text }
    }

    /// A decoder for one answer.
    pub(crate) fn decoder(&self) -> Decoder<'_> {
        Decoder { tokenizer: self, tokens: Vec::new(), context: 0, output_end: 0 }
    }
}

/// Turns tokens into text one by one.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
    /// Start of the tokens that are decoded again with each new token: some tokenizers write a token
    /// differently (with or without a space) after others.
    context: usize,
    /// Start of the tokens whose text is not returned yet.
    output_end: usize,
}

impl Decoder<'_> {
    /// The text that is complete with this token: empty while a character is incomplete.
    pub(crate) fn push(&mut self, token: u32) -> Result<String, Broken> {
        self.tokens.push(token);
        let pending_tokens = self.tokens.len() - self.output_end;
        let text = self.pending_text()?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) && pending_tokens < PARTIAL_MAX {
            return Ok(String::new());
        }
        (self.context, self.output_end) = (self.output_end, self.tokens.len());
        Ok(text)
    }

    /// The rest of the text. Bytes that form no character become replacement characters.
    pub(crate) fn finish(self) -> Result<String, Broken> {
        self.pending_text()
    }

    fn pending_text(&self) -> Result<String, Broken> {
        let before = self.tokens.get(self.context..self.output_end).ok_or(Broken)?;
        let before = self.tokenizer.decode(before)?;
        let text = self.decode_from(self.context)?;
        match text.get(before.len()..) {
            Some(text) => Ok(text.to_owned()),
            // Bytes that were returned as broken form a character with the bytes after them.
            None => self.decode_from(self.output_end),
        }
    }

    fn decode_from(&self, start: usize) -> Result<String, Broken> {
        self.tokenizer.decode(self.tokens.get(start..).ok_or(Broken)?)
    }
}

fn fault(files: &Files, why: String) -> LoadError {
    LoadError::InvalidFile { place: files.place(), file: "tokenizer.json", why }
}

/// Whether the markup of function calls would be missing from an answer's text.
fn hides_markup(inner: &tokenizers::Tokenizer) -> bool {
    tools::MARKUP.iter().any(|mark| inner.get_added_vocabulary().is_special_token(mark))
}

/// The same tokenizer with the markup of calls as text, and without a name for the abstention: a text
/// that contains this name is a text like any other. The kind of a token cannot be changed later.
fn with_marks_as_text(
    bytes: &[u8],
    abstention: Option<u32>,
) -> Result<tokenizers::Tokenizer, serde_json::Error> {
    let mut json: Value = serde_json::from_slice(bytes)?;
    let mut added_tokens = json.get_mut("added_tokens").and_then(Value::as_array_mut);
    if let (Some(tokens), Some(abstention)) = (&mut added_tokens, abstention) {
        tokens.retain(|token| token.get("id").and_then(ends::number) != Some(abstention));
    }
    for token in added_tokens.into_iter().flatten() {
        let content = token.get("content").and_then(Value::as_str);
        if content.is_some_and(|content| tools::MARKUP.contains(&content))
            && let Some(special) = token.get_mut("special")
        {
            *special = Value::Bool(false);
        }
    }
    serde_json::from_value(json)
}

/// A control token in `tokenizer_config.json`: a string, or an object with its `content`.
pub(crate) fn mark(config: &Value, name: &str) -> Option<String> {
    let mark = config.get(name)?;
    mark.as_str().or_else(|| mark.get("content")?.as_str()).map(str::to_owned)
}

/// A JSON file of the model; `Null` when there is none.
///
/// # Errors
/// When the file cannot be read or is not JSON.
pub fn json(files: &Files, name: &'static str) -> Result<Value, LoadError> {
    match files.read(name)? {
        None => Ok(Value::Null),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| LoadError::InvalidFile {
            place: files.place(),
            file: name,
            why: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests;
