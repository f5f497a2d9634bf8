//! The vocabulary of the specialists: bytes, and marks around them.

/// 256 bytes and three marks.
pub(crate) const VOCAB: usize = 259;
/// Begins a question.
pub(crate) const BOS: u32 = 256;
/// Ends an answer; also fills short rows, where nothing looks at it.
pub(crate) const EOS: u32 = 257;
/// Between question and answer.
pub(crate) const SEP: u32 = 258;
