//! The tokens of a GGUF file.

use std::collections::BTreeSet;

use ahash::AHashMap;
use tokenizers::AddedToken;

use crate::{
    gguf::{Metadata, Texts},
    tools,
};

/// What llama.cpp's converters say of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// Tokens by number and by text.
#[derive(Debug)]
pub(super) struct Vocabulary<'a> {
    tokens: &'a Texts,
    kinds: Vec<Kind>,
    /// Not the standard library's map: all cuts of all tokens are looked up in it.
    numbers: AHashMap<&'a str, u32>,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn read(metadata: &'a Metadata) -> Result<Self, String> {
        let tokens = metadata
            .texts("tokenizer.ggml.tokens")
            .filter(|tokens| !tokens.is_empty())
            .ok_or("no tokens: the file holds no tokenizer")?;
        let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap_or_default();
        let kind = |index: usize| match kinds.get(index) {
            Some(2) => Kind::Unknown,
            Some(3) => Kind::Control,
            Some(4) => Kind::UserDefined,
            Some(5) => Kind::Unused,
            Some(6) => Kind::Byte,
            _ => Kind::Normal,
        };
        let mut numbers = AHashMap::with_capacity(tokens.len());
        for (number, token) in (0..).zip(tokens.iter()) {
            if let Some(other) = numbers.insert(token, number) {
                return Err(format!("tokens {other} and {number} are the same"));
            }
        }
        Ok(Self { tokens, kinds: (0..tokens.len()).map(kind).collect(), numbers })
    }

    pub(super) fn token(&self, number: u32) -> Option<&'a str> {
        self.tokens.get(usize::try_from(number).ok()?)
    }

    /// In order of their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &'a str, Kind)> {
        let kinds = self.kinds.iter().copied();
        (0..).zip(self.tokens.iter()).zip(kinds).map(|((id, token), kind)| (id, token, kind))
    }

    pub(super) fn number(&self, token: &str) -> Option<u32> {
        self.numbers.get(token).copied()
    }

    pub(super) fn kind(&self, number: u32) -> Option<Kind> {
        self.kinds.get(usize::try_from(number).ok()?).copied()
    }

    /// Whether both of these are tokens, and together a third.
    pub(super) fn merges(&self, first: &str, second: &str) -> bool {
        let both = self.numbers.contains_key(first) && self.numbers.contains_key(second);
        both && self.numbers.contains_key(format!("{first}{second}").as_str())
    }

    /// By text, with the tokens spelled anew.
    pub(super) fn spelled(&self, spell: impl Fn(&str, Kind) -> String) -> AHashMap<String, u32> {
        self.all().map(|(number, token, kind)| (spell(token, kind), number)).collect()
    }

    /// Tokens that are found in a text before anything else. `strips`: blanks behind them belong
    /// to them.
    pub(super) fn marks(&self, strips: bool) -> Vec<AddedToken> {
        let marks = self.all().filter_map(|(_, token, kind)| {
            let special = match kind {
                // What is written of a call has to be seen.
                Kind::Control => !tools::MARKUP.contains(&token),
                Kind::Unknown => true,
                Kind::UserDefined => false,
                _ => return None,
            };
            let kept = ["<unk>", "<s>", "<|endoftext|>"].contains(&token);
            let rstrip = strips && !kept && (special || token == "</s>");
            Some(AddedToken::from(token, special).normalized(false).rstrip(rstrip))
        });
        marks.collect()
    }

    /// Numbers that stand for nothing.
    pub(super) fn unused(&self) -> BTreeSet<u32> {
        self.all().filter(|(.., kind)| *kind == Kind::Unused).map(|(number, ..)| number).collect()
    }
}
