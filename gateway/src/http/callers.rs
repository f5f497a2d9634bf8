//! Who asks, and how much of it: API keys, and what each may ask for by the minute. Without keys
//! everybody is one and the same caller; without limits nothing is counted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::http::header::{self, HeaderMap};
use sha2::{Digest as _, Sha256};

use super::{
    config::Config,
    error::{ApiError, Scarce},
    rate::{Bucket, go},
};

/// Every caller there can be. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Callers(Arc<Known>);

#[derive(Debug)]
struct Known {
    /// SHA-256 of each key: comparing these tells nobody how much of a key was right.
    keys: Vec<[u8; 32]>,
    /// One for each key; without keys one for all.
    shares: Vec<Mutex<Share>>,
    started: Instant,
}

/// What one caller may still ask for.
#[derive(Clone, Copy, Debug)]
struct Share {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

/// Somebody who may ask.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    known: Arc<Known>,
    share: usize,
}

impl Callers {
    pub fn new(config: &Config) -> Self {
        let keys = config.keys.iter().filter_map(|key| key.expose());
        let keys: Vec<[u8; 32]> = keys.map(|key| Sha256::digest(key).into()).collect();
        let bucket = |per_minute: u64| (per_minute > 0).then(|| Bucket::new(per_minute));
        let share = Share {
            requests: bucket(config.requests_per_minute),
            tokens: bucket(config.tokens_per_minute),
        };
        let shares = (0..keys.len().max(1)).map(|_| Mutex::new(share)).collect();
        Self(Arc::new(Known { keys, shares, started: Instant::now() }))
    }

    /// Whose key the request has: `Authorization: Bearer`, or `x-api-key` as Anthropic's clients
    /// send it.
    ///
    /// # Errors
    /// It has none, or one that is not known, where there are keys.
    pub(super) fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let caller = |share| Caller { known: Arc::clone(&self.0), share };
        if self.0.keys.is_empty() {
            return Ok(caller(0));
        }
        let key = key(headers).ok_or(ApiError::NoKey)?;
        let digest: [u8; 32] = Sha256::digest(key).into();
        let found = self.0.keys.iter().position(|known| *known == digest);
        found.map(caller).ok_or_else(|| ApiError::wrong_key(key))
    }
}

/// The key as the client sent it; an empty one is none.
fn key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let named = || headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim);
    bearer.or_else(named).filter(|key| !key.is_empty())
}

impl Caller {
    /// Takes one request.
    ///
    /// # Errors
    /// The minute's requests or tokens are used up.
    pub(super) fn take(&self) -> Result<(), ApiError> {
        self.with(|share, now| {
            let scarce = [(Scarce::Requests, share.requests), (Scarce::Tokens, share.tokens)];
            for (what, bucket) in scarce {
                let Some(bucket) = bucket else { continue };
                let wait = bucket.wait(1.0, now);
                if !wait.is_zero() {
                    return Err(ApiError::RateLimit { what, limit: bucket.limit(), wait });
                }
            }
            if let Some(requests) = &mut share.requests {
                requests.take(1.0, now);
            }
            Ok(())
        })
    }

    /// Takes what an answer turned out to cost, which is known at its end.
    pub(super) fn spend(&self, tokens: f64) {
        self.with(|share, now| {
            if let Some(bucket) = &mut share.tokens {
                bucket.take(tokens, now);
            }
        });
    }

    /// OpenAI's headers for what is limited by the minute.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        self.with(|share, now| {
            let kinds = [("requests", share.requests), ("tokens", share.tokens)];
            let limited = kinds.into_iter().filter_map(|(kind, bucket)| Some((kind, bucket?)));
            let told = limited.flat_map(|(kind, bucket)| {
                [
                    (format!("x-ratelimit-limit-{kind}"), bucket.limit().to_string()),
                    (format!("x-ratelimit-remaining-{kind}"), bucket.remaining(now).to_string()),
                    (format!("x-ratelimit-reset-{kind}"), go(bucket.reset(now))),
                ]
            });
            told.collect()
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Share, Duration) -> T) -> T {
        let now = self.known.started.elapsed();
        let mut none = Share { requests: None, tokens: None };
        match self.known.shares.get(self.share) {
            Some(share) => work(&mut share.lock().unwrap_or_else(PoisonError::into_inner), now),
            None => work(&mut none, now),
        }
    }
}
