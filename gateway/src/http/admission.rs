//! How many requests are answered at the same time: each holds its body and its answer in memory,
//! so without a bound a crowd would take all of it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// The places there are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
    max: usize,
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Admission {
    pub fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(max)), max }
    }

    /// Takes a place, or is refused at once: a client that waits in a queue it cannot see would
    /// rather be told.
    pub(super) fn enter(&self) -> Result<Place, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map(Place).map_err(|_| ApiError::TooMany { max: self.max })
    }

    /// OpenAI's headers: its requests are counted by time, ours by how many there are at once.
    pub(super) fn headers(&self) -> [(&'static str, String); 3] {
        let left = self.places.available_permits();
        // A Go duration: clients parse it as one. Answers end within seconds.
        let reset = if left > 0 { "0s" } else { "1s" };
        [
            ("x-ratelimit-limit-requests", self.max.to_string()),
            ("x-ratelimit-remaining-requests", left.to_string()),
            ("x-ratelimit-reset-requests", reset.to_owned()),
        ]
    }
}
