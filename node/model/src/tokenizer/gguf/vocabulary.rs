//! The vocabulary of a GGUF file.

use std::collections::BTreeSet;

use ahash::AHashMap;
use tokenizers::AddedToken;

use crate::{
    gguf::{Metadata, Texts},
    tools,
};

/// The kind of a token, as llama.cpp's converters record it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    /// The kind of a code in `tokenizer.ggml.token_type`. A token without a code is a normal one.
    fn from_code(code: Option<&i64>) -> Self {
        match code {
            Some(2) => Self::Unknown,
            Some(3) => Self::Control,
            Some(4) => Self::UserDefined,
            Some(5) => Self::Unused,
            Some(6) => Self::Byte,
            _ => Self::Normal,
        }
    }
}

/// Tokens by number and by text.
#[derive(Debug)]
pub(super) struct Vocabulary<'a> {
    tokens: &'a Texts,
    kinds: Vec<Kind>,
    /// An `AHashMap` because joins look up every split of every token.
    numbers: AHashMap<&'a str, u32>,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn read(metadata: &'a Metadata) -> Result<Self, String> {
        let tokens = metadata
            .texts("tokenizer.ggml.tokens")
            .filter(|tokens| !tokens.is_empty())
            .ok_or("no tokens: the file holds no tokenizer")?;
        // The key may be absent: then every token is a normal one.
        let codes = metadata.integers("tokenizer.ggml.token_type").unwrap_or_default();
        if !codes.is_empty() && codes.len() < tokens.len() {
            return Err("token_type: there must be one for each token".to_owned());
        }
        let mut numbers = AHashMap::with_capacity(tokens.len());
        for (number, token) in (0..).zip(tokens.iter()) {
            if let Some(first) = numbers.insert(token, number) {
                return Err(format!("tokens {first} and {number} are the same"));
            }
        }
        let kinds = (0..tokens.len()).map(|index| Kind::from_code(codes.get(index))).collect();
        Ok(Self { tokens, kinds, numbers })
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn token(&self, number: u32) -> Option<&'a str> {
        self.tokens.get(usize::try_from(number).ok()?)
    }

    /// The tokens with their numbers and kinds, by number.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (u32, &'a str, Kind)> {
        let kinds = self.kinds.iter().copied();
        (0..).zip(self.tokens.iter()).zip(kinds).map(|((id, token), kind)| (id, token, kind))
    }

    pub(super) fn number(&self, token: &str) -> Option<u32> {
        self.numbers.get(token).copied()
    }

    pub(super) fn kind(&self, number: u32) -> Option<Kind> {
        self.kinds.get(usize::try_from(number).ok()?).copied()
    }

    /// Whether both texts are tokens, and their concatenation too.
    pub(super) fn merges(&self, first: &str, second: &str) -> bool {
        self.numbers.contains_key(first)
            && self.numbers.contains_key(second)
            && self.numbers.contains_key(format!("{first}{second}").as_str())
    }

    /// The numbers by the texts that `spell` makes of the tokens.
    pub(super) fn numbers_by_spelling(
        &self,
        spell: impl Fn(&str, Kind) -> String,
    ) -> AHashMap<String, u32> {
        self.tokens().map(|(number, token, kind)| (spell(token, kind), number)).collect()
    }

    /// Tokens that are matched in a text before everything else. `strips`: they include the whitespace
    /// after them.
    pub(super) fn marks(&self, strips: bool) -> Vec<AddedToken> {
        let marks = self.tokens().filter_map(|(_, token, kind)| {
            let special = match kind {
                // The markup of calls has to be visible.
                Kind::Control => !tools::MARKUP.contains(&token),
                Kind::Unknown => true,
                Kind::UserDefined => false,
                _ => return None,
            };
            let keeps_space = ["<unk>", "<s>", "<|endoftext|>"].contains(&token);
            let rstrip = strips && !keeps_space && (special || token == "</s>");
            Some(AddedToken::from(token, special).normalized(false).rstrip(rstrip))
        });
        marks.collect()
    }

    /// Numbers without a meaning.
    pub(super) fn gaps(&self) -> BTreeSet<u32> {
        self.tokens()
            .filter(|(.., kind)| *kind == Kind::Unused)
            .map(|(number, ..)| number)
            .collect()
    }
}
