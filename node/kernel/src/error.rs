/// A call that does not fit together. Nothing was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A slice has another length than the shapes say.
    #[error("{what} has {got} elements where {want} are needed")]
    Length { what: &'static str, got: usize, want: usize },
    /// A number outside of what the call allows.
    #[error("{what} is {got}, which must be {must}")]
    Range { what: &'static str, got: usize, must: &'static str },
}

/// Fails unless `what` has `want` elements.
pub(crate) fn length(what: &'static str, got: usize, want: usize) -> Result<(), Error> {
    if got == want { Ok(()) } else { Err(Error::Length { what, got, want }) }
}
