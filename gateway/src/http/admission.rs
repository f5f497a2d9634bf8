//! How many requests are answered at the same time: each holds its body and its answer in memory,
//! so without a bound a crowd would take all of it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{callers::Caller, error::ApiError};

/// The places there are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
    max: usize,
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    caller: Caller,
}

impl Place {
    /// Counts the tokens of the answer for the caller.
    pub(super) fn spend(&self, tokens: f64) {
        self.caller.spend(tokens);
    }
}

impl Admission {
    pub fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(max)), max }
    }

    /// Takes a place, and one of the requests that the caller has this minute; or is refused at
    /// once: a client that waits in a queue it cannot see would rather be told.
    pub(super) fn enter(&self, caller: Caller) -> Result<Place, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let _permit = place.map_err(|_| ApiError::TooMany { max: self.max })?;
        caller.take()?;
        Ok(Place { _permit, caller })
    }

    /// OpenAI's headers. Where requests are not limited by the minute, they are of how many there
    /// are at once.
    pub(super) fn headers(&self, caller: &Caller) -> Vec<(String, String)> {
        let mut headers = caller.headers();
        if !headers.iter().any(|(name, _)| name.ends_with("limit-requests")) {
            let left = self.places.available_permits();
            // A Go duration: clients parse it as one. Answers end within seconds.
            let reset = if left > 0 { "0s" } else { "1s" };
            headers.extend([
                ("x-ratelimit-limit-requests".to_owned(), self.max.to_string()),
                ("x-ratelimit-remaining-requests".to_owned(), left.to_string()),
                ("x-ratelimit-reset-requests".to_owned(), reset.to_owned()),
            ]);
        }
        headers
    }
}
