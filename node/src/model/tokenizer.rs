//! Text to tokens and back, a token at a time, on character boundaries.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{LoadError, files::Files};

/// A character has at most four bytes, so at most four tokens; text that is still broken after
/// twice that is not going to mend.
const UNFINISHED_MAX: usize = 8;

/// A model's `tokenizer.json`, and which tokens end an answer.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    ends: BTreeSet<u32>,
    /// Tokens that the model has numbers for.
    known: usize,
}

impl Tokenizer {
    /// `vocab` is the number of tokens in the model's table.
    pub(crate) fn read(files: &Files, vocab: usize) -> Result<Self, LoadError> {
        let refused =
            |why: String| LoadError::Words { place: files.place(), file: "tokenizer.json", why };
        let bytes = files.need("tokenizer.json")?;
        let inner =
            tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| refused(error.to_string()))?;
        let ends = ends(files, &inner)?;
        if ends.is_empty() {
            return Err(refused("no eos_token: an answer would never end".to_owned()));
        }
        Ok(Self { inner, ends, known: vocab })
    }

    /// The tokens of a text. Marks such as `<bos>` that stand in the text are tokens too; none
    /// are added. `None`: the text holds a token that the model has no numbers for.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u32>> {
        let ids = self.inner.encode_fast(text, false).ok()?.get_ids().to_vec();
        ids.iter().all(|id| usize::try_from(*id).is_ok_and(|id| id < self.known)).then_some(ids)
    }

    /// Whether an answer is over with this token.
    pub(crate) fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The tokens that end an answer, at least one.
    pub(crate) fn ends(&self) -> impl Iterator<Item = u32> {
        self.ends.iter().copied()
    }

    /// The text of tokens, without marks.
    pub(crate) fn decode(&self, tokens: &[u32]) -> String {
        self.inner.decode(tokens, true).unwrap_or_default()
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

/// End tokens: by number in `generation_config.json` and `config.json`, by text in
/// `tokenizer_config.json`.
fn ends(files: &Files, inner: &tokenizers::Tokenizer) -> Result<BTreeSet<u32>, LoadError> {
    let mut ends = BTreeSet::new();
    for name in ["generation_config.json", "config.json"] {
        match json(files, name)?.get("eos_token_id") {
            Some(Value::Array(ids)) => ends.extend(ids.iter().filter_map(number)),
            Some(id) => ends.extend(number(id)),
            None => {}
        }
    }
    let config = json(files, "tokenizer_config.json")?;
    ends.extend(mark(&config, "eos_token").and_then(|text| inner.token_to_id(&text)));
    Ok(ends)
}

/// A mark of `tokenizer_config.json`: a string, or an object with its `content`.
pub(crate) fn mark(config: &Value, name: &str) -> Option<String> {
    let mark = config.get(name)?;
    mark.as_str().or_else(|| mark.get("content")?.as_str()).map(str::to_owned)
}

/// A JSON file of the model; empty when it is not there.
pub(crate) fn json(files: &Files, name: &'static str) -> Result<Value, LoadError> {
    match files.read(name)? {
        None => Ok(Value::Null),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| LoadError::Words {
            place: files.place(),
            file: name,
            why: error.to_string(),
        }),
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

#[cfg(test)]
mod tests;
