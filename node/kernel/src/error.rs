//! The errors of a call whose arguments do not fit together.

/// The arguments of a call do not fit together. Nothing was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The length of a slice does not match the shapes.
    #[error("{argument} has {len} elements where {required_len} are needed")]
    Length { argument: &'static str, len: usize, required_len: usize },
    /// A number is outside the range that the call allows.
    #[error("{argument} is {value}, which must be {requirement}")]
    Range { argument: &'static str, value: usize, requirement: &'static str },
}

/// Fails unless `len`, the length of `argument`, is `required_len`.
pub(crate) fn check_length(
    argument: &'static str,
    len: usize,
    required_len: usize,
) -> Result<(), Error> {
    if len == required_len { Ok(()) } else { Err(Error::Length { argument, len, required_len }) }
}
