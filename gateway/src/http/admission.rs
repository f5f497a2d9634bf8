//! The limits of concurrent requests and of the memory for their bodies. Each request holds its body and
//! its answer, so without limits many clients could use all memory. Every key has its share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    callers::{Caller, Callers, Owner},
    concurrency::ConcurrencyLimit,
    config::HttpConfig,
    error::ApiError,
    share::{Grant, SharedResource},
};

/// The places for concurrent requests, those of them that the members work for, and the bytes for their
/// bodies. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    places: SharedResource,
    /// Requests whose body is read. Those that still send theirs must not keep the others from the members.
    work: SharedResource,
    limit: Limit,
    body_bytes: SharedResource,
}

/// The limit of requests at work, which follows what the members can do.
#[derive(Clone, Debug)]
struct Limit {
    limit: Arc<Mutex<ConcurrencyLimit>>,
    /// The moment from which the limit counts time.
    epoch: Instant,
}

impl Limit {
    fn lock(&self) -> MutexGuard<'_, ConcurrencyLimit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permit for one request. Dropping it frees the place and the memory of the body.
#[derive(Debug)]
pub(super) struct Permit {
    _place: Grant,
    work: Option<Grant>,
    body: Grant,
    caller: Caller,
    limit: Limit,
}

impl Permit {
    /// The owner of what is stored for the request.
    pub(super) fn owner(&self) -> Owner {
        self.caller.owner()
    }

    /// Counts the tokens of the answer for the caller.
    pub(super) fn spend(&self, tokens: f64) {
        self.limit.lock().finish(tokens, self.limit.epoch.elapsed());
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
        let limit = Arc::new(Mutex::new(ConcurrencyLimit::new(config.requests_max)));
        Self {
            places: SharedResource::new(config.requests_max, callers.count()),
            work: SharedResource::new(config.requests_max, callers.count()),
            limit: Limit { limit, epoch: Instant::now() },
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
        Ok(Permit { _place, work: None, body, caller, limit: self.limit.clone() })
    }

    /// Admits a request to the members' work, while they have so many slots.
    ///
    /// # Errors
    /// If as many requests are at work as the members can do.
    pub(super) fn start_work(&self, permit: &mut Permit, slots: usize) -> Result<(), ApiError> {
        self.work.set_max(self.limit.lock().for_slots(slots));
        permit.work = self.work.take(permit.owner(), 1);
        if permit.work.is_none() {
            self.limit.lock().refuse(self.limit.epoch.elapsed());
            return Err(ApiError::TooMany { max: self.work.max() });
        }
        Ok(())
    }

    /// OpenAI's rate limit headers. Without a limit of requests per minute, those of requests describe
    /// the limit of concurrent requests.
    pub(super) fn headers(&self, caller: &Caller) -> Vec<(String, String)> {
        let mut headers = caller.headers();
        if !headers.iter().any(|(name, _)| name.ends_with("limit-requests")) {
            // The resource that has less left.
            let resources = [&self.places, &self.work];
            let [places, work] = resources.map(|resource| resource.free(caller.owner()));
            let free = places.min(work);
            // Clients parse a Go duration. Answers end within seconds.
            let reset = if free > 0 { "0s" } else { "1s" };
            headers.extend([
                ("x-ratelimit-limit-requests".to_owned(), self.work.max().to_string()),
                ("x-ratelimit-remaining-requests".to_owned(), free.to_string()),
                ("x-ratelimit-reset-requests".to_owned(), reset.to_owned()),
            ]);
        }
        headers
    }
}
