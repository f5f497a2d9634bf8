//! The limits of concurrent requests and of the memory for their bodies. Each request holds its body and
//! its answer, so without limits many clients could use all memory. Every key has its share.

use super::{
    callers::{Caller, Callers, Owner},
    config::HttpConfig,
    error::ApiError,
    share::{Grant, SharedResource},
};

/// The places for concurrent requests, and the bytes for their bodies. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    places: SharedResource,
    body_bytes: SharedResource,
}

/// The permit for one request. Dropping it frees the place and the memory of the body.
#[derive(Debug)]
pub(super) struct Permit {
    _place: Grant,
    body: Grant,
    caller: Caller,
}

impl Permit {
    /// The owner of what is stored for the request.
    pub(super) fn owner(&self) -> Owner {
        self.caller.owner()
    }

    /// Counts the tokens of the answer for the caller.
    pub(super) fn spend(&self, tokens: f64) {
        self.caller.spend(tokens);
    }

    /// Counts bytes of the body, which the request keeps until its end.
    ///
    /// # Errors
    /// If the bodies of the requests that run have too many bytes.
    pub(super) fn hold_body(&mut self, bytes: usize) -> Result<(), ApiError> {
        if self.body.grow(bytes) { Ok(()) } else { Err(ApiError::BodiesFull) }
    }
}

impl Admission {
    /// Admits requests up to the limits of a configuration.
    pub(crate) fn new(config: &HttpConfig, callers: &Callers) -> Self {
        Self {
            places: SharedResource::new(config.requests_max, callers.count()),
            body_bytes: SharedResource::new(config.bodies_bytes_max, callers.count()),
        }
    }

    /// Takes a place and counts one request of the caller. There is no queue: a client that is
    /// refused at once can decide for itself when to retry.
    ///
    /// # Errors
    /// If no place is free for this caller, or the caller has used up its minute.
    pub(super) fn enter(&self, caller: Caller) -> Result<Permit, ApiError> {
        let owner = caller.owner();
        let place = self.places.take(owner, 1);
        let _place = place.ok_or(ApiError::TooMany { max: self.places.max() })?;
        let body = self.body_bytes.take(owner, 0).ok_or(ApiError::BodiesFull)?;
        caller.take()?;
        Ok(Permit { _place, body, caller })
    }

    /// OpenAI's rate limit headers. Without a limit of requests per minute, those of requests describe
    /// the limit of concurrent requests.
    pub(super) fn headers(&self, caller: &Caller) -> Vec<(String, String)> {
        let mut headers = caller.headers();
        if !headers.iter().any(|(name, _)| name.ends_with("limit-requests")) {
            let free = self.places.free(caller.owner());
            // Clients parse a Go duration. Answers end within seconds.
            let reset = if free > 0 { "0s" } else { "1s" };
            headers.extend([
                ("x-ratelimit-limit-requests".to_owned(), self.places.max().to_string()),
                ("x-ratelimit-remaining-requests".to_owned(), free.to_string()),
                ("x-ratelimit-reset-requests".to_owned(), reset.to_owned()),
            ]);
        }
        headers
    }
}
