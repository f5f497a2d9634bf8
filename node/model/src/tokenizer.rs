//! Text to tokens and back, a token at a time, on character boundaries.

mod bytes;
mod ends;
mod gguf;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{LoadError, files::Files, tools};
use bytes::Spelling;

/// A character has at most four bytes, so at most four tokens; text that is still broken after
/// twice that is not going to mend.
const UNFINISHED_MAX: usize = 8;

/// A model's words, and which tokens end an answer.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    ends: BTreeSet<u32>,
    /// Tokens that the model has numbers for.
    known: usize,
    spelling: Spelling,
    /// Numbers below `known` that stand for nothing.
    unused: BTreeSet<u32>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A piece of text.
    Text,
    /// A mark such as `<bos>`, which is no text.
    Mark,
    /// A number that no token has.
    None,
}

impl Tokenizer {
    /// The words of a folder (its `tokenizer.json`) or of a GGUF file. `vocab` is the number of
    /// tokens in the model's table.
    pub fn read(files: &Files, vocab: usize) -> Result<Self, LoadError> {
        if let Some(gguf) = files.gguf() {
            return Self::of_gguf(gguf.metadata(), &files.place(), vocab);
        }
        let refused =
            |why: String| LoadError::Words { place: files.place(), file: "tokenizer.json", why };
        let bytes = files.need("tokenizer.json")?;
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|error| refused(error.to_string()))?;
        if hides_markup(&inner) {
            inner = with_markup_shown(&bytes).map_err(|error| refused(error.to_string()))?;
        }
        let ends = ends::of_files(files, &inner)?;
        if ends.is_empty() {
            return Err(refused("no eos_token: an answer would never end".to_owned()));
        }
        Ok(Self::new(inner, ends, vocab))
    }

    fn new(inner: tokenizers::Tokenizer, ends: BTreeSet<u32>, known: usize) -> Self {
        let spelling = Spelling::of(&inner);
        Self { inner, ends, known, spelling, unused: BTreeSet::new() }
    }

    /// The tokens of a text. Marks such as `<bos>` that stand in the text are tokens too; none
    /// are added. `None`: the text holds a token that the model has no numbers for.
    pub fn encode(&self, text: &str) -> Option<Vec<u32>> {
        self.tokens(text, false)
    }

    /// The tokens of a text that stands by itself, without a chat template: with the marks that
    /// the model expects around every text, such as `<bos>` before it.
    pub(crate) fn encode_alone(&self, text: &str) -> Option<Vec<u32>> {
        self.tokens(text, true)
    }

    fn tokens(&self, text: &str, alone: bool) -> Option<Vec<u32>> {
        let ids = self.inner.encode_fast(text, alone).ok()?.get_ids().to_vec();
        ids.iter().all(|id| usize::try_from(*id).is_ok_and(|id| id < self.known)).then_some(ids)
    }

    /// Tokens that the model has numbers for, among them such as are in no text.
    pub(crate) fn known(&self) -> usize {
        self.known
    }

    /// Whether an answer is over with this token.
    pub fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The tokens that end an answer, at least one.
    pub fn ends(&self) -> impl Iterator<Item = u32> {
        self.ends.iter().copied()
    }

    /// The text of tokens, without marks.
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.inner.decode(tokens, true).unwrap_or_default()
    }

    /// The bytes of one token, which need not be whole characters; a mark's are its name's, and
    /// what is no token has none.
    pub(crate) fn token_bytes(&self, token: u32) -> Vec<u8> {
        let Some(piece) = self.inner.id_to_token(token) else { return Vec::new() };
        if self.inner.get_added_vocabulary().get_added_tokens_decoder().contains_key(&token) {
            return piece.into_bytes();
        }
        self.spelling.bytes(piece)
    }

    /// What a token is.
    pub(crate) fn kind(&self, token: u32) -> TokenKind {
        let Some(piece) = self.inner.id_to_token(token) else { return TokenKind::None };
        if self.unused.contains(&token) {
            return TokenKind::None;
        }
        let mark = self.is_end(token) || self.inner.get_added_vocabulary().is_special_token(&piece);
        if mark { TokenKind::Mark } else { TokenKind::Text }
    }

    /// A decoder for one answer.
    pub(crate) fn decoder(&self) -> Decoder<'_> {
        Decoder { tokenizer: self, tokens: Vec::new(), context: 0, told: 0 }
    }
}

/// Turns tokens into text as they come.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
    /// Where the tokens begin that are decoded again with each new one: some tokenizers write a
    /// token differently (with or without a space) after others.
    context: usize,
    /// Where the tokens begin whose text was not given out yet.
    told: usize,
}

impl Decoder<'_> {
    /// The text that is complete with this token: empty while a character is unfinished.
    pub(crate) fn push(&mut self, token: u32) -> String {
        self.tokens.push(token);
        let unfinished = self.tokens.len() - self.told;
        let text = self.untold();
        if text.ends_with(char::REPLACEMENT_CHARACTER) && unfinished < UNFINISHED_MAX {
            return String::new();
        }
        (self.context, self.told) = (self.told, self.tokens.len());
        text
    }

    /// What is left: bytes that never became a character, as replacement characters.
    pub(crate) fn finish(self) -> String {
        self.untold()
    }

    fn untold(&self) -> String {
        let from = |start| self.tokens.get(start..).unwrap_or_default();
        let all = self.tokenizer.decode(from(self.context));
        let before = self.tokens.get(self.context..self.told).unwrap_or_default();
        let before = self.tokenizer.decode(before);
        match all.get(before.len()..) {
            Some(text) => text.to_owned(),
            // Bytes given up as broken have mended with what came after.
            None => self.tokenizer.decode(from(self.told)),
        }
    }
}

/// Whether marks that calls of functions are written with would be left out of an answer's text.
fn hides_markup(inner: &tokenizers::Tokenizer) -> bool {
    tools::MARKUP.iter().any(|mark| inner.get_added_vocabulary().is_special_token(mark))
}

/// The same tokenizer, in which calls' marks are text: what a mark is cannot be changed later.
fn with_markup_shown(bytes: &[u8]) -> Result<tokenizers::Tokenizer, serde_json::Error> {
    let mut json: Value = serde_json::from_slice(bytes)?;
    let added = json.get_mut("added_tokens").and_then(Value::as_array_mut);
    for token in added.into_iter().flatten() {
        let is_markup = |content| tools::MARKUP.contains(&content);
        if token.get("content").and_then(Value::as_str).is_some_and(is_markup)
            && let Some(special) = token.get_mut("special")
        {
            *special = Value::Bool(false);
        }
    }
    serde_json::from_value(json)
}

/// A mark of `tokenizer_config.json`: a string, or an object with its `content`.
pub(crate) fn mark(config: &Value, name: &str) -> Option<String> {
    let mark = config.get(name)?;
    mark.as_str().or_else(|| mark.get("content")?.as_str()).map(str::to_owned)
}

/// A JSON file of the model; empty when it is not there.
pub fn json(files: &Files, name: &'static str) -> Result<Value, LoadError> {
    match files.read(name)? {
        None => Ok(Value::Null),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| LoadError::Words {
            place: files.place(),
            file: name,
            why: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests;
