//! A model's vocabulary as llguidance needs it: the bytes of each token, in a trie.

use std::sync::Arc;

use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::tokenizer::{TokenKind, Tokenizer};

/// The vocabulary with its end tokens.
pub(super) fn token_env(tokenizer: &Tokenizer) -> TokEnv {
    let ends: Vec<TokenId> = tokenizer.ends().collect();
    let count = u32::try_from(tokenizer.count()).unwrap_or(u32::MAX);
    let tokens: Vec<Vec<u8>> = (0..count).map(|token| bytes(tokenizer, token)).collect();
    // A tokenizer always has an end token.
    let info = TokRxInfo::new(count, ends.first().copied().unwrap_or_default());
    let ends: Vec<TokenId> = ends.into_iter().filter(|end| *end < count).collect();
    Arc::new(Vocabulary { trie: TokTrie::from(&info, &tokens).with_eos_tokens(&ends) })
}

/// Control tokens start with a byte that occurs in no text, so that no text can contain them.
fn bytes(tokenizer: &Tokenizer, token: u32) -> Vec<u8> {
    let bytes = tokenizer.token_bytes(token);
    match tokenizer.kind(token) {
        TokenKind::Text => bytes,
        TokenKind::Mark => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes.as_slice()].concat(),
        TokenKind::None => Vec::new(),
    }
}

struct Vocabulary {
    trie: TokTrie,
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, text: &[u8]) -> Vec<TokenId> {
        self.trie.greedy_tokenize(text)
    }

    /// The model itself tokenizes text that a grammar forces: tokens that it would not have chosen
    /// make its answers worse.
    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}
