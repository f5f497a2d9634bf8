//! The errors of a call whose arguments do not fit together.

/// The arguments of a call do not fit together. Nothing was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The length of a slice does not match the shapes.
    #[error("{argument} has {actual} elements where {expected} are needed")]
    Length { argument: &'static str, actual: usize, expected: usize },
    /// A number is outside the range that the call allows.
    #[error("{argument} is {actual}, which must be {requirement}")]
    Range { argument: &'static str, actual: usize, requirement: &'static str },
}

/// Fails unless `argument` has `expected` elements.
pub(crate) fn check_length(
    argument: &'static str,
    actual: usize,
    expected: usize,
) -> Result<(), Error> {
    if actual == expected { Ok(()) } else { Err(Error::Length { argument, actual, expected }) }
}
