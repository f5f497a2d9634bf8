//! Control tokens that are spelled in a text which people or other models wrote.
//!
//! A chat template's own `<|im_end|>` is a control token; the same letters in a message are letters.
//! Otherwise a message could end its turn and forge the next one. Before a message goes into the
//! template, a noncharacter is put behind the first letter of each mark in it ([`Marks::break_in`]).
//! The tokenizer then finds no mark there, and removes the noncharacter before it cuts the text into
//! tokens, so that the tokens are those of the plain letters.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::Value;

use crate::tools;

/// Breaks a mark. Unicode reserves it for such use inside of programs.
pub(crate) const BREAK: char = '\u{fdd0}';

/// The control tokens of a vocabulary that a text can spell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    names: BTreeSet<String>,
    /// Lengths in bytes of the names, by their first letter.
    lengths: BTreeMap<char, BTreeSet<usize>>,
    ids: BTreeSet<u32>,
}

impl Marks {
    /// The special tokens of a tokenizer, the tokens that end an answer, and the markup of calls.
    pub(super) fn new(inner: &tokenizers::Tokenizer, ends: &BTreeSet<u32>) -> Self {
        let mut marks = Self::default();
        for (id, token) in inner.get_added_vocabulary().get_added_tokens_decoder() {
            let name = token.content.as_str();
            if token.special || ends.contains(id) || tools::MARKUP.contains(&name) {
                marks.ids.insert(*id);
                marks.add(name);
            }
        }
        marks
    }

    /// A name of one letter cannot be broken, and no template uses one.
    fn add(&mut self, name: &str) {
        let Some(first) = name.chars().next().filter(|first| name.len() > first.len_utf8()) else {
            return;
        };
        self.lengths.entry(first).or_default().insert(name.len());
        self.names.insert(name.to_owned());
    }

    /// Whether a token is a mark.
    pub(super) fn contains(&self, id: u32) -> bool {
        self.ids.contains(&id)
    }

    /// The text with a [`BREAK`] in each mark, also in marks that overlap.
    pub(crate) fn break_in<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut starts = text.char_indices().filter(|(at, letter)| self.starts(text, *at, *letter));
        let Some(first) = starts.next() else { return Cow::Borrowed(text) };
        let mut broken = String::with_capacity(text.len() + 16);
        let mut end_of_copy = 0;
        for (at, letter) in std::iter::once(first).chain(starts) {
            let end = at + letter.len_utf8();
            broken.push_str(text.get(end_of_copy..end).unwrap_or_default());
            broken.push(BREAK);
            end_of_copy = end;
        }
        broken.push_str(text.get(end_of_copy..).unwrap_or_default());
        Cow::Owned(broken)
    }

    fn starts(&self, text: &str, at: usize, letter: char) -> bool {
        self.lengths.get(&letter).is_some_and(|lengths| {
            let mut names = lengths.iter().filter_map(|length| text.get(at..at + length));
            names.any(|name| self.names.contains(name))
        })
    }

    /// A JSON text with a [`BREAK`] in each mark of its strings, also of those that it spells with
    /// escapes. A text without marks, or that is no JSON, keeps its form.
    pub(crate) fn break_in_json<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else { return self.break_in(text) };
        if self.break_in_value(&mut value) { Cow::Owned(value.to_string()) } else { text.into() }
    }

    /// Returns whether there was a mark.
    fn break_in_value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.break_in(text) {
                Cow::Borrowed(_) => false,
                Cow::Owned(broken) => {
                    *text = broken;
                    true
                }
            },
            Value::Array(items) => {
                // All of them, not only up to the first.
                items.iter_mut().filter_map(|item| self.break_in_value(item).then_some(())).count()
                    > 0
            }
            Value::Object(fields) => {
                let mut has_mark = false;
                let entries = std::mem::take(fields).into_iter().map(|(key, mut value)| {
                    let name = self.break_in(&key);
                    has_mark |= self.break_in_value(&mut value) || matches!(name, Cow::Owned(_));
                    (name.into_owned(), value)
                });
                *fields = entries.collect();
                has_mark
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
