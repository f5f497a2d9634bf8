//! A model's tokens as llguidance knows them: the bytes of each, in a trie.

use std::sync::Arc;

use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::tokenizer::{TokenKind, Tokenizer};

/// The tokens of a model with at least one end token.
pub(super) fn words(tokenizer: &Tokenizer) -> TokEnv {
    let ends: Vec<TokenId> = tokenizer.ends().collect();
    let count = u32::try_from(tokenizer.known()).unwrap_or(u32::MAX);
    let words: Vec<Vec<u8>> = (0..count).map(|token| word(tokenizer, token)).collect();
    let info = TokRxInfo::new(count, ends.first().copied().unwrap_or_default());
    let known: Vec<TokenId> = ends.into_iter().filter(|end| *end < count).collect();
    Arc::new(Words { trie: TokTrie::from(&info, &words).with_eos_tokens(&known) })
}

/// Marks stand behind a byte that no text has, so that no text can be made of them.
fn word(tokenizer: &Tokenizer, token: u32) -> Vec<u8> {
    let bytes = tokenizer.token_bytes(token);
    match tokenizer.kind(token) {
        TokenKind::Text => bytes,
        TokenKind::Mark => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes.as_slice()].concat(),
        TokenKind::None => Vec::new(),
    }
}

struct Words {
    trie: TokTrie,
}

impl TokenizerEnv for Words {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, text: &[u8]) -> Vec<TokenId> {
        self.trie.greedy_tokenize(text)
    }

    /// Text that a grammar forces is left to the model to cut into tokens: a forced cut that the
    /// model would not have made itself makes it write worse.
    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}
