//! The vocabulary of the specialists: bytes, and marks around them.

/// 256 bytes and four marks.
pub(crate) const VOCAB: usize = 260;
/// Begins a question.
pub(crate) const BOS: u32 = 256;
/// Ends an answer; also fills short rows, where nothing looks at it.
pub(crate) const EOS: u32 = 257;
/// Between question and answer.
pub(crate) const SEP: u32 = 258;
/// The whole answer to a question outside of what a specialist knows; only ever the first token.
pub(crate) const ABSTAIN: u32 = 259;
