//! The limit of concurrent requests. Each one holds its body and its answer in memory, so without a
//! limit many clients could use all of it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{callers::Caller, error::ApiError};

/// The places for concurrent requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    max: usize,
}

/// A place for one request. Dropping it frees the place.
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
    /// Admits at most `max` requests at the same time.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(max)), max }
    }

    /// Takes a place and counts one request of the caller. There is no queue: a client that is
    /// refused at once can decide for itself when to retry.
    ///
    /// # Errors
    /// If no place is free, or the caller has used up its minute.
    pub(super) fn enter(&self, caller: Caller) -> Result<Place, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let _permit = place.map_err(|_| ApiError::TooMany { max: self.max })?;
        caller.take()?;
        Ok(Place { _permit, caller })
    }

    /// OpenAI's rate limit headers. Without a limit of requests per minute, those of requests describe
    /// the limit of concurrent requests.
    pub(super) fn headers(&self, caller: &Caller) -> Vec<(String, String)> {
        let mut headers = caller.headers();
        if !headers.iter().any(|(name, _)| name.ends_with("limit-requests")) {
            let free = self.places.available_permits();
            // Clients parse a Go duration. Answers end within seconds.
            let reset = if free > 0 { "0s" } else { "1s" };
            headers.extend([
                ("x-ratelimit-limit-requests".to_owned(), self.max.to_string()),
                ("x-ratelimit-remaining-requests".to_owned(), free.to_string()),
                ("x-ratelimit-reset-requests".to_owned(), reset.to_owned()),
            ]);
        }
        headers
    }
}
